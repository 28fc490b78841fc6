"""Puts the phantoms within reach of every test of this folder and of the verbs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
