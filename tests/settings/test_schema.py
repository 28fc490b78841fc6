"""The JSON Schema of a settings file says what the command line takes, as it takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adclip import config as facade
from adclip.cli.catalog import COMMANDS
from adclip.cli.commands import LazyCommand
from adclip.config import FinetuneConfig
from adclip.settings.schema import file_schema, to_json_schema
from adclip.settings.setting import fields_of, parts_of

CONFIGS = {name: getattr(facade, "".join(part.title() for part in name.split("-")) + "Config") for name in COMMANDS}


def test_the_schema_tells_kind_limits_default_and_source():
    properties = to_json_schema(FinetuneConfig)["properties"]
    assert properties["epochs"] == {
        "type": "integer", "minimum": 1, "description": "Passes over the training scans.", "default": 10,
    }  # fmt: skip
    assert properties["method"]["enum"][0] == properties["method"]["default"] == "prompt"
    assert "arXiv:2203.12119" in properties["visual-prompts"]["description"]
    assert properties["column"] == properties["columns"]
    assert [one["type"] for one in properties["column"]["anyOf"]] == ["string", "array"]
    assert "default" not in properties["scans"] and properties["scans"]["type"] == "string"
    assert to_json_schema(CONFIGS["simulate"])["properties"]["spacing"]["description"].endswith("Unit: mm.")


@pytest.mark.parametrize(
    ("command", "key", "limits"),
    [
        ("simulate", "workers", {"minimum": 0}),
        ("preprocess", "workers", {"minimum": 0}),
        ("simulate", "subjects", {"minimum": 1, "maximum": 9999}),
        ("simulate", "spacing", {"minimum": 0.5, "maximum": 3}),
        ("simulate", "missing", {"minimum": 0, "maximum": 1}),
        ("finetune", "learning-rate", {"exclusiveMinimum": 0}),
        ("finetune", "report-dropout", {"minimum": 0, "maximum": 1}),
        ("finetune", "test-fraction", {"minimum": 0, "maximum": 1}),
        ("finetune", "max-days", {"minimum": 0}),
        ("finetune", "diagnosis-policy", {"enum": ["table", "cdr"]}),
        ("synthesize-reports", "mode", {"enum": ["train", "candidate", "predict"]}),
    ],
)
def test_the_schema_has_the_limits_that_the_settings_hold_to(command, key, limits):
    told = to_json_schema(CONFIGS[command])["properties"][key]
    keywords = {"minimum", "exclusiveMinimum", "maximum", "enum"}
    assert {name: value for name, value in told.items() if name in keywords} == limits


@pytest.mark.parametrize("name", COMMANDS)
def test_a_default_is_the_one_that_the_command_line_takes(name):
    properties = to_json_schema(CONFIGS[name])["properties"]
    parameters = {one.name: one for one in LazyCommand(name).load().params if one.name in properties}
    assert len(parameters) >= min(6, len(properties))
    for key, parameter in parameters.items():
        taken = str(parameter.default) if isinstance(parameter.default, Path) else parameter.default
        assert properties[key].get("default") == (None if taken == () else taken), key


def test_the_schema_knows_every_key_that_the_settings_file_may_hold():
    tables = file_schema(CONFIGS)["properties"]
    for name, kind in CONFIGS.items():
        for field in [*fields_of(kind), *(f for part in parts_of(kind).values() for f in fields_of(part))]:
            assert field.name in tables[name]["properties"]
            assert field.setting.is_argument or field.flag.removeprefix("--") in tables[name]["properties"]
