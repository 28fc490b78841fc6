"""What a derivatives folder shows as a whole: the quality page and the table of volumes, made from the files in it.

Both are made anew from every scan's own files, so that runs that share a folder - shards of a job array, say - end with
the same pages as one run over everything.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adclip.domain import RESEARCH_NOTICE, ScanItem
from adclip.imaging.derivatives import derivative_path, figure_path
from adclip.imaging.find import read_sidecar
from adclip.imaging.qc_page import QcEntry, render_qc_page
from adclip.imaging.status import StatusTable, locked
from adclip.paths import write_text

PAGE = "qc.html"
VOLUMES = "volumes.tsv"
VOLUME_COLUMNS = (
    "icv_mm3", "whole_brain_mm3", "ventricles_mm3", "hippocampus_mm3", "hippocampus_left_mm3", "hippocampus_right_mm3",
    "entorhinal_mm3", "fusiform_mm3", "middle_temporal_mm3",
)  # fmt: skip


def publish(out: Path) -> None:
    """Write `qc.html`, and `volumes.tsv` with `volumes.json` where any scan has volumes."""
    with locked(out):
        rows = [(row, *_read(out, row)) for row in StatusTable(out).rows()]
        write_text(out / PAGE, render_qc_page([_entry(out, row, item, sidecar) for row, item, sidecar in rows]))
        measured = [(item, sidecar["Volumes"]) for _, item, sidecar in rows if sidecar.get("Volumes")]
        if measured:
            _write_volumes(out, measured)


def _read(out: Path, row: Mapping[str, str]) -> tuple[ScanItem, dict[str, Any]]:
    session = row["session_id"]
    item = ScanItem(Path(row["scan"]), row["subject_id"], None if session == "n/a" else session)
    sidecar = read_sidecar(derivative_path(out, item)) if row["status"] == "done" else None
    return item, sidecar or {}


def _entry(out: Path, row: Mapping[str, str], item: ScanItem, sidecar: Mapping[str, Any]) -> QcEntry:
    picture = figure_path(out, item)
    qc = sidecar.get("QC", {})
    return QcEntry(
        subject_id=item.subject_id,
        session_id=item.session_id,
        scan_name=item.path.name,
        verdict=str(qc.get("verdict", "failed")),
        reasons=tuple(qc.get("reasons", ())),
        numbers={name: value for name, value in qc.items() if isinstance(value, int | float) or value is None},
        flags=tuple(sidecar.get("Flags", ())),
        override=qc.get("override"),
        picture=picture.read_bytes() if sidecar and picture.is_file() else None,
        error=_text(row.get("error")),
        hint=_text(row.get("hint")),
    )


def _text(cell: str | None) -> str | None:
    return None if cell in (None, "n/a") else cell


def _write_volumes(out: Path, measured: list[tuple[ScanItem, Mapping[str, Any]]]) -> None:
    """Write a table that `--meta` and `--table` read as it is, and the dictionary that says what its numbers are worth."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["subject_id", "session_id", *VOLUME_COLUMNS, "volumes_source"])
    sources: dict[str, Any] = {}
    for item, found in measured:
        numbers = [_number(found["volumes"].get(name)) for name in VOLUME_COLUMNS]
        writer.writerow([item.subject_id, item.session_id or "n/a", *numbers, found["source"]])
        sources[found["source"]] = {key: found[key] for key in ("definitions", "measured_error") if key in found}
    write_text(out / VOLUMES, text.getvalue())
    about = {
        "Notice": RESEARCH_NOTICE,
        **{
            name: {"Description": name.removesuffix("_mm3").replace("_", " "), "Units": "mm3"}
            for name in VOLUME_COLUMNS
        },
        "volumes_source": {"Description": "what measured the volumes of this row", "Levels": sources},
    }
    write_text((out / VOLUMES).with_suffix(".json"), json.dumps(about, indent=2, sort_keys=True) + "\n")


def _number(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "n/a"
