"""Every option reaches the setting of its name, and no other: what is typed is what is done."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from adclip import config as settings
from adclip.cli.catalog import COMMANDS
from adclip.cli.commands import LazyCommand
from adclip.errors import AdclipError
from adclip.settings.setting import fields_of, parts_of
from adclip.settings.shared import MAX_DAYS

VERBS = {
    name: getattr(settings, "".join(part.title() for part in name.split("-")) + "Config", None) for name in COMMANDS
}
ASKED = {
    "preprocess": ("scans", "--out", "o"), "synthesize-reports": ("t.csv", "--out", "r.jsonl"), "simulate": ("--out", "o"),
    "finetune": ("--scans", "s", "--table", "t.csv", "--out", "o"), "predict": ("a.nii",), "explain": ("a.nii", "--out", "o"),
    "evaluate": ("--scans", "s", "--table", "t.csv", "--out", "o"),
}  # fmt: skip
# Where half of the default, the next number or `x` will not do.
TASK = Path(__file__).parents[2] / "examples" / "tasks" / "parkinson.toml"
OTHERWISE = {
    "modality": "MR", "prevalence": "CN=.6,MCI=.3,AD=.1", "what_if": "age_years=60:80:3",
    "shard": "2/3", "task": str(TASK), "canonical": "clean.csv", "synthesize-reports out": "x.csv", "fold": "1/3", "orientation": "LAS", "columns": "mmse=SCORE", "overrides": "s=pass", "thickness_mm": "5",
}  # fmt: skip
# What is typed for a setting whose option does not have its name.
CALLED = {
    "overrides": "--override", "columns": "--column", "canonical": "--write-canonical", "interval_months": "--interval",
    "spacing_mm": "--spacing", "thickness_mm": "--thickness",
}  # fmt: skip
# What an option needs beside it, or changes with it because it says so.
BESIDE = {"from_scratch": ("--method", "full"), "flip": ()}
# Options that ask for another function than the command's own.
ANOTHER = {"selftest": "explain_selftest"}


def cases() -> list[Any]:
    found = []
    for name in ASKED:
        kind = VERBS[name]
        names = []
        for field in dataclasses.fields(kind):  # of a group of settings each is one
            group = dataclasses.fields(field.default) if dataclasses.is_dataclass(field.default) else (field,)
            names += [setting.name for setting in group]
        found += [pytest.param(name, field, id=f"{name}-{field}") for field in names]
    return found


def words_for(name: str, field: str) -> tuple[str, ...]:
    """Return an option as it is typed, with a value that is not its default."""
    parameter = next(one for one in LazyCommand(name).load().params if one.name == field)
    if parameter.param_type_name == "argument":
        return ("other.nii",)
    groups = (VERBS[name], *parts_of(VERBS[name]).values())
    (kind,) = (one.one_kind for group in groups for one in fields_of(group) if one.name == field)
    option, default = CALLED.get(field, "--" + field.replace("_", "-")), parameter.default
    choices = (parameter.metavar or "").split("|")
    if kind is bool:
        return (option.replace("--", "--no-", 1) if default else option,)
    if value := OTHERWISE.get(f"{name} {field}", OTHERWISE.get(field)):
        return (option, value)
    if len(choices) > 1:
        return (option, next(choice for choice in choices if choice != default))
    if kind is int:
        return (option, str((default or 2) + 1))
    return (option, str((default or 1.6) / 2) if kind is float else "x")


def flat(config: Any) -> dict[str, Any]:
    groups = {name: value for name, value in vars(config).items() if dataclasses.is_dataclass(value)}
    return (
        vars(config)
        | {name: value for group in groups.values() for name, value in vars(group).items()}
        | dict.fromkeys(groups)
    )


@pytest.mark.parametrize(("name", "field"), cases())
def test_an_option_changes_its_own_setting_alone(run, stub, name, field):
    calls = stub(name.replace("-", "_"), AdclipError("stopped here", "nothing"))
    beside = BESIDE.get(field, ())
    run(name, *ASKED[name], *beside)
    if field in ANOTHER:
        others = stub(ANOTHER[field], AdclipError("stopped here", "nothing"))
    ran = run(name, *ASKED[name], *beside, *words_for(name, field))
    if field in ANOTHER:
        calls += others
    assert len(calls) == 2, ran.stderr
    before, after = map(flat, calls)
    assert [key for key in before if before[key] != after[key]] == [field]


@pytest.mark.parametrize("name", ["synthesize-reports", "finetune", "predict", "explain", "evaluate"])
def test_the_limit_in_days_reaches_the_reading_of_tables(run, stub, name):
    calls = stub(name.replace("-", "_"), AdclipError("stopped here", "nothing"))
    run(name, *ASKED[name])
    run(name, *ASKED[name], "--max-days", "7")
    assert [config.table_options.max_days for config in calls] == [MAX_DAYS, 7]
