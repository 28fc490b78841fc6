"""Cells of the CSV and TSV files that adclip writes: no spreadsheet may take one for a formula."""

from __future__ import annotations

from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV injection"


def escape_cell(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would read as a formula; numbers stay as they are."""
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value


def unescape_cell(text: str) -> str:
    """Undo `escape_cell`."""
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA else text
