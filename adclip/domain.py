"""The records that adclip's parts hand to each other: frozen dataclasses with NumPy arrays at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.told import Told, to_plain

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]

RESEARCH_NOTICE = "Research use only. Not a medical device."
BUILTIN_NOTICE = "builtin model: trained on simulated anatomy - for trying adclip out, not for diagnosis"
TEMPLATE_SPACE = "MNI152NLin2009aSym"
SEGMENTER = "adclip segmenter"  # begins `Visit.volumes_source` of what `adclip preprocess --volumes` estimated
MMSE_RANGE = (0.0, 30.0)  # Folstein et al. 1975: 30 points


class Diagnosis(StrEnum):
    """Clinical group at the visit of the scan."""

    CN = "CN"
    MCI = "MCI"
    AD = "AD"


# How a class is named in a report: the method writes NC for cognitively normal.
CLASS_PHRASES: dict[str, str] = {"CN": "NC", "MCI": "MCI", "AD": "AD"}


@dataclass(frozen=True)
class SourceGrid:
    """The voxel grid of a scan file as stored on disk: shape (I, J, K) and 4x4 voxel-to-mm affine.

    `place` has the fields by which a NIfTI header says the same, as they stand there; empty of other formats.
    """

    shape: tuple[int, int, int]
    affine: FloatArray
    place: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Volume:
    """Voxels in RAS+ order with their geometry.

    Parameters
    ----------
    array : ndarray of shape (X, Y, Z), float32
        Scanner intensities (arbitrary unit); X grows to the right, Y to the front, Z to the top.
    affine : ndarray of shape (4, 4)
        Voxel index to scanner millimetres.
    source : SourceGrid
        The grid the file itself uses, for the way back.
    flags : tuple of str
        What a reader of the result should know about the file, for example `sform_qform_disagree`.
    facts : mapping
        How the geometry was decided, in plain JSON types: format, which matrix was used, stored orientation, obliquity.
    """

    array: FloatArray
    affine: FloatArray
    source: SourceGrid
    flags: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadOptions:
    """What the user declares about the input files because the files do not say it.

    Parameters
    ----------
    orientation : str or None
        Anatomical directions of the three stored axes, such as `RAS` or `LPI` (towards: Right/Left, Anterior/Posterior,
        Superior/Inferior), for files whose header has none. A file that has an orientation keeps its own.
    series : str or None
        Series number or SeriesInstanceUID to take from a DICOM folder that holds several.
    modality : str or None
        `MR` where a file of shifted values would be taken for CT.
    """

    orientation: str | None = None
    series: str | None = None
    modality: str | None = None


@dataclass(frozen=True)
class InputContract:
    """What the image tower was taught on: a fixed box in MNI millimetres.

    Parameters
    ----------
    shape : tuple of int
        Voxels along D (inferior to superior), H (anterior to posterior), W (patient right to left).
    spacing_mm : tuple of float
        Voxel size along D, H, W.
    center_mm : tuple of float
        MNI coordinates (x right, y anterior, z superior) of the box centre.
    percentiles : tuple of float
        Percentiles of the brain's intensities that become 0 and 1; outside the brain mask is 0.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    center_mm: tuple[float, float, float]
    percentiles: tuple[float, float] = (0.5, 99.5)

    @property
    def shape_xyz(self) -> tuple[int, int, int]:
        """Voxels along X, Y, Z."""
        return (self.shape[2], self.shape[1], self.shape[0])

    @property
    def spacing_xyz_mm(self) -> tuple[float, float, float]:
        """Voxel size along X, Y, Z."""
        return (self.spacing_mm[2], self.spacing_mm[1], self.spacing_mm[0])

    @property
    def affine_xyz(self) -> FloatArray:
        """Affine (4, 4) of the RAS+ grid of shape `shape_xyz`: voxel index to MNI millimetres."""
        affine = np.eye(4)
        for axis, (size, spacing, center) in enumerate(
            zip(self.shape_xyz, self.spacing_xyz_mm, self.center_mm, strict=True)
        ):
            affine[axis, axis] = spacing
            affine[axis, 3] = center - spacing * (size - 1) / 2
        return affine

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {key: list(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InputContract:
        """Rebuild from `to_dict`."""
        return cls(**{key: tuple(value) for key, value in data.items()})


@dataclass(frozen=True)
class Visit:
    """What is known of one subject on one date; unknown is None, never 0. Field names are the canonical columns.

    Three are none of them. `score` is the auxiliary score of a task that has another than the MMSE; `volumes_source` names the program that measured the volumes (`FreeSurfer`, `SynthSeg`,
    `DLMUSE`, `adclip segmenter`, `simulation`), because volumes of different programs cannot be compared; `further_volumes` holds name and mm3 of what no
    report prints and only the medial temporal norm score reads, see `adclip.clinical.columns.FURTHER_VOLUMES`.
    """

    subject_id: str = ""
    session_id: str | None = None
    visit_date: str | None = None
    age_years: float | None = None
    sex: str | None = None
    education_years: float | None = None
    apoe4_count: int | None = None
    mmse: float | None = None
    cdr_global: float | None = None
    diagnosis: str | None = None
    icv_mm3: float | None = None
    hippocampus_mm3: float | None = None
    hippocampus_left_mm3: float | None = None
    hippocampus_right_mm3: float | None = None
    ventricles_mm3: float | None = None
    whole_brain_mm3: float | None = None
    entorhinal_mm3: float | None = None
    fusiform_mm3: float | None = None
    middle_temporal_mm3: float | None = None
    scan: str | None = None
    volumes_source: str | None = None
    score: float | None = None
    further_volumes: tuple[tuple[str, float], ...] | None = None

    @property
    def has_volumes(self) -> bool:
        """Whether any volume is known, the intracranial one included."""
        are_known = (value is not None for name, value in vars(self).items() if name.endswith("_mm3"))
        return bool(self.further_volumes) or any(are_known)

    @property
    def has_estimated_volumes(self) -> bool:
        """Whether adclip's own segmenter measured the volumes."""
        return (self.volumes_source or "").startswith(SEGMENTER)


@dataclass(frozen=True)
class Report:
    """A synthetic report and where it came from.

    Parameters
    ----------
    text : str
        The words the text tower reads.
    style, template_version : str
        Which template wrote it.
    label : str or None
        Class named in the label phrase; None where the phrase is left out.
    fields : tuple of str
        Canonical columns that supplied a value.
    flags : tuple of str
        What was left out and why, such as ``no_norms_for_FreeSurfer``.
    """

    text: str
    style: str
    template_version: str
    label: str | None = None
    fields: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoreEstimate:
    """The task's auxiliary score in points, the MMSE by default, with its interval.

    `known` is shown for comparison and never used.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    known: float | None = None


@dataclass(frozen=True)
class Prediction(Told):
    """The answer for one scan; `to_dict` is one JSON line of `adclip predict --json`.

    `scan_only`, `metadata_only` and `volumes_only` are what the network says without a report, what the row of the table
    says without the scan, and what `volumes` say without the network. `volumes` holds for each column what
    `adclip.prediction.volumetry.describe` tells of it, and `volumes_source` the program that measured them.
    """

    scan: str
    status: str
    subject_id: str | None = None
    session_id: str | None = None
    diagnosis: str | None = None
    scores: Mapping[str, float] | None = None
    probabilities: Mapping[str, float] | None = None
    prediction_set: tuple[str, ...] | None = None
    mmse: ScoreEstimate | None = None
    scan_only: Mapping[str, float] | None = None
    metadata_only: Mapping[str, float] | None = None
    volumes_only: Mapping[str, float] | None = None
    volumes: Mapping[str, Mapping[str, Any]] | None = None
    volumes_source: str | None = None
    flags: tuple[str, ...] = ()
    report: str | None = None
    model: Mapping[str, str] = field(default_factory=dict)
    adclip_version: str = ""
    notice: str = RESEARCH_NOTICE
    error: str | None = None
    hint: str | None = None
    score_name: str = "mmse"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types in the order of the contract; `error` and `hint` only where status is failed.

        The estimate stands under the name of the task's score.
        """
        record = asdict(self)
        record[self.score_name] = record.pop("mmse")
        order = [
            "scan", "subject_id", "session_id", "status", "diagnosis", "scores", "probabilities", "prediction_set",
            self.score_name, "scan_only", "metadata_only", "volumes_only", "volumes", "volumes_source", "rescans", "prevalence",
            "probabilities_equal", "similar", "what_if", "flags", "reasons", "report", "model", "adclip_version", "notice",
        ]  # fmt: skip
        if self.error is not None:
            order += ["error", "hint"]
        return {key: to_plain(record[key]) for key in order}


@dataclass(frozen=True)
class ScanItem:
    """One scan to work on: its file (or DICOM folder), and the names it goes by.

    `flags` and `notes` tell how it was chosen where there was a choice, such as one of several runs: a flag for the
    record, a note in words for the user. `others` come next, in their order, where the file is refused.
    """

    path: Path
    subject_id: str
    session_id: str | None = None
    preprocessed: bool = False
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    others: tuple[Path, ...] = ()

    @property
    def stem(self) -> str:
        """BIDS prefix `sub-X[_ses-Y]` for output names."""
        return f"sub-{self.subject_id}" + (f"_ses-{self.session_id}" if self.session_id else "")
