"""Whether a contrast agent was given, as headers, sidecars and names say it.

An agent makes vessels, meninges and glands bright; volumes and contrast measured on such a scan are not those of the scans
that models are taught on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

CONTRAST_AGENT = "contrast_agent"

# DICOM PS3.3, C.7.6.4 and C.8.13.14; BIDS has ContrastBolusIngredient, converters write the others as well.
TAGS = (
    "ContrastBolusAgent", "ContrastBolusIngredient", "ContrastBolusAgentSequence", "ContrastBolusVolume",
    "ContrastBolusTotalDose",
)  # fmt: skip
# What a technician wrote of the series, and the name of its protocol: in DICOM, and where converters copy them into a sidecar.
SERIES, PROTOCOL = "SeriesDescription", "ProtocolName"
_AMOUNTS = ("ContrastBolusVolume", "ContrastBolusTotalDose")
_NOTHING = re.compile(
    r"|0+(\.0*)?|-+|n/?a|no(ne|t)?\b.*|nil|null|false|unknown|without\b.*|w/o\b.*|pre|native|unenhanced|plain|nogad|non-?contrast",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"(?:^|_)ce-([^_.]*)")
# Last word of names that research data sets of tumours and of dementia use: `BraTS19_x_t1ce`, `UPENN_x_T1GD`, `x-t1c`.
_WORD = re.compile(r"(?:^|[_.-])(?:t1w?[_-]?(?:ce|gd|gad|c|post)|post[_-]?(?:gd|gad|contrast))$", re.IGNORECASE)
_AGENT = r"(?:gd|gad|gado\w*|dotarem|clariscan|magnevist|prohance|multihance|omniscan|vueway|elucirem|ablavar|primovist|eovist)"
_T1 = r"(?:t1\w*|\w*mp\W?rage|f?spgr|bravo|tfe|tfl|vibe|space|cube|mp2rage)"
# `BRAIN W WO CONTRAST` is the name of a whole examination, `T1 PRE GAD` that of a series before the agent: neither says that it
# is in the image. `no` and the like count before a word for the agent or at the end: in `NO FS` and `WITHOUT FS` they are about
# something else. `WO/W CONTRAST` and `without any contrast` have words in between that are about nothing.
_WITHOUT = r"(?:non?|without|w\W?o|sans|sin|ohne)"
_IN_BETWEEN = r"(?:(?:any|i\W?v|and|und|et|y|with|w|mit|avec|medio|produit|de)\W+)*"
_GIVEN = rf"(?:{_AGENT}|contrast\w*|con|c|ce|km|kontrast\w*|inj\w*|enhanced)"
_BEFORE = re.compile(
    r"\b(?:pre|precontrast|pregad|pregd|noncontrast|nogad|unenhanced|native?|vor|before|avant|plain)\b"
    rf"|\b{_WITHOUT}(?:\W+{_IN_BETWEEN}{_GIVEN}\b|\W*$)|\+\s*/\s*-|-\s*/\s*\+",
    re.IGNORECASE,
)
_WITH = re.compile(
    rf"\b{_AGENT}\b"
    rf"|\bt1w?(?:ce|c|gd|gad)\b"
    rf"|(?<!/)\+\s*(?:c|con|contrast\w*|ce|km|{_AGENT})\b"
    r"|\bc\+(?![\w/+])"
    rf"|\bpost\W*(?:iv\W+)?(?:c|ce|con|contrast\w*|km|inj\w*|{_AGENT})\b"
    r"|\b(?:with|w/?|after|mit|nach|avec|con)\s*(?:iv\s+)?(?:contrast\w*|km|c)\b"
    r"|\bw/\s*con\b|\bcontrast\W?enhanced\b"
    rf"|\bce\W?{_T1}\b|\b{_T1}\W(?:.*\W)?ce\s*$"
    rf"|\b{_T1}\W(?:.*\W)?(?:post|km|inj)\s*$",
    re.IGNORECASE,
)
_OF_T1 = re.compile(rf"(?:^|[\W_]){_T1}(?=[\W_])", re.IGNORECASE)
_ACQUISITION = re.compile(r"(?:^|_)(?:acq|rec|desc)-([^_.]+)")
_ACQUIRED_WITH = re.compile(
    r".*(?:postgd|gad(?:olinium)?|gado|post(?:con|contrast)|withcontrast|t1ce|t1gd)|gd|ce", re.IGNORECASE
)
_ACQUIRED_BEFORE = re.compile(r"pre|no|non|without|unenhanced|native?", re.IGNORECASE)


def names_agent(values: Mapping[str, Any]) -> bool:
    """Tell whether the fields of a DICOM header or of a BIDS sidecar name a contrast agent.

    Parameters
    ----------
    values : mapping
        Fields by DICOM's keywords; a pydicom data set or a JSON object. Other fields play no part.

    Returns
    -------
    bool
        False where an agent is named `NONE`, `NO`, `0` or the like. Where no field says anything of an agent, the words of the
        series and of its protocol do.
    """
    agent = values.get("ContrastBolusAgent")
    if agent is not None and str(agent).strip():
        return not _is_nothing(agent)  # the plainest word; `NONE` beside a stale volume means none
    if any(not _is_nothing(values.get(tag)) for tag in ("ContrastBolusIngredient", "ContrastBolusAgentSequence")):
        return True
    return any(_amount(values.get(tag)) > 0 for tag in _AMOUNTS) or described_so(values) is True


def described_so(values: Mapping[str, Any]) -> bool | None:
    """Tell whether the description of a series or the name of its protocol says that an agent was given.

    Parameters
    ----------
    values : mapping
        As for `names_agent`.

    Returns
    -------
    bool or None
        None where neither says anything. The name of a protocol counts where it names a T1 sequence or nothing describes the
        series: on some scanners it is that of the whole examination.
    """
    series, protocol = (_words(values.get(name)) for name in (SERIES, PROTOCOL))
    if series and not _OF_T1.search(f"{protocol} "):
        protocol = ""
    if any(_BEFORE.search(words) for words in (series, protocol)):
        return False
    return True if any(_WITH.search(words) for words in (series, protocol)) else None


def is_named_so(stem: str) -> bool:
    """Tell whether a file's name, without its ending, says that an agent was given.

    BIDS' `ce-gad` and `acq-postgad`; a last word `T1ce`; what stands behind the word for a T1, `T1_POST_GAD_20200304_5`. A name
    before it is somebody's.
    """
    if entity := _ENTITY.search(stem):
        return not _is_nothing(entity[1])
    for value in _ACQUISITION.findall(stem):
        if _ACQUIRED_WITH.fullmatch(value) and not _ACQUIRED_BEFORE.search(value):
            return True
    if _WORD.search(stem):
        return True
    behind = _OF_T1.search(stem)
    words = _words(stem[behind.start() :]) if behind else ""
    return not _BEFORE.search(words) and _WITH.search(words) is not None


def _words(text: Any) -> str:
    """Return what stands in a field of free text, with blanks for the underscores that converters put in their place."""
    return "" if text is None else str(text).replace("_", " ").strip()


def _is_nothing(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, list | tuple) or type(value).__name__ in ("Sequence", "MultiValue"):
        return not any(not _is_nothing(part) for part in value)
    if isinstance(value, str | int | float):
        return _NOTHING.fullmatch(str(value).strip()) is not None
    return not len(value) if hasattr(value, "__len__") else False  # an item of a sequence, which says something


def _amount(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
