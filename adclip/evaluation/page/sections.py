"""The parts of the page, in the order in which a reader asks."""

from __future__ import annotations

import numpy as np

from adclip.evaluation.assess import Assessment
from adclip.evaluation.audits.columns import CIRCULAR
from adclip.evaluation.audits.rescans import MOST_DAYS
from adclip.evaluation.audits.subgroups import FEWEST
from adclip.evaluation.judgement import MODEL
from adclip.evaluation.page.checklists import Checklist
from adclip.evaluation.page.findings import adds_over_volumes, by_group, interval, name_of, number, order_of
from adclip.evaluation.page.methods import SOURCES, methods_of
from adclip.evaluation.page.render import Figure, Grid, Section
from adclip.evaluation.page.study import Study, characteristics
from adclip.evaluation.plots import (
    draw_confusion,
    draw_decisions,
    draw_differences,
    draw_precision,
    draw_reliability,
    draw_roc,
    draw_scores,
)

COLUMNS_SHOWN = 20  # of the table that explain most; columns.tsv has all


def sections_of(assessment: Assessment, study: Study, checklists: list[Checklist]) -> list[Section]:
    """Return the parts of the page; nobody is named in them."""
    return [
        _people(assessment, study),
        _ladder(assessment),
        _numbers(assessment),
        _curves(assessment),
        _calibration(assessment),
        *_score(assessment),
        _shuffles(assessment),
        _subgroups(assessment),
        _columns(assessment),
        _quality(assessment),
        _rescans(assessment),
        Section("Failures", [
            "The answers that were surest and wrong, with pictures and ids, are in private/cases.html; scans that could not be read in "
            f"private/failed.tsv ({study.failures}). Both name people and are not to be passed on.",
        ]),
        Section("Methods", methods_of(assessment, study), listed=SOURCES),
        *_checklists(checklists),
    ]  # fmt: skip


def _people(assessment: Assessment, study: Study) -> Section:
    head, rows = characteristics(assessment)
    flow = Grid("What became of scans and people", ["", "number"], [[name, str(count)] for name, count in study.flow])
    return Section("People", [f"{study.who}."], grids=[Grid("Who they are, at their first scan", head, rows), flow])


def _ladder(assessment: Assessment) -> Section:
    own, groups, differences = by_group(assessment)
    labels = assessment.record.labels
    shown = [assessment.headline, "balanced_accuracy", "accuracy", "brier"]
    rows = []
    for group in order_of(list(groups)):
        numbers = own if group == MODEL else groups[group]
        gained = differences.get(group, {}).get(assessment.headline)
        rows.append([name_of(group), *(interval(numbers.get(name)) for name in shown), interval(gained)])
    absent = [
        name_of(name)
        for name in ("volumes_only", "volumes_regression", "metadata_only", "untrained_network")
        if name not in groups
    ]
    texts = [
        "From who knows nothing to the model. What a rung does not add to the one below was not learned from the scan. In brackets 95 % intervals "
        "over people; the last column is the model less that rung, paired on the same people.",
        f"Regressions that the model does not bring along are {assessment.rivals_learned}.",
    ]
    if absent:
        texts.append(f"Could not be asked here, for want of people, columns or volumes: {'; '.join(absent)}.")
    head = [
        "who answers",
        f"AUC {labels[-1]} against {labels[0]}",
        "balanced accuracy",
        "accuracy",
        "Brier",
        "adclip's AUC less this one's",
    ]
    return Section(
        "The ladder: what does the network add?",
        texts,
        adds_over_volumes(assessment),
        [Grid("Null ladder", head, rows)],
    )


def _numbers(assessment: Assessment) -> Section:
    own, groups, differences = by_group(assessment)
    beside = [group for group in order_of(list(groups)) if group != MODEL]
    names = list(own)
    table = Grid(
        "Every number", ["number", "adclip", *map(name_of, beside), "scans"],
        [[name, interval(own[name]), *(interval(groups[group].get(name)) for group in beside), str(own[name].get("n", "–"))] for name in names],
    )  # fmt: skip
    compared = list(dict.fromkeys(name for group in beside for name in differences.get(group, {})))
    less = Grid(
        "adclip less each of them", ["number", *map(name_of, beside)],
        [[name, *(interval(differences.get(group, {}).get(name)) for group in beside)] for name in compared],
    )  # fmt: skip
    prevalence = ", ".join(f"{label} {share:.2f}" for label, share in assessment.prevalence.items())
    return Section(
        "Numbers",
        [
            f"accuracy, brier and ece are of probabilities for classes as common as here ({prevalence}), judged by these people as they are; "
            "balanced_accuracy, macro_f1, every AUC and what ends in _equal of probabilities for classes equally common. ece_if_perfect is the ECE "
            "that exact probabilities would show with so few people, ece_excess what there is beyond. For brier and errors less is better. A dash: "
            "not defined here.",
        ],
        grids=[table, less],
    )


