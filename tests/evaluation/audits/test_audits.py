"""What else could explain the numbers: planted causes are found, and nothing is found where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from adclip.domain import Visit
from adclip.evaluation.audits.columns import measure_columns, measure_missing
from adclip.evaluation.audits.cross_fit import Learned, fit_and_answer, how_telling
from adclip.evaluation.audits.quality import audit_quality
from adclip.evaluation.audits.rescans import find_pairs, measure_rescans
from adclip.evaluation.audits.rivals import volume_features
from adclip.evaluation.audits.shuffles import exchange, shuffled
from adclip.evaluation.audits.subgroups import FEWEST, OTHERS, age_band, find_sites, measure_subgroups
from adclip.evaluation.metrics.summary import odds

LABELS = ("CN", "MCI", "AD")


def people(count: int) -> list[str]:
    return [f"p{number:03d}" for number in range(count)]


def in_turn(count: int, classes: int = 3) -> np.ndarray:
    return np.arange(count) % classes


# ------------------------------------------------------------------------------------------------ regressions


def test_a_telling_feature_is_found_and_an_unknown_one_counts_as_the_median():
    truth, rng = in_turn(90), np.random.default_rng(0)
    features = np.stack([truth + rng.normal(0, 0.5, 90), rng.normal(size=90)], axis=1)
    features[::9, 0] = np.nan
    answers = fit_and_answer(features, truth, people(90), 3)
    area, right = how_telling(answers, truth, people(90))
    assert answers.sum(axis=1) == pytest.approx(np.ones(90))
    assert area["low"] > 0.85 and area["n"] == 60
    assert right["low"] > 0.5


def test_labels_by_chance_leave_one_half_inside_the_interval():
    """Over several draws, as one of them may lie outside by right."""
    held = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        features, truth = rng.normal(size=(80, 5)), rng.permutation(in_turn(80, 2))
        area, _ = how_telling(fit_and_answer(features, truth, people(80), 2, seed=seed), truth, people(80))
        held += area["low"] <= 0.5 <= area["high"]
    assert held >= 5


def test_nobody_is_answered_by_own_scans():
    """Each person has three equal scans of random features: only who mixes people would recognise them."""
    rng = np.random.default_rng(3)
    features = np.repeat(rng.normal(size=(40, 30)), 3, axis=0)
    truth, subjects = np.repeat(rng.permutation(in_turn(40, 2)), 3), np.repeat(people(40), 3).tolist()
    area, _ = how_telling(fit_and_answer(features, truth, subjects, 2), truth, subjects)
    assert area["low"] <= 0.5


def test_others_are_learned_from_where_there_are_any():
    rng, truth = np.random.default_rng(0), in_turn(12)
    known = in_turn(60)
    others = Learned(known[:, None] + rng.normal(0, 0.2, (60, 1)), known, tuple(f"q{number}" for number in range(60)))
    answers = fit_and_answer(truth[:, None].astype(float), truth, people(12), 3, others)
    assert answers.argmax(axis=1).tolist() == truth.tolist()
    assert fit_and_answer(truth[:, None].astype(float), truth, people(12), 3) is None  # four people of a class


def test_too_few_others_teach_nothing():
    """Two people of a class fit nothing, and of a class that nobody has the answer would be never."""
    truth = in_turn(12)
    features = truth[:, None].astype(float)

    def learned(known: np.ndarray) -> Learned:
        return Learned(known[:, None].astype(float), known, tuple(people(len(known))))

    assert fit_and_answer(features, truth, people(12), 3, learned(in_turn(6))) is None
    assert fit_and_answer(features, truth, people(12), 3, learned(in_turn(40, 2))) is None
    two = truth < 2
    assert fit_and_answer(features[two], truth[two], people(8), 3, learned(in_turn(40, 2))) is not None


def test_one_class_or_no_feature_gives_no_answer():
    assert fit_and_answer(np.zeros((20, 2)), np.zeros(20, dtype=int), people(20), 3) is None
    assert fit_and_answer(np.zeros((30, 0)), in_turn(30), people(30), 3) is None


def test_volumes_are_those_of_the_program_that_measured_most():
    visits = [Visit(hippocampus_mm3=7000.0 + place, icv_mm3=1.4e6, age_years=70.0, sex="F", volumes_source="FreeSurfer") for place in range(4)]  # fmt: skip
    visits[3] = replace(visits[3], volumes_source="DLMUSE")
    table = volume_features(visits)
    assert table.shape == (4, 4)  # hippocampus, head, age, sex
    assert table[0].tolist() == pytest.approx([7000 / 1.4e6, 1.4e6, 70, 0])
    assert np.isnan(table[3, :2]).all()
    assert volume_features([Visit()] * 3) is None


# ------------------------------------------------------------------------------------------------ columns


def test_a_planted_circular_column_is_found_whatever_its_name():
    truth, rng = in_turn(120), np.random.default_rng(0)
    noisy = np.where(rng.random(120) < 0.05, (truth + 1) % 3, truth)
    cells = {
        "FAQ": [str(4 * number) for number in noisy],
        "clinic": [("north", "south", "west")[number] for number in noisy],
        "shoe size": [f"{number:.1f}" for number in rng.normal(40, 3, 120)],
        "initials": [f"x{number}" for number in range(120)],
        "nothing": [None] * 120,
    }
    found = {meter.column: meter for meter in measure_columns(cells, truth, people(120), 3, read=("clinic",))}
    assert list(found)[:2] == ["FAQ", "clinic"] or list(found)[:2] == ["clinic", "FAQ"]
    assert "initials" not in found and "nothing" not in found
    assert found["FAQ"].kind == "score" and found["FAQ"].explained > 0.8 and "does not read it" in found["FAQ"].says
    assert "circular" in found["clinic"].says and found["clinic"].read
    assert found["shoe size"].explained < 0.3 and not found["shoe size"].is_circular and found["shoe size"].says == ""


def test_a_diagnosis_under_another_name_is_called_so():
    truth = in_turn(60)
    found = measure_columns({"DX_bl": [LABELS[number] for number in truth]}, truth, people(60), 3)
    assert found[0].kind == "diagnosis" and found[0].explained == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("DXCHANGE", "diagnosis"), ("dx1", "diagnosis"), ("Diagnosis_2", "diagnosis"), ("Group", "diagnosis"), ("Research Group", "diagnosis"),
     ("group_site", "column"), ("groupsize", "column"), ("index", "column"), ("CDRSB", "score")],
)  # fmt: skip
def test_columns_are_called_by_their_names(name, kind):
    truth = in_turn(60)
    (meter,) = measure_columns({name: [str(number) for number in truth]}, truth, people(60), 3)
    assert meter.kind == kind


def test_missing_cells_that_go_with_the_diagnosis_are_found():
    truth, rng = in_turn(120, 2), np.random.default_rng(0)
    visits = [
        Visit(age_years=70.0, sex="F", apoe4_count=None if rng.random() < (0.1, 0.8)[label] else 1) for label in truth
    ]
    found = measure_missing(visits, ("age_years", "apoe4_count"), truth, people(120), ("CN", "AD"))
    assert set(found.shares) == {"apoe4_count"}
    assert found.shares["apoe4_count"]["AD"] == pytest.approx(
        np.mean([visit.apoe4_count is None for visit in visits[1::2]])
    )
    assert found.auc["low"] > 0.6
    assert (
        measure_missing([Visit(age_years=70.0)] * 40, ("age_years",), in_turn(40, 2), people(40), ("CN", "AD")).auc
        is None
    )


# ------------------------------------------------------------------------------------------------ quality


def numbers(snr: float, fluid: float) -> dict[str, float | None]:
    return {"snr": snr, "air_noise_percent": 5.0, "fluid_level": fluid, "cjv": None}


def test_a_planted_quality_confound_is_found():
    truth, rng = in_turn(90), np.random.default_rng(0)
    audit = audit_quality(
        [numbers(30 - 8 * label + rng.normal(), rng.random()) for label in truth], truth, people(90), 3
    )
    assert audit.is_doubtful and audit.acquisition["low"] > 0.8
    assert audit.numbers == ("snr",)  # what does not vary tells nothing
    assert "within one scanner" in audit.says


def test_what_atrophy_changes_by_itself_is_no_confound():
    truth, rng = in_turn(90), np.random.default_rng(0)
    rows = [numbers(30 + rng.normal(), label + 0.3 * rng.normal()) for label in truth]
    audit = audit_quality(rows, truth, people(90), 3)
    assert not audit.is_doubtful and audit.every["value"] > 0.9


def test_scans_without_quality_numbers_are_told():
    audit = audit_quality([{}] * 30, in_turn(30), people(30), 3)
    assert audit.scans == 0 and audit.acquisition is None and "nothing can be said" in audit.says


# ------------------------------------------------------------------------------------------------ shuffles


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(0, 100))
def test_everybody_gets_somebody_elses(owners, seed):
    subjects = [f"p{owner}" for owner in owners]
    partner = exchange(subjects, seed)
    largest = max(owners.count(owner) for owner in owners)
    if 2 * largest > len(owners) or len(set(owners)) < 2:
        assert partner is None
    else:
        assert sorted(partner) == list(range(len(owners)))
        assert all(subjects[place] != subjects[other] for place, other in enumerate(partner))


def test_a_model_that_looks_at_the_scan_alone_is_told_apart_from_one_that_reads_alone():
    truth, subjects = in_turn(90), people(90)
    rng = np.random.default_rng(0)
    of_scan = np.eye(3)[truth] + 0.3 * rng.random((90, 3))
    of_scan /= of_scan.sum(axis=1, keepdims=True)
    partner = exchange(subjects)
    # the pair of a scan with another report is answered as the scan itself
    scan, report = (shuffled(of_scan, of_scan, partner, truth, subjects, what) for what in ("scan", "report"))
    assert "the report adds nothing" in report.says and report.cost["value"] == 0
    assert scan.adds and not report.adds and scan.to_dict()["adds"] is True and report.to_dict()["adds"] is False
    assert "the scan adds to the answer" in scan.says and scan.cost["low"] > 0.2
    # who reads alone answers the pair as the report's owner
    scan, report = (shuffled(of_scan, of_scan[partner], partner, truth, subjects, what) for what in ("scan", "report"))
    assert "the scan adds nothing" in scan.says and scan.cost["value"] == 0
    assert report.cost["low"] > 0.2


def test_few_people_are_told_to_be_too_few_and_not_that_an_input_adds_nothing():
    truth, subjects, rng = in_turn(12), people(12), np.random.default_rng(3)
    answers = np.eye(3)[truth] + rng.random((12, 3))
    answers /= answers.sum(axis=1, keepdims=True)
    pairs = rng.dirichlet((1, 1, 1), 12)
    found = shuffled(answers, pairs, exchange(subjects), truth, subjects, "scan")
    assert found.cost["low"] <= 0 < 0.15 < found.cost["high"], found.cost
    assert "too few to tell" in found.says and "adds nothing" not in found.says and not found.adds


def test_volumes_that_stay_in_the_report_are_not_called_nothing_of_the_scan():
    truth, subjects, rng = in_turn(90), people(90), np.random.default_rng(0)
    by_report = np.eye(3)[truth] + 0.3 * rng.random((90, 3))
    by_report /= by_report.sum(axis=1, keepdims=True)
    partner = exchange(subjects)
    given = (by_report, by_report[partner], partner, truth, subjects)
    scan, report = (shuffled(*given, what, volumes_stay=True) for what in ("scan", "report"))
    assert not scan.adds and "the scan adds nothing to its volumes" in scan.says and scan.volumes_stay
    assert "volumes" not in report.says and not report.volumes_stay


# ------------------------------------------------------------------------------------------------ groups and repeated scans


def test_groups_have_the_numbers_of_their_people_and_small_ones_have_none():
    rng, count = np.random.default_rng(0), 120
    truth = in_turn(count)
    visits = [Visit(sex="FM"[place % 2], age_years=60 + 25.0 * (place > 110)) for place in range(count)]
    equal = rng.dirichlet(np.ones(3), count)
    groups = {
        (group.kind, group.name): group
        for group in measure_subgroups(visits, truth, equal, equal, people(count), LABELS)
    }
    women = groups["sex", "F"]
    rows = [place for place in range(0, count, 2) if truth[place] != 1]
    assert women.numbers["auc"]["value"] == pytest.approx(roc_auc_score(truth[rows] == 2, odds(equal[rows])))
    assert women.counts == {"CN": 20, "MCI": 20, "AD": 20}
    others = groups["sex", "M"].numbers["auc"]["value"]
    assert women.numbers["auc_less_others"]["value"] == pytest.approx(women.numbers["auc"]["value"] - others)
    assert groups["age", "85 and over"].is_too_small and groups["age", "85 and over"].people == 9 < FEWEST
    assert not any(kind == "site" for kind, _ in groups)


def test_bands_of_age_and_columns_of_sites():
    assert [age_band(age) for age in (40, 65, 74.9, 75, 85, None)] == ["under 65", "65-74", "65-74", "75-84", "85 and over", None]  # fmt: skip
    column = ["1"] * FEWEST + ["2"] * FEWEST + [None]
    assert find_sites({"SITE": column, "x": ["a"] * len(column)}, people(len(column))) == column
    assert find_sites({"Site": [str(number) for number in range(100)]}, people(100)) is None
    assert find_sites({"site": [None, None]}, people(2)) is None


def test_a_column_of_sites_that_tells_people_apart_names_nobody():
    """A number for each patient under the name `hospital` is none of a site, be it once or at each of their visits."""
    numbers_of_patients = [f"MRN-{1000 + number}" for number in range(30)]
    assert find_sites({"Hospital": numbers_of_patients}, people(30)) is None
    assert find_sites({"Hospital": numbers_of_patients * 3}, people(30) * 3) is None
    mixed = ["north"] * 20 + numbers_of_patients[:3]
    assert find_sites({"Hospital": mixed}, people(23)) == ["north"] * 20 + [OTHERS] * 3
    few = ["north", "south"] * (FEWEST - 1)
    assert find_sites({"Hospital": few}, people(len(few))) is None  # none has enough people
    assert find_sites({"Hospital": ["north"] * FEWEST * 2}, people(2) * FEWEST) is None  # many scans of two


def test_pairs_are_the_nearest_two_of_a_person_within_ninety_days():
    dates = ["2010-01-01", "2010-03-01", "2010-03-11", "2012-01-01", "2010-01-01", "2011-01-01", None]
    visits = [Visit(visit_date=day) for day in dates]
    assert find_pairs(visits, ["a", "a", "a", "a", "b", "b", "c"]) == [(1, 2, 10.0)]
    clock = [Visit()] * 3
    assert find_pairs(clock, ["a", "a", "b"], [5.0, 40.0, 0.0]) == [(0, 1, 35.0)]
    assert find_pairs(clock, ["a", "a", "b"]) == []


def test_agreement_of_pairs():
    equal = np.eye(3)[[0, 0, 1, 1, 2, 2, 0, 2]]
    subjects = ["a", "a", "b", "b", "c", "c", "d", "d"]
    pairs = [(0, 1, 3.0), (2, 3, 9.0), (4, 5, 2.0), (6, 7, 90.0)]
    found = measure_rescans(pairs, equal, subjects, LABELS, {"mmse": np.array([29, 28, 25, 26, 20, 21, 24, 22.0])})
    assert found.kept["value"] == 0.75 and found.kept["low"] == pytest.approx(
        0.194, abs=0.001
    )  # Clopper-Pearson, 3 of 4
    assert set(found.icc) == {"probability_AD", "mmse"} and found.icc["mmse"]["value"] > 0.8
    assert measure_rescans([], equal, subjects, LABELS, {}).kept is None
