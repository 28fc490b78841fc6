"""Help pages: complete, true, and quick."""

from __future__ import annotations

import importlib
import inspect
import shlex
import subprocess
import sys

import pytest

from adclip.cli.catalog import COMMANDS
from adclip.cli.commands import LazyCommand

HEAVY = (
    "torch", "transformers", "monai", "numpy", "pandas", "scipy", "sklearn", "nibabel", "nilearn", "matplotlib",
    "SimpleITK", "picsl_greedy", "deepbet", "pydantic", "adclip.config", "adclip.settings",
)  # fmt: skip


def modules_after(*words: str) -> set[str]:
    code = (
        "import sys\nfrom adclip.cli.main import app\n"
        f"try:\n    app({list(words)!r})\nexcept SystemExit:\n    pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_imports_nothing_heavy():
    assert not modules_after("--help") & set(HEAVY)


def test_help_of_a_command_imports_no_verb():
    loaded = modules_after("predict", "--help")
    assert not loaded & {
        "torch",
        "transformers",
        "pandas",
        "scipy",
        "nibabel",
        "adclip.verbs.predict",
        "adclip.prediction.predictor",
    }


def test_importing_adclip_is_cheap():
    code = "import sys, adclip, adclip.config; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "transformers", "pandas", "nibabel", "typer", "rich"}


def test_help_lists_every_command_in_full(run):
    page = run("--help")
    assert page.code == 0
    for name, entry in COMMANDS.items():
        assert f"{name}  " in page.stdout
        assert entry.summary in page.stdout  # not cut with dots


def test_no_arguments_is_help(run):
    assert run().stdout == run("--help").stdout


def test_version(run):
    import adclip

    assert run("--version").stdout == f"adclip {adclip.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_page_of_a_command(run, name):
    page = run(name, "-h")
    assert page.code == 0
    assert f"Example: {COMMANDS[name].example.split(' --')[0]}" in " ".join(page.stdout.split())
    for option in ("--json", "--config", "--quiet", "--verbose", "--debug"):
        assert option in page.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_and_docstring_agree(name):
    module = name.replace("-", "_")
    function = getattr(importlib.import_module(f"adclip.cli.{module}"), f"{module}_command")
    assert inspect.getdoc(function).splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_example_line_parses(name):
    words = shlex.split(COMMANDS[name].example)
    assert words[:2] == ["adclip", name]
    LazyCommand(name).make_context(name, words[2:])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_setting_has_an_option_with_the_same_default(name):
    import dataclasses

    from adclip import config

    kind = getattr(config, "".join(part.title() for part in name.split("-")) + "Config")
    parameters = {parameter.name: parameter for parameter in LazyCommand(name).load().params}
    fields = []
    for own in dataclasses.fields(kind):  # a setting that is a group of settings has an option for each of those
        fields += dataclasses.fields(own.default) if dataclasses.is_dataclass(own.default) else [own]
    for field in fields:
        parameter = parameters.pop(field.name)
        if (name, field.name) == ("explain", "inputs"):
            # From Python scans are always named, if none are; a command line with --selftest may leave them out.
            assert field.default is dataclasses.MISSING and not parameter.required and parameter.default is None
        elif field.default is dataclasses.MISSING:
            assert parameter.required
        elif field.name == "workers":
            # A script that is not guarded by `__main__` must not start processes unasked; a command may.
            assert (parameter.default, field.default) == (0, 1)
        elif field.default == ():
            assert parameter.default is None  # how the parser says "never given" of an option that may be repeated
        else:
            assert parameter.default == field.default
    only_looks = {"dry_run", "check", "explain_columns", "lint"}
    assert set(parameters) - only_looks == {"config", "as_json", "quiet", "verbose", "debug"}
