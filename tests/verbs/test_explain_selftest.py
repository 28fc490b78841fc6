"""`adclip explain --selftest`: what is planted, what is measured of it, and which later maps say so."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from scipy import stats
from tiny import CONTRACT, PROMPTS, finetune_config, write_template_derivative

from adclip import Predictor
from adclip.config import ExplainConfig
from adclip.errors import ConfigError, InputError, OutputError
from adclip.explanation.localisation import Localisation
from adclip.explanation.methods import FROM_REFERENCE, METHODS
from adclip.explanation.selftest.measure import (
    OF_MAP,
    OF_REFERENCE,
    OF_UNCHANGED,
    Heads,
    PlantedChange,
    PlantedHead,
    measure_head,
)
from adclip.explanation.selftest.rows import mean_of_heads
from adclip.explanation.selftest_record import IMAGE, NAME, RANDOM, path_beside, read_selftest
from adclip.explanation.settings import DEFAULT_METHOD
from adclip.explanation.target import Target
from adclip.model.bases import BUILTIN_FOLDER
from adclip.model.record import model_folder
from adclip.runtime.events import Advanced, Event, Failed, Step
from adclip.verbs.explain import explain
from adclip.verbs.explain_selftest import BOTH_SIDED, FACTOR, HEADS_TABLE, ONE_SIDED, explain_selftest
from adclip.verbs.finetune import finetune
from adclip.verbs.schema import schema_of

FEW = Heads(every=3, slow=2, slowest=1)
SCAN = "sub-p01/ses-01/anat/sub-p01_ses-01_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz"


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """A RUN of its own, as the test is written into it."""
    return shutil.copytree(tiny_run, tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def config(run, tmp_path_factory):
    return ExplainConfig((), tmp_path_factory.mktemp("out") / "test", model=str(run), device="cpu", selftest=True)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def result(config, events):
    return explain_selftest(config, events.append, FEW)


def rows_by(result):
    return {(row.planted, row.method): row for row in result.test.rows}


def test_every_method_and_what_knows_nothing_has_a_row_of_each_planted_change(result):
    rows = rows_by(result)
    assert len(rows) == len(result.test.rows)
    for planted in (ONE_SIDED, BOTH_SIDED):
        fast = {RANDOM, IMAGE, *METHODS} - {"occlusion"}
        assert fast <= {method for name, method in rows if name == planted}
        assert {*METHODS} - {"occlusion"} <= {method for name, method in rows if name == planted + OF_UNCHANGED}
        assert {method for name, method in rows if name == planted + OF_REFERENCE} == {*FROM_REFERENCE} - {"occlusion"}
    assert (ONE_SIDED + OF_MAP, "occlusion") in rows and (BOTH_SIDED, "occlusion") not in rows
    wanted = {"occlusion": 1, "smoothgrad": 2, "integrated-gradients": 2}
    for (_, method), row in rows.items():
        assert row.heads == wanted.get(method, 3)


def test_numbers_are_shares_with_intervals_and_one_sided_rows_know_a_side(result):
    for row in result.test.rows:
        assert 0 <= row.energy_low <= row.energy_share <= row.energy_high <= 1
        assert (
            0 < row.volume_share < row.near_volume_share < 1 and row.energy_share <= row.near_share + 1e-9 <= 1 + 1e-6
        )
        assert 0 <= row.pointing <= 1 and 0 <= row.auc <= 1
        assert (row.own_side is not None) == row.planted.startswith(ONE_SIDED)


def test_the_planted_change_itself_is_found_and_noise_is_not(result):
    rows = rows_by(result)
    image, noise = rows[ONE_SIDED, IMAGE], rows[ONE_SIDED, RANDOM]
    assert image.near_share > 0.9 and image.auc > 0.95 and image.own_side > 0.95
    assert image.energy_share > 5 * image.volume_share
    assert noise.energy_share < 5 * noise.volume_share and 0.25 < noise.own_side < 0.75
    for effect in result.test.effects:
        assert effect.heads == 3 and effect.remaining == pytest.approx(FACTOR, abs=0.15)
        assert effect.low <= effect.moved <= effect.high


def test_with_the_head_itself_as_reference_nothing_lies_on_the_other_side(result):
    """What was planted ends before the mid-plane, so a path between both heads has nothing to tell beyond a patch of it."""
    row = rows_by(result)[ONE_SIDED + OF_REFERENCE, "integrated-gradients"]
    assert row.own_side > 0.95


def test_files_are_what_the_schema_says_and_name_no_other_model(config, result):
    record = json.loads((config.out / NAME).read_text(encoding="utf-8"))
    Draft202012Validator(schema_of("selftest")).validate(record)
    for row in result.rows:
        Draft202012Validator(schema_of("selftest-row")).validate(json.loads(json.dumps(row, allow_nan=False)))
    predictor = Predictor.from_checkpoint(config.model, "cpu", volumes=False)
    assert record["model_sha256"] == predictor.identity["sha256"]
    assert record["target"] == "AD-CN" and record["notice"]
    assert read_selftest(config.model, record["model_sha256"]).to_dict() == record == result.test.to_dict()


def test_every_single_map_stands_in_the_table(config, result):
    header, *lines = (config.out / HEADS_TABLE).read_text(encoding="utf-8").splitlines()
    names = header.split("\t")
    assert names == ["head", "planted", "side", "method", *(field.name for field in fields(Localisation))]
    assert len(lines) == sum(row.heads for row in result.test.rows)
    cells = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    mine = [one for one in cells if (one["planted"], one["method"]) == (ONE_SIDED, DEFAULT_METHOD)]
    assert [one["side"] for one in mine] == ["left", "right", "left"]
    assert np.mean([float(one["energy_share"]) for one in mine]) == pytest.approx(
        rows_by(result)[ONE_SIDED, DEFAULT_METHOD].energy_share, rel=1e-4
    )


def test_later_maps_of_the_model_carry_it_and_those_of_another_do_not(config, result, tiny_base, tiny_cohort, tmp_path):
    def stamps(model, method="auto"):
        out = tmp_path / f"{model.parent.name}-{method}"
        asked = ExplainConfig(
            (tiny_cohort / SCAN,), out, model=str(model), method=method, faithfulness="off", device="cpu"
        )
        (one,) = explain(asked).explanations
        return json.loads((out / one.files["faithfulness"]).read_text(encoding="utf-8"))["selftest"]

    run = config.out.parent / "copy" / "run"
    shutil.copytree(config.model, run)
    found = stamps(run)
    assert {row["method"] for row in found} == {DEFAULT_METHOD, RANDOM}
    wanted = [row for row in result.rows if row["method"] in (DEFAULT_METHOD, RANDOM)]
    assert found == json.loads(json.dumps(wanted))
    assert {row["method"] for row in stamps(run, "grad-eclip")} == {"grad-eclip", RANDOM}
    other = tmp_path / "other" / "run"
    finetune(finetune_config(tiny_cohort, tiny_base, other, epochs=1, seed=5, prompts=PROMPTS))
    shutil.copy(path_beside(str(run)), path_beside(str(other)))
    assert stamps(other) == []


def test_a_test_of_one_method_leaves_the_others_there(config, result, tmp_path):
    run = shutil.copytree(config.model, tmp_path / "run")
    config = replace(config, model=str(run))
    before = json.loads(path_beside(config.model).read_text(encoding="utf-8"))
    asked = replace(config, out=tmp_path / "again", method="grad-eclip")
    again = explain_selftest(asked, heads=replace(FEW, every=1))
    assert {row.method for row in again.test.rows} == {"grad-eclip", RANDOM, IMAGE}
    assert again.beside_model == path_beside(config.model)
    kept = read_selftest(config.model, again.test.model_sha256)
    assert {(row.planted, row.method) for row in kept.rows} == {
        (row["planted"], row["method"]) for row in before["rows"]
    }
    heads = {row.method: row.heads for row in kept.rows if row.planted == ONE_SIDED}
    assert heads["grad-eclip"] == 1 and heads[DEFAULT_METHOD] == 3
    other_seed = explain_selftest(replace(asked, out=tmp_path / "seed", seed=1), heads=replace(FEW, every=1))
    kept = read_selftest(config.model, other_seed.test.model_sha256)
    assert {row.method for row in kept.rows} == {"grad-eclip", RANDOM, IMAGE}


def test_an_interrupt_leaves_no_file(config, run, tmp_path):
    beside = path_beside(str(run)).read_bytes() if path_beside(str(run)).exists() else None

    def stop(event):
        if isinstance(event, Advanced):
            raise KeyboardInterrupt

    asked = replace(config, out=tmp_path / "out", method="grad-eclip")
    with pytest.raises(KeyboardInterrupt):
        explain_selftest(asked, stop, replace(FEW, every=2))
    assert not asked.out.exists() or not list(asked.out.iterdir())
    assert (path_beside(str(run)).read_bytes() if path_beside(str(run)).exists() else None) == beside


def test_an_earlier_test_is_replaced_only_when_told(config, result):
    with pytest.raises(OutputError):
        explain_selftest(config, heads=FEW)


def test_where_nothing_changed_nothing_is_found(config, tiny_cohort):
    """The map of a head less the map of the same head is empty, whatever lies in the map itself."""
    predictor = Predictor.from_checkpoint(config.model, "cpu", volumes=False)
    draw = np.random.default_rng(0)
    mask = np.zeros(CONTRACT.shape_xyz, bool)
    mask[4:-4, 4:-4, 4:-4] = True
    image = (draw.random(CONTRACT.shape_xyz) * mask).astype(np.float32)
    region = np.zeros_like(mask)
    region[8:11, 10:14, 10:14] = True
    change = PlantedChange("nothing", "left", image, region, 1.0)
    head = PlantedHead("x", 70.0, image, mask, (change,))
    methods = ("patch-integrated-gradients", "grad-eclip")
    found, (moved,) = measure_head(predictor, head, methods, Target("AD-CN", "AD", "CN"), 0)
    assert moved.moved == 0
    whole = {one.method: one.where for one in found if one.planted == "nothing"}
    assert all(whole[name].near_share > 0 for name in methods)
    before = {one.method: one.where for one in found if one.planted == "nothing" + OF_UNCHANGED}
    assert before == {name: whole[name] for name in methods}
    nothing = [one for one in found if one.planted in ("nothing" + OF_MAP, "nothing" + OF_REFERENCE)]
    assert len(nothing) == 3
    assert all(one.where.energy_share == one.where.near_share == 0 for one in nothing)


def test_intervals_are_of_students_t_within_what_is_possible():
    values = [0.2, 0.3, 0.5, 0.4]
    mean, low, high = mean_of_heads(values)
    wanted = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (mean, low, high) == pytest.approx((0.35, *wanted))
    assert mean_of_heads([0.0, 0.9])[1:] == (0.0, 1.0)
    assert mean_of_heads([0.3]) == (0.3, 0.0, 1.0)


def test_scans_that_are_given_are_planted_in_and_the_builtin_keeps_its_own(tmp_path):
    scan = write_template_derivative(tmp_path / "derivatives")
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"no scan")
    shipped = (BUILTIN_FOLDER / NAME).read_bytes()
    events: list[Event] = []
    asked = ExplainConfig((scan, bad), tmp_path / "out", device="cpu", selftest=True, method="grad-eclip")
    result = explain_selftest(asked, events.append, Heads(1, 1, 1))
    real = "one-sided loss of hippocampus, injected into the given scans"
    rows = rows_by(result)
    assert rows[real, "grad-eclip"].heads == rows[real + OF_MAP, "grad-eclip"].heads == 1
    assert rows[real, IMAGE].own_side == pytest.approx(1, abs=1e-3)  # the map is smoothed over the mid-plane
    assert rows[real, IMAGE].near_share > 0.9
    (effect,) = [one for one in result.test.effects if one.planted == real]
    assert effect.remaining == pytest.approx(FACTOR, abs=0.01)
    assert (result.failed, result.total) == (1, 3) and sum(isinstance(event, Failed) for event in events) == 1
    assert result.beside_model is None and (BUILTIN_FOLDER / NAME).read_bytes() == shipped
    assert any(isinstance(event, Step) and "brings a self-test of its own" in event.text for event in events)


def test_the_shipped_test_is_of_the_shipped_model():
    model = Predictor.from_checkpoint("builtin", "cpu", volumes=False)
    found = read_selftest("builtin", model.identity["sha256"])
    assert found is not None and found.target == "AD-CN" and path_beside("builtin").parent == BUILTIN_FOLDER
    assert {row.method for row in found.rows} == {*METHODS, RANDOM, IMAGE}
    assert {row.method for row in found.rows if row.planted == ONE_SIDED + OF_UNCHANGED} == {*METHODS}
    Draft202012Validator(schema_of("selftest")).validate(found.to_dict())
    assert model_folder("builtin").parent == BUILTIN_FOLDER


@pytest.mark.parametrize("changed", [{"target": "AD"}, {"text": "Ventricular size"}, {"shard": "1/2"}])
def test_what_a_self_test_does_not_look_at_is_refused(config, changed):
    with pytest.raises(ConfigError, match=f"--{next(iter(changed))}"):
        replace(config, **changed)


def test_without_a_scan_there_is_only_a_self_test(tmp_path):
    with pytest.raises(InputError, match="INPUT"):
        ExplainConfig((), tmp_path)
    assert ExplainConfig((), tmp_path, selftest=True).inputs == ()