def _curves(assessment: Assessment) -> Section:
    judgement, labels = assessment.judgement, assessment.record.labels
    full, truth, last = judgement.full, judgement.numbers.tolist(), labels[-1]
    rivals = [name for name in ("metadata_only", "volumes_only", "volumes_regression") if name in judgement.everyone]
    answers = {name_of(name): judgement.everyone[name].study[:, -1] for name in (MODEL, *rivals)}
    cases = [bool(number == len(labels) - 1) for number in truth]
    return Section(
        "Curves",
        figures=[
            Figure("ROC: each class against the others, probabilities for classes equally common.", draw_roc(labels, truth, full.equal)),
            Figure("Precision and recall, classes as common as here; dotted: by chance.", draw_precision(labels, truth, full.study)),
            Figure("Confusion: scans by diagnosis and by answer, classes equally common.", draw_confusion(labels, truth, full.equal)),
            Figure(f"Decision curve: what it is worth to act on the probability of {last}, by the threshold.", draw_decisions(last, cases, answers)),
        ],
    )  # fmt: skip


def _calibration(assessment: Assessment) -> Section:
    judgement = assessment.judgement
    own, _, _ = by_group(assessment)
    rows = [
        [name, interval(own.get(name))]
        for name in ("ece", "ece_if_perfect", "ece_excess", "brier", "set_coverage", "set_size")
        if name in own
    ]
    figure = Figure(
        "Reliability, classes as common as here: share that was right by stated probability, in groups of equal size. Grey: where 95 of 100 such "
        "groups lie if every probability is exactly right.",
        draw_reliability(judgement.numbers.tolist(), judgement.full.study),
    )
    return Section(
        "Calibration", grids=[Grid("Calibration and prediction sets", ["number", "value"], rows)], figures=[figure]
    )


def _score(assessment: Assessment) -> list[Section]:
    judgement, task = assessment.judgement, assessment.record.task
    own, _, _ = by_group(assessment)
    pictures = [
        (f"Estimated {task.score} against the known one; dotted: equal.", draw_scores(task, judgement.true_scores, judgement.mmse)),
        ("Bland and Altman: difference by mean; lines: mean difference and limits of agreement.", draw_differences(task, judgement.true_scores, judgement.mmse)),
    ]  # fmt: skip
    figures = [Figure(caption, png) for caption, png in pictures if png is not None]
    if not figures:
        return [Section(task.score, [f"No {task.score} to compare: the table has none, or the model estimates none."])]
    rows = [[name, interval(own[name])] for name in own if name.startswith(f"{task.score_key}_")]
    return [
        Section(task.score, grids=[Grid(f"Estimate of the {task.score}", ["number", "value"], rows)], figures=figures)
    ]


def _shuffles(assessment: Assessment) -> Section:
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


def _subgroups(assessment: Assessment) -> Section:
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
    text = f"Groups with fewer than {FEWEST} people of {labels[0]} or of {labels[-1]} are too small to be measured. Intervals that hold 0 tell no difference; of many groups some differ by chance."
    return Section("Groups of people", [text], grids=[Grid("By sex, age and site", head, rows)] if rows else [])


def _columns(assessment: Assessment) -> Section:
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
        "How far each column of the table alone leads from chance (0 %) to certainty (100 %): the balanced accuracy of a small decision tree on it, "
        f"cross-fitted over people. Above {100 * CIRCULAR:.0f} % it is warned of.",
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


def _quality(assessment: Assessment) -> Section:
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


def _rescans(assessment: Assessment) -> Section:
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


def _checklists(checklists: list[Checklist]) -> list[Section]:
    return [
        Section(
            one.name,
            [f"{sum(not item.is_open for item in one.items)} of {len(one.items)} items follow from this run; the others are open. Read what is filled in before you use it."],
            grids=[Grid(one.source, ["item", "asks", "answer"], [[item.number, item.asks, item.answer] for item in one.items])],
        )
        for one in checklists
    ]  # fmt: skip
