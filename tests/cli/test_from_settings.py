"""Settings said once: what becomes of them on the command line, in a settings file, and in a schema."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

import pytest
import typer

from adclip import config as facade
from adclip.cli.catalog import COMMANDS
from adclip.cli.from_settings import Before, make_settings, parse_with, spread
from adclip.config import FinetuneConfig, PromptConfig, Settings
from adclip.errors import ConfigError
from adclip.settings.schema import file_schema, to_json_schema
from adclip.settings.setting import Setting, fields_of, parts_of

CONFIGS = {name: getattr(facade, "".join(part.title() for part in name.split("-")) + "Config") for name in COMMANDS}
KINDS = [*CONFIGS.values(), PromptConfig]


@dataclass(frozen=True)
class Part(Settings):
    SECTION: ClassVar[str] = "Inside"

    depth: Annotated[int | None, Setting("How deep.", at_least=1)] = None


@dataclass(frozen=True)
class Late(Settings):
    SECTION: ClassVar[str] = "Second"

    kind: Annotated[str, Setting("Which.", choices=("a", "b"))] = "a"
    keep: Annotated[bool, Setting("Whether.")] = True


@dataclass(frozen=True)
class Early(Settings):
    SECTION: ClassVar[str] = "First"

    files: Annotated[tuple[Path, ...], Setting("What.", metavar="FILE", is_argument=True, called="FILE")]
    names: Annotated[tuple[str, ...], Setting("Called.", flags=("--name",))] = ()
    part: Part = Part()


@dataclass(frozen=True)
class Toy(Late, Early):
    """Settings of nothing."""


def test_groups_come_from_the_last_base_to_the_first_and_parts_where_they_stand():
    parameters = inspect.signature(spread(_toy)).parameters
    assert list(parameters) == ["ctx", "files", "names", "depth", "kind", "look", "keep"]


def _toy(
    ctx: typer.Context, config: Toy, look: Annotated[bool, typer.Option("--look"), Before("keep")] = False
) -> None:
    """Do nothing."""
    ctx.meta["made"] = (config, look)


def call(function: Callable[..., None], *words: str) -> Any:
    command = parse_with(function)
    with command.make_context("toy", list(words)) as context:
        command.invoke(context)
        return context.meta["made"]


def test_what_is_typed_becomes_the_settings():
    made = call(_toy, "x", "y", "--name", "n", "--depth", "3", "--kind", "b", "--no-keep", "--look")
    assert made == (Toy((Path("x"), Path("y")), ("n",), Part(3), "b", False), True)
    assert call(_toy, "x") == (Toy((Path("x"),)), False)


def test_a_command_may_look_before_its_settings_are_made():
    def later(ctx: typer.Context, make: Callable[[], Toy]) -> None:
        """Look first."""
        seen.append(ctx.params["kind"])
        if ctx.params["kind"] != "c":
            make()

    seen: list[str] = []
    later.__annotations__ = {"ctx": typer.Context, "make": Callable[[], Toy], "return": None}
    command = parse_with(later)
    with command.make_context("toy", ["x", "--kind", "c"]) as context:
        command.invoke(context)
    with command.make_context("toy", ["x", "--kind", "d"]) as context, pytest.raises(ConfigError, match="--kind"):
        command.invoke(context)
    assert seen == ["c", "d"]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"kind": "c"}, "--kind: `c` is not one of a, b"),
        ({"kind": "a, b"}, "--kind: `a, b` is not one of a, b"),
        ({"depth": 0}, "--depth: must be at least 1, and a number, got 0"),
        ({"depth": float("nan")}, "--depth: must be at least 1, and a number, got nan"),
        ({"depth": float("inf")}, "--depth: must be at least 1, and a number, got inf"),
    ],
)
def test_limits_hold_from_python_and_on_the_command_line_alike(wrong, problem):
    values = {"files": [Path("x")], "names": None, "depth": None, "kind": "a", "keep": True}
    with pytest.raises(ConfigError) as caught:
        make_settings(Toy, values | wrong)
    assert caught.value.problem == problem


def test_an_orientation_names_each_direction_once():
    for wrong in ("RLS", "AAS", "RA", "RASI", "RAX", ""):
        with pytest.raises(ConfigError, match=f"--orientation: `{wrong}` is no orientation"):
            facade.PredictConfig((Path("x"),), orientation=wrong)
    assert facade.PredictConfig((Path("x"),), orientation="lps").orientation == "lps"


def test_the_help_page_keeps_a_group_together(run):
    page = run("finetune", "--help").stdout
    titles = [line[:-1] for line in page.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == [
        "Cohort and base", "Training", "Parts added to the base", "Method and objective", "Split", "Computing and output",
        "Options",
    ]  # fmt: skip
    sections = dict(zip(titles, page.split("\n\n")[-len(titles) - 1 : -1], strict=True))
    for field in fields_of(PromptConfig):
        assert field.flag in sections["Parts added to the base"]
    assert "--json" in sections["Options"] and "--json" not in sections["Training"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_setting_says_what_it_is_exactly_once(kind):
    said = {field.name for field in fields_of(kind)} | set(parts_of(kind))
    assert said == {field.name for field in dataclasses.fields(kind)}
    for field in fields_of(kind):
        assert field.setting.help.endswith(".")
        assert not (field.setting.choices and field.default not in (*field.setting.choices, dataclasses.MISSING))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_a_function_of_its_settings(name):
    module = importlib.import_module(f"adclip.cli.{name.replace('-', '_')}")
    hints = get_type_hints(getattr(module, f"{name.replace('-', '_')}_command"))
    assert any(CONFIGS[name] in (hint, *get_args(hint)) for hint in hints.values())


def test_settings_are_frozen_and_read_nothing_while_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("a file was read"))
    monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("a file was read"))
    absent = tmp_path / "absent"
    config = FinetuneConfig(absent, absent, absent, task=absent, splits=absent, tokenizer=absent)
    facade.SynthesizeReportsConfig(absent, task=absent)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.epochs = 4  # type: ignore[misc]


ASKED = ("finetune", "--scans", "s", "--table", "t.csv", "--out", "run1")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epochs = 0\n", "adclip.toml: --epochs: must be at least 1"),
        ("[finetune]\nvisual-prompts = -1\n", "adclip.toml: --visual-prompts: must be at least 0"),
        ("[finetune]\ncolumn = 'a=b'\nfold = '6/5'\n", "adclip.toml: --fold: `6/5` is not I/N"),
        ("epochs = 'ten'\n", "adclip.toml: invalid value for '--epochs'"),
    ],
)
def test_an_error_of_a_settings_file_names_the_file(run, stub, text, problem):
    stub("finetune", SimpleNamespace(to_dict=lambda: {}))
    Path("adclip.toml").write_text(text)
    assert run(*ASKED).stderr.startswith(f"error: {problem}")


def test_the_file_is_not_blamed_for_what_was_typed(run, stub, monkeypatch):
    stub("finetune", SimpleNamespace(to_dict=lambda: {}))
    Path("other.toml").write_text("epochs = 3\nseed = 1\n")
    line = (*ASKED, "--config", "other.toml")
    assert run(*line, "--epochs", "0").stderr.startswith("error: --epochs: must be")
    assert run(*line, "--epochs", "ten").stderr.startswith("error: adclip finetune: invalid value")
    monkeypatch.setenv("ADCLIP_EPOCHS", "0")
    assert run(*line).stderr.startswith("error: --epochs: must be")
    monkeypatch.delenv("ADCLIP_EPOCHS")
    Path("other.toml").write_text("epochs = 0\n")
    assert run(*line).stderr.startswith("error: other.toml: --epochs: must be")


def test_what_a_verb_finds_wrong_with_a_setting_of_the_file_names_it_too(run, stub):
    stub("finetune", ConfigError.bad_value("--style", "`knowledge` does not fit"))
    Path("adclip.toml").write_text("style = 'knowledge'\n")
    assert run(*ASKED).stderr.startswith("error: adclip.toml: --style: `knowledge` does not fit")


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


def test_the_schema_knows_every_key_that_the_settings_file_may_hold():
    tables = file_schema(CONFIGS)["properties"]
    for name, kind in CONFIGS.items():
        for field in [*fields_of(kind), *(f for part in parts_of(kind).values() for f in fields_of(part))]:
            assert field.name in tables[name]["properties"]
            assert field.setting.is_argument or field.flag.removeprefix("--") in tables[name]["properties"]
