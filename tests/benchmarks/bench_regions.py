"""How well the regions of a relevance table fit the person, and what table and picture cost. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_regions.py [--people 10]

Of IXI people, evenly over the list: overlap of hippocampus, amygdala and ventricles with DLMUSE's labels on the builtin model's grid, as the
scan's own networks put them and as the template does. Overlap is 2 sum(min) / (sum + sum) over fractions of voxels: Dice's for whole
ones. Then CPU seconds of `region_table` and `draw_mosaic` for one map, and how much of its largest value is left on the scan's voxels.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np
import real_scans as scans
from real_scans import say

from adclip import Predictor
from adclip.domain import ScanItem
from adclip.explanation.attribution import attribute
from adclip.explanation.mosaic import Caption, draw_mosaic
from adclip.explanation.region_table import region_table
from adclip.explanation.seen import SeenScan
from adclip.explanation.settings import DEFAULT_METHOD
from adclip.imaging.sources.files import read_voxels
from adclip.imaging.steps.grid import from_model_order, to_grid, to_scan_brain
from adclip.imaging.volumes.partition import partition

# MUSE codes, right and left
CODES = {
    "hippocampus": (47, 48),
    "amygdala": (31, 32),
    "inferior_lateral_ventricle": (49, 50),
    "lateral_ventricle": (51, 52),
}


def main() -> None:
    """Print overlaps, seconds and what is left of the peak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=10)
    options = parser.parse_args()
    predictor = Predictor.from_checkpoint("builtin", "cpu")
    contract = predictor.record.model.contract
    paths = scans.spread(scans.ixi(), options.people)
    overlaps: dict[tuple[str, str], list[float]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    left: list[float] = []
    for path in paths:
        prepared = predictor.prepare(ScanItem(path, "x"))
        labels, affine = read_voxels(path.with_name(path.name.replace("_T1.nii", "_T1_DLMUSE.nii")))
        for source, parts in {
            "scan": partition(contract, prepared.structures),
            "template": partition(contract),
        }.items():
            places = {region.key: place for place, region in enumerate(parts.regions)}
            for name, codes in CODES.items():
                for side, code in zip(("right", "left"), codes, strict=True):
                    wanted = to_grid(
                        (labels == code).astype(np.float32), affine, prepared.scan_to_mni, contract
                    ).ravel()
                    found = parts.shares[[places[f"{name}_{side}"]]].toarray().ravel()
                    both = 2 * np.minimum(found, wanted).sum() / (found.sum() + wanted.sum())
                    overlaps[name, source].append(float(both))
        attribution = attribute(
            SeenScan(predictor, prepared, predictor.evidence(prepared, None)).explained(None), DEFAULT_METHOD
        )
        heat_dhw, signed = (attribution.positive, attribution.signed)
        heat = from_model_order(heat_dhw) * prepared.mask
        start = time.process_time()
        region_table(from_model_order(signed), prepared.mask, contract, positive=heat, structures=prepared.structures)
        table = time.process_time()
        caption = Caption("x", "AD", "relevance", {}, "ok", "")
        draw_mosaic(
            prepared.volume.array, prepared.volume.affine, heat, contract.affine_xyz, caption,
            scan_to_mni=prepared.scan_to_mni, mask=prepared.scan_mask,
        )  # fmt: skip
        seconds["table"].append(table - start)
        seconds["picture"].append(time.process_time() - table)
        on_scan = to_scan_brain(heat_dhw, contract, prepared.scan_to_mni, prepared.volume, prepared.scan_mask)
        left.append(float(on_scan.max() / heat.max()))
        say(
            f"{path.name}: peak of the patches 1, of the model's voxels {heat.max():.3f}, of the scan's {on_scan.max():.3f}"
        )
    for (name, source), values in overlaps.items():
        say(
            f"{name:28} {source:9} median {np.median(values):.2f}, {min(values):.2f} to {max(values):.2f}, n {len(values)}"
        )
    for name, values in seconds.items():
        say(f"{name}: CPU s first {values[0]:.2f}, then median {np.median(values[1:]):.2f}")
    say(f"largest value on the scan's voxels over that on the model's: {min(left):.3f} to {max(left):.3f}")


if __name__ == "__main__":
    main()
