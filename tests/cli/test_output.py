"""Results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from adclip.cli import tables
from adclip.domain import BUILTIN_NOTICE, Prediction, ScoreEstimate
from adclip.prediction.answer import with_flags
from adclip.prediction.prevalence import at_prevalence
from adclip.prediction.reasons import MEANINGS
from adclip.runtime.events import Advanced, Failed, Produced, Started, Step, Warned
from adclip.told import Curve, CurvePoint, RescanRange, SimilarCase

OK = Prediction(
    scan="a.nii",
    status="ok",
    diagnosis="MCI",
    probabilities={"CN": 0.2, "MCI": 0.5, "AD": 0.3},
    scan_only={"CN": 0.3, "MCI": 0.4, "AD": 0.3},
    prediction_set=("MCI", "AD"),
    mmse=ScoreEstimate(26.04, 23.0, 29.0),
    flags=("no_metadata_row",),
    report="A photo of MCI",
    model={"id": "builtin"},
    notice=BUILTIN_NOTICE,
)
FAILED = Prediction(scan="b.nii", status="failed", error="b.nii: the file is empty", hint="copy it again")


def events(on_event):
    on_event(Step("read 2 scans"))
    on_event(Started("scans", 2))
    on_event(Advanced("scans", 1, "a.nii"))
    on_event(Warned("a.nii", "no row in t.csv matches"))
    on_event(Failed("b.nii", "b.nii: the file is empty", "copy it again"))
    on_event(Advanced("scans", 2))
    return SimpleNamespace(predictions=[OK, FAILED], failed=1)


def test_json_is_one_strict_line_per_scan(run, stub):
    stub("predict", events)
    ran = run("predict", "a.nii", "b.nii", "--json")
    assert ran.code == 3
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert records == [OK.to_dict(), FAILED.to_dict()]


def test_undefined_numbers_become_null(run, stub):
    metrics = {"auc": {"value": float("nan"), "low": None, "high": None, "n": 3}}
    stub("finetune", SimpleNamespace(to_dict=lambda: {"out": "run1", "metrics": metrics}))
    ran = run("finetune", "--scans", "s", "--table", "t", "--out", "run1", "--json")
    assert json.loads(ran.stdout)["metrics"]["auc"]["value"] is None


def test_words_go_to_stderr_as_plain_lines(run, stub):
    stub("predict", events)
    ran = run("predict", "a.nii", "b.nii")
    assert ran.stderr.splitlines() == [
        "read 2 scans",
        "warning: a.nii: no row in t.csv matches",
        "error: b.nii: the file is empty",
        "hint: copy it again",
        "scans: 2/2",
    ]


def test_quiet_keeps_warnings_and_failures(run, stub):
    stub("predict", events)
    ran = run("predict", "a.nii", "b.nii", "--quiet")
    assert [line.split(":")[0] for line in ran.stderr.splitlines()] == ["warning", "error", "hint"]


def test_json_lines_come_as_they_are_ready_and_once(run, stub, capfd):
    """A pipe may read the first line hours before the last."""
    before_the_end = []

    def one_by_one(on_event):
        for record in (FAILED, OK):  # in the order in which they were done
            on_event(Produced(record.to_dict()))
        before_the_end.append(sys.stderr is sys.stdout)
        sys.stdout.write("what a library says\n")
        return SimpleNamespace(predictions=[OK, FAILED], failed=1)

    stub("predict", one_by_one)
    ran = run("predict", "a.nii", "b.nii", "--json")
    assert before_the_end == [True]  # stdout was kept clean
    assert [json.loads(line)["scan"] for line in ran.stdout.splitlines()] == ["b.nii", "a.nii"]
    table = run("predict", "a.nii", "b.nii").stdout.splitlines()
    assert [line.split()[0] for line in table[:3]] == ["scan", "a.nii", "b.nii"]


def test_a_long_table_begins_again(run, stub, monkeypatch):
    """Its rows are never all in memory."""
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 2)
    many = [Prediction(scan=f"{i}.nii", status="ok", notice="n") for i in range(5)]
    stub("predict", SimpleNamespace(predictions=many, failed=0))
    lines = run("predict", "a.nii").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "scan", "0.nii", "1.nii", "scan", "2.nii", "3.nii", "scan", "4.nii", "n",
    ]  # fmt: skip


def talkative(on_event):
    import logging
    import warnings

    logging.getLogger("adclip.verbs.predict").info("detail")
    logging.getLogger("elsewhere").warning("chatter")
    warnings.warn("soon gone", UserWarning, stacklevel=1)
    return SimpleNamespace(predictions=[], failed=0)


@pytest.mark.parametrize(("flags", "shown"), [([], False), (["--verbose"], True)])
def test_logs_show_with_verbose_only(run, stub, flags, shown):
    stub("predict", talkative)
    words = run("predict", "a.nii", *flags).stderr
    for part in ("info adclip.verbs.predict: detail", "warning elsewhere: chatter", "soon gone"):
        assert (part in words) is shown


def test_card_of_one_scan(run, stub):
    stub("predict", SimpleNamespace(predictions=[OK], failed=0))
    page = run("predict", "a.nii").stdout
    for words in ("a.nii", "MCI", "26.0 (23.0 to 29.0) of 30", "no_metadata_row", "A photo of MCI", BUILTIN_NOTICE):
        assert words in page
    assert "None" not in page


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("no_prediction_set", "none: the model had too few calibration subjects of a class"),
        ("not_calibrated", "none: the model was not calibrated for such answers"),
    ],
)
def test_a_card_without_a_prediction_set_says_why(run, stub, flag, why):
    without = replace(OK, prediction_set=None, flags=("no_metadata_row", flag))
    stub("predict", SimpleNamespace(predictions=[without], failed=0))
    page = " ".join(run("predict", "a.nii").stdout.split())
    assert f"prediction set {why}" in page and "MCI, AD" not in page


def test_card_says_where_the_answer_comes_from_and_why_care_is_due(run, stub):
    told = with_flags(
        replace(OK, metadata_only={"CN": 0.1, "MCI": 0.2, "AD": 0.7}, rescans=RescanRange(0.411, 0.568, 7, 8)),
        {"columns_missing": "apoe4_count", "scan_adds_nothing": ""},
    )
    told = at_prevalence(told, {"CN": 0.6, "MCI": 0.3, "AD": 0.1})
    point = CurvePoint(4000.0, True, {"CN": 0.1, "MCI": 0.25, "AD": 0.65})
    told = replace(
        told, what_if=(Curve("hippocampus_mm3", 4000.0, (point,)),), similar=(SimilarCase("AD", None, 0.1234),)
    )
    stub("predict", SimpleNamespace(predictions=[told], failed=0))
    lines = [line.split() for line in run("predict", "a.nii").stdout.splitlines()]
    rows = {" ".join(line[:-3]): line[-3:] for line in lines if len(line) > 3}
    assert rows["all, classes equally common"] == ["0.20", "0.50", "0.30"]
    shifted = [f"{share:.2f}" for share in told.probabilities.values()]
    assert rows["all, where CN 0.6, MCI 0.3, AD 0.1"] == shifted != ["0.20", "0.50", "0.30"]
    assert rows["metadata alone"] == [f"{share:.2f}" for share in told.metadata_only.values()]
    assert rows["volumes alone"] == ["-", "-", "-"]
    assert rows["4000 (now)"] == ["0.10", "0.25", "0.65"]
    page = run("predict", "a.nii").stdout
    assert f"MCI {told.probabilities['MCI']:.2f}, range over rescans 0.41 to 0.57, class kept in 7 of 8" in page
    assert MEANINGS["columns_missing"].about("apoe4_count") in page and "why caution" in page
    assert MEANINGS["scan_adds_nothing"].sentence in page and "0.123" in page and "unknown" in page


def test_a_flag_or_a_share_that_cannot_be_is_told_with_its_cure(run):
    ran = run("predict", "a.nii", "--prevalence", "CN=.6,MCI=.3,AD=.3")
    assert ran.code == 2 and "--prevalence: the shares sum to 1.2" in ran.stderr and "hint:" in ran.stderr
    ran = run("predict", "a.nii", "--what-if", "hippocampus_mm3=4000")
    assert ran.code == 2 and "--what-if" in ran.stderr and "hippocampus_mm3=4000:8000:9" in ran.stderr


def test_help_keeps_together_how_the_answer_is_told(run):
    page = run("predict", "--help").stdout
    section = page[page.index("How the answer is told") :].split("\nOptions")[0]
    assert all(flag in section for flag in ("--prevalence", "--rescans", "--what-if", "--similar"))


def test_table_of_several_scans_has_one_line_each(run, stub):
    many = [Prediction(scan=f"{'folder/' * 20}{i}.nii", status="ok", notice="n") for i in range(3)]
    stub("predict", SimpleNamespace(predictions=many, failed=0))
    page = run("predict", "x").stdout.splitlines()
    assert len(page) == 1 + 3 + 1  # header, scans, the notice once


def test_cells_are_never_read_as_markup(run, stub):
    rows = [{"scan": "[bold]a[/bold].nii", "status": "done", "flags": []}]
    stub("preprocess", SimpleNamespace(rows=rows))
    assert "[bold]a[/bold].nii" in run("preprocess", "a", "--out", "x").stdout


def test_finetune_shows_the_model_beside_its_baselines(run, stub):
    value = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 40}
    record = {"out": "run1", "metrics": {"auc": value}, "baselines": {"metadata": {"auc": value}, "majority": {}}}
    stub("finetune", SimpleNamespace(to_dict=lambda: record))
    page = run("finetune", "--scans", "s", "--table", "t", "--out", "run1").stdout
    assert page.count("0.80 (0.70 to 0.90)") == 2


def test_the_numbers_of_a_fine_tuning_fit_into_80_columns(run, stub, monkeypatch):
    monkeypatch.setattr("adclip.cli.tables.stdout", lambda: Console(width=80))
    value = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 40}
    names = ("balanced_accuracy", "auc_ad_vs_cn")
    groups = {group: dict.fromkeys(names, value) for group in ("scan_only", "metadata_only", "majority")}
    stub(
        "finetune",
        SimpleNamespace(to_dict=lambda: {"out": "r", "metrics": dict.fromkeys(names, value), "baselines": groups}),
    )
    page = run("finetune", "--scans", "s", "--table", "t", "--out", "r").stdout.splitlines()
    row = next(line for line in page if line.startswith("balanced_accuracy"))
    assert row.split() == ["balanced_accuracy", "0.80", "(0.70", "to", "0.90)", "0.80", "0.80", "0.80", "40"]
    assert max(map(len, page)) <= 80


def test_a_self_test_is_a_table_for_each_planted_change_and_a_line_a_row(run, stub):
    row = {
        "method": "grad-eclip", "planted": "a loss", "heads": 4, "energy_share": 0.12, "energy_low": 0.1, "energy_high": 0.14,
        "volume_share": 0.0022, "near_share": 0.5, "near_volume_share": 0.05, "own_side": None, "pointing": 0.25, "auc": 0.9,
    }  # fmt: skip
    rows = (row, {**row, "planted": "a loss, change of the map", "own_side": 0.75})
    effect = SimpleNamespace(planted="a loss", heads=4, remaining=0.7, moved=0.2, low=0.1, high=0.3)
    text = SimpleNamespace(differs=False, likeness=0.98)
    test = SimpleNamespace(target="AD-CN", effects=(effect,), text=text, notice="Research use only.")
    calls = stub(
        "explain_selftest",
        SimpleNamespace(rows=rows, test=test, record="o/r.json", heads="o/h.tsv", beside_model=None, failed=0, total=4),
    )
    page = run("explain", "--selftest", "--out", "o").stdout
    assert calls[0].inputs == () and calls[0].selftest
    drawn = [line.split() for line in page.splitlines() if line.startswith("grad-eclip")]
    shown = ["grad-eclip", "4", "0.120", "(0.100", "to", "0.140)", "0.0022", "0.50", "0.05"]
    assert drawn == [[*shown, "-", "0.25", "0.90"], [*shown, "0.75", "0.25", "0.90"]]
    assert "+0.200 (+0.100 to +0.300), 70% of the volume left" in page and "no (Spearman 0.98)" in page
    assert "for later maps" not in page and page.rstrip().endswith("Research use only.")
    lines = run("explain", "--selftest", "--out", "o", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == list(rows)


def test_other_pages_draw(run, stub):
    auc = {"value": 0.85, "low": 0.8, "high": 0.9, "n": 20}
    stub("simulate", SimpleNamespace(to_dict=lambda: {"out": "c", "subjects": 2, "counts": {"CN": 2}, "oracle": {"auc": auc}}))  # fmt: skip
    assert "oracle auc" in run("simulate", "--out", "c").stdout
    explained = SimpleNamespace(
        to_dict=lambda: {"scan": "a", "status": "ok", "target": "AD", "files": {"page": "a.html"}}
    )
    stub("explain", SimpleNamespace(explanations=[explained], failed=0, group=Path("c/group.html")))
    told = run("explain", "a", "--out", "c").stdout
    assert "a.html" in told and "group.html" in told
    rows = [["AD vs CN", "0.85 (0.80 to 0.90)", 40]]
    stub("demo", SimpleNamespace(to_dict=lambda: {"rows": rows, "predictions": [OK.to_dict()], "files": ["demo.html"]}))
    page = run("demo").stdout
    assert "0.85 (0.80 to 0.90)" in page and "demo.html" in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), ((), "-"), ([], "-"), (("a", "b"), "a, b"), (0.123456, "0.1235"), ("x\ny", "x y"), (0, "0")],
)
def test_text_of_a_cell(value, shown):
    assert tables.text(value) == shown


NOISY = """
import ctypes, os, sys, types
from adclip.cli.main import app
from adclip.domain import Prediction

def predict(config, on_event):
    print("python noise")
    os.write(1, b"descriptor noise\\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"compiled noise")
    return types.SimpleNamespace(predictions=[Prediction(scan="a.nii", status="ok")], failed=0)

module = types.ModuleType("adclip.verbs.predict")
module.predict = predict
sys.modules["adclip.verbs.predict"] = module
app(["predict", "a.nii", "--json"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="loads the C library by its POSIX name")
def test_noise_of_libraries_never_reaches_stdout():
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["scan"] == "a.nii"
    for kind in ("python", "descriptor", "compiled"):
        assert f"{kind} noise" in done.stderr


def test_a_closed_pipe_is_no_defect(tmp_path):
    script = tmp_path / "noisy.py"
    script.write_text(NOISY.replace('"ok")]', '"ok")] * 20000'))
    line = f"{sys.executable} {script} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "141"
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr and "defect" not in done.stderr
