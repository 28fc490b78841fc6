"""The parts of the page on what else could explain the numbers, and the checklists."""

from __future__ import annotations

import numpy as np

from adclip.evaluation.assess import Assessment
from adclip.evaluation.audits.columns import CIRCULAR
from adclip.evaluation.audits.rescans import MOST_DAYS
from adclip.evaluation.audits.subgroups import FEWEST, OTHERS
from adclip.evaluation.page.checklists import Checklist
from adclip.evaluation.page.findings import interval, number
from adclip.evaluation.page.render import Grid, Section

COLUMNS_SHOWN = 20  # of the table that explain most; columns.tsv has all


def shuffles(assessment: Assessment) -> Section:
    """Say what somebody else's scan or report costs."""
    rows, texts = [], []
    for what, result in (("scans", assessment.scan_shuffled), ("reports", assessment.report_shuffled)):
        if result is None:
            texts.append(f"{what.capitalize()} could not be shuffled: too few people, or nothing to exchange.")
        else:
            rows.append([f"{what} of somebody else", interval(result.auc), interval(result.cost), result.says])
    head = ["input", "AUC", "AUC lost", "so"]
    lead = "Each person is given the scan, or the report, of somebody else. An input whose loss costs nothing was not used."
    return Section(
        "Scans and reports shuffled", [lead, *texts], grids=[Grid("Shuffled inputs", head, rows)] if rows else []
    )


def subgroups(assessment: Assessment) -> Section:
    """Say what was measured of each group."""
    labels = assessment.record.labels
    rows = []
    for group in assessment.subgroups:
        counts = ", ".join(f"{count} {label}" for label, count in group.counts.items())
        names = ("auc", "auc_less_others", "accuracy", "balanced_accuracy")
        told = (
            ["too small"] * len(names) if group.is_too_small else [interval(group.numbers.get(name)) for name in names]
        )
        rows.append([f"{group.kind} {group.name}", counts, *told])
    head = [
        "group",
        "people",
        f"AUC {labels[-1]} against {labels[0]}",
        "less all others",
        "accuracy",
        "balanced accuracy",
    ]
    text = (
        f"Groups with fewer than {FEWEST} people of {labels[0]} or of {labels[-1]} are too small to be measured; sites of fewer than {FEWEST} "
        f"people stand together as `{OTHERS}`. Intervals that hold 0 "
        "tell no difference; of many groups some differ by chance."
    )
    return Section("Groups of people", [text], grids=[Grid("By sex, age and site", head, rows)] if rows else [])


def columns(assessment: Assessment) -> Section:
    """Say what single columns and gaps of the table tell of the diagnosis."""
    labels, missing = assessment.record.labels, assessment.missing
    rows = [
        [
            meter.column, {"score": "a score", "diagnosis": "a diagnosis"}.get(meter.kind, ""), "yes" if meter.read else "no",
            str(meter.known), interval(meter.balanced_accuracy), f"{100 * meter.explained:.0f} %", meter.says,
        ]
        for meter in assessment.columns[:COLUMNS_SHOWN]
    ]  # fmt: skip
    gaps = [
        [name, *(number(100 * shares.get(label, np.nan), 0) for label in labels)]
        for name, shares in missing.shares.items()
    ]
    texts = [
        "How far each column of the table alone leads from chance (0 %) to certainty (100 %): the balanced accuracy of a small decision "
        f"tree on it, cross-fitted over people. Above {100 * CIRCULAR:.0f} % it is warned of.",
        f"The pattern of missing cells alone: AUC {interval(missing.auc)}."
        if missing.auc
        else "What is missing tells nothing, or too few people are there to ask.",
    ]
    grids = (
        [
            Grid(
                "Circularity meter",
                ["column", "by its name", "read by the model", "known", "balanced accuracy", "explained", "warning"],
                rows,
            )
        ]
        if rows
        else []
    )
    if gaps:
        grids.append(Grid("Missing, % of scans, of what the model reads", ["column", *labels], gaps))
    return Section("What the table gives away", texts, grids=grids)


def quality(assessment: Assessment) -> Section:
    """Say what quality numbers tell of the diagnosis."""
    audit = assessment.quality
    rows = [
        ["how the scan was taken", interval(audit.acquisition), ", ".join(audit.numbers) or "–"],
        ["all quality numbers", interval(audit.every), "also those that a shrunken brain changes by itself"],
    ]
    return Section(
        "Quality as a confound",
        [f"{audit.says}."],
        grids=[Grid("Diagnosis from quality alone", ["by", "AUC", "numbers"], rows)] if audit.scans else [],
    )


def rescans_of(assessment: Assessment) -> Section:
    """Say how well two scans of one person agree."""
    rescans = assessment.rescans
    title = f"Two scans within {MOST_DAYS} days"
    if not rescans.pairs or rescans.kept is None:
        return Section(title, ["Nobody was scanned twice in so short a time, or the visits have no dates."])
    kept = rescans.kept
    percent = {name: None if kept[name] is None else 100 * float(kept[name] or 0) for name in ("value", "low", "high")}
    rows = [
        ["class kept, %", interval(percent, 1)],
        *([f"ICC of {name}", interval(entry)] for name, entry in rescans.icc.items()),
    ]
    return Section(
        title,
        [f"{rescans.pairs} people, one pair each, {number(rescans.days, 0)} days apart in the median."],
        grids=[Grid("Agreement", ["number", "value"], rows)],
    )


def checklists_of(checklists: list[Checklist]) -> list[Section]:
    """Show each checklist."""
    return [
        Section(
            one.name,
            [
                f"{sum(not item.is_open for item in one.items)} of {len(one.items)} items follow from this run; the others are open. "
                "Read what is filled in before you use it."
            ],
            grids=[Grid(one.source, ["item", "asks", "answer"], [[item.number, item.asks, item.answer] for item in one.items])],
        )
        for one in checklists
    ]  # fmt: skip
