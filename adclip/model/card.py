"""The model card: README.md of a RUN folder, rendered from what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from adclip.model.record import FEW_SUBJECTS

if TYPE_CHECKING:
    from adclip.model.record import AdapterRecord, Calibration

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
    method = record.training.get("method", "prompt")
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

{_calibration(record)}

## Limits

Numbers hold for people and scanners like those above. The report is synthetic: it repeats table columns and adds nothing.
Probabilities assume that the classes are equally common.
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
    counts: dict[str, dict[str, int]] = record.training.get("counts", {})
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
    told = record.training
    words = [f"Recipe `{told.get('recipe', 'default')}`", f"objective `{told.get('objective', 'candidates')}`"]
    if told.get("trainable_parameters"):
        words.append(f"{told['trainable_parameters']:,} trained parameters")
    if told.get("best_epoch"):
        words.append(f"epoch {told['best_epoch']} of {told['epochs']} kept")
    return ", ".join([*words, f"seed {told.get('seed')}"]) + "."


def _measured(record: AdapterRecord) -> str:
    names = [name for name in record.metrics if "." not in name]
    if not names:
        return "Nothing: there was no test subject."
    groups = [group for group in GROUPS if any(name.startswith(f"{group}.") for name in record.metrics)]
    rows = [["number", "value", *groups, "n"]]
    for name in names:
        others = [_cell(record.metrics.get(f"{group}.{name}")) for group in groups]
        rows.append([f"`{name}`", _cell(record.metrics[name]), *others, str(record.metrics[name].get("n"))])
    words = {"score": record.task.score, "volumes": _volumes(record)}
    meaning = ", ".join(f"`{group}` {GROUPS[group].format(**words)}" for group in groups)
    return (
        f"{_table(rows)}\n\nIn brackets 95 % intervals, bootstrapped over subjects; n counts scans. "
        f"`ece_if_perfect` is the `ece` that exact\nprobabilities would show with so few scans."
        + (f" Beside it: {meaning}." if meaning else "")
    )


def _volumes(record: AdapterRecord) -> str:
    """Say which volumes the norm score is made of."""
    told = record.volumes_baseline or {}
    structures = " and ".join(str(name).replace("_", " ") for name in told.get("structures", ()))
    return f"{structures} by {told.get('program')} ({told.get('basis')}) against norms for age"


def _cell(metric: dict[str, Any] | None) -> str:
    if metric is None:
        return ""
    if metric.get("value") is None:
        return "not defined"
    interval = "" if metric.get("low") is None else f" ({metric['low']:.3f} to {metric['high']:.3f})"
    return f"{metric['value']:.3f}{interval}"


def _calibration(record: AdapterRecord) -> str:
    found = record.calibration
    if not found.subjects:
        return "None: there was no calibration subject, so probabilities are those of the raw scores."
    told = f"Temperature {found.temperature:.3f} with a report, {found.scan_only_temperature:.3f} without"
    if found.mmse_half_width is not None:
        told += f"; 90 % interval of\nthe {record.task.score}: +-{found.mmse_half_width:.1f} points"
    if found.set_threshold is not None:
        told += f"; a 90 % prediction set holds\nthe classes of at least {found.set_threshold:.3f}"
    if found.gate_limit is not None:
        told += f"; scans farther than {found.gate_limit:.2f} from\nthe training scans are flagged"
    return f"{told}. Fitted on {found.subjects} calibration subjects{_few(found)}."


def _few(calibration: Calibration) -> str:
    if calibration.subjects >= FEW_SUBJECTS and not calibration.cross_fitted:
        return ""
    how = "; the thresholds of the prediction sets are cross-fitted" if calibration.cross_fitted else ""
    return f", which is few: read the probabilities with care{how}"


def _table(rows: list[list[Any]]) -> str:
    def lines() -> Iterator[str]:
        for place, row in enumerate(rows):
            yield "| " + " | ".join(str(cell) for cell in row) + " |"
            if not place:
                yield "|---" * len(row) + "|"

    return "\n".join(lines())
