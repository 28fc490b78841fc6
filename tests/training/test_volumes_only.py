"""The row `volumes only` beside the others: from files with volumes to the numbers, and nothing where there are none."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import LABELS, finetune_config

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.tables.table import read_table
from adclip.config import FinetuneConfig
from adclip.domain import ScanItem
from adclip.imaging.derivatives.files import write_sidecar
from adclip.imaging.derivatives.names import derivative_path
from adclip.imaging.sources.ours import read_sidecar
from adclip.imaging.volumes.measure import measured_by
from adclip.model.record import read_record
from adclip.prediction.volumes_baseline import VolumesBaseline
from adclip.verbs.finetune import FinetuneResult, finetune

OWN = measured_by()  # volumes of another segmenter in a sidecar do not count
HIPPOCAMPUS = ("hippocampus_left_mm3", "hippocampus_right_mm3")


def volumes_of(number: int, label: str) -> dict[str, float]:
    """Hippocampi that follow the class, with something of the person in them."""
    rng = np.random.default_rng(number)
    loss = 0.12 * LABELS.index(label)
    return {"icv_mm3": 1.43e6, "hippocampus_left_mm3": float(3600 * (1 - loss) + rng.normal(0, 60)),
            "hippocampus_right_mm3": float(3900 * (1 - loss) + rng.normal(0, 60)),
            "inferior_lateral_ventricle_left_mm3": 400 * (1 + 5 * loss), "inferior_lateral_ventricle_right_mm3": 450 * (1 + 5 * loss)}  # fmt: skip


def with_volumes(cohort: Path, out: Path, source: str = OWN) -> Path:
    """Copy a cohort, and give each derivative's sidecar the volumes of its scan."""
    shutil.copytree(cohort, out)
    for number, visit in enumerate(read_table(out / "table.csv").rows):
        scan = derivative_path(out, ScanItem(Path(), visit.subject_id, visit.session_id))
        volumes = BrainVolumes(source, volumes_of(number, str(visit.diagnosis)))
        write_sidecar(scan, replace(read_sidecar(scan), volumes=volumes))
    return out


@pytest.fixture(scope="module")
def measured(tiny_cohort, tmp_path_factory) -> Path:
    return with_volumes(tiny_cohort, tmp_path_factory.mktemp("measured") / "cohort")


@pytest.fixture(scope="module")
def finished(measured, tiny_base, tmp_path_factory) -> tuple[FinetuneConfig, FinetuneResult]:
    config = finetune_config(measured, tiny_base, tmp_path_factory.mktemp("runs") / "run", epochs=1)
    return config, finetune(config)


def test_every_number_of_the_network_has_one_of_the_volumes_beside_it(finished):
    config, result = finished
    metrics = read_record(config.out).metrics
    mine, other = result.baselines["volumes_only"], result.baselines["metadata_only"]
    assert set(mine) == set(other)
    for name, value in mine.items():
        assert value == metrics[f"volumes_only.{name}"]
        assert value["n"] == other[name]["n"] == metrics[name]["n"]  # the same scans
        assert {"low", "high"} <= set(value)
    accuracy = mine["balanced_accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert mine["balanced_accuracy"]["value"] > 0.6  # the volumes tell the classes apart
    assert "mmse_mae" not in mine


def test_the_card_has_the_row_and_says_what_it_is(finished):
    config, _ = finished
    text = (config.out / "README.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("| number"))
    assert line.split(" | ") == ["| number", "value", "scan_only", "metadata_only", "volumes_only", "majority", "n |"]
    assert "hippocampus and inferior lateral ventricle by adclip segmenter (share of icv)" in " ".join(text.split())


def test_the_test_table_and_the_stored_baseline_agree(finished, measured):
    """What a person can recompute from `adapter.json` and the sidecars is what was measured."""
    config, _ = finished
    stored = json.loads((config.out / "adapter.json").read_text())["volumes_baseline"]
    baseline = VolumesBaseline.from_dict(stored)
    visits = {(visit.subject_id, visit.session_id): visit for visit in read_table(measured / "table.csv").rows}
    places = {key: number for number, key in enumerate(visits)}
    with (config.out / "private" / "predictions_test.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert rows
    for row in rows:
        key = (row["subject_id"], row["session_id"])
        visit = visits[key]
        found = baseline.predict(volumes_of(places[key], str(visit.diagnosis)), visit.age_years, visit.sex, OWN)
        assert [float(row[f"volumes_only_{name}"]) for name in LABELS] == pytest.approx(list(found.values()), abs=1e-6)


def test_only_training_scans_taught_it(finished):
    config, _ = finished
    record = read_record(config.out)
    assert record.volumes_baseline is not None
    lines = (config.out / "private" / "scans.tsv").read_text().splitlines()[1:]
    assert record.volumes_baseline.content["scans"] == sum(line.split("\t")[2] == "train" for line in lines)
    assert "p0" not in json.dumps(record.volumes_baseline.to_dict())  # of the group, nobody's


def test_other_volumes_in_the_sidecars_are_another_run(finished, measured, tmp_path):
    """A model must not pass for finished when what its baseline learned from has changed."""
    from adclip.runtime.events import ignore
    from adclip.training.enrol import enrol

    config, _ = finished
    before = enrol(config, ignore).fingerprint(config)
    again = with_volumes(measured, tmp_path / "again", source="adclip segmenter ffffffffffff")
    other = finetune_config(again, Path(config.base), tmp_path / "run", epochs=1)
    assert enrol(other, ignore).fingerprint(config) != before


def test_a_model_of_a_cohort_without_volumes_has_none(tiny_run):
    record = read_record(tiny_run)
    assert record.volumes_baseline is None
    assert not any(name.startswith("volumes_only") for name in record.metrics)
    assert "volumes_only" not in (tiny_run / "README.md").read_text()
    header = (tiny_run / "private" / "predictions_test.tsv").read_text().splitlines()[0]
    assert "volumes_only" not in header


def test_a_record_from_before_there_was_one_still_loads(tiny_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    record = json.loads((run / "adapter.json").read_text())
    del record["volumes_baseline"]
    (run / "adapter.json").write_text(json.dumps(record))
    assert read_record(run).volumes_baseline is None


def test_volumes_of_a_dlmuse_table_count_as_they_stand(tiny_cohort, tiny_base, tmp_path):
    """A table's volumes serve too, if norms fit their program."""
    cohort = tmp_path / "cohort"
    shutil.copytree(tiny_cohort, cohort)
    header, *lines = (cohort / "table.csv").read_text().splitlines()
    visits = read_table(cohort / "table.csv").rows
    cells = [volumes_of(number, str(visit.diagnosis)) for number, visit in enumerate(visits)]
    rows = [
        ",".join([line, *(f"{one[side]:.1f}" for side in HIPPOCAMPUS), "DLMUSE"])
        for line, one in zip(lines, cells, strict=True)
    ]
    # the sum in the tiny table is of other hippocampi, and sums must fit
    keep = [place for place, name in enumerate(header.split(",")) if name != "hippocampus_mm3"]
    rows = [",".join([*(row.split(",")[place] for place in keep), *row.split(",")[-3:]]) for row in rows]
    names = [*(header.split(",")[place] for place in keep), *HIPPOCAMPUS, "volumes_source"]
    (cohort / "table.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    config = finetune_config(cohort, tiny_base, tmp_path / "run", epochs=1)
    result = finetune(config)
    stored = read_record(config.out).volumes_baseline
    assert stored is not None
    assert (stored.program, stored.structures) == ("DLMUSE", ("hippocampus",))
    assert result.baselines["volumes_only"]["balanced_accuracy"]["value"] > 0.6
