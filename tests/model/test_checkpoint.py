"""What is saved, what comes back, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import CONFIG, CONTRACT, PROMPTS, base_network, make_reader

from adclip.domain import RESEARCH_NOTICE
from adclip.errors import CheckpointError, DeviceError, WeightsError
from adclip.model.base_model import load_base
from adclip.model.bases import read_base
from adclip.model.calibration import (
    ROADS,
    SCAN,
    TABLE,
    TABLE_WITH_VOLUMES,
    Calibration,
    Road,
    least_subjects,
    likely_coverage,
)
from adclip.model.card import render_card
from adclip.model.checkpoint import load_model, read_contract, save_adapter, with_class_texts
from adclip.model.device import choose_device
from adclip.model.integrity import stamp
from adclip.model.prompts import adapter_state, is_adapter
from adclip.model.record import LAST_DIAGNOSIS_NOTICE, AdapterRecord, model_folder, read_record
from adclip.model.record_parts import StoredBaseline, Training
from adclip.model.text import tokenize

SAVED_KEYS = {
    "vision_encoder.cls_token", "vision_encoder.mmse_token", "vision_encoder.prompts", "text_prompts", "logit_scale",
    "mm_vision_proj.weight", "mm_vision_proj.bias", "mm_language_proj.weight", "mm_language_proj.bias",
    "cross_attention.in_proj_weight", "cross_attention.in_proj_bias", "cross_attention.out_proj.weight",
    "cross_attention.out_proj.bias", "mmse_head.0.weight", "mmse_head.0.bias", "mmse_head.2.weight",
    "mmse_head.2.bias", "class_texts.tokens", "class_texts.words",
}  # fmt: skip


def calibration_of(counts: dict[str, int], thresholds: dict[str, float] | None = None) -> Calibration:
    """Return what so many people could have taught, about scans with a row and about scans alone."""
    told = Road(0.25, 0.5, 0.75, 1.5, thresholds=thresholds, counts=counts, fitted=True)
    alone = Road(1.0, 0.0, 0.0, 2.0, thresholds=thresholds, counts=counts, fitted=True)
    return Calibration(sum(counts.values()), 3.0, roads={SCAN: alone, TABLE: told})


def make_record(base: Path) -> AdapterRecord:
    found = read_base(str(base))
    return AdapterRecord(
        base={"name": found.name, "revision": found.revision, "sha256": found.sha256}, model=CONFIG, prompts=PROMPTS,
        labels=("CN", "MCI", "AD"), phrases={"CN": "NC", "MCI": "MCI", "AD": "AD"}, style="paper6", mmse_mean=27.0,
        mmse_sd=2.5, calibration=calibration_of({"CN": 2, "MCI": 2, "AD": 1}), metadata_baseline=None,
        training=Training({"seed": 0}, epochs=1, counts={"train": {"CN": 1, "MCI": 1, "AD": 1}}),
        metrics={"accuracy": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 4}, "none": {"value": None, "n": 0}},
        adclip_version="0", libraries={},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, tiny_base: Path) -> Path:
    network = base_network(tiny_base)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if is_adapter(name):
                parameter.add_(0.05 * torch.randn_like(parameter))
    out = tmp_path / "adapter"
    out.mkdir()
    with torch.inference_mode():
        texts = make_reader(network).bare()
    save_adapter(out, with_class_texts(adapter_state(network), texts), make_record(tiny_base))
    return out


def answer(network: torch.nn.Module) -> tuple[torch.Tensor, ...]:
    images = torch.rand((2, 1, *CONTRACT.shape), generator=torch.Generator().manual_seed(0))
    texts = tokenize(["A photo of NC", "A photo of AD"], make_reader().tokenizer)  # type: ignore[arg-type]
    with torch.inference_mode():
        image = network.image_tokens(images)
        return network.score(image, network.text_tokens(texts, 2)), image.mmse


def test_exactly_our_keys_are_saved(folder):
    assert set(load_file(folder / "adapter.safetensors")) == SAVED_KEYS
    assert {path.name for path in folder.iterdir()} == {"adapter.safetensors", "adapter.json", "README.md"}


def test_saved_and_loaded_answers_the_same(tmp_path, tiny_base):
    network = base_network(tiny_base)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    sha256 = save_adapter(tmp_path, adapter_state(network), make_record(tiny_base))
    loaded = load_model(str(tmp_path))
    assert loaded.identity == {"id": tmp_path.name, "base": str(tiny_base), "sha256": sha256}
    for one, two in zip(answer(network), answer(loaded.network), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())
    assert not loaded.network.training


def test_the_record_comes_back_whole(folder, tiny_base):
    record = read_record(folder)
    assert dataclasses.replace(record, files=None) == make_record(tiny_base)
    assert record.files == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("adapter.safetensors", "README.md")
    }
    assert read_contract(str(folder)) == CONTRACT
    told = json.loads((folder / "adapter.json").read_text())
    assert next(iter(told)) == "schema_version"
    assert told["notice"] == RESEARCH_NOTICE


def test_the_card_says_what_was_measured(folder):
    card = (folder / "README.md").read_text()
    for words in (
        "| `accuracy` | 0.500 (0.250 to 0.750) |",
        "| `none` | not defined |",
        RESEARCH_NOTICE,
        "1.500",
        "3.0 points",
    ):
        assert words in card
    assert "which is few" in card


def test_the_card_puts_the_baselines_beside_each_number(tiny_base):
    record = make_record(tiny_base)
    metrics = {
        "accuracy": {"value": 0.7, "low": 0.6, "high": 0.8, "n": 20},
        "scan_only.accuracy": {"value": 0.6, "low": None, "high": None, "n": 20},
        "majority.accuracy": {"value": 0.4, "low": 0.3, "high": 0.5, "n": 20},
    }
    card = render_card(dataclasses.replace(record, metrics=metrics))
    assert "| number | value | scan_only | majority | n |" in card
    assert "| `accuracy` | 0.700 (0.600 to 0.800) | 0.600 | 0.400 (0.300 to 0.500) | 20 |" in card


def test_the_card_says_which_method_and_which_labels(tiny_base):
    record = make_record(tiny_base)
    settings = {"seed": 0, "method": "cnn", "label_policy": "subject-last", "recipe": "paper"}
    training = dataclasses.replace(record.training, settings=settings)
    card = render_card(dataclasses.replace(record, training=training))
    assert "3D CNN" in card and "adclip predict" not in card and "Recipe `paper`" in card
    assert LAST_DIAGNOSIS_NOTICE in card and "at the visit of the scan" not in card.replace(LAST_DIAGNOSIS_NOTICE, "")
    assert "The label is the diagnosis at the visit of the scan." in render_card(record)


def test_the_card_of_the_builtin_model_is_the_one_of_its_record():
    folder = model_folder("builtin")
    assert (folder / "README.md").read_text(encoding="utf-8") == render_card(read_record(folder))


def test_the_same_state_gives_the_same_bytes(folder, tmp_path, tiny_base):
    state = load_file(folder / "adapter.safetensors")
    save_adapter(tmp_path, dict(reversed(state.items())), make_record(tiny_base))
    for name in ("adapter.safetensors", "adapter.json", "README.md"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


# ------------------------------------------------------------------------------------------------ refusals


def change_record(folder: Path, **changed) -> None:
    path = folder / "adapter.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def refused(folder: Path, words: str, kind=CheckpointError) -> None:
    with pytest.raises(kind, match=words) as caught:
        load_model(str(folder))
    assert caught.value.remedy


def test_a_folder_without_a_record(tmp_path):
    refused(tmp_path, "adapter.json|no adapter|not")


def test_a_newer_schema(folder):
    change_record(folder, schema_version=99)
    refused(folder, "99")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 1, "model": 3}'])
def test_a_damaged_record(folder, text):
    (folder / "adapter.json").write_text(text)
    refused(folder, "adapter.json")


def test_an_unknown_field_in_the_record(folder):
    change_record(folder, surprise=1)
    refused(folder, "adapter.json")


def test_missing_weights(folder):
    (folder / "adapter.safetensors").unlink()
    refused(folder, "adapter.safetensors")


def test_cut_weights(folder):
    path = folder / "adapter.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refused(folder, "safetensors")


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_keys_and_shapes_must_fit(folder, change):
    path = folder / "adapter.safetensors"
    state = load_file(path)
    if change == "missing":
        state.pop("text_prompts")
    elif change == "unknown":
        state["text_promts"] = torch.ones(1)
    else:
        state["text_prompts"] = torch.ones(7, 32)
    save_file(state, path)
    stamp(folder)  # hashes that fit, so that names and shapes are what is judged
    refused(folder, "text_pro")


def test_another_base(folder):
    record = json.loads((folder / "adapter.json").read_text())
    change_record(folder, base=record["base"] | {"sha256": "0" * 64})
    refused(folder, "base")


def test_a_base_that_is_not_the_one_recorded(tmp_path, tiny_base):
    copy = tmp_path / "base"
    shutil.copytree(tiny_base, copy)
    data = bytearray((copy / "base.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "base.safetensors").write_bytes(data)
    with pytest.raises(WeightsError):
        load_base(str(copy))


def test_no_such_base():
    with pytest.raises(WeightsError, match="m4d"):
        read_base("m4d")


def test_a_base_embeds_scans_and_texts(tiny_base):
    base = load_base(str(tiny_base))
    images = base.encode_image(torch.rand(2, 1, *CONTRACT.shape))
    texts = base.encode_text(["A photo of NC", "A photo of AD", "ventricles"])
    assert images.shape == (2, 32) and texts.shape == (3, 32)
    for found in (images, texts):
        torch.testing.assert_close(found.norm(dim=-1), torch.ones(len(found)))


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cuda"):
            choose_device("cuda")


# ------------------------------------------------------------------------------------------------ the builtin model


def test_the_builtin_model_is_whole_and_small():
    model = load_model("builtin")
    folder = Path(str(read_base("builtin").folder))
    assert set(load_file(folder / "adapter" / "adapter.safetensors")) == SAVED_KEYS | {"gate.mean", "gate.precision"}
    assert {path.name for path in (folder / "adapter").iterdir()} == {
        "adapter.safetensors",
        "adapter.json",
        "README.md",
    }
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 12e6
    assert "trained on simulated anatomy" in model.record.notice
    assert model.identity["id"] == "builtin"
    assert read_contract("builtin") == model.record.model.contract


def test_classes_in_another_order_than_the_task_s_are_refused(folder):
    data = json.loads((folder / "adapter.json").read_text())
    data["labels"] = data["labels"][::-1]
    (folder / "adapter.json").write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=r"adapter\.json"):
        read_record(folder)


def test_a_record_of_the_same_classes_in_another_order_is_refused(folder):
    """Both lists are turned round, so that only the weights know."""
    data = json.loads((folder / "adapter.json").read_text())
    data["labels"] = data["labels"][::-1]
    data["task"]["classes"] = data["task"]["classes"][::-1]
    (folder / "adapter.json").write_text(json.dumps(data))
    read_record(folder)
    refused(folder, "its classes are")


def road_with(name: str, **changed: object) -> dict:
    return {"calibration": {"roads": {name: changed or {"scan": 1.0}}}}


def merged(old: object, new: object) -> object:
    """Return `new` over `old`, key by key as deep as both have the same; a road's numbers by class are taken as they are."""
    if not (isinstance(old, dict) and isinstance(new, dict)) or set(new) & {"CN", "AD"}:
        return new
    return old | {name: merged(old.get(name), value) for name, value in new.items()}


