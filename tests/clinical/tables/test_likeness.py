"""The nearest id of a table, as warnings name it."""

from __future__ import annotations

import time

import pytest

from adclip.clinical.tables.likeness import Likeness

MANY = Likeness(f"S{number:06d}" for number in range(100_000))


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [("s7", "S000007"), ("S000007x", "S000007"), ("XS000500", "S000500"), ("S099999", "S099999")],
)
def test_the_nearest_id_among_many_is_found(wanted, nearest):
    assert MANY.nearest(wanted) == nearest


def test_ids_of_a_study_are_compared_as_its_tables_write_them():
    few = Likeness(["ADNI011", "011_S_0003", "MR"])
    assert few.nearest("ADNI_011_S_0002_MR_MPRAGE_I1") == "011_S_0003"
    assert few.nearest("sub-ADNI011S0003") == "011_S_0003"


def test_without_ids_nothing_is_near():
    assert Likeness([]).nearest("x") is None


def test_thousands_of_scans_without_a_row_are_told_their_nearest_ids_in_seconds():
    MANY.nearest("x")
    began = time.process_time()
    for number in range(200):
        MANY.nearest(f"T{number:05d}")
    assert time.process_time() - began < 10  # looking at every id took 800
