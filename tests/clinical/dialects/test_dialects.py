"""Tables of studies and programs: every code and unit as its source documents it, and nothing guessed.

All rows here are invented; the columns and codes are the documented ones.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adclip.clinical.columns import COLUMNS, FURTHER_VOLUMES, CellError, parse_cell
from adclip.clinical.dialects import DIALECTS, Rule, recognise
from adclip.clinical.dialects.bids import BIDS, bids_levels, subject_of_file, with_sidecar
from adclip.clinical.dialects.programs import split_scan_name
from adclip.clinical.tables.alteration import places_of_answers
from adclip.clinical.tables.header import Header
from adclip.clinical.tables.partial import read_partial
from adclip.clinical.tables.segmentations import read_segmentation
from adclip.clinical.tables.table import read_tables
from adclip.config import TableOptions
from adclip.domain import Diagnosis
from adclip.errors import TableError

SECRET = "zq7x"  # stands in bad cells; no error may repeat it


@pytest.fixture
def write(tmp_path):
    """Write a table from one dict a row."""

    def write(*rows: dict[str, object], name: str = "table.csv", delimiter: str = ",") -> Path:
        path = tmp_path / name
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(
                stream, list(dict.fromkeys(key for row in rows for key in row)), delimiter=delimiter
            )
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


def values(path: Path) -> list[dict[str, object]]:
    return [row.values for row in read_partial(path).rows]


def refused(path: Path, *, quoted: str = SECRET) -> TableError:
    with pytest.raises(TableError) as caught:
        read_partial(path)
    said = caught.value.problem.removeprefix(str(path)) + caught.value.remedy
    assert quoted not in said
    assert " line 2, column `" in caught.value.problem
    return caught.value


# ----------------------------------------------------------------------------------------------- all dialects


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_rule_is_well_formed(dialect):
    for rule in dialect.rules:
        assert rule.column in {*COLUMNS, *FURTHER_VOLUMES, "volumes_source"} or rule.column.startswith("_")
        assert rule.sources
        assert all(source == source.strip().lower() for source in rule.sources)
        assert rule.why
        if rule.column.endswith("_mm3"):
            assert rule.unit
    assert all(source == source.lower() for signature in dialect.signatures for source in signature)
    for pattern, why in dialect.unused.items():
        re.compile(pattern)
        assert why


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_no_table_is_recognised_by_its_answers(dialect):
    for signature in dialect.signatures:
        header = Header.of(sorted(signature), dialect)
        answers = [header.shown[place] for place in places_of_answers(header, dialect.rules, ())]
        assert not answers, f"{sorted(signature)} is recognised by {answers}"


@pytest.mark.parametrize("answer", ["DX", "AVAL", "AVALC"])
def test_adnimerge2_is_known_without_its_answers(answer):
    assert recognise(["USUBJID", answer, "age_years"]).name == recognise(["USUBJID", "age_years"]).name
    assert recognise(["USUBJID", answer, "AGE"]).name == recognise(["USUBJID", "AGE"]).name == "ADNIMERGE2"


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_with_volumes_says_what_they_sum_and_who_measured_them(dialect):
    columns = {rule.column for rule in dialect.rules}
    if dialect.name != "canonical" and any(column.endswith("_mm3") for column in columns):
        assert dialect.volumes_source
        assert {"ventricles_mm3", "whole_brain_mm3"} & columns <= dialect.definitions.keys()


RULES = [(dialect, rule) for dialect in DIALECTS for rule in dialect.rules]


def read_rule(rule: Rule, cells: list[str]) -> object:
    if rule.read is None:
        return parse_cell(rule.column, cells[0])
    return rule.read(*cells)


@given(
    st.sampled_from(RULES),
    st.lists(
        st.text(max_size=10) | st.from_regex(r"[<>]?-?[0-9]{1,7}(\.[0-9]{1,3})?", fullmatch=True),
        min_size=30,
        max_size=30,
    ),
)
def test_any_cells_are_read_or_refused_without_quoting_them(pair, cells):
    _, rule = pair
    cells = [cell.strip() for cell in cells[: len(rule.sources)]]
    try:
        read_rule(rule, cells)
    except CellError as error:
        assert error.why
        said = error.why + error.remedy
        assert not any(len(cell) > 5 and cell in said for cell in cells)


@pytest.mark.parametrize(("dialect", "rule"), RULES, ids=lambda part: getattr(part, "column", None) or part.name)
def test_an_empty_row_is_unknown_in_every_column(dialect, rule):
    assert read_rule(rule, [""] * len(rule.sources)) is None


# ----------------------------------------------------------------------------------------------- ADNI

ADNI = {
    "RID": 2, "PTID": "011_S_0002", "VISCODE": "m06", "EXAMDATE": "2006-03-06", "DX_bl": "CN", "AGE": "74.3",
    "PTGENDER": "Male", "PTEDUCAT": 16, "APOE4": "0.0", "MMSE": 28, "DX": "CN", "Years_bl": "0.498289", "Month_bl": 5.9,
    "ABETA": ">1700", "TAU": "<80", "PTAU": "<8", "FDG": "1.369", "CDRSB": "0", "ADAS13": "18.67", "MMSE_bl": 28,
    "EXAMDATE_bl": "2005-09-08", "Ventricles": "88580", "Hippocampus": "8319", "WholeBrain": "1229740",
    "Entorhinal": "4177", "Fusiform": "16559", "MidTemp": "27936", "ICV": "1984660", "FSVERSION": "x", "Hippocampus_bl": 1,
}  # fmt: skip


def test_adnimerge_row(write):
    path = write(ADNI)
    table = read_partial(path)
    assert table.dialect == "ADNIMERGE"
    assert table.rows[0].values == {
        "subject_id": "011_S_0002", "session_id": "m06", "visit_date": "2006-03-06", "age_years": 74.798289, "sex": "M",
        "education_years": 16, "apoe4_count": 0, "mmse": 28, "diagnosis": Diagnosis.CN, "icv_mm3": 1984660,
        "hippocampus_mm3": 8319, "ventricles_mm3": 88580, "whole_brain_mm3": 1229740, "entorhinal_mm3": 4177,
        "fusiform_mm3": 16559, "middle_temporal_mm3": 27936, "volumes_source": "FreeSurfer (UCSF)",
    }  # fmt: skip
    assert "no third and fourth ventricle" in table.definitions["ventricles_mm3"]
    assert not table.hints


def test_adni_scores_and_biomarkers_are_never_read_and_each_says_why(write):
    table = read_partial(write(ADNI))
    unused = {meaning.source: meaning.why for meaning in table.meanings if meaning.column is None}
    for name in (
        "ABETA",
        "TAU",
        "PTAU",
        "FDG",
        "CDRSB",
        "ADAS13",
        "MMSE_bl",
        "Hippocampus_bl",
        "Month_bl",
    ):
        assert unused[name] != "not known"
    assert "keep their sign" in unused["ABETA"]
    assert "score" in unused["CDRSB"]


@pytest.mark.parametrize("score", ["ABETA", "TAU", "PTAU", "CDRSB", "ADAS13", "FDG", "MMSE_bl"])
def test_adni_unused_columns_may_hold_anything(write, score):
    assert values(write({**ADNI, score: SECRET})) == values(write(ADNI))


@pytest.mark.parametrize(
    ("dx", "state"),
    [
        ("CN", "CN"), ("NL", "CN"), ("SMC", "CN"), ("MCI", "MCI"), ("EMCI", "MCI"), ("LMCI", "MCI"), ("AD", "AD"),
        ("Dementia", "AD"), ("dementia", "AD"), ("NL to MCI", "MCI"), ("MCI to Dementia", "AD"), ("NL to Dementia", "AD"),
        ("MCI to NL", "CN"), ("Dementia to MCI", "MCI"), ("Dementia to NL", "CN"), ("-4", None), ("-1", None), ("", None),
    ],
)  # fmt: skip
def test_adni_diagnosis_of_the_visit_is_the_last_state(write, dx, state):
    assert values(write({**ADNI, "DX": dx}))[0].get("diagnosis") == (state and Diagnosis[state])


@pytest.mark.parametrize("dx", [SECRET, "3", "MCI to", f"MCI to {SECRET}", "CN to MCI to Dementia"])
def test_adni_unknown_diagnosis_is_refused(write, dx):
    assert "a diagnosis other than" in refused(write({**ADNI, "DX": dx})).problem


@pytest.mark.parametrize(
    ("dx_bl", "state"), [("CN", "CN"), ("SMC", "CN"), ("EMCI", "MCI"), ("LMCI", "MCI"), ("AD", "AD")]
)
def test_adni_diagnosis_at_baseline_counts_at_baseline_only(write, dx_bl, state):
    row = {**ADNI, "DX": "", "DX_bl": dx_bl}
    for viscode in ("bl", "sc"):
        assert values(write({**row, "VISCODE": viscode}))[0]["diagnosis"] == Diagnosis[state]
    assert "diagnosis" not in values(write({**row, "VISCODE": "m12"}))[0]
    del row["DX"]
    assert values(write({**row, "VISCODE": "bl"}))[0]["diagnosis"] == Diagnosis[state]
    assert "diagnosis" not in values(write(row))[0]


def test_adni_age_at_baseline_is_not_the_age_at_a_later_visit(write):
    by_dates = {key: value for key, value in ADNI.items() if key != "Years_bl"}
    assert values(write(by_dates))[0]["age_years"] == pytest.approx(74.3 + 179 / 365.25, abs=1e-5)
    alone = {key: value for key, value in by_dates.items() if key != "EXAMDATE_bl"}
    assert "age_years" not in values(write(alone))[0]
    assert values(write({**alone, "VISCODE": "bl"}))[0]["age_years"] == 74.3
    assert "age_years" not in values(write({**ADNI, "Years_bl": ""}))[0]


@pytest.mark.parametrize(("date", "read"), [("3/6/2006", "2006-03-06"), ("2006-03-06", "2006-03-06")])
def test_adni_dates_in_both_forms(write, date, read):
    assert values(write({**ADNI, "EXAMDATE": date}))[0]["visit_date"] == read


@pytest.mark.parametrize("code", ["-1", "-4", "-1.0", "-4.0", "", "NA"])
@pytest.mark.parametrize(
    "column", ["MMSE", "APOE4", "PTEDUCAT", "Hippocampus", "ICV", "AGE", "DX", "PTGENDER", "EXAMDATE"]
)
def test_adni_declared_missing_codes_are_unknown(write, column, code):
    row = values(write({**ADNI, column: code}))[0]
    assert len(row) == len(values(write(ADNI))[0]) - 1


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("MMSE", "31", "above 30"), ("MMSE", "-2", "below 0"), ("APOE4", "3", "other than 0, 1, 2"),
        ("PTGENDER", "1", "number code"), ("PTGENDER", SECRET, "text other than F or M"), ("AGE", ">90", "censored"),
        ("AGE", SECRET, "text where a number"), ("Years_bl", "55", "above 40"), ("Hippocampus", "8.319", "looks like cm3"),
        ("ICV", "1984.66", "looks like cm3"), ("EXAMDATE", "31/12/2006", "not a date"), ("EXAMDATE", SECRET, "not a date"),
        ("Ventricles", "<88580", "censored"), ("PTID", "../x", "not an id"),
    ],
)  # fmt: skip
def test_adni_bad_cells_are_classed(write, column, cell, why):
    error = refused(write({**ADNI, column: cell}))
    assert why in error.problem


def test_adni_without_site_id_uses_the_roster_number(write):
    assert values(write({key: value for key, value in ADNI.items() if key != "PTID"}))[0]["subject_id"] == "2"


@pytest.mark.parametrize(
    ("code", "state"),
    [(1, "CN"), (2, "MCI"), (3, "AD"), (4, "MCI"), (5, "AD"), (6, "AD"), (7, "CN"), (8, "MCI"), (9, "CN")],
)
def test_adni_registry_changes(write, code, state):
    row = {"RID": 2, "VISCODE": "v06", "VISCODE2": "m12", "DXCHANGE": code, "DXCURREN": "", "DIAGNOSIS": -4}
    assert values(write(row)) == [{"subject_id": "2", "session_id": "m12", "diagnosis": Diagnosis[state]}]


@pytest.mark.parametrize("column", ["DXCURREN", "DIAGNOSIS"])
@pytest.mark.parametrize(("code", "state"), [(1, "CN"), (2, "MCI"), (3, "AD")])
def test_adni_registry_states(write, column, code, state):
    row = {
        "RID": 2,
        "VISCODE": "v06",
        "VISCODE2": "m12",
        "DXCHANGE": "",
        "DXCURREN": "-4",
        "DIAGNOSIS": "",
        column: code,
    }
    assert values(write(row))[0]["diagnosis"] == Diagnosis[state]


def test_adni_registry_codes_that_contradict_are_refused(write):
    row = {"RID": 2, "VISCODE": "v06", "VISCODE2": "m12", "DXCHANGE": 7, "DXCURREN": 3, "DIAGNOSIS": ""}
    assert "contradict" in refused(write(row)).problem
    assert "a code other than" in refused(write({**row, "DXCURREN": 7})).problem


# ----------------------------------------------------------------------------------------------- AIBL


def aibl(write, **changes: object) -> list[Path]:
    """Write an AIBL extract of one person with two visits; the MMSE and the CDR were done on different days."""
    base = {"RID": 7, "SITEID": 2, "VISCODE": "bl"}
    later = {**base, "VISCODE": "m18"}
    files = {
        "pdxconv": [{**base, "DXCURREN": 1}, {**later, "DXCURREN": 2}],
        "ptdemog": [{**base, "PTGENDER": 2, "PTDOB": "/1934"}],
        "mmse": [{**base, "EXAMDATE": "5/17/2007", "MMSCORE": 29}, {**later, "EXAMDATE": "11/30/2008", "MMSCORE": -4}],
        "cdr": [{**base, "EXAMDATE": "5/20/2007", "CDGLOBAL": 0}, {**later, "EXAMDATE": "12/2/2008", "CDGLOBAL": 0.5}],
        "neurobat": [{**base, "EXAMDATE": "5/21/2007", "LIMMTOTAL": 12, "LDELTOTAL": 11}],
        "apoeres": [{**base, "APGEN1": 3, "APGEN2": 4}],
        "mri3meta": [{**base, "EXAMDATE": "6/1/2007", "FIELD": 3}],
    }
    for column, cell in changes.items():
        for rows in files.values():
            if column in rows[0]:
                rows[0][column] = cell
    return [write(*rows, name=f"aibl_{name}_01-Jun-2018.csv") for name, rows in files.items()]


def test_aibl_files_join_to_visits(write):
    table = read_tables(aibl(write))
    assert set(table.dialects.values()) == {"AIBL"}
    first, second = table.rows
    assert (first.subject_id, first.session_id, first.visit_date) == ("7", "bl", "2007-05-17")
    assert (first.diagnosis, first.mmse, first.cdr_global) == (Diagnosis.CN, 29, 0)
    assert (second.session_id, second.visit_date) == ("m18", "2008-11-30")
    assert (second.diagnosis, second.mmse, second.cdr_global) == (Diagnosis.MCI, None, 0.5)
    for visit, age in ((first, 73), (second, 74)):  # sex and birth year stand at the baseline and hold for every visit
        assert (visit.sex, visit.apoe4_count, visit.age_years, visit.education_years) == ("F", 1, age, None)


def test_aibl_without_mmse_takes_the_next_best_date(write):
    files = aibl(write)
    without = [path for path in files if "_mmse_" not in path.name]
    assert read_tables(without).rows[0].visit_date == "2007-05-20"
    without = [path for path in without if "_cdr_" not in path.name]
    assert read_tables(without).rows[0].visit_date == "2007-05-21"


@pytest.mark.parametrize(
    ("genes", "count"), [((2, 2), 0), ((3, 3), 0), ((2, 4), 1), ((4, 4), 2), (("3.0", "4.0"), 1), ((-4, 4), None)]
)
def test_aibl_alleles(write, genes, count):
    row = {"RID": 7, "VISCODE": "bl", "APGEN1": genes[0], "APGEN2": genes[1]}
    assert values(write(row))[0].get("apoe4_count") == count


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("DXCURREN", 7, "a code other than 1, 2, 3"), ("DXCURREN", -1, "a code other than"), ("PTGENDER", 0, "a code other"),
        ("PTGENDER", SECRET, "a code other"), ("PTDOB", "1/2/1934", "/YYYY"), ("PTDOB", "/34", "/YYYY"),
        ("PTDOB", "/1700", "a year of birth outside"), ("MMSCORE", 31, "above 30"), ("CDGLOBAL", 0.7, "other than 0, 0.5"),
        ("APGEN1", 5, "no APOE genotype"), ("EXAMDATE", SECRET, "not a date"),
    ],
)  # fmt: skip
def test_aibl_bad_cells_are_classed(write, column, cell, why):
    with pytest.raises(TableError) as caught:
        read_tables(aibl(write, **{column: cell}))
    assert why in caught.value.problem
    assert "line 2, column" in caught.value.problem
    assert SECRET not in str(caught.value)


def test_aibl_code_that_nobody_documents_can_be_declared_unknown(write):
    files = aibl(write, DXCURREN=7)
    options = TableOptions(columns=("diagnosis=DXCURREN:1=CN,2=MCI,3=AD,7=,-4=",))
    assert read_tables(files, options).rows[0].diagnosis is None
    with pytest.raises(TableError) as caught:
        read_tables(files)
    assert "--column diagnosis=DXCURREN:CODE=MEANING" in caught.value.remedy


# ----------------------------------------------------------------------------------------------- OASIS-1 and OASIS-2

OASIS1 = {"ID": "OAS1_0099_MR1", "M/F": "F", "Hand": "R", "Age": 74, "Educ": 2, "SES": 3, "MMSE": 29, "CDR": 0.5,
          "eTIV": 1344, "nWBV": 0.743, "ASF": 1.306, "Delay": "N/A"}  # fmt: skip
OASIS2 = {"Subject ID": "OAS2_0099", "MRI ID": "OAS2_0099_MR2", "Group": "Converted", "Visit": 2, "MR Delay": 457,
          "M/F": "M", "Hand": "R", "Age": 88, "EDUC": 14, "SES": 2, "MMSE": 30, "CDR": 0, "eTIV": 2004, "nWBV": 0.681,
          "ASF": 0.876}  # fmt: skip


def test_oasis_1_row(write):
    table = read_partial(write(OASIS1))
    assert table.dialect == "OASIS-1"
    assert table.rows[0].values == {
        "subject_id": "OAS1_0099", "session_id": "MR1", "sex": "F", "age_years": 74, "mmse": 29, "cdr_global": 0.5,
        "icv_mm3": 1344000, "whole_brain_mm3": 998592, "volumes_source": "OASIS",
    }  # fmt: skip
    why = {meaning.source: meaning.why for meaning in table.meanings}
    assert "not years" in why["Educ"]


def test_oasis_2_row(write):
    table = read_partial(write(OASIS2))
    assert table.dialect == "OASIS-2"
    assert table.rows[0].values == {
        "subject_id": "OAS2_0099", "session_id": "MR2", "_day": 457, "sex": "M", "age_years": 88, "education_years": 14,
        "mmse": 30, "cdr_global": 0, "icv_mm3": 2004000, "whole_brain_mm3": 1364724, "volumes_source": "OASIS",
    }  # fmt: skip
    why = {meaning.source: meaning.why for meaning in table.meanings}
    assert "--diagnosis-policy cdr" in why["Group"]


@pytest.mark.parametrize("group", ["Nondemented", "Demented", "Converted", SECRET])
def test_oasis_2_group_is_no_diagnosis_of_a_visit(write, group):
    assert values(write({**OASIS2, "Group": group})) == values(write(OASIS2))


@pytest.mark.parametrize("missing", ["", "N/A"])
@pytest.mark.parametrize("column", ["MMSE", "CDR", "Educ", "SES", "Delay"])
def test_oasis_missing_cells_are_unknown(write, column, missing):
    row = values(write({**OASIS1, column: missing}))[0]
    assert row["age_years"] == 74
    assert row.get({"MMSE": "mmse", "CDR": "cdr_global"}.get(column, "")) is None


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("ID", "OAS1_0099", "OAS1_NNNN_MRn"), ("ID", SECRET, "OAS1_NNNN_MRn"), ("M/F", "1", "a code other than M, F"),
        ("eTIV", "1_344", "followed by a unit or text|text where a number"), ("eTIV", "1344000", "it is plausible as it stands"), ("eTIV", "1.344", "no unit makes it plausible"), ("nWBV", "74.3", "above 1"),
        ("nWBV", SECRET, "text where a number"), ("CDR", "0.25", "other than 0, 0.5, 1, 2, 3"), ("Age", "89+", "text"),
        ("MMSE", ">29", "censored"),
    ],
)  # fmt: skip
def test_oasis_1_bad_cells_are_classed(write, column, cell, why):
    assert re.search(why, refused(write({**OASIS1, column: cell})).problem)


def test_oasis_2_ids_that_contradict_are_refused(write):
    error = refused(write({**OASIS2, "Subject ID": "OAS2_0098"}), quoted="0098")
    assert "another subject" in error.problem


@pytest.mark.parametrize(
    ("name", "dialect"),
    [("oasis_cross-sectional_odd_ids.csv", "OASIS-1"), ("oasis_longitudinal_odd_ids.csv", "OASIS-2")],
)
def test_real_oasis_tables_are_read_without_an_option(real_data, name, dialect):
    path = real_data / "tables" / name
    table = read_partial(path)
    assert table.dialect == dialect
    with path.open(newline="") as stream:
        raw = list(csv.DictReader(stream))
    assert len(table.rows) == len(raw)
    for row, cells in zip(table.rows, raw, strict=True):
        assert row.values["icv_mm3"] == float(cells["eTIV"]) * 1000
        assert row.values["sex"] == cells["M/F"]
        assert row.values.get("mmse") == (float(cells["MMSE"]) if cells["MMSE"] else None)
        assert row.values.get("cdr_global") == (float(cells["CDR"]) if cells["CDR"] else None)
        assert "diagnosis" not in row.values
        assert 4e5 < row.values["whole_brain_mm3"] < row.values["icv_mm3"]
        assert ("education_years" in row.values) is (dialect == "OASIS-2")
    visits = read_tables((path,), TableOptions(diagnosis_policy="cdr")).rows
    assert {visit.diagnosis for visit in visits if visit.cdr_global is not None} == set(Diagnosis)
    assert all(visit.diagnosis is None for visit in visits if visit.cdr_global is None)


# ----------------------------------------------------------------------------------------------- OASIS-3

FS_PARTS = {
    "Left-Lateral-Ventricle": 10000.5, "Right-Lateral-Ventricle": 9000, "Left-Inf-Lat-Vent": 300,
    "Right-Inf-Lat-Vent": 250, "3rd-Ventricle": 900, "4th-Ventricle": 1600, "Left-choroid-plexus": 500,
    "Right-choroid-plexus": 450, "Left-Hippocampus": 4000.2, "Right-Hippocampus": 4100,
}  # fmt: skip
FS_GYRI = {"entorhinal": (1600, 1700), "fusiform": (9000, 9100), "middletemporal": (9500, 9600)}
VENTRICLES = 23000.5
OASIS3_FS = {
    "MR_session": "OAS30099_MR_d0129", "Subject": "OAS30099", "version": "x", "FS QC Status": "Passed",
    "IntraCranialVol": 1500000.25, "SupraTentorialVol": 1.0, "TOTAL_HIPPOCAMPUS_VOLUME": 8100.2,
    **{f"{name}_volume": value for name, value in FS_PARTS.items()},
    **{f"{side}_{gyrus}_volume": both[number] for gyrus, both in FS_GYRI.items() for number, side in enumerate(("lh", "rh"))},
}  # fmt: skip


def oasis3(write, **changes: object) -> list[Path]:
    person = {
        "OASISID": "OAS30099",
        "AgeatEntry": 65.5,
        "AgeatDeath": "",
        "GENDER": 2,
        "EDUC": 16,
        "SES": 2,
        "APOE": 34,
    }
    visits = [
        {"OASISID": "OAS30099", "OASIS_session_label": f"OAS30099_UDSb4_d{day:04}", "days_to_visit": f"{day:04}",
         "age at visit": age, "MMSE": mmse, "CDRTOT": cdr, "CDRSUM": 1, "memory": 0.5, "dx1": "uncertain dementia"}
        for day, age, mmse, cdr in ((0, 65.5, 30, 0), (120, 65.83, 28, 0.5), (900, 67.96, 20, 1))
    ]  # fmt: skip
    return [
        write({**OASIS3_FS, **changes}, name="OASIS3_Freesurfer_output.csv"),
        write({key: changes.get(key, cell) for key, cell in person.items()}, name="OASIS3_demographics.csv"),
        write(*visits, name="OASIS3_UDSb4_cdr.csv"),
    ]


def test_oasis_3_files_join_by_days_since_entry(write):
    table = read_tables(oasis3(write))
    assert set(table.dialects.values()) == {"OASIS-3"}
    (visit,) = table.rows
    assert (visit.subject_id, visit.session_id, visit.sex, visit.education_years) == ("OAS30099", "d0129", "F", 16)
    assert visit.age_years == pytest.approx(65.5 + 129 / 365.25, abs=1e-5)  # at the scan, not at the nearest visit
    assert (visit.apoe4_count, visit.mmse, visit.cdr_global, visit.diagnosis) == (1, 28, 0.5, None)
    assert (visit.icv_mm3, visit.hippocampus_mm3, visit.ventricles_mm3) == (1500000.25, 8100.2, VENTRICLES)
    assert (visit.entorhinal_mm3, visit.fusiform_mm3, visit.middle_temporal_mm3) == (3300, 18100, 19100)
    assert visit.whole_brain_mm3 is None  # SupraTentorialVol is not the whole brain
    assert visit.volumes_source == "FreeSurfer"


def test_oasis_3_clinical_table_alone_has_its_own_ages(write):
    table = read_tables(oasis3(write)[2:])
    assert [visit.age_years for visit in table.rows] == [65.5, 65.83, 67.96]
    assert [visit.cdr_global for visit in table.rows] == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("status", "read"),
    [("Passed", True), ("Passed with edits", True), ("", True), ("Quarantined", False), ("Failed", False)],
)
def test_oasis_3_volumes_that_did_not_pass_the_check_are_unknown(write, status, read):
    row = values(write({**OASIS3_FS, "FS QC Status": status}))[0]
    assert ("hippocampus_mm3" in row) is read
    assert ("icv_mm3" in row) is read
    assert row["session_id"] == "d0129"


@pytest.mark.parametrize(
    ("apoe", "count"), [("22", 0), ("23", 0), ("33", 0), ("24", 1), ("34.0", 1), ("44", 2), ("", None)]
)
def test_oasis_3_genotypes(write, apoe, count):
    row = values(write({"OASISID": "OAS30099", "AgeatEntry": 65, "APOE": apoe}))[0]
    assert row.get("apoe4_count") == count


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("MR_session", "OAS30099_MR", "dNNNN"), ("IntraCranialVol", "1500.25", "looks like cm3"), ("GENDER", "0", "a code"),
        ("APOE", "1", "no APOE genotype"), ("AgeatEntry", ">89", "censored"), ("Left-Hippocampus_volume", "-3", "below"),
        ("lh_fusiform_volume", SECRET, "text where a number"),
    ],
)  # fmt: skip
def test_oasis_3_bad_cells_are_classed(write, column, cell, why):
    with pytest.raises(TableError) as caught:
        read_tables(oasis3(write, **{column: cell}))
    assert why in caught.value.problem
    assert SECRET not in str(caught.value)


# ----------------------------------------------------------------------------------------------- BIDS


def test_bids_participants_and_phenotype(write):
    path = write({"participant_id": "sub-01", "age": 71.5, "sex": "female", "mmse": 29, "apoe_genotype": "e3/e4"},
                 {"participant_id": "sub-02", "age": "n/a", "sex": "M", "mmse": "n/a", "apoe_genotype": "33"},
                 name="participants.tsv", delimiter="\t")  # fmt: skip
    assert read_partial(path).dialect == "BIDS"
    assert values(path) == [
        {"subject_id": "01", "age_years": 71.5, "sex": "F", "mmse": 29, "apoe4_count": 1},
        {"subject_id": "02", "sex": "M", "apoe4_count": 0},
    ]


@pytest.mark.parametrize(
    ("word", "sex"),
    [("male", "M"), ("m", "M"), ("M", "M"), ("MALE", "M"), ("Male", "M"), ("female", "F"), ("f", "F"), ("F", "F"),
     ("other", None), ("o", None), ("O", None), ("n/a", None)],
)  # fmt: skip
def test_bids_words_for_sex(write, word, sex):
    assert values(write({"participant_id": "sub-01", "sex": word}))[0].get("sex") == sex


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("sex", "0", "number code"), ("sex", "1", "number code"), ("sex", SECRET, "text other than F or M"),
        ("age", "89+", "censored"), ("age", ">89", "censored"), ("age", "121", "above 120"), ("age", SECRET, "text where"),
        ("acq_time", SECRET, "not a date and time"), ("mmse", "31", "above 30"), ("apoe", "1", "no APOE genotype"),
        ("diagnosis", "control", "text other than CN, MCI or AD"),
    ],
)  # fmt: skip
def test_bids_bad_cells_are_classed(write, column, cell, why):
    assert why in refused(write({"participant_id": "sub-01", column: cell})).problem


def test_bids_sessions(write):
    row = {"participant_id": "sub-01", "session_id": "ses-m06", "acq_time": "2009-06-15T13:45:30.123"}
    assert values(write(row)) == [{"subject_id": "01", "session_id": "m06", "visit_date": "2009-06-15"}]
    assert recognise(["session_id", "acq_time"]) is BIDS
    assert subject_of_file(Path("a/sub-01/sub-01_sessions.tsv")) == "sub-01"
    assert subject_of_file(Path("a/sessions.tsv")) is None


def test_adclips_own_subject_id_makes_a_table_adclips():
    assert recognise(["participant_id", "subject_id"]).name == "canonical"
    assert recognise(["participant_id", "sex"]) is BIDS


def test_bids_names_that_leave_the_meaning_open_are_not_read(write):
    row = {"participant_id": "sub-01", "sex": "F", "education": 3, "apoe4": 1, "education_years": 12}
    table = read_partial(write(row))
    assert table.rows[0].values == {"subject_id": "01", "sex": "F", "education_years": 12}
    why = {meaning.source: meaning.why for meaning in table.meanings}
    assert "Units" in why["education"]
    assert "carrier" in why["apoe4"]


SIDECAR = {
    "sex": {"Levels": {"0": "Female", "1": {"Description": "male"}, "9": "unknown"}},
    "diagnosis": {"Levels": {"a": "cognitively normal", "b": "Mild cognitive impairment", "c": "migraine"}},
    "age": {"Units": "months"},
    "education": {"Units": "years"},
    "apoe4": {"Units": "alleles"},
    "note": "no object",
}


def test_bids_sidecar_levels():
    assert bids_levels(SIDECAR) == {
        "sex": {"0": "Female", "1": "male", "9": "unknown"},
        "diagnosis": {"a": "cognitively normal", "b": "Mild cognitive impairment", "c": "migraine"},
    }


@pytest.mark.parametrize(
    ("column", "cell", "canonical", "value"),
    [
        ("sex", "0", "sex", "F"), ("sex", "1.0", "sex", "M"), ("sex", "9", "sex", None), ("sex", "female", "sex", "F"),
        ("diagnosis", "a", "diagnosis", Diagnosis.CN), ("diagnosis", "B", "diagnosis", Diagnosis.MCI),
        ("age", "858", "age_years", 71.5), ("education", "12", "education_years", 12), ("apoe4", "2", "apoe4_count", 2),
    ],
)  # fmt: skip
def test_bids_sidecar_defines_codes_and_units(write, tmp_path, column, cell, canonical, value):
    path = write({"participant_id": "sub-01", column: cell}, name="participants.tsv", delimiter="\t")
    (tmp_path / "participants.json").write_text(json.dumps(SIDECAR))
    assert values(path)[0].get(canonical) == value


def test_bids_sidecar_does_not_define_what_it_does_not_say(write, tmp_path):
    (tmp_path / "participants.json").write_text(json.dumps(SIDECAR))
    for row in ({"sex": "2"}, {"diagnosis": "c"}):
        path = write({"participant_id": "sub-01", **row}, name="participants.tsv", delimiter="\t")
        assert "other than" in refused(path, quoted="migraine").problem


def test_bids_age_in_a_unit_that_is_no_time_is_not_read():
    dialect = with_sidecar(BIDS, {"age": {"Units": "kg"}})
    assert not any("age" in rule.sources for rule in dialect.rules)
    assert "no time" in str(dialect.why_not("age"))
    assert with_sidecar(BIDS, {}) == BIDS


# ----------------------------------------------------------------------------------------------- programs


@pytest.mark.parametrize(
    ("name", "subject", "session"),
    [
        ("sub-01", "sub-01", None), ("sub-01_T1w.nii.gz", "sub-01", None), ("sub-01_ses-m06_T1w", "sub-01", "m06"),
        ("sub-01_ses-m06", "sub-01", "m06"), ("sub-01.long.base", "sub-01", None), ("a.b_T1.mgz", "a.b_T1", None),
        ("sub-01_ses-m06.long.sub-01", "sub-01", "m06"), ("IXI002-Guys.nii", "IXI002-Guys", None), ("bert/", "bert", None),
        ("sub-01_acq-x_ses-m06", "sub-01", None), ("", "", None),
    ],
)  # fmt: skip
def test_names_of_scans(name, subject, session):
    assert split_scan_name(name) == (subject, session)


ASEG = {
    "Measure:volume": "sub-01_ses-m06", **FS_PARTS, "CSF": 900, "BrainSegVol": 1.2e6, "BrainSegVolNotVent": 1100000.5,
    "EstimatedTotalIntraCranialVol": 1500000.25,
}  # fmt: skip


def aparc(hemisphere: str, number: int, subject: str = "sub-01_ses-m06") -> dict[str, object]:
    return {
        f"{hemisphere}.aparc.volume": subject,
        **{f"{hemisphere}_{gyrus}_volume": both[number] for gyrus, both in FS_GYRI.items()},
        "BrainSegVolNotVent": 1100000.5,
        "eTIV": 1500000.25,
    }


CANONICAL_FS = {
    "hippocampus_left_mm3": 4000.2, "hippocampus_right_mm3": 4100.0, "hippocampus_mm3": 8100.2,
    "ventricles_mm3": VENTRICLES, "icv_mm3": 1500000.25, "whole_brain_mm3": 1100000.5,
}  # fmt: skip


def test_aseg_table(write):
    path = write(ASEG, delimiter="\t")
    table = read_partial(path)
    assert table.dialect.startswith("FreeSurfer")
    ids = {"subject_id": "01", "session_id": "m06", "volumes_source": "FreeSurfer"}
    assert table.rows[0].values == {**ids, **CANONICAL_FS}
    assert not table.hints


def test_hemispheres_add_up_only_when_both_tables_are_there(write):
    aseg = write(ASEG, name="aseg.tsv", delimiter="\t")
    left = write(aparc("lh", 0), name="lh.tsv", delimiter="\t")
    right = write(aparc("rh", 1), name="rh.tsv", delimiter="\t")
    (visit,) = read_tables((aseg, left, right)).rows
    assert (visit.entorhinal_mm3, visit.fusiform_mm3, visit.middle_temporal_mm3) == (3300, 18100, 19100)
    assert visit.hippocampus_mm3 == 8100.2
    (visit,) = read_tables((aseg, left)).rows
    assert (visit.entorhinal_mm3, visit.fusiform_mm3, visit.middle_temporal_mm3) == (None, None, None)


def test_hemisphere_table_with_bare_gyri(write):
    row = {"lh.aparc.volume": "sub-01", "entorhinal": 1600}
    assert values(write(row))[0]["_left_entorhinal_mm3"] == 1600
    assert "_left_entorhinal_mm3" not in values(write({"rh.aparc.volume": "sub-01", "entorhinal": 1600}))[0]


def test_a_structure_that_a_subject_lacks_is_not_zero(write):
    row = values(write({**ASEG, "Left-Hippocampus": "0.0", "3rd-Ventricle": 0}))[0]
    assert not {"hippocampus_left_mm3", "hippocampus_mm3", "ventricles_mm3"} & row.keys()
    assert row["hippocampus_right_mm3"] == 4100
    assert values(write({**ASEG, "Left-choroid-plexus": "0.0"}))[0]["ventricles_mm3"] == VENTRICLES - 500
    assert "_left_fusiform_mm3" not in values(write({**aparc("lh", 0), "lh_fusiform_volume": "0.0"}))[0]


def test_real_freesurfer_7_statistics_say_the_same_as_a_table(write, real_data):
    folder = real_data / "tables" / "freesurfer_soichi"
    row: dict[str, object] = {"Measure:volume": "sub-01"}
    for line in (folder / "aseg.stats").read_text().splitlines():
        words = line.replace(",", " ").split()
        if line.startswith("# Measure ") and words[-1] == "mm^3":
            row["EstimatedTotalIntraCranialVol" if words[3] == "eTIV" else words[3]] = words[-2]
        elif not line.startswith("#"):
            row[words[4]] = words[3]
    halves = []
    for hemisphere in ("lh", "rh"):
        half = {f"{hemisphere}.aparc.volume": "sub-01"}
        for line in (folder / f"{hemisphere}.aparc.stats").read_text().splitlines():
            if not line.startswith("#"):
                half[f"{hemisphere}_{line.split()[0]}_volume"] = line.split()[3]
        halves.append(write(half, name=f"{hemisphere}.tsv", delimiter="\t"))
    (visit,) = read_tables((write(row, name="aseg.tsv", delimiter="\t"), *halves)).rows
    for column, volume in read_segmentation(folder / "aseg.stats").items():
        assert getattr(visit, column) == pytest.approx(volume)


def test_sums_have_the_digits_that_a_person_would_write(write):
    row = values(write({**ASEG, "Left-Hippocampus": "4000.1", "Right-Hippocampus": "4100.7"}))[0]
    assert repr(row["hippocampus_mm3"]) == "8100.8"  # 8100.799999999999 otherwise


def test_fewer_ventricles_are_not_called_ventricles(write):
    fewer = {name: value for name, value in ASEG.items() if "choroid" not in name}
    assert "ventricles_mm3" not in values(write(fewer))[0]


@pytest.mark.parametrize("table", ["Measure:mean", "lh.aparc.thickness", "lh.aparc.a2009s.volume"])
def test_other_tables_of_freesurfer_are_not_taken_for_volumes(table):
    assert recognise([table, "Left-Hippocampus", "lh_entorhinal_volume"]).name == "canonical"


SYNTHSEG_SIDED = (
    "cerebral white matter", "cerebral cortex", "lateral ventricle", "inferior lateral ventricle",
    "cerebellum white matter", "cerebellum cortex", "thalamus", "caudate", "putamen", "pallidum", "hippocampus",
    "amygdala", "accumbens area", "ventral DC",
)  # fmt: skip
SYNTHSEG = {
    "subject": "sub-01_ses-m06_T1w.nii.gz", "total intracranial": 1.5e6, "csf": 300000.0, "3rd ventricle": 900.5,
    "4th ventricle": 1600, "brain-stem": 20000,
    **{f"{side} {name}": 220000 if "cerebral" in name else 4000.25 for side in ("left", "right") for name in SYNTHSEG_SIDED},
    "ctx-lh-entorhinal": 1600, "ctx-rh-entorhinal": 1700, "ctx-lh-fusiform": 9000,
}  # fmt: skip


def test_synthseg_table(write):
    path = write(SYNTHSEG)
    table = read_partial(path)
    assert table.dialect.startswith("SynthSeg")
    assert table.rows[0].values == {
        "subject_id": "01", "session_id": "m06", "volumes_source": "SynthSeg", "icv_mm3": 1.5e6,
        "hippocampus_left_mm3": 4000.25, "hippocampus_right_mm3": 4000.25, "hippocampus_mm3": 8000.5,
        "ventricles_mm3": 4 * 4000.25 + 2500.5, "whole_brain_mm3": 4 * 220000 + 20 * 4000.25 + 20000,
        "entorhinal_mm3": 3300,
    }  # fmt: skip
    assert not table.hints


def test_synthseg_table_of_one_scan_has_no_name_for_its_first_column(write):
    row = {"": "", **{key: value for key, value in SYNTHSEG.items() if key != "subject"}}
    assert values(write(row))[0]["hippocampus_mm3"] == 8000.5
    assert values(write({**row, "": "sub-01"}))[0]["subject_id"] == "01"


MUSE = {"702": 1.4e6, "701": 1.2e6, "47": 4100, "48": 4000, "31": 1000, "32": 1050, "4": 900, "11": 1600, "49": 300, "50": 250, "51": 9000,
        "52": 8000, "116": 2100, "117": 2000, "122": 8000, "123": 8100, "154": 15000, "155": 15100, "600": 1}  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "DL_MUSE_Volume_", "MUSE_Volume_", "MUSE_"])
def test_dlmuse_table(write, prefix):
    path = write({"MRID": "IXI002_T1.nii.gz", **{prefix + code: volume for code, volume in MUSE.items()}})
    table = read_partial(path)
    assert table.dialect.startswith("DLMUSE")
    assert table.rows[0].values == {
        "subject_id": "IXI002_T1", "volumes_source": "DLMUSE", "icv_mm3": 1.4e6, "hippocampus_left_mm3": 4000,
        "hippocampus_right_mm3": 4100, "hippocampus_mm3": 8100, "ventricles_mm3": 20050,
        "whole_brain_mm3": 1.2e6 - 20050, "entorhinal_mm3": 4100, "fusiform_mm3": 16100, "middle_temporal_mm3": 30100,
        "amygdala_left_mm3": 1050, "amygdala_right_mm3": 1000, "inferior_lateral_ventricle_left_mm3": 250,
        "inferior_lateral_ventricle_right_mm3": 300,
    }  # fmt: skip


@pytest.mark.parametrize("row", [SYNTHSEG, {"MRID": "sub-01_ses-m06_T1w", **MUSE}], ids=["SynthSeg", "DLMUSE"])
def test_a_scans_own_table_and_a_table_of_many_are_read_alike(write, row):
    path = write(row)
    volumes = {column: value for column, value in values(path)[0].items() if column.endswith("_mm3")}
    assert read_segmentation(path, ("sub-01_ses-m06_T1w",)) == volumes


@pytest.mark.parametrize(
    ("row", "column", "cell", "why"),
    [
        (SYNTHSEG, "left hippocampus", "4.0", "looks like cm3"), (SYNTHSEG, "left thalamus", SECRET, "text where"),
        (SYNTHSEG, "total intracranial", "-1", "below"), (SYNTHSEG, "subject", "a b", "not an id"),
        ({"MRID": "a", **MUSE}, "702", "1400", "looks like cm3"), ({"MRID": "a", **MUSE}, "701", SECRET, "text where"),
        (ASEG, "Left-Lateral-Ventricle", "-1", "below 0"), (ASEG, "BrainSegVolNotVent", "1100", "looks like cm3"),
        (aparc("lh", 0), "lh_entorhinal_volume", SECRET, "text where"),
    ],
)  # fmt: skip
def test_bad_volumes_are_classed(write, row, column, cell, why):
    assert why in refused(write({**row, column: cell})).problem


def test_two_rows_of_one_scan_are_told_apart_or_refused(write):
    path = write(ASEG, {**ASEG, "Measure:volume": "sub-01_ses-m06.long.sub-01", "Left-Hippocampus": 3900})
    with pytest.raises(TableError, match=r"2.*3"):
        read_tables((path,))
