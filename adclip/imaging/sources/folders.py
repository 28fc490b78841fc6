"""What lies in a folder: scan files, pairs, DICOM folders and FreeSurfer subjects, each once, and nothing derived."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from adclip.imaging.formats.geometry import FEWEST_VOXELS
from adclip.imaging.formats.names import NIFTI, format_of, is_dicom, is_slice_pointer, pair_of, strip_ending
from adclip.imaging.sources.archives import is_other_contrast
from adclip.imaging.sources.ours import PREPROC_SUFFIX, is_our_dataset

# ADNI's ids hold `_`, which BIDS does not allow and some have written all the same; OASIS-3's older files say `sess-`.
BIDS_NAME = re.compile(r"sub-(?P<sub>\d{3}_S_\d{4,5}|[^_/]+)(?:_sess?-(?P<ses>[^_/]+))?(?:_|$)")
# In the order of choice: conformed and otherwise untouched; normalised to white matter 110; averaged and not conformed.
FREESURFER_IMAGES = ("orig.mgz", "T1.mgz", "rawavg.mgz")

# Last words of a file name that say "not the scan itself" (BIDS suffixes, FreeSurfer, SynthSeg, MUSE, adclip's own maps).
# fmt: off
_DERIVED = frozenset({
    "mask", "brainmask", "seg", "dseg", "probseg", "label", "labels", "labelmap", "aseg",
    "aparc", "dlmuse", "muse", "synthseg", "parc", "wmparc", "xfm", "warp", "heatmap",
    "bold", "sbref", "dwi", "t2w", "flair", "pdw", "t2star", "t2starw", "epi", "swi", "asl", "m0scan",
    "angio", "fieldmap", "phasediff", "magnitude1", "magnitude2", "t1map", "t2map", "unit1",
})
# Suffixes of BIDS for images of a head that are neither T1w nor named above; in other names these words may mean anything.
_BIDS_OTHERS = frozenset({
    "mp2rage", "irt1", "vfa", "megre", "mese", "mpm", "mts", "mtr", "inplanet1", "inplanet2", "pdt2", "defacemask", "r1map", "r2map",
    "r2starmap", "t2starmap", "pdmap", "mtsat", "mtrmap", "chimap", "s0map", "m0map", "tb1map", "rb1map", "tb1tfl", "tb1rfm", "tb1epi",
})
# fmt: on
# What a T1w image can be computed from, or what is computed in its place: whose person is named where there is no T1w.
_T1_FAMILY = re.compile(r"_(UNIT1|T1map|R1map|MP2RAGE|IRT1|VFA|MPM|MTS)\.nii(\.gz)?$")
# One of the two images that MP2RAGE is made of, in BIDS' way, in that of older converters (`acq-INV1_T1w`), or as a last word.
_INVERSION = re.compile(
    r"(^|_)(inv-[12]|(acq|rec|desc)-[^_]*inv-?[12])(?![0-9])|(^|[._-])inv[._-]?[12]$", re.IGNORECASE
)
_NOT_RAW = frozenset({"derivatives", "sourcedata", "code"})  # BIDS folders that hold no raw scans
_NOT_PEOPLE = re.compile(r"fsaverage|lost\+found$")  # FreeSurfer's average brains; what a file system check saves
T1W = re.compile(r"_T1w\.nii(\.gz)?$")
_ENTITY = re.compile(r"(sub|ses|acq|run|task|rec)-")  # `sub-muse` is a person


@dataclass(frozen=True)
class Listing:
    """What lies in a folder: scans by name, and files that look like scans and were left out, by reason.

    `without_t1w` holds who has images of the T1 family and none that is T1w: `sub-X[_ses-Y]` -> what there is.
    """

    scans: list[Path]
    skipped: dict[str, list[Path]]
    without_t1w: dict[str, list[str]] = field(default_factory=dict)


def list_scans(folder: Path) -> Listing:
    """List the scans of a folder and its subfolders, in the order of their names.

    Parameters
    ----------
    folder : Path
        Any folder. In an adclip derivatives dataset all its images are listed, in a BIDS dataset only `*_T1w`; where
        files have BIDS names, as in the folder of a subject, no other contrast is.

    Returns
    -------
    Listing
        Files, folders that hold DICOM files, and subfolders that may not be read (so that reading them tells). What BIDS
        names as something else is left out without a word.

    Raises
    ------
    OSError
        If the folder itself cannot be read.
    """
    own = freesurfer_image(folder)
    if own is not None:
        return Listing([own], {})
    if is_our_dataset(folder):
        return Listing([path for path in _walk(folder, frozenset(), set()) if path.name.lower().endswith(NIFTI)], {})
    if (folder / "dataset_description.json").is_file() or any(folder.glob("sub-*/")):
        paths = list(_walk(folder, _NOT_RAW, set()))
        named = [path for path in paths if _is_t1w(path)]
        if named:
            without_bids_name = [path for path in paths if not T1W.search(path.name) and not _is_bids(path)]
            return Listing(
                named,
                {"without BIDS names": [path for path in without_bids_name if not _is_derived(path.name)]},
                _find_without_t1w(paths),
            )
    paths = list(_walk(folder, frozenset(), set()))
    without_t1w = _find_without_t1w(paths)
    if any(_is_bids(path) and _is_t1w(path) for path in paths):
        paths = [path for path in paths if not _is_bids(path) or _is_t1w(path)]
    spoken_of = [path for path in paths if without_t1w and _of_t1_family(path) is not None]
    derived = [path for path in paths if _is_derived(path.name) and path not in spoken_of]
    scans = [path for path in paths if not _is_derived(path.name)]
    return Listing(scans, {"named as masks, maps or other contrasts": derived}, without_t1w)


def holds_raw(folder: Path) -> bool:
    """Tell whether a derivatives dataset that adclip made holds scans that it did not make."""
    scans = _walk(folder, frozenset(), set())
    return any(not path.name.endswith(PREPROC_SUFFIX) and not _is_derived(path.name) for path in scans)


def freesurfer_image(folder: Path) -> Path | None:
    """Return the image to read of a FreeSurfer subject's folder, or of its `mri` folder; None if it is neither."""
    for place in (folder / "mri", *([folder] if folder.name == "mri" else [])):
        for name in FREESURFER_IMAGES:
            if (place / name).is_file():
                return place / name
    return None


