"""Real heads with a known change in them, made by an injector that is not ours: PyPI `bidsgate`, for benchmarks only.

    python -m pip install --no-deps --target /tmp/adclip-bench/bidsgate bidsgate==0.3.0
    OMP_NUM_THREADS=1 python tests/benchmarks/injected_heads.py [--heads N] [--workers 2] [--cache FOLDER]

A region (DLMUSE label of the same scan) is contracted about its centroid by bidsgate's `inject`, each side by itself; the
tissue within 12 mm moves along. The changed head then takes the whole road of a user's scan, and is kept as
FOLDER/injected/SCAN_VARIANT.npz, with what was really injected in SCAN_VARIANT.json: bidsgate names a factor, but a bent
hippocampus is not contracted by exactly that, so its mask is carried along by bidsgate's own displacement and
summed (linear, not thresholded).

What to know of the variants:
- `0` goes through the injector with factor 1, but that is no blur: each voxel is sampled where it lies, and the head
  comes back unchanged to the last bit. What interpolation alone does is told by `back`: contracted by 0.8 and expanded by
  1.3, which leaves 0.99 to 1.01 of the hippocampus, twice interpolated where the others are once.
- Factors above 1 fall short. The uniform zone is the region before the change, so what grows out of it grows less and less:
  `ventricles`, asked for 1.5, become about 1.25 times as large, and take the hippocampus along (about 1.1).
  Every table has what was injected beside what was asked for.
- `sham` contracts the triangular part of the inferior frontal gyrus to 70 %: as large as a hippocampus (median 3.9
  and 3.6 mL against 4.1 and 3.7), 26 mm from the medial temporal lobe and 17 mm from the ventricles.
- `both` enlarges the ventricles first, so that the hippocampus is contracted where it lies then.
- In one scan DLMUSE gave most of one hippocampus the code of the other: no region there, so it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from prepared_heads import CACHE, HIPPOCAMPUS, LATERAL, Head, get_ready, read_head, ready_ixi, spread_over_age, stem
from real_scans import ixi, say
from scipy import ndimage

BIDSGATE = "0.3.0"
SHAM = (205, 204)  # triangular part of the inferior frontal gyrus, left and right
VARIANTS: dict[str, tuple[tuple[tuple[int, int], float], ...]] = {
    "0": ((HIPPOCAMPUS, 1.0),),
    "10": ((HIPPOCAMPUS, 0.9),),
    "20": ((HIPPOCAMPUS, 0.8),),
    "30": ((HIPPOCAMPUS, 0.7),),
    "back": ((HIPPOCAMPUS, 0.8), (HIPPOCAMPUS, 1.3)),
    "sham": ((SHAM, 0.7),),
    "ventricles": ((LATERAL, 1.5),),
    "both": ((LATERAL, 1.5), (HIPPOCAMPUS, 0.7)),
}
MIXED_UP = 0.5  # difference of the hippocampi over their sum; 0.1 is much in life
WATCHED = {"hippocampus_left": HIPPOCAMPUS[0], "hippocampus_right": HIPPOCAMPUS[1],
           "lateral_left": LATERAL[0], "lateral_right": LATERAL[1], "sham_left": SHAM[0], "sham_right": SHAM[1]}  # fmt: skip


@dataclass(frozen=True)
class Injected:
    """One changed head and what was done to it."""

    head: Head
    truth: dict[str, Any]


def load_bidsgate(cache: Path) -> Any:
    """Import the pinned injector from the cache folder or the environment, or say how to get it."""
    place = cache / "bidsgate"
    if place.is_dir():
        sys.path.insert(0, str(place))
    try:
        from importlib.metadata import version

        from bidsgate import inject_atrophy
    except ImportError:
        raise SystemExit(
            f"{sys.executable} -m pip install --no-deps --target {place} bidsgate=={BIDSGATE}   # for benchmarks only"
        ) from None
    if version("bidsgate") != BIDSGATE:
        raise SystemExit(f"bidsgate {version('bidsgate')} found, {BIDSGATE} needed: numbers would not be comparable")
    return inject_atrophy


def usable(paths: list[Path], cache: Path) -> list[Path]:
    """Leave out the scans whose reference gave one hippocampus the code of the other."""
    kept = []
    for path in paths:
        head = ready_ixi(path, cache)
        left, right = (head.reference_mm3((code,)) for code in HIPPOCAMPUS)
        if abs(left - right) <= MIXED_UP * (left + right):
            kept.append(path)
    return kept


def ready_injected(path: Path, variant: str, cache: Path) -> Injected:
    """Return one changed head, prepared like a user's scan; made at the first call."""
    kept = cache / "injected" / f"{stem(path)}_{variant}.npz"
    told = kept.with_suffix(".json")
    head = read_head(kept)
    if head is not None and told.is_file():
        return Injected(head, json.loads(told.read_text()))
    kept.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        changed, truth = inject(path, variant, Path(folder), load_bidsgate(cache))
        if _same_voxels(changed, path):  # no need to prepare it again: seen to be equal to the last bit on five heads
            ready_ixi(path, cache)
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.link(cache / "ixi" / f"{stem(path)}.npz", kept)
        else:
            get_ready(changed, kept)
    part = told.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(truth, indent=1))
    os.replace(part, told)
    made = read_head(kept)
    assert made is not None
    return Injected(made, truth)


