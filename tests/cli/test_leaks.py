"""The leak certificate of `adclip finetune` on the user's road: files in, a refusal out, wherever the answer would reach the input."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from adclip.clinical import reports
from adclip.clinical.columns import CellError
from adclip.clinical.dialects import CANONICAL, Rule
from adclip.clinical.scans import manifest
from adclip.clinical.tables import join, table
from adclip.clinical.tables import rules as table_rules


@pytest.fixture
def train(run, tiny_base, tiny_cohort):
    """Fine-tune on the tiny cohort with other tables."""

    def train(*words: str):
        return run(
            "finetune", "--scans", str(tiny_cohort), "--out", "run", "--base", str(tiny_base), "--device", "cpu",
            "--epochs", "1", "--batch-size", "8", "--visual-prompts", "3", "--text-prompts", "4", "--json", *words,
        )  # fmt: skip

    return train


@pytest.fixture
def rows(tiny_cohort) -> list[dict[str, str]]:
    with (tiny_cohort / "table.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write(path: Path, rows: list[dict[str, str]], **renamed: str) -> Path:
    """Write rows in the form that the ending names, some columns under other names."""
    names = [renamed.get(name, name) for name in rows[0]]
    cells = [list(row.values()) for row in rows]
    if path.suffix == ".json":
        path.write_text(json.dumps([dict(zip(names, one, strict=True)) for one in cells]))
    elif path.suffix == ".xlsx":
        sheet = pytest.importorskip("openpyxl").Workbook()
        for one in (names, *cells):
            sheet.active.append(one)
        sheet.save(path)
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",").writerows([names, *cells])
    return path


def assert_refused(ran, *words: str) -> None:
    assert ran.code == 2, ran.stderr
    for word in words:
        assert word in ran.stderr, ran.stderr
    assert not Path("run", "adapter.json").exists()


def plain_dialect(monkeypatch, *rules: Rule) -> None:
    """Let every table be read by the canonical rules, with these before them."""
    monkeypatch.setattr(table_rules, "recognise", lambda header: replace(CANONICAL, rules=(*rules, *CANONICAL.rules)))


# ------------------------------------------------------------------------------------------------ what the user may say


@pytest.mark.parametrize("form", ["csv", "tsv", "json", "xlsx"])
def test_a_column_of_scores_that_is_read_as_education_is_refused_in_every_form(train, rows, tmp_path, form):
    path = write(tmp_path / f"t.{form}", rows, education_years="years", mmse="MMSE_total")
    ran = train("--table", str(path), "--column", "education_years=MMSE_total")
    assert_refused(ran, "education_years", "MMSE_total", "p0", "--column")


def test_a_column_of_diagnoses_that_is_read_as_sex_is_refused(train, rows, tmp_path):
    for row in rows:
        row["DX_bl"] = "M" if row["diagnosis"] == "AD" else "F"
    ran = train("--table", str(write(tmp_path / "t.csv", rows, sex="gender_code")), "--column", "sex=DX_bl")
    assert_refused(ran, "`sex`", "`DX_bl`")


def test_the_dry_run_refuses_as_well(train, rows, tmp_path):
    path = write(tmp_path / "t.csv", rows, education_years="years")
    assert_refused(
        train("--table", str(path), "--column", "education_years=mmse", "--dry-run"), "education_years", "mmse"
    )


def test_the_score_of_a_task_and_a_mapped_diagnosis_are_altered(train, rows, tmp_path):
    """What only the user's settings make an answer is one."""
    (tmp_path / "task.toml").write_text(
        'name = "other"\nclasses = ["CN", "MCI", "AD"]\n[score]\nname = "Recall"\nrange = [0, 30]\n'
    )
    path = write(tmp_path / "t.csv", rows, mmse="recall", diagnosis="finding")
    ran = train("--table", str(path), "--task", "task.toml", "--column", "diagnosis=finding")
    assert ran.code == 0, ran.stderr
    told = json.loads((tmp_path / "run" / "private" / "leak_certificate.json").read_text())[
        "inputs_unchanged_by_answers"
    ]
    assert told["columns_altered"] == ["recall", "finding"]


# ------------------------------------------------------------------------------------------------ readers that leak


def test_an_age_that_is_computed_from_the_diagnosis_is_refused(train, tiny_cohort, monkeypatch):
    def read(age: str, diagnosis: str) -> float:
        return float(age) + (diagnosis == "AD")

    plain_dialect(monkeypatch, Rule("age_years", ("age_years", "diagnosis"), "", read=read))
    assert_refused(train("--table", str(tiny_cohort / "table.csv")), "`age_years`", "`diagnosis`", "p02")


