"""Which flags an answer gets, each with what is known of this very scan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from adclip.clinical.reports.readings import BRIDGED
from adclip.domain import Visit
from adclip.model.record_parts import Training
from adclip.prediction.answer import Answer, CalibratedAnswer
from adclip.prediction.evidence import Evidence
from adclip.prediction.metadata_baseline import PEOPLE_COLUMNS, MetadataBaseline
from adclip.prediction.prevalence import likeliest
from adclip.prediction.reasons import NO_DETAIL
from adclip.prediction.volumetry import OTHER_SOFTWARE, foreign_flag

LIKELIER_THAN_NOT = 0.5  # a part that gives no class as much hardly knows, and contradicts nobody
# What clinics often do not know. Builtin, 400 simulated people: without them calibration and coverage hold (tests/benchmarks/bench_calibration.py).
SELDOM_KNOWN = ("education_years", "apoe4_count")
SAME_WITHIN = 0.02  # of every probability: what a reader sees as one number
ROUNDING = 1e-9


def flags_of_answer(
    answer: Answer, result: CalibratedAnswer, evidence: Evidence, labels: Sequence[str]
) -> dict[str, str]:
    """Say what is to be known of the numbers themselves.

    Parameters
    ----------
    answer, result : Answer, CalibratedAnswer
        Of the network, and what was made of it.
    evidence : Evidence
        What it rests on beside the scan.
    labels : sequence of str
        Class order.

    Returns
    -------
    dict
        Flag -> what is known of this scan, in a few words without a value of the person; empty where the flag says all.
    """
    flags = list(result.flags)
    if evidence.row is None:
        flags.append("no_metadata")
    elif not answer.used_report:
        flags.append("no_report")
    if metadata_only := evidence.metadata_only:
        parts = (result.scan_only, metadata_only)
        are_sure = all(max(part.values()) >= LIKELIER_THAN_NOT for part in parts)
        if are_sure and {likeliest(part) for part in parts} == {labels[0], labels[-1]}:
            flags.append("scan_and_metadata_disagree")
        if are_alike(result.probabilities, metadata_only):
            flags.append("scan_adds_nothing")
    return dict.fromkeys(flags, NO_DETAIL)


def are_alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two answers are the same to a reader, in every class."""
    return all(abs(value - other[label]) <= SAME_WITHIN + ROUNDING for label, value in one.items())


def flags_of_row(row: Visit | None, training: Training, baseline: MetadataBaseline | None) -> dict[str, str]:
    """Say where a row differs from those of the training people, in age or by what it lacks; returned as `flags_of_answer` does.

    A row without any volume lacks nothing: the calibration subjects were asked without theirs as well.
    """
    if row is None:
        return {}
    flags = {}
    ages = training.ages
    if ages is not None and row.age_years is not None and not ages[0] <= row.age_years <= ages[1]:
        flags["age_outside_training"] = f"{ages[0]:g} to {ages[1]:g} years"
    if baseline is not None:
        counts_volumes = baseline.knows_volume_of(row)
        absent = [name for name in baseline.missing_in(row) if counts_volumes or name in PEOPLE_COLUMNS]
        minor = [name for name in absent if name in SELDOM_KNOWN and baseline.averages]
        for flag, columns in (
            ("columns_missing", [name for name in absent if name not in minor]),
            ("columns_averaged", minor),
        ):
            if columns:
                flags[flag] = ", ".join(columns)
    return flags


def flags_of_volumes(source: str | None, learned_from: Collection[str], noted: Collection[str]) -> dict[str, str]:
    """Say what is to be known of the volumes in a report; returned as `flags_of_answer` does.

    Parameters
    ----------
    source : str or None
        The program that measured them.
    learned_from : collection of str
        Programs of the training visits.
    noted : collection of str
        Flags of the report.
    """
    flags = {}
    if foreign := foreign_flag(source, learned_from):
        trained_on = " or ".join(sorted(learned_from))
        flags[foreign] = f"{source}, not {trained_on}" if foreign == OTHER_SOFTWARE else NO_DETAIL
    return flags | {flag: NO_DETAIL for flag in noted if flag in ("estimated_volumes", BRIDGED)}
