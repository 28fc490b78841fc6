"""A volume is compared with people of its own program, age and sex, or not at all."""

from __future__ import annotations

import csv
import math
import time
from importlib.resources import files
from pathlib import Path
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adclip.clinical.dialects.programs import DLMUSE, FREESURFER, SYNTHSEG, VENTRICLES
from adclip.clinical.norms.norms import NoStanding, Standing, fields_with_norms, standing

CENTILES = (5, 25, 50, 75, 95)
ROWS = list(
    csv.DictReader((files("adclip") / "assets" / "norms" / "dlmuse.csv").read_text(encoding="utf-8").splitlines())
)
REGIONS = {
    "hippocampus_left_mm3": "Hippocampus_L",
    "hippocampus_right_mm3": "Hippocampus_R",
    "ventricles_mm3": "Ventricles",
}
NORMED = st.sampled_from(sorted(REGIONS))
AGES = st.floats(40, 92)
SEXES = st.sampled_from(["F", "M"])


def stands(field: str, value: float, age: float, sex: str) -> Standing:
    found = standing(field, value, age, sex, DLMUSE)
    assert isinstance(found, Standing)
    return found


def test_every_node_of_the_table_returns_itself() -> None:
    for row in ROWS:
        for centile in CENTILES:
            value = float(row[f"centile_{centile}"])
            found = stands(row["field"], value, float(row["age_years"]), row["sex"])
            assert found.centile == pytest.approx(centile, abs=1e-9)
            assert found.z == pytest.approx(NormalDist().inv_cdf(centile / 100), abs=1e-9)
            assert not found.beyond


@given(NORMED, AGES, SEXES, st.floats(100, 300_000), st.floats(100, 300_000))
def test_a_larger_volume_never_stands_lower(field: str, age: float, sex: str, one: float, two: float) -> None:
    low, high = (stands(field, value, age, sex) for value in sorted((one, two)))
    assert low.z <= high.z and low.centile <= high.centile
    assert 5 <= low.centile <= 95
    assert low.centile == pytest.approx(100 * NormalDist().cdf(low.z), abs=1e-6)


def test_centiles_do_not_cross_at_any_age() -> None:
    for row in ROWS:
        values = [float(row[f"centile_{centile}"]) for centile in CENTILES]
        assert values == sorted(set(values))


def test_beyond_the_outer_centiles_nothing_is_invented() -> None:
    small, large = stands("hippocampus_left_mm3", 500, 70, "F"), stands("hippocampus_left_mm3", 9000, 70, "F")
    assert (small.centile, small.beyond, large.centile, large.beyond) == (5, True, 95, True)
    assert (small.z, large.z) == (pytest.approx(-1.6449, abs=1e-4), pytest.approx(1.6449, abs=1e-4))


@pytest.mark.parametrize(("sex", "oldest"), [("F", 93), ("M", 92)])
def test_norms_are_not_extended_beyond_their_ages(sex: str, oldest: int) -> None:
    for age in (40, oldest):
        assert isinstance(standing("ventricles_mm3", 30000, age, sex, DLMUSE), Standing)
    for age in (39.99, oldest + 0.01, -1, math.inf, math.nan):
        assert standing("ventricles_mm3", 30000, age, sex, DLMUSE) == NoStanding("outside_age")


@pytest.mark.parametrize("software", [FREESURFER, SYNTHSEG, "adclip segmenter", "simulation", "dlmuse", "MUSE", ""])
def test_volumes_of_another_program_have_no_standing(software: str) -> None:
    assert standing("ventricles_mm3", 30000, 70, "F", software) == NoStanding("no_norms_for_software")


@pytest.mark.parametrize(
    ("field", "age", "sex", "software", "reason"),
    [
        ("ventricles_mm3", 70, "F", None, "no_software"),
        ("ventricles_mm3", None, "F", DLMUSE, "no_age"),
        ("ventricles_mm3", 70, None, DLMUSE, "no_sex"),
        ("ventricles_mm3", 70, "X", DLMUSE, "no_sex"),
        ("whole_brain_mm3", 70, "F", DLMUSE, "no_norms_for_field"),  # NiChart's holds the ventricles
        ("hippocampus_mm3", 70, "F", DLMUSE, "no_norms_for_field"),  # a sum has other centiles than its parts
        ("entorhinal_mm3", 70, "F", DLMUSE, "no_norms_for_field"),
        ("icv_mm3", 70, "F", DLMUSE, "no_norms_for_field"),
    ],
)
def test_what_is_not_known_has_no_standing(field, age, sex, software, reason) -> None:
    assert standing(field, 1000.0, age, sex, software) == NoStanding(reason)


def test_the_norms_speak_of_the_same_structures_as_the_reader_of_dlmuse() -> None:
    assert fields_with_norms() >= set(REGIONS)
    assert "4, 11, 49-52" in VENTRICLES[DLMUSE]  # MUSE 509 in NiChart's list of derived regions


def test_women_and_men_have_their_own_norms() -> None:
    assert (
        stands("hippocampus_left_mm3", 3500, 70, "F").centile
        > stands("hippocampus_left_mm3", 3500, 70, "M").centile + 20
    )
    assert "female" in stands("hippocampus_left_mm3", 3500, 70, "F").group


def test_the_notice_names_source_terms_and_changes() -> None:
    notice = (files("adclip") / "assets" / "norms" / "NOTICE.txt").read_text(encoding="utf-8")
    plain = " ".join(notice.split())
    for part in (
        "NiChart_Project", "10.1002/alz.12178", "10.1148/ryai.240299", "This is a modified version",
        "have been obtained under license from the Section of Biomedical Image Analysis", "PART B. DOWNLOADING AGREEMENT",
        'The Software is provided "AS IS"', "PART C",
    ):  # fmt: skip
        assert part in plain


@pytest.mark.parametrize(("sex", "name"), [("F", "Females"), ("M", "Males")])
def test_standings_agree_with_the_source_at_every_year(real_data: Path, sex: str, name: str) -> None:
    path = real_data / "tables" / "istaging_centiles" / f"dlmuse_centiles_CN-{name}.csv"
    if not path.is_file():
        pytest.skip("no centiles in the real data")
    with path.open(newline="") as stream:
        source = [row for row in csv.DictReader(stream) if row["VarName"] in REGIONS.values()]
    fields = {region: field for field, region in REGIONS.items()}
    assert len(source) == 3 * (54 if sex == "F" else 53)
    for row in source:
        for centile in CENTILES:
            # the volume lies at most 0.2 % off: between, that is less than one centile
            found = stands(fields[row["VarName"]], float(row[f"centile_{centile}"]), float(row["Age"]), sex)
            assert found.centile == pytest.approx(centile, abs=1)


def test_a_cohort_is_placed_in_seconds() -> None:
    begin = time.process_time()
    for number in range(50_000):
        standing("ventricles_mm3", 20000.0 + number, 45 + number % 40, "F", DLMUSE)
    assert time.process_time() - begin < 20  # about 0.25 s; a table read for each person takes hours
