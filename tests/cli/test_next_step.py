"""The next step that `simulate` prints is a command line that fits the model it was given."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from adclip.cli.commands import LazyCommand
from adclip.cli.simulate import _next_step
from adclip.model.checkpoint import read_contract
from adclip.simulation.settings import SimulateConfig


def parsed(line: str) -> tuple[str, dict]:
    """Parse a printed line as the shell and the command would, and return the command and its values."""
    first, _, rest = line.rpartition(" && ")
    assert first in ("", "adclip weights fetch m3d-clip") and bool(first) == ("--base m3d-clip" in rest)
    program, command, *words = shlex.split(rest)
    assert program == "adclip"
    return command, LazyCommand(command).make_context(command, words).params


@pytest.mark.parametrize("model", ["builtin", "m3d-clip", "run", "base"])
def test_prepared_scans_are_tuned_on_the_base_whose_grid_they_have(tiny_run, tiny_base, model):
    model = {"run": str(tiny_run), "base": str(tiny_base)}.get(model, model)
    out = Path("a cohort")
    command, values = parsed(_next_step(SimulateConfig(out, subjects=3, model=model, preprocessed=True)))
    assert command == "finetune" and values["scans"] == out and values["table"] == [out / "table.csv"]
    assert read_contract(values["base"]) == read_contract(model)


@pytest.mark.parametrize(("base", "known"), [("m3d-clip", True), ("ours", False)])
def test_a_finished_cohort_is_no_error_where_the_base_of_a_run_is_not_here(tiny_run, tmp_path, base, known):
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    record = json.loads((run / "adapter.json").read_text())
    record["base"] |= {"name": base, "sha256": "0" * 64}
    (run / "adapter.json").write_text(json.dumps(record))
    line = _next_step(SimulateConfig(Path("cohort"), subjects=3, model=str(run), preprocessed=True))
    assert line.startswith(f"adclip weights fetch {base} && ") is known
    assert parsed(line)[1]["base"] == base


@pytest.mark.parametrize("model", ["builtin", "m3d-clip", "run"])
def test_raw_heads_are_prepared_for_the_same_model(tiny_run, model):
    model = str(tiny_run) if model == "run" else model
    command, values = parsed(_next_step(SimulateConfig(Path("heads"), subjects=3, model=model)))
    assert command == "preprocess" and values["inputs"] == [Path("heads")] and values["model"] == model