def is_freesurfer(path: Path) -> bool:
    """Tell whether a file is one of FreeSurfer's whole-head images at its place, `SUBJECT/mri/orig.mgz`."""
    return path.name in FREESURFER_IMAGES and path.parent.name == "mri"


# ----------------------------------------------------------------------------------------------- walking


def _walk(folder: Path, skip: frozenset[str], visited: set[tuple[int, int]]) -> Iterator[Path]:
    """Yield scans below `folder` by name; hidden folders and nested adclip derivatives are left out.

    Links to folders are followed, and no folder is entered twice, so that a circle of links ends.
    """
    state = folder.stat()
    if (state.st_dev, state.st_ino) in visited:
        return
    visited.add((state.st_dev, state.st_ino))
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if any(is_dicom(path) for path in entries) or _is_series_of_pointers(entries):
        yield folder
    for path in entries:
        if not path.is_dir():
            if format_of(path.name) in ("nifti", "mgh") or (_is_first_of_pair(path) and not is_dicom(path)):
                yield path
        elif path.name not in skip and not _NOT_PEOPLE.match(path.name) and not is_our_dataset(path):
            image = freesurfer_image(path)
            if image is not None:
                yield image
                continue
            try:
                yield from _walk(path, skip, visited)
            except OSError:
                yield path


def _is_series_of_pointers(entries: list[Path]) -> bool:
    """Tell whether a folder holds as many pointers as a series has slices: a data set of which DICOM files were not fetched."""
    pointers = (path for path in entries if is_slice_pointer(path))
    return sum(1 for _ in islice(pointers, FEWEST_VOXELS)) == FEWEST_VOXELS


def _is_first_of_pair(path: Path) -> bool:
    """Tell whether a file stands for its pair: the header where it exists, else the voxels alone."""
    if format_of(path.name) != "pair":
        return False
    header, voxels = pair_of(path)
    return path == header or (path == voxels and not header.is_file())


def _is_bids(path: Path) -> bool:
    return BIDS_NAME.match(path.name) is not None and format_of(path.name) == "nifti"


def _is_t1w(path: Path) -> bool:
    return T1W.search(path.name) is not None and not _is_inversion(path.name)


def _is_inversion(name: str) -> bool:
    return _INVERSION.search(re.sub(r"(sub|ses)-[^_]+_?", "", strip_ending(name))) is not None


def _of_t1_family(path: Path) -> str | None:
    """Return what a file with a BIDS name is beside T1w; None for others."""
    if not _is_bids(path):
        return None
    if _is_inversion(path.name):
        return "inversion images"
    match = _T1_FAMILY.search(path.name)
    return match[1] if match else None


def _find_without_t1w(paths: list[Path]) -> dict[str, list[str]]:
    """Return subjects and sessions that have images of the T1 family and no T1w, with what they have."""
    kinds: dict[str, set[str]] = {}
    with_t1w = set()
    for path in paths:
        if (match := BIDS_NAME.match(path.name)) is None:
            continue
        who = match[0].rstrip("_")
        if _is_t1w(path):
            with_t1w.add(who)
        elif kind := _of_t1_family(path):
            kinds.setdefault(who, set()).add(kind)
    return {who: sorted(kinds[who]) for who in sorted(kinds) if who not in with_t1w}


def entities_of(name: str) -> dict[str, str]:
    """Return the entities of a BIDS name: `sub-01_acq-a_T1w.nii` gives `sub` and `acq`."""
    return dict(re.findall(r"(?:^|_)([A-Za-z]+)-([^_.]+)", name))


def _is_derived(name: str) -> bool:
    """Tell by the last word of a name: `anna_mask`, `aparc+aseg`, `x-seg`, but neither `muse_01_T1` nor `sub-muse`."""
    if _is_inversion(name) or is_other_contrast(name):
        return True
    name_parts = re.findall(r"[a-z0-9-]+", strip_ending(name).lower())
    last = name_parts[-1].strip("-") if name_parts else ""
    if _ENTITY.match(last):
        return False
    return last.rpartition("-")[2] in _DERIVED or (BIDS_NAME.match(name) is not None and last in _BIDS_OTHERS)
