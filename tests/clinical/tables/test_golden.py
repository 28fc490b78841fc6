"""One small cohort in the tables of ten studies and programs: every one of them means the same canonical table.

What a study does not record (AIBL has no volumes, FreeSurfer no ages) stands in a small canonical table beside it, so that
the whole can be compared. Sessions and dates are left out of the comparison: each study has its own names for them. The people
are made up.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from golden_tables import GOLDEN, STUDIES

from adclip.clinical.columns import FURTHER_VOLUMES
from adclip.clinical.tables.canonical import write_canonical
from adclip.clinical.tables.table import Table, read_tables
from adclip.config import TableOptions

# those beyond the canonical ones are in one program's table alone
LEFT_OUT = ("session_id", "visit_date", "scan", *FURTHER_VOLUMES)


def read(name: str) -> Table:
    files = [GOLDEN / file for file in STUDIES[name][1]]
    policy = "cdr" if name.startswith("OASIS") else "table"
    return read_tables(files, TableOptions(diagnosis_policy=policy))


def _bare(subject: str) -> str:
    """BIDS labels have no underscores, and OASIS-2 calls its people otherwise than OASIS-1."""
    return subject.replace("_", "").replace("OAS2", "OAS1")


def canonical_rows(table: Table, folder: Path) -> list[dict[str, str]]:
    path = folder / "clean.csv"
    write_canonical(path, table)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["subject_id"] = _bare(row["subject_id"])
    return [{name: cell for name, cell in row.items() if name not in LEFT_OUT} for row in rows]


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_gives_the_same_canonical_table(name, tmp_path):
    with (GOLDEN / "canonical" / "visits.csv").open(encoding="utf-8", newline="") as stream:
        wanted = [{key: cell for key, cell in row.items() if key not in LEFT_OUT} for row in csv.DictReader(stream)]
    for row in wanted:
        row["subject_id"] = _bare(row["subject_id"])
    assert canonical_rows(read(name), tmp_path) == wanted


@pytest.mark.parametrize("name", STUDIES)
def test_every_column_is_explained(name):
    table = read(name)
    assert all(meaning.why and meaning.why != "not known" for meaning in table.meanings), [
        meaning for meaning in table.meanings if meaning.why in ("", "not known")
    ]
    assert set(table.columns) <= {meaning.column for meaning in table.meanings}


@pytest.mark.parametrize("name", STUDIES)
def test_the_clean_table_reads_back_as_it_was(name, tmp_path):
    table = read(name)
    write_canonical(tmp_path / "clean.tsv", table)
    assert read_tables((tmp_path / "clean.tsv",)).rows == table.rows
