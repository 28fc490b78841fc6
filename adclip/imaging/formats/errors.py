"""What can go wrong in `adclip.imaging.formats`, each with its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from adclip.errors import ScanError
from adclip.imaging import cures

LARGEST_32_BIT = 3.4028235e38


def bad_path(path: Path | str, why: str) -> ScanError:
    text = str(path)
    return ScanError(
        f"{text if len(text) < 100 else text[:96] + '...'}: cannot be looked at ({why})", "correct the path"
    )


def unknown_kind(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: not the name of a scan that adclip reads",
        "give .nii, .nii.gz, .mgz, .mgh, .img/.hdr, or a folder of DICOM files",
    )


def is_folder(path: Path | str) -> ScanError:
    return ScanError(f"{path}: a folder with the name of a file", "give the file inside it, or rename the folder")


def empty_file(path: Path | str) -> ScanError:
    return ScanError(f"{path}: the file is empty", "copy or download it again")


def not_gzip(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: named .gz, but its content is not gzip",
        "if it is an uncompressed NIfTI, rename it to .nii; otherwise get the file again",
    )


def damaged_gzip(path: Path | str, why: str) -> ScanError:
    return ScanError(f"{path}: the gzip stream is damaged ({why})", "copy or download it again; it cannot be repaired")


def not_nifti(path: Path | str) -> ScanError:
    return ScanError(f"{path}: no NIfTI header found", "convert the scan to NIfTI, e.g. with dcm2niix")


def not_mgh(path: Path | str) -> ScanError:
    return ScanError(f"{path}: no MGH header found", "copy it again, or convert it: `mri_convert IN OUT.nii.gz`")


def half_a_pair(path: Path | str, missing_name: str) -> ScanError:
    return ScanError(
        f"{path}: one file of a pair, and {missing_name} is missing", "put the .hdr and the .img side by side"
    )


def truncated(path: Path | str, expected_bytes: int, available_bytes: int) -> ScanError:
    return ScanError(
        f"{path}: the header promises {expected_bytes} bytes of voxels, the file holds {available_bytes}",
        "copy or download it again; it was cut short",
    )


def too_large(path: Path | str, voxels: int, cap: int) -> ScanError:
    return ScanError(
        f"{path}: the header asks for {voxels:,} voxels, the cap is {cap:,}",
        "a T1 head needs far fewer; check that the header is not damaged",
    )


def not_3d(path: Path | str, shape: tuple[int, ...]) -> ScanError:
    return ScanError(
        f"{path}: expected a 3D image, found shape {shape}",
        "give one 3D T1 volume; from a series take one, e.g. `fslroi IN OUT 0 1`",
    )


def bad_type(path: Path | str, kind: str) -> ScanError:
    return ScanError(f"{path}: voxels are {kind}, not plain numbers", "export the scan with one real value per voxel")


def not_finite(path: Path | str, count: int) -> ScanError:
    return ScanError(
        f"{path}: {count} voxels are NaN or infinite", "replace them (e.g. `fslmaths IN -nan OUT`) or export again"
    )


def constant(path: Path | str) -> ScanError:
    return ScanError(f"{path}: all voxels have the same value", "the file holds no image; export the scan again")


def label_map(path: Path | str, values: int) -> ScanError:
    return ScanError(
        f"{path}: this looks like a label map ({values} values in large even areas)",
        "give the T1 scan itself, not its segmentation",
    )


def mask(path: Path | str) -> ScanError:
    return ScanError(f"{path}: only two values, this is a mask", "give the T1 scan itself, not its mask")


def noise(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: neighbouring voxels have nothing in common, this is noise",
        "check how the file was made: a wrong data type or byte order looks like this",
    )


def overflow(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: voxel values are too large for 32-bit numbers",
        "check the header's scl_slope and scl_inter, or export the scan again",
    )


def wrapped(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: integer overflow, values jump between -32768 and 32767",
        "export the scan again with a type that holds its values, such as float32",
    )


def ct_like(path: Path | str, share: float, low: float) -> ScanError:
    return ScanError(
        f"{path}: intensities look like CT (Hounsfield units): {100 * share:.0f} % of the voxels lie below -200, the lowest at {low:.6g}",
        "adclip reads T1-weighted MRI only; if this is MR whose values were shifted, say so: add `--modality MR`",
    )


def spikes(
    path: Path | str, count: int, place: tuple[int, ...], value: float, usual: tuple[float, float], limit: float
) -> ScanError:
    low, high = usual
    too_large = ", too large for 32-bit numbers" * (abs(value) > LARGEST_32_BIT)
    one = count == 1
    return ScanError(
        f"{path}: {count} voxel{'s' * (not one)} hold{'s' * one} an impossible value: {value:.3g} at index {place}{too_large}, "
        f"where 99.8 % lie between {low:.4g} and {high:.4g}",
        f"set {'it' if one else 'them'} to 0, and give the new file: {cures.clear_above(path, float(f'{limit:.3g}'))}",
    )


def noise_of_full_range(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: the air holds noise over the whole range of values, as in the UNI image of MP2RAGE or a map of T1 times",
        "give the scanner's denoised UNI image (UNI-DEN), or clear the air with the second inversion image of the same "
        f"acquisition and give that file: {cures.mask_air(path)}",
    )


def contradicting_directions(path: Path | str, codes: Mapping[str, str], degrees: float) -> ScanError:
    (first, one), (second, other) = codes.items()
    return ScanError(
        f"{path}: {first} and {second} contradict each other about the directions of the axes: {first} says {one}, {second} says "
        f"{other} ({degrees:.0f} degrees apart)",
        f"find out which is right and drop the other. Without the {first}: {cures.drop_form(path, first)}; without the {second}: "
        f"{cures.drop_form(path, second)}",
    )


def contradicting_sizes(path: Path | str, sizes: Mapping[str, Sequence[float]]) -> ScanError:
    (first, one), (second, other) = (
        (name, " x ".join(f"{size:.4g}" for size in size3)) for name, size3 in sizes.items()
    )
    return ScanError(
        f"{path}: the header states two voxel sizes: {first} {one} mm, {second} and pixdim {other} mm; volumes hang on which is right",
        f"find out which is right and drop the other. Without the {first}: {cures.drop_form(path, first)}; without the {second}: "
        f"{cures.drop_form(path, second)}",
    )


def bad_affine(path: Path | str, why: str) -> ScanError:
    return ScanError(f"{path}: the affine is unusable ({why})", "export the scan again with a valid sform or qform")


def no_orientation(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: the header has no orientation, so left and right are unknown",
        "if you know for certain where its axes point, say so, for example `--orientation LAS`",
    )


def bad_voxel_size(path: Path | str, sizes: tuple[float, ...], hint: str = "") -> ScanError:
    shown = " x ".join(f"{size:.3g}" for size in sizes)
    return ScanError(
        f"{path}: voxel size {shown} mm is impossible for a head scan",
        "check the header's pixdim and units" + (f": {hint}, adclip reads millimetres" if hint else ""),
    )


def too_small(path: Path | str, shape: tuple[int, ...], extent_mm: tuple[float, ...]) -> ScanError:
    shown = " x ".join(f"{size:.0f}" for size in extent_mm)
    return ScanError(
        f"{path}: shape {shape} covers only {shown} mm, too little for a head",
        "give the full 3D T1 scan, not a localiser or a slab",
    )


def no_dicom(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: no DICOM images directly in this folder", "give the folder that holds the files of one series"
    )


def damaged_dicom(path: Path | str) -> ScanError:
    return ScanError(f"{path}: no readable DICOM header", "copy the file again, or remove it if it is no image")


def single_dicom(path: Path | str) -> ScanError:
    return ScanError(f"{path}: one DICOM slice", "give the folder that holds all slices of the series")


def several_patients(path: Path | str, count: int) -> ScanError:
    return ScanError(f"{path}: DICOM files of {count} patients", "put each patient's files into a folder of their own")


def several_series(path: Path | str, listing: str) -> ScanError:
    first = listing.split(" ")[0]
    return ScanError(
        f"{path}: several DICOM series: {listing}",
        f"choose the T1 scan by the word it is listed under, such as `--series {first}`",
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
