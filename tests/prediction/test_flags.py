"""When an answer gets which flag, from its numbers and from the row beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adclip.domain import Visit
from adclip.model.calibration import SCAN, TABLE
from adclip.model.record_parts import Training
from adclip.prediction.answer import Answer, CalibratedAnswer
from adclip.prediction.evidence import Evidence
from adclip.prediction.flags import flags_of_answer, flags_of_row, flags_of_volumes
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.training.gather import range_of_ages

LABELS = ("CN", "MCI", "AD")
CN, AD = {"CN": 0.8, "MCI": 0.15, "AD": 0.05}, {"CN": 0.1, "MCI": 0.2, "AD": 0.7}
ROW = Visit(age_years=70.0, sex="F")


def flags(together, scan, metadata, *, used_report=True):
    answer = Answer(together, scan, TABLE if used_report else SCAN, None)
    result = CalibratedAnswer(together, scan, None, ("unlike_training_scans",))
    row = None if metadata is None else ROW
    return set(flags_of_answer(answer, result, Evidence(row, row, TABLE if row else SCAN, metadata), LABELS))


def test_a_scan_that_adds_nothing_is_told_from_one_that_does():
    nearly = {"CN": 0.12, "MCI": 0.18, "AD": 0.7}
    assert "scan_adds_nothing" in flags(nearly, CN, AD)
    for one in ({"CN": 0.121, "MCI": 0.179, "AD": 0.7}, CN):
        assert "scan_adds_nothing" not in flags(one, CN, AD)
    assert "scan_adds_nothing" not in flags(AD, AD, None)  # there are no metadata


@pytest.mark.parametrize(
    ("scan", "contradicts"),
    [
        (CN, True),
        (AD, False),
        ({"CN": 0.2, "MCI": 0.6, "AD": 0.2}, False),
        ({"CN": 0.4, "MCI": 0.3, "AD": 0.3}, False),
    ],
)
def test_only_the_first_class_and_the_last_contradict_each_other(scan, contradicts):
    assert ("scan_and_metadata_disagree" in flags(AD, scan, AD)) is contradicts


def test_what_was_not_known_or_not_read_is_told():
    assert {"no_metadata", "unlike_training_scans"} == flags(AD, AD, None)
    assert "no_report" in flags(AD, AD, CN, used_report=False) and "no_report" not in flags(AD, AD, CN)


def test_a_row_without_an_age_or_of_a_model_without_ages_is_not_flagged():
    known = Training(ages=(55.0, 90.0))
    assert flags_of_row(Visit(age_years=54.9), known, None) == {"age_outside_training": "55 to 90 years"}
    for row, training in (
        (Visit(), known),
        (Visit(age_years=20.0), Training()),
        (Visit(age_years=90.0), known),
        (None, known),
    ):
        assert flags_of_row(row, training, None) == {}
    assert Training.from_dict(known.to_dict()) == known and "ages" not in Training().to_dict()


def test_what_is_seldom_known_is_averaged_over_where_the_model_can():
    ages, education = (60.0, 70.0, 80.0, 65.0, 75.0, 85.0), (12.0, 16.0, 9.0, 14.0, 11.0, 10.0)
    visits = [Visit(age_years=age, education_years=years) for age, years in zip(ages, education, strict=True)]
    baseline = MetadataBaseline.fit(visits, ["CN", "CN", "AD", "CN", "AD", "AD"], ("CN", "AD"))
    of_median = replace(baseline, covariance=None, shares=None)
    row = Visit(age_years=70.0)
    assert flags_of_row(row, Training(), baseline) == {"columns_averaged": "education_years"}
    assert flags_of_row(row, Training(), of_median) == {"columns_missing": "education_years"}
    both = flags_of_row(Visit(), Training(), baseline)
    assert both == {"columns_missing": "age_years", "columns_averaged": "education_years"}


def test_ages_are_told_as_bands_of_five_years():
    assert range_of_ages([61.2, None, 88.1, 70.0]) == (60, 90)
    assert range_of_ages([65.0, 80.0]) == (65, 80)
    assert range_of_ages([65.0, None]) is None and range_of_ages([]) is None


def test_volumes_of_another_program_name_both():
    found = flags_of_volumes("SynthSeg", ("FreeSurfer",), ("estimated_volumes", "left_out"))
    assert found == {"volumes_of_other_software": "SynthSeg, not FreeSurfer", "estimated_volumes": ""}
    assert flags_of_volumes("FreeSurfer", ("FreeSurfer",), ()) == {}
