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
_AMOUNTS = ("ContrastBolusVolume", "ContrastBolusTotalDose")
_NOTHING = re.compile(
    r"|0+(\.0*)?|-+|n/?a|no(ne|t)?\b.*|nil|null|false|unknown|without\b.*|w/o\b.*|pre|native|unenhanced|plain|nogad|non-?contrast",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"(?:^|_)ce-([^_.]*)")
# Last word of names that research data sets of tumours and of dementia use: `BraTS19_x_t1ce`, `UPENN_x_T1GD`, `x-t1c`.
_WORD = re.compile(r"(?:^|[_.-])(?:t1w?[_-]?(?:ce|gd|gad|c|post)|post[_-]?(?:gd|gad|contrast))$", re.IGNORECASE)


def names_agent(values: Mapping[str, Any]) -> bool:
    """Tell whether the fields of a DICOM header or of a BIDS sidecar name a contrast agent.

    Parameters
    ----------
    values : mapping
        Fields by DICOM's keywords; a pydicom data set or a JSON object. Other fields play no part.

    Returns
    -------
    bool
        False where an agent is named `NONE`, `NO`, `0` or the like, and where only an amount of 0 stands.
    """
    agent = values.get("ContrastBolusAgent")
    if agent is not None and str(agent).strip():
        return not _is_nothing(agent)  # the plainest word; `NONE` beside a stale volume means none
    if any(not _is_nothing(values.get(tag)) for tag in ("ContrastBolusIngredient", "ContrastBolusAgentSequence")):
        return True
    return any(_amount(values.get(tag)) > 0 for tag in _AMOUNTS)


def is_named_so(stem: str) -> bool:
    """Tell whether a file's name, without its ending, says that an agent was given: BIDS' `ce-gad`, or a last word `T1ce`."""
    entity = _ENTITY.search(stem)
    return not _is_nothing(entity[1]) if entity else _WORD.search(stem) is not None


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