EARLIER = {
    "subjects": 31, "temperature": 1.5, "scan_only_temperature": 2.5, "mmse_half_width": 3.0, "set_threshold": 0.25,
    "scan_only_set_threshold": 0.125, "cross_fitted": True, "gate_limit": 9.0, "report_subjects": 30, "calibrated": True,
    "scan_only_calibrated": True, "study_temperature": 1.25, "scan_only_study_temperature": 2.25,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (road_with(TABLE, temperature="warm"), "`temperature` must be a number above 0"),
        (road_with(TABLE, temperature=-1.0), "`temperature` must be a number above 0"),
        (road_with(SCAN, temperature=0), "`temperature` must be a number above 0"),
        (road_with(TABLE, study_temperature=-1), "`study_temperature` must be a number above 0, or null"),
        (road_with(TABLE, metadata=-0.1), "`scan`, `metadata` and `both` must be numbers of at least 0"),
        (road_with(TABLE, scan=0, metadata=0, both=0), "`scan`, `metadata` and `both` must be numbers of at least 0"),
        (road_with(TABLE, both=True), "`scan`, `metadata` and `both` must be numbers of at least 0"),
        (road_with(SCAN, both=0.5), "`scan` must be 1, and `metadata` and `both` 0"),
        (
            road_with(TABLE, thresholds={"CN": 0.1, "MCI": -0.1, "AD": 0.1}),
            "`thresholds` must be numbers of at least 0",
        ),
        (road_with(TABLE, thresholds={"CN": 0.1, "AD": 0.1}), "`thresholds` must give each of `labels`"),
        (road_with(TABLE, counts={"CN": 2.5}), "`counts` must be whole numbers"),
        (road_with("by the stars"), "`roads` must be of: scan, scan and row"),
        ({"calibration": {"coverage": 1}}, "`coverage` must be a number between 0 and 1"),
        ({"calibration": {"gate_limit": -2}}, "`gate_limit`"),
        (EARLIER | {"temperature": "warm"}, "`temperature` must be a number above 0"),
        (EARLIER | {"temperature": -1.0}, "`temperature` must be a number above 0"),
        (EARLIER | {"scan_only_temperature": 0}, "`scan_only_temperature` must be a number above 0"),
        (EARLIER | {"scan_only_study_temperature": 0}, "`scan_only_study_temperature` must be a number above 0"),
        (EARLIER | {"set_threshold": -0.1}, "`set_threshold` must be a number of at least 0"),
        (EARLIER | {"scan_only_set_threshold": "low"}, "`scan_only_set_threshold` must be a number of at least 0"),
        (EARLIER | {"gate_limit": -2}, "`gate_limit`"),
        (EARLIER | {"warmth": 1.0}, "not readable"),
        ({"style": "paper9"}, "`style` is none of"),
        ({"mmse_sd": 0}, "`mmse_sd`"),
        ({"metadata_baseline": {"class_order": ["AD", "MCI", "CN"]}}, "`metadata_baseline` has other classes"),
        ({"labels": ["AD", "MCI", "CN"]}, "`labels` are not the classes"),
    ],
)
def test_a_number_that_cannot_be_is_named(folder, changed, words):
    data = json.loads((folder / "adapter.json").read_text())
    if "subjects" in changed:  # a whole chapter, as models had it from before the sources were weighed
        changed, data["calibration"] = {}, changed
    for name, value in changed.items():
        data[name] = merged(data[name], value) if data[name] else value
    (folder / "adapter.json").write_text(json.dumps(data))
    refused(folder, words)


