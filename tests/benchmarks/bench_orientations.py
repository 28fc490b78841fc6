"""One scan stored in each of the 48 axis orders, through the whole preprocessing. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_orientations.py [--orders 48]

The output must be the same to 1e-3. Printed: the largest difference from the first order in the image (0 to 1), in voxels of
the mask, and in where scan_to_mni sends the corners of the field of view (mm).
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import real_scans as scans
from real_scans import clock, say

from adclip.domain import ScanItem
from adclip.imaging.prepare import prepare_scan
from adclip.imaging.steps.brain import DeepbetStripper
from adclip.model.checkpoint import read_contract

ALLOWED = 1e-3


def main() -> None:
    """Print one line for each order and the largest differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=48)
    options = parser.parse_args()
    path = scans.ixi()[len(scans.ixi()) // 2]
    original = nib.load(path)
    array = np.asarray(original.dataobj, dtype=np.float32)
    stripper, contract = DeepbetStripper("cpu"), read_contract("builtin")
    orders = ["".join(code) for axes in permutations(("RL", "AP", "SI")) for code in product(*axes)]
    first, worst = None, {"image": 0.0, "mask voxels": 0, "corner mm": 0.0}
    say(f"{path.name}, {len(orders[: options.orders])} orders")
    with tempfile.TemporaryDirectory() as folder:
        for order in orders[: options.orders]:
            image = nib.Nifti1Image(array, original.affine)
            change = nib.orientations.ornt_transform(
                nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(order)
            )
            file = Path(folder) / "scan.nii"
            nib.save(image.as_reoriented(change), file)
            with clock() as taken:
                found = prepare_scan(ScanItem(file, "x"), contract, stripper)
            if first is None:
                first = found
                box = np.array(
                    [[*corner, 1] for corner in product(*((0, size - 1) for size in found.volume.array.shape))]
                )
                corners = found.volume.affine @ box.T
                continue
            now = {
                "image": float(np.abs(found.image - first.image).max()),
                "mask voxels": int((found.mask != first.mask).sum()),
                "corner mm": float(np.linalg.norm((found.scan_to_mni - first.scan_to_mni) @ corners, axis=0).max()),
            }
            worst = {name: max(worst[name], value) for name, value in now.items()}
            shown = ", ".join(f"{name} {value:.2g}" for name, value in now.items())
            say(f"{order}: {shown} {taken.cpu:.1f} CPU s")
    say("largest: " + ", ".join(f"{name} {value:.3g}" for name, value in worst.items()))
    say("same to 1e-3" if max(worst["image"], worst["corner mm"]) <= ALLOWED else "NOT the same to 1e-3")


if __name__ == "__main__":
    main()
