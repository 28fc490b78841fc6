"""What a value that was read from a JSON file may be taken for. One of another kind counts as unknown, as in a file that somebody edited."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return an object of the file, an empty one where there is none."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: object) -> list[Any]:
    """Return a list of the file, an empty one where there is none."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """Return a text, or None."""
    return value if isinstance(value, str) else None


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number; true and false are none, though Python counts with them."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
