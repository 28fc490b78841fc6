"""Scans joined with their rows: the examples that training and evaluation are made of."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from adclip.clinical.matching import find_row_index
from adclip.clinical.splits import last_diagnosis
from adclip.clinical.table import Table
from adclip.clinical.volumes_baseline import Measured
from adclip.domain import ScanItem, Visit
from adclip.errors import LeakError, ScanError, TableError

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
    measured : Measured or None
        Volumes that its sidecar holds.
    """

    item: ScanItem
    visit: Visit
    sha256: str
    measured: Measured | None = None


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
    """

    examples: tuple[Example, ...]
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        """How many were skipped, by reason."""
        return dict(Counter(skipped.reason for skipped in self.skipped))


def build_manifest(items: Sequence[ScanItem], table: Table) -> Manifest:
    """Join scans with the rows of a table, by the `scan` column, else by subject and session.

    Parameters
    ----------
    items : sequence of ScanItem
        The scans.
    table : Table
        Rows with a diagnosis at the visit of the scan.

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
        If the same bytes stand under two subject ids.
    ScanError
        If a file has vanished.
    """
    joined: dict[int, list[ScanItem]] = defaultdict(list)
    row_of: list[int | None] = []
    for item in items:
        number = find_row_index(table, item, only_scan=len(items) == 1)
        row_of.append(number)
        if number is not None:
            joined[number].append(item)

    examples: list[Example] = []
    skipped: list[Skipped] = []
    owners: dict[str, Example] = {}
    for item, number in zip(items, row_of, strict=True):
        reason = _why_not(table, number, joined)
        if reason or number is None:
            skipped.append(Skipped(item.path.name, reason or NO_ROW))
            continue
        visit = table.rows[number]
        visit = replace(visit, subject_id=visit.subject_id or item.subject_id)
        example = Example(item, visit, _hash_file(item))
        owner = owners.setdefault(example.sha256, example)
        if owner.visit.subject_id != visit.subject_id:
            raise LeakError.same_image(owner.item.path.name, item.path.name)
        examples.append(example)
    for number, line in enumerate(table.lines):
        if number not in joined:
            skipped.append(Skipped(f"line {line}", NO_SCAN))
    if not examples:
        raise TableError.no_rows(table.path, _why_none(table, items, row_of))
    return Manifest(tuple(examples), tuple(skipped))


def with_last_diagnosis(manifest: Manifest, table: Table) -> tuple[Manifest, int]:
    """Give every scan the diagnosis of its subject's last row that has one, and count how many changed.

    The reading of papers that call a converter AD at every visit; a label from the future, so it is never the default.
    """
    rows: dict[str, list[Visit]] = defaultdict(list)
    for visit in table.rows:
        rows[visit.subject_id].append(visit)
    changed, examples = 0, []
    for example in manifest.examples:
        last = last_diagnosis(rows[example.visit.subject_id]) or example.visit.diagnosis
        changed += last != example.visit.diagnosis
        examples.append(replace(example, visit=replace(example.visit, diagnosis=last)))
    return replace(manifest, examples=tuple(examples)), changed


def _why_none(table: Table, items: Sequence[ScanItem], row_of: Sequence[int | None]) -> str:
    """Say why no scan can be used; with names from both sides where none of them match."""
    with_row = sum(number is not None for number in row_of)
    if with_row:
        return f"{with_row} of {len(items)} scans have a row, none of them a diagnosis that may be used"
    named = next((visit.subject_id for visit in table.rows if visit.subject_id), None)
    theirs = (
        f"a row is of `{named}`" if named else "no row has a subject id (`--column subject_id=NAME` names its column)"
    )
    return f"none of {len(items)} scans has a row: a scan is of `{items[0].subject_id}`, {theirs}"


def _why_not(table: Table, number: int | None, joined: dict[int, list[ScanItem]]) -> str | None:
    if number is None:
        return NO_ROW
    visit = table.rows[number]
    if visit.diagnosis is None:
        return NO_DIAGNOSIS
    if visit.session_id is None and len({item.session_id for item in joined[number]}) > 1:
        return SHARED_ROW
    return None


def _hash_file(item: ScanItem) -> str:
    try:
        with item.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise ScanError.missing(item.path) from None
