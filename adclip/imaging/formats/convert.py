"""Pixels of a DICOM series through dcm2niix, which knows the dialects of the scanners and every compression."""

from __future__ import annotations

import importlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from adclip.domain import FloatArray
from adclip.errors import MissingPackageError
from adclip.imaging import errors as imaging_errors
from adclip.imaging.formats.dicom import DicomSeries
from adclip.runtime.paths import private_folder

TIMEOUT_S = 180  # 200 slices take a third of a second; compressed ones on a slow disk some seconds
AGREE_SHARE = 0.1  # of a voxel: how far dcm2niix's corners may lie from those of the headers


@contextmanager
def converted(path: Path, series: DicomSeries) -> Iterator[Path]:
    """Convert a series to one NIfTI file in a private temporary folder, removed when the block ends.

    Parameters
    ----------
    path : Path
        The folder the series comes from, for errors.
    series : DicomSeries
        Whose files to use, and no others.

    Raises
    ------
    ScanError
        If dcm2niix fails, or makes anything but one volume.
    MissingPackageError
        If the package dcm2niix is absent.
    """
    program = _find_program()
    with private_folder() as private:
        input_folder, output_folder = private / "dicom", private / "nifti"
        input_folder.mkdir()
        output_folder.mkdir()
        for number, file in enumerate(series.paths):
            _link(file.resolve(), input_folder / f"{number:06d}.dcm")
        # -b n: no sidecar, which would repeat tags; -f: no tag in a file name; -x i: as the scanner stored it, neither
        # cropped nor turned; -g i: the user's own defaults for dcm2niix play no part.
        command = [
            program,
            "-g",
            "i",
            "-b",
            "n",
            "-z",
            "n",
            "-x",
            "i",
            "-f",
            "scan",
            "-o",
            str(output_folder),
            str(input_folder),
        ]
        try:
            done = subprocess.run(  # noqa: S603  the program comes from a package, the arguments from here
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # it prints tags
                stderr=subprocess.DEVNULL,
                env={**os.environ, "HOME": str(private)},
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise imaging_errors.conversion_failed(path, f"dcm2niix took longer than {TIMEOUT_S} s") from None
        except OSError:
            raise MissingPackageError.broken("dcm2niix") from None
        files = [file for file in output_folder.iterdir() if file.suffix == ".nii"]
        if not files or done.returncode != 0:  # a file cut short ends here
            raise imaging_errors.conversion_failed(
                path, f"dcm2niix ended with code {done.returncode}, {len(files)} images"
            )
        if len(files) > 1:
            raise imaging_errors.conversion_failed(path, f"dcm2niix made {len(files)} images of it, not one")
        yield files[0]


def check_agreement(path: Path, series: DicomSeries, affine: FloatArray, shape: tuple[int, ...]) -> None:
    """Compare the converted volume with the headers: the same box in space, whatever the order of its axes.

    Raises
    ------
    ScanError
        If the voxel counts differ or a corner lies elsewhere.
    """
    if sorted(shape) != sorted(series.shape):
        raise imaging_errors.conversion_failed(
            path, f"dcm2niix made a volume of {shape}, the headers say {series.shape}"
        )
    header_corners, converted_corners = _corners(series.geometry.affine, series.shape), _corners(affine, shape)
    distance_mm = np.linalg.norm(header_corners[:, None] - converted_corners[None], axis=2).min(axis=1).max()
    if distance_mm > AGREE_SHARE * float(np.linalg.norm(affine[:3, :3], axis=0).min()):
        raise imaging_errors.conversion_failed(
            path, f"dcm2niix puts the volume {distance_mm:.1f} mm from where the headers do"
        )


def _corners(affine: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    indices = np.array(list(itertools.product(*((0, size - 1) for size in shape))), dtype=np.float64)
    return np.asarray(indices @ affine[:3, :3].T + affine[:3, 3])


def _find_program() -> str:
    try:
        return str(importlib.import_module("dcm2niix").bin)
    except (ImportError, AttributeError):
        raise MissingPackageError.broken("dcm2niix") from None


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError:  # file systems and platforms without symbolic links
        shutil.copyfile(source, target)
