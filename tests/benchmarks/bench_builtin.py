"""What the builtin model knows of real, healthy heads: the 59 IXI scans against DLMUSE, scan only, and with age and sex.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_builtin.py [--model builtin] [--label after] [--beside before]

- Linear probe: ridge regression from the L2-normalised image embedding to a volume's share of ICV (DLMUSE), in ten folds
  drawn twenty times, the penalty chosen among the heads that are fitted; the mean of the twenty r (by Fisher's z). Not
  leave-one-out: where nothing can be read, the mean of the other heads is told, and that falls as the left-out head
  rises, so r would be -1 and not 0. The embedding is that of the base (`load_base(...).encode_image`), and that of the
  tuned model.
- AD score: log p(AD) less log of the rest after temperature, without metadata. Spearman's rho, also partial.
- The people are healthy and 20 to 70 years old, 15 of them over 60: CN is the right answer for nearly all.

With heads of injected atrophy `bench_injection.py` asks the rest, with pseudo-rescans `bench_rescans.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from prepared_heads import HIPPOCAMPUS, VENTRICLES, people, ready_ixi
from readings import (
    KEYS,
    Model,
    Table,
    build,
    common_options,
    likeliest,
    log_odds,
    measured,
    rank_correlation,
    share,
)
from real_scans import ixi, say, spread

from adclip.domain import Visit

PENALTIES = np.logspace(-6, 3, 28)  # of ridge, on embeddings of length 1 with their mean taken off
FOLDS, REPEATS = 10, 20
SHOWN = 0.005  # half of the last digit that a reader sees
SURE = 0.98


def main() -> None:
    parser = common_options(__doc__)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--heads", type=int, default=59)
    parser.add_argument("--no-volumes", action="store_true", help="leave out the answers with measured volumes")
    options = parser.parse_args()
    model = Model(options.model, options.cache)
    title = f"{build()}; {model.title}"
    table = Table("builtin", options, title)
    say(title)
    heads = [ready_ixi(path, options.cache) for path in spread(ixi(), options.heads)]
    readings = [model.reading(head) for head in heads]
    ages = np.array([people()[head.name][0] for head in heads])
    icv = np.array([head.reference_icv_mm3() for head in heads])
    truth = {
        "hippocampus/ICV": np.array([head.reference_mm3(HIPPOCAMPUS) for head in heads]) / icv,
        "ventricles/ICV": np.array([head.reference_mm3(VENTRICLES) for head in heads]) / icv,
    }
    table.add("heads", str(len(heads)))
    for kind, name in (("base", "embedding of the base"), ("tuned", "embedding of the tuned model")):
        embedding = np.array([getattr(one, kind) for one in readings])
        for what, values in (*truth.items(), ("log ventricles/ICV", np.log(truth["ventricles/ICV"])), ("age", ages)):
            table.add(f"probe of {what}, {name}, r", probe(embedding, values))
    score = np.array([log_odds(one.told) for one in readings])
    shares = list(truth.values())
    table.add("AD score and age, rho", rank_correlation(score, ages))
    table.add("AD score and age given both shares, partial rho", rank_correlation(score, ages, shares))
    for what, other, values, given in (
        ("hippocampus/ICV", "ventricles/ICV", shares[0], shares[1]),
        ("ventricles/ICV", "hippocampus/ICV", shares[1], shares[0]),
    ):
        table.add(f"AD score and {what}, rho", rank_correlation(score, values))
        table.add(
            f"AD score and {what} given age and {other}, partial rho", rank_correlation(score, values, [ages, given])
        )
    add_classes(table, [one.told for one in readings], ages)
    add_reports(table, model, heads, readings, None, "age and sex")
    if not options.no_volumes and hasattr(model.predictor, "complete"):
        found = [measured(head, options.cache) for head in heads]
        add_reports(table, model, heads, readings, found, "age, sex and measured volumes")
    add_metadata_alone(table, model)
    table.close()


def probe(embedding: NDArray[np.float64], values: NDArray[np.float64]) -> str:
    """Return how well ridge regressions fitted to other heads read a value off the embedding."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(REPEATS):
        said = np.zeros(len(values))
        for fold in np.array_split(draw.permutation(len(values)), FOLDS):
            others = np.setdiff1d(np.arange(len(values)), fold)
            said[fold] = _ridge(embedding[others], values[others], embedding[fold])
        found.append(np.corrcoef(said, values)[0, 1])
    middle = float(np.mean(np.arctanh(np.clip(found, -0.999, 0.999))))
    spread = 1.96 / np.sqrt(len(values) - 3)
    low, high = np.tanh(middle - spread), np.tanh(middle + spread)
    return f"{np.tanh(middle):+.2f} ({low:+.2f} to {high:+.2f}), n {len(values)}"


