"""The text of the methods, with its sources, and the answers to the checklists that follow from a run."""

from __future__ import annotations

from importlib.resources import files

from adclip.clinical.reports import fields_of
from adclip.evaluation.assess import Assessment
from adclip.evaluation.audits.cross_fit import FOLDS
from adclip.evaluation.audits.quality import DOUBTFUL
from adclip.evaluation.audits.rescans import MOST_DAYS
from adclip.evaluation.audits.subgroups import FEWEST
from adclip.evaluation.page.findings import by_group, interval, name_of
from adclip.evaluation.page.study import Study, dates_of


def sources() -> list[str]:
    """Return what the text of the methods cites."""
    return _asset("methods_sources.txt").splitlines()


def methods_of(assessment: Assessment, study: Study) -> list[str]:
    """Return the paragraphs of a methods section, as true of this very run."""
    from jinja2 import Environment, StrictUndefined

    # plain text: the page escapes it like any other, and Markdown shows it as it is
    environment = Environment(undefined=StrictUndefined)  # noqa: S701
    prevalence = ", ".join(f"{label} {share:.2f}" for label, share in assessment.prevalence.items())
    text = environment.from_string(_asset("methods.txt")).render(
        study=study, record=assessment.record, labels=assessment.record.labels, prevalence=prevalence,
        rivals_learned=assessment.rivals_learned, folds=FOLDS, doubtful=DOUBTFUL, fewest=FEWEST, most_days=MOST_DAYS,
    )  # fmt: skip
    return text.strip().split("\n\n")


def _asset(name: str) -> str:
    return (files("adclip") / "assets" / name).read_text(encoding="utf-8")


def methods_to_markdown(assessment: Assessment, study: Study) -> str:
    """Return the methods and their sources as a text to start from."""
    lines = ["# Methods", "", *(f"{text}\n" for text in methods_of(assessment, study)), "## Sources", ""]
    return "\n".join([*lines, *(f"- {source}" for source in sources()), "", study.notice, ""])


def facts_of(assessment: Assessment, study: Study) -> dict[str, str]:
    """Return the answers to the checklists, by the keys of `assets/checklists.json`; what is not known is empty."""
    record, labels = assessment.record, assessment.record.labels
    own, groups, _ = by_group(assessment)
    counts, training = assessment.counts(), record.training
    people = f"{sum(counts.values())} people ({', '.join(f'{n} {label}' for label, n in counts.items())})"
    kinds = sorted({group.kind for group in assessment.subgroups})
    small = sum(group.is_too_small for group in assessment.subgroups)
    missing = ", ".join(assessment.missing.shares) or "none of the columns that the model reads"
    trained_on = training.counts.get("train", {})
    development = ", ".join(f"{count} {label}" for label, count in trained_on.items())
    headline, rescans = own.get(assessment.headline), assessment.rescans
    sites = sum(group.kind == "site" for group in assessment.subgroups)
    cdr = " by CDR 0 / 0.5 / 1 or more" if study.policy == "cdr" else ""
    division = "no division: every person here is new to the model, as far as it can be told"
    if study.own:
        division = "the run's own split by subject"
    chosen = f"epoch {training.best_epoch} of {training.epochs} chosen on the validation part"
    beside = ", ".join(
        f"{name_of(name)} {interval(numbers[assessment.headline])}"
        for name, numbers in groups.items()
        if assessment.headline in numbers
    )
    robust = "scans and reports shuffled; quality numbers alone"
    if rescans.pairs:
        robust = f"{rescans.pairs} pairs of scans within {MOST_DAYS} days; {robust}"
    columns = ", ".join(record.task.usable(fields_of(record.style))) if record.reports else ""
    libraries = ", ".join(f"{name} {version}" for name, version in record.libraries.items())
    weights = f"SHA-256 {study.model['sha256'][:16]}"
    return {
        "notice": study.notice,
        "aim": "evaluation of a model that was made before; nothing is fitted to these people but the rivals",
        "dates": dates_of(assessment.judgement.visits),
        "sites": f"{sites} sites by the table's column" if sites else "",
        "eligible": "scans with a row and a diagnosis at their visit; the verdict `fail` of the quality control is left out",
        "preparation": "adclip preprocess: brain extraction, N4, affine alignment to MNI152NLin2009aSym, one resampling, 0.5 to "
        "99.5 % of the brain to 0 and 1; the same for every scan",
        "outcome": f"{' / '.join(labels)} at the visit of the scan, as the table states it{cdr}; how it was made is to be added",
        "predictors": "T1-weighted MRI" + (f"; {columns}" if columns else ""),
        "size": f"all that were there: {people}",
        "missing": f"a report leaves out what is unknown; missing here: {missing}",
        "division": division,
        "disjoint": study.who,
        "model": f"`adapter.json` of {study.model['id']} and the base {study.model['base']} hold it in full ({weights})",
        "training": f"method {training.method}, recipe {training.recipe}, {chosen}" if training.epochs else "",
        "ensembles": "none",
        "subgroups": f"by {', '.join(kinds)}; {small} of {len(assessment.subgroups)} groups were too small"
        if kinds
        else "",
        "measures": "see the methods; every number with a 95 % interval over people",
        "updating": "none",
        "predictions": "as `adclip predict` computes them",
        "imbalance": "numbers for classes equally common beside those for classes as common as here",
        "output": f"probabilities of {', '.join(labels)}, the likeliest is the answer; a prediction set; the {record.task.score}",
        "differences": f"trained on {development}; here {people}" if development else "",
        "code": f"adclip {study.version}; {libraries}",
        "flow": "; ".join(f"{name}: {count}" for name, count in study.flow),
        "characteristics": "see the table of people",
        "performance": f"AUC of {labels[-1]} against {labels[0]} {interval(headline)}; beside it {beside or 'nobody'}",
        "limits": "see what is marked `!` on the page" + ("; the scans are simulated" if study.simulated else ""),
        "poor_input": "the quality control gives each scan a verdict; absent metadata are left out of the report",
        "private": "this page and its tables name nobody; ids and pictures stand under `private/`",
        "robustness": robust,
        "explain": "`adclip explain` draws heatmaps; none on this page",
        "internal": f"yes: {study.who}" if study.own else "not here",
        "external": "not here" if study.own else f"yes: {study.who}",
        "failures": f"{study.failures} scans could not be read; the surest wrong answers stand in `private/cases.html`",
    }
