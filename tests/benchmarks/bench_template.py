"""How much of the diagnosis reports tell by what is missing alone, in both versions of the full sentences.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_template.py

People of the simulator, drawn without images, with gaps that follow the diagnosis: a clinic asks the ill for the genotype and the years
of school less often and has more of their regions measured. Every value that is known is the same for everybody, so a report
differs from another in its gaps only. Of AD and CN, cross-validated AUC of a logistic regression on

- the gaps themselves, one column each: what any text can tell at most to a linear model,
- the words of the report, counted, and with them each pair of neighbours,
- the words of the sentence that names what is missing, alone,
- what the builtin base's frozen text tower makes of the report (its projected, normalised [CLS]),

with four fifths of the people to learn from and with few. Then the same with gaps that do not follow the diagnosis.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adclip.clinical.reports import render, template_versions
from adclip.clinical.reports.readings import CLINICAL_FIELDS, HIPPOCAMPUS_SIDES
from adclip.domain import Visit
from adclip.evaluation.metrics.intervals import auc_interval
from adclip.evaluation.metrics.values import auc
from adclip.model.bases import read_base
from adclip.model.build import load_network
from adclip.model.text import tokenize
from adclip.simulation.population import draw_person

VALUES = {
    "age_years": 74.3, "sex": "F", "education_years": 16.0, "apoe4_count": 1, "icv_mm3": 1.4e6, "hippocampus_mm3": 6600.0,
    "hippocampus_left_mm3": 3280.0, "hippocampus_right_mm3": 3320.0, "ventricles_mm3": 42000.0, "whole_brain_mm3": 1.02e6,
    "entorhinal_mm3": 3400.0, "fusiform_mm3": 17000.0, "middle_temporal_mm3": 19000.0,
}  # fmt: skip
# Share of cells missing in CN, MCI, AD.
FOLLOWING = {
    "education_years": (0.05, 0.10, 0.20), "apoe4_count": (0.10, 0.20, 0.35), "icv_mm3": (0.10, 0.10, 0.10),
    "whole_brain_mm3": (0.10, 0.10, 0.10), "entorhinal_mm3": (0.30, 0.20, 0.12), "fusiform_mm3": (0.30, 0.22, 0.15),
    "middle_temporal_mm3": (0.30, 0.22, 0.15), "age_years": (0.02, 0.02, 0.05),
}  # fmt: skip
GROUPS = ("CN", "MCI", "AD")
FEW = 60
Column = np.ndarray


def draw_gaps(diagnosis: str, rng: np.random.Generator, *, follow: bool) -> frozenset[str]:
    """Return the columns that one person lacks."""
    draws = {
        column: rng.random() < (shares[GROUPS.index(diagnosis)] if follow else sum(shares) / 3)
        for column, shares in FOLLOWING.items()
    }
    return frozenset(column for column, gap in draws.items() if gap)


def to_visit(gaps: frozenset[str]) -> Visit:
    known = {name: value for name, value in VALUES.items() if name not in gaps}
    return Visit(volumes_source="DLMUSE", **known)  # type: ignore[arg-type]


def count_words(texts: Sequence[str], longest: int) -> Column:
    """Return how often each text has each word, or each run of up to `longest` words; numbers are no words."""
    counter = CountVectorizer(token_pattern=r"[a-z]\w*", ngram_range=(1, longest))
    return counter.fit_transform(texts).toarray().astype(float)


@torch.inference_mode()
def encode(texts: Sequence[str]) -> Column:
    """Return what the builtin base makes of texts, (N, E)."""
    base = read_base("builtin")
    network = load_network(base, None).eval()
    distinct = list(dict.fromkeys(texts))
    place = {text: index for index, text in enumerate(distinct)}
    rows = [network.encode_text(tokenize(distinct[at : at + 32], base.tokenizer)) for at in range(0, len(distinct), 32)]
    return torch.cat(rows).numpy()[[place[text] for text in texts]]


def judge(features: Column, ill: Column, few_repeats: int) -> str:
    """Return the five-fold AUC with its interval, and the mean AUC of models that learned from `FEW` people."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    found = cross_val_predict(model, features, ill, cv=folds, method="decision_function")
    value, low, high = auc_interval(ill, found, [str(number) for number in range(len(ill))])
    few = [
        auc(ill[test], model.fit(features[train], ill[train]).decision_function(features[test]))
        for train, test in StratifiedShuffleSplit(few_repeats, train_size=FEW, random_state=0).split(features, ill)
    ]
    return f"{value:.3f} ({low:.3f}-{high:.3f}) | {np.mean(few):.3f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=40, help="draws of few people to learn from")
    options = parser.parse_args()
    start = time.perf_counter()
    for follow in (True, False):
        rng = np.random.default_rng(options.seed)
        people = [draw_person(f"s{number}", rng).diagnosis for number in range(options.subjects)]
        gaps = [draw_gaps(diagnosis, rng, follow=follow) for diagnosis in people]
        chosen = [number for number, diagnosis in enumerate(people) if diagnosis != "MCI"]
        ill = np.array([people[number] == "AD" for number in chosen])
        named = [column for column in CLINICAL_FIELDS if column in FOLLOWING and column not in HIPPOCAMPUS_SIDES]
        table = np.array([[column in gaps[number] for column in named] for number in chosen], float)
        print(f"\n{len(people)} people, {ill.sum()} AD and {(~ill).sum()} CN; gaps follow the diagnosis: {follow}")
        print(f"gaps themselves | {judge(table, ill, options.repeats)}")
        for varied in (False, True):
            for version in template_versions("clinical"):
                texts = [
                    render(
                        to_visit(gaps[number]), "clinical", None, phrasing=(number + 1) * varied, version=version
                    ).text
                    for number in chosen
                ]
                name = f"version {version}, {'varied' if varied else 'canonical'} wording"
                sentences = [
                    text[text.find("Data unavailable") :] if "Data unavailable" in text else "" for text in texts
                ]
                for what, some, longest in (
                    ("words", texts, 1), ("words and pairs", texts, 2), ("the sentence on gaps", sentences, 1),
                ):  # fmt: skip
                    told = judge(count_words(some, longest), ill, options.repeats) if any(some) else "there is none"
                    print(f"{name}: {what} | {told}", flush=True)
                if not varied:
                    print(f"{name}: text tower | {judge(encode(texts), ill, options.repeats)}", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
