"""Questions of other values: what is understood, and whose column is changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adclip.domain import Visit
from adclip.errors import ConfigError
from adclip.model.calibration import FOUND_VOLUMES, TABLE
from adclip.prediction.evidence import Evidence
from adclip.prediction.questions import parse_question
from adclip.prediction.telling import PredictTelling
from adclip.prediction.what_if import alter, is_found, present_value, to_curve

SIDES = Visit(hippocampus_mm3=6000.0, hippocampus_left_mm3=2500.0, hippocampus_right_mm3=3500.0, age_years=70.0)


def test_values_are_spread_evenly_with_both_ends():
    assert parse_question("hippocampus_mm3=4000:8000:9").values == tuple(range(4000, 8001, 500))
    assert parse_question(" apoe4_count=0:2:3").values == (0, 1, 2)
    assert parse_question("education_years=8:9:4").values == (8, 8.33333, 8.66667, 9)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hippocampus_mm3", "COLUMN=FROM"), ("hippocampus_mm3=4000:8000", "COLUMN=FROM"), ("=1:2:3", "COLUMN=FROM"),
        ("age_years=80:60:3", "FROM below TO"), ("age_years=60:80:1", "2 to 100"), ("age_years=60:80:1.5", "COLUMN=FROM"),
        ("age_years=60:inf:3", "COLUMN=FROM"), ("age_years=60:80:3:4", "COLUMN=FROM"), ("age_years=nan:80:3", "COLUMN=FROM"),
        ("hippocampus_mm3=4:8:3", "cm3"), ("apoe4_count=0:2:4", "other than 0, 1, 2"), ("age_years=60:160:3", "above 120"),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_with_a_cure(text, problem):
    with pytest.raises(ConfigError, match=problem) as raised:
        PredictTelling(what_if=(text,))
    assert raised.value.problem.startswith("--what-if") and raised.value.remedy and raised.value.exit_code == 2


def test_total_and_sides_go_on_agreeing():
    smaller = alter(SIDES, "hippocampus_mm3", 3000.0)
    assert (smaller.hippocampus_left_mm3, smaller.hippocampus_right_mm3) == (1250, 1750)
    one_side = alter(SIDES, "hippocampus_left_mm3", 2000.0)
    assert (one_side.hippocampus_mm3, one_side.hippocampus_right_mm3) == (5500, 3500)
    assert alter(None, "apoe4_count", 1.0) == Visit(apoe4_count=1)
    assert alter(replace(SIDES, hippocampus_left_mm3=None), "hippocampus_mm3", 3000.0).hippocampus_right_mm3 == 3500


def test_a_volume_found_for_the_scan_is_told_from_one_of_the_row():
    row = Visit(age_years=70.0)
    found = Evidence(row, replace(row, hippocampus_mm3=6000.0), FOUND_VOLUMES, None)
    assert is_found(found, "hippocampus_mm3") and not is_found(found, "age_years")
    assert (present_value(found, "hippocampus_mm3"), present_value(found, "age_years")) == (6000, 70)
    of_row = Evidence(SIDES, SIDES, TABLE, None)
    assert not is_found(of_row, "hippocampus_mm3")
    nobody = Evidence(None, None, TABLE, None)
    assert not is_found(nobody, "hippocampus_mm3") and present_value(nobody, "age_years") is None
    halves = replace(SIDES, hippocampus_mm3=None)
    assert present_value(Evidence(halves, halves, TABLE, None), "hippocampus_mm3") == 6000


def test_the_present_value_stands_among_the_others_once():
    question = parse_question("age_years=60:80:3")
    answers = [{"AD": share} for share in (0.1, 0.2, 0.3)]
    between = to_curve(question, 65.0, {"AD": 0.15}, answers)
    assert [(point.value, point.is_present) for point in between.points] == [
        (60, False),
        (65, True),
        (70, False),
        (80, False),
    ]
    assert [point.probabilities["AD"] for point in between.points] == [0.1, 0.15, 0.2, 0.3]
    on_it = to_curve(question, 70.0, {"AD": 0.21}, answers)
    assert [point.is_present for point in on_it.points] == [False, True, False] and on_it.points[1].probabilities[
        "AD"
    ] == 0.21
    assert not any(point.is_present for point in to_curve(question, None, {}, answers).points)
