"""Every JSON that adclip writes is what its schema says: real outputs of the verbs, and what is wrong with them when one field is."""

from __future__ import annotations

import copy
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from phantoms import FakeStripper
from tiny import finetune_config
from typer.testing import CliRunner

from adclip.cli.catalog import COMMANDS
from adclip.cli.main import app
from adclip.errors import ConfigError
from adclip.evaluation.audits.columns import ColumnMeter
from adclip.explanation.page.content import Cell, Table
from adclip.model.bases import BUILTIN_FOLDER
from adclip.model.calibration import EARLIER_KEYS, Calibration
from adclip.model.record import model_folder
from adclip.record_schema import any_of, describe_fields, of_record, of_type, or_null
from adclip.verbs.finetune import finetune
from adclip.verbs.schema import CATALOGUE, schema, schema_of
from adclip.verbs.settings import SchemaConfig

ROOT = Path(__file__).parents[2]


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(name))


def is_valid(name: str, record: Any) -> None:
    wrong = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"[:300]
        for error in validator(name).iter_errors(record)
    ]
    assert not wrong, wrong


def json_of(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def lines_of(*words: str | Path, code: int = 0) -> list[dict[str, Any]]:
    """Run one command line with `--json` and return its lines."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"], prog_name="adclip")
    assert result.exit_code == code, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


# ------------------------------------------------------------------------------------------------ the schemas themselves


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_schema_is_valid_and_lets_nothing_empty_through(name):
    made = schema_of(name)
    Draft202012Validator.check_schema(made)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema" and made["$id"] == f"adclip:{name}"
    assert not Draft202012Validator(made).is_valid([]) and not Draft202012Validator(made).is_valid("text")
    if name not in ("settings", "dictionary"):  # where nothing has to be there
        assert not Draft202012Validator(made).is_valid({})


def test_the_reference_is_current():
    spec = importlib.util.spec_from_file_location("make_schemas", ROOT / "docs" / "make_schemas.py")
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    wanted = module.pages()
    assert {path.name for path in module.FOLDER.iterdir()} == set(wanted)
    for name, text in wanted.items():
        assert (module.FOLDER / name).read_text(encoding="utf-8") == text, "run: python docs/make_schemas.py"


def test_the_schema_of_settings_is_the_one_beside_the_command_line():
    assert (
        schema_of("settings")["properties"]
        == json_of(ROOT / "docs" / "reference" / "settings.schema.json")["properties"]
    )
    assert set(schema_of("settings")["properties"]) == set(COMMANDS)


def test_names_are_listed_and_a_wrong_one_is_told_the_nearest():
    listed = lines_of("schema")
    assert [entry["name"] for entry in listed] == list(CATALOGUE)
    assert lines_of("schema", "prediction") == [schema_of("prediction")]
    with pytest.raises(ConfigError) as caught:
        schema(SchemaConfig("predction"))
    assert "prediction" in caught.value.remedy


def test_schemas_need_no_heavy_package():
    code = (
        "import sys; from adclip.verbs.schema import CATALOGUE, schema_of\n"
        "[schema_of(name) for name in CATALOGUE]\n"
        "print(sorted({'torch', 'monai', 'scipy', 'pandas', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------------ from a type to a schema


@dataclass(frozen=True)
class Example:
    """One thing.

    Parameters
    ----------
    size, weight : float
        In mm,
        or in kg.
    names : tuple of str

    Notes
    -----
    more : words
        That are no field.
    """

    size: float
    weight: float | None
    names: tuple[str, ...]
    pair: tuple[int, str] = (0, "")


def test_plain_kinds_are_named_together_once():
    assert or_null(of_type(float | None)) == {"type": ["number", "null"]}
    assert any_of(of_type(int | str), of_type(str | None)) == {"type": ["integer", "string", "null"]}


def test_a_calibration_of_two_roads_is_what_earlier_models_wrote():
    everything = {
        "subjects": 31,
        "report_subjects": 31,
        "cross_fitted": True,
        "mmse_half_width": 3.0,
        "gate_limit": None,
    }
    for prefix in ("", "scan_only_"):
        everything |= {f"{prefix}temperature": 1.5, f"{prefix}study_temperature": 1.25, f"{prefix}calibrated": True}
        everything[f"{prefix}set_threshold"] = 0.25
    assert set(everything) == EARLIER_KEYS
    adapter = json_of(BUILTIN_FOLDER / "adapter" / "adapter.json")
    for earlier in ({"subjects": 31}, everything):
        Calibration.from_dict(earlier, ("CN", "MCI", "AD"))
        is_valid("adapter", adapter | {"calibration": earlier})
    for wrong in ({"subjects": 31, "temperatures": 1.0}, {"temperature": 1.0}, everything | {"subjects": "x"}):
        assert not validator("adapter").is_valid(adapter | {"calibration": wrong}), wrong


def test_the_weights_of_an_adapter_have_a_hash():
    adapter = json_of(BUILTIN_FOLDER / "adapter" / "adapter.json")
    is_valid(
        "adapter", {name: value for name, value in adapter.items() if name != "files"}
    )  # from before there were any
    assert not validator("adapter").is_valid(adapter | {"files": {}})
    is_valid("baseline", adapter | {"files": {}})  # has no weights


def test_a_record_gives_its_types_and_words():
    made = of_record(Example, {"weight": None, "mass": {"type": "number"}}, optional=("pair",))
    assert made["required"] == ["size", "names", "mass"] and made["additionalProperties"] is False
    assert made["properties"]["size"] == {"description": "In mm, or in kg.", "type": "number"}
    assert made["description"] == "One thing." and describe_fields(Example) == {
        "size": "In mm, or in kg.", "weight": "In mm, or in kg.",
    }  # fmt: skip
    check = Draft202012Validator(made).is_valid
    assert check({"size": 1, "names": ["a"], "mass": 2.5, "pair": [1, "x"]})
    assert not check({"size": 1, "names": "a", "mass": 2}) and not check(
        {"size": 1, "names": [], "mass": 2, "pair": [1]}
    )
    assert not check({"size": 1, "names": [], "mass": 2, "other": 1})
    assert of_type(float | None) == {"type": ["number", "null"]} and any_of({}, {"type": "null"}) == {}
    with pytest.raises(TypeError, match="no JSON Schema"):
        of_type(Callable)


# ------------------------------------------------------------------------------------------------ what the verbs write


@pytest.fixture(scope="module")
def few(tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people of the tiny cohort with their table, and one file that is no scan."""
    folder = tmp_path_factory.mktemp("few") / "few"
    for number in (0, 1, 2):
        shutil.copytree(tiny_cohort / f"sub-p{number:02d}", folder / f"sub-p{number:02d}")
    for name in ("dataset_description.json", "table.csv"):
        shutil.copy(tiny_cohort / name, folder / name)
    return folder


@pytest.fixture
def broken(few: Path, tmp_path: Path) -> Path:
    """The same with a scan whose file is cut short."""
    folder = Path(shutil.copytree(few, tmp_path / "broken"))
    scan = next((folder / "sub-p01").rglob("*desc-preproc_T1w.nii.gz"))
    scan.write_bytes(scan.read_bytes()[:200])
    return folder


def test_predictions_of_good_and_bad_scans(broken, tiny_run):
    records = lines_of(
        "predict",
        broken,
        "--meta",
        broken / "table.csv",
        "--model",
        tiny_run,
        "--out",
        broken / "out",
        "--device",
        "cpu",
        code=3,
    )
    assert {record["status"] for record in records} >= {"failed"} and len(records) >= 3
    written = [json.loads(line) for line in (broken / "out" / "predictions.jsonl").read_text().splitlines()]
    assert len(written) == len(records)
    for record in (*records, *written):
        is_valid("prediction", record)
    kept = [json_of(path) for path in (broken / "out").rglob("sub-*_prediction.json")]
    assert len(kept) == len(records)
    for record in kept:  # also of the scan that failed, which the next run tries again
        is_valid("prediction-record", record)
        assert record["fingerprint"].endswith(":") == (record["status"] == "failed")
    is_valid("dataset", json_of(broken / "out" / "dataset_description.json"))
    good = next(record for record in records if record["status"] != "failed")
    assert good["volumes"] and good["mmse"] and good["metadata_only"]  # nothing was valid for being absent
    wrong: list[tuple[str, Any]] = [
        ("status", "fine"), ("probabilities", {"CN": 1.2}), ("flags", "none"), ("mmse", {"estimate": "28"}), ("scan", None),
        ("volumes", {"hippocampus_mm3": {"mm3": 1}}), ("surprise", 3), ("model", {"id": "x"}), ("prediction_set", "CN"),
        ("error", "cut short"),
    ]  # fmt: skip
    for key, value in wrong:
        assert not validator("prediction").is_valid(good | {key: value}), key
    for key in ("scan", "probabilities", "notice", "volumes_only"):
        assert not validator("prediction").is_valid({name: value for name, value in good.items() if name != key}), key


def test_what_is_told_beside_an_answer(few, tiny_run):
    out = few.parent / "told"
    (record,) = lines_of(
        "predict", few / "sub-p02", "--meta", few / "table.csv", "--model", tiny_run, "--device", "cpu", "--out", out, "--rescans", "2",
        "--prevalence", "CN=.6,MCI=.3,AD=.1", "--what-if", "age_years=60:80:3", "--what-if", "hippocampus_mm3=5000:8000:2",
        "--similar", "2",
    )  # fmt: skip
    (kept,) = (json_of(path) for path in out.rglob("sub-*_prediction.json"))
    assert {**record, "fingerprint": kept["fingerprint"]} == kept
    is_valid("prediction", record)
    is_valid("prediction-record", kept)
    book = json_of(out / ".adclip" / "predict.json")
    is_valid("cohort-run", book)
    assert kept["fingerprint"].startswith(book["sha256"][:16]) and book["settings"]["--rescans"] == 2
    assert record["rescans"]["of"] == 2 and len(record["similar"]) == 2 and len(record["what_if"]) == 2
    curve, shares = record["what_if"][0], record["prevalence"]
    assert len(curve["points"]) >= 3 and shares["CN"] == 0.6 and set(record["probabilities_equal"]) == set(shares)
    wrong: list[tuple[str, Any]] = [
        ("rescans", {"low": 0.1, "high": 0.2, "kept": 1}), ("rescans", record["rescans"] | {"high": 1.2}), ("rescans", 2),
        ("rescans", record["rescans"] | {"kept": 1.5}), ("prevalence", {"CN": 6}), ("prevalence", None), ("probabilities_equal", None),
        ("probabilities_equal", [0.2]), ("similar", [{"diagnosis": "AD"}]), ("similar", [record["similar"][0] | {"subject_id": "p02"}]),
        ("what_if", [curve | {"points": [60.0]}]), ("what_if", [curve | {"column": None}]), ("what_if", curve),
        ("what_if", [curve | {"points": [curve["points"][0] | {"probabilities": {"CN": -0.1}}]}]), ("reasons", "old"), ("reasons", None),
    ]  # fmt: skip
    for key, value in wrong:
        assert not validator("prediction").is_valid(record | {key: value}), (key, value)
    for key in ("rescans", "prevalence", "probabilities_equal", "similar", "what_if", "reasons"):
        assert not validator("prediction").is_valid({name: value for name, value in record.items() if name != key}), key
    assert not validator("prediction-record").is_valid(record) and not validator("prediction").is_valid(kept)
    assert not validator("prediction-record").is_valid(kept | {"fingerprint": book["sha256"]})
    for key, value in (
        ("verb", "preprocess"),
        ("model", {"adapter.json": "abc"}),
        ("scans", [1]),
        ("recipe", ""),
        ("surprise", 1),
    ):
        assert not validator("cohort-run").is_valid(book | {key: value}), key


def test_the_score_of_another_task_may_stand_in_the_place_of_the_mmse(few, tiny_run):
    (record, *_) = lines_of("predict", few / "sub-p00", "--model", tiny_run, "--device", "cpu")
    moca = {**{name: value for name, value in record.items() if name != "mmse"}, "moca": record["mmse"]}
    is_valid("prediction", moca)
    assert not validator("prediction").is_valid(moca | {"moca": 22})


def test_explanations_and_their_faithfulness(broken, tiny_run):
    out = broken / "explained"
    records = lines_of(
        "explain", broken, "--meta", broken / "table.csv", "--model", tiny_run, "--out", out, "--device", "cpu", "--rescans", "2",
        "--prevalence", "CN=.6,MCI=.3,AD=.1", code=3,
    )  # fmt: skip
    kept = {record["scan"]: record for record in (json_of(path) for path in out.rglob("sub-*_explanation.json"))}
    assert len(kept) == len(records) >= 3
    book = json_of(out / ".adclip" / "explain.json")
    is_valid("cohort-run", book)
    assert book["verb"] == "explain" and len(book["scans"]) == len(records)
    for record in records:
        is_valid("explanation", record)
        is_valid("explanation-record", kept[record["scan"]])
    (failed,) = (record for record in records if record["status"] == "failed")
    assert not validator("explanation").is_valid({name: value for name, value in failed.items() if name != "error"})
    done = [record for record in records if record["status"] != "failed"]
    for record in done:
        faithfulness = json_of(out / record["files"]["faithfulness"])
        is_valid("faithfulness", faithfulness)
        assert not validator("faithfulness").is_valid(faithfulness | {"deletion": [None]})
    record, whole = done[0], kept[done[0]["scan"]]
    assert record["prevalence"]["CN"] == 0.6 and record["probabilities_equal"]
    for key, value in (
        ("shares", [1]), ("probabilities", {"CN": 2}), ("prevalence", None), ("reasons", None), ("error", "cut short"), ("surprise", 1),
    ):  # fmt: skip
        assert not validator("explanation").is_valid(record | {key: value}), key
    section = whole["section"]
    assert section["facts"] and section["tables"]
    # these people's volumes have no norms; where there are some, a bar stands beside the number
    for cell, good in ((Cell("40 %", 40.0), True), (Cell("40 %", "40"), False)):  # type: ignore[arg-type]
        tables = [*section["tables"], {"caption": "Volumes", "header": ["centile"], "rows": [[vars(cell)]]}]
        assert validator("explanation-record").is_valid(whole | {"section": section | {"tables": tables}}) is good
    table = vars(Table("caption", ("region",), ())) | {"header": ["region"]}
    for changed in (
        {"facts": {"age": 70}},
        {"tables": [{name: value for name, value in table.items() if name != "rows"}]},
        {"tables": [table | {"rows": [[3]]}]},
        {"curves": [{"name": "deletion"}]},
        {
            "regions": {
                "caption": "c",
                "header": [],
                "rows": [{"name": "r", "cells": [], "code": None, "peak_mm": [1.0, 2.0]}],
            }
        },
        {"surprise": 1},
    ):
        assert not validator("explanation-record").is_valid(whole | {"section": section | changed}), changed
    assert not validator("explanation-record").is_valid(
        {name: value for name, value in whole.items() if name != "section"}
    )
    assert not validator("explanation").is_valid(whole)


def test_an_evaluation_its_plan_and_its_file(tiny_run, tiny_cohort, tmp_path):
    words = ["evaluate", "--model", tiny_run, "--scans", tiny_cohort, "--table", tiny_cohort / "table.csv", "--out", tmp_path / "out",
             "--device", "cpu"]  # fmt: skip
    (plan,) = lines_of(*words, "--dry-run")
    is_valid("evaluate-plan", plan)
    assert not validator("evaluate-plan").is_valid(plan | {"scans": "many"})
    (told,) = lines_of(*words)
    record = json_of(tmp_path / "out" / "metrics.json")
    is_valid("evaluate", told)
    is_valid("evaluation", record)
    assert {name: value for name, value in told.items() if name != "out"} == record
    assert not validator("evaluation").is_valid(told) and not validator("evaluate").is_valid(record)
    # nothing was valid for being empty, but for columns: five people are too few for a tree
    for key in ("metrics", "beside", "less", "subgroups", "findings"):
        assert record[key], key
    meter = ColumnMeter("cdr_global", 5, "score", False, record["metrics"]["accuracy"], 0.8)
    first, column = record["subgroups"][0], meter.to_dict()
    is_valid("evaluation", record | {"columns": [column]})
    wrong: list[tuple[str, Any]] = [
        ("schema_version", 2), ("metrics", {"accuracy": 0.5}), ("beside", {"scan_only": {"accuracy": {"value": 0.5}}}), ("less", [1]),
        ("people", {"CN": 1.5}), ("prevalence", {"CN": 2}), ("flow", {"scans counted": -1}), ("shuffled", {"scan": None}),
        ("shuffled", {"scan": {"auc": 0.5}, "report": None}), ("subgroups", [first | {"kind": "colour"}]), ("missing", None),
        ("subgroups", [first | {"numbers": {"auc": 1}}]), ("columns", [column | {"explained": 1.5}]), ("quality", {"scans": 1}),
        ("rescans", record["rescans"] | {"pairs": None}), ("findings", [{"level": "bad", "text": "x"}]), ("own_test_part", "yes"),
        ("model", {"id": "x"}), ("subject_id", "p00"),
    ]  # fmt: skip
    for key, value in wrong:
        assert not validator("evaluation").is_valid(record | {key: value}), (key, value)
    for key in record:
        assert not validator("evaluation").is_valid({name: value for name, value in record.items() if name != key}), key


def test_a_run_and_what_it_tells(tiny_run, tiny_cohort, tiny_base, tmp_path):
    record = json_of(tiny_run / "adapter.json")
    is_valid("adapter", record)
    for path, value in [
        (("files", "adapter.safetensors"), "abc"), (("canary", "scores"), [1]), (("calibration", "temperature"), "warm"),
        (("training", "certificate"), {"subjects": 3}), (("metrics", "accuracy"), {"value": "high"}), (("base", "sha256"), None),
        (("model", "contract"), {"shape": [1, 2]}), (("schema_version",), 2), (("task", "classes"), "CN"),
    ]:  # fmt: skip
        changed = copy.deepcopy(record)
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert not validator("adapter").is_valid(changed), path
    is_valid("certificate", json_of(tiny_run / "private" / "leak_certificate.json"))
    rows = [json.loads(line) for line in (tiny_run / "private" / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    for row in rows:
        is_valid("metrics", row)
    finetune(finetune_config(tiny_cohort, tiny_base, tmp_path / "plain", method="metadata"))
    is_valid("baseline", json_of(tmp_path / "plain" / "baseline.json"))


def test_the_shipped_model(tmp_path):
    is_valid("adapter", json_of(model_folder("builtin") / "adapter.json"))
    is_valid("base", json_of(BUILTIN_FOLDER / "base.json"))
    assert not validator("base").is_valid(json_of(BUILTIN_FOLDER / "base.json") | {"sha256": "abc"})


def test_finetune_and_its_plan(tiny_cohort, tiny_base, tmp_path):
    words = ["finetune", "--scans", tiny_cohort, "--table", tiny_cohort / "table.csv", "--base", tiny_base, "--epochs", "1", "--device", "cpu",
             "--visual-prompts", "2", "--text-prompts", "2"]  # fmt: skip
    (plan,) = lines_of(*words, "--out", tmp_path / "plan", "--dry-run")
    is_valid("finetune-plan", plan)
    assert not validator("finetune-plan").is_valid(plan | {"minutes": None})
    (told,) = lines_of(*words, "--out", tmp_path / "run")
    is_valid("finetune", told)
    assert told["metrics"] and told["differences"]
    assert not validator("finetune").is_valid(told | {"metrics": {"accuracy": 0.5}})


def test_preprocessing_its_plan_and_its_files(broken, monkeypatch, tmp_path):
    from phantoms import make_head, save, turn

    monkeypatch.setattr("adclip.imaging.steps.brain.DeepbetStripper", lambda _device: FakeStripper())
    array, affine, _ = make_head(turn(8, 0), spacing=3.0)
    raw = tmp_path / "raw"
    raw.mkdir()
    save(raw / "sub-x_T1w.nii.gz", array, affine, "RAS", "int16")
    (raw / "sub-y_T1w.nii.gz").write_bytes(b"no scan at all")
    for row in lines_of("preprocess", raw, "--out", tmp_path / "out", "--dry-run", code=3):
        is_valid("preprocess-plan", row)
    rows = lines_of("preprocess", raw, "--out", tmp_path / "out", "--workers", "1", "--device", "cpu", code=3)
    assert {row["status"] for row in rows} == {"done", "failed"}
    for row in rows:
        is_valid("preprocess", row)
        assert not validator("preprocess").is_valid(row | {"flags": None})
    (sidecar,) = (json_of(path) for path in (tmp_path / "out").rglob("*_desc-preproc_T1w.json"))
    is_valid("sidecar", sidecar)
    is_valid("sidecar", sidecar | {"SomebodysOwn": 3})
    (mask,) = (json_of(path) for path in (tmp_path / "out").rglob("*_desc-brain_mask.json"))
    is_valid("mask", mask)
    for key, value in (("Sources", []), ("Sources", ["/home/x/a.nii.gz"]), ("Type", "Face"), ("Notice", "")):
        assert not validator("mask").is_valid(mask | {key: value}), key
    for key, value in (
        ("Steps", [{"name": "level"}]),
        ("ScanToMNI", [[1, 0]]),
        ("SkullStripped", False),
        ("Files", {"image": "x"}),
    ):
        assert not validator("sidecar").is_valid(sidecar | {key: value}), key
    is_valid("dataset", json_of(tmp_path / "out" / "dataset_description.json"))
    status = json_of(tmp_path / "out" / "status.json")
    is_valid("dictionary", status)
    assert not validator("dictionary").is_valid(status | {"seconds": "s"})
    for path in broken.rglob("*_desc-preproc_T1w.json"):
        is_valid("sidecar", json_of(path))  # written beside a scan that nobody preprocessed


def test_reports_tables_and_findings(few, tmp_path):
    table, out = few / "table.csv", tmp_path / "reports.jsonl"
    (told,) = lines_of("synthesize-reports", table, "--out", out, "--write-canonical", tmp_path / "clean.csv")
    is_valid("synthesize-reports", told)
    reports = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(reports) == told["reports"] > 3
    for report in reports:
        is_valid("report", report)
    assert any(report["fields"] for report in reports)
    assert not validator("report").is_valid(reports[0] | {"fields": [{"start": 0}]})
    assert not validator("report").is_valid(reports[0] | {"synthetic": False})
    is_valid("dictionary", json_of(tmp_path / "clean.json"))
    for line in lines_of("synthesize-reports", table, "--explain-columns"):
        is_valid("columns", line)
    (found,) = lines_of("synthesize-reports", "--lint", out)
    is_valid("lint", found)
    leaky = tmp_path / "leaky.jsonl"
    leaky.write_text(
        json.dumps({**reports[0], "text": "The MMSE was 29 and the patient has Alzheimer's disease."}) + "\n"
    )
    (found,) = lines_of("synthesize-reports", "--lint", leaky, code=2)
    assert found["findings"]
    is_valid("lint", found)


def test_weights(tiny_run, tmp_path):
    from originals import write_original

    folder = write_original(tmp_path / "base")
    lines = [*lines_of("weights", "import", folder, "--name", "ours"), *lines_of("weights", "list"), *lines_of("weights", "verify", tiny_run),
             *lines_of("weights", "path", "ours"), *lines_of("weights", "export", tiny_run, "--out", tmp_path / "run.zip")]  # fmt: skip
    assert {line["action"] for line in lines} == {"import", "list", "verify", "path", "export"}
    for line in lines:
        is_valid("weights", line)
        assert not validator("weights").is_valid(line | {"path": 3}) and not validator("weights").is_valid(
            line | {"action": "burn"}
        )
    (stored,) = Path(lines_of("weights", "path", "ours")[0]["path"]).glob("base.json")
    is_valid("base", json_of(stored))


@pytest.mark.slow
def test_a_simulated_cohort(tmp_path):
    (told,) = lines_of("simulate", "--out", tmp_path / "heads", "--subjects", "2", "--workers", "1")
    is_valid("simulate", told)
    is_valid("oracle", json_of(tmp_path / "heads" / "oracle.json"))
    is_valid("dictionary", json_of(tmp_path / "heads" / "participants.json"))
    is_valid("dataset", json_of(tmp_path / "heads" / "dataset_description.json"))
    sidecars = list((tmp_path / "heads").rglob("anat/*_T1w.json"))
    assert len(sidecars) == 2
    for path in sidecars:
        is_valid("simulated-head", json_of(path))
    (told,) = lines_of(
        "simulate", "--out", tmp_path / "prepared", "--subjects", "1", "--workers", "1", "--preprocessed"
    )
    is_valid("simulate", told)
    for path in (tmp_path / "prepared").rglob("*_desc-preproc_T1w.json"):
        is_valid("sidecar", json_of(path))
    number = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 40}
    is_valid("oracle", {"numbers": {"auc": number}, "notice": "x"})
    assert not validator("oracle").is_valid({"numbers": {"auc": 0.9}, "notice": "x"})


@pytest.mark.slow
def test_the_demo(tmp_path):
    (told,) = lines_of("demo", "--out", tmp_path / "demo", "--subjects", "120", "--epochs", "1", "--device", "cpu")
    is_valid("demo", told)
    is_valid("demo-summary", json_of(tmp_path / "demo" / "demo.json"))
    assert not validator("demo").is_valid(told | {"seconds": None})