def test_what_is_no_model_is_told_apart(tmp_path):
    refused(tmp_path / "nope", "no such folder")
    with pytest.raises(CheckpointError, match="knows no diagnoses") as raised:
        read_record(Path("m3d-clip"))
    assert "adclip finetune --base m3d-clip" in raised.value.remedy
    (tmp_path / "run" / "private").mkdir(parents=True)
    refused(tmp_path / "run", "not an adclip model folder")
    (tmp_path / "run" / "private" / "config.toml").write_text("")
    refused(tmp_path / "run", "an unfinished run")


# ------------------------------------------------------------------------------------------------ parts of the record


def test_how_a_model_was_trained_is_read_and_written_word_for_word():
    content = json.loads((model_folder("builtin") / "adapter.json").read_text(encoding="utf-8"))
    training = Training.from_dict(content["training"])
    assert json.dumps(training.to_dict()) == json.dumps(content["training"])
    assert training.epochs == content["training"]["epochs"] and training.method == content["training"]["method"]
    assert training.volumes_sources == tuple(content["training"]["volumes_sources"])
    earlier = {"seed": 3, "colour": "red", "fold": None, "epochs": 2}
    training = Training.from_dict(earlier)
    assert training.to_dict() == earlier and training.volumes_sources is None and training.method == "prompt"
    stored = StoredBaseline.from_dict(content["metadata_baseline"])
    assert stored.to_dict() == content["metadata_baseline"] and stored.reads_volumes_of_table


