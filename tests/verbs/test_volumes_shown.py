"""What is told of the volumes found for a scan: in the record, its flat row, the terminal, and on the page of `explain`."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from measured import SOURCE, VOLUMES, answer, with_training
from tiny import LABELS

from adclip import Predictor
from adclip.cli.tables import draw_predictions
from adclip.clinical.norms.normative_score import SCORE_ID
from adclip.config import ExplainConfig
from adclip.domain import Visit
from adclip.explanation.flags import FLAT_MAP, NOT_BELIEVED, UNCERTAIN
from adclip.verbs.explain import explain
from adclip.verbs.predict import predict

# ------------------------------------------------------------------------------------------------ the record


def test_every_volume_comes_with_its_share_centile_and_error(raw_config, measured, meta):
    record = answer(replace(raw_config, meta=meta(age_years=71, sex="F"))).to_dict()
    keys = list(record)
    assert keys[keys.index("metadata_only") :][:5] == [
        "metadata_only",
        "volumes_only",
        "volumes",
        "volumes_source",
        "rescans",
    ]
    assert list(record["volumes"]) == list(VOLUMES)
    left, both = record["volumes"]["hippocampus_left_mm3"], record["volumes"]["hippocampus_mm3"]
    assert left["mm3"] == 3000 and left["icv_share"] == pytest.approx(3000 / 1.4e6, abs=1e-6)
    assert (left["error_mm3"], left["n"]) == (210, 59)
    assert 0 < left["centile"] < 50 and left["bridged"] is True and left["norms"]
    assert both["asymmetry_percent"] == pytest.approx(100 * 200 / 3100, abs=0.01), "above 0: the right one is larger"
    assert left["asymmetry_percent"] is None and record["volumes"]["icv_mm3"]["icv_share"] is None
    assert record["volumes_only"] is None, "this model's scans had no volumes to learn from"
    json.dumps(record, allow_nan=False)
    alone = answer(raw_config).to_dict()
    assert all(entry["centile"] is None for entry in alone["volumes"].values()), "no age, no centile"


BASELINE = {
    "score": SCORE_ID,
    "class_order": list(LABELS), "program": "adclip segmenter", "basis": "share of icv",
    "structures": ["hippocampus", "amygdala", "inferior_lateral_ventricle"], "mean": 0.5, "scale": 1.0,
    "coefficients": [-1.0, 0.0, 1.0], "intercepts": [0.0, 0.0, 0.0], "scans": 40,
}  # fmt: skip


def test_the_volumes_alone_answer_by_the_baseline_of_the_model(raw_config, measured, meta, tiny_run, tmp_path):
    run = with_training(tiny_run, tmp_path / "run", volumes_baseline=BASELINE)
    asked = replace(raw_config, model=run, meta=meta(age_years=71, sex="F"))
    one = answer(asked).volumes_only
    assert list(one) == list(LABELS) and sum(one.values()) == pytest.approx(1)
    measured.volumes |= {"hippocampus_left_mm3": 2000.0, "hippocampus_right_mm3": 2100.0, "hippocampus_mm3": 4100.0}
    two = answer(asked).volumes_only
    assert two["AD"] > one["AD"] and two["CN"] < one["CN"]
    assert answer(replace(asked, meta=None)).volumes_only is None, "no age, no norms"
    assert answer(replace(asked, volumes=False)).volumes_only is None
    # the table's own volumes, of the program that the baseline knows, serve as well
    columns = dict.fromkeys(("hippocampus_left_mm3", "hippocampus_right_mm3"), 2000) | {"icv_mm3": 1.4e6}
    further = {name: measured.volumes[name] for name in VOLUMES if "left" in name or "right" in name} | columns
    table = meta(age_years=71, sex="F", **further, volumes_source=SOURCE)
    assert answer(replace(asked, meta=table, volumes=False)).volumes_only["AD"] > one["AD"]


def test_a_row_of_the_table_has_three_numbers_a_volume_at_most(raw_config, measured, meta, tmp_path):
    bad = tmp_path / "sub-bad_T1w.nii.gz"
    bad.write_bytes(b"no image")
    rows = "subject_id,age_years,sex\nx,71,F\nbad,70,F\n"
    (tmp_path / "t.csv").write_text(rows)
    predict(replace(raw_config, inputs=(*raw_config.inputs, bad), meta=tmp_path / "t.csv", out=tmp_path / "out"))
    one, two = csv.DictReader((tmp_path / "out" / "predictions.csv").open())
    named = [name for name in one if name.startswith("volumes.")]
    assert one["volumes.hippocampus_mm3"] == "6200.0" and float(one["volumes.hippocampus_left_centile"]) < 50
    assert float(one["volumes.hippocampus_asymmetry_percent"]) == pytest.approx(200 / 31, abs=1e-4)
    numbers = [name for name in named if not name.endswith("_centile_beyond")]
    assert len(numbers) <= 2 * len(VOLUMES) + 3 and not any("error" in name or "norms" in name for name in named)
    assert two["status"] == "failed" and two["volumes.hippocampus_mm3"] == "" and "volumes" not in one
    beyond = [name.removesuffix("_beyond") for name in set(named) - set(numbers)]
    assert beyond and all(float(one[name]) in (5, 95) for name in beyond), (
        "the ends of the norms, told from an exact 5 or 95"
    )


def test_nothing_of_it_reaches_a_log(raw_config, measured, meta, caplog):
    caplog.set_level("DEBUG")
    answer(replace(raw_config, meta=meta(age_years=71, sex="F")))
    assert "6200" not in caplog.text and "3000" not in caplog.text


def test_one_scan_shows_its_volumes_and_a_cohort_stays_one_line_each(raw_config, measured, meta, capsys):
    record = answer(replace(raw_config, meta=meta(age_years=71, sex="F"))).to_dict()
    draw_predictions([record])
    page = capsys.readouterr().out.splitlines()
    (line,) = [line for line in page if line.startswith("hippocampus left")]
    assert line.split()[2:4] == ["3000", "0.214"] and line.split()[-1] == "210"
    assert any(f"measured by {SOURCE}" in line for line in page)
    assert any("right larger by 6.5 %" in line for line in page)
    assert max(map(len, (line for line in page if line.startswith(("hippocampus", "structure", "error"))))) <= 80
    draw_predictions([record, record])
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2 + 1


# ------------------------------------------------------------------------------------------------ explain


def test_explain_explains_the_number_that_predict_gives(raw_config, measured, meta, tmp_path):
    table = meta(age_years=71, sex="F")
    for volumes in (True, False):
        wanted = answer(replace(raw_config, meta=table, volumes=volumes))
        out = tmp_path / str(volumes)
        asked = ExplainConfig(raw_config.inputs, out, table, raw_config.model, device="cpu", volumes=volumes)
        (found,) = explain(asked).explanations
        assert found.scores == pytest.approx(wanted.scores, abs=1e-5)
        assert found.probabilities == pytest.approx(wanted.probabilities, abs=1e-6)
        assert (found.target, found.status, set(found.flags) - {*NOT_BELIEVED, FLAT_MAP, UNCERTAIN}) == (
            wanted.diagnosis,
            wanted.status,
            set(wanted.flags),
        )
        page = (out / "explain.html").read_text()
        assert ("Volumes of brain structures" in page) == volumes and ("estimated_volumes" in page) == volumes
        assert ('class="bar"' in page) == volumes and "volumes only" in page
        told = json.loads((out / found.files["faithfulness"]).read_text())
        others = [score for label, score in wanted.scores.items() if label != found.target]
        explained = wanted.scores[found.target] - float(np.mean(others))
        assert told["number"] == pytest.approx(explained, abs=1e-4), "the untouched scan has the explained number"


# ------------------------------------------------------------------------------------------------ the real segmenter


def test_the_shipped_segmenter_measures_on_the_way(raw_config, head, fake_brain):
    predictor = Predictor.from_checkpoint(raw_config.model, "cpu")
    found = predictor(head, Visit(age_years=70.0, sex="F"))
    assert found.volumes_source.startswith("adclip segmenter ")
    assert 2000 < found.volumes["hippocampus_left_mm3"]["mm3"] < 7000
    assert found.volumes["hippocampus_left_mm3"]["error_mm3"] > 0 and found.volumes["hippocampus_left_mm3"]["n"] > 10
    assert "estimated_volumes" in found.flags and "mm3" in found.report
    assert Predictor.from_checkpoint(raw_config.model, "cpu", volumes=False)(head).volumes is None


def test_a_share_is_rounded_once_in_table_and_report():
    from adclip.brain_volumes import BrainVolumes
    from adclip.clinical.reports import render
    from adclip.domain import Visit
    from adclip.prediction.volume_lines import rows
    from adclip.prediction.volumetry import describe

    told = describe(BrainVolumes("x", {"whole_brain_mm3": 858_470.0, "icv_mm3": 1_000_000.0}), None)
    assert told is not None and next(iter(rows(told))).cells[2] == "85.8"
    visit = Visit(age_years=70.0, sex="F", whole_brain_mm3=858_470.0, icv_mm3=1_000_000.0)
    assert "85.8 %" in render(visit, "clinical", "CN").text
