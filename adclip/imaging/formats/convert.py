"""Pixels of a DICOM series through dcm2niix, for the compressions that `pixels.py` leaves to it."""

from __future__ import annotations

import importlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.errors import AdclipError, MissingPackageError, ScanError
from adclip.imaging import errors as imaging_errors
from adclip.imaging.formats import dicom_errors, nifti
from adclip.imaging.formats.dicom import DicomSeries
from adclip.imaging.formats.pixels import codec_name, find_bare, is_well_known
from adclip.imaging.formats.stored import StoredImage
from adclip.imaging.formats.stream import open_source
from adclip.runtime.paths import private_folder

TIMEOUT_S = 180  # 200 slices take a third of a second; compressed ones on a slow disk some seconds
DIAGNOSIS_S = 20.0  # for trying the files of a series one by one
AGREE_SHARE = 0.1  # of a voxel: how far dcm2niix's corners may lie from those of the headers


def convert_series(path: Path, series: DicomSeries) -> tuple[StoredImage, NDArray[Any]]:
    """Convert a series and read the result; what is wrong with its files is looked for where that fails.

    Parameters
    ----------
    path : Path
        The folder or file that the series comes from, for errors.
    series : DicomSeries
        Whose files to use, and no others.

    Returns
    -------
    image : StoredImage
        As dcm2niix wrote it.
    stored : ndarray of shape (I, J, K)
        In the order of the file.

    Raises
    ------
    ScanError
        If dcm2niix fails, makes anything but one 3D volume, or another one than the headers describe. Where single files are to blame, the
        first of them is named.
    MissingPackageError
        If the package dcm2niix is absent, or no decoder for the compression is installed.
    """
    try:
        with _converted(path, series.paths) as file, open_source(file) as source:
            head = source.read(nifti.HEAD_BYTES)
            image = nifti.parse_single(file, head)
            stored, _ = source.read_array(image.offset, image.shape, image.dtype, head)
    except _NotConvertedError as failure:
        raise _explain(path, series, failure) from None
    except ScanError as error:
        if str(path) in error.problem:
            raise
        # its words name the temporary file
        raise imaging_errors.conversion_failed(path, "dcm2niix made no usable 3D image of it") from None
    check_agreement(path, series, image.geometry.affine, image.shape)
    return image, stored


class _NotConvertedError(Exception):
    """dcm2niix did not make one image; the text says what it did."""


def _explain(path: Path, series: DicomSeries, failure: _NotConvertedError) -> AdclipError:
    """Return the error of a series that dcm2niix could not convert: each file is tried alone, until the time is over."""
    try:
        find_bare(series)
    except ScanError as error:
        return error
    codec, began = codec_name(series), time.monotonic()
    broken: list[Path] = []
    for file in series.paths:
        try:
            with _converted(path, (file,)):
                pass
        except _NotConvertedError:
            broken.append(file)
        except ScanError:
            break
        if time.monotonic() - began > DIAGNOSIS_S:
            break
    if not broken:
        return imaging_errors.conversion_failed(path, str(failure))
    if len(broken) == len(series.paths) and not is_well_known(series):
        return MissingPackageError(*dicom_errors.no_decoder(path, codec).args)
    return dicom_errors.broken_pixels(broken[0], codec, others=len(broken) - 1)


@contextmanager
def _converted(path: Path, files: Sequence[Path]) -> Iterator[Path]:
    """Convert files to one NIfTI file in a private temporary folder, removed when the block ends."""
    program = _find_program()
    with private_folder() as private:
        input_folder, output_folder = private / "dicom", private / "nifti"
        input_folder.mkdir()
        output_folder.mkdir()
        for number, file in enumerate(files):
            _link(file.resolve(), input_folder / f"{number:06d}.dcm")
        # -b n: no sidecar, which would repeat tags; -f: no tag in a file name; -x i: as the scanner stored it, neither
        # cropped nor turned; -g i: the user's own defaults for dcm2niix play no part.
        options = ("-g", "i", "-b", "n", "-z", "n", "-x", "i", "-f", "scan")
        try:
            done = subprocess.run(  # noqa: S603  the program comes from a package, the arguments from here
                [program, *options, "-o", str(output_folder), str(input_folder)],
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
        images = [file for file in output_folder.iterdir() if file.suffix == ".nii"]
        if not images or done.returncode != 0:  # a file cut short ends here
            raise _NotConvertedError(f"dcm2niix ended with code {done.returncode}, {len(images)} images")
        if len(images) > 1:
            raise imaging_errors.conversion_failed(path, f"dcm2niix made {len(images)} images of it, not one")
        yield images[0]


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
