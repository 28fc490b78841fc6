"""What a finished training says of itself in `adapter.json`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
from collections.abc import Iterable

import numpy as np

from adclip.clinical.reports import template_version
from adclip.clinical.tables.people import person_of
from adclip.domain import Visit
from adclip.evaluation.calibrate import calibrate, gather_evidence
from adclip.evaluation.fusion import RoadEvidence
from adclip.evaluation.judgement import reads_report
from adclip.evaluation.measure import count_subjects, shares_of
from adclip.model.bases import BaseWeights
from adclip.model.calibration import SCAN, TABLE, TABLE_WITH_VOLUMES, Calibration
from adclip.model.leak_record import LeakCertificate
from adclip.model.record import AdapterRecord
from adclip.model.record_parts import StoredBaseline, Training
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.volumes_baseline import VolumesBaseline
from adclip.training.enrol import Enrolment
from adclip.training.fit_gate import find_limit
from adclip.training.methods import Fitted, Material
from adclip.version import __version__

BAND_YEARS = 5.0
LIBRARIES = ("torch", "transformers", "nibabel", "numpy")
# Settings that a RUN tells of its training; paths and devices are not among them.
RECORDED = (
    "method", "recipe", "diagnosis_policy", "from_scratch", "objective", "label_policy", "seed", "fold", "train_size", "batch_size", "learning_rate",
    "weight_decay", "pretrained_rate", "alpha", "bare_weight", "contrast_weight", "report_dropout", "field_dropout", "memory", "patience",
    "augment", "flip", "precision",
)  # fmt: skip


def _identity(base: BaseWeights) -> dict[str, str]:
    """Return what finds the base again: which one it is, and which vocabulary its texts were cut with."""
    vocabulary = base.vocabulary_sha256
    known = {"name": base.name, "revision": base.revision, "sha256": base.sha256}
    return known if vocabulary is None else {**known, "vocabulary": vocabulary}


def gather_record(
    material: Material, enrolled: Enrolment, fitted: Fitted, certificate: LeakCertificate, *, known_scores: int
) -> AdapterRecord:
    """Calibrate what was learned, and gather what the RUN says of itself but for the test subjects' numbers."""
    config, base, task = material.config, material.base, material.task
    cohort, places = material.cohort, material.parts
    has_score = fitted.prompts.mmse_token and known_scores > 1
    # repeated visits of one person are not exchangeable: one visit each
    ids = {place: person_of(cohort.visits[place].subject_id) for place in places["calibration"]}
    once = list({person: place for place, person in reversed(ids.items())}.values())
    prior = shares_of(cohort, places["train"], task.classes)
    train = [cohort.visits[place] for place in places["train"]]
    truth = [str(visit.diagnosis) for visit in train]
    baseline = MetadataBaseline.fit(train, truth, task.classes, task.columns)
    calibration = _calibrate(material, fitted, once, baseline, tuple(prior.values()))
    by_volumes = VolumesBaseline.fit([cohort.case(place) for place in places["train"]], truth, task.classes)
    return AdapterRecord(
        base=_identity(base),
        model=base.config,
        prompts=fitted.prompts,
        labels=task.classes,
        phrases=dict(task.phrases),
        task=task,
        style=config.style,
        mmse_mean=material.mmse_stats[0] if has_score else None,
        mmse_sd=material.mmse_stats[1] if has_score else None,
        calibration=calibration,
        metadata_baseline=StoredBaseline.from_dict(baseline.to_dict()),
        volumes_baseline=None if by_volumes is None else StoredBaseline.from_dict(by_volumes.to_dict()),
        prior=prior,
        training=Training(
            settings={name: getattr(config, name) for name in RECORDED},
            epochs=fitted.progress.epoch,
            best_epoch=fitted.progress.best_epoch,
            counts={part: count_subjects(cohort, places[part], task.classes) for part in places},
            ages=range_of_ages(visit.age_years for visit in train),
            volumes_sources=tuple(sorted({visit.volumes_source for visit in train if visit.volumes_source})),
            trainable_parameters=fitted.trained,
            certificate=certificate,
            split_sha256=enrolled.split.sha256,
            fingerprint=material.fingerprint,
        ),
        metrics={},
        adclip_version=__version__,
        libraries={name: importlib.metadata.version(name) for name in LIBRARIES},
        template_version=template_version(config.style),
        reports=config.reports,
    )


def range_of_ages(ages: Iterable[float | None]) -> tuple[float, float] | None:
    """Return from which to which age people were, outwards to whole bands of five years; None with fewer than two known ages.

    The record can be shared, and the very age of the oldest person would tell of that person.
    """
    known = [age for age in ages if age is not None]
    if len(known) < 2:
        return None
    return BAND_YEARS * math.floor(min(known) / BAND_YEARS), BAND_YEARS * math.ceil(max(known) / BAND_YEARS)


def _calibrate(
    material: Material, fitted: Fitted, once: list[int], baseline: MetadataBaseline, shares: tuple[float, ...]
) -> Calibration:
    """Fit what the calibration subjects, at one place each, can teach; a method that cannot predict has no sources to weigh."""
    config, task, cohort = material.config, material.task, material.cohort
    truth = cohort.labels[once].numpy()
    weighs_sources = fitted.state is not None
    answers = fitted.answers(once, in_part=weighs_sources)
    visits = [cohort.visits[place] for place in once]

    def says_something(visit: Visit) -> bool:
        return reads_report(visit, config.style, task, reports=config.reports)

    if weighs_sources:
        evidence = gather_evidence(answers, visits, truth, says_something, baseline)
    else:
        evidence = {SCAN: RoadEvidence(truth, scan=answers.bare)}
        reported = np.flatnonzero([says_something(visit) for visit in visits])
        evidence |= {
            road: RoadEvidence(truth[reported], both=answers.report[reported]) for road in (TABLE, TABLE_WITH_VOLUMES)
        }
    calibration = calibrate(evidence, answers.mmse, cohort.mmse[once].double().numpy(), task.classes, shares)
    return dataclasses.replace(calibration, gate_limit=find_limit(fitted.distances(once)) if once else None)
