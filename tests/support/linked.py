"""One derivative under many names: a cohort of any size in the space of a few scans."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

ENDING = "_desc-preproc_T1w.nii.gz"


def derivatives_of(folder: Path) -> list[Path]:
    """Return the preprocessed scans below a folder in the order of their names."""
    return sorted(folder.rglob(f"*{ENDING}"))


def link_scan(scan: Path, target: Path, subject_id: str, session_id: str | None = None) -> Path:
    """Put a derivative under another name, as another person's: image and mask linked, the sidecar with other ids."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(scan, target)
    mask = scan.with_name(scan.name.replace(ENDING, "_desc-brain_mask.nii.gz"))
    if mask.is_file():
        os.link(mask, target.with_name(target.name.replace(ENDING, "_desc-brain_mask.nii.gz")))
    content = json.loads(sidecar_of(scan).read_text()) | {"SubjectID": subject_id, "SessionID": session_id}
    sidecar_of(target).write_text(json.dumps(content))
    return target


def sidecar_of(scan: Path) -> Path:
    """Return the JSON beside a derivative."""
    return scan.with_name(scan.name.replace(".nii.gz", ".json"))


def link_cohort(scans: Sequence[Path], folder: Path, count: int) -> Iterator[Path]:
    """Yield `count` derivatives `sub-c00001` and on in a derivatives folder, made of `scans` in turn."""
    from adclip.imaging.derivatives.files import write_dataset_description

    write_dataset_description(folder)
    for number in range(count):
        name = f"c{number + 1:05d}"
        place = folder / f"sub-{name}" / "anat" / f"sub-{name}_space-MNI152NLin2009aSym{ENDING}"
        yield link_scan(scans[number % len(scans)], place, name)
