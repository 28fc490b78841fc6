"""Tables read again with other answers: every dialect is honest, and in every one a leak is seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from golden_tables import GOLDEN, STUDIES
from tiny import LABELS

from adclip.clinical.dialects import ADNIMERGE, CANONICAL, DIALECTS
from adclip.clinical.dialects.canonical import ANSWERS
from adclip.clinical.scans.manifest import Manifest, TableReading
from adclip.clinical.tables import table as tables
from adclip.clinical.tables.alteration import Alteration, places_of_answers
from adclip.clinical.tables.header import Header
from adclip.clinical.tables.mapping import parse_mappings
from adclip.clinical.tables.table import read_tables
from adclip.config import TableOptions
from adclip.domain import ScanItem
from adclip.errors import LeakError, TableError
from adclip.prediction.scoring import report_texts
from adclip.training.reread import prove_unchanged

NOBODY = Manifest((), ())


def write(visit, wording):
    return report_texts(visit, LABELS, "clinical", None, wording)


def prove(paths, policy="table"):
    options = TableOptions(diagnosis_policy=policy)
    table = read_tables(paths, options)
    items = tuple(
        ScanItem(Path(f"scan{n}.nii"), one.subject_id, one.session_id, True) for n, one in enumerate(table.rows)
    )
    return prove_unchanged(TableReading(items, table, {}), NOBODY, paths, options, write)


def study(name):
    return [GOLDEN / file for file in STUDIES[name][1]], "cdr" if name.startswith("OASIS") else "table"


@pytest.mark.parametrize("name", STUDIES)
def test_honest_tables_of_every_dialect_pass(name):
    told = prove(*study(name))
    assert told.scans == 4 and told.rows >= 4
    assert told.cells_blanked >= 4 and told.cells_shuffled >= 4 and not told.shuffled_answers_set_aside


@pytest.mark.parametrize("name", STUDIES)
def test_a_join_that_leaks_is_seen_in_every_dialect(name, monkeypatch):
    honest = tables.complete

    def complete(visits, files):
        honest(visits, files)
        for visit in visits:
            if "mmse" in visit.values and visit.values["mmse"] < 25:
                visit.values["education_years"] = 8.0

    monkeypatch.setattr(tables, "complete", complete)
    with pytest.raises(LeakError, match="`education_years` changes"):
        prove(*study(name))


def test_a_table_that_somebody_writes_to_is_no_leak(tmp_path):
    path = tmp_path / "t.csv"
    shutil.copy(GOLDEN / "canonical" / "visits.csv", path)
    table = read_tables([path])
    items = tuple(ScanItem(Path(f"{n}.nii"), one.subject_id, one.session_id, True) for n, one in enumerate(table.rows))
    lines = path.read_text().splitlines()
    place = lines[0].split(",").index("age_years")
    cells = lines[1].split(",")
    path.write_text("\n".join([lines[0], ",".join([*cells[:place], "33", *cells[place + 1 :]]), *lines[2:]]) + "\n")
    with pytest.raises(TableError, match="not the same at a second reading"):
        prove_unchanged(TableReading(items, table, {}), NOBODY, [path], TableOptions(), write)


def test_no_dialect_reads_an_input_from_a_column_of_answers():
    """What is altered by its name in one study's tables holds no input in another's."""
    for dialect in DIALECTS:
        sources = tuple(dict.fromkeys(source for rule in dialect.rules for source in rule.sources))
        header = Header.of(sources, dialect)
        altered = {sources[place] for place in places_of_answers(header, dialect.rules, ())}
        inputs = {source for rule in dialect.rules if rule.column not in ANSWERS for source in rule.sources}
        assert not altered & inputs, dialect.name
        assert altered >= {rule.sources[0] for rule in dialect.rules if rule.column in ANSWERS}


def test_scores_and_other_diagnoses_are_altered_too_and_dates_of_tests_are_not():
    shown = (
        "PTID",
        "VISCODE",
        "DX.bl",
        "DX",
        "CDRSB_bl",
        "ADAS13",
        "MOCA",
        "RAVLT_immediate",
        "FAQ",
        "MMSE_date",
        "AGE",
        "dx2",
    )
    found = places_of_answers(Header.of(shown, ADNIMERGE), (), ())
    assert [shown[place] for place in found] == [*shown[2:9], "dx2"]
    mapped = places_of_answers(Header.of(("id", "finding"), CANONICAL), (), parse_mappings(["diagnosis=finding"]))
    assert mapped == [1]


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_answers_move_together_and_none_stays(seed):
    rows = [(line, [str(line), f"d{line}", f"m{line}"]) for line in range(2, 9)]
    files = {Path("a"): rows[:1], Path("b"): rows[1:5], Path("c"): rows[5:]}
    blanked = Alteration()
    for path, some in files.items():
        found = [
            cells for _, cells in blanked(path, iter([(n, list(c)) for n, c in some]), ("id", "dx", "mmse"), [1, 2])
        ]
        assert all(cells[1:] == ["", ""] for cells in found)
    shuffled = blanked.shuffled(seed)
    after = []
    for path, some in files.items():
        after += [
            cells for _, cells in shuffled(path, iter([(n, list(c)) for n, c in some]), ("id", "dx", "mmse"), [1, 2])
        ]
    assert [cells[0] for cells in after] == [cells[0] for _, cells in rows]
    assert all(cells[1][1:] == cells[2][1:] != cells[0] for cells in after)
    assert sorted(cells[1] for cells in after) == sorted(cells[1] for _, cells in rows)
    assert (blanked.cells, shuffled.cells, blanked.rows) == (14, 14, 7)
