"""What adclip wrote itself, told by its names and records."""

from __future__ import annotations

import json
from pathlib import Path

from adclip.domain import ScanItem
from adclip.imaging.records.sidecar import GENERATOR, Sidecar

PREPROC_SUFFIX = "_desc-preproc_T1w.nii.gz"


def is_our_dataset(folder: Path) -> bool:
    """Tell whether a folder is a derivatives dataset that adclip made."""
    try:
        record = json.loads((folder / "dataset_description.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and is_our_record(record)


def is_our_record(record: dict[str, object]) -> bool:
    """Tell whether a dataset description or sidecar names adclip as its maker."""
    generators = record.get("GeneratedBy")
    return isinstance(generators, list) and any(isinstance(g, dict) and g.get("Name") == GENERATOR for g in generators)


def read_sidecar(scan: Path) -> Sidecar | None:
    """Return the sidecar of a scan that adclip preprocessed, or None if it is not one."""
    if not scan.name.endswith(PREPROC_SUFFIX):
        return None
    try:
        content = json.loads(scan.with_name(scan.name.removesuffix(".nii.gz") + ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Sidecar.from_dict(content) if isinstance(content, dict) and is_our_record(content) else None


def without_failed(items: list[ScanItem]) -> list[ScanItem]:
    """Leave out derivatives whose quality verdict is `fail`: what is wrong with them would be learnt as well."""

    def failed(item: ScanItem) -> bool:
        sidecar = read_sidecar(item.path)
        return sidecar is not None and "qc_fail" in sidecar.flags

    return [item for item in items if not failed(item)]