def test_a_leak_that_no_row_shows_with_its_own_answers_is_refused(train, tiny_cohort, monkeypatch):
    """Blank answers change nothing here: the people without an e4 allele have high scores. With those of others they have not."""

    def read(education: str, alleles: str, mmse: str) -> float:
        return float(education) + (alleles == "0" and mmse != "" and float(mmse) < 26)

    plain_dialect(monkeypatch, Rule("education_years", ("education_years", "apoe4_count", "mmse"), "", read=read))
    assert_refused(train("--table", str(tiny_cohort / "table.csv")), "`education_years`", "`mmse`", "shuffled")


def test_a_reader_that_stops_without_answers_is_refused(train, tiny_cohort, monkeypatch):
    def read(education: str, mmse: str) -> float:
        if not mmse:
            raise CellError("no score beside it")
        return float(education)

    plain_dialect(monkeypatch, Rule("education_years", ("education_years", "mmse"), "", read=read))
    assert_refused(
        train("--table", str(tiny_cohort / "table.csv")), "cannot be read once diagnoses and scores are blanked"
    )


def test_an_answer_that_stays_when_all_are_blank_is_refused(train, tiny_cohort, monkeypatch):
    honest = table.complete

    def complete(visits, tables):
        honest(visits, tables)
        for visit in visits:
            visit.values.setdefault("cdr_global", 0.5 if visit.values["hippocampus_mm3"] < 6000 else 0.0)
            visit.origin.setdefault("cdr_global", (visit.path, visit.line))

    monkeypatch.setattr(table, "complete", complete)
    assert_refused(train("--table", str(tiny_cohort / "table.csv")), "`cdr_global` is known though", "line 2")


def test_a_join_that_chooses_the_row_by_diagnosis_is_refused(train, rows, tmp_path, monkeypatch):
    volumes = ("icv_mm3", "hippocampus_mm3", "ventricles_mm3", "whole_brain_mm3")
    visits = [{"visit_date": "2010-01-01"} | {n: c for n, c in row.items() if n not in volumes} for row in rows]
    measured = [
        {
            "subject_id": row["subject_id"],
            "visit_date": day,
            **{name: row[name] for name in volumes},
            "hippocampus_mm3": size,
        }
        for row in rows
        for day, size in (("2010-01-05", "7000"), ("2010-02-05", "5000"))
        if row["session_id"] == "01"
    ]
    files = [str(write(tmp_path / name, some)) for name, some in (("visits.csv", visits), ("volumes.csv", measured))]
    words = [word for file in files for word in ("--table", file)]
    assert train(*words, "--dry-run").code == 0
    honest = join.find_nearest

    def find_nearest(table, visit, rows, max_days):
        return rows[-1] if visit.values.get("diagnosis") == "AD" else honest(table, visit, rows, max_days)

    monkeypatch.setattr(join, "find_nearest", find_nearest)
    assert_refused(train(*words), "`hippocampus_mm3`", "`diagnosis`")


def test_a_scan_that_has_its_row_by_its_diagnosis_is_refused(train, tiny_cohort, monkeypatch):
    """It could not be seen among those that take part: without a diagnosis none does."""
    honest = manifest.match_rows

    def match_rows(table, items, subject=None, origins=None):
        found = honest(table, items, subject, origins)
        return [None if number is None or table.rows[number].diagnosis == "MCI" else number for number in found]

    monkeypatch.setattr(manifest, "match_rows", match_rows)
    ran = train("--table", str(tiny_cohort / "table.csv"))
    assert ran.code == 2
    monkeypatch.setattr(manifest, "match_rows", lambda table, items, subject=None, origins=None: [
        None if number is None or (table.rows[number].mmse or 0) > 29.5 else number
        for number in honest(table, items, subject, origins)
    ])  # fmt: skip
    assert_refused(train("--table", str(tiny_cohort / "table.csv")), "whether it has a row", "`mmse`")


def test_a_report_whose_words_follow_the_score_is_refused(train, tiny_cohort, monkeypatch):
    honest = reports.render

    def render(visit, style, label, keep=None, phrasing=0, phrases=None, version=None):
        report = honest(visit, style, label, keep, phrasing, phrases, version)
        return replace(report, text=f"{report.text} Attention." if (visit.mmse or 30) < 26 else report.text)

    monkeypatch.setattr(reports, "render", render)
    assert_refused(train("--table", str(tiny_cohort / "table.csv")), "the report of subject", "`mmse`", "a defect")


