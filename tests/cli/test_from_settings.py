"""Settings said once: what becomes of them on the command line and in a settings file."""

from __future__ import annotations

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
from adclip.cli.from_settings import Before, parse_with, spread
from adclip.config import PromptConfig, Settings
from adclip.errors import ConfigError
from adclip.settings.setting import Setting, fields_of

CONFIGS = {name: getattr(facade, "".join(part.title() for part in name.split("-")) + "Config") for name in COMMANDS}


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


def test_help_tells_a_unit_that_the_words_do_not_name(run):
    page = " ".join(run("simulate", "--help").stdout.split())
    assert "In-plane voxel size of raw heads. Unit: mm." in page and "Slice thickness of raw heads. Unit: mm." in page
    assert "Months between visits. [default: 12]" in page and "clinical range. [default: no-wide-age]" in page


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_a_function_of_its_settings(name):
    module = importlib.import_module(f"adclip.cli.{name.replace('-', '_')}")
    hints = get_type_hints(getattr(module, f"{name.replace('-', '_')}_command"))
    assert any(CONFIGS[name] in (hint, *get_args(hint)) for hint in hints.values())


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
