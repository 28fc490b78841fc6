"""Who is one person: ids are written in several ways, and names of scans say more than who it is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from adclip.clinical.dialects import study_key
from adclip.errors import LeakError

# Words of a scan's name that tell visits or repetitions of one person apart: `anna_v2`, `S01-baseline`, `x_ses-2`, `m12-anna`.
_OCCASION = re.compile(
    r"(?<![A-Za-z0-9])(?:visit|vis|v|session|sess|ses|timepoint|time|tp|t|scan|run|rep|retest|test|month|m|mo|year|yr|y|week|w|wave|"
    r"day|d|mr|mri|follow[._-]?up|fu|baseline|base|bl|pre|post|first|second)(?:[._-]?\d+)?(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[._-]+\d+$")


def fold(subject: str) -> str:
    """Return a form of an id in which those that differ in case or leading zeros alone are equal.

    Examples
    --------
    >>> fold("S007") == fold("s7")
    True
    """
    return re.sub(r"\d+", lambda digits: str(int(digits.group())), subject.casefold())


@lru_cache(maxsize=1 << 16)
def person_of(subject: str) -> str:
    """Return what all ids of one person have in common: the subject in the name of a study's scan, folded.

    Parameters
    ----------
    subject : str
        An id as a table or the name of a scan gives it.

    Returns
    -------
    str
        For comparison only; never shown and never written.

    Examples
    --------
    >>> person_of("OAS1_0061_MR1") == person_of("oas1_0061_MR2")
    True
    """
    key = study_key(subject)
    return fold(subject if key is None else f"{key.study} {key.subject}")


def count_people(subjects: Iterable[str]) -> int:
    """Return how many people some ids are of."""
    return len({person_of(subject) for subject in subjects})


def same_people(subjects: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the ids of every person who has several, sorted."""
    ids: dict[str, set[str]] = defaultdict(set)
    for subject in subjects:
        ids[person_of(subject)].add(subject)
    return sorted(tuple(sorted(theirs)) for theirs in ids.values() if len(theirs) > 1)


def check_told_apart(names: Iterable[str]) -> None:
    """Refuse ids from names of files that may be two scans of one person.

    Parameters
    ----------
    names : iterable of str
        Ids that no table gives.

    Raises
    ------
    LeakError
        If two ids of different people are the same but for a word such as ``v2`` or ``baseline``, or but for a last number where
        others differ in more than that. The first two are named.
    """
    ids = {person_of(name): name for name in names if study_key(name) is None}  # a study's names say who it is
    for stem_of in (_stem, _stem_before_number):
        seen: dict[str, str] = {}
        stems = {fold(stem_of(name)) for name in ids.values()}
        for name in sorted(ids.values()):
            stem = stem_of(name)
            # a lone stem is the study's name before the numbers of its people: `study_01`, `study_02`
            if stem_of is _stem_before_number and len(stems) < 2:
                break
            other = seen.setdefault(fold(stem), name)
            if other != name:
                raise LeakError.perhaps_one_person(other, name)


def _stem(name: str) -> str:
    kept = [word for word in re.split(r"[._-]+", _OCCASION.sub("", name)) if word]
    return "-".join(kept) or name


def _stem_before_number(name: str) -> str:
    return _NUMBER.sub("", name) or name