def _ridge(seen: NDArray[np.float64], values: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit with the penalty whose leave-one-out error among the seen is least (in closed form), and answer others."""
    middle, mean = seen.mean(axis=0), values.mean()
    left, sizes, right = np.linalg.svd(seen - middle, full_matrices=False)
    projected = left.T @ (values - mean)
    best, chosen = np.inf, PENALTIES[0]
    for penalty in PENALTIES:
        shrink = sizes**2 / (sizes**2 + penalty)
        leverage = (left**2) @ shrink + 1 / len(values)
        error = float(np.mean(((values - mean - left @ (shrink * projected)) / np.maximum(1 - leverage, 1e-9)) ** 2))
        if error < best:
            best, chosen = error, penalty
    return np.asarray(mean + (asked - middle) @ right.T @ (sizes / (sizes**2 + chosen) * projected))


def add_classes(table: Table, told: list[dict[str, float]], ages: NDArray[np.float64]) -> None:
    """Who is called what, scan only."""
    classes = np.array([likeliest(one) for one in told])
    groups: dict[str, Callable[[NDArray[np.float64]], NDArray[np.bool_]]] = {
        "all": lambda age: age > 0,
        "under 50": lambda age: age < 50,
        "over 60": lambda age: age > 60,
    }
    for name, chosen in groups.items():
        here = chosen(ages)
        table.add(f"CN most probable, {name}", share(classes[here] == "CN"))
        counts = ", ".join(f"{label} {int((classes[here] == label).sum())}" for label in KEYS)
        table.add(f"classes, {name}", counts)
    for label in KEYS:
        values = np.array([one[label] for one in told])
        table.add(
            f"p({label}), scan only: least, median, most",
            f"{values.min():.2f}, {np.median(values):.2f}, {values.max():.2f}",
        )
    most = np.array([max(one.values()) for one in told])
    table.add(f"no probability above {SURE}, scan only", f"{share(most <= SURE)}; largest {most.max():.3f}")


def add_reports(table: Table, model: Model, heads: list, readings: list, found: list | None, name: str) -> None:  # type: ignore[type-arg]
    """What a report does to the answer of a healthy person."""
    harmless, between, surer, shift, most = [], [], [], [], []
    classes = []
    for number, head in enumerate(heads):
        age, sex = people()[head.name]
        visit = Visit(age_years=age, sex=sex)
        told = model.predict(head, visit, None if found is None else found[number])
        alone, metadata, both = readings[number].told, told.metadata_only, told.probabilities
        if metadata is None:
            table.add(f"with {name}", "the model has no answer from metadata alone")
            return
        low, high = sorted((alone["CN"], metadata["CN"]))
        between.append(low - SHOWN <= both["CN"] <= high + SHOWN)
        first = likeliest(alone)
        agree = first == likeliest(metadata) == likeliest(both)
        surer.append(agree and both[first] >= max(alone[first], metadata[first]) - SHOWN)
        harmless.append(between[-1] or surer[-1])
        shift.append(both["CN"] - alone["CN"])
        most.append(max(both.values()))
        classes.append(likeliest(both))
    table.add(f"with {name}: between scan alone and metadata alone, or surer than both", share(harmless))
    table.add(f"with {name}: between", share(between))
    table.add(f"with {name}: surer than both, which agree", share(surer))
    table.add(f"with {name}: p(CN) less that of the scan alone, mean", f"{np.mean(shift):+.3f}, least {min(shift):+.3f}, most {max(shift):+.3f}")  # fmt: skip
    table.add(f"with {name}: classes", ", ".join(f"{label} {classes.count(label)}" for label in KEYS))
    table.add(f"with {name}: no probability above {SURE}", f"{share(np.array(most) <= SURE)}; largest {max(most):.3f}")


def add_metadata_alone(table: Table, model: Model) -> None:
    """What age and sex alone do, from 20 to 95 years."""
    answers = [model.metadata_only(Visit(age_years=float(age), sex=sex)) for age in range(20, 96) for sex in "FM"]
    if not answers[0]:
        return
    most = [max(one.values()) for one in answers]
    table.add(f"age 20 to 95 and sex alone: no probability above {SURE}", f"{share(np.array(most) <= SURE)}; largest {max(most):.3f}")  # fmt: skip
    for age in (25, 45, 60, 75, 90):
        parts = []
        for sex in "FM":
            told = model.metadata_only(Visit(age_years=float(age), sex=sex))
            parts.append(f"{sex} " + "/".join(f"{told[label]:.2f}" for label in KEYS))
        table.add(f"metadata only at {age}: CN/MCI/AD", ", ".join(parts))


if __name__ == "__main__":
    main()
