"""The text of the methods, with its sources, and the answers to the checklists that follow from a run."""

from __future__ import annotations

from adclip.evaluation.assess import Assessment
from adclip.evaluation.audits.cross_fit import FOLDS
from adclip.evaluation.audits.quality import DOUBTFUL
from adclip.evaluation.audits.rescans import MOST_DAYS
from adclip.evaluation.audits.subgroups import FEWEST
from adclip.evaluation.page.findings import by_group, interval, name_of
from adclip.evaluation.page.study import Study, dates_of
from adclip.model.record import AdapterRecord

SOURCES = (
    "Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of clinical measurement. Lancet 1986;327:307-310.",
    "Brocker J, Smith LA. Increasing the reliability of reliability diagrams. Weather and Forecasting 2007;22:651-661.",
    "Cheng Y, Ray K, Yang Y. Data-efficient fine-tuning of vision-language models for diagnosis of Alzheimer's disease. arXiv:2509.07613.",
    "Clopper CJ, Pearson ES. The use of confidence or fiducial limits. Biometrika 1934;26:404-413.",
    "Collins GS et al. TRIPOD+AI statement. BMJ 2024;385:e078378.",
    "Coupe P et al. Hippocampal-amygdalo-ventricular atrophy score. Human Brain Mapping 2022, doi:10.1002/hbm.25850.",
    "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under correlated ROC curves. Biometrics 1988;44:837-845.",
    "Guo C et al. On calibration of modern neural networks. arXiv:1706.04599.",
    "Learned-Miller E, Thomas PS. A new confidence interval for the mean of a bounded random variable. arXiv:1905.06208.",
    "Newcombe RG. Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Statistics in Medicine 2006;25:559-573.",
    "Pedregosa F et al. Scikit-learn: machine learning in Python. JMLR 2011;12:2825-2830.",
    "Saerens M, Latinne P, Decaestecker C. Adjusting the outputs of a classifier to new a priori probabilities. Neural Computation 2002;14:21-41.",
    "Shrout PE, Fleiss JL. Intraclass correlations: uses in assessing rater reliability. Psychological Bulletin 1979;86:420-428.",
    "Tejani AS et al. Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update. Radiology: AI 2024;6:e240300.",
    "Vickers AJ, Elkin EB. Decision curve analysis. Medical Decision Making 2006;26:565-574.",
    "Zou GY. Toward using confidence intervals to compare correlations. Psychological Methods 2007;12:399-413.",
)


def methods_of(assessment: Assessment, study: Study) -> list[str]:
    """Return the paragraphs of a methods section, as true of this very run."""
    record, labels = assessment.record, assessment.record.labels
    prevalence = ", ".join(f"{label} {share:.2f}" for label, share in assessment.prevalence.items())
    whose = (
        "the shares of the run's training part" if study.own else "the shares of this cohort, which were taken as known"
    )
    reads = f"reports in the style `{record.style}`" if record.reports else "no reports"
    score = record.task.score
    return [
        f"We evaluated the model {study.model['id']} (base {study.model['base']}, SHA-256 {study.model['sha256'][:16]}) with adclip "
        f"{study.version}. {study.who}. It was trained by the method `{record.training.method}` after Cheng et al. (2025) and reads {reads}. "
        "Nothing of the model was fitted, chosen or calibrated here. The label of a scan is the diagnosis at the visit of the scan"
        + (" by the clinical dementia rating (0, 0.5, 1 or more)." if study.policy == "cdr" else "."),
        f"People, not scans, are what is counted: all intervals are of 95 % over people. Shares have Clopper and Pearson's interval or, for "
        "bounded means and people with several scans, the bound of Gaffke (Learned-Miller and Thomas 2019); AUCs the score interval of Newcombe "
        "(2006); paired differences of AUCs combine both intervals with DeLong's correlation (Zou 2007); mean errors a bootstrap-t over people. "
        f"Numbers for classes equally common and numbers as common as here ({prevalence}: {whose}) are told apart; the step between them is "
        "Bayes' rule (Saerens et al. 2002). Nothing was corrected for multiple comparisons.",
        "Calibration is judged by the expected calibration error (Guo et al. 2017) beside the one that exact probabilities would show with so few "
        "people, and by a reliability diagram with consistency bars (Brocker and Smith 2007); decisions by net benefit (Vickers and Elkin 2006); "
        f"estimates of the {score} by the mean absolute error and the limits of agreement (Bland and Altman 1986).",
        "Beside the model stand those who see less: the commonest class; a logistic regression on the metadata and one on a norm score of medial "
        "temporal volumes after the idea of Coupe et al. (2022), both stored with the model at its training; a regression on volumes, age and sex; "
        "and a linear read-out of a network of the same shape with random weights. The last two are penalised multinomial regressions "
        f"(scikit-learn; Pedregosa et al. 2011), {assessment.rivals_learned}.",
        "Each scan was also scored with the report of somebody else. Judged by who owns the report, that is the AUC with scans shuffled; judged by "
        "who owns the scan, with reports shuffled. Quality numbers of how a scan was taken (noise, field of view, position; none that atrophy "
        f"changes by itself), single columns of the table (small decision trees) and the pattern of missing cells were asked for the diagnosis "
        f"in {FOLDS} folds over people. An AUC above {DOUBTFUL} from quality alone is called doubtful. Groups with fewer than {FEWEST} people of "
        f"{labels[0]} or {labels[-1]} were not measured. Agreement of two scans of one person within {MOST_DAYS} days is the share that keeps its "
        "class and ICC(1,1) (Shrout and Fleiss 1979).",
    ]


