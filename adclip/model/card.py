"""The model card: README.md of a RUN folder, rendered from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adclip.model.record import FEW_SUBJECTS

if TYPE_CHECKING:
    from adclip.model.record import AdapterRecord, Calibration


def render_card(record: AdapterRecord) -> str:
    """Return the Markdown text of a model card; every number in it comes from `record`."""
    rows = "\n".join(_row(name, metric) for name, metric in record.metrics.items())
    counts: dict[str, dict[str, int]] = record.training.get("counts", {})
    split = "\n".join(
        f"| {part} | " + " | ".join(str(c) for c in sizes.values()) + " |" for part, sizes in counts.items()
    )
    columns = list(next(iter(counts.values()), {}))
    header = "| part | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|"
    calibration = record.calibration
    width = "none" if calibration.mmse_half_width is None else f"+-{calibration.mmse_half_width:.1f} points"
    return f"""# adclip adapter

> {record.notice}

Prompt-tuned adapter for the base model `{record.base["name"]}` (revision {record.base["revision"]}, SHA-256
`{record.base["sha256"][:16]}...`), written by adclip {record.adclip_version}. It answers {", ".join(record.labels)} with
probabilities and an estimated {record.task.score}, from a T1-weighted MRI and, if given, a synthetic report in the style `{record.style}`.

## Use

    adclip predict scan.nii.gz --meta subject.csv --model THIS_FOLDER

## What it was trained on

{header}
{split}

Counts are subjects by diagnosis at the visit of the scan; nobody is in two parts. Seed {record.training.get("seed")},
{record.training.get("epochs")} epochs.

## Measured on the test subjects

| number | value | 95 % interval | n |
|---|---|---|---|
{rows}

Intervals are bootstrapped over subjects. `majority` is what always naming the commonest class would reach, `metadata_only`
a logistic regression on the report's columns with age, sex, education and APOE, `scan_only` the same network without a
report.

## Calibration

Temperature {calibration.temperature:.3f} with a report, {calibration.scan_only_temperature:.3f} without; 90 % interval of
the {record.task.score}: {width}. Fitted on {calibration.subjects} calibration subjects{_few(calibration)}.

## Limits

Numbers hold for people and scanners like those above. The report is synthetic: it repeats table columns and adds nothing.
Probabilities assume that the classes are equally common.
"""


def _few(calibration: Calibration) -> str:
    if calibration.subjects >= FEW_SUBJECTS:
        return ""
    how = "; the thresholds of the prediction sets are cross-fitted" if calibration.cross_fitted else ""
    return f", which is few: read the probabilities with care{how}"


def _row(name: str, metric: dict[str, Any]) -> str:
    if metric.get("value") is None:
        return f"| {name} | not defined | | {metric.get('n')} |"
    interval = "" if metric.get("low") is None else f"{metric['low']:.3f} to {metric['high']:.3f}"
    return f"| {name} | {metric['value']:.3f} | {interval} | {metric['n']} |"
