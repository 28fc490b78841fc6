"""Who of a cohort may be counted in an evaluation: nobody whom the model has met."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from adclip.clinical.scans.manifest import Example, Manifest
from adclip.clinical.scans.splits import Split
from adclip.clinical.tables.people import count_people, person_of
from adclip.evaluation import errors

SPLITS, SCANS = "splits.tsv", "scans.tsv"  # below RUN/private, as `finetune` writes them
TEST, TRAIN = "test", "train"
OWN_SHARE = 0.5  # of the people known to the run, above which the cohort is the run's own


@dataclass(frozen=True)
class Participants:
    """Who is counted, and why the others are not.

    Parameters
    ----------
    examples : tuple of Example
        Who is counted.
    training : tuple of Example
        Those of the run's training part, where the cohort is the run's own: rivals learn from them. Never counted.
    own : bool
        Whether the cohort is the one that the run was trained on.
    left_out : dict
        Why -> people that are not counted.
    says : str
        The same in a sentence.
    checked : bool
        Whether ids and bytes of all whom the run has met were there to compare with; where not, `says` tells it.
    """

    examples: tuple[Example, ...]
    training: tuple[Example, ...]
    own: bool
    left_out: dict[str, int]
    says: str
    checked: bool


def choose_participants(manifest: Manifest, run: Path) -> Participants:
    """Choose whom of a cohort to count.

    Parameters
    ----------
    manifest : Manifest
        Everyone whose diagnosis is known.
    run : Path
        RUN folder of the model; what stands in its `private/` decides.

    Returns
    -------
    Participants
        Of a cohort most of whose people the run knows, those of its test part alone. Of any other cohort everyone but those who stand in
        another part of the run's split than test, be it `unused`. Told by their ids, and by the bytes of their scans under whatever id.

    Raises
    ------
    TableError
        If nobody is left, or the split cannot be read.
    """
    path = run / "private" / SPLITS
    everyone = [example.visit.subject_id for example in manifest.examples]
    if not path.is_file():
        return Participants(
            manifest.examples, (), False, {},
            f"{count_people(everyone)} people. The model folder has no record of whom it was trained on (private/{SPLITS}), so it cannot "
            "be checked that none of these people is among them",
            checked=False,
        )  # fmt: skip
    split = Split.from_tsv(path.read_text(encoding="utf-8-sig"), path)
    part_of = {person_of(subject): part for subject, part in split.assignment.items()}
    scans = run / "private" / SCANS
    met = _people_met(manifest, scans)
    parts = {person: met.get(person) or part_of.get(person) for person in {person_of(name) for name in everyone}}
    known = sum(part is not None for part in parts.values())
    own = known > OWN_SHARE * len(parts)
    counted = {person for person, part in parts.items() if part == TEST or (part is None and not own)}
    left_out = dict(Counter(f"in the run's {part} part" for person, part in parts.items() if part not in (TEST, None)))
    if own and (strangers := len(parts) - known):
        left_out["not known to the run"] = strangers
    if not counted:
        raise errors.nobody_left(path)
    examples = tuple(example for example in manifest.examples if person_of(example.visit.subject_id) in counted)
    training = tuple(
        example for example in manifest.examples if own and parts[person_of(example.visit.subject_id)] == TRAIN
    )
    whose = "the run's own test people" if own else "another cohort than the run was trained on"
    others = "; ".join(f"{count} left out: {why}" for why, count in sorted(left_out.items()))
    says = f"{len(counted)} people, {whose}" + (f" ({others})" if others else "")
    if not (checked := scans.is_file()):
        says += f". They are known by their ids alone: the model folder has no private/{SCANS} to compare scans with"
    return Participants(examples, training, own, left_out, says, checked)


def _people_met(manifest: Manifest, path: Path) -> dict[str, str]:
    """Return person -> part of those whose scan, byte by byte, the run has met outside of its test part.

    Also of people whose own id is in the test part: a training scan under a test person's id is a training scan.
    """
    if not path.is_file():
        return {}
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    part_of_scan = {row[3]: row[2] for row in rows if len(row) == 4 and row[2] != TEST}
    return {
        person_of(example.visit.subject_id): part_of_scan[example.sha256]
        for example in manifest.examples
        if example.sha256 in part_of_scan
    }
