"""The shape of the package: which way imports point, and what shipped code may not do."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).parents[1] / "adclip"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 300  # lines; more is a good moment to look for two ideas in one file
CATALOGUES = {"errors.py"}  # one idea, one entry after the other
FORBIDDEN_CALLS = {"eval", "exec", "print", "input", "compile", "__import__", "torch.load", "torch.save", "os.system"}
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
FORBIDDEN_KEYWORDS = {"trust_remote_code", "allow_pickle"}
HEAVY = {
    "torch", "monai", "transformers", "deepbet", "picsl_greedy", "SimpleITK", "pandas", "sklearn", "scipy",
    "matplotlib", "nilearn",
}  # fmt: skip
MAY_IMPORT_TORCH = (
    "model/", "training/", "unet.py", "evaluation/calibrate.py", "prediction/dataset.py", "prediction/scoring.py",
    # what asks the network, or does sums on its tensors; all else of the room is imported to read a record or to write a page
    "explanation/explained.py", "explanation/faithfulness/checks.py", "explanation/faithfulness/curves.py",
    "explanation/faithfulness/measure.py", "explanation/finer.py", "explanation/methods/", "explanation/relevance.py", "explanation/seen.py",
    "explanation/word_relevance.py",
)  # fmt: skip


BESIDE_THE_ROOMS = {"support", "benchmarks", "mutants", "gpu"}


def test_the_tests_lie_in_folders_of_the_rooms_and_wings() -> None:
    tests = PACKAGE.parent / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    rooms = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("__init__.py")}
    assert {folder.as_posix() for folder in folders - rooms if folder.parts[0] not in BESIDE_THE_ROOMS} == set()
    top_rooms = {room.parts[0] for room in rooms if room.parts}
    present = {path.name for path in tests.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert present <= BESIDE_THE_ROOMS | top_rooms
    assert top_rooms <= {folder.parts[0] for folder in folders if folder.parts}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(nodes: list[ast.stmt] | ast.Module) -> set[str]:
    names = set()
    for top in nodes.body if isinstance(nodes, ast.Module) else nodes:
        for node in ast.walk(top):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names


def test_import_contracts():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(
        command, cwd=PACKAGE.parent, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr


def find_circle(arrows: dict[str, set[str]]) -> list[str]:
    """Return the names along one circle, none where there is no circle."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


@pytest.mark.parametrize("depth", [2, 3, 9], ids=["rooms", "wings", "files"])
def test_imports_run_in_no_circle(depth):
    """Also imports inside functions and those for types alone count: a circle of any kind says that two ideas are one."""
    graph = grimp.build_graph("adclip", cache_dir=None)
    arrows: dict[str, set[str]] = {}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            place, source = (".".join(name.split(".")[:depth]) for name in (module, other))
            if place != source and "adclip" not in (place, source):
                arrows.setdefault(place, set()).add(source)
    assert len(arrows) > 10
    assert find_circle(arrows) == []


