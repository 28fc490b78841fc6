"""How often the 95 % intervals of the measured numbers hold the true value, with 12, 30 and 100 people.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_intervals.py --trials 400

Simulated people of three classes: their evidence x is normal with unit variance around `signal` times their class' axis, so that
softmax(signal * x) is the exact probability for classes equally common. True values are those of 200,000 such people. A class that a
small cohort happens to lack is drawn again: then the number itself is about other classes. Coverage of `ece_excess` is how often it
holds 0, since these probabilities are exact. With `--scans 3` everyone has three scans that share most of their evidence.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from adclip.evaluation.metrics import Judged, compare, put_back, summarise

NAMES = ["CN", "MCI", "AD"]
MIXES = {"equal": (1 / 3, 1 / 3, 1 / 3), "0.7/0.2/0.1": (0.7, 0.2, 0.1)}
SIGNALS = {"good": 1.5, "excellent": 3.0}
COMPARED = ("accuracy", "balanced_accuracy", "macro_f1", "auc_ad_vs_cn", "brier")


@dataclass
class People:
    truth: np.ndarray
    equal: np.ndarray
    study: np.ndarray
    rival: np.ndarray  # of a method that sees half of the evidence
    mmse: np.ndarray
    estimate: np.ndarray
    subjects: list[str]


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def draw(count: int, mix: tuple[float, ...], signal: float, scans: int, rng: np.random.Generator) -> People:
    truth = rng.choice(3, size=count, p=mix)
    while count < 1000 and len(set(truth)) < 3:
        truth = rng.choice(3, size=count, p=mix)
    own = rng.normal(size=(count, 3)) + signal * np.eye(3)[truth]
    truth, own = np.repeat(truth, scans), np.repeat(own, scans, axis=0)
    spread = 0.5 if scans > 1 else 0.0  # of a person's scans round what they share
    x = own + rng.normal(0, 1, own.shape) * spread
    x /= np.sqrt(1 + spread**2)  # of unit variance again, so that the probabilities are exact
    signal /= np.sqrt(1 + spread**2)
    weak = (x + rng.normal(size=x.shape)) / np.sqrt(2)
    stage = softmax(signal * x) @ [0, 1, 2]
    mmse = np.clip(np.round(29 - 3.5 * truth + np.repeat(rng.normal(0, 1.8, count), scans)), 0, 30)
    equal = softmax(signal * x)
    return People(
        truth, equal, put_back(equal, mix), softmax(signal / np.sqrt(2) * weak), mmse,
        29 - 3.5 * stage + rng.normal(0, 0.5, len(truth)), [f"s{n // scans}" for n in range(len(truth))],
    )  # fmt: skip


def values(people: People, mix: tuple[float, ...], pairs: bool) -> dict[str, float]:
    """The numbers themselves, without intervals: of very many people the true ones."""
    from adclip.evaluation.metrics import accuracy, auc, balanced_accuracy, brier, macro_f1, mae, pearson_r

    t, found = people.truth, {}

    def of(equal: np.ndarray, study: np.ndarray) -> dict[str, float]:
        outer = t != 1
        told = {"accuracy": accuracy(t, study.argmax(1)), "balanced_accuracy": balanced_accuracy(t, equal.argmax(1)),
                "macro_f1": macro_f1(t, equal.argmax(1)), "brier": brier(t, study),
                "auc_ad_vs_cn": auc(t[outer] == 2, (equal[:, 2] / (equal[:, 2] + equal[:, 0]))[outer])}  # fmt: skip
        told |= {f"auc_{name.lower()}_vs_rest": auc(t == k, equal[:, k]) for k, name in enumerate(NAMES)}
        return told | {"brier_equal": float(np.mean([brier(t[t == k], equal[t == k]) for k in range(3)]))}

    found = of(people.equal, people.study)
    if pairs:
        theirs = of(people.rival, put_back(people.rival, mix))
        return {name: found[name] - theirs[name] for name in COMPARED}
    found |= {"ece_excess": 0.0, "ece_equal_excess": 0.0}
    return found | {"mmse_mae": mae(people.mmse, people.estimate), "mmse_r": pearson_r(people.mmse, people.estimate)}


def coverage(
    count: int, mix: tuple[float, ...], signal: float, trials: int, scans: int = 1, *, pairs: bool = False,
    resamples: int = 500, seed: int = 0,
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """Return for each number how often its interval held the true value, and the interval's median length.

    A number without an interval, said in a word, counts on neither side.
    """
    rng = np.random.default_rng(seed)
    true = values(draw(200_000, mix, signal, scans, rng), mix, pairs)
    hits: dict[str, list[bool]] = {name: [] for name in true}
    lengths: dict[str, list[float]] = {name: [] for name in true}
    for trial in range(trials):
        people = draw(count, mix, signal, scans, rng)
        if pairs:
            one, other = Judged(people.equal, people.study), Judged(people.rival, put_back(people.rival, mix))
            found = compare(
                one, other, people.truth, NAMES, people.subjects, seed=trial, names=COMPARED, resamples=resamples
            )
        else:
            found = summarise(
                [NAMES[k] for k in people.truth], people.equal, NAMES, people.subjects, list(people.mmse),
                list(people.estimate), trial, resamples=resamples, as_in_study=people.study,
            )  # fmt: skip
        for name, value in true.items():
            if found[name]["low"] is not None:
                hits[name].append(found[name]["low"] - 1e-9 <= value <= found[name]["high"] + 1e-9)
                lengths[name].append(found[name]["high"] - found[name]["low"])
    return {name: (float(np.mean(held)), float(np.median(lengths[name]))) for name, held in hits.items() if held}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--scans", type=int, default=1, help="of each person")
    parser.add_argument("--pairs", action="store_true", help="differences of two methods")
    parser.add_argument("--people", type=int, nargs="+", default=[12, 30, 100])
    parser.add_argument("--mix", nargs="+", default=list(MIXES), choices=list(MIXES))
    options = parser.parse_args()
    columns, table = [], {}
    for mix in options.mix:
        for signal in SIGNALS:
            for count in options.people:
                columns.append(f"{mix}, {signal}, n {count}")
                told = coverage(count, MIXES[mix], SIGNALS[signal], options.trials, options.scans, pairs=options.pairs)
                for name, (share, length) in told.items():
                    table.setdefault(name, []).append(f"{100 * share:.1f} ({length:.2f})")
                print(
                    columns[-1],
                    " ".join(f"{name} {100 * share:.1f} ({length:.2f})" for name, (share, length) in told.items()),
                    flush=True,
                )
    print("\n| number | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name, cells in table.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
