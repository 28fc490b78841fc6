"""What the names of a scan - of its file, the folders above it, its id - say of subject, session and day."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

from adclip.clinical.dialects import StudyKey, study_key
from adclip.clinical.tables import errors
from adclip.domain import ScanItem, Visit
from adclip.errors import ScanError

# What `find_scans` calls a visit that the tree names by day and image: 2005-08-26_I7128, or by the image alone
_DAY_OF_SESSION = re.compile(r"(\d{4}-\d\d-\d\d)(?:_[A-Za-z0-9._-]+)?")
_IMAGE = re.compile(r"(?:\d{4}-\d\d-\d\d_)?[IS]\d+", re.IGNORECASE)
# LONI's download tree has a folder for the moment of the acquisition, 2005-08-26_06_36_14.0, which ids of its scans hold as well
_ACQUIRED = re.compile(r"(?:^|(?<=_))(\d{4}-\d\d-\d\d)_\d\d_\d\d_\d\d(?:\.\d+)?(?=_|$)")
_FOLDERS = 8  # above a scan that are looked at: LONI's tree has five between the image and the study


@dataclass(frozen=True)
class ScanName:
    """Who a scan is of, as its study names scans.

    Parameters
    ----------
    key : StudyKey
        Study, subject and session as the study's tables write them.
    acquired : str or None
        Day of the acquisition, YYYY-MM-DD, where a folder says it.
    """

    key: StudyKey
    acquired: str | None = None


def read_scan_name(item: ScanItem) -> ScanName | None:
    """Return what a scan's names say, or None where no study is known by them.

    Raises
    ------
    ScanError
        If they say different things: whose scan it is must not be guessed.
    """
    keys = list(dict.fromkeys(_keys_of(item)))
    if not keys:
        return None
    subjects = {(key.study, key.subject) for key in keys}
    sessions = {key.session for key in keys if key.session is not None}
    if len(subjects) > 1 or len(sessions) > 1:
        raise errors.contradicting_names(item.path, sorted({_show(key) for key in keys}))
    return ScanName(keys[0]._replace(session=next(iter(sessions), None)), _acquired(item))


def session_of(item: ScanItem) -> str | None:
    """Return the session of a scan by its own id, else by its study's way of naming scans; None if they leave it open or contradict."""
    if item.session_id is not None and not is_day_or_image(item.session_id):
        return item.session_id
    try:
        named = read_scan_name(item)
    except ScanError:  # its row was found by `scan`, which is the cure for such names
        return item.session_id
    stated = None if named is None else named.key.session
    return stated or day_of(item, named) or item.session_id  # two images of one day are of one visit


def _keys_of(item: ScanItem) -> Iterator[StudyKey]:
    names = (item.path.name, item.stem)
    yield from (key for name in names if (key := study_key(name)))
    folders = item.path.absolute().parts[1:-1][-_FOLDERS:]
    for folder in reversed(folders):
        # A study's own folder begins with its id; in the middle of a name it may say what a folder is about.
        if (key := study_key(folder)) and study_key("x" + folder.removeprefix("sub-")) is None:
            yield key
    for study, number in pairwise(folders):
        if study.isalpha() and number.isdigit() and (key := study_key(f"{study}/{number}")):  # AIBL/7
            yield key


def is_day_or_image(session: str | None) -> bool:
    """Whether a session is what `find_scans` makes of a day, of an image or of both, which no study's table names."""
    return session is not None and bool(_DAY_OF_SESSION.fullmatch(session) or _IMAGE.fullmatch(session))


def image_of(session: str | None) -> str | None:
    """Return the image in a session's name, as LONI's tables call it: ``I7128`` of ``2005-08-26_I7128``."""
    match = re.fullmatch(r"\d{4}-\d\d-\d\d_(I\d+)", session or "", re.IGNORECASE)
    return match[1].upper() if match else None


def session_in_record(item: ScanItem, visit: Visit | None) -> str | None:
    """Return the session that a record gives: the scan's, but the row's where the scan is named by a day or an image alone."""
    stated = visit.session_id if visit is not None else None
    return stated or item.session_id if is_day_or_image(item.session_id) else item.session_id or stated


def day_of(item: ScanItem, named: ScanName | None) -> str | None:
    """Return the day of a scan, YYYY-MM-DD: its session's, else that of a folder of LONI's tree."""
    match = _DAY_OF_SESSION.fullmatch(item.session_id or "")
    if match is None:
        return None if named is None else named.acquired
    try:
        return date.fromisoformat(match[1]).isoformat()
    except ValueError:
        return None


def _acquired(item: ScanItem) -> str | None:
    for name in (*reversed(item.path.absolute().parts[-_FOLDERS:]), item.subject_id):
        if match := _ACQUIRED.search(name):
            try:
                return date.fromisoformat(match[1]).isoformat()
            except ValueError:
                return None
    return None


def _show(key: StudyKey) -> str:
    return key.subject if key.session is None else f"{key.subject} {key.session}"


def scan_identity(path: Path) -> str:
    """Return the absolute path of a scan as text, the same for both files of a pair."""
    return os.path.join(os.path.dirname(whole := os.path.normpath(path)), pair_name(os.path.basename(whole)))  # noqa: PTH118, PTH119, PTH120  quicker


def bare_name(name: str) -> str:
    """Return a scan's name without the word for its contrast, as `find_scans` calls it: ``anna`` for ``anna_T1``."""
    return re.sub(r"[._-]T1w?$", "", name, flags=re.IGNORECASE) or name


def pair_name(name: str) -> str:
    """Return the name of a scan's file; of a pair, whichever of the two it names, the header's."""
    return re.sub(r"\.img(\.gz)?$", r".hdr\1", name, flags=re.IGNORECASE)
