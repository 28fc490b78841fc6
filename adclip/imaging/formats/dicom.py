"""A folder of DICOM files: headers read, one series chosen, its slices put in order and checked. No pixels here.

Names, dates, descriptions and UIDs of a header serve for grouping inside these functions and never leave them.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from adclip.errors import ScanError
from adclip.imaging import errors as imaging_errors
from adclip.imaging.formats import contrast, dicom_errors, errors, series_facts
from adclip.imaging.formats.content import HEAD_BYTES, describe, is_dicom_content, pointer_at
from adclip.imaging.formats.deflate import check_inflated
from adclip.imaging.formats.geometry import Geometry, choose_affine, with_facts
from adclip.imaging.formats.names import is_dicom, is_empty_slice, is_slice_pointer
from adclip.imaging.formats.slices import PHILIPS_CREATOR, PHILIPS_SCALE, Slice, frames, stack, to_slice

_TAGS = [
    "SOPClassUID", "ImageType", "Modality", "PatientName", "PatientID", "SeriesInstanceUID", "SeriesNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "RescaleSlope", "RescaleIntercept",
    *contrast.TAGS, contrast.SERIES, contrast.PROTOCOL,
]  # fmt: skip

_FURTHER_TAGS = [PHILIPS_CREATOR, PHILIPS_SCALE, *series_facts.TAGS]
# MR images of PS3.4, B.5: plain, enhanced, enhanced in colour, converted to enhanced
_IMAGES = frozenset(f"1.2.840.10008.5.1.4.1.1.4{part}" for part in ("", ".1", ".3", ".4"))


@dataclass(frozen=True)
class DicomSeries:
    """The files of one series, and the volume they promise: slices in order, geometry checked.

    Parameters
    ----------
    paths : tuple of Path
        In the order of their slices.
    shape : tuple of int
        Columns, rows, slices.
    geometry : Geometry
        Of (column, row, slice) indices.
    slices : tuple of Slice
        In the order of their positions: in which file and frame the pixels of each lie, and how they are scaled.
    syntaxes : frozenset of str
        Transfer syntaxes (UIDs) of the files.
    """

    paths: tuple[Path, ...]
    shape: tuple[int, int, int]
    geometry: Geometry
    slices: tuple[Slice, ...]
    syntaxes: frozenset[str]


def read_series(path: Path, selector: str | None = None) -> DicomSeries:
    """Read the headers of a DICOM folder, or of one multi-frame file, and choose the series to use.

    Parameters
    ----------
    path : Path
        A folder whose own files are looked at, not its subfolders; or a file that holds a whole volume.
    selector : str or None
        Where the folder holds several series: the number of one, its place among them (`2of3`, as the error lists those
        that no number tells apart), or its SeriesInstanceUID.

    Returns
    -------
    DicomSeries
        Slices in the order of their positions.

    Raises
    ------
    ScanError
        If there is no DICOM image, there are several patients or several series and no choice, the images are not MR,
        or the slices do not make one volume. Each case has its own message, and none repeats what a tag says of a
        person.
    """
    with quiet():
        return _read_series(path, selector)


def series_files(path: Path) -> list[tuple[Path, ...]]:
    """Return the files of every series of a DICOM folder, or of one multi-frame file.

    Raises
    ------
    ScanError
        If there is no DICOM image, one is damaged, or there are several patients.
    """
    with quiet():
        return [tuple(file for file, _ in series) for series in _group(path).values()]


def _read_series(path: Path, selector: str | None) -> DicomSeries:
    series = _choose(path, _group(path), selector)
    headers = [header for _, header in series]
    modality = str(headers[0].get("Modality", "MR")).strip().upper()
    if modality not in ("MR", ""):
        raise dicom_errors.not_mr(path, re.sub(r"[^A-Z]", "", modality)[:8])
    if any(int(header.get("SamplesPerPixel", 1) or 1) != 1 for header in headers):
        raise errors.bad_type(path, "colours (RGB)")
    if any("MOSAIC" in str(header.get("ImageType", "")) for header in headers):
        raise dicom_errors.mixed_slices(path, "place within one mosaic image (a time series)")
    if path.is_file() and int(headers[0].get("NumberOfFrames", 1) or 1) == 1:
        raise dicom_errors.single_dicom(path)
    slices = [image_slice for file, header in series for image_slice in _to_slices(path, file, header)]
    order, affine, shape = stack(path, slices)
    geometry = choose_affine(
        path, {"header": affine}, [float(size) for size in np.linalg.norm(affine[:3, :3], axis=0)], shape
    )
    ordered = tuple(slices[index] for index in order)
    if any(contrast.names_agent(header) for header in headers):
        geometry = replace(geometry, flags=(*geometry.flags, contrast.CONTRAST_AGENT))
    return DicomSeries(
        paths=tuple(dict.fromkeys(image_slice.file for image_slice in ordered)),
        shape=shape,
        geometry=with_facts(geometry, format="DICOM", slices=len(slices)),
        slices=ordered,
        syntaxes=frozenset(_syntax(header) for header in headers),
    )


def _to_slices(path: Path, file: Path, header: Any) -> list[Slice]:
    """Return the slices of one file; an enhanced one may hold a single frame and say where it lies as if there were many."""
    if int(header.get("NumberOfFrames", 1) or 1) > 1 or header.get("PerFrameFunctionalGroupsSequence"):
        return frames(path, file, header)
    return [to_slice(path, file, header)]


def _syntax(header: Any) -> str:
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None:  # a data set without meta data: as it was found to be written
        return plain_syntax(*header.original_encoding)
    return str(syntax)


def plain_syntax(implicit: bool, little: bool) -> str:
    """Return the transfer syntax of a data set that is not compressed."""
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


# ----------------------------------------------------------------------------------------------- files to series

_Series = list[tuple[Path, Any]]


def _group(path: Path) -> dict[str, _Series]:
    """Return the images of the folder by SeriesInstanceUID, in the order of their series numbers."""
    from pydicom import dcmread

    try:
        files = [path] if path.is_file() else sorted(path.iterdir())
    except PermissionError:
        raise imaging_errors.unreadable(path) from None
    groups: dict[str, _Series] = defaultdict(list)
    people = set()
    pointers: list[tuple[Path, str]] = []
    empty: list[Path] = []
    for file in files:
        if not is_dicom(file) and not is_slice_pointer(file):
            empty.extend([file] if is_empty_slice(file) else [])
            continue
        if pointer := pointer_at(file):
            pointers.append((file, pointer))
            continue
        try:
            check_inflated(file)
            header = dcmread(file, stop_before_pixels=True, specific_tags=[*_TAGS, *_FURTHER_TAGS], force=True)
            values = {name: header.get(name) for name in _TAGS}  # pydicom looks at a value when it is asked for
            if values["Rows"] is None or values["Columns"] is None:
                _check_not_damaged(file, header)
                continue  # reports, presentation states, DICOMDIR
            _ = [int(values[name] or 1) for name in ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel")]
            people.add((_text(header, "PatientID"), _text(header, "PatientName")))
            groups[_text(header, "SeriesInstanceUID")].append((file, header))
        except ScanError:
            raise
        except PermissionError:
            raise imaging_errors.unreadable(file) from None
        except Exception:  # on damaged files pydicom raises classes of every kind, some its own without a common base
            raise dicom_errors.damaged_dicom(file) from None
    if pointers:
        raise errors.pointer(*pointers[0], len(pointers))
    if groups and empty:
        raise errors.empty_file(empty[0])
    if not groups:
        raise dicom_errors.no_dicom(path)
    if len(people) > 1:
        raise dicom_errors.several_patients(path, len(people))
    return dict(sorted(groups.items(), key=lambda item: (_number(item[1]) or 0, item[0])))


def _check_not_damaged(file: Path, header: Any) -> None:
    """Refuse a file without rows of pixels that should have some: passed over, it would make the series a smaller one."""
    kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    if str(kind) in _IMAGES:
        raise dicom_errors.cut_header(file)
    if kind is not None or _text(header, "Modality") not in ("", "MR"):
        return
    with file.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise errors.empty_file(file)
    if (known := describe(head)) and not is_dicom_content(head):
        raise errors.another_content(file, *known)
    raise dicom_errors.damaged_dicom(file)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from quoting what it finds odd in a tag, as long as the block runs."""
    log = logging.getLogger("pydicom")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _choose(path: Path, groups: dict[str, _Series], selector: str | None) -> _Series:
    if selector is None:
        if len(groups) > 1:
            raise dicom_errors.several_series(path, _list(groups.values()), *_sequences(groups.values()))
        return next(iter(groups.values()))
    if selector in groups:
        return groups[selector]
    matches = [series for place, series in _places(groups.values()) if place == selector]
    matches = matches or [series for series in groups.values() if str(_number(series)) == selector]
    if len(matches) > 1:
        same = (_number(series) for series in matches)
        raise dicom_errors.same_series_number(path, selector, _list(groups.values(), only=set(same)))
    if not matches:
        raise dicom_errors.no_such_series(path, selector[:64], _list(groups.values()))
    return matches[0]


