"""What an assessment says, in sentences and in tables of numbers; nobody is named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adclip.evaluation.assess import Assessment
from adclip.evaluation.audits.rivals import ORACLE, UNTRAINED, VOLUMES
from adclip.evaluation.judgement import MODEL
from adclip.evaluation.page.study import Study

WHO = {
    MODEL: "adclip",
    "scan_only": "adclip, the scan alone",
    "metadata_only": "metadata alone (regression of the model)",
    "volumes_only": "volumes alone (norm score)",
    VOLUMES: "volumes alone (regression)",
    UNTRAINED: "untrained network (linear read-out)",
    "majority": "always the commonest class",
    ORACLE: "oracle (regression on the true volumes of the simulation)",
}
# The ladder from who knows nothing to the model, and of simulated people to who knows the truth; whoever else was asked comes before.
LADDER = ("majority", UNTRAINED, "volumes_only", VOLUMES, "metadata_only", "scan_only", MODEL, ORACLE)
SUSPICIOUS = 0.85  # accuracy of three classes from MRI alone, above which a leak is looked for first (docs/explanation/method.md)


@dataclass(frozen=True)
class Finding:
    """A sentence that stands on top of the page.

    Parameters
    ----------
    level : str
        `good`, `plain` or `warn`.
    text : str
    """

    level: str
    text: str


def name_of(group: str) -> str:
    """Return what a group is called on the page."""
    return WHO.get(group, group.replace("_", " "))


def number(value: Any, digits: int = 3) -> str:
    """Return a number at fixed precision, a dash where it is unknown."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return f"{value:.{digits}f}" if known else "–"


def interval(entry: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Return `0.812 (0.744 to 0.871)`; a dash where there is no number."""
    if not entry or entry.get("value") is None:
        return "–"
    shown = number(entry["value"], digits)
    if entry.get("low") is not None and entry.get("high") is not None:
        shown += f" ({number(entry['low'], digits)} to {number(entry['high'], digits)})"
    return shown


def order_of(groups: Sequence[str]) -> list[str]:
    """Return those that were asked in the order of the ladder."""
    known = [group for group in LADDER if group in groups or group == MODEL]
    return [*(group for group in groups if group not in LADDER), *known]


def adds_over_volumes(assessment: Assessment) -> list[Finding]:
    """Say how much more the network tells than volumes do, also where that is nothing or less."""
    _, _, differences = assessment.by_group
    findings = []
    for group in ("volumes_only", VOLUMES):
        gained = differences.get(group, {}).get(assessment.headline)
        if gained is None or gained.get("value") is None:
            continue
        sure = gained.get("low") is not None and gained["low"] > 0
        text = f"The network adds {interval(gained)} to the AUC of {_ends(assessment)} over {name_of(group)}" + (
            "." if sure else ": no gain that could be told from chance."
        )
        findings.append(Finding("good" if sure else "warn", text))
    if not findings:
        findings.append(
            Finding(
                "plain",
                "What the network adds over volumes is not known: no volumes that could be compared, or too few people.",
            )
        )
    return findings


def findings_of(assessment: Assessment, study: Study) -> list[Finding]:
    """Return what a reader has to know before any table: who was counted, then what matters most first."""
    own, _, _ = assessment.by_group
    headline = own.get(assessment.headline)
    findings = [Finding("plain" if study.checked else "warn", _sentence(study.who))]
    if study.simulated:
        findings.append(Finding("plain", _of_simulation(assessment)))
    findings.append(Finding("plain", f"AUC of {_ends(assessment)}: {interval(headline)}, {_people(assessment)}."))
    findings += adds_over_volumes(assessment)
    for result in (assessment.scan_shuffled, assessment.report_shuffled):
        if result is not None:
            findings.append(Finding("good" if result.adds else "warn", _sentence(result.says)))
    excess = own.get("ece_excess")
    if excess and excess.get("value") is not None:
        off = excess.get("low") is not None and excess["low"] > 0
        word = "beyond what" if off else "within what"
        found, expected = interval(own.get("ece")), interval(own.get("ece_if_perfect"))
        text = f"Calibration: the ECE is {word} a perfect model shows with so few scans ({found} against {expected})."
        findings.append(Finding("warn" if off else "good", text))
    findings += [Finding("warn", _sentence(meter.says)) for meter in assessment.columns if meter.is_circular]
    findings.append(Finding("warn" if assessment.quality.is_doubtful else "plain", _sentence(assessment.quality.says)))
    missing = assessment.missing.auc
    if missing and missing.get("low") is not None and float(missing["low"] or 0) > 0.5:
        findings.append(Finding("warn", f"What is missing in the table tells the diagnosis: AUC {interval(missing)}."))
    accuracy = own.get("accuracy", {}).get("value")
    if len(assessment.record.labels) == 3 and isinstance(accuracy, float) and accuracy > SUSPICIOUS:
        findings.append(
            Finding(
                "warn", f"An accuracy above {SUSPICIOUS} for three classes is first of all a reason to look for a leak."
            )
        )
    return findings


def _of_simulation(assessment: Assessment) -> str:
    """Say that nobody is real, and what could be told at best."""
    _, groups, _ = assessment.by_group
    auc = groups.get(ORACLE, {}).get(assessment.headline)
    told = "An oracle could not be asked: what is true of these people is not at hand, or they are too few."
    if auc and auc.get("value") is not None:
        told = f"A regression on their true volumes, age, sex and head size reaches an AUC of {interval(auc)}."
    return f"These people are simulated: no number here holds for patients. {told}"


def _ends(assessment: Assessment) -> str:
    return f"{assessment.record.labels[-1]} against {assessment.record.labels[0]}"


def _people(assessment: Assessment) -> str:
    counts = assessment.counts
    shares = ", ".join(f"{count} {label}" for label, count in counts.items())
    return f"{len(assessment.judgement.truth)} scans of {sum(counts.values())} people ({shares})"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def to_record(assessment: Assessment, study: Study) -> dict[str, Any]:
    """Return everything that was measured as plain JSON types: group-level numbers only."""
    own, groups, differences = assessment.by_group
    shuffles = {"scan": assessment.scan_shuffled, "report": assessment.report_shuffled}
    return {
        "scans": len(assessment.judgement.truth),
        "people": assessment.counts,
        "prevalence": assessment.prevalence,
        "metrics": own,
        "beside": groups,
        "less": differences,
        "rivals_learned": assessment.rivals_learned,
        "shuffled": {name: None if result is None else result.to_dict() for name, result in shuffles.items()},
        "subgroups": [group.to_dict() for group in assessment.subgroups],
        "columns": [meter.to_dict() for meter in assessment.columns],
        "missing": assessment.missing.to_dict(),
        "quality": assessment.quality.to_dict(),
        "rescans": assessment.rescans.to_dict(),
        "findings": [vars(finding) for finding in findings_of(assessment, study)],
    }
