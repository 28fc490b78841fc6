"""The faults of `tests/mutants` still fit the code: each piece of text occurs once, and each test that is to notice it exists."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "mutants"))
from catalogue import CATALOGUE, Mutant

ROOMS = {path.parent.name for path in (Path(__file__).parents[1] / "adclip").glob("*/__init__.py")}


@pytest.mark.parametrize("mutant", CATALOGUE, ids=lambda mutant: mutant.name)
def test_a_fault_fits_the_code_and_names_tests_that_exist(mutant: Mutant, repository: Path) -> None:
    assert mutant.plant(repository) != (repository / mutant.file).read_text()
    for killer in mutant.killers:
        file, _, test = killer.partition("::")
        assert (
            f"def {test.partition('[')[0]}(" in (repository / file).read_text()
            if test
            else (repository / file).is_file()
        )


def test_every_room_has_faults_and_no_two_share_a_name() -> None:
    assert len({mutant.name for mutant in CATALOGUE}) == len(CATALOGUE)
    assert {Path(mutant.file).parts[1] for mutant in CATALOGUE} == ROOMS


def test_a_fault_whose_text_is_gone_or_stands_twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = 1\n")
    for text in ("z = 1", "= 1"):
        with pytest.raises(ValueError, match=r"times in a\.py, not once"):
            Mutant("harm", "a.py", text, "x = 2", ()).plant(tmp_path)
    with pytest.raises(ValueError, match="no Python"):
        Mutant("harm", "a.py", "x = 1", "x = (", ()).plant(tmp_path)
