"""What the documents say is true: generated pages, command lines, links, snippets, versions."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest

import adclip
from adclip.cli.catalog import COMMANDS
from adclip.cli.commands import LazyCommand
from adclip.cli.from_settings import settings_of
from adclip.settings.setting import fields_of, parts_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETUP = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def test_command_line_page_is_current():
    place = ROOT / "docs" / "make_cli_page.py"
    spec = importlib.util.spec_from_file_location("make_cli_page", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: python docs/make_cli_page.py"
    assert module.SCHEMA.read_text(encoding="utf-8") == module.schema(), "run: python docs/make_cli_page.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_page_tells_unit_note_and_source_of_each_setting(name):
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## adclip {name}\n")[2].partition("\n## ")[0]
    kind = settings_of(LazyCommand(name).function())
    for group in (kind, *parts_of(kind).values()):
        for field in fields_of(group):
            assert f"| {field.setting.sentences} |" in section, field.name


def test_readme_has_two_setup_lines():
    first, second = SETUP
    assert first.endswith(".venv/bin/adclip demo")
    assert "'.[test]'" in second and ".venv/bin/pytest" in second.split()
    for line in SETUP:
        assert "pip install -c .ci/constraints.txt" in line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_lines_parse(page):
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    for line in lines:
        found = re.match(r"adclip (\S+) ?(.*)", line)
        if found and found[1] in COMMANDS:
            words = shlex.split(re.split(r" \| | \|\| | > ", found[2])[0], comments=True)
            LazyCommand(found[1]).make_context(found[1], words)
        elif found:
            raise AssertionError(f"no such command: {line}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_snippets_name_what_exists(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("adclip"):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_table_reference_lists_every_column():
    from adclip.clinical.columns import COLUMNS

    text = (ROOT / "docs" / "reference" / "metadata-table.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(\w+)`", text)) >= set(COLUMNS)


def test_prediction_reference_lists_every_field():
    from adclip.domain import Prediction

    text = (ROOT / "docs" / "reference" / "outputs.md").read_text(encoding="utf-8")
    record = Prediction(scan="a", status="failed", error="e", hint="h").to_dict()
    assert set(re.findall(r"`(\w+)`", text)) >= set(record)


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == adclip.__version__
    assert f"\nversion: {adclip.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {adclip.__version__}\n" in (ROOT / "docs" / "changelog.md").read_text()


def test_every_dependency_has_a_tested_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for group in project["optional-dependencies"].values() for d in group)]
    names = {re.split(r"[<>=\[ ]", requirement)[0].lower() for requirement in wanted} - {"adclip"}
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / ".ci" / "constraints.txt").read_text(), re.M))
    assert names <= pinned