def methods_to_markdown(assessment: Assessment, study: Study) -> str:
    """Return the methods and their sources as a text to start from."""
    lines = ["# Methods", "", *(f"{text}\n" for text in methods_of(assessment, study)), "## Sources", ""]
    return "\n".join([*lines, *(f"- {source}" for source in SOURCES), "", study.notice, ""])


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
    return {
        "notice": study.notice,
        "aim": "evaluation of a model that was made before; nothing is fitted to these people but the rivals",
        "dates": dates_of(assessment.judgement.visits),
        "sites": f"{sites} sites by the table's column" if sites else "",
        "eligible": "every scan of the folder with a row and a diagnosis at its visit; verdict `fail` of the quality control is left out",
        "preparation": "adclip preprocess: brain extraction, N4, affine alignment to MNI152NLin2009aSym, one resampling, 0.5 to 99.5 % of the "
        "brain to 0 and 1; the same for every scan",
        "outcome": f"{' / '.join(labels)} at the visit of the scan, as the table states it"
        + (" by CDR 0 / 0.5 / 1 or more" if study.policy == "cdr" else "")
        + "; how it was made is to be added by the authors",
        "predictors": "T1-weighted MRI"
        + (f"; {', '.join(record.task.usable(_fields(record)))}" if record.reports else ""),
        "size": f"all that were there: {people}",
        "missing": f"a report leaves out what is unknown; missing here: {missing}",
        "division": "the run's own split by subject" if study.own else "no division: every person here is new to the model, as far as it can be told",
        "disjoint": study.who,
        "model": f"`adapter.json` of {study.model['id']} and the base {study.model['base']} hold it in full (SHA-256 {study.model['sha256'][:16]})",
        "training": f"method {training.method}, recipe {training.recipe}, epoch {training.best_epoch} of {training.epochs} chosen on the validation part"
        if training.epochs
        else "",
        "ensembles": "none",
        "subgroups": f"measured by {', '.join(kinds)}; {small} of {len(assessment.subgroups)} groups were too small" if kinds else "",
        "measures": "see the methods; every number with a 95 % interval over people",
        "updating": "none",
        "predictions": "as `adclip predict` computes them",
        "imbalance": "numbers for classes equally common beside those for classes as common as here",
        "output": f"probabilities of {', '.join(labels)}, a prediction set, and the {record.task.score} with an interval; the likeliest class is the answer",
        "differences": f"trained on {development}; here {people}" if development else "",
        "code": f"adclip {study.version}; {', '.join(f'{name} {version}' for name, version in record.libraries.items())}",
        "flow": "; ".join(f"{name}: {count}" for name, count in study.flow),
        "characteristics": "see the table of people",
        "performance": f"AUC of {labels[-1]} against {labels[0]} {interval(headline)}; beside "
        + ", ".join(f"{name_of(name)} {interval(numbers.get(assessment.headline))}" for name, numbers in groups.items() if assessment.headline in numbers),
        "limits": "see what stands in yellow on the page" + ("; the scans are simulated" if study.simulated else ""),
        "poor_input": "the quality control gives each scan a verdict; absent metadata are left out of the report",
        "private": "this page and its tables name nobody; ids and pictures stand under `private/`",
        "robustness": f"{rescans.pairs} pairs of scans within {MOST_DAYS} days; scans and reports shuffled; quality numbers alone" if rescans.pairs else "scans and reports shuffled; quality numbers alone",
        "explain": "`adclip explain` draws heatmaps; none on this page",
        "internal": f"yes: {study.who}" if study.own else "not here",
        "external": "not here" if study.own else f"yes: {study.who}",
        "failures": f"{study.failures} scans could not be read; the surest wrong answers stand in `private/cases.html`",
    }  # fmt: skip


def _fields(record: AdapterRecord) -> tuple[str, ...]:
    from adclip.clinical.reports import fields_of

    return tuple(sorted(fields_of(record.style)))
