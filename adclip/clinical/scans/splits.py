"""Division of people into train, validation, calibration and test, with proof that nobody stands on two sides."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adclip.clinical.scans import errors
from adclip.clinical.scans.diagnoses import first_diagnosis
from adclip.clinical.tables.people import count_people, person_of
from adclip.domain import Visit
from adclip.errors import ConfigError, TableError

PARTS = ("train", "validation", "calibration", "test")
UNUSED = "unused"  # of subjects that a smaller training size leaves out
_HEADER = ("subject_id", "part")


@dataclass(frozen=True)
class Split:
    """Which part each subject belongs to.

    Parameters
    ----------
    assignment : dict of str to str
        Subject id -> one of `PARTS`, or `UNUSED`.
    """

    assignment: dict[str, str]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.assignment.values()) - {*PARTS, UNUSED})
        if unknown:
            raise ConfigError.bad_value("split", f"`{unknown[0]}` is not one of {', '.join(PARTS)}")

    def part(self, name: str) -> tuple[str, ...]:
        """Return the subject ids of one part, sorted."""
        return tuple(sorted(subject for subject, part in self.assignment.items() if part == name))

    def without(self, subjects: Iterable[str], retained: Iterable[str]) -> Split:
        """Return the division with those of `subjects` that are not `retained` unused."""
        unused = set(subjects) - set(retained)
        return Split({subject: UNUSED if subject in unused else part for subject, part in self.assignment.items()})

    def over(self, subjects: Iterable[str]) -> Split:
        """Return the division of exactly `subjects`, known by any id of theirs; whom it does not know is unused."""
        of_person = {person_of(subject): part for subject, part in self.assignment.items()}
        return Split({subject: of_person.get(person_of(subject), UNUSED) for subject in subjects})

    def counts(self) -> dict[str, int]:
        """Return the number of people in each of `PARTS`."""
        return {name: count_people(self.part(name)) for name in PARTS}

    @property
    def sha256(self) -> str:
        """Fingerprint of the division, the same whatever the order of its subjects."""
        return hashlib.sha256(self.to_tsv().encode()).hexdigest()

    def to_tsv(self) -> str:
        """Return the text of `splits.tsv`: columns subject_id and part, sorted by subject."""
        stream = io.StringIO()
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows(sorted(self.assignment.items()))
        return stream.getvalue()

    @classmethod
    def from_tsv(cls, text: str, path: Path | str = "splits.tsv") -> Split:
        """Rebuild from `to_tsv`.

        Parameters
        ----------
        text : str
            Content of the file.
        path : Path or str
            Its name, for messages.

        Raises
        ------
        LeakError
            If a subject stands in two parts.
        TableError
            If the text is not such a table.
        """
        rows = [row for row in csv.reader(io.StringIO(text), delimiter="\t") if row]
        if not rows or tuple(rows[0]) != _HEADER or any(len(row) != 2 for row in rows):
            raise TableError.unreadable(path, f"expected the two columns {' and '.join(_HEADER)}")
        parts: dict[str, set[str]] = defaultdict(set)
        for subject, part in rows[1:]:
            if part not in (*PARTS, UNUSED):
                raise TableError.unreadable(path, f"a part is not one of {', '.join(PARTS)}")
            parts[part].add(subject)
        prove_disjoint(parts)
        return cls({subject: part for part, subjects in parts.items() for subject in subjects})


def prove_disjoint(parts: Mapping[str, Iterable[str]]) -> None:
    """Raise LeakError if any person stands in more than one part, under whatever ids (`people.person_of`).

    Parameters
    ----------
    parts : mapping of str to iterable of str
        Part name -> the subject ids whose data is about to be used there; repetition within a part is no leak.
    """
    part_of_person: dict[str, tuple[str, str]] = {}
    for part, subjects in parts.items():
        for subject in subjects:
            first_part, first_subject = part_of_person.setdefault(person_of(subject), (part, subject))
            if first_part != part:
                raise errors.subject_in_two_parts(sorted({first_subject, subject}), (first_part, part))


def split_by_subject(
    visits: Sequence[Visit], fractions: Mapping[str, float], seed: int, fold: tuple[int, int] | None = None
) -> Split:
    """Divide people at random, each diagnosis in proportion.

    Parameters
    ----------
    visits : sequence of Visit
        All visits of a person go to the same part, under whatever ids (`people.person_of`). A person counts as the diagnosis of
        the earliest visit that has one: by date, else by session id, else in the order given.
    fractions : mapping of str to float
        Part of `PARTS` -> share of subjects. Shares add up to 1; if ``train`` is absent it is what the others leave.
    seed : int
        Same seed, same division, whatever the order of `visits`.
    fold : tuple of int, optional
        (I, N): the test part is the I-th of N disjoint parts that together hold every subject once; the share of test in
        `fractions` is then not used, and those of the other parts apply to the rest.

    Returns
    -------
    Split
        Sizes differ from the asked shares by less than one subject, unless a class is so small that its last subject is
        kept for training.

    Raises
    ------
    ConfigError
        If the shares are impossible.
    TableError
        If a visit has no subject id, or training would see no case of some diagnosis.

    Notes
    -----
    The order within a class is that of SHA-256(seed, subject id), which is random, independent of any library's
    generator, and leaves the others in place as well as it can when one person joins the study.
    """
    if fold is not None:
        fractions = {part: share for part, share in fractions.items() if part != "test"}
    shares = _check_fractions(fractions)
    if not all(visit.subject_id for visit in visits):
        raise TableError("a row has no subject id, so its visits cannot be kept together", "add a `subject_id` column")
    people = _people_of(visits)
    strata = _strata(people)

    assignment: dict[str, str] = {}
    owed = dict.fromkeys(shares, 0.0)  # rounding carried from class to class, so that it does not add up
    dealt = 0
    for label in sorted(strata):
        subjects = _shuffled(strata[label], seed)
        if fold is not None:
            # dealt out like cards, going on from class to class, so that the folds differ by one subject at most
            held = {s for place, s in enumerate(subjects) if (dealt + place) % fold[1] == fold[0] - 1}
            dealt += len(subjects)
            assignment.update(dict.fromkeys(held, "test"))
            subjects = [subject for subject in subjects if subject not in held]
        sizes = _share_out(len(subjects), shares, owed)
        parts = [part for part, size in sizes.items() for _ in range(size)]
        assignment.update(zip(subjects, parts, strict=True))
    split = Split(
        {visit.subject_id: assignment[name] for name, person_visits in people.items() for visit in person_visits}
    )
    prove_disjoint({part: split.part(part) for part in PARTS})
    require_every_class(visits, split)
    return split


def _people_of(visits: Iterable[Visit]) -> dict[str, list[Visit]]:
    """Return each person's visits under the first of the person's ids in alphabetical order, whatever the order of visits."""
    visits_by_person: dict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        visits_by_person[person_of(visit.subject_id)].append(visit)
    return {
        min(visit.subject_id for visit in person_visits): person_visits for person_visits in visits_by_person.values()
    }


def _strata(people: Mapping[str, Sequence[Visit]]) -> dict[str, list[str]]:
    """Return the people of each first diagnosis, empty where there is none."""
    strata: dict[str, list[str]] = defaultdict(list)
    for name, person_visits in people.items():
        strata[first_diagnosis(person_visits) or ""].append(name)
    return strata


def _shuffled(subjects: Iterable[str], seed: int) -> list[str]:
    return sorted(subjects, key=lambda subject: hashlib.sha256(f"{seed}\0{subject}".encode()).digest())


def thin_out(split: Split, visits: Sequence[Visit], size: int, seed: int) -> frozenset[str]:
    """Choose `size` training subjects, each diagnosis in proportion; a larger choice holds the smaller one.

    Raises
    ------
    ConfigError
        If the training part has fewer, or a class would be left without anyone.
    """
    train = set(split.part("train"))
    people = _people_of(visit for visit in visits if visit.subject_id in train)
    strata = _strata(people)
    if size > len(people):
        raise ConfigError.bad_value("--train-size", f"{size} subjects asked for, the training part has {len(people)}")
    # each subject's place within its class, as a share: taking the smallest keeps the classes in proportion
    places = [
        ((place + 0.5) / len(subjects), subject)
        for label in sorted(strata)
        for subjects in (_shuffled(strata[label], seed),)
        for place, subject in enumerate(subjects)
    ]
    chosen = [name for _, name in sorted(places)[:size]]
    # by visits: a class may be reached by converters alone, whose first diagnosis is another
    required, present = (
        {str(visit.diagnosis) for name in group for visit in people[name] if visit.diagnosis is not None}
        for group in (people, chosen)
    )
    if absent := sorted(required - present):
        raise ConfigError.bad_value("--train-size", f"{size} subjects leave none with the diagnosis {absent[0]}")
    return frozenset(visit.subject_id for name in chosen for visit in people[name])


def _check_fractions(fractions: Mapping[str, float]) -> dict[str, float]:
    for part, share in fractions.items():
        if part not in PARTS:
            raise ConfigError.bad_value("split", f"`{part}` is not one of {', '.join(PARTS)}")
        if not 0 <= share <= 1:
            raise ConfigError.bad_value("split", f"the share of {part} must be between 0 and 1")
    held_out = sum(share for part, share in fractions.items() if part != "train")
    train = fractions.get("train", 1 - held_out)
    if abs(train + held_out - 1) > 1e-6 or train <= 0:
        raise ConfigError.bad_value("split", "the shares must add up to 1 and leave subjects to train on")
    return {part: train if part == "train" else fractions.get(part, 0.0) for part in PARTS}


def _share_out(count: int, shares: Mapping[str, float], owed: dict[str, float]) -> dict[str, int]:
    """Divide `count` subjects of one class; `owed` is updated with what rounding still owes to each part."""
    quota = {part: count * share + owed[part] for part, share in shares.items()}
    sizes = dict.fromkeys(shares, 0)
    for _ in range(count):
        neediest = max((part for part in shares if shares[part] > 0), key=lambda part: quota[part] - sizes[part])
        sizes[neediest] += 1
    if count and not sizes["train"]:
        sizes[max(sizes, key=lambda part: sizes[part])] -= 1
        sizes["train"] = 1
    owed.update({part: quota[part] - sizes[part] for part in shares})
    return sizes


def require_every_class(
    visits: Iterable[Visit],
    split: Split,
    remedy: str = "add subjects of that group, lower the held-out shares, or try another --seed",
) -> None:
    """Raise TableError if training would see no visit of some diagnosis that the other parts have."""
    all_classes, trained = set(), set()
    for visit in visits:
        if visit.diagnosis is not None:
            all_classes.add(str(visit.diagnosis))
            if split.assignment[visit.subject_id] == "train":
                trained.add(str(visit.diagnosis))
    absent = sorted(all_classes - trained)
    if absent:
        raise TableError(
            f"no training subject has the diagnosis {', '.join(absent)}",
            remedy,
        )
