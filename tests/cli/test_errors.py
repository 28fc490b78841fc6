"""Every failure: the exit code of the contract, one `error:` line, one `hint:` line."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from adclip.errors import DeviceError, MissingPackageError, ScanError, TableError
from adclip.imaging.formats import errors as formats_errors
from adclip.model import errors as model_errors
from adclip.runtime.events import Failed


def lines_of(ran):
    return ran.stderr.splitlines()


def assert_told(ran, code, problem):
    assert ran.code == code
    assert ran.stdout == ""
    error, hint = lines_of(ran)
    assert error.startswith("error: ") and problem in error
    assert hint.startswith("hint: ") and len(hint) > len("hint: ")


@pytest.mark.parametrize(
    ("raised", "code", "problem"),
    [
        (formats_errors.not_3d("a.nii", (2, 3, 4, 5)), 2, "a.nii: expected a 3D image"),
        (TableError.no_column("t.csv", "mmse", ["MMSE"]), 2, "no column `mmse`"),
        (model_errors.unknown_base("x", ["builtin"]), 4, "no base model"),
        (DeviceError.absent("cuda"), 4, "--device cuda"),
        (MissingPackageError.needed("openpyxl", "xlsx"), 4, "openpyxl"),
        (OSError(errno.ENOSPC, "No space left on device", "out/a.nii.gz"), 4, "a.nii.gz: no space left"),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 2, "out: permission denied"),
        (MemoryError(), 4, "out of memory"),
        (ModuleNotFoundError("no", name="nibabel.loadsave"), 4, "`nibabel` is not installed"),
        (ZeroDivisionError("mmse 17 of Jane"), 1, "a defect in adclip (ZeroDivisionError"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_exit_codes(run, stub, raised, code, problem):
    stub("predict", raised)
    assert_told(run("predict", "a.nii"), code, problem)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--bogus"], "--bogus"),
        (["predct"], "Did you mean 'predict'"),
        (["predict"], "INPUT"),
        (["predict", "a.nii", "--devcie", "cpu"], "--devcie"),
        (["predict", "a.nii", "--device", "tpu"], "--device"),
        (["simulate", "--out", "x", "--subjects", "many"], "--subjects"),
        (["finetune"], "--scans"),
    ],
)
def test_wrong_usage_is_2(run, words, problem):
    assert_told(run(*words), 2, problem)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--quiet", "preprocess", "x"], "write it behind the command: `adclip COMMAND ... --quiet`"),
        (["--workrs", "3", "preprocess", "x"], "write `--workers` behind the command"),
        (["--versio"], "did you mean `--version`?"),
        (["predict", "a.nii", "--devcie", "cpu"], "did you mean `--device`?"),
        (["predict", "a.nii", "--device"], "write a value behind it"),
        (["xyz"], "the commands are: demo, preprocess, "),
        (["predct"], "see `adclip --help`"),
    ],
)
def test_the_hint_names_what_was_meant(run, words, hint):
    told = lines_of(run(*words))[1]
    assert hint in told
    assert "adclip.toml" not in told and "Options of a command" not in told, (
        "the closing line of the help page is no hint"
    )


def test_no_option_is_guessed_where_none_is_near(run):
    assert "did you mean" not in lines_of(run("predict", "a.nii", "--zzz"))[1]


def test_plain_finetune_shows_a_complete_line(run):
    hint = lines_of(run("finetune"))[1]
    assert "adclip finetune --scans derivatives --table clinical.csv --out run1" in hint


def test_a_long_line_is_never_wrapped(run, stub):
    stub("predict", ScanError(f"{'deep/' * 60}a.nii: broken", "look " * 60))
    assert len(lines_of(run("predict", "a.nii"))) == 2


def test_markup_and_control_characters_are_shown_as_they_are(run, stub):
    stub("predict", ScanError("[red]a\x1b[2J\n.nii[/]: \udcff broken", "rename [bold]it"))
    error, hint = lines_of(run("predict", "a.nii"))
    assert error == "error: [red]a\\x1b[2J .nii[/]: \\udcff broken"
    assert hint == "hint: rename [bold]it"


def test_a_defect_keeps_values_to_itself(run, stub):
    stub("predict", ValueError("mmse 17 of Jane"))
    assert "Jane" not in run("predict", "a.nii").stderr


def test_debug_shows_the_traceback(run, stub):
    stub("predict", ValueError("why"))
    ran = run("predict", "a.nii", "--debug")
    assert ran.code == 1
    assert "Traceback" in ran.stderr and "ValueError: why" in ran.stderr


def test_a_scan_that_failed_is_named_once(run, stub):
    error = formats_errors.empty_file("a.nii")

    def only_one(on_event):
        on_event(Failed("a.nii", error.problem, error.remedy))
        return error

    stub("preprocess", only_one)
    assert_told(run("preprocess", "a.nii", "--out", "x"), 2, "a.nii: the file is empty")


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (1, 3), (2, 2)])
def test_partial_failure_is_3(run, stub, failed, code):
    rows = [{"scan": f"{i}.nii", "status": "failed" if i < failed else "done"} for i in range(2)]
    stub("preprocess", SimpleNamespace(rows=rows))
    assert run("preprocess", "a.nii", "--out", "x").code == code
