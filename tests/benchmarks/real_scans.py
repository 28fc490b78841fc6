"""What the benchmarks of preprocessing share: the real scans, a clock that counts CPU seconds, and a table."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.imaging.sources.files import read_volume
from adclip.imaging.steps.bias import correct_bias
from adclip.imaging.steps.brain import SkullStripper, find_stripped_mask

if os.environ.get("OMP_NUM_THREADS") != "1":  # read when numpy and torch are loaded, so it cannot be set here
    raise SystemExit("OMP_NUM_THREADS=1 python ...: seconds are counted on one thread")

DATA = Path(os.environ.get("ADCLIP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
_ROOM = 2  # voxels kept around the brain, as `prepare` keeps them


def ixi() -> list[Path]:
    """59 heads of 2 mm, healthy, 3 T."""
    return sorted((DATA / "ixi_2mm").glob("*_T1.nii.gz"))


def oasis() -> list[Path]:
    """Two stripped brains of 1 mm."""
    return sorted((DATA / "oasis1_stripped").glob("*.nii.gz"))


def trio() -> list[Path]:
    """One head of 1 mm."""
    return sorted((DATA / "t1_fullres").glob("*t1mprage*.nii*"))


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """`count` of them at even distances."""
    return [paths[int(place)] for place in np.linspace(0, len(paths) - 1, min(count, len(paths)))]


@dataclass
class Clock:
    """CPU seconds (all threads, children included) and wall seconds of a block."""

    cpu: float = 0.0
    wall: float = 0.0


@contextmanager
def clock() -> Iterator[Clock]:
    """Measure the block; CPU seconds are what other work on the machine changes least."""
    taken = Clock()
    cpu, wall = _cpu(), time.perf_counter()
    yield taken
    taken.cpu, taken.wall = _cpu() - cpu, time.perf_counter() - wall


def _cpu() -> float:
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def peak_gb() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


@dataclass(frozen=True)
class Brain:
    """A scan cut to its brain's box: intensities, voxel index to scan mm, and mask, all in RAS+ order."""

    array: NDArray[np.float32]
    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]

    @property
    def sizes_mm(self) -> tuple[float, float, float]:
        x, y, z = (float(size) for size in np.linalg.norm(self.affine[:3, :3], axis=0))
        return x, y, z

    def corrected(self) -> Brain:
        """N4 as in the pipeline."""
        return Brain(correct_bias(self.array, self.mask, self.sizes_mm), self.affine, self.mask)

    def cropped(self) -> Brain:
        """Cut to the box of the mask."""
        used = np.argwhere(self.mask)
        low = np.maximum(used.min(axis=0) - _ROOM, 0)
        window = tuple(slice(int(a), int(b) + 1 + _ROOM) for a, b in zip(low, used.max(axis=0), strict=True))
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ low
        return Brain(self.array[window], affine, self.mask[window])

    def corners_mm(self) -> NDArray[np.float64]:
        """Return the 8 corners of the mask's box in scan mm, homogeneous, shape (4, 8)."""
        used = np.argwhere(self.mask)
        low, high = used.min(axis=0) - 0.5, used.max(axis=0) + 0.5
        corners = [[(low, high)[one >> axis & 1][axis] for axis in range(3)] + [1.0] for one in range(8)]
        return np.asarray(self.affine @ np.array(corners).T)


def read_head(path: Path, stripper: SkullStripper) -> Brain:
    """Whole field of view, with the brain's mask. The mask of a stripped scan is its non-zero piece.

    Masks are kept in the folder ADCLIP_BENCH_MASKS, where that is set: several benchmarks need the same ones.
    """
    volume = read_volume(path)
    kept = os.environ.get("ADCLIP_BENCH_MASKS")
    file = Path(kept) / f"{path.name.split('.')[0]}.npz" if kept else None
    if file is not None and file.is_file():
        mask = np.load(file)["m"]
    else:
        found = find_stripped_mask(volume)
        mask = stripper(volume) if found is None else found
        if file is not None:
            np.savez_compressed(file, m=mask)
    return Brain(volume.array, volume.affine, mask)


def say(text: str = "") -> None:
    """Write one line at once: long runs are watched."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])
