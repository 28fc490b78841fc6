"""Tables of a simulated cohort: one meaning in every form, the same cells missing, and a truth without gaps."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from adclip.clinical.tables.table import read_tables
from adclip.domain import Diagnosis
from adclip.simulation.adnimerge import ASSAY_LIMITS
from adclip.simulation.population import draw_course
from adclip.simulation.tables import missing_cells, to_visit, write_tables
from adclip.simulation.visits import VisitRecord

PEOPLE, VISITS, SEED = 300, 3, 5
VOLUMES = {
    "icv_mm3": 1.5e6, "hippocampus_left_mm3": 3500.0, "hippocampus_right_mm3": 3600.0, "hippocampus_mm3": 7100.0,
    "ventricles_mm3": 35000.0, "whole_brain_mm3": 1.2e6, "entorhinal_mm3": 3600.0, "fusiform_mm3": 19000.0,
    "middle_temporal_mm3": 20000.0, "amygdala_left_mm3": 1500.0,
}  # fmt: skip


def record(index: int, visit: int, course: tuple) -> VisitRecord:
    name = course[visit].subject_id
    return VisitRecord(course[visit], VOLUMES, f"sub-{name}/a{visit}.nii.gz", "S02", "Simulated B 3T", 3.0, "template")


@pytest.fixture(scope="module")
def records() -> list[VisitRecord]:
    courses = [
        tuple(draw_course(f"sim{index + 1:04d}", np.random.default_rng([SEED, index]), visits=VISITS))
        for index in range(PEOPLE)
    ]
    return [record(index, visit, course) for index, course in enumerate(courses) for visit in range(VISITS)]


@pytest.fixture(scope="module")
def cohort(records: list[VisitRecord], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort")
    write_tables(out, records, SEED, missing=0.2)
    return out


def rows_of(path: Path) -> list[dict[str, str]]:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    return list(csv.DictReader(path.read_text().splitlines(), delimiter=delimiter))


def test_adnimerge_means_what_the_canonical_table_means(cohort: Path) -> None:
    own, theirs = (read_tables((cohort / name,)) for name in ("table.csv", "adnimerge.csv"))
    assert len(own.rows) == len(theirs.rows) == PEOPLE * VISITS
    shared = [name for name in own.columns if name in theirs.columns and name != "scan"]
    assert {"age_years", "sex", "diagnosis", "mmse", "hippocampus_mm3", "icv_mm3", "apoe4_count"} <= set(shared)
    for one, two in zip(own.rows, theirs.rows, strict=True):
        for name in shared:
            mine, their = getattr(one, name), getattr(two, name)
            if name == "age_years":  # AGE has one decimal and Years_bl is of the calendar
                assert mine == pytest.approx(their, abs=0.1)
            else:
                assert mine == their, name
        assert one.volumes_source in (two.volumes_source, None)


def test_what_is_missing_is_missing_in_every_table_and_nothing_in_the_truth(cohort: Path) -> None:
    table, adni, truth = (rows_of(cohort / name) for name in ("table.csv", "adnimerge.csv", "truth.tsv"))
    for row, other in zip(table, adni, strict=True):
        for mine, theirs in (("mmse", "MMSE"), ("hippocampus_mm3", "Hippocampus"), ("education_years", "PTEDUCAT")):
            assert bool(row[mine]) == bool(other[theirs])
    assert any(not row["mmse"] for row in table) and any(not row["icv_mm3"] for row in table)
    assert all(row["diagnosis"] and row["age_years"] and row["sex"] and row["scan"] for row in table)
    assert all(cell not in ("", "n/a") for row in truth for cell in row.values())
    first = [row for row in table if row["session_id"] == "bl"]
    people = rows_of(cohort / "participants.tsv")
    assert len(people) == PEOPLE
    for row, person in zip(first, people, strict=True):
        assert person["participant_id"] == f"sub-{row['subject_id']}" and "mmse" not in person
        assert (person["apoe4_count"] == "n/a") == (not row["apoe4_count"])


def test_missing_cells_are_drawn_apart_from_the_person(records: list[VisitRecord]) -> None:
    from dataclasses import replace

    for one in records[:60]:
        ill = replace(one, person=replace(one.person, diagnosis="AD", mmse=3, severity=9.0))
        assert missing_cells(SEED, one, 0.3) == missing_cells(SEED, ill, 0.3)
    drawn = Counter(cell for one in records for cell in missing_cells(SEED, one, 0.2))
    assert 0.17 < drawn["mmse"] / len(records) < 0.23
    assert 0.25 < drawn["icv_mm3"] / len(records) < 0.31  # 0.2, and all volumes of one visit in ten


def test_assays_are_censored_at_their_limits(cohort: Path) -> None:
    rows = rows_of(cohort / "adnimerge.csv")
    censored = Counter()
    for row in rows:
        for name, (low, high) in ASSAY_LIMITS.items():
            cell = row[name]
            if cell[:1] in "<>" and cell:
                assert cell in (f"<{low:g}", f">{high:g}")
                censored[cell] += 1
            elif cell:
                assert low <= float(cell) <= high
    assert censored[">1700"] > 10


def test_bids_tables_are_read_as_the_same_people(cohort: Path) -> None:
    own, bids = read_tables((cohort / "table.csv",)).rows, {}
    for row in read_tables((cohort / "participants.tsv", *sorted(cohort.glob("sub-*/*_sessions.tsv")))).rows:
        bids[row.subject_id, row.session_id] = row
    assert len(bids) == len(own)
    for mine in own:
        row = bids[mine.subject_id, mine.session_id]
        assert (row.sex, row.diagnosis, row.mmse, row.age_years) == (
            mine.sex,
            mine.diagnosis,
            mine.mmse,
            mine.age_years,
        )
    sessions = rows_of(cohort / "sub-sim0001" / "sub-sim0001_sessions.tsv")
    assert [row["session_id"] for row in sessions] == ["ses-bl", "ses-m12", "ses-m24"]


def test_true_visits_are_read_back_without_gaps(tmp_path: Path, records: list[VisitRecord]) -> None:
    import json

    from adclip.simulation.subject import RECORDS, read_true_visits

    (tmp_path / RECORDS).mkdir()
    for index in (1, 0):
        own = records[index * VISITS : (index + 1) * VISITS]
        (tmp_path / RECORDS / f"sim{index + 1:04d}.json").write_text(json.dumps({"visits": [v.to_dict() for v in own]}))
    (tmp_path / RECORDS / "cohort.json").write_text("{}")
    assert read_true_visits(tmp_path) == [to_visit(one) for one in records[: 2 * VISITS]]


def test_nothing_of_a_record_is_lost_on_its_way_through_json(records: list[VisitRecord]) -> None:
    import json

    for one in records[:20]:
        assert VisitRecord.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_visits_follow_each_other_in_time(records: list[VisitRecord]) -> None:
    for start in range(0, len(records), VISITS):
        visits = [to_visit(one) for one in records[start : start + VISITS]]
        ages = [visit.age_years for visit in visits]
        severities = [one.person.severity for one in records[start : start + VISITS]]
        assert ages == sorted(ages) and ages[-1] - ages[0] == pytest.approx(2, abs=0.3)
        assert severities == sorted(severities)
        assert len({(visit.sex, visit.apoe4_count, visit.education_years) for visit in visits}) == 1


def test_diagnoses_do_not_go_back_by_more_than_a_reading_error(records: list[VisitRecord]) -> None:
    order = list(Diagnosis)
    steps = Counter()
    for start in range(0, len(records), VISITS):
        first, last = (order.index(Diagnosis(records[start + n].person.diagnosis)) for n in (0, VISITS - 1))
        steps[int(np.sign(last - first))] += 1
    assert steps[1] > 5 * steps[-1] and steps[1] > 0.03 * PEOPLE  # converters there are, and few who return
