"""What is said of a scan that no row belongs to: what its names say, and what of the table comes closest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import date

from adclip.clinical.scans.matching import rows_of_person
from adclip.clinical.tables.people import fold
from adclip.clinical.tables.scan_names import day_of, read_scan_name
from adclip.clinical.tables.table import Table
from adclip.domain import ScanItem

_SHOWN = 6  # sessions


def say_unmatched(table: Table, item: ScanItem) -> str:
    """Say that a scan has no row, why, and what to do.

    Parameters
    ----------
    table : Table
        In which no row is the scan's.
    item : ScanItem
        The scan.

    Returns
    -------
    str
        With the sessions of its subject where the table has any, else with the id that comes closest. Nothing is joined by
        likeness: two ids that look alike may be two people.
    """
    scan_ids = f"sub-{item.subject_id}" + (f", ses-{item.session_id}" if item.session_id else "")
    near, cure = what_is_near(table, item)
    return f"no row of {table.path} belongs to {scan_ids}{near}; it is read without metadata ({cure})"


def what_is_near(table: Table, item: ScanItem) -> tuple[str, str]:
    """Return what of a table comes closest to a scan, as the end of a sentence, and the cure."""
    numbers = rows_of_person(table, item)
    if not numbers:
        return _nearest_id(table, item)
    sessions = _sessions(table, numbers)
    day = day_of(item, read_scan_name(item))
    if day is not None and (days := _days_away(table, numbers, day)) is not None and days > table.max_days:
        return (
            f"; its nearest row there is {days} days from the scan's day, and --max-days is {table.max_days}",
            "give a larger --max-days, or add a `scan` column",
        )
    nearest = _nearest_session(item.session_id or "", sessions)
    return (
        f"; its rows there are of {_listed(sessions)}"
        + (f", the nearest is {nearest}" if nearest and len(sessions) > 1 else ""),
        "write the session in one way in both, or add a `scan` column",
    )


def _nearest_id(table: Table, item: ScanItem) -> tuple[str, str]:
    subject_id = table.likeness.nearest(item.subject_id)
    if subject_id is None:
        return "; its rows have no subject id", "`--column subject_id=NAME` names their column; or add a `scan` column"
    sessions = _sessions(table, table.by_subject[subject_id])
    of_sessions = f", of {_listed(sessions)}" if sessions and item.session_id else ""
    return f"; the nearest id there is {subject_id}{of_sessions}", "add a `scan` column, or --subject"


def _days_away(table: Table, numbers: Sequence[int], day: str) -> int | None:
    """Return the days from a day to the nearest dated row, None where no row has a date."""
    dates = [date.fromisoformat(text) for number in numbers if (text := table.rows[number].visit_date)]
    return min((abs((visit_day - date.fromisoformat(day)).days) for visit_day in dates), default=None)


def _sessions(table: Table, numbers: Sequence[int]) -> list[str]:
    return list(dict.fromkeys(session for number in numbers if (session := table.rows[number].session_id)))


def _listed(sessions: Sequence[str]) -> str:
    if not sessions:
        return "no session"
    more = f" and {len(sessions) - _SHOWN} more" if len(sessions) > _SHOWN else ""
    word = "the session" if len(sessions) == 1 else "the sessions"
    return f"{word} {', '.join(sessions[:_SHOWN])}{more}"


def _nearest_session(wanted: str, sessions: Sequence[str]) -> str | None:
    """Return the session that differs in case, zeros or letters before a number alone, else the most similar."""
    folded = {fold(session): session for session in sessions}
    bare = {re.sub(r"^[a-z._-]+(?=\d)", "", name): session for name, session in folded.items()}
    text = fold(wanted)
    same = folded.get(text) or bare.get(re.sub(r"^[a-z._-]+(?=\d)", "", text))
    if same:
        return same
    similar = difflib.get_close_matches(text, list(folded), n=1)
    return folded[similar[0]] if similar else None
