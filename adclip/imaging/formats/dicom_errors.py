"""What can go wrong with DICOM files, each with its remedy."""

from __future__ import annotations

from pathlib import Path

from adclip.errors import ScanError
from adclip.imaging import cures


def no_dicom(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: no DICOM images directly in this folder", "give the folder that holds the files of one series"
    )


def damaged_dicom(path: Path | str) -> ScanError:
    return ScanError(f"{path}: no readable DICOM header", "copy the file again, or remove it if it is no image")


def cut_header(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: this DICOM file is cut short: its header ends before it says how large the image is",
        "copy or export this file again, then give the series",
    )


def cut_deflated(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: its deflated data are damaged or cut short", "copy or export this file again, then give the series"
    )


def no_pixels(path: Path | str, count: int, total: int) -> ScanError:
    others = f", as in {count - 1} more of the {total} files of this series" if count > 1 else ""
    return ScanError(
        f"{path}: a DICOM file without pixels{others}: cut short before them, or exported without",
        "copy or export it again, then give the series; tools that take names away may have taken the pixels too",
    )


def cut_pixels(path: Path | str, available_bytes: int, expected_bytes: int) -> ScanError:
    return ScanError(
        f"{path}: this DICOM file is cut short ({available_bytes:,} of {expected_bytes:,} bytes of pixels)",
        "copy or export this file again, then give the series",
    )


def broken_pixels(path: Path | str, codec: str, frame: int | None = None, others: int = 0) -> ScanError:
    where = "" if frame is None else f" of frame {frame}"
    more = f", and those of at least {others} more files" if others else ""
    return ScanError(
        f"{path}: the pixels{where} cannot be decoded ({codec}){more}: damaged or cut short",
        "copy or export this file again, then give the series",
    )


def no_decoder(path: Path | str, codec: str, differing: str | None = None) -> ScanError:
    why = f", and its frames differ in their {differing}, which dcm2niix does not heed" if differing else ""
    return ScanError(
        f"{path}: no decoder for this compression is installed ({codec}){why}",
        "`pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg`, then run again; or export the series uncompressed",
    )


def single_dicom(path: Path | str) -> ScanError:
    return ScanError(f"{path}: one DICOM slice", "give the folder that holds all slices of the series")


def several_patients(path: Path | str, count: int) -> ScanError:
    return ScanError(f"{path}: DICOM files of {count} patients", "put each patient's files into a folder of their own")


def several_series(path: Path | str, listing: str, first: str, sequences: str) -> ScanError:
    told = f" ({sequences})" if sequences else ""
    return ScanError(
        f"{path}: several DICOM series: {listing}",
        f"choose the T1 scan by the word it is listed under, such as `--series {first}`{told}; "
        f"what was written of each, which may name people, shows {cures.show_series(path)}",
    )


def no_such_series(path: Path | str, selector: str, listing: str) -> ScanError:
    first = listing.split(" ")[0]
    return ScanError(
        f"{path}: no DICOM series {selector}; there are: {listing}",
        f"choose by the word a series is listed under, such as `--series {first}`",
    )


def same_series_number(path: Path | str, number: str, listing: str) -> ScanError:
    return ScanError(
        f"{path}: more than one DICOM series has the number {number}: {listing}",
        f"choose one by the word it is listed under, such as `--series {listing.split(' ')[0]}`",
    )


def not_mr(path: Path | str, modality: str) -> ScanError:
    return ScanError(f"{path}: the DICOM modality is {modality}, not MR", "adclip reads T1-weighted MRI only")


def few_slices(path: Path | str, count: int) -> ScanError:
    return ScanError(
        f"{path}: the DICOM series has only {count} slice{'s' * (count != 1)}, like a localiser",
        "give the folder of the full 3D T1 series",
    )


def mixed_slices(path: Path | str, what: str) -> ScanError:
    return ScanError(
        f"{path}: the DICOM slices differ in their {what}",
        "give the folder of one 3D series; localisers and reformatted images do not belong to it",
    )


def no_position(path: Path | str) -> ScanError:
    return ScanError(f"{path}: DICOM slices without position, orientation or pixel size", "export the original series")


def repeated_slices(path: Path | str, count: int) -> ScanError:
    return ScanError(
        f"{path}: {count} DICOM slices lie where another one lies (copies, echoes or repetitions)",
        "keep one file for each position",
    )


def missing_slices(path: Path | str, count: int) -> ScanError:
    return ScanError(
        f"{path}: {count} DICOM slice{'s' * (count != 1)} missing in between", "export the series again, complete"
    )


def uneven_slices(path: Path | str, low: float, high: float) -> ScanError:
    return ScanError(
        f"{path}: DICOM slices are unevenly spaced ({low:.2f} to {high:.2f} mm)",
        "export the series again, complete; resampled or mixed slices do not make a volume",
    )
