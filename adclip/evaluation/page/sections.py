"""The parts of the page, in the order in which a reader asks."""

from __future__ import annotations

from adclip.evaluation.assess import Assessment
from adclip.evaluation.audits.rivals import ORACLE
from adclip.evaluation.judgement import MODEL
from adclip.evaluation.page.audit_sections import checklists_of, columns, quality, rescans_of, shuffles, subgroups
from adclip.evaluation.page.checklists import Checklist
from adclip.evaluation.page.findings import LADDER, adds_over_volumes, interval, name_of, order_of
from adclip.evaluation.page.methods import methods_of, sources
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


def sections_of(assessment: Assessment, study: Study, checklists: list[Checklist]) -> list[Section]:
    """Return the parts of the page; nobody is named in them."""
    methods = methods_of(assessment, study)
    return [
        _people(assessment, study),
        _ladder(assessment, study),
        _numbers(assessment),
        _curves(assessment),
        _calibration(assessment),
        *_score(assessment),
        shuffles(assessment),
        subgroups(assessment),
        columns(assessment),
        quality(assessment),
        rescans_of(assessment),
        Section("Failures", [
            "The answers that were surest and wrong, with pictures and ids, are in private/cases.html; scans that could not be read in "
            f"private/failed.tsv ({study.failures}). Both name people and are not to be passed on.",
        ]),
        Section("Methods", methods, listed=sources(methods)),
        *checklists_of(checklists),
    ]  # fmt: skip


def _people(assessment: Assessment, study: Study) -> Section:
    head, rows = characteristics(assessment)
    flow = Grid("What became of scans and people", ["", "number"], [[name, str(count)] for name, count in study.flow])
    return Section("People", [f"{study.who}."], grids=[Grid("Who they are, at their first scan", head, rows), flow])


def _ladder(assessment: Assessment, study: Study) -> Section:
    own, groups, differences = assessment.by_group
    labels = assessment.record.labels
    shown = [assessment.headline, "balanced_accuracy", "accuracy", "brier"]
    rows = []
    for group in order_of(list(groups)):
        numbers = own if group == MODEL else groups[group]
        gained = differences.get(group, {}).get(assessment.headline)
        rows.append([name_of(group), *(interval(numbers.get(name)) for name in shown), interval(gained)])
    asked = {MODEL, *groups} | ({ORACLE} if not study.simulated else set())
    absent = [name_of(name) for name in LADDER if name not in asked]
    texts = [
        "From who knows nothing to the model. What a rung does not add to the one below was not learned from the scan. In brackets "
        "95 % intervals over people; the last column is the model less that rung, paired on the same people.",
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
    own, groups, differences = assessment.by_group
    beside = [group for group in order_of(list(groups)) if group != MODEL]
    names = list(own)
    table = Grid(
        "Every number", ["number", "adclip", *map(name_of, beside), "scans"],
        [
            [name, interval(own[name]), *(interval(groups[group].get(name)) for group in beside), str(own[name].get("n", "–"))]
            for name in names
        ],
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
            f"accuracy, brier and ece are of probabilities for classes as common as here ({prevalence}), judged by these people as "
            "they are; balanced_accuracy, macro_f1, sensitivity and specificity of each class, every AUC and what ends in _equal of "
            "probabilities for classes equally common. ece_if_perfect is the ECE that exact probabilities would show with so few "
            "people, ece_excess what there is beyond. For brier and errors less is better. A dash: not defined here.",
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
            Figure(
                f"Decision curve: what it is worth to act on the probability of {last}, by the threshold.",
                draw_decisions(last, cases, answers),
            ),
        ],
    )  # fmt: skip


def _calibration(assessment: Assessment) -> Section:
    judgement = assessment.judgement
    own, _, _ = assessment.by_group
    of_classes = [f"set_coverage_{label.lower()}" for label in assessment.record.labels]
    rows = [
        [name, interval(own.get(name))]
        for name in ("ece", "ece_if_perfect", "ece_excess", "brier", "set_coverage", *of_classes, "set_size")
        if name in own
    ]
    figure = Figure(
        "Reliability, classes as common as here: share that was right by stated probability, in groups of equal size. Grey: where "
        "95 of 100 such groups lie if every probability is exactly right.",
        draw_reliability(judgement.numbers.tolist(), judgement.full.study),
    )
    return Section(
        "Calibration", grids=[Grid("Calibration and prediction sets", ["number", "value"], rows)], figures=[figure]
    )


def _score(assessment: Assessment) -> list[Section]:
    judgement, task = assessment.judgement, assessment.record.task
    own, _, _ = assessment.by_group
    pictures = [
        (f"Estimated {task.score} against the known one; dotted: equal.", draw_scores(task, judgement.true_scores, judgement.mmse)),
        (
            "Bland and Altman: difference by mean; lines: mean difference and limits of agreement.",
            draw_differences(task, judgement.true_scores, judgement.mmse),
        ),
    ]  # fmt: skip
    figures = [Figure(caption, png) for caption, png in pictures if png is not None]
    if not figures:
        return [Section(task.score, [f"No {task.score} to compare: the table has none, or the model estimates none."])]
    rows = [[name, interval(own[name])] for name in own if name.startswith(f"{task.score_key}_")]
    return [
        Section(task.score, grids=[Grid(f"Estimate of the {task.score}", ["number", "value"], rows)], figures=figures)
    ]
