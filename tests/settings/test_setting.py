"""What a setting says of itself holds wherever its value comes from."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from adclip import config as facade
from adclip.cli.catalog import COMMANDS
from adclip.cli.from_settings import make_settings
from adclip.config import FinetuneConfig, PromptConfig, Settings, SynthesizeReportsConfig
from adclip.errors import ConfigError
from adclip.settings.setting import Setting, fields_of, parts_of

CONFIGS = {name: getattr(facade, "".join(part.title() for part in name.split("-")) + "Config") for name in COMMANDS}
KINDS = [*CONFIGS.values(), PromptConfig]


@dataclass(frozen=True)
class Limited(Settings):
    """One setting for each kind of limit."""

    kind: Annotated[str, Setting("Which.", choices=("a", "b"))] = "a"
    depth: Annotated[int | None, Setting("How deep.", at_least=1)] = None
    rate: Annotated[float, Setting("How fast.", above=0)] = 0.5
    share: Annotated[float, Setting("How much.", at_least=0, at_most=1)] = 0.0
    most: Annotated[float, Setting("How much at most.", at_most=2.5)] = 0.0


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"kind": "c"}, "--kind: `c` is not one of a, b"),
        ({"kind": "a, b"}, "--kind: `a, b` is not one of a, b"),
        ({"depth": 0}, "--depth: must be at least 1, and a number, got 0"),
        ({"depth": math.nan}, "--depth: must be at least 1, and a number, got nan"),
        ({"depth": math.inf}, "--depth: must be at least 1, and a number, got inf"),
        ({"rate": 0.0}, "--rate: must be above 0, and a number, got 0"),
        ({"rate": math.nan}, "--rate: must be above 0, and a number, got nan"),
        ({"rate": math.inf}, "--rate: must be above 0, and a number, got inf"),
        ({"share": -0.1}, "--share: must be at least 0, and a number, got -0.1"),
        ({"share": 1.01}, "--share: must be at most 1, and a number, got 1.01"),
        ({"most": 2.6}, "--most: must be at most 2.5, and a number, got 2.6"),
        ({"most": math.nan}, "--most: must be at most 2.5, and a number, got nan"),
        ({"most": -math.inf}, "--most: must be at most 2.5, and a number, got -inf"),
    ],
)
def test_limits_hold_from_python_and_on_the_command_line_alike(wrong, problem):
    usual = {field.name: field.default for field in fields_of(Limited)}
    for make in (lambda: Limited(**wrong), lambda: make_settings(Limited, usual | wrong)):
        with pytest.raises(ConfigError) as caught:
            make()
        assert caught.value.problem == problem


def test_a_limit_may_be_reached_itself_but_for_one_that_must_be_exceeded():
    assert Limited(depth=1, rate=1e-12, share=1.0, most=2.5) != Limited()
    assert Limited(share=0.0) == Limited()


@pytest.mark.parametrize(
    ("kind", "wrong", "flag"),
    [
        ("synthesize-reports", {"table": Path("t.csv"), "max_days": math.nan}, "--max-days"),
        ("synthesize-reports", {"table": Path("t.csv"), "max_days": -1}, "--max-days"),
        ("synthesize-reports", {"table": Path("t.csv"), "mode": "test"}, "--mode"),
        ("synthesize-reports", {"table": Path("t.csv"), "diagnosis_policy": "mmse"}, "--diagnosis-policy"),
        ("preprocess", {"inputs": (Path("s"),), "out": Path("o"), "workers": -1}, "--workers"),
        ("simulate", {"out": Path("o"), "workers": -1}, "--workers"),
        ("simulate", {"out": Path("o"), "subjects": 10_000}, "--subjects"),
        ("simulate", {"out": Path("o"), "defaced": 1.5}, "--defaced"),
        ("simulate", {"out": Path("o"), "spacing_mm": 3.5, "thickness_mm": 4.0}, "--spacing"),
        ("simulate", {"out": Path("o"), "thickness_mm": 0.9}, "--thickness"),
        ("simulate", {"out": Path("o"), "thickness_mm": 10.5}, "--thickness"),
        ("demo", {"subjects": 10_000}, "--subjects"),
        ("finetune", {"learning_rate": 0.0}, "--learning-rate"),
        ("finetune", {"report_dropout": 1.1}, "--report-dropout"),
        ("finetune", {"field_dropout": math.nan}, "--field-dropout"),
        ("finetune", {"test_fraction": 1.5}, "--test-fraction"),
        (
            "finetune",
            {"test_fraction": 0.5, "validation_fraction": 0.3, "calibration_fraction": 0.2},
            "--test-fraction",
        ),
    ],
)
def test_no_run_begins_with_a_value_out_of_its_limits(kind, wrong, flag):
    given = {"scans": Path("s"), "table": Path("t"), "out": Path("o")} if kind == "finetune" else {}
    with pytest.raises(ConfigError, match=f"^{flag}: "):
        CONFIGS[kind](**given, **wrong)


def test_an_orientation_names_each_direction_once():
    for wrong in ("RLS", "AAS", "RA", "RASI", "RAX", ""):
        with pytest.raises(ConfigError, match=f"--orientation: `{wrong}` is no orientation"):
            facade.PredictConfig((Path("x"),), orientation=wrong)
    assert facade.PredictConfig((Path("x"),), orientation="lps").orientation == "lps"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_setting_says_what_it_is_exactly_once(kind):
    said = {field.name for field in fields_of(kind)} | set(parts_of(kind))
    assert said == {field.name for field in dataclasses.fields(kind)}
    for field in fields_of(kind):
        assert field.setting.help.endswith(".") and (field.setting.note or ".").endswith(".")
        assert not (field.setting.choices and field.default not in (*field.setting.choices, dataclasses.MISSING))
        assert not (field.setting.unit and field.one_kind in (bool, str, Path))


def test_a_unit_is_said_where_the_help_does_not_name_it():
    assert Setting("Slice thickness.", unit="mm").help_with_unit == "Slice thickness. Unit: mm."
    assert Setting("Days between.", unit="days").help_with_unit == "Days between."
    assert Setting("How commonly.", unit="mm").help_with_unit == "How commonly. Unit: mm."
    assert Setting("How many.").help_with_unit == "How many."


def test_all_that_is_said_of_a_setting_stands_in_one_order():
    setting = Setting("Voxel size.", unit="mm", note="Isotropic.", source="a paper")
    assert setting.sentences == "Voxel size. Unit: mm. Isotropic. Source: a paper."
    assert Setting("Voxel size.").sentences == "Voxel size."


def test_settings_are_frozen_and_read_nothing_while_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("a file was read"))
    monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("a file was read"))
    absent = tmp_path / "absent"
    config = FinetuneConfig(absent, absent, absent, task=absent, splits=absent, tokenizer=absent)
    SynthesizeReportsConfig(absent, task=absent)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.epochs = 4  # type: ignore[misc]
