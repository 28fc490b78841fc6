"""Which of several T1w files of one session is read: the one that covers most of a head in the smallest voxels."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adclip.errors import AdclipError
from adclip.imaging.formats import nifti
from adclip.imaging.formats.stored import StoredImage
from adclip.imaging.formats.stream import open_source
from adclip.imaging.sources.agents import has_contrast_agent
from adclip.imaging.sources.folders import BIDS_NAME, T1W, entities_of

# Left-right, back to front, bottom to top: a field of view that holds an adult's brain; more of it is no gain.
HEAD_MM = (140.0, 170.0, 140.0)
COVERAGE_STEP = 0.05  # two files that differ by less cover a head alike
SIZE_STEP_MM = 0.1  # the same for voxel sizes
_AXES = ("LR", "PA", "IS")
# OASIS-3 has a folder for each image of a session: `anat2/`, `anat3/NIFTI/`, from XNAT `anat2-T1w/resources/NIFTI/files/`
_IMAGE_FOLDER = re.compile(r"anat\d+(-T1w)?", re.IGNORECASE)
_IMAGE_FLOORS = 4  # folders above a file that are looked at


@dataclass(frozen=True)
class Choice:
    """One of several files: `reason` says what it was preferred for, `others` come next, in this order."""

    path: Path
    others: tuple[Path, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class _Rank:
    """What decides, in the order in which it does; the smallest comes first."""

    refused: bool
    coverage: float  # negative share of HEAD_MM
    unlike: int  # contrast agent, phase images, files made of others
    size_mm: tuple[float, ...]  # largest first
    name: tuple[object, ...]

    def key(self) -> tuple[object, ...]:
        return (self.refused, self.coverage, self.unlike, self.size_mm, self.name)


def choose_runs(paths: list[Path]) -> list[Choice]:
    """Choose one of several BIDS T1w files of a subject and session that lie side by side, or in numbered `anat` folders.

    Parameters
    ----------
    paths : list of Path
        Scans of a folder; those without a BIDS name are kept as they are.

    Returns
    -------
    list of Choice
        In the order in which the first file of each group was given.

    Notes
    -----
    By their headers, read only where there are several: first what can be read at all; of these what covers most of a
    head, in steps of 5 %; of these without contrast agent, `part-phase`, `desc-` and `space-`; of these the smallest
    voxels, the largest side counting, in steps of 0.1 mm; of these without `rec-`, the first `acq-` and the lowest `run-`, none before
    any; numbers count as numbers.
    """
    groups: dict[tuple[Path, str, str], list[Path]] = defaultdict(list)
    for path in paths:
        match = BIDS_NAME.match(path.name) if T1W.search(path.name) else None
        key = (_place_of(path), match["sub"], match["ses"] or "") if match else (path, "", "")
        groups[key].append(path)
    return [_choose(group) for group in groups.values()]


def _place_of(path: Path) -> Path:
    """Return the folder in which a scan lies beside the others of its session."""
    for folder in list(path.parents)[:_IMAGE_FLOORS]:
        if _IMAGE_FOLDER.fullmatch(folder.name):
            return folder.parent
    return path.parent


def _choose(group: list[Path]) -> Choice:
    if len(group) == 1:
        return Choice(group[0])
    ranks = {path: _rank(path) for path in group}
    first, *others = sorted(group, key=lambda path: ranks[path].key())
    return Choice(first, tuple(others), _say_why(ranks[first], ranks[others[0]]))


def _say_why(first: _Rank, second: _Rank) -> str:
    if first.refused:
        return "none of them has a header that can be used"
    if second.refused:
        return "its header can be used"
    if first.coverage != second.coverage:
        return f"it covers {-first.coverage:.0%} of a head, the next {-second.coverage:.0%}"
    if first.unlike != second.unlike:
        return "the plainest of them"
    if first.size_mm != second.size_mm:
        mine, theirs = (" x ".join(f"{size:.1f}" for size in rank.size_mm) for rank in (first, second))
        return f"its voxels are {mine} mm, those of the next {theirs}"
    return "the first by its name, as they cover a head alike in voxels of one size"


def _rank(path: Path) -> _Rank:
    entities = entities_of(path.name)
    unlike = sum(name in entities for name in ("desc", "space")) + (entities.get("part") in ("phase", "real", "imag"))
    unlike += has_contrast_agent(path)
    acquisition, run = (_natural(entities.get(name, "")) for name in ("acq", "run"))
    name = ("rec" in entities, acquisition, run, _natural(path.name))
    try:
        image = _read_header(path)
    except AdclipError:
        return _Rank(True, 0.0, unlike, (), name)
    return _Rank(False, -_coverage(image), unlike, _sizes(image), name)


def _read_header(path: Path) -> StoredImage:
    with open_source(path) as source:
        image = nifti.parse_single(path, source.read(nifti.HEAD_BYTES))
        source.check_size(image.offset, image.shape, image.dtype)
    return image


def _coverage(image: StoredImage) -> float:
    """Return the share of HEAD_MM that the field of view fills, rounded to COVERAGE_STEP."""
    codes = str(image.geometry.facts["stored_orientation"])
    sizes = np.linalg.norm(image.geometry.affine[:3, :3], axis=0)
    share = 1.0
    for code, size, count in zip(codes, sizes, image.shape, strict=True):
        axis = next(axis for axis, pair in enumerate(_AXES) if code in pair)
        share *= min(float(size) * count / HEAD_MM[axis], 1.0)
    return round(round(share / COVERAGE_STEP) * COVERAGE_STEP, 2)


def _sizes(image: StoredImage) -> tuple[float, ...]:
    sizes = np.linalg.norm(image.geometry.affine[:3, :3], axis=0)
    return tuple(sorted((round(round(float(size) / SIZE_STEP_MM) * SIZE_STEP_MM, 1) for size in sizes), reverse=True))


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key in which run-2 comes before run-10."""
    parts = [part for part in re.split(r"(\d+)", text) if part]
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
