"""DICOM series that are made up: a volume cut into slices along any direction, written with the tags readers need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

SECRET = "Doe^Jane"  # must turn up in no output
ENHANCED = UID("1.2.840.10008.5.1.4.1.1.4.1")

SPACING_MM = (3.0, 3.0, 3.5)  # along a row, a column, the normal
# Rows and columns of a slice in LPS, as scanners write them: axial, sagittal and coronal.
PLANES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
}


def plane(name: str, degrees: float = 0.0) -> NDArray[np.float64]:
    """Directions (3, 3) in LPS, one a row: along a row, along a column, from slice to slice; tilted about an axis between all three."""
    row, column = (np.array(direction, dtype=float) for direction in PLANES[name])
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.deg2rad(degrees)
    tilt = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return np.array([tilt @ row, tilt @ column, tilt @ np.cross(row, column)])


def head_with_marker(
    count: int = 32,
    rows: int = 40,
    columns: int = 36,
    directions: NDArray[np.float64] | None = None,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
):
    """Return (slices, positions): a smooth ball of 35 mm, and a bright spot at 20 mm to the LEFT of its middle."""
    directions = plane("axial") if directions is None else directions
    spacing = np.array(spacing_mm)
    index = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), np.arange(count), indexing="ij"), axis=-1)
    corner = -(spacing * (np.array([columns, rows, count]) - 1) / 2) @ directions
    points = (index * spacing) @ directions + corner
    distance = np.linalg.norm(points, axis=-1)
    image = 600.0 * np.clip((45 - distance) / 8, 0, 1) + 40 * np.sin(points).sum(axis=-1) * (distance < 45) + 50
    image += 1500.0 * (np.linalg.norm(points - np.array([20.0, 0, 0]), axis=-1) < 6)  # LPS: +x is the left
    image += 8 * np.random.default_rng(0).standard_normal(image.shape)
    pixels = np.clip(image, 0, None).astype(np.uint16).transpose(2, 1, 0)  # slice, row, column
    positions = np.arange(count)[:, None] * spacing[2] * directions[2] + corner
    return pixels, positions, (spacing[1], spacing[0])


def write_series(
    folder: Path,
    directions: NDArray[np.float64] | None = None,
    *,
    count: int = 32,
    size: tuple[int, int] = (40, 36),
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    number: int = 3,
    patient: str = "P1",
    modality: str = "MR",
    leave_out: tuple[int, ...] = (),
    shift_mm: dict[int, float] | None = None,
    change: Any = None,
    prefix: str = "",
    series_uid: str = "",
) -> list[Path]:
    """Write one series in a shuffled order of names; `change(dataset, index)` may alter any slice."""
    folder.mkdir(parents=True, exist_ok=True)
    directions = plane("axial") if directions is None else directions
    pixels, positions, spacing = head_with_marker(count, *size, directions, spacing_mm)
    names = np.random.default_rng(1).permutation(count)
    written = []
    for index in range(count):
        if index in leave_out:
            continue
        dataset = base(number, patient, modality, series_uid)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"1.2.3.{number}.{index + 1}"
        dataset.InstanceNumber = index + 1
        shifted = positions[index] + directions[2] * (shift_mm or {}).get(index, 0.0)
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in shifted]
        dataset.ImageOrientationPatient = [f"{value:.8f}" for value in (*directions[0], *directions[1])]
        dataset.PixelSpacing = [str(value) for value in spacing]
        dataset.SliceThickness = "3.5"
        fill(dataset, pixels[index])
        if change is not None:
            change(dataset, index)
        path = folder / f"{prefix}IM{names[index]:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        written.append(path)
    return written


def write_enhanced(path: Path, count: int = 32) -> Path:
    """Write the axial head as one multi-frame file."""
    directions = plane("axial")
    pixels, positions, spacing = head_with_marker(count, directions=directions)
    dataset = base(3, "P1", "MR", "")
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = ENHANCED
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.3.1"
    dataset.NumberOfFrames = count
    dataset.InstanceNumber = 1
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [float(value) for value in (*directions[0], *directions[1])]
    measures.PixelSpacing, measures.SliceThickness = [float(value) for value in spacing], 3.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    frames = []
    for index in range(count):
        frame, place, content = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [float(value) for value in positions[index]]
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", index + 1, [1, index + 1]
        frame.PlanePositionSequence, frame.FrameContentSequence = Sequence([place]), Sequence([content])
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    fill(dataset, pixels)
    dataset.save_as(path, enforce_file_format=True)
    return path


def base(number: int, patient: str, modality: str, series_uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = "1.2.3.4"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = MRImageStorage
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = SECRET, patient, "19400102"
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = "1.2.3.9", "1.2.3.8"
    dataset.SeriesInstanceUID = series_uid or f"1.2.3.{number}"
    dataset.StudyDate, dataset.StudyTime, dataset.SeriesNumber = "20200304", "101112", number
    dataset.SeriesDescription, dataset.ProtocolName = f"{SECRET} mprage", "t1"
    dataset.Modality, dataset.Manufacturer = modality, "SIEMENS"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.EchoTime, dataset.RepetitionTime, dataset.MRAcquisitionType = "3", "2000", "3D"
    return dataset


def fill(dataset: Dataset, pixels: NDArray[np.uint16]) -> None:
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = pixels.tobytes()
