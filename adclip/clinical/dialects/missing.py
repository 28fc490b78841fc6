"""Codes for "unknown" that many studies use: none is read as one unless a study or the user declares it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from adclip.clinical.dialects.base import Reader, folded_code

# NACC's and SPSS's repeated eights and nines and 95 to 98; what databases and statistics programs export. One digit alone may be a
# slip of somebody's value as well, but not -9 and -8: no column here has negative values.
_CODE = re.compile(r"-[89](\.0+)?|-?9{2,}(\.0+)?|-?8{2,}(\.0+)?|9+\.9+|8+\.8+|9[5-8](\.0+)?|-7{2,}(\.0+)?")
_WORD = re.compile(
    r"0000-00-00( 00:00:00)?|null|none|nil|\.|-+|\?+|#n/a|<na>|n\.?a\.?|nd|not available|not done|unknown|unk|missing|\(null\)|#null!",
    re.IGNORECASE,
)
# Such a number is hardly measured, yet may be plausible where a unit was declared: 8.888 cm3 is a hippocampus.
_SUSPECT = re.compile(r"8+\.8{2,}|9+\.9{2,}")


def usual_code(cell: str) -> str | None:
    """Return a cell that the column refuses and that is a usual code for unknown; None for anything else, which is nobody's to see.

    Examples
    --------
    >>> usual_code("99"), usual_code("NULL"), usual_code("27/30")
    ('99', 'NULL', None)
    """
    plain = cell.strip()
    return plain if _CODE.fullmatch(plain) or _WORD.fullmatch(plain) else None


def is_suspect(cell: str) -> bool:
    """Whether a number that was read is one of repeated eights or nines after the point, as NACC codes unknown volumes."""
    return _SUSPECT.fullmatch(cell) is not None


def unless_missing(unknown: Iterable[str], read: Reader) -> Reader:
    """Return a reader to which cells of these codes are empty; codes are compared as `codes` compares them.

    Parameters
    ----------
    unknown : iterable of str
        Codes that a study or the user declares.
    read : callable
        Reads all other cells.
    """
    folded = frozenset(map(folded_code, unknown))

    def read_known(*cells: str) -> Any:
        return read(*("" if cell and folded_code(cell) in folded else cell for cell in cells))

    return read_known
