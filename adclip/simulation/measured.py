"""The second table of a cohort: what the shipped segmenter finds in the painted scans, beside what their labels hold.

A model that is to read volumes as adclip measures them must learn from volumes with that measurement's errors. Mask and map to
MNI are the known ones, so these errors are the segmenter's own, without those of a brain extraction or a registration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.columns import are_plausible, to_further
from adclip.domain import FloatArray, Visit
from adclip.simulation.visits import VisitRecord

VOLUMES = tuple(field.name for field in fields(Visit) if field.name.endswith("_mm3"))


def measure_scan(
    image: NDArray[Any], affine: FloatArray, mask: NDArray[np.bool_], scan_to_mni: FloatArray
) -> BrainVolumes:
    """Measure one painted scan.

    Parameters
    ----------
    image : ndarray (X, Y, Z)
        Intensities as the scan has them, arbitrary unit.
    affine : ndarray (4, 4)
        Voxel to millimetres of the person's own head.
    mask : ndarray (X, Y, Z), bool
        Brain.
    scan_to_mni : ndarray (4, 4)
        Those millimetres to MNI millimetres.

    Returns
    -------
    BrainVolumes
        As `adclip preprocess --volumes` writes them into a sidecar.

    Raises
    ------
    WeightsError
        If the shipped segmenter is absent or altered.
    """
    from adclip.imaging.volumes.measure import measure_volumes

    return measure_volumes(np.asarray(image, dtype=np.float32), affine, mask, scan_to_mni).to_record()


def segmenter_name() -> str:
    """Return the source that measured volumes will name; part of what decides a cohort's bytes."""
    from adclip.imaging.volumes.measure import measured_by

    return measured_by()


def measured_rows(records: Sequence[VisitRecord]) -> list[list[str]]:
    """Return header and rows of `measured.tsv`: every visit, as found, plausible or not."""
    from adclip.imaging.volumes.measure import FIELDS

    rows = [["subject_id", "session_id", *FIELDS, "volumes_source"]]
    for record in records:
        source = None if record.measured is None else record.measured.source
        numbers = [_mm3(record).get(name) for name in FIELDS]
        rows.append([
            record.person.subject_id, record.person.session_id or "n/a",
            *("n/a" if number is None else f"{number:.1f}" for number in numbers), source or "n/a",
        ])  # fmt: skip
    return rows


def with_measured(visit: Visit, record: VisitRecord, missing: frozenset[str]) -> Visit:
    """Return a visit of `table.csv` with the measured volumes in place of the true ones.

    Parameters
    ----------
    visit : Visit
        What the table tells.
    record : VisitRecord
        The same visit with its measured volumes.
    missing : frozenset of str
        Cells without value; they stay so. Where all volumes of a visit are missing, the further ones are too.

    Notes
    -----
    A row has volumes of one program or none: the true ones go, also those that the segmenter does not measure. Volumes of a
    scan in which the segmenter failed, by one that no adult brain has, are left out together, as `predict` leaves them out.
    """
    volumes = _mm3(record)
    if set(VOLUMES) <= missing or not are_plausible(volumes):
        volumes = {}
    cells: dict[str, Any] = {name: None if name in missing else volumes.get(name) for name in VOLUMES}
    source = record.measured.source if record.measured is not None and volumes else None
    return replace(visit, **cells, volumes_source=source, further_volumes=to_further(volumes))


def _mm3(record: VisitRecord) -> Mapping[str, float]:
    return {} if record.measured is None else record.measured.mm3
