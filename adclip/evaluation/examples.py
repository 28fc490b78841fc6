"""Scans whose diagnosis is known: what a training learns from, and what an evaluation is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.measured import usable
from adclip.clinical.scans.manifest import Example, Manifest, TableReading, build_manifest
from adclip.clinical.settings import TableOptions
from adclip.clinical.tables.table import read_tables
from adclip.errors import ScanError
from adclip.evaluation import errors
from adclip.imaging.sources.find import find_scans
from adclip.imaging.sources.origins import find_origins
from adclip.imaging.sources.ours import read_sidecar, without_failed
from adclip.prediction.volumetry import still_counts
from adclip.runtime.events import OnEvent, Warned


def find_examples(
    scans: Path, tables: Sequence[Path], options: TableOptions, on_event: OnEvent
) -> tuple[Manifest, TableReading]:
    """Find the scans of a derivatives folder, join them with their rows, and say what was left out.

    Parameters
    ----------
    scans : Path
        Folder that `adclip preprocess` wrote.
    tables : sequence of Path
        With the diagnosis at the visit of each scan.
    options : TableOptions
        How they are read.
    on_event : OnEvent
        Is told what was noted of tables and people, and how many scans and rows were left out, and why.

    Returns
    -------
    manifest : Manifest
        Each example with the volumes of its sidecar that still count.
    table_reading : TableReading
        Scans and tables that it was made of.

    Raises
    ------
    ScanError
        If there is no scan, one is no derivative, or each has the quality verdict `fail`.
    TableError
        If a table is unusable, or nothing could be joined.
    LeakError
        If it cannot be told who is one person.
    """
    if not scans.exists():
        raise ScanError.missing(scans)
    found = find_scans((scans,))
    if raw := next((item for item in found if not item.preprocessed), None):
        raise ScanError.not_preprocessed(raw.path)
    table = read_tables(tables, options, need=("diagnosis",))
    for place, sentence in table.told:
        on_event(Warned(str(place), sentence))
    items = without_failed(found)
    if not items:
        raise errors.all_failed_quality(scans)
    if failed_count := len(found) - len(items):
        on_event(Warned(str(scans), f"{failed_count} left out: quality verdict fail (see qc.html there)"))
    table_reading = TableReading(tuple(items), table, find_origins(items, table.scans_of_nobody))
    manifest = _with_volumes(build_manifest(items, table, table_reading.origins))
    for note in manifest.notes:
        on_event(Warned(str(table.path), note))
    for reason, count in manifest.skipped_by_reason.items():
        on_event(Warned(str(table.path), f"{count} left out: {reason}"))
    return manifest, table_reading


def _with_volumes(manifest: Manifest) -> Manifest:
    """Add the volumes that stand in the scans' sidecars and still count, as prediction takes them."""

    def measured(example: Example) -> BrainVolumes | None:
        sidecar = read_sidecar(example.item.path)
        return usable(sidecar.volumes) if sidecar is not None and still_counts(sidecar.volumes) else None

    examples = tuple(replace(example, measured=measured(example)) for example in manifest.examples)
    return replace(manifest, examples=examples)
