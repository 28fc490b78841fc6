"""One explained scan as a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from adclip.told import RescanRange, to_plain


@dataclass(frozen=True)
class Explanation:
    """One explained scan; `to_dict` is one JSON line of `adclip explain --json`.

    Parameters
    ----------
    scan, subject_id, session_id, status
        As in the prediction.
    target : str or None
        Class, two classes, `mmse`, or a phrase.
    method : str or None
        How the map was made.
    scores, probabilities : mapping
        Equal to those that predict gives.
    shares : mapping
        Share of the relevance by road from the patches to the score.
    faithfulness : mapping
        Gains of the deletion and insertion curves over random orders, with the mean of healthy people in place of a patch; none where that
        was not measured.
    files : mapping
        Kind -> path below `--out`.
    flags : tuple of str
    reasons, prevalence, probabilities_equal, rescans
        As in the prediction.
    notice : str
    error, hint : str or None
        Where status is `failed`.
    """

    scan: str
    subject_id: str | None
    session_id: str | None
    status: str
    target: str | None = None
    method: str | None = None
    scores: Mapping[str, float] | None = None
    probabilities: Mapping[str, float] | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    faithfulness: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    prevalence: Mapping[str, float] | None = None
    probabilities_equal: Mapping[str, float] | None = None
    rescans: RescanRange | None = None
    notice: str = ""
    error: str | None = None
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; `error` and `hint` only where status is failed."""
        record: dict[str, Any] = to_plain(asdict(self))
        if self.error is None:
            record.pop("error")
            record.pop("hint")
        return record
