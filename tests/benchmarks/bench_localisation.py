"""Whether maps lie where the disease changed a simulated brain, method by method, beside maps that know nothing. Run by hand:

    adclip simulate --out COHORT --subjects 300 --seed 7 --preprocessed
    python tests/benchmarks/bench_localisation.py COHORT [COHORT ...] [--heads 12] [--methods a,b] [--model builtin] [--target AD-CN]

Heads are people with AD whose changed regions are known (`*_desc-changed_mask`); the answer rests on the scan alone. `random` is smooth
noise as fine as the finest map; `difference` is how far each voxel lies from the reference, without any model. Means over heads.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from adclip.explanation.attribution import attribute
from adclip.explanation.explained import Explained
from adclip.explanation.localisation import Localisation, localise
from adclip.explanation.methods import METHODS
from adclip.explanation.references import reference_image
from adclip.explanation.relevance import smooth
from adclip.explanation.target import parse_target
from adclip.imaging.steps.grid import to_model_order
from adclip.prediction.predictor import Predictor

FIELDS = ("energy_share", "volume_share", "near_share", "near_volume_share", "pointing", "auc")


def changed_heads(cohort: Path, count: int) -> list[tuple[Path, float]]:
    with (cohort / "table.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["diagnosis"] == "AD"]
    return [(cohort / row["scan"], float(row["age_years"] or "nan")) for row in rows][:count]


def read(path: Path) -> np.ndarray:
    return to_model_order(nib.load(path).get_fdata(dtype=np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="+", type=Path)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--methods", default=",".join(name for name in METHODS if name != "occlusion"))
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--target", default="AD-CN")
    options = parser.parse_args()
    predictor = Predictor.from_checkpoint(options.model, "cpu", volumes=False)
    contract, target = predictor.record.model.contract, parse_target(options.target, None, predictor.labels, None)
    for cohort in options.cohorts:
        found: dict[str, list[Localisation]] = {}
        seconds: dict[str, float] = {}
        for path, age in changed_heads(cohort, options.heads):
            scan, region = read(path), read(Path(str(path).replace("preproc_T1w", "changed_mask"))) > 0.5
            brain = scan > 0
            image = torch.from_numpy(scan.copy())[None, None]
            reference = torch.from_numpy(to_model_order(reference_image(contract, age)).copy())[None, None]
            explained = Explained(predictor, image, predictor.evidence_of(None, None), target, reference)
            noise = torch.randn(contract.shape, generator=torch.Generator().manual_seed(len(found.get("random", []))))
            maps = {
                "random": smooth(noise, contract.spacing_mm).numpy(),
                "difference": smooth((image - reference)[0, 0].abs(), contract.spacing_mm).numpy(),
            }
            for name in options.methods.split(","):
                start = time.process_time()
                maps[name] = attribute(explained, name).signed
                seconds[name] = seconds.get(name, 0.0) + time.process_time() - start
            for name, signed in maps.items():
                one = localise(signed, region, brain, contract.spacing_mm)
                if one is not None:
                    found.setdefault(name, []).append(one)
        print(f"\n{cohort}: {len(found['random'])} heads")
        print("| method | energy | volume | near | near volume | pointing | AUC | ratio | CPU s |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name, many in found.items():
            means = [float(np.mean([getattr(one, field) for one in many])) for field in FIELDS]
            ratio = float(np.mean([one.ratio for one in many]))
            cells = " | ".join(f"{value:.3f}" for value in means)
            print(f"| {name} | {cells} | {ratio:.2f} | {seconds.get(name, 0.0) / len(many):.2f} |", flush=True)


if __name__ == "__main__":
    main()
