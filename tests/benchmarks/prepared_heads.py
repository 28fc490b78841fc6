"""Real heads made ready once and kept: what measuring and predicting start from, so that benchmarks need not wait for it.

    OMP_NUM_THREADS=1 python tests/benchmarks/prepared_heads.py [--cache FOLDER] [--check]

fills FOLDER/ixi with one .npz for each IXI scan: `head` (float32, bias-corrected, cut to the brain's box), `affine` (voxel
index to scan mm), `mask` (bool), `scan_to_mni`, `labels` (int16, DLMUSE, whole field of view, RAS+) and `labels_affine`.
A file that is there with the same recipe is kept, so a run that was stopped goes on. `--check` compares the grid of one
head with what `prepare_scan` gives, voxel by voxel.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from real_scans import DATA, ixi, say

from adclip.domain import InputContract, ScanItem
from adclip.imaging.derivatives.currency import RECIPE
from adclip.imaging.locate import _crop
from adclip.imaging.prepare import _fill_grid, prepare_scan
from adclip.imaging.sources.files import read_volume
from adclip.imaging.steps.bias import correct_bias
from adclip.imaging.steps.brain import DeepbetStripper, find_stripped_mask
from adclip.imaging.steps.level import level
from adclip.imaging.steps.register import align

CACHE = Path("/tmp/adclip-bench")
# DLMUSE codes (../shared/data/tables/muse_dict.csv), (left, right) where there are sides
HIPPOCAMPUS, AMYGDALA, INFERIOR_HORN, LATERAL = (48, 47), (32, 31), (50, 49), (52, 51)
VENTRICLES = (4, 11, *INFERIOR_HORN, *LATERAL)


@dataclass(frozen=True)
class Head:
    """What `measure_volumes` takes, and the reference labels where there are any."""

    name: str
    head: NDArray[np.float32]
    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]
    scan_to_mni: NDArray[np.float64]
    labels: NDArray[np.int16] | None = None
    labels_affine: NDArray[np.float64] | None = None

    @property
    def key(self) -> str:
        """Name and content: what is kept of a head is not taken for that of another."""
        digest = hashlib.sha256(self.head.tobytes() + self.mask.tobytes() + self.scan_to_mni.tobytes())
        return f"{self.name}-{digest.hexdigest()[:10]}"

    def measurable(self) -> tuple[Any, ...]:
        """Return the arguments of `measure_volumes`."""
        return self.head, self.affine, self.mask, self.scan_to_mni

    def image(self, contract: InputContract) -> NDArray[np.float32]:
        """Return the head on a model's grid, as `prepare_scan` puts it there."""
        low, high = (float(value) for value in np.percentile(self.head[self.mask], contract.percentiles))
        scaled = (self.head - low) / max(high - low, 1e-6)
        return _fill_grid(scaled, self.mask, self.affine, self.scan_to_mni, contract)[0]

    def reference_mm3(self, codes: tuple[int, ...]) -> float:
        """Return what the reference labels say of some structures together."""
        assert self.labels is not None and self.labels_affine is not None
        voxel = abs(float(np.linalg.det(self.labels_affine[:3, :3])))
        return float(np.isin(self.labels, codes).sum()) * voxel

    def reference_icv_mm3(self) -> float:
        """Everything that the reference labels, cortical fluid included."""
        assert self.labels is not None and self.labels_affine is not None
        return float((self.labels > 0).sum()) * abs(float(np.linalg.det(self.labels_affine[:3, :3])))


def stem(path: Path) -> str:
    return path.name.split(".")[0]


@lru_cache(maxsize=1)
def people() -> dict[str, tuple[float, str]]:
    """Age and sex by the name of the scan."""
    with (DATA / "ixi_2mm" / "participants.csv").open(encoding="utf-8") as stream:
        return {f"{row['MRID']}_T1": (float(row["Age"]), row["Sex"]) for row in csv.DictReader(stream)}


def spread_over_age(count: int) -> list[Path]:
    """`count` of the IXI scans, spread over the ages; fewer are always among more, so that what is kept serves both."""
    by_age = sorted(ixi(), key=lambda path: people()[stem(path)][0])
    golden = (5**0.5 - 1) / 2  # its multiples fill the line evenly at every length
    places: dict[int, None] = {}
    step = 1
    while len(places) < min(count, len(by_age)):
        places[int(step * golden % 1 * len(by_age))] = None
        step += 1
    return [by_age[place] for place in places]


def get_ready(path: Path, kept: Path, stripper: DeepbetStripper | None = None, labels: Path | None = None) -> Head:
    """Take a scan the whole road of `prepare_scan`, up to the map to MNI, or read what an earlier run kept of it."""
    if (found := read_head(kept)) is not None:
        return found
    volume = read_volume(path)
    array, _ = level(volume.array)
    object.__setattr__(volume, "array", array)
    mask = find_stripped_mask(volume)
    mask = (stripper or common_stripper())(volume) if mask is None else mask
    head, mask, affine = _crop(volume, mask)
    x, y, z = (float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    head = correct_bias(head, mask, (x, y, z))
    arrays = {"head": head, "affine": affine, "mask": mask, "scan_to_mni": align(head, affine, mask).scan_to_mni}
    if labels is not None:
        image = nib.as_closest_canonical(nib.load(labels))
        arrays |= {"labels": np.asarray(image.dataobj).astype(np.int16), "labels_affine": np.asarray(image.affine)}
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}.part.npz")
    np.savez_compressed(part, recipe=str(RECIPE), **arrays)
    os.replace(part, kept)
    return Head(kept.stem, **arrays)


def read_head(kept: Path) -> Head | None:
    """Return a head of an earlier run, None where there is none or the preprocessing has changed since."""
    if not kept.is_file():
        return None
    with np.load(kept) as arrays:
        if str(arrays["recipe"]) != str(RECIPE):
            return None
        return Head(kept.stem, **{name: arrays[name] for name in arrays.files if name not in ("recipe", "truth")})


@lru_cache(maxsize=1)
def common_stripper() -> DeepbetStripper:
    return DeepbetStripper("cpu")


def ready_ixi(path: Path, cache: Path = CACHE) -> Head:
    """Return one IXI head with its DLMUSE labels."""
    labels = path.with_name(path.name.replace("_T1.", "_T1_DLMUSE."))
    return get_ready(path, cache / "ixi" / f"{stem(path)}.npz", labels=labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    for number, path in enumerate(ixi(), start=1):
        start = time.perf_counter()
        head = ready_ixi(path, options.cache)
        say(f"{number} {path.name} {time.perf_counter() - start:.1f} s")
        if options.check:
            contract = InputContract(shape=(76, 92, 80), spacing_mm=(2.5, 2.5, 2.5), center_mm=(0.0, -17.0, 5.0))
            there = prepare_scan(ScanItem(path, "x"), contract, common_stripper())
            say(f"largest difference on the grid {np.abs(there.image - head.image(contract)).max():.2e}, "
                f"of the map {np.abs(there.scan_to_mni - head.scan_to_mni).max():.2e}")  # fmt: skip
            return


if __name__ == "__main__":
    main()
