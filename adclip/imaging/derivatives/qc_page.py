"""`qc.html`: one self-contained page on which a person checks a whole cohort."""

from __future__ import annotations

import base64
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np

from adclip.domain import RESEARCH_NOTICE
from adclip.imaging.quality.limits import ADVICE, LIMITS, Limit, Range

FAILED = "error"  # the verdict column of a scan that never got as far as a verdict
VERDICTS = ("pass", "warn", "fail", FAILED)
SIGNS = {"pass": "✓", "warn": "!", "fail": "✗", FAILED: "⊘"}  # colour is never the only sign
PLOT_WIDTH = 160  # pixels of a strip
# Column heads of the group table, where there is room for one word.
SHORT = {
    "template_overlap": "overlap", "template_correlation": "similarity", "scale": "scale", "rotation_degrees": "rotation",
    "brain_volume_ml": "mL", "mask_pieces_share": "pieces", "mask_holes_share": "holes", "mask_roughness": "roughness",
    "mask_border": "at edge", "coverage": "coverage", "coverage_top": "top", "coverage_bottom": "bottom",
    "gray_white_contrast": "contrast", "cjv": "CJV", "snr": "SNR", "cnr": "CNR", "air_noise_percent": "air noise",
}  # fmt: skip
_JUDGED = tuple(limit for limit in LIMITS if limit.reason)


@dataclass(frozen=True)
class QcEntry:
    """One scan on the page.

    Parameters
    ----------
    subject_id, session_id : str, str or None
        Names of the output.
    scan_name : str
        File name without folders.
    verdict : str
        `pass`, `warn` or `fail`, after an override; anything else, and every entry with `error`, counts as not processed.
    reasons : tuple of str
        Thresholds crossed.
    numbers : mapping
        By `Limit.name`; further keys are ignored.
    flags : tuple of str
        What else is to be known.
    override : mapping or None
        `from` and `to`: the verdict before and after a person decided otherwise.
    picture : bytes or None
        From `draw_qc`, or any PNG or JPEG.
    error, hint : str or None
        Why a scan failed and what to do; without absolute paths.
    """

    subject_id: str
    session_id: str | None
    scan_name: str
    verdict: str
    reasons: tuple[str, ...] = ()
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    override: Mapping[str, Any] | None = None
    picture: bytes | None = None
    error: str | None = None
    hint: str | None = None


def render_qc_page(entries: Sequence[QcEntry], title: str = "Quality control") -> str:
    """Return the page as HTML that loads nothing from elsewhere.

    Parameters
    ----------
    entries : sequence of QcEntry
        In any order; the page is ordered by subject and session.
    title : str
        Heading and window title.

    Returns
    -------
    str
        The same entries give the same text: it holds no date, no time and no path. Every text is escaped.
    """
    from jinja2 import Environment, StrictUndefined

    ordered = sorted(entries, key=lambda entry: (entry.subject_id, entry.session_id or "", entry.scan_name))
    groups = {limit.name: _values(ordered, limit.name) for limit in _JUDGED}
    counts = Counter(_verdict(entry) for entry in ordered)
    template = (files("adclip") / "assets" / "qc.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        title=title,
        notice=RESEARCH_NOTICE,
        total=len(ordered),
        counts=[(verdict, SIGNS[verdict], counts[verdict]) for verdict in VERDICTS],
        columns=[(limit, SHORT[limit.name]) for limit in _JUDGED],
        scans=[_show(number, entry, groups) for number, entry in enumerate(ordered, start=1)],
        spread=[_spread(limit, groups[limit.name]) for limit in _JUDGED],
        legend=[(limit, say_range(limit.usual), say_range(limit.usable), ADVICE[limit.reason]) for limit in _JUDGED],
        sides=ADVICE["left_right_doubtful"],
        width=PLOT_WIDTH,
    )


def say_number(value: float | None) -> str:
    """Write a number as briefly as the page shows it; a dash where nothing was measured."""
    if value is None or not np.isfinite(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def say_range(bounds: Range) -> str:
    """Write a range in words.

    Examples
    --------
    >>> say_range((0.9, None)), say_range((None, 40.0)), say_range((900.0, 2100.0)), say_range((None, None))
    ('at least 0.9', 'at most 40', '900 to 2100', 'any')
    """
    low, high = bounds
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if low is not None:
        return f"at least {low:g}"
    return f"at most {high:g}" if high is not None else "any"


def _verdict(entry: QcEntry) -> str:
    return FAILED if entry.error is not None or entry.verdict not in VERDICTS else entry.verdict


def _values(entries: Sequence[QcEntry], name: str) -> list[float]:
    measurements = (entry.numbers.get(name) for entry in entries)
    return sorted(float(value) for value in measurements if value is not None and np.isfinite(value))


def _show(number: int, entry: QcEntry, groups: Mapping[str, list[float]]) -> dict[str, Any]:
    verdict = _verdict(entry)
    return {
        "entry": entry,
        "anchor": f"scan-{number}",
        "name": f"sub-{entry.subject_id}" + (f" ses-{entry.session_id}" if entry.session_id else ""),
        "verdict": verdict,
        "sign": SIGNS[verdict],
        "order": VERDICTS.index(verdict),
        "picture": _as_uri(entry.picture) if entry.picture else "",
        "cells": [_cell(limit, entry.numbers.get(limit.name), groups[limit.name]) for limit in _JUDGED],
        "advice": [(reason, ADVICE.get(reason, "")) for reason in entry.reasons],
    }


def _cell(limit: Limit, value: float | None, group: Sequence[float]) -> dict[str, Any]:
    if value is None or not np.isfinite(value):
        return {"limit": limit, "raw": "", "text": "–", "verdict": "pass", "sign": "", "percentile": "", "place": None}
    verdict = limit.judge(value)
    # Middle rank, so that the median stands at 50 and ties share a place.
    rank = (bisect_left(group, value) + bisect_right(group, value)) / 2
    return {
        "limit": limit,
        "raw": f"{value:.6g}",
        "text": say_number(value),
        "verdict": verdict,
        "sign": "" if verdict == "pass" else SIGNS[verdict],
        "percentile": f"{100 * rank / len(group):.0f}" if len(group) > 1 else "",
        "place": _place(value, group) if len(group) > 1 else None,
    }


def _place(value: float, group: Sequence[float]) -> int:
    span = group[-1] - group[0]
    return round((PLOT_WIDTH - 9) * (value - group[0]) / span) + 4 if span > 0 else PLOT_WIDTH // 2


def _spread(limit: Limit, group: Sequence[float]) -> dict[str, Any]:
    """One row of the group's distribution: a strip with one tick for each pixel that holds a scan."""
    return {
        "limit": limit,
        "count": len(group),
        "low": say_number(group[0] if group else None),
        "median": say_number(float(np.median(group)) if group else None),
        "high": say_number(group[-1] if group else None),
        "ticks": "".join(f"M{x} 3v12" for x in sorted({_place(value, group) for value in group})),
        "middle": _place(float(np.median(group)), group) if group else None,
    }


def _as_uri(picture: bytes) -> str:
    kinds = ((b"RIFF", "webp"), (b"\xff\xd8", "jpeg"), (b"\x89PNG", "png"))
    kind = next((kind for start, kind in kinds if picture.startswith(start)), "png")
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
