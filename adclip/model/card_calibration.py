"""The chapter of a model card on calibration: what was fitted, on how many people, and what they can promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adclip.model.calibration import FEW_SUBJECTS, Calibration, least_subjects, likely_coverage

if TYPE_CHECKING:
    from adclip.model.record import AdapterRecord


def describe_calibration(record: AdapterRecord) -> str:
    """Return the chapter in Markdown."""
    calibration = record.calibration
    if not calibration.subjects:
        return "None: there was no calibration subject, so probabilities are those of the raw scores."
    few = ", which is few: read the probabilities with care" if calibration.subjects < FEW_SUBJECTS else ""
    paragraphs = [
        f"Fitted on {calibration.subjects} calibration subjects{few}. What an answer rests on decides how its sources - the scan, the\nrow, both together - "
        "are weighed and how sure it may be. Each number below multiplies raw scores, which are then divided\nby the temperature; the second temperature is for "
        "classes as common as in this study.",
        _table(calibration),
        *_sets(calibration),
        *_rest(record),
        *_uncalibrated(calibration),
    ]
    return "\n\n".join(paragraphs)


def _table(calibration: Calibration) -> str:
    header = ("rests on", "subjects", "scan", "row", "both", "temperature", "in this study")
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for name, road in calibration.roads.items():
        if road.fitted:
            study = "" if road.study_temperature is None else f"{road.study_temperature:.3f}"
            counts = ", ".join(f"{label} {count}" for label, count in road.counts.items())
            cells = (
                name, counts, f"{road.scan:.3f}", f"{road.metadata:.3f}", f"{road.both:.3f}", f"{road.temperature:.3f}", study,
            )  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _sets(calibration: Calibration) -> list[str]:
    """Say what the prediction sets promise, or why there are none."""
    fitted = {name: road for name, road in calibration.roads.items() if road.fitted and road.counts}
    if not fitted:
        return []
    level, least = calibration.coverage, least_subjects(calibration.coverage)
    without = {name: road.too_few(level) for name, road in fitted.items() if road.thresholds is None}
    sentences = []
    promised = next((road for road in fitted.values() if road.thresholds is not None), None)
    if promised is not None:
        likely = {label: likely_coverage(count, level) for label, count in promised.counts.items()}
        ranges = ", ".join(f"{label} {low:.0%} to {high:.0%}" for label, (low, high) in likely.items())
        how = " The thresholds are cross-fitted." if promised.cross_fitted else ""
        sentences.append(
            f"Prediction sets hold the true class with {level:.0%} in each class, on average over calibrations like this one; with this one,\n"
            f"coverage lies with 95 % probability within: {ranges}.{how}"
        )
    for counts in list(without.values())[:1]:
        classes = " and ".join(f"{label} has {count}" for label, count in counts.items())
        sentences.append(
            f"No prediction sets{'' if promised is None else ' for some answers'}: {level:.0%} needs at least {least} calibration subjects of each class, and {classes}."
        )
    return ["\n".join(sentences)]


def _rest(record: AdapterRecord) -> list[str]:
    calibration, sentences = record.calibration, []
    if calibration.mmse_half_width is not None:
        sentences.append(
            f"{calibration.coverage:.0%} interval of the {record.task.score}: +-{calibration.mmse_half_width:.1f} points."
        )
    if calibration.gate_limit is not None:
        sentences.append(f"Scans farther than {calibration.gate_limit:.2f} from the training scans are flagged.")
    return [" ".join(sentences)] if sentences else []


def _uncalibrated(calibration: Calibration) -> list[str]:
    """Say what is shown where a road has nothing of its own."""
    fitted = [road.fitted for road in calibration.roads.values()]
    if not any(fitted):
        return [
            "Nothing is calibrated: the subjects were of fewer than two classes. Probabilities are those of the raw scores,\n"
            "flagged `not_calibrated`, and there is no prediction set."
        ]
    if len(fitted) == 1:
        return [
            "Answers with a report are not calibrated: no calibration subject had one. Their probabilities are those of the raw\nscores, flagged "
            "`not_calibrated`, and there is no prediction set; nothing is taken over from scans without a report."
        ]
    unfitted = [name for name, road in calibration.roads.items() if not road.fitted]
    if unfitted:
        return [
            f"Not calibrated are answers that rest on {'; '.join(unfitted)}: the subjects with such evidence were of fewer than two\n"
            "classes. Their probabilities are those of the raw scores, flagged `not_calibrated`, and there is no prediction set."
        ]
    return []
