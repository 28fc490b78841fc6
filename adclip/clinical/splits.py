"""Division of people into train, validation, calibration and test, with proof that nobody stands on two sides."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adclip.domain import Visit
from adclip.errors import ConfigError, LeakError, TableError

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

    def without(self, subjects: Iterable[str], kept: Iterable[str]) -> Split:
        """Return the division with those of `subjects` that are not `kept` unused."""
        left_out = set(subjects) - set(kept)
        return Split({one: UNUSED if one in left_out else part for one, part in self.assignment.items()})

    def over(self, subjects: Iterable[str]) -> Split:
        """Return the division of exactly `subjects`; whom it does not know is unused."""
        return Split({subject: self.assignment.get(subject, UNUSED) for subject in subjects})

    def counts(self) -> dict[str, int]:
        """Return the number of subjects in each of `PARTS`."""
        found = Counter(self.assignment.values())
        return {name: found[name] for name in PARTS}

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
    """Raise LeakError if any subject stands in more than one part.

    Parameters
    ----------
    parts : mapping of str to iterable of str
        Part name -> the subject ids whose data is about to be used there; repetition within a part is no leak.
    """
    seen: dict[str, str] = {}
    for part, subjects in parts.items():
        for subject in subjects:
            other = seen.setdefault(subject, part)
            if other != part:
                raise LeakError.subject_in_two_parts(subject, (other, part))


def split_by_subject(
    visits: Sequence[Visit], fractions: Mapping[str, float], seed: int, fold: tuple[int, int] | None = None
) -> Split:
    """Divide people at random, each diagnosis in proportion.

    Parameters
    ----------
    visits : sequence of Visit
        All visits of a subject go to the same part. A subject counts as the diagnosis of the earliest visit that has
        one: by date, else by session id, else in the order given.
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
    by_subject: dict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        if not visit.subject_id:
            raise TableError(
                "a row has no subject id, so its visits cannot be kept together", "add a `subject_id` column"
            )
        by_subject[visit.subject_id].append(visit)
    strata: dict[str, list[str]] = defaultdict(list)
    for subject, theirs in by_subject.items():
        strata[first_diagnosis(theirs) or ""].append(subject)

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
    split = Split(assignment)
    prove_disjoint({part: split.part(part) for part in PARTS})
    require_every_class(visits, split)
    return split


def _shuffled(subjects: Iterable[str], seed: int) -> list[str]:
    return sorted(subjects, key=lambda subject: hashlib.sha256(f"{seed}\0{subject}".encode()).digest())


def thin_out(split: Split, visits: Sequence[Visit], size: int, seed: int) -> frozenset[str]:
    """Choose `size` training subjects, each diagnosis in proportion; a larger choice holds the smaller one.

    Raises
    ------
    ConfigError
        If the training part has fewer, or a class would be left without anyone.
    """
    strata: dict[str, list[str]] = defaultdict(list)
    theirs: dict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        theirs[visit.subject_id].append(visit)
    train = split.part("train")
    for subject in train:
        strata[first_diagnosis(theirs[subject]) or ""].append(subject)
    if size > len(train):
        raise ConfigError.bad_value("--train-size", f"{size} subjects asked for, the training part has {len(train)}")
    # each subject's place within its class, as a share: taking the smallest keeps the classes in proportion
    places = [
        ((place + 0.5) / len(subjects), subject)
        for label in sorted(strata)
        for subjects in (_shuffled(strata[label], seed),)
        for place, subject in enumerate(subjects)
    ]
    chosen = frozenset(subject for _, subject in sorted(places)[:size])
    # by visits: a class may be reached by converters alone, whose first diagnosis is another
    wanted, found = (
        {str(visit.diagnosis) for subject in group for visit in theirs[subject] if visit.diagnosis is not None}
        for group in (train, chosen)
    )
    if absent := sorted(wanted - found):
        raise ConfigError.bad_value("--train-size", f"{size} subjects leave none with the diagnosis {absent[0]}")
    return chosen


def first_diagnosis(visits: Iterable[Visit]) -> str | None:
    """Return the diagnosis of a subject's earliest visit that has one."""
    known = _diagnosed_in_order(visits)
    return known[0].diagnosis if known else None


def last_diagnosis(visits: Iterable[Visit]) -> str | None:
    """Return the diagnosis of a subject's latest visit that has one."""
    known = _diagnosed_in_order(visits)
    return known[-1].diagnosis if known else None


def _diagnosed_in_order(visits: Iterable[Visit]) -> list[Visit]:
    """Return the visits with a diagnosis: by date, else by session id, else as given."""
    known = [visit for visit in visits if visit.diagnosis is not None]
    if all(visit.visit_date for visit in known):
        known.sort(key=lambda visit: visit.visit_date or "")
    elif all(visit.session_id for visit in known):
        known.sort(key=lambda visit: _natural(visit.session_id or ""))
    return known


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key under which m6 precedes m12."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", text) if piece]


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
