"""What a derivatives folder shows as a whole: the quality page and the table of volumes, made from the files in it.

Both are made anew from every scan's own files, so that runs that share a folder - shards of a job array, say - end with
the same pages as one run over everything.
"""

from __future__ import annotations

import csv
import io
import json
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from adclip.brain_volumes import BrainVolumes
from adclip.domain import RESEARCH_NOTICE, ScanItem
from adclip.imaging.derivatives.names import derivative_path, figure_path
from adclip.imaging.derivatives.qc_page import QcEntry, render_qc_page
from adclip.imaging.derivatives.status import StatusRow, StatusTable
from adclip.imaging.records.quality import Quality
from adclip.imaging.records.sidecar import Sidecar
from adclip.imaging.sources.ours import read_sidecar
from adclip.runtime.locks import locked
from adclip.runtime.paths import atomic_path, write_text

PAGE = "qc.html"
VOLUMES, VOLUMES_ABOUT = "volumes.tsv", "volumes.json"
VOLUME_COLUMNS = (
    "icv_mm3", "whole_brain_mm3", "ventricles_mm3", "hippocampus_mm3", "hippocampus_left_mm3", "hippocampus_right_mm3",
    "entorhinal_mm3", "fusiform_mm3", "middle_temporal_mm3",
    "amygdala_mm3", "amygdala_left_mm3", "amygdala_right_mm3", "inferior_lateral_ventricle_mm3",
    "inferior_lateral_ventricle_left_mm3", "inferior_lateral_ventricle_right_mm3",
)  # fmt: skip
_TRIES = 2  # pages made in vain while others work; the next time they wait


class _OutdatedError(Exception):
    """Somebody entered a row while the pages were made."""


def publish(out: Path) -> None:
    """Write `qc.html`, and `volumes.tsv` with `volumes.json` where any scan has volumes.

    The pages are made without holding up the runs that share the folder; if one of them enters a row meanwhile, they are
    made again, at last with the lock held.
    """
    table = StatusTable(out)
    for _ in range(_TRIES):
        stamp = table.stamp()
        pages = _make_pages(out, table.rows())
        with (
            suppress(_OutdatedError),
            ExitStack() as lock,
            ExitStack() as files,
        ):  # taken last, the lock is given back last
            for name, text in pages.items():
                files.enter_context(atomic_path(out / name)).write_text(text, encoding="utf-8")
            lock.enter_context(locked(out))
            if table.stamp() == stamp:
                return
            raise _OutdatedError
    with locked(out):
        for name, text in _make_pages(out, table.rows()).items():
            write_text(out / name, text)


def _make_pages(out: Path, rows: list[StatusRow]) -> dict[str, str]:
    """Return the text of every page by its name."""
    read = [(row, read_sidecar(derivative_path(out, row.item)) if row.is_done else None) for row in rows]
    pages = {PAGE: render_qc_page([_entry(out, row, sidecar) for row, sidecar in read])}
    measured = [
        (row.item, sidecar.volumes) for row, sidecar in read if sidecar is not None and sidecar.volumes is not None
    ]
    if measured or (out / VOLUMES).is_file():  # an old one may hold rows of scans that are refused now
        pages |= _describe_volumes(measured)
    return pages


def _entry(out: Path, row: StatusRow, sidecar: Sidecar | None) -> QcEntry:
    item = row.item
    picture = figure_path(out, item)
    qc = Quality() if sidecar is None else sidecar.qc
    return QcEntry(
        subject_id=item.subject_id,
        session_id=item.session_id,
        scan_name=item.path.name,
        verdict=qc.verdict or "failed",
        reasons=qc.reasons,
        numbers=qc.numbers,
        flags=() if sidecar is None else sidecar.flags,
        override=None if qc.override is None else qc.override.to_dict(),
        picture=picture.read_bytes() if sidecar is not None and picture.is_file() else None,
        error=row.error,
        hint=row.hint,
    )


def _describe_volumes(measured: list[tuple[ScanItem, BrainVolumes]]) -> dict[str, str]:
    """Return a table that `--meta` and `--table` read as it is, and the dictionary that says what its numbers are worth."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["subject_id", "session_id", *VOLUME_COLUMNS, "volumes_source"])
    sources: dict[str, Any] = {}
    for item, volumes in measured:
        numbers = [_number(volumes.mm3.get(name)) for name in VOLUME_COLUMNS]
        source = volumes.source or "n/a"
        writer.writerow([item.subject_id, item.session_id or "n/a", *numbers, source])
        worth = {"definitions": volumes.definitions, "measured_error": volumes.measured_error}
        sources[source] = {name: value for name, value in worth.items() if value is not None}
    about = {
        "Notice": RESEARCH_NOTICE,
        **{
            name: {"Description": name.removesuffix("_mm3").replace("_", " "), "Units": "mm3"}
            for name in VOLUME_COLUMNS
        },
        "volumes_source": {"Description": "what measured the volumes of this row", "Levels": sources},
    }
    return {VOLUMES: text.getvalue(), VOLUMES_ABOUT: json.dumps(about, indent=2, sort_keys=True) + "\n"}


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1f}"
