"""Who is one person: ids are written in several ways, and names of scans say more than who it is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from adclip.clinical.dialects import study_key
from adclip.clinical.tables import errors

# Words of a scan's name that tell visits or repetitions of one person apart: `anna_v2`, `S01-baseline`, `x_ses-2`, `m12-anna`.
_OCCASION = re.compile(
    r"(?<![A-Za-z0-9])(?:visit|vis|v|session|sess|ses|timepoint|time|tp|t|scan|run|rep|retest|test|month|m|mo|year|yr|y|week|w|wave|"
    r"day|d|mr|mri|follow[._-]?up|fu|baseline|base|bl|pre|post|first|second)(?:[._-]?\d+)?(?![A-Za-z0-9])",
    re.IGNORECASE,
)
# A day, perhaps with the time: `anna_2020-01-31`, `20200131_anna`
_DAY = re.compile(
    r"(?<![A-Za-z0-9])(?:19|20)\d\d[._-]?(?:0[1-9]|1[0-2])[._-]?(?:0[1-9]|[12]\d|3[01])"
    r"(?:[T_-]\d\d[._-]?\d\d[._-]?\d\d(?:\.\d+)?)?(?![A-Za-z0-9])"
)
_NUMBER, _NUMBERS = re.compile(r"[._-]+\d+$"), re.compile(r"(?:[._-]+\d+)+$")
_LETTER = re.compile(r"(?<=\d)[._-]?[A-Za-z]$")  # `S01a` and `S01b`
# What `find_scans` calls a scan of LONI's download tree: project, subject, moment, image
_ARCHIVED = re.compile(r"(.+?)_\d{4}-\d\d-\d\d_\d\d_\d\d_\d\d(?:\.\d+)?(?:_.*)?")
_MOST_VISITS = 6  # of most people in a study; what has more numbers under one stem is a group or a site


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
    """Return what all ids of one person have in common: the subject in the name of a study's or an archive's scan, folded.

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
    if key := study_key(subject):
        return fold(f"{key.study} {key.subject}")
    archived = _ARCHIVED.fullmatch(subject)
    return fold(archived[1] if archived else subject)


def count_people(subjects: Iterable[str]) -> int:
    """Return how many people some ids are of."""
    return len({person_of(subject) for subject in subjects})


def same_people(subjects: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the ids of every person who has several, sorted."""
    ids: dict[str, set[str]] = defaultdict(set)
    for subject in subjects:
        ids[person_of(subject)].add(subject)
    return sorted(tuple(sorted(person_ids)) for person_ids in ids.values() if len(person_ids) > 1)


def check_told_apart(names: Iterable[str]) -> list[str]:
    """Refuse ids from names of files that may be two scans of one person.

    Parameters
    ----------
    names : iterable of str
        Ids that no table gives.

    Returns
    -------
    list of str
        What stands before numbers that are taken for those of people, such as ``siteA`` of ``siteA_01`` to ``siteA_20``.

    Raises
    ------
    LeakError
        If two ids of different people are the same but for a word such as ``v2`` or ``baseline``, a day, or a last number or letter,
        and there are not so many of them that people are numbered. The first two are named.
    """
    ids = {person_of(name): name for name in names if study_key(name) is None}  # a study's names say who it is
    plain = {fold(_stem(name)): name for name in ids.values()}
    groups: list[str] = []
    for stem_of in (_stem, _without(_NUMBER), _without(_NUMBERS), _without(_LETTER)):
        alike: dict[str, list[str]] = defaultdict(list)
        for name in sorted(ids.values()):
            stem = fold(stem_of(name))
            alike[stem].append(name)
            if stem != fold(_stem(name)) and (
                plain_name := plain.get(stem)
            ):  # `siteA_05` and `siteA_05_2`, whatever the others are
                raise errors.perhaps_one_person(plain_name, name)
        several = [group for group in alike.values() if len(group) > 1]
        if not several:
            continue
        if len(alike) > 1 and not _are_groups(several):
            raise errors.perhaps_one_person(*several[0][:2])
        groups += [stem_of(group[0]) for group in several]
    return list(dict.fromkeys(groups))


def _are_groups(several: Sequence[Sequence[str]]) -> bool:
    """Whether names that share a stem are of the people of a site or a group, not of the visits of a person.

    A study has more people than visits of one of them, and fewer sites than people at a site: the two are told apart by how many
    names share a stem, on average, not by how a name looks, since `S01_1` and `site1_1` look the same.
    """
    names_per_stem = sum(map(len, several)) / len(several)
    return names_per_stem > max(len(several), _MOST_VISITS)


def _stem(name: str) -> str:
    parts = [word for word in re.split(r"[._-]+", _OCCASION.sub("", _DAY.sub("", name))) if word]
    return "-".join(parts) or name


def _without(ending: re.Pattern[str]) -> Callable[[str], str]:
    def stem(name: str) -> str:
        plain = _stem(name)
        return ending.sub("", plain) or plain

    return stem
