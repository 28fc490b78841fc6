"""Whether words of the report that are said to matter do: integrated gradients against masking and leaving out, and their cost. By hand:

    adclip simulate --out others --subjects 400 --seed 11 --preprocessed --no-measured
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_words.py others [--model builtin] [--people 24]

For each person and biomarker: the sum of integrated gradients over its words, of gradient times input (one step at the report as it is), what masking
its words costs, and what leaving its sentences out costs. Correlations over all; how far the words of a report are from adding up; seconds of the processor.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from bench_fusion import read
from scipy.stats import spearmanr

from adclip.explanation import word_relevance
from adclip.explanation.target import Target, parse_target
from adclip.prediction.predictor import Predictor
from adclip.prediction.scoring import score_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--target", default="AD")
    options = parser.parse_args()
    predictor = Predictor.from_checkpoint(options.model, "cpu")
    target = parse_target(options.target, None, predictor.labels, None)
    data = read(predictor, options.cohort, options.cohort / "table.csv")
    chosen = np.random.default_rng(1).permutation(len(data.visits))[: options.people]
    rows: dict[str, list[float]] = {"integrated": [], "times input": [], "masked": [], "left out": []}
    gaps, seconds = [], []
    for place in chosen.tolist():
        visit, image = data.visits[place], data.image_batch([place], predictor.device)
        evidence = predictor.evidence_of(visit, visit)
        start = time.process_time()
        with torch.no_grad():
            tokens = predictor.reader.network.image_tokens(image)
        told = word_relevance.attribute_words(predictor, tokens, evidence, target)
        seconds.append(time.process_time() - start)
        gaps.append(sum(word.relevance for word in told.words) - told.together)
        with mock.patch.object(word_relevance, "NODES", (1.0,)):
            plain = word_relevance.attribute_words(predictor, tokens, evidence, target)
        names = [one.name for one in told.biomarkers]
        rows["integrated"] += [one.relevance for one in told.biomarkers]
        rows["times input"] += [next(o.relevance for o in plain.biomarkers if o.name == name) for name in names]
        rows["left out"] += [one.left_out for one in told.biomarkers]
        rows["masked"] += masked(predictor, tokens, evidence, target, names)
    print(f"{len(chosen)} people, {len(rows['masked'])} biomarkers; seconds, median {np.median(seconds):.2f}; "
          f"words less what they should add up to, largest {np.abs(gaps).max():.4f}")  # fmt: skip
    for one in ("integrated", "times input"):
        for other in ("masked", "left out"):
            print(f"{one} against {other}: r {np.corrcoef(rows[one], rows[other])[0, 1]:.2f}, "
                  f"rank {spearmanr(rows[one], rows[other])[0]:.2f}")  # fmt: skip
    print(f"masked against left out: r {np.corrcoef(rows['masked'], rows['left out'])[0, 1]:.2f}")


@torch.no_grad()
def masked(predictor, tokens, evidence, target: Target, names: list[str]) -> list[float]:  # type: ignore[no-untyped-def]
    """What the explained number loses when the words of one biomarker are masked."""
    text, value_spans = word_relevance._report_of(predictor, evidence.completed)
    number = word_relevance._Number(predictor, evidence, target)
    candidates = list(dict.fromkeys(predictor.reader.report_texts(evidence.completed)))
    places = word_relevance._places(predictor.reader.tokenizer, candidates, text)
    owner = np.array([*word_relevance._owners(text, value_spans), None], dtype=object)[places]
    embeddings = predictor.reader.network.text_tower.embeddings.word_embeddings
    nothing = embeddings.weight[predictor.reader.tokenizer.token_to_id(word_relevance.MASK)]
    found = []
    for name in [None, *names]:
        hidden = torch.tensor((owner == name) & (places >= 0))[..., None] if name else None
        first: list[bool] = []

        def hide(module, inputs, output, hidden=hidden, first=first):  # type: ignore[no-untyped-def]
            if first or hidden is None:
                return None
            first.append(True)
            return torch.where(hidden, nothing, output)

        handle = embeddings.register_forward_hook(hide)
        found.append(float(number.of(score_tokens(predictor.reader, tokens, [evidence.completed]))))
        handle.remove()
    return [found[0] - one for one in found[1:]]


if __name__ == "__main__":
    main()
