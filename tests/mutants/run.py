"""Plant known faults into a copy of adclip, one at a time, and see whether the tests notice.

    python tests/mutants/run.py                     # all of them; exit 1 if one lives
    python tests/mutants/run.py NAME [NAME ...]     # some of them
    python tests/mutants/run.py --list

Each fault (`catalogue.py`) is named after the harm that it would do to a user, and lists the few tests that are to notice it. Those are
run once on the clean copy, where they must pass, and once with each fault, where one of them must fail. A fault that breaks the
program instead of bending it - a copy that cannot be imported, tests that are not found - proves nothing and counts as an error.

Most of the time of a short test goes into importing torch and its like. They are imported once here, and every run is a fork that
imports adclip and the tests from the copy.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import importlib
import os
import py_compile
import re
import shutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before anything loads torch

import pytest
from catalogue import CATALOGUE, Mutant

REPOSITORY = Path(__file__).parents[2]
LEFT_OUT = (".git", ".venv", "__pycache__", ".*_cache", "*.egg-info", "shared", ".hypothesis")
OTHERS = (
    "hypothesis.strategies", "matplotlib.pyplot", "nibabel", "numpy", "rich.table", "safetensors.torch", "scipy.ndimage",
    "scipy.optimize", "scipy.stats", "sklearn.covariance", "sklearn.linear_model", "sklearn.model_selection", "torch",
    "transformers.models.bert.modeling_bert", "typer",
)  # fmt: skip
LONGEST_S = 1800  # a fault that makes a test wait for ever is noticed by that
PASSED, FAILED = 0, 1  # exit codes of pytest; the others say that nothing was tested


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which faults; all by default")
    parser.add_argument("--list", action="store_true", help="name all faults, and plant none")
    told = parser.parse_args()
    if told.list:
        print("\n".join(f"{mutant.name:64} {mutant.file}" for mutant in CATALOGUE))
        return 0
    known = {mutant.name: mutant for mutant in CATALOGUE}
    if unknown := [name for name in told.names if name not in known]:
        parser.error(f"no such fault: {', '.join(unknown)}; --list names them")
    chosen = [known[name] for name in told.names] or list(CATALOGUE)
    for name in OTHERS:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="adclip-mutants-") as folder:
        copy = Path(folder) / "adclip"
        shutil.copytree(REPOSITORY, copy, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
        # known by their content: a fault may leave the size and the second of a file as they were
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(copy / "adclip", quiet=1, invalidation_mode=mode)
        planted = {mutant.name: mutant.plant(copy) for mutant in chosen}  # tells before the first run what does not fit
        killers = sorted({killer for mutant in chosen for killer in mutant.killers})
        code, seconds, output = run_tests(copy, killers)
        print(f"{'nothing planted':64} {'passes' if code == PASSED else 'FAILS':7} {seconds:6.1f} s", flush=True)
        if code != PASSED:
            print(output)
            return 1
        lived = [mutant for mutant in chosen if not is_killed(copy, mutant, planted[mutant.name])]
    print(f"{len(chosen) - len(lived)} of {len(chosen)} killed")
    for mutant in lived:
        print(f"not killed: {mutant.name} ({mutant.file})")
    return 1 if lived else 0


def is_killed(copy: Path, mutant: Mutant, planted: str) -> bool:
    """Put a fault into the copy, run its tests, take it out again."""
    path = copy / mutant.file
    clean = path.read_text(encoding="utf-8")
    path.write_text(planted, encoding="utf-8")
    try:
        code, seconds, output = run_tests(copy, mutant.killers)
    finally:
        path.write_text(clean, encoding="utf-8")
    verdict = {PASSED: "ALIVE", FAILED: "killed"}.get(code, "ERROR")
    by = re.search(r"^FAILED \S+?([^/\s]+\.py::\S+)|^ERROR \S+?([^/\s]+\.py\S*)", output, re.M)
    print(f"{mutant.name:64} {verdict:7} {seconds:6.1f} s  {by[1] or by[2] if by else ''}".rstrip(), flush=True)
    if verdict == "ERROR":
        print(output)
    return verdict == "killed"


def run_tests(copy: Path, killers: Sequence[str]) -> tuple[int, float, str]:
    """Run tests in the copy until the first failure; return pytest's exit code, seconds and the end of what it said."""
    told, began = copy.with_suffix(".log"), time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.setsid()  # so that whatever it starts can be stopped with it
        os._exit(_test(copy, killers, told))
    code = None
    while code is None and time.monotonic() - began < LONGEST_S:
        done, status = os.waitpid(child, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if done else None
        time.sleep(0.05)
    if code is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        code = FAILED
    return code, time.monotonic() - began, told.read_text(errors="replace")[-4000:]


def _test(copy: Path, killers: Sequence[str], told: Path) -> int:
    """Be the process that tests the copy: its adclip, also in processes that tests start, and its tests."""
    with told.open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        os.chdir(copy)
        sys.path[:] = [str(copy), *(place for place in sys.path if Path(place).resolve() != Path(__file__).parent)]
        sys.modules.pop("catalogue")
        # processes that a test starts look at the main module first, and would plant faults of their own
        sys.modules["__main__"] = types.ModuleType("__main__")
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        adclip = importlib.import_module("adclip")
        if not Path(str(adclip.__file__)).is_relative_to(copy):
            print(f"another adclip is imported: {adclip.__file__}", flush=True)
            return 2
        code = int(pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", *killers]))
        sys.stdout.flush()
        return code


if __name__ == "__main__":
    raise SystemExit(main())