def inject(path: Path, variant: str, folder: Path, injector: Any) -> tuple[Path, dict[str, Any]]:
    """Contract region after region, each in the head that the one before left; labels are carried along."""
    reference = nib.load(path.with_name(path.name.replace("_T1.", "_T1_DLMUSE.")))
    labels = np.asarray(reference.dataobj).astype(np.int16)
    zooms = reference.header.get_zooms()
    voxel = float(np.prod(zooms[:3]))
    shares = {name: (labels == code).astype(np.float32) for name, code in WATCHED.items()}
    before = {name: float(share.sum()) * voxel for name, share in shares.items()}
    mask = folder / "brain.nii"  # given, so that bidsgate need not guess one: it serves its own summary only
    nib.save(nib.Nifti1Image((labels > 0).astype(np.uint8), reference.affine), mask)
    current, steps, number = path, [], 0
    names = {code: name for name, code in WATCHED.items()}
    for codes, factor in VARIANTS[variant]:
        for code in codes:
            number += 1
            region = np.zeros(labels.shape, np.uint8)
            region[shares[names[code]] >= 0.5] = 1
            regions, target = folder / f"region{number}.nii", folder / f"head{number}.nii"
            nib.save(nib.Nifti1Image(region, reference.affine), regions)
            spec = injector.AtrophySpec(volume_factor=factor, region_label=1)
            injector.inject(current, None, target, None, folder / "truth.json", spec, mask, regions)
            moved = injector.displacement(labels.shape, zooms, region > 0, factor, spec.falloff_mm)
            shares = {name: _carry(share, moved) for name, share in shares.items()}
            steps.append({"label": code, "factor": factor})
            current = target
    after = {name: float(share.sum()) * voxel for name, share in shares.items()}
    return current, {"scan": path.name, "variant": variant, "injector": f"bidsgate {BIDSGATE}", "steps": steps,
                     "before_mm3": before, "after_mm3": after}  # fmt: skip


def _same_voxels(one: Path, other: Path) -> bool:
    first, second = (np.asarray(nib.load(path).dataobj, dtype=np.float32) for path in (one, other))
    return np.array_equal(first, second)


def _carry(share: NDArray[np.float32], moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move a mask as `inject` moves the head, by linear interpolation, where anything moves at all."""
    touched = np.argwhere(np.abs(moved).max(axis=0) > 0)
    if not len(touched):
        return share
    box = tuple(slice(int(low), int(high) + 1) for low, high in zip(touched.min(0), touched.max(0), strict=True))
    places = np.indices(share.shape, dtype=np.float32)[(slice(None), *box)] + moved[(slice(None), *box)]
    carried = share.copy()
    carried[box] = ndimage.map_coordinates(share, places, order=1, mode="constant")
    return carried


def _make(job: tuple[str, str, str]) -> str:
    path, variant, cache = job
    start = time.perf_counter()
    truth = ready_injected(Path(path), variant, Path(cache)).truth
    change = sum(truth["after_mm3"][f"hippocampus_{side}"] for side in ("left", "right")) / sum(
        truth["before_mm3"][f"hippocampus_{side}"] for side in ("left", "right")
    )
    return f"{truth['scan']} {variant}: hippocampus x {change:.3f}, {time.perf_counter() - start:.1f} s"


def is_ready(path: Path, variant: str, cache: Path) -> bool:
    """Whether an earlier run made it."""
    return (cache / "injected" / f"{stem(path)}_{variant}.json").is_file()


def make_all(paths: list[Path], variants: list[str], cache: Path, workers: int) -> None:
    """Fill the cache, scan by scan, so that a run that was stopped has whole scans."""
    load_bidsgate(cache)
    jobs = [(str(path), variant, str(cache)) for path in paths for variant in variants]
    jobs = [job for job in jobs if not is_ready(Path(job[0]), job[1], cache)]
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            say(_make(job))
        return
    with ProcessPoolExecutor(workers) as pool:
        for line in pool.map(_make, jobs):
            say(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--heads", type=int, default=59)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    options = parser.parse_args()
    paths = spread_over_age(options.heads) if options.heads < len(ixi()) else ixi()
    make_all(usable(paths, options.cache), options.variants.split(","), options.cache, options.workers)


if __name__ == "__main__":
    main()
