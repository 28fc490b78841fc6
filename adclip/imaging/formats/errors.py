"""What can go wrong in `adclip.imaging.formats`, each with its remedy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from adclip.errors import ScanError
from adclip.imaging import cures
from adclip.runtime.paths import legible

# Files of OASIS-1's discs. clinica's converter has the directions that FreeSurfer gives SUBJ_111; the files in RAW lie alike. Of the
# atlas' side nothing is documented there.
_OASIS_1 = re.compile(r"OAS1_\d{4}_MR\d_mpr(-\d|_n\d)_anon(_sbj_111|(?P<atlas>_111_t88))?[\w.]*$", re.IGNORECASE)
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
    return ScanError(
        f"{path}: no NIfTI header found, and nothing else that adclip knows",
        "copy or download it again; if another program wrote it, export the scan as NIfTI from there",
    )


def damaged_header(path: Path | str, why: str) -> ScanError:
    return ScanError(
        f"{path}: the NIfTI header is damaged: {why}",
        "copy or download it again; if it is so at its source too, export or convert the scan again",
    )


def header_of_pair(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: the header of a pair of files (its magic word is `ni1`), with the name of a single file",
        "name it .hdr, put the .img of the same name beside it, and give the .hdr",
    )


def another_content(path: Path | str, what: str, cure: str) -> ScanError:
    return ScanError(f"{path}: not what its name says, this is {what}", cure.replace("FILE", shlex.quote(str(path))))


def pointer(path: Path, owner: str, count: int = 1) -> ScanError:
    folder, name = shlex.quote(str(path.parent)), shlex.quote(path.name)
    what = f"a pointer of {owner}" if count == 1 else f"a pointer of {owner}, as {count - 1} more in this folder"
    fetch = f"git -C {folder} annex get {name if count == 1 else '.'}"
    if owner == "Git LFS":
        fetch = f"git -C {folder} lfs pull" + (f" --include {name}" if count == 1 else "")
    return ScanError(f"{path}: {what}; the scan itself has not been fetched", f"fetch it: `{fetch}`, then run again")


def bad_name(path: Path | str) -> ScanError:
    return ScanError(
        f"{legible(path)}: a name that is not UTF-8, so no table and no result can hold it",
        "rename it (`ls -b` shows its bytes; `convmv -f latin1 -t utf8 --notest -r FOLDER` renames all in a folder)",
    )


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
    remedy = "give one 3D T1 volume"
    if len(shape) > 3 and min(shape) > 0:
        remedy += f"; this line takes the first of the series, its last number says which: {cures.first_volume(path)}"
    return ScanError(f"{path}: expected a 3D image, found shape {shape}", remedy)


def bad_type(path: Path | str, kind: str) -> ScanError:
    return ScanError(f"{path}: voxels are {kind}, not plain numbers", "export the scan with one real value per voxel")


def not_finite(path: Path | str, count: int, of: int) -> ScanError:
    if count == of:
        return ScanError(
            f"{path}: all voxels are NaN or infinite", "the file holds no image; export the scan again from its source"
        )
    return ScanError(
        f"{path}: {count} voxels are NaN or infinite",
        f"if they stand for voxels without a value, set them to 0, and give the new file: {cures.clear_nan(path)}; "
        "otherwise export the scan again",
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


def fill(
    path: Path | str, count: int, place: tuple[int, ...], value: float, others: tuple[float, float], limit: float
) -> ScanError:
    return ScanError(
        f"{path}: {count:,} voxels hold an impossible value, such as {value:.3g} at index {place}; all others lie between "
        f"{others[0]:.4g} and {others[1]:.4g}",
        f"if that stands for voxels without a value, set them to 0, and give the new file: {cures.clear_above(path, limit)}",
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
    remedy = "if you know for certain where its axes point, say so, for example `--orientation LAS`"
    if known := _OASIS_1.search(Path(path).name):
        remedy = (
            "this is OASIS-1's file on its atlas (T88_111); give the person's file in SUBJ_111 or RAW with `--orientation ASL`"
            if known["atlas"]
            else "OASIS-1's RAW and SUBJ_111 files are read as ASL by FreeSurfer and clinica; to do so too, add `--orientation ASL`"
        )
    return ScanError(f"{path}: the header has no orientation, so left and right are unknown", remedy)


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
