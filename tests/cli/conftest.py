"""The command line as tests see it: `run` a line, and `stub` a verb behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from adclip.cli.main import app


@dataclass(frozen=True)
class Ran:
    """Exit code and both streams of one command line."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run one command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run_line(*words: str) -> Ran:
        result = CliRunner().invoke(app, list(words), prog_name="adclip")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run_line


class Calls(list[Any]):
    """The configs that a stubbed verb was called with."""


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Calls]:
    """Put a function in the place of a verb: it returns `result`, raises it, or calls it with on_event."""

    def stub_verb(name: str, result: Any) -> Calls:
        calls = Calls()

        def verb(config: Any, on_event: Any) -> Any:
            calls.append(config)
            answer = result(on_event) if callable(result) else result
            if isinstance(answer, BaseException):
                raise answer
            return answer

        module = ModuleType(f"adclip.verbs.{name}")
        setattr(module, name, verb)
        monkeypatch.setitem(sys.modules, f"adclip.verbs.{name}", module)
        return calls

    return stub_verb
