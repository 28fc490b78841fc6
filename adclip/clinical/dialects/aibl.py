"""Placeholder until the module is written."""
from adclip.clinical.dialects.base import Dialect

AIBL = Dialect('AIBL', (), ())
