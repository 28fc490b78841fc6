"""The chapter of a model card on calibration: what was fitted, on how many people, and what they can promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adclip.model.calibration import (
    FEW_SUBJECTS,
    FOUND_VOLUMES,
    ROADS,
    SCAN,
    TABLE,
    TABLE_AND_FOUND_VOLUMES,
    TABLE_WITH_VOLUMES,
    Calibration,
    least_subjects,
    likely_coverage,
)

if TYPE_CHECKING:
    from adclip.model.record import AdapterRecord


def describe_calibration(record: AdapterRecord) -> str:
    """Return the chapter in Markdown."""
    calibration = record.calibration
    if not calibration.subjects:
        return "None: there was no calibration subject, so probabilities are those of the raw scores."
    if not any(road.fitted for road in calibration.roads.values()):
        nothing = (
            f"Nothing is calibrated: the {calibration.subjects} calibration subjects were of fewer than two classes. Probabilities are those of\n"
            "the raw scores, flagged `not_calibrated`, and there is no prediction set."
        )
        return "\n\n".join([nothing, *_rest(record)])
    few = ", which is few: read the probabilities with care" if calibration.subjects < FEW_SUBJECTS else ""
    paragraphs = [
        f"Fitted on {calibration.subjects} calibration subjects{few}. What an answer rests on decides how its sources - the scan, the\n"
        "row, both together - are weighed and how sure it may be. Each number below multiplies what one source says: the raw\n"
        "scores of the scan alone and of both together, the logarithms of the row's probabilities. The sum is divided by the temperature;\n"
        "the second temperature is for classes as common as in this study.",
        _table(calibration),
        *_sets(calibration),
        *_rest(record),
        *_uncalibrated(record),
    ]
    return "\n\n".join(paragraphs)


def _table(calibration: Calibration) -> str:
    header = ("rests on", "subjects", "scan", "row", "both", "temperature", "in this study")
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for name, road in calibration.roads.items():
        if road.fitted:
            study = "" if road.study_temperature is None else f"{road.study_temperature:.3f}"
            counts = ", ".join(f"{label} {count}" for label, count in road.counts.items()) or "not kept"
            cells = (
                name, counts, f"{road.scan:.3f}", f"{road.metadata:.3f}", f"{road.both:.3f}", f"{road.temperature:.3f}", study,
            )  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def missing_sets(calibration: Calibration) -> list[str]:
    """Return sentences that say which answers have no prediction set, and what it would take."""
    level, least = calibration.coverage, least_subjects(calibration.coverage)
    names_of: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for name, few in calibration.too_few.items():
        names_of.setdefault(tuple(few.items()), []).append(name)
    return [
        f"no prediction sets for answers that rest on {'; '.join(names)}: {_percent(level)} needs at least {least} calibration "
        f"subjects of each class, and of {' and '.join(f'{label} there are {count}' for label, count in few)}"
        for few, names in names_of.items()
    ]


def _sets(calibration: Calibration) -> list[str]:
    """Say what the prediction sets promise, of each group of people that taught them, or why there are none."""
    level = calibration.coverage
    promised = {name: road for name, road in calibration.roads.items() if road.fitted and road.thresholds is not None}
    names_of: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for name, road in promised.items():
        names_of.setdefault(tuple(road.counts.items()), []).append(name)
    how = " The thresholds are cross-fitted." if any(road.cross_fitted for road in promised.values()) else ""
    lines = []
    if promised and all(road.counts for road in promised.values()):
        lines.append(
            f"Prediction sets hold the true class with {_percent(level)} in each class, on average over calibrations like this one.\n"
            f"With this one, coverage lies with 95 % probability within the following.{how}\n"
        )
        for counts, names in names_of.items():
            likely = {label: likely_coverage(count, level) for label, count in counts}
            ranges = ", ".join(f"{label} {_percent(low)} to {_percent(high)}" for label, (low, high) in likely.items())
            lines.append(f"- {'; '.join(names)}: {ranges}")
    elif promised:  # of a model from before each class had a threshold of its own: nobody counted its people
        limits = {name: min((road.thresholds or {}).values()) for name, road in promised.items()}
        with_row = [f"of at least {limit:.3f}" for name, limit in limits.items() if name != SCAN][:1]
        alone = [f"by the {SCAN} alone of at least {limits[SCAN]:.3f}"] if SCAN in limits else []
        lines.append(
            f"A {_percent(level)} prediction set, over all classes together, holds the classes {', '.join(with_row + alone)}.{how}"
        )
    paragraphs = ["\n".join(lines)] if lines else []
    return paragraphs + [f"{sentence[0].upper()}{sentence[1:]}." for sentence in missing_sets(calibration)]


def _rest(record: AdapterRecord) -> list[str]:
    calibration, sentences = record.calibration, []
    if calibration.mmse_half_width is not None:
        sentences.append(
            f"{_percent(calibration.coverage)} interval of the {record.task.score}: +-{calibration.mmse_half_width:.1f} points."
        )
    if calibration.gate_limit is not None:
        sentences.append(f"Scans farther than {calibration.gate_limit:.2f} from the training scans are flagged.")
    return [" ".join(sentences)] if sentences else []


def _uncalibrated(record: AdapterRecord) -> list[str]:
    """Say what is shown where a road has nothing of its own."""
    calibration, baseline = record.calibration, record.metadata_baseline
    possible = [SCAN, *([TABLE] if record.reports else [])]
    if record.reports and baseline is not None and baseline.reads_volumes_of_table:
        possible += [TABLE_WITH_VOLUMES, TABLE_AND_FOUND_VOLUMES, FOUND_VOLUMES]
    unfitted = [name for name in ROADS if name in possible and not calibration.road(name).fitted]
    if not unfitted:
        return []
    return [
        f"Not calibrated are answers that rest on {'; '.join(unfitted)}: calibration subjects with such evidence were of fewer than two\n"
        "classes, or there were none. Their probabilities are those of the raw scores, flagged `not_calibrated`, and there is no\n"
        "prediction set; nothing is taken over from other answers."
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
