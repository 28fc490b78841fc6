"""Splits: nobody on two sides, each diagnosis in proportion, and the same division from the same seed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adclip.clinical.scans.diagnoses import first_diagnosis
from adclip.clinical.scans.splits import PARTS, Split, prove_disjoint, split_by_subject, thin_out
from adclip.domain import Diagnosis, Visit
from adclip.errors import ConfigError, LeakError, TableError

SHARES = {"train": 0.55, "validation": 0.1, "calibration": 0.15, "test": 0.2}


def cohort(counts: dict[str, int], visits_each: int = 1) -> list[Visit]:
    return [
        Visit(subject_id=f"{name}{number:04d}", session_id=f"m{12 * session:02d}", diagnosis=Diagnosis(name))
        for name, count in counts.items()
        for number in range(count)
        for session in range(visits_each)
    ]


def test_shares_hold_within_every_class():
    split = split_by_subject(cohort({"CN": 100, "MCI": 60, "AD": 40}), SHARES, seed=0)
    assert split.counts() == {"train": 110, "validation": 20, "calibration": 30, "test": 40}
    by_class = Counter((subject[:2], part) for subject, part in split.assignment.items())
    assert by_class["CN", "test"] == 20
    assert by_class["MC", "test"] == 12
    assert by_class["AD", "test"] == 8


def test_same_seed_same_split_whatever_the_order_and_another_seed_another():
    visits = cohort({"CN": 30, "AD": 30}, visits_each=2)
    shuffled = random.Random(1).sample(visits, len(visits))
    assert split_by_subject(visits, SHARES, 3) == split_by_subject(shuffled, SHARES, 3)
    assert split_by_subject(visits, SHARES, 3) != split_by_subject(visits, SHARES, 4)


def test_the_rest_trains_when_train_is_not_given():
    split = split_by_subject(cohort({"CN": 20, "AD": 20}), {"test": 0.25}, seed=0)
    assert split.counts() == {"train": 30, "validation": 0, "calibration": 0, "test": 10}


@given(
    st.lists(st.tuples(st.integers(0, 25), st.sampled_from([None, *Diagnosis])), min_size=1, max_size=80),
    st.integers(0, 2**32),
)
def test_all_visits_of_a_subject_stay_together_and_sizes_are_fair(rows, seed):
    visits = [Visit(subject_id=f"s{number}", diagnosis=diagnosis) for number, diagnosis in rows]
    try:
        split = split_by_subject(visits, SHARES, seed)
    except TableError as error:
        assert "no training subject" in error.problem
        return
    subjects = {visit.subject_id for visit in visits}
    assert set(split.assignment) == subjects
    assert sorted(subject for part in PARTS for subject in split.part(part)) == sorted(subjects)
    for part, share in SHARES.items():
        assert abs(split.counts()[part] - share * len(subjects)) < 4  # at most one subject a class is kept for training


def test_a_lone_case_is_kept_for_training():
    for seed in range(20):
        split = split_by_subject(cohort({"CN": 9, "MCI": 1, "AD": 1}), SHARES, seed)
        assert split.assignment["AD0000"] == split.assignment["MCI0000"] == "train"


def test_a_class_that_only_converters_reach_must_be_trained_on():
    visits = cohort({"CN": 40})
    visits += [Visit(subject_id="CN0000", session_id="m99", diagnosis=Diagnosis.AD)]
    outcomes = set()
    for seed in range(20):
        try:
            split = split_by_subject(visits, SHARES, seed)
        except TableError as error:
            assert error.problem == "no training subject has the diagnosis AD"
            outcomes.add("refused")
        else:
            assert split.assignment["CN0000"] == "train"
            outcomes.add("trained")
    assert outcomes == {"refused", "trained"}


def test_a_smaller_training_size_keeps_classes_that_only_converters_reach():
    visits = cohort({"CN": 30}, visits_each=2)
    train = split_by_subject(visits, {"train": 1.0}, seed=0).part("train")
    late = {(train[0], "m12")}
    visits = [replace(v, diagnosis=Diagnosis.AD) if (v.subject_id, v.session_id) in late else v for v in visits]
    split = split_by_subject(visits, {"train": 1.0}, seed=0)
    sizes = dict.fromkeys(range(8))
    for seed in sizes:
        try:
            sizes[seed] = train[0] in thin_out(split, visits, 5, seed)
        except ConfigError as error:
            assert "AD" in str(error)
    assert set(sizes.values()) == {True, None}


def test_whom_a_smaller_size_leaves_out_is_unused_and_the_file_says_so():
    visits = cohort({"CN": 20, "AD": 20})
    split = split_by_subject(visits, SHARES, seed=0)
    thin = split.without(split.part("train"), thin_out(split, visits, 8, seed=0))
    assert len(thin.part("train")) == 8 and len(thin.part("unused")) == len(split.part("train")) - 8
    assert thin.part("test") == split.part("test")
    assert Split.from_tsv(thin.to_tsv()) == thin
    assert thin.over({"CN0000", "stranger"}).assignment["stranger"] == "unused"


def test_first_diagnosis_follows_dates_then_sessions_then_order():
    early, late = Diagnosis.CN, Diagnosis.AD
    dated = [Visit(visit_date="2012-01-01", diagnosis=late), Visit(visit_date="2011-01-01", diagnosis=early)]
    numbered = [Visit(session_id="m12", diagnosis=late), Visit(session_id="m6", diagnosis=early)]
    plain = [Visit(), Visit(diagnosis=early), Visit(session_id="x", diagnosis=late)]
    assert first_diagnosis(dated) == first_diagnosis(numbered) == first_diagnosis(plain) == early
    assert first_diagnosis([Visit()]) is None


@pytest.mark.parametrize(
    "shares",
    [{"test": 1.0}, {"train": 0.5, "test": 0.2}, {"exam": 0.2}, {"test": -0.1}, {"test": 0.7, "validation": 0.5}],
)
def test_impossible_shares(shares):
    with pytest.raises(ConfigError):
        split_by_subject(cohort({"CN": 10}), shares, 0)


def test_a_visit_without_subject_cannot_be_split():
    with pytest.raises(TableError, match="no subject id"):
        split_by_subject([Visit(diagnosis=Diagnosis.CN)], SHARES, 0)


def test_file_there_and_back():
    split = split_by_subject(cohort({"CN": 12, "AD": 12}), SHARES, 0)
    again = Split.from_tsv(split.to_tsv())
    assert again == split
    assert again.sha256 == split.sha256
    assert split.to_tsv().startswith("subject_id\tpart\nAD0000\t")


def test_a_file_with_a_subject_in_two_parts_is_a_leak():
    with pytest.raises(LeakError, match="`a` stands in more than one part of the split: test, train"):
        Split.from_tsv("subject_id\tpart\na\ttrain\nb\ttest\na\ttest\n")


@pytest.mark.parametrize("text", ["", "subject\tpart\n", "subject_id\tpart\na\n", "subject_id\tpart\na\tvalid\n"])
def test_a_damaged_split_file(text):
    with pytest.raises(TableError, match=r"splits\.tsv"):
        Split.from_tsv(text)


def test_proof_accepts_repetition_within_a_part():
    prove_disjoint({"train": ["a", "a"], "test": ["b"]})
    with pytest.raises(LeakError):
        prove_disjoint({"train": ["a"], "test": ["b"], "validation": ["b"]})


def test_unknown_part_names_are_refused():
    with pytest.raises(ConfigError):
        Split({"a": "holdout"})
