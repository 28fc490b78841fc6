"""The id of a table that comes closest to one that it lacks; quick also among a hundred thousand, for each of many scans."""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Iterable

from adclip.clinical.dialects import study_key
from adclip.clinical.tables.people import fold, person_of

_LOOKED_AT = 16  # in the alphabet before and after an id, by its beginning and by its end; likeness itself is slow


class Likeness:
    """Subject ids in the orders in which the nearest one is found.

    Parameters
    ----------
    names : iterable of str
        Of a table.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._of_person: dict[str, str] = {}
        self._folded: dict[str, str] = {}
        for name in names:
            self._of_person.setdefault(person_of(name), name)
            self._folded.setdefault(fold(name), name)
        self._forwards = sorted(self._folded)
        self._backwards = sorted(text[::-1] for text in self._folded)

    def nearest(self, subject_id: str) -> str | None:
        """Return the id that differs in case, zeros or the study's way of writing alone, else the most similar; None if none is."""
        same = self._of_person.get(person_of(subject_id))
        if same is not None or not self._folded:
            return same
        key = study_key(subject_id)
        text = fold(key.subject if key else subject_id)
        around = [part for n in range(len(text)) for part in (text[:n], text[n:]) if part in self._folded]
        around += [
            *_around(self._forwards, text),
            *(reversed_id[::-1] for reversed_id in _around(self._backwards, text[::-1])),
        ]
        return self._folded[difflib.get_close_matches(text, list(dict.fromkeys(around)), n=1, cutoff=0.0)[0]]


def _around(ordered: list[str], text: str) -> list[str]:
    place = bisect.bisect_left(ordered, text)
    return ordered[max(0, place - _LOOKED_AT) : place + _LOOKED_AT]