def test_a_report_that_leaks_in_its_other_wordings_alone_is_refused(train, tiny_cohort, monkeypatch):
    honest = reports.render

    def render(visit, style, label, keep=None, phrasing=0, phrases=None, version=None):
        report = honest(visit, style, label, keep, phrasing, phrases, version)
        return replace(
            report, text=f"{report.text} Attention." if phrasing and visit.diagnosis == "AD" else report.text
        )

    monkeypatch.setattr(reports, "render", render)
    assert_refused(train("--table", str(tiny_cohort / "table.csv")), "the report of subject", "`diagnosis`")


# ------------------------------------------------------------------------------------------------ honest tables


def test_the_certificate_says_what_was_compared(train, tiny_cohort, rows, tmp_path):
    assert train("--table", str(tiny_cohort / "table.csv")).code == 0
    certificate = json.loads((tmp_path / "run" / "private" / "leak_certificate.json").read_text())
    told = certificate["inputs_unchanged_by_answers"]
    assert certificate["reports_unchanged_by_diagnosis_and_scores"] == told["scans"] == told["rows"] == len(rows)
    assert told["columns_altered"] == ["mmse", "diagnosis"]
    assert told["cells_blanked"] == 2 * len(rows) and 0 < told["cells_shuffled"] <= 2 * len(rows)
    assert {"row", "age_years", "report", "metadata baseline"} <= set(told["compared"])
    assert not {"diagnosis", "mmse", "cdr_global", "score"} & set(told["compared"])
    record = json.loads((tmp_path / "run" / "adapter.json").read_text())
    assert record["training"]["certificate"] == certificate


def test_bids_with_a_file_of_sessions_for_each_person(train, rows, tmp_path):
    """Of most people there is one row in a file: their answers are shuffled among the files."""
    people = {row["subject_id"]: row for row in rows}
    folder = tmp_path / "bids"
    folder.mkdir()
    write(
        folder / "participants.tsv",
        [{"participant_id": f"sub-{name}", "sex": one["sex"]} for name, one in people.items()],
    )
    for name in people:
        (folder / f"sub-{name}").mkdir()
        sessions = [row for row in rows if row["subject_id"] == name]
        told = [
            {
                "session_id": f"ses-{row['session_id']}",
                "age": row["age_years"],
                "mmse": row["mmse"],
                "diagnosis": row["diagnosis"],
            }
            for row in sessions
        ]
        write(folder / f"sub-{name}" / f"sub-{name}_sessions.tsv", told)
    assert_refused(train("--table", str(folder), "--column", "education_years=mmse"), "education_years")
    ran = train("--table", str(folder))
    assert ran.code == 0, ran.stderr
    told = json.loads((tmp_path / "run" / "private" / "leak_certificate.json").read_text())[
        "inputs_unchanged_by_answers"
    ]
    assert told["rows"] == len(rows) + len(people) and told["cells_blanked"] == 2 * len(rows)
    assert told["cells_shuffled"] > len(rows) / 2


def test_answers_that_two_tables_repeat_are_no_leak(train, rows, tmp_path):
    """Shuffled apart they contradict each other: they are set aside then, as `predict` sets them aside."""
    one = write(tmp_path / "one.csv", rows)
    # in another order, so that one shuffle of both gives people two diagnoses
    repeated = [{name: row[name] for name in ("subject_id", "session_id", "diagnosis")} for row in rows[::-1]]
    other = write(tmp_path / "two.csv", repeated)
    ran = train("--table", str(one), "--table", str(other))
    assert ran.code == 0, ran.stderr
    told = json.loads((tmp_path / "run" / "private" / "leak_certificate.json").read_text())[
        "inputs_unchanged_by_answers"
    ]
    assert told["shuffled_answers_set_aside"] and told["rows"] == 2 * len(rows)


def test_a_diagnosis_from_the_cdr_by_policy_is_an_answer(train, rows, tmp_path):
    words = {"CN": "0", "MCI": "0.5", "AD": "1"}
    for row in rows:
        row["cdr_global"] = words[row.pop("diagnosis")]
    ran = train("--table", str(write(tmp_path / "t.csv", rows)), "--diagnosis-policy", "cdr")
    assert ran.code == 0, ran.stderr
    told = json.loads((tmp_path / "run" / "private" / "leak_certificate.json").read_text())[
        "inputs_unchanged_by_answers"
    ]
    assert told["columns_altered"] == ["mmse", "cdr_global"]
