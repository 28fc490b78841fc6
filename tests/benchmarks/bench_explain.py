"""What explaining costs beside predicting, on this machine's CPU. Run by hand:

    python tests/benchmarks/bench_explain.py [SCAN.nii.gz ...] [--rounds 5] [--size builtin|m3d-clip]

For one prepared scan: the network part of a prediction (image tower, texts, scores), each method's map, what `--faithfulness quick` measures, as
medians of CPU seconds and as ratios to the network part. With SCANs (raw), also whole explanations beside whole predictions, in turn.
`m3d-clip` is a network of that size with random weights: only its time means something.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from adclip.domain import ReadOptions
from adclip.explanation.attribution import attribute
from adclip.explanation.explain_one import Wish, explain_one
from adclip.explanation.explained import Explained
from adclip.explanation.faithfulness.measure import References, measure_map
from adclip.explanation.references import blurred, reference_image
from adclip.explanation.settings import DEFAULT_METHOD, METHOD_NAMES
from adclip.explanation.target import class_target
from adclip.imaging.steps.grid import from_model_order, to_model_order
from adclip.model.build import build_network
from adclip.model.settings import M3D_CLIP, PromptConfig
from adclip.prediction.inputs import to_item
from adclip.prediction.jobs import Job
from adclip.prediction.predictor import Predictor

SLOW = ("smoothgrad", "integrated-gradients", "occlusion")


def of_size(size: str) -> Predictor:
    predictor = Predictor.from_checkpoint("builtin", "cpu")
    if size == "m3d-clip":
        torch.manual_seed(0)
        config = M3D_CLIP
        network = build_network(config, PromptConfig()).eval().requires_grad_(False)
        predictor.reader = replace(predictor.reader, network=network, class_texts=None)
        predictor.record = replace(predictor.record, model=config)
        predictor.gate = None
    return predictor


def median(work: Callable[[], object], rounds: int) -> float:
    work()
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", choices=("builtin", "m3d-clip"), default="builtin")
    options = parser.parse_args()
    predictor = of_size(options.size)
    contract = predictor.record.model.contract
    plain = reference_image(contract, 70.0)
    image = torch.from_numpy(to_model_order(np.clip(plain * 1.02, 0, 1)).copy()).float()[None, None]
    reference = torch.from_numpy(to_model_order(plain).copy())[None, None]
    evidence = predictor.evidence_of(None, None)
    target = class_target(predictor.labels[-1])

    def network_part() -> None:
        with torch.inference_mode():
            predictor.score(image, evidence)

    network = median(network_part, options.rounds)
    print(f"{options.size}: network part of a prediction {network:.2f} CPU s, {torch.get_num_threads()} threads")
    explained = Explained(predictor, image, evidence, target, reference)
    explained.reference_patches  # noqa: B018  embedded once for all scans of one age
    print("| | CPU s | times the network part |\n|---|---|---|")
    methods = METHOD_NAMES if options.size == "builtin" else [name for name in METHOD_NAMES if name not in SLOW]
    for name in methods:
        rounds = 1 if name in SLOW else options.rounds
        spent = median(lambda name=name: attribute(explained, name), rounds)
        print(f"| map, {name} | {spent:.2f} | {spent / network:.1f} |", flush=True)
    found = attribute(explained, DEFAULT_METHOD)
    other = torch.from_numpy(to_model_order(blurred(from_model_order(image[0, 0].numpy()), contract)).copy())[
        None, None
    ]
    references = References("healthy", other)
    spent = median(lambda: measure_map(explained, found, "quick", references, 0, "", lambda count: ()), options.rounds)
    print(f"| --faithfulness quick | {spent:.2f} | {spent / network:.1f} |")
    if not options.scans:
        return
    wish = Wish(None, DEFAULT_METHOD, "quick", "none", 0)
    ratios = []
    for path in options.scans:
        item = to_item(path)
        with tempfile.TemporaryDirectory() as folder:
            job = Job(item, None)
            predict = median(lambda item=item: predictor(item), 2)
            explain = median(
                lambda job=job, folder=folder: explain_one(predictor, job, ReadOptions(), wish, Path(folder)), 2
            )
        ratios.append(explain / predict)
        print(f"{path.name}: predict {predict:.1f}, explain {explain:.1f} CPU s, {ratios[-1]:.2f} times", flush=True)
    print(f"median {np.median(ratios):.2f} times")


if __name__ == "__main__":
    main()