def test_a_record_without_a_word_on_the_baseline_is_damaged(folder):
    data = json.loads((folder / "adapter.json").read_text())
    del data["metadata_baseline"]
    (folder / "adapter.json").write_text(json.dumps(data))
    refused(folder, "not readable")


# ------------------------------------------------------------------------------------------------ what the calibration taught


def test_the_calibration_is_read_as_it_was_written():
    labels = ("CN", "MCI", "AD")
    written = calibration_of({"CN": 12, "MCI": 10, "AD": 9}, {"CN": 0.1, "MCI": 0.2, "AD": 0.3})
    assert Calibration.from_dict(json.loads(json.dumps(written.to_dict())), labels) == written
    absent = written.road(TABLE_WITH_VOLUMES)
    assert (absent.scan, absent.metadata, absent.both, absent.temperature) == (0.0, 0.0, 1.0, 1.0)
    assert not absent.fitted and absent.thresholds is None, "nothing is taken from the roads that were taught"
    assert Calibration(0).road(SCAN) == Road(scan=1.0, both=0.0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"counts": {"CN": 30}}, "`counts`"), ({"counts": {"CN": 30, "MCI": 3, "PD": 3}}, "`counts`"), ({"fitted": "no"}, "`fitted`"),
        ({"cross_fitted": 1}, "`cross_fitted`"),
    ],
)  # fmt: skip
def test_a_road_that_nobody_wrote_is_refused(changed, words):
    labels = ("CN", "MCI", "AD")
    data = json.loads(json.dumps(calibration_of({"CN": 12, "MCI": 10, "AD": 9}).to_dict()))
    data["roads"][TABLE] |= changed
    with pytest.raises(ValueError, match=words):
        Calibration.from_dict(data, labels)
    data["roads"][TABLE] |= {"counts": {}, "fitted": True, "cross_fitted": False}
    assert Calibration.from_dict(data, labels).road(TABLE).least_probability == 0.0, "of nobody who was counted"


