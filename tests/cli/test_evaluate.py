"""`adclip evaluate` on the command line: one line of numbers, and the exit codes of the contract."""

from __future__ import annotations

import json
from pathlib import Path

from adclip.verbs.evaluate import EvaluateResult

ENTRY = {"value": 0.8, "low": 0.7, "high": float("nan"), "n": 30}
RECORD = {
    "who": "30 people, the run's own test people", "metrics": {"auc_ad_vs_cn": ENTRY}, "beside": {"majority": {"accuracy": ENTRY}},
    "less": {"majority": {"accuracy": ENTRY}}, "findings": [{"level": "warn", "text": "The scan adds nothing."}], "notice": "Research use only.",
}  # fmt: skip
LINE = ("evaluate", "--model", "run", "--scans", "s", "--table", "t.csv", "--out", "o")


def test_json_is_one_line_and_strict(run, stub):
    calls = stub("evaluate", EvaluateResult(Path("o"), RECORD, 0, 30))
    ran = run(*LINE, "--json")
    assert ran.code == 0 and ran.stdout.count("\n") == 1
    assert json.loads(ran.stdout)["metrics"]["auc_ad_vs_cn"] == ENTRY | {"high": None}
    assert calls[0].model == "run" and calls[0].tables == (Path("t.csv"),)


def test_a_person_reads_numbers_and_findings(run, stub):
    stub("evaluate", EvaluateResult(Path("o"), RECORD, 0, 30))
    ran = run(*LINE)
    assert (
        "auc_ad_vs_cn" in ran.stdout and "The scan adds nothing." in ran.stdout and "Research use only." in ran.stdout
    )


def test_some_failed_scans_end_with_code_3(run, stub):
    stub("evaluate", EvaluateResult(Path("o"), RECORD, 2, 30))
    assert run(*LINE).code == 3


def test_what_is_required_is_asked_for(run):
    ran = run("evaluate", "--scans", "s")
    assert ran.code == 2 and "--table" in ran.stderr
