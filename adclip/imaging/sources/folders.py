"""What lies in a folder: scan files, pairs, DICOM folders and FreeSurfer subjects, each once, and nothing derived."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adclip.imaging.formats.names import NIFTI, format_of, is_dicom, pair_of, strip_ending
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
    "angio", "fieldmap", "phasediff", "magnitude1", "magnitude2", "t1map", "t2map",
})
# fmt: on
_NOT_RAW = frozenset({"derivatives", "sourcedata", "code"})  # BIDS folders that hold no raw scans
_NOT_PEOPLE = re.compile(r"fsaverage|lost\+found$")  # FreeSurfer's average brains; what a file system check saves
_T1W = re.compile(r"_T1w\.nii(\.gz)?$")
_ENTITY = re.compile(r"(sub|ses|acq|run|task|rec)-")  # `sub-muse` is a person


@dataclass(frozen=True)
class Listing:
    """What lies in a folder: scans by name, and files that look like scans and were left out, by reason."""

    scans: list[Path]
    skipped: dict[str, list[Path]]


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
        named = [path for path in paths if _T1W.search(path.name)]
        if named:
            without_bids_name = [path for path in paths if not _T1W.search(path.name) and not _is_bids(path)]
            return Listing(
                named, {"without BIDS names": [path for path in without_bids_name if not _is_derived(path.name)]}
            )
    paths = list(_walk(folder, frozenset(), set()))
    if any(_is_bids(path) and _T1W.search(path.name) for path in paths):
        paths = [path for path in paths if not _is_bids(path) or _T1W.search(path.name)]
    derived = [path for path in paths if _is_derived(path.name)]
    scans = [path for path in paths if not _is_derived(path.name)]
    return Listing(scans, {"named as masks, maps or other contrasts": derived})


def holds_raw(folder: Path) -> bool:
    """Tell whether a derivatives dataset that adclip made holds scans that it did not make."""
    scans = _walk(folder, frozenset(), set())
    return any(not path.name.endswith(PREPROC_SUFFIX) and not _is_derived(path.name) for path in scans)


def choose_runs(paths: list[Path]) -> dict[Path, tuple[Path, ...]]:
    """Choose one of several BIDS T1w files of a subject and session that lie side by side.

    Parameters
    ----------
    paths : list of Path
        Scans of a folder; those without a BIDS name are kept as they are.

    Returns
    -------
    dict
        Chosen path to the paths it was preferred to, in the order given.

    Notes
    -----
    First without `rec-`, `ce-`, `desc-`, `space-` and `part-phase`; of these the first `acq-`, none before any; of
    these the lowest `run-`, none before any; numbers count as numbers.
    """
    groups: dict[tuple[Path, str, str], list[Path]] = defaultdict(list)
    for path in paths:
        match = BIDS_NAME.match(path.name) if _T1W.search(path.name) else None
        key = (path.parent, match["sub"], match["ses"] or "") if match else (path, "", "")
        groups[key].append(path)
    chosen = {}
    for group in groups.values():
        first, *other_runs = sorted(group, key=_preference)
        chosen[first] = tuple(other_runs)
    return chosen


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
    if any(is_dicom(path) for path in entries):
        yield folder
    for path in entries:
        if not path.is_dir():
            if format_of(path.name) in ("nifti", "mgh") or _is_first_of_pair(path):
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


def _is_first_of_pair(path: Path) -> bool:
    """Tell whether a file stands for its pair: the header where it exists, else the voxels alone."""
    if format_of(path.name) != "pair":
        return False
    header, voxels = pair_of(path)
    return path == header or (path == voxels and not header.is_file())


def _is_bids(path: Path) -> bool:
    return BIDS_NAME.match(path.name) is not None and format_of(path.name) == "nifti"


def _is_derived(name: str) -> bool:
    """Tell by the last word of a name: `anna_mask`, `aparc+aseg`, `x-seg`, but neither `muse_01_T1` nor `sub-muse`."""
    name_parts = re.findall(r"[a-z0-9-]+", strip_ending(name).lower())
    last = name_parts[-1].strip("-") if name_parts else ""
    return is_other_contrast(name) or (not _ENTITY.match(last) and last.rpartition("-")[2] in _DERIVED)


def _preference(path: Path) -> tuple[object, ...]:
    entities = dict(re.findall(r"(?:^|_)([A-Za-z]+)-([^_.]+)", path.name))
    unusual = sum(name in entities for name in ("rec", "ce", "desc", "space")) + (entities.get("part") == "phase")
    return (unusual, _natural(entities.get("acq", "")), _natural(entities.get("run", "")), _natural(path.name))


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key in which run-2 comes before run-10."""
    parts = [part for part in re.split(r"(\d+)", text) if part]
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