@pytest.mark.parametrize("subjects", ["x", "31", 3.0, -1, True, None])
def test_subjects_are_counted(subjects):
    for data in ({"subjects": subjects, "roads": {}}, {"subjects": subjects}):
        with pytest.raises(ValueError, match="`subjects`"):
            Calibration.from_dict(data, ("CN", "MCI", "AD"))


def test_a_model_from_before_the_sources_were_weighed_answers_by_its_two_roads():
    labels = ("CN", "MCI", "AD")
    found = Calibration.from_dict(EARLIER, labels)
    assert (found.subjects, found.mmse_half_width, found.gate_limit, found.coverage) == (31, 3.0, 9.0, 0.9)
    for name in ROADS:
        road = found.road(name)
        wanted = (1.0, 0.0, 0.0, 2.5, 2.25) if name == SCAN else (0.0, 0.0, 1.0, 1.5, 1.25)
        assert (road.scan, road.metadata, road.both, road.temperature, road.study_temperature) == wanted
        assert road.thresholds == dict.fromkeys(labels, 0.125 if name == SCAN else 0.25)
        assert road.fitted and road.cross_fitted
    partly = Calibration.from_dict(EARLIER | {"calibrated": False, "set_threshold": None}, labels)
    assert [partly.road(name).fitted for name in (SCAN, TABLE)] == [True, False]
    least = Calibration.from_dict({"subjects": 31}, labels)  # of the first version, which had no more to say
    assert least.road(TABLE).temperature == 1.0 and least.road(TABLE).fitted and least.road(TABLE).thresholds is None
    assert not Calibration.from_dict({"subjects": 0}, labels).road(SCAN).fitted


@pytest.mark.parametrize(("coverage", "least"), [(0.9, 9), (0.95, 19), (0.8, 4), (0.5, 1), (0.99, 99)])
def test_a_coverage_needs_so_many_people(coverage, least):
    """The ceil((n + 1) * coverage)-th smallest of n numbers is there from so many on."""
    assert least_subjects(coverage) == least
    assert math.ceil(round((least + 1) * coverage, 9)) <= least < math.ceil(round(least * coverage, 9)) + 1


def test_what_so_many_people_can_promise():
    """Drawn: thresholds of n people each, and the share of all others that they hold."""
    rng = np.random.default_rng(0)
    for count in (9, 19, 40):
        rank = math.ceil(round((count + 1) * 0.9, 9))
        drawn = np.sort(rng.random((20_000, count)), axis=1)[
            :, rank - 1
        ]  # of uniform numbers a threshold is its own coverage
        assert likely_coverage(count, 0.9) == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.012)
    low, high = likely_coverage(9, 0.9)
    assert low < 0.7 and high > 0.99, "nine people promise little"


def chapter_of(record: AdapterRecord) -> str:
    return render_card(record).split("## Calibration")[1].split("\n## ")[0]


