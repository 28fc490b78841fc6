"""Ids as BIDS writes them: labels of letters and digits alone, different for different ids."""

from __future__ import annotations

import hashlib
import re

# Forms that stay different without their separators: ADNI's ids, AIBL's as clinica writes them, and the day and image of a scan in
# LONI's tree.
_PLAIN = re.compile(r"\d{3}_S_\d{4,5}|AIBL_\d+|\d{4}-\d\d-\d\d(?:_[IS]\d+)?")
_DIGITS = 6  # of the hash: two ids in ten million with the same letters and digits would share them


def to_label(text: str) -> str:
    """Return the label of an id.

    Parameters
    ----------
    text : str
        Subject or session.

    Returns
    -------
    str
        The id itself where it has letters and digits alone, which BIDS asks for: tools that read BIDS names cut others at `_` and
        `-`, and all people of an ADNI site become one. Else what is left of it, and `x` with digits of its hash, so that `a_1`,
        `a-1` and `a1` stay three people. The same id has the same label in every run and every shard.

    Examples
    --------
    >>> to_label("002_S_0413")
    '002S0413'
    """
    bare = re.sub(r"[^A-Za-z0-9]", "", text)
    if bare == text or _PLAIN.fullmatch(text):
        return bare
    return f"{bare}x{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"
