"""What stands in a JSON file is taken for what it should be, or for nothing."""

from __future__ import annotations

import math

import pytest

from adclip.imaging.records.quality import Quality
from adclip.json_values import as_list, as_mapping, as_text, is_number

VALUES = (None, True, 3, 2.5, "text", ["a"], {"a": 1})


@pytest.mark.parametrize(
    ("read", "kind", "unknown"), [(as_mapping, dict, {}), (as_list, list, []), (as_text, str, None)]
)
def test_a_value_of_another_kind_counts_as_unknown(read, kind, unknown):
    assert [read(value) for value in VALUES] == [value if isinstance(value, kind) else unknown for value in VALUES]


def test_numbers_are_finite_and_no_truth_values():
    assert [value for value in (*VALUES, math.nan, math.inf, -math.inf) if is_number(value)] == [3, 2.5]


def test_a_number_of_quality_that_is_none_is_not_judged_and_not_lost():
    read = Quality.from_dict({"noise": math.nan, "coverage": 0.9, "verdict": "pass"})
    assert dict(read.numbers) == {"coverage": 0.9} and math.isnan(read.further["noise"])
    assert set(read.to_dict()) == {"noise", "coverage", "verdict", "reasons"}
