"""Scans joined with their rows: the examples that training and evaluation are made of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.scans import errors
from adclip.clinical.scans.diagnoses import last_diagnosis
from adclip.clinical.scans.matching import match_rows, rows_of_person
from adclip.clinical.scans.unmatched import what_is_near
from adclip.clinical.tables.people import check_told_apart, count_people, person_of, same_people
from adclip.clinical.tables.scan_names import session_of
from adclip.clinical.tables.table import Table
from adclip.domain import ScanItem, Visit
from adclip.errors import ScanError, TableError
from adclip.runtime.hashing import file_sha256

NO_ROW = "no row in the table"
NO_DIAGNOSIS = "no diagnosis at this visit"
NO_SCAN = "no scan of this row"
SHARED_ROW = "one row without session_id for several sessions"


@dataclass(frozen=True)
class Example:
    """A scan whose diagnosis is known at the visit of the scan.

    Parameters
    ----------
    item : ScanItem
        The file.
    visit : Visit
        Its row; `subject_id` is always filled and is the unit of splitting.
    sha256 : str
        Of the bytes of the file.
    row : int
        Position of its row in the table.
    measured : BrainVolumes or None
        Volumes that its sidecar holds.
    """

    item: ScanItem
    visit: Visit
    sha256: str
    row: int
    measured: BrainVolumes | None = None


@dataclass(frozen=True)
class Skipped:
    """A scan or a row that could not be used: the name of the scan or ``line N``, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """What `build_manifest` found; iterates over its examples.

    Parameters
    ----------
    examples : tuple of Example
        In the order of the scans.
    skipped : tuple of Skipped
        Scans first, then rows.
    notes : tuple of str
        How people were told apart, where ids alone do not say it.
    """

    examples: tuple[Example, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        """How many were skipped, by reason."""
        return dict(Counter(skipped.reason for skipped in self.skipped))


def match_visits(
    items: Sequence[ScanItem], table: Table, origins: Mapping[Path, tuple[Path, ...]] | None = None
) -> list[tuple[int, Visit] | None]:
    """Find what is known of every scan, whether it takes part in a training or not.

    Returns
    -------
    list of (int, Visit) or None
        For each scan the position of its row, and its visit, whose `subject_id` is always filled; None without a row.
    """
    row_of = match_rows(table, items, origins=origins)
    return [
        None if number is None else (number, _named(table.rows[number], item))
        for item, number in zip(items, row_of, strict=True)
    ]


@dataclass(frozen=True)
class TableReading:
    """One reading of the user's tables, joined with the scans.

    Parameters
    ----------
    items : tuple of ScanItem
        All scans that may be used.
    table : Table
    origins : mapping of Path to tuple of Path
        Derivative -> the scan that it was made of.
    """

    items: tuple[ScanItem, ...]
    table: Table
    origins: Mapping[Path, tuple[Path, ...]]

    def visits(self) -> list[Visit | None]:
        """Return the visit of each scan, None where it has no row."""
        return [None if match is None else match[1] for match in match_visits(self.items, self.table, self.origins)]


def _named(visit: Visit, item: ScanItem) -> Visit:
    return replace(visit, subject_id=visit.subject_id or item.subject_id)


def build_manifest(
    items: Sequence[ScanItem], table: Table, origins: Mapping[Path, tuple[Path, ...]] | None = None
) -> Manifest:
    """Join scans with the rows of a table, by the `scan` column, else by subject and session (`matching`).

    Parameters
    ----------
    items : sequence of ScanItem
        The scans.
    table : Table
        Rows with a diagnosis at the visit of the scan.
    origins : mapping of Path to tuple of Path, optional
        Derivative -> the scan that it was made of: a `scan` cell may name either.

    Returns
    -------
    Manifest
        Scans without a row or a diagnosis, and rows without a scan, are listed as skipped. A row that names no session
        cannot say at which of several sessions its diagnosis was made: scans of such subjects are skipped too.

    Raises
    ------
    TableError
        If two rows match one scan, or nothing at all could be joined.
    LeakError
        If the same bytes stand under the ids of two people, or no table names subjects and the names of scans leave open who is
        one person.
    ScanError
        If a file has vanished.
    """
    matched = match_visits(items, table, origins)
    row_of = [None if match is None else match[0] for match in matched]
    joined: dict[int, list[ScanItem]] = defaultdict(list)
    for item, number in zip(items, row_of, strict=True):
        if number is not None:
            joined[number].append(item)

    examples: list[Example] = []
    skipped: list[Skipped] = []
    owners: dict[str, Example] = {}
    for item, match in zip(items, matched, strict=True):
        reason = _why_not(table, match and match[0], joined)
        if reason or match is None:
            skipped.append(Skipped(item.path.name, reason or NO_ROW))
            continue
        number, visit = match
        example = Example(item, visit, _hash_scan(item), number)
        owner = owners.setdefault(example.sha256, example)
        if person_of(owner.visit.subject_id) != person_of(visit.subject_id):
            raise errors.same_image(owner.item.path.name, item.path.name)
        examples.append(example)
    for number, line in enumerate(table.lines):
        if number not in joined:
            skipped.append(Skipped(f"line {line}", NO_SCAN))
    if not examples:
        raise TableError.no_rows(table.path, _why_none(table, items, row_of))
    unnamed = [example.item.subject_id for example in examples if not table.rows[example.row].subject_id]
    return Manifest(tuple(examples), tuple(skipped), tuple(_how_told_apart(examples, unnamed)))


def _how_told_apart(examples: Sequence[Example], unnamed: Sequence[str]) -> Iterator[str]:
    """Say by what people are told apart, and which ids count as one person; refuse names that leave it open."""
    groups = check_told_apart(unnamed)
    if unnamed:
        yield (
            f"no table names the subjects of {len(unnamed)} scans: they are told apart by the names of the scans, "
            f"{count_people(unnamed)} people"
        )
    if groups:
        shown = ", ".join(f"`{group}`" for group in groups[:5]) + (", ..." if len(groups) > 5 else "")
        yield f"numbers after {shown} are taken for people, not for visits; if they are visits, add a `subject_id` column"
    for ids in same_people(example.visit.subject_id for example in examples):
        yield f"{', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''} count as one person"


def with_last_diagnosis(manifest: Manifest, table: Table) -> tuple[Manifest, int]:
    """Give every scan the diagnosis of its subject's last row that has one, and count how many changed.

    The reading of papers that call a converter AD at every visit; a label from the future, so it is never the default.
    """
    rows: dict[str, list[Visit]] = defaultdict(list)
    for visit in table.rows:
        rows[person_of(visit.subject_id)].append(visit)
    for example in manifest.examples:  # rows that name nobody became somebody's by their scan
        rows[person_of(example.visit.subject_id)].append(example.visit)
    changed, examples = 0, []
    for example in manifest.examples:
        last = last_diagnosis(rows[person_of(example.visit.subject_id)]) or example.visit.diagnosis
        changed += last != example.visit.diagnosis
        examples.append(replace(example, visit=replace(example.visit, diagnosis=last)))
    return replace(manifest, examples=tuple(examples)), changed


def _why_none(table: Table, items: Sequence[ScanItem], row_of: Sequence[int | None]) -> str:
    """Say why no scan can be used; with names from both sides where none of them match."""
    with_row = sum(number is not None for number in row_of)
    if with_row:
        return f"{with_row} of {len(items)} scans have a row, none of them a diagnosis that may be used"
    none_has = f"none of {len(items)} scans has a row: a scan is of `{items[0].subject_id}`"
    if rows_of_person(table, items[0]):
        near, cure = what_is_near(table, items[0])
        return f"{none_has}, session `{items[0].session_id}`{near} ({cure})"
    named = table.likeness.nearest(items[0].subject_id)
    row_subject = (
        f"a row is of `{named}`" if named else "no row has a subject id (`--column subject_id=NAME` names its column)"
    )
    return f"{none_has}, {row_subject}"


def _why_not(table: Table, number: int | None, joined: dict[int, list[ScanItem]]) -> str | None:
    if number is None:
        return NO_ROW
    visit = table.rows[number]
    if visit.diagnosis is None:
        return NO_DIAGNOSIS
    sessions = [session_of(item) for item in joined[number]]
    if len({session or item.subject_id for session, item in zip(sessions, joined[number], strict=True)}) > 1 and (
        visit.session_id is None or None in sessions
    ):
        return SHARED_ROW
    return None


def _hash_scan(item: ScanItem) -> str:
    try:
        return file_sha256(item.path)
    except FileNotFoundError:
        raise ScanError.missing(item.path) from None