def test_the_card_says_which_coverage_is_promised(tiny_base):
    counts = {"CN": 30, "MCI": 12, "AD": 9}
    record = dataclasses.replace(make_record(tiny_base), calibration=calibration_of(counts, dict.fromkeys(counts, 0.1)))
    chapter = chapter_of(record)
    assert "Prediction sets hold the true class with 90 % in each class" in chapter
    for label, count in counts.items():
        low, high = likely_coverage(count, 0.9)
        assert f"{label} {100 * low:.0f} % to {100 * high:.0f} %" in chapter
    assert f"- {SCAN}; {TABLE}: " in chapter and "o prediction sets" not in chapter and "cross-fitted" not in chapter
    assert f"| {TABLE} | CN 30, MCI 12, AD 9 | 0.250 | 0.500 | 0.750 | 1.500 |" in chapter
    roads = {name: dataclasses.replace(road, cross_fitted=True) for name, road in record.calibration.roads.items()}
    crossed = dataclasses.replace(record, calibration=dataclasses.replace(record.calibration, roads=roads))
    assert "The thresholds are cross-fitted." in chapter_of(crossed)


def test_the_card_says_why_there_are_no_sets(tiny_base):
    calibration = calibration_of({"CN": 30, "MCI": 8, "AD": 3})
    record = dataclasses.replace(make_record(tiny_base), calibration=calibration)
    words = "90 % needs at least 9 calibration subjects of each class, and of MCI there are 8 and AD there are 3"
    assert words in chapter_of(record) and "Prediction sets hold" not in chapter_of(record)
    assert f"answers that rest on {SCAN}; {TABLE}:" in chapter_of(record)
    higher = dataclasses.replace(calibration, coverage=0.95)
    assert "95 % needs at least 19" in chapter_of(dataclasses.replace(record, calibration=higher))
    enough = dict.fromkeys(("CN", "MCI", "AD"), 9)
    own = dataclasses.replace(calibration.road(SCAN), counts=enough, thresholds=dict.fromkeys(enough, 0.1))
    mixed = dataclasses.replace(calibration, roads={**calibration.roads, SCAN: own})
    chapter = chapter_of(dataclasses.replace(record, calibration=mixed))
    assert "Prediction sets hold" in chapter and f"- {SCAN}: CN " in chapter
    assert f"No prediction sets for answers that rest on {TABLE}: {words}." in chapter


def test_the_card_of_a_model_from_before_says_what_it_promised(tiny_base):
    earlier = Calibration.from_dict(EARLIER, ("CN", "MCI", "AD"))
    chapter = chapter_of(dataclasses.replace(make_record(tiny_base), calibration=earlier))
    assert (
        "over all classes together, holds the classes of at least 0.250, by the scan alone of at least 0.125."
        in chapter
    )
    assert (
        "The thresholds are cross-fitted." in chapter
        and f"| {TABLE} | not kept | 0.000 | 0.000 | 1.000 | 1.500 |" in chapter
    )
    assert f"| {SCAN} | not kept | 1.000 | 0.000 | 0.000 | 2.500 |" in chapter and "3.0 points" in chapter


def test_the_card_names_the_answers_that_nobody_taught(tiny_base):
    record = make_record(tiny_base)
    assert "ot calibrated" not in chapter_of(record), "a model without volumes is never told any"
    alone = dataclasses.replace(record.calibration, roads={SCAN: record.calibration.road(SCAN)})
    untaught = dataclasses.replace(record, calibration=alone)
    assert f"Not calibrated are answers that rest on {TABLE}: " in chapter_of(untaught)
    assert "ot calibrated" not in chapter_of(dataclasses.replace(untaught, reports=False))
    nothing = dataclasses.replace(record, calibration=Calibration(5, roads={SCAN: Road(scan=1.0, both=0.0)}))
    chapter = chapter_of(nothing)
    assert "Nothing is calibrated: the 5 calibration subjects" in chapter and "|" not in chapter
    width = dataclasses.replace(nothing.calibration, mmse_half_width=3.0)
    assert "+-3.0 points" in chapter_of(dataclasses.replace(nothing, calibration=width)), (
        "the interval was measured all the same"
    )
    assert "there was no calibration subject" in chapter_of(dataclasses.replace(record, calibration=Calibration(0)))
