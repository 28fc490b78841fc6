"""The model card: README.md of a RUN folder, rendered from what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from adclip.model.card_calibration import describe_calibration
from adclip.model.record_parts import Number

if TYPE_CHECKING:
    from adclip.model.record import AdapterRecord

# Who else answers for the test subjects, and how the card explains it; metrics of theirs are named `GROUP.METRIC`.
GROUPS = {
    "scan_only": "the same network without a report",
    "metadata_only": "a logistic regression on the report's columns with age, sex, education and APOE",
    "volumes_only": "a logistic regression on one number, the medial temporal norm score: {volumes}",
    "majority": "always naming the commonest class, and the mean {score} of the training subjects",
}
KINDS = {
    "prompt": "Prompt-tuned adapter",
    "lora": "Low-rank adapter (LoRA)",
    "full": "Fine-tuned weights",
    "linear-probe": "Linear probe, a baseline,",
    "cnn": "3D CNN, a baseline beside",
    "metadata": "Regression on the metadata, a baseline beside",
}
PREDICTING = ("prompt", "lora", "full")


def render_card(record: AdapterRecord) -> str:
    """Return the Markdown text of a model card; every number in it comes from `record`."""
    method = record.training.method
    base = record.base
    return f"""# adclip {"adapter" if method in PREDICTING else "baseline"}

> {record.notice}

{KINDS[method]} for the base model `{base["name"]}` (revision {base["revision"]}, SHA-256
`{base["sha256"][:16]}...`), written by adclip {record.adclip_version}. It answers {", ".join(record.labels)} with
probabilities{_inputs(record, method)}.

{_use(method)}
## What it was trained on

{_counts(record)}

Counts are subjects, by the label of their first scan; nobody is in two parts. {_labels(record)}{_training(record)}

## Measured on the test subjects

{_measured(record)}

## Calibration

{describe_calibration(record)}

## Limits

Numbers hold for people and scanners like those above. The report is synthetic: it repeats table columns and adds nothing.
Probabilities assume that the classes are equally common{_if_not(record)}.
"""


def _inputs(record: AdapterRecord, method: str) -> str:
    if method == "metadata":
        return ", from the metadata alone"
    score = "" if record.mmse_mean is None else f" and an estimated {record.task.score}"
    report = f" and, if given, a synthetic report in the style `{record.style}`"
    return f"{score}, from a T1-weighted MRI{report if record.reports and method in PREDICTING else ''}"


def _use(method: str) -> str:
    if method not in PREDICTING:
        return ""
    return "## Use\n\n    adclip predict scan.nii.gz --meta subject.csv --model THIS_FOLDER\n"


def _counts(record: AdapterRecord) -> str:
    counts = record.training.counts
    rows: list[list[Any]] = [
        ["part", *next(iter(counts.values()), {})],
        *([part, *sizes.values()] for part, sizes in counts.items()),
    ]
    return _table(rows)


def _labels(record: AdapterRecord) -> str:
    if record.takes_last_diagnosis:
        return "The label is each subject's last diagnosis, also at earlier visits (subject-last).\n"
    return "The label is the diagnosis at the visit of the scan.\n"


def _training(record: AdapterRecord) -> str:
    training = record.training
    parts = [f"Recipe `{training.recipe}`", f"objective `{training.objective}`"]
    if training.trainable_parameters:
        parts.append(f"{training.trainable_parameters:,} trained parameters")
    if training.best_epoch:
        parts.append(f"epoch {training.best_epoch} of {training.epochs} kept")
    return ", ".join([*parts, f"seed {training.seed}"]) + "."


def _measured(record: AdapterRecord) -> str:
    own, beside, less = record.by_group()
    if not own:
        return "Nothing: there was no test subject."
    groups = [group for group in GROUPS if group in beside]
    rows = [["number", "value", *groups, "n"]]
    for name, value in own.items():
        group_cells = [_cell(beside[group].get(name)) for group in groups]
        rows.append([f"`{name}`", _cell(value), *group_cells, str(Number.from_dict(value).scans)])
    placeholders = {"score": record.task.score, "volumes": _volumes(record)}
    meaning = ", ".join(f"`{group}` {GROUPS[group].format(**placeholders)}" for group in groups)
    read = _EARLIER if record.prior is None else _reading(record)
    return f"{_table(rows)}\n\n{read}" + (f" Beside it: {meaning}." if meaning else "") + _less(less, groups)


# of records from before the study's shares were kept
_EARLIER = (
    "In brackets 95 % intervals, bootstrapped over subjects; n counts scans. "
    "`ece_if_perfect` is the `ece` that exact\nprobabilities would show with so few scans."
)


def _reading(record: AdapterRecord) -> str:
    """Say how to read the numbers."""
    last = record.labels[-1].lower()
    text = f"""In brackets 95 % intervals over subjects; n counts scans. `accuracy`, `brier` and `ece` are of probabilities for classes as
common as in this study ({_shares(record)}); `balanced_accuracy`, which is the accuracy for classes equally common,
`macro_f1`, `auc_{last}_vs_rest` and its like, and what ends in `_equal`, of probabilities for classes equally common, as `predict`
gives them. `ece_if_perfect` is the `ece` that exact probabilities would show with so few scans, with the band of 95 in 100
such cohorts; `ece_excess` is what there is beyond, and chance explains it while its interval holds 0."""
    calibration = record.calibration
    if calibration.subjects and "set_coverage" not in record.metrics:
        text += "\nPrediction sets were not measured: a road of the test scans has no threshold, see Calibration."
    return text


def _shares(record: AdapterRecord) -> str:
    return ", ".join(f"{label} {share:.2f}" for label, share in (record.prior or {}).items())


def _less(differences: dict[str, dict[str, Any]], groups: list[str]) -> str:
    """Return the table of what the model has more than each group."""
    shown = [group for group in groups if group in differences]
    names = list(dict.fromkeys(name for group in shown for name in differences[group]))
    if not names:
        return ""
    rows = [["model less", *shown], *([f"`{n}`", *(_cell(differences[g].get(n), "+") for g in shown)] for n in names)]
    return f"""

The model's number less that of who stands beside it, on the same scans; an interval that holds 0 tells no difference. For `brier` and
errors less is better.

{_table(rows)}"""


def _if_not(record: AdapterRecord) -> str:
    if record.prior is None:
        return ""
    return (
        "; where they are not, multiply each\nby its class' share and divide by the sum of the products. "
        f"Shares among the training scans: {_shares(record)}"
    )


def _volumes(record: AdapterRecord) -> str:
    """Say which volumes the norm score is made of."""
    baseline = record.volumes_baseline
    if baseline is None:
        return ""
    structures = " and ".join(name.replace("_", " ") for name in baseline.structures)
    return f"{structures} by {baseline.program} ({baseline.basis}) against norms for age"


def _cell(metric: dict[str, Any] | None, sign: str = "") -> str:
    if metric is None:
        return ""
    number = Number.from_dict(metric)
    if number.value is None:
        return "not defined"
    interval = ""
    if number.note:
        interval = f" (no interval: {number.note})"
    elif number.low is not None and number.high is not None:
        interval = f" ({number.low:{sign}.3f} to {number.high:{sign}.3f})"
    return f"{number.value:{sign}.3f}{interval}"


def _table(rows: list[list[Any]]) -> str:
    def lines() -> Iterator[str]:
        for place, row in enumerate(rows):
            yield "| " + " | ".join(str(cell) for cell in row) + " |"
            if not place:
                yield "|---" * len(row) + "|"

    return "\n".join(lines())
