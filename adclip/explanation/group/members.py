"""Who counts in which group of a cohort's maps, from the records of the scans alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adclip.clinical.tables.people import person_of
from adclip.explanation.flags import NOT_BELIEVED
from adclip.prediction.prevalence import likeliest

MAP_KIND = "mni_signed"  # of a record's files: the map that means are made of


@dataclass(frozen=True)
class Kind:
    """What the maps of one group share: maps that explain different numbers are never averaged.

    Parameters
    ----------
    predicted : str
        The class that the scans were given.
    target : str
        What was explained, as the records name it.
    """

    predicted: str
    target: str


@dataclass
class Tally:
    """How many scans of a kind there are, and why some are left out.

    Parameters
    ----------
    scans : int
        That count.
    refer : int
        Left out because nobody should rest on their answer (status `refer`).
    flat : int
        Left out because nothing in their map speaks for the target inside the template's brain: a flat map is 0 everywhere. That is known
        when maps are read.
    checked, doubtful : int
        Of those that count: whose map was held against random orders, and did no better.
    """

    scans: int = 0
    refer: int = 0
    flat: int = 0
    checked: int = 0
    doubtful: int = 0


@dataclass
class Members:
    """Who counts in which group.

    Parameters
    ----------
    kinds : dict of Kind to Tally
        In the order of the model's classes, then of the targets.
    people : dict
        Person -> kind -> names of that person's map files, in the order found.
    explained, failed : int
        Scans.
    """

    kinds: dict[Kind, Tally] = field(default_factory=dict)
    people: dict[str, dict[Kind, list[str]]] = field(default_factory=dict)
    explained: int = 0
    failed: int = 0

    @property
    def is_several(self) -> bool:
        """Whether there is more than one explained scan."""
        return self.explained > 1


def find_members(records: Iterable[Mapping[str, Any]], labels: Sequence[str]) -> Members:
    """Say which maps belong together, from the records alone.

    Parameters
    ----------
    records : iterable of mapping
        What `Explanation.to_dict` gave, looked at one at a time.
    labels : sequence of str
        The model's classes, for the order of the groups.
    """
    found = Members()
    for record in records:
        if record["status"] == "failed":
            found.failed += 1
            continue
        found.explained += 1
        kind = Kind(likeliest(record["probabilities"]), record["target"])
        tally = found.kinds.setdefault(kind, Tally())
        if record["status"] == "refer":
            tally.refer += 1
        else:
            tally.scans += 1
            tally.checked += bool(record["faithfulness"])
            tally.doubtful += not NOT_BELIEVED.isdisjoint(record["flags"])
            person = found.people.setdefault(person_of(str(record["subject_id"])), {})
            person.setdefault(kind, []).append(record["files"][MAP_KIND])
    order = {label: place for place, label in enumerate(labels)}
    found.kinds = dict(sorted(found.kinds.items(), key=lambda one: (order[one[0].predicted], one[0].target)))
    return found
