"""The first and the last diagnosis of a person."""

from __future__ import annotations

import re
from collections.abc import Iterable

from adclip.domain import Visit


def first_diagnosis(visits: Iterable[Visit]) -> str | None:
    """Return the diagnosis of a subject's earliest visit that has one."""
    diagnosed = _diagnosed_in_order(visits)
    return diagnosed[0].diagnosis if diagnosed else None


def last_diagnosis(visits: Iterable[Visit]) -> str | None:
    """Return the diagnosis of a subject's latest visit that has one."""
    diagnosed = _diagnosed_in_order(visits)
    return diagnosed[-1].diagnosis if diagnosed else None


def _diagnosed_in_order(visits: Iterable[Visit]) -> list[Visit]:
    """Return the visits with a diagnosis: by date, else by session id, else as given."""
    diagnosed = [visit for visit in visits if visit.diagnosis is not None]
    if all(visit.visit_date for visit in diagnosed):
        diagnosed.sort(key=lambda visit: visit.visit_date or "")
    elif all(visit.session_id for visit in diagnosed):
        diagnosed.sort(key=lambda visit: _natural(visit.session_id or ""))
    return diagnosed


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key under which m6 precedes m12."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", text) if piece]
