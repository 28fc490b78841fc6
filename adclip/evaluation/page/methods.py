"""The text of the methods, with its sources, and the answers to the checklists that follow from a run."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from adclip.clinical.reports import fields_of
from adclip.evaluation.assess import Assessment
from adclip.evaluation.audits.cross_fit import FOLDS
from adclip.evaluation.audits.quality import DOUBTFUL
from adclip.evaluation.audits.rescans import MOST_DAYS
from adclip.evaluation.audits.rivals import ORACLE, UNTRAINED, VOLUMES
from adclip.evaluation.audits.subgroups import FEWEST, OTHERS
from adclip.evaluation.page.findings import interval, name_of
from adclip.evaluation.page.study import Study, dates_of

# What each that stands beside the model is, where it was asked.
RIVALS = {
    "majority": "the commonest class",
    "scan_only": "the model on the scan without a report",
    "metadata_only": "a logistic regression on the metadata, stored with the model at its training",
    "volumes_only": "a logistic regression on a norm score of medial temporal volumes after the idea of Coupe et al. (2022), stored likewise",
    VOLUMES: "a regression on volumes, age and sex",
    UNTRAINED: "a linear read-out of a network of the same shape with random weights",
    ORACLE: "a regression on the true volumes, age, sex and head size of the simulation",
}


def sources(methods: Sequence[str]) -> list[str]:
    """Return what the paragraphs of the methods cite."""
    text = " ".join(methods)
    return [source for source in _asset("methods_sources.txt").splitlines() if source.split(" ")[0] in text]


def methods_of(assessment: Assessment, study: Study) -> list[str]:
    """Return the paragraphs of a methods section: of what this very run did, and of nothing else."""
    from jinja2 import Environment, StrictUndefined

    _, groups, _ = assessment.by_group
    # plain text: the page escapes it like any other, and Markdown shows it as it is
    environment = Environment(undefined=StrictUndefined)  # noqa: S701
    prevalence = ", ".join(f"{label} {share:.2f}" for label, share in assessment.prevalence.items())
    text = environment.from_string(_asset("methods.txt")).render(
        study=study, assessment=assessment, record=assessment.record, labels=assessment.record.labels, prevalence=prevalence,
        shares_from_here=assessment.is_prevalence_of_cohort, scored=_is_scored(assessment), oracle=ORACLE in groups,
        rivals="; ".join(words for name, words in RIVALS.items() if name in groups), asked=_asked_of(assessment),
        regressions=bool({VOLUMES, UNTRAINED, ORACLE} & set(groups)), rivals_learned=assessment.rivals_learned, folds=FOLDS,
        doubtful=DOUBTFUL, fewest=FEWEST, most_days=MOST_DAYS,
    )  # fmt: skip
    return text.strip().split("\n\n")


def _is_scored(assessment: Assessment) -> bool:
    """Tell whether estimates of the auxiliary score could be held against known ones."""
    own, _, _ = assessment.by_group
    error = own.get(f"{assessment.record.task.score_key}_mae")
    return error is not None and error["value"] is not None


def _asked_of(assessment: Assessment) -> str:
    """Return what was asked for the diagnosis beside models, as the beginning of a sentence; empty for nothing."""
    quality = assessment.quality
    asked = []
    if quality.acquisition or quality.every:
        asked.append(
            "quality numbers of how a scan was taken (noise, field of view, position; none that atrophy changes by itself)"
        )
    if assessment.columns:
        asked.append("single columns of the table (small decision trees)")
    if assessment.missing.auc:
        asked.append("the pattern of missing cells")
    if not asked:
        return ""
    listed = " and ".join([", ".join(asked[:-1]), asked[-1]] if len(asked) > 1 else asked)
    verb = "was" if asked == ["the pattern of missing cells"] else "were"
    return f"{listed[0].upper()}{listed[1:]} {verb}"


def _asset(name: str) -> str:
    return (files("adclip") / "assets" / name).read_text(encoding="utf-8")


def methods_to_markdown(assessment: Assessment, study: Study) -> str:
    """Return the methods and their sources as a text to start from."""
    methods = methods_of(assessment, study)
    lines = ["# Methods", "", *(f"{text}\n" for text in methods), "## Sources", ""]
    return "\n".join([*lines, *(f"- {source}" for source in sources(methods)), "", study.notice, ""])


def facts_of(assessment: Assessment, study: Study) -> dict[str, str]:
    """Return the answers to the checklists, by the keys of `assets/checklists.json`; what is not known is empty."""
    record, labels = assessment.record, assessment.record.labels
    own, groups, _ = assessment.by_group
    counts, training = assessment.counts, record.training
    people = f"{sum(counts.values())} people ({', '.join(f'{n} {label}' for label, n in counts.items())})"
    kinds = sorted({group.kind for group in assessment.subgroups})
    small = sum(group.is_too_small for group in assessment.subgroups)
    missing = ", ".join(assessment.missing.shares) or "none of the columns that the model reads"
    trained_on = training.counts.get("train", {})
    development = ", ".join(f"{count} {label}" for label, count in trained_on.items())
    headline, rescans = own.get(assessment.headline), assessment.rescans
    sites = [group.name for group in assessment.subgroups if group.kind == "site"]
    cdr = " by CDR 0 / 0.5 / 1 or more" if study.policy == "cdr" else ""
    division = "no division: every person here is new to the model, as far as the record of its training tells"
    if study.own:
        division = "the run's own split by subject"
    elif not study.checked:
        division = "no division; it could not be checked in full that every person here is new to the model"
    chosen = f"epoch {training.best_epoch} of {training.epochs} chosen on the validation part"
    beside = ", ".join(
        f"{name_of(name)} {interval(numbers[assessment.headline])}"
        for name, numbers in groups.items()
        if assessment.headline in numbers
    )
    tried = {
        f"{rescans.pairs} pairs of scans within {MOST_DAYS} days": rescans.pairs,
        "scans shuffled": assessment.scan_shuffled,
        "reports shuffled": assessment.report_shuffled,
        "quality numbers alone": assessment.quality.acquisition,
    }
    output = [f"probabilities of {', '.join(labels)}, the likeliest is the answer"]
    output += ["a prediction set"] if "set_coverage" in own else []
    output += [f"the {record.task.score}"] if assessment.judgement.mmse is not None else []
    updating = "none"
    if assessment.is_prevalence_of_cohort:
        updating = "the shares of the classes are those of this cohort in the numbers for classes as common as here; nothing else"
    columns = ", ".join(record.task.usable(fields_of(record.style))) if record.reports else ""
    libraries = ", ".join(f"{name} {version}" for name, version in record.libraries.items())
    weights = f"SHA-256 {study.model['sha256'][:16]}"
    return {
        "notice": study.notice,
        "aim": "evaluation of a model that was made before; no part of the model is fitted to these people",
        "dates": dates_of(assessment.judgement.visits),
        "sites": f"by the table's column {len(set(sites) - {OTHERS})} sites of {FEWEST} people or more"
        + (f", smaller ones together as `{OTHERS}`" if OTHERS in sites else "")
        if sites
        else "",
        "eligible": "scans with a row and a diagnosis at their visit; the verdict `fail` of the quality control is left out",
        "preparation": "adclip preprocess: brain extraction, N4, affine alignment to MNI152NLin2009aSym, one resampling, 0.5 to "
        "99.5 % of the brain to 0 and 1; what was done to each scan stands in its sidecar"
        if study.preprocessed
        else "",
        "outcome": f"{' / '.join(labels)} at the visit of the scan, as the table states it{cdr}; how it was made is to be added",
        "predictors": "T1-weighted MRI" + (f"; {columns}" if columns else ""),
        "size": f"all that were there: {people}",
        "missing": f"a report leaves out what is unknown; missing here: {missing}" if record.reports else "",
        "division": division,
        "disjoint": study.who,
        "model": f"`adapter.json` of {study.model['id']} and the base {study.model['base']} hold it in full ({weights})",
        "training": f"method {training.method}, recipe {training.recipe}, {chosen}" if training.epochs else "",
        "ensembles": "none",
        "subgroups": f"by {', '.join(kinds)}; {small} of {len(assessment.subgroups)} groups were too small"
        if kinds
        else "",
        "measures": "see the methods; every number with a 95 % interval over people",
        "updating": updating,
        "predictions": "as `adclip predict` computes them",
        "imbalance": "numbers for classes equally common beside those for classes as common as here",
        "output": "; ".join(output),
        "differences": f"trained on {development}; here {people}" if development else "",
        "code": f"adclip {study.version}; {libraries}",
        "flow": "; ".join(f"{name}: {count}" for name, count in study.flow),
        "characteristics": "see the table of people",
        "performance": f"AUC of {labels[-1]} against {labels[0]} {interval(headline)}; beside it {beside or 'nobody'}",
        "limits": "see what is marked `!` on the page" + ("; the people are simulated" if study.simulated else ""),
        "poor_input": "; ".join(
            [
                *(["the quality control gives each scan a verdict"] if assessment.quality.scans else []),
                *(["absent metadata are left out of the report"] if record.reports else []),
            ]
        ),
        "private": "this page and its tables name nobody; ids and pictures stand under `private/`",
        "robustness": "; ".join(words for words, found in tried.items() if found),
        "explain": "`adclip explain` draws heatmaps; none on this page",
        "internal": f"yes: {study.who}" if study.own else "not here",
        "external": "not here" if study.own else f"yes: {study.who}" if study.checked else "",
        "failures": f"{study.failures} scans could not be read; the surest wrong answers stand in `private/cases.html`",
    }