def _places(groups: Iterable[_Series]) -> list[tuple[str, _Series]]:
    """Name each series by its place among all, `2of3`, which is the same as long as the folder is."""
    ordered = list(groups)
    return [(f"{place}of{len(ordered)}", series) for place, series in enumerate(ordered, start=1)]


def _named(groups: Iterable[_Series]) -> list[tuple[str, _Series]]:
    """Name each series by what is told of it: the number where there is one of it, else the place among all."""
    places = _places(groups)
    counts = Counter(_number(series) for _, series in places)
    return [
        (place if (number := _number(series)) is None or counts[number] > 1 else f"{number}", series)
        for place, series in places
    ]


def _list(groups: Iterable[_Series], only: set[int | None] | None = None) -> str:
    """Series by what `--series` takes, slices and matrix, and what speaks against one.

    That tells them apart and says nothing of a person.
    """
    shown = []
    for name, series in _named(groups):
        header, number = series[0][1], _number(series)
        if only is not None and number not in only:
            continue
        count = max(len(series), int(header.get("NumberOfFrames", 1) or 1))
        lacking = "" if name == f"{number}" else " without number" if number is None else f" with number {number}"
        facts = ", ".join((f"{count} x {int(header.Rows)} x {int(header.Columns)}", *series_facts.say_warnings(header)))
        shown.append(f"{name}{lacking} ({facts})")
    return ", ".join(shown)


def _sequences(groups: Iterable[_Series]) -> tuple[str, str]:
    """Return what to choose first, which nothing speaks against where there is one, and the sequences of all series."""
    named = _named(groups)
    plain = [name for name, series in named if not series_facts.say_warnings(series[0][1])]
    told = [f"{name}: {facts}" for name, series in named if (facts := series_facts.say_sequence(series[0][1]))]
    return (plain or [named[0][0]])[0], "; ".join(told)


def _number(series: _Series) -> int | None:
    text = _text(series[0][1], "SeriesNumber")
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def _text(header: Any, name: str) -> str:
    value = header.get(name)
    return "" if value is None else str(value).strip()