def test_a_circle_would_be_found():
    assert set(find_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


ROOMS = {path.parent.name: path.parent for path in PACKAGE.glob("*/__init__.py")}
BELONGS, BELONGS_NOT = "| Room | What belongs in it |", "| Room | Not here |"


def rows_of(page: str, header: str) -> dict[str, str]:
    """Return what the table under `header` says of each room."""
    text = (PACKAGE.parent / "docs" / page).read_text(encoding="utf-8")
    assert text.count(header) == 1
    lines = text.partition(header)[2].lstrip("\n").partition("\n\n")[0].splitlines()[1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|", 1)] for line in lines]
    return {name.strip("`").removesuffix("/"): said for name, said in cells if name.endswith("/`")}


@pytest.mark.parametrize(
    ("page", "header"), [("explanation/architecture.md", BELONGS), ("contributing.md", BELONGS_NOT)]
)
def test_each_room_stands_in_the_tables_of_what_belongs_where(page, header):
    rows = rows_of(page, header)
    assert set(rows) == set(ROOMS)
    assert all(len(said.split()) >= 4 for said in rows.values())


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=name_of)
def test_each_room_says_what_belongs_in_it(path):
    """No two rooms may say the same."""
    said = [(ast.get_docstring(tree_of(other)) or "").partition("\n")[0] for other in PACKAGE.rglob("__init__.py")]
    own = (ast.get_docstring(tree_of(path)) or "").partition("\n")[0]
    assert own.endswith(".") and len(own.split()) >= 3
    assert said.count(own) == 1


@pytest.mark.parametrize("room", [name for name, path in ROOMS.items() if list(path.glob("*/__init__.py"))])
def test_the_row_of_a_room_with_wings_names_each_wing_and_each_file_beside_them(room):
    wings = {f"{path.parent.name}/" for path in ROOMS[room].glob("*/__init__.py")}
    files = {path.name for path in ROOMS[room].glob("*.py")} - {"__init__.py", "errors.py", "settings.py"}
    named = set(re.findall(r"`([^`]+)`", rows_of("explanation/architecture.md", BELONGS)[room]))
    assert wings | files <= named


def test_only_the_command_line_is_left_out_of_the_contract_on_drawing():
    contracts = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (drawing,) = (contract for contract in contracts if "typer" in contract.get("forbidden_modules", ()))
    modules = {path.stem for path in PACKAGE.glob("*.py")} | set(ROOMS)
    assert {f"adclip.{name}" for name in modules - {"__init__", "__main__", "cli"}} == set(drawing["source_modules"])


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_shipped_code_runs_no_foreign_code(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            assert dotted(node.func) not in FORBIDDEN_CALLS, f"line {node.lineno}"
            for keyword in node.keywords:
                assert keyword.arg not in FORBIDDEN_KEYWORDS, f"line {node.lineno}"
                shell = keyword.arg == "shell" and isinstance(keyword.value, ast.Constant) and keyword.value.value
                assert not shell, f"line {node.lineno}"
    assert not imported(tree_of(path)) & FORBIDDEN_IMPORTS


SCRIPTS = sorted(path for ending in ("*.js", "*.html") for path in (PACKAGE / "assets").rglob(ending))


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_shipped_scripts_run_no_text(path):
    """By name, also where a name is harmless: a rule with exceptions cannot be searched for."""
    found = re.findall(r"\b(?:eval|exec|Function|importScripts|document\.write)\s*\(", path.read_text(encoding="utf-8"))
    assert found == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_importing_a_module_is_cheap(path):
    """Heavy packages are imported inside functions; only network and training code need torch in any case."""
    at_import = [node for node in tree_of(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
    allowed = {"torch"} if name_of(path).startswith(MAY_IMPORT_TORCH) else set()
    assert not imported(at_import) & HEAVY - allowed


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_fits_in_the_head(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_no_drawer_for_odds_and_ends():
    assert not [path for path in FILES if path.stem in {"utils", "helpers", "misc", "common"}]


def test_public_names_exist():
    import adclip

    for name in adclip.__all__:
        assert getattr(adclip, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = adclip.nonsense


def test_verbs_are_found_where_they_stood_before():
    """`from adclip.predict import predict` works and gives the one module there is, whichever name came first."""
    script = (
        "from adclip.{0} import {0} as before; import adclip, adclip.verbs.{0} as now; from adclip import {0} as third\n"
        "assert now.{0} is before and third is now and now.__name__ == now.__spec__.name == 'adclip.verbs.{0}'"
    )
    names = ("predict", "synthesize_reports", "weights")
    subprocess.run([sys.executable, "-c", "\n".join(script.format(name) for name in names)], check=True)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("adclip.prophesy")


def test_pre_commit_checks_what_ci_checks(repository):
    """Every tool that `.ci/run` calls from its environment, but pip, is a hook with the same words."""
    text = (repository / ".ci" / "run").read_text(encoding="utf-8")
    lines = [line.removeprefix(".venv/bin/") for line in text.splitlines() if line.startswith(".venv/bin/")]
    wanted = {line for line in lines if not line.startswith("pip ")}
    hooks = (repository / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    entries = {line.partition("entry: ")[2] for line in hooks.splitlines() if "entry: " in line}
    assert len(wanted) >= 4 and entries == wanted
