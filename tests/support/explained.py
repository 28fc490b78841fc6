"""A page's content with every part, texts that try to run, and an oblique scan with a map whose place is known."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import nibabel as nib
import numpy as np
from phantoms import make_head, turn
from tiny import CONTRACT

from adclip.domain import SourceGrid, Volume
from adclip.explanation.page.content import (
    Cell,
    Curve,
    Line,
    PageContent,
    Panel,
    Region,
    Regions,
    Table,
    WhatIf,
    Word,
)
from adclip.explanation.page.volumes import ViewerImages, viewer_images
from adclip.imaging.derivatives.files import PreparedScan
from adclip.imaging.steps.grid import to_grid

NASTY = """</script><img src=x onerror="document.title='ran'"><script>document.title='ran'</script>"""
NOTICE = "Research use only. Not a medical device."
FOR, AGAINST = (11, 20, 12), (20, 14, 20)  # voxels of the model's grid, left and right of the middle

_PANEL = Panel(
    "In the scan", "factor on the hippocampus", (1.0, 0.85, 0.7), (Line("CN", (0.6, 0.4, 0.2)), Line("AD", (0.1, 0.3, 0.6)))
)  # fmt: skip
CONTENT = PageContent(
    title="sub-07, ses-01",
    scan="scan.nii.gz",
    status="caution",
    answer="AD",
    target="AD",
    explained="score of AD minus the mean of the other classes",
    verdict="cannot be believed",
    doubtful=True,
    notice=NOTICE,
    probabilities={"CN": 0.08, "MCI": 0.3, "AD": 0.62},
    score="MMSE estimated at 25.0 points.",
    reasons=("Look at the scan.",),
    report="A report.",
    words=(Word("A", 0.1), Word("report.", -0.2)),
    facts={"scan only": "AD 70%"},
    tables=(Table("Volumes", ("structure", "centile"), ((Cell("hippocampus"), Cell("4", 4.0)),)),),
    regions=Regions(
        "Relevance by region", ("region", "relevance", "volume"),
        (Region("hippocampus left", ("40%", "1%"), 1, (0.0, 0.0, 0.0)), Region("ventricles", ("2%", "3%"), 2, (1.0, 1.0, 1.0)),
         Region("nowhere", ("0%", "0%"))),
    ),
    curves=(
        Curve("deletion", (0.0, 0.25, 0.5), (1.0, 0.5, 0.2), (1.0, 0.8, 0.6), (1.0, 0.95, 0.9)),
        Curve("insertion", (0.0, 0.25, 0.5), (0.1, 0.6, 0.9), (0.1, 0.1, 0.2), (0.1, 0.2, 0.4)),
    ),
    orders=100,
    what_if=WhatIf("The same in scan and table.", _PANEL, dataclasses.replace(_PANEL, title="In the table")),
    self_test=Table("Where the truth is known", ("method", "pointing game"), ((Cell("grad-eclip"), Cell("12 of 20")),)),
    provenance={"method": "grad-eclip"},
    thumbnail="AAAA",
)  # fmt: skip


def nasty(value: Any) -> Any:
    """Return the same with `NASTY` in the place of every text."""
    if isinstance(value, str):
        return NASTY
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: nasty(getattr(value, field.name)) for field in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {
            f"{NASTY}{place}": item if isinstance(item, float) else nasty(item)
            for place, item in enumerate(value.values())
        }
    return tuple(nasty(item) for item in value) if isinstance(value, tuple) else value


@lru_cache(maxsize=4)
def a_scan(codes: str = "RAS") -> tuple[PreparedScan, np.ndarray, np.ndarray, np.ndarray]:
    """Return an oblique head of 3 mm, a signed map and labels on the model's grid, and where the map's peak is in scanner mm."""
    to_mni = turn(8, 0) @ np.diag([1.05, 0.95, 1.0, 1.0])
    array, straight, brain = make_head(to_mni, spacing=3.0)
    oblique = turn(25, 2) @ turn(-12, 0)
    oblique[:3, 3] = (14, -9, 21)
    affine, scan_to_mni = oblique @ straight, to_mni @ np.linalg.inv(oblique)
    assert np.abs(affine[:3, :3]).max(axis=0).min() < 0.95 * 3, "no axis of the scanner's"
    change = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(codes))
    stored = nib.Nifti1Image(array, affine).as_reoriented(change)
    volume = Volume(array, affine, SourceGrid(stored.shape, stored.affine))
    image = to_grid(array / array.max(), affine, scan_to_mni, CONTRACT)
    mask = to_grid(brain.astype(np.float32), affine, scan_to_mni, CONTRACT) > 0.5
    places = np.indices(CONTRACT.shape_xyz)
    away = [np.linalg.norm(places - np.reshape(place, (3, 1, 1, 1)), axis=0) for place in (FOR, AGAINST)]
    signed = (np.exp(-((away[0] / 2) ** 2)) - 0.6 * np.exp(-((away[1] / 2) ** 2))) * mask
    labels = np.where(away[0] < 2.5, 1, np.where(away[1] < 2.5, 2, 0)).astype(np.uint8)
    place_mm = nib.affines.apply_affine(np.linalg.inv(scan_to_mni) @ CONTRACT.affine_xyz, FOR)
    prepared = PreparedScan(image * mask, mask, scan_to_mni, volume.source, volume)
    return prepared, signed, labels, place_mm


def images_of(
    prepared: PreparedScan, signed: np.ndarray, labels: np.ndarray, _place_mm: np.ndarray | None = None
) -> ViewerImages:
    """Return the images of a page's viewer."""
    return viewer_images(prepared, CONTRACT, signed, labels)
