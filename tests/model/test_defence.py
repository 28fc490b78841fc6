"""A model takes no number on trust: hashes, values, its canary; and it finds the base that it was tuned on again."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
from pathlib import Path

import pytest
import torch
from originals import SMALL_TEXT, shard, write_original
from safetensors.torch import load_file, save_file
from tiny import CONTRACT, finetune_config, write_base

from adclip.errors import CheckpointError, WeightsError
from adclip.model import build, inventory, places, store, tensor_files
from adclip.model.base_model import load_base
from adclip.model.bases import BUILTIN_FOLDER, find_weights, read_base
from adclip.model.checkpoint import base_options, load_model
from adclip.model.hub import _choose_weights
from adclip.model.integrity import UNHASHED, stamp
from adclip.model.places import find_base, remember
from adclip.model.record import RECORD_HASH, read_record
from adclip.model.store import adopt
from adclip.model.text import read_tokenizer
from adclip.prediction.canary import TOLERANCE, ask_canary, check_canary, make_image, stamp_run
from adclip.runtime.events import ignore
from adclip.verbs.finetune import finetune
from adclip.verbs.settings import WeightsConfig
from adclip.verbs.weights import weights

WEIGHTS = "adapter.safetensors"


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A RUN of the test's own."""
    return Path(shutil.copytree(tiny_run, tmp_path / "copy"))


def refused(folder: Path, *words: str, kind: type[Exception] = CheckpointError) -> None:
    with pytest.raises(kind) as caught:
        load_model(str(folder))
    told = str(caught.value)
    assert all(word in told for word in words), told
    assert caught.value.remedy  # type: ignore[attr-defined]


def change_tensor(path: Path, name: str, change) -> None:
    state = load_file(path)
    metadata = {"classes": json.dumps(["CN", "MCI", "AD"])} if path.name == WEIGHTS else None
    state[name] = change(state[name])
    save_file(state, path, metadata=metadata)


def nan_first(value: torch.Tensor) -> torch.Tensor:
    value.view(-1)[0] = float("nan")
    return value


def endless_last(value: torch.Tensor) -> torch.Tensor:
    value.view(-1)[-1] = float("-inf")
    return value


BAD_NUMBERS = [
    (nan_first, "not finite"), (endless_last, "not finite"), (torch.zeros_like, "zero everywhere"),
    (lambda value: (100 * value).to(torch.int32), "int32"),
]  # fmt: skip


# ------------------------------------------------------------------------------------------------ hashes


def test_any_flipped_bit_of_the_weights_or_the_card_is_noticed(run):
    numbers = random.Random(0)
    for name in (WEIGHTS, "README.md"):
        path, whole = run / name, (run / name).read_bytes()
        for _ in range(14):
            data = bytearray(whole)
            data[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)
            path.write_bytes(data)
            refused(run, name, "SHA-256 differs")
        path.write_bytes(whole)
    load_model(str(run))


def test_a_missing_card_is_named(run):
    (run / "README.md").unlink()
    refused(run, "README.md is missing")


def test_a_record_of_before_the_hashes_loads_with_a_note_and_can_be_stamped(run, caplog):
    path, whole = run / "adapter.json", read_record(run)
    data = json.loads(path.read_text())
    written = data.pop("files")
    del data["canary"], data[RECORD_HASH]
    path.write_text(json.dumps(data))
    caplog.set_level("INFO", logger="adclip")
    assert load_model(str(run)).notes == (UNHASHED,)
    assert "names no hashes" in caplog.text
    assert weights(WeightsConfig("verify", str(run))).runs[0].state == "whole, no hashes recorded"
    assert stamp(run).files == written
    assert load_model(str(run)).notes == ()
    assert stamp_run(run) == whole
    assert weights(WeightsConfig("verify", str(run))).runs[0].canary == "answers as recorded"


def test_a_number_that_somebody_changed_in_the_record_is_found(run):
    """Calibration, shares and measured numbers stand in no other file, and the canary answers before them."""
    path = run / "adapter.json"
    whole = json.loads(path.read_text())
    for change in (
        {"mmse_mean": whole["mmse_mean"] + 1},
        {"prior": {"CN": 0.4, "MCI": 0.3, "AD": 0.3}},
        {"notice": "safe"},
    ):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(CheckpointError, match="was changed since it was written"):
            weights(WeightsConfig("verify", str(run)))
    path.write_text(json.dumps(whole, indent=7))  # laid out otherwise it says the same
    assert weights(WeightsConfig("verify", str(run))).runs[0].state == "whole"


def test_a_model_without_its_record_is_no_unfinished_run(run):
    (run / "adapter.json").unlink()
    refused(run, "adapter.json is missing")
    with pytest.raises(CheckpointError, match=r"adapter\.json is missing"):
        weights(WeightsConfig("verify", str(run)))


@pytest.mark.parametrize("files", [{"adapter.safetensors": 3}, ["a"], "abc", {}, {"README.md": "0" * 64}])
def test_hashes_that_are_none_are_a_damaged_record(run, files):
    path = run / "adapter.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": files}))
    refused(run, "adapter.json")


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(("change", "words"), BAD_NUMBERS)
@pytest.mark.parametrize("name", ["mm_vision_proj.weight", "text_prompts", "gate.precision"])
def test_an_adapter_of_no_numbers_is_refused_by_tensor(run, name, change, words):
    change_tensor(run / WEIGHTS, name, change)
    stamp(run)
    refused(run, WEIGHTS, f"`{name}`", words)


@pytest.mark.parametrize(("change", "words"), BAD_NUMBERS)
@pytest.mark.parametrize("name", ["vision_encoder.blocks.1.attn.qkv.weight", "language_encoder.pooler.dense.weight"])
def test_a_base_of_no_numbers_is_refused_at_import_and_at_load(tmp_path, name, change, words):
    folder = write_original(tmp_path / "base")
    change_tensor(folder / "model.safetensors", name, change)
    with pytest.raises(CheckpointError, match=rf"{name}.*{words}"):
        adopt(folder, "ours", None, ignore, overwrite=False)
    with pytest.raises(WeightsError):
        read_base("ours")
    with pytest.raises(CheckpointError, match=rf"{name}.*{words}"):
        load_base(str(folder)).encode_text(["a photo"])  # the text tower is read when the first text comes


def test_zeros_are_allowed_where_a_layer_begins_at_nothing(tmp_path):
    folder = write_original(tmp_path / "base")
    change_tensor(folder / "model.safetensors", "vision_encoder.norm.bias", torch.zeros_like)
    load_base(str(folder))


def test_a_text_tower_that_says_nothing_is_an_error_not_an_answer(tmp_path):
    folder = write_original(tmp_path / "base")
    base = load_base(str(folder))
    with torch.no_grad():
        for part in (base.network.mm_vision_proj, base.network.mm_language_proj):
            part.weight.zero_()
            part.bias.zero_()
    with pytest.raises(CheckpointError, match="embedding of the scan is zero"):
        base.encode_image(torch.rand(1, 1, *base.contract.shape))
    with pytest.raises(CheckpointError, match="embedding of the text is zero"):
        base.encode_text(["a photo"])


@pytest.mark.parametrize(("number", "word"), [(0.0, "zero"), (float("nan"), "not finite")])
def test_an_embedding_without_a_direction_is_no_prediction(run, tiny_cohort, number, word):
    from adclip.prediction.predictor import Predictor

    predictor = Predictor.from_checkpoint(run, "cpu", volumes=False)
    projection = predictor.reader.network.mm_vision_proj
    with torch.no_grad():
        projection.weight.fill_(number)
        projection.bias.fill_(number)
    with pytest.raises(CheckpointError, match=f"embedding of the scan is {word}"):
        predictor(next(tiny_cohort.rglob("*_T1w.nii.gz")))


# ------------------------------------------------------------------------------------------------ the canary


def test_the_canary_is_the_same_image_everywhere():
    image = make_image(CONTRACT)
    assert image.shape == CONTRACT.shape and image.dtype == "float32"
    assert image.min() >= 0 and image.max() <= 1 and image.std() > 0.1
    assert (image[0, 0, 0], image[16, 20, 16]) == pytest.approx((0.0, 0.625), abs=0.1)
    assert (image == make_image(CONTRACT)).all()


def test_a_run_keeps_its_canary_and_verify_asks_again(run):
    stored = read_record(run).canary
    assert stored is not None and set(stored.scores) == {"CN", "MCI", "AD"} and stored.mmse is not None
    assert stored.scores != stored.scan_only
    (checked,) = weights(WeightsConfig("verify", str(run))).runs
    assert checked.canary == "answers as recorded" and checked.canary_difference is not None
    assert checked.canary_difference <= 2e-5 and checked.canary_tolerance == TOLERANCE


@pytest.mark.parametrize(
    "changed",
    [
        {"rule": "x"},
        {"rule": 1.0},
        {"rule": True},
        {"scores": {"CN": 1.0}},
        {"scan_only": {"CN": 1.0, "MCI": 1.0, "PD": 1.0}},
    ],
)
def test_a_canary_that_nobody_wrote_is_a_damaged_record(run, changed):
    path = run / "adapter.json"
    data = json.loads(path.read_text())
    data["canary"] |= changed
    path.write_text(json.dumps(data))
    refused(run, "adapter.json", "`canary` must")


def test_other_words_or_weights_are_told_by_the_canary(run, monkeypatch):
    change_tensor(run / WEIGHTS, "mm_vision_proj.bias", lambda value: value + 0.05)
    stamp(run)
    model = load_model(str(run))  # hashes and numbers fit
    with pytest.raises(CheckpointError, match=r"canary's `s\w+\.CN`"):
        check_canary(model, run)
    with pytest.raises(CheckpointError, match="tolerance"):
        weights(WeightsConfig("verify", str(run)))


def test_a_canary_that_lost_an_answer_is_told(run):
    model = load_model(str(run))
    canary = dataclasses.replace(ask_canary(model), mmse=None)
    changed = dataclasses.replace(model, record=dataclasses.replace(model.record, canary=canary))
    with pytest.raises(CheckpointError, match=r"`mmse` is -?\d.*says absent"):
        check_canary(changed, run)


# ------------------------------------------------------------------------------------------------ the base is found again


@pytest.fixture
def hub_cache(tmp_path: Path) -> Path:
    """A snapshot folder as huggingface_hub makes it: links to blobs without suffixes."""
    original = write_base(tmp_path / "made")
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("c" * 40)
    blobs = snapshot.parents[1] / "blobs"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (original / "base.json").unlink()
    record = {
        "img_size": [32, 40, 32],
        "patch_size": [8, 8, 8],
        "num_heads": 4,
        "text_config": {"num_attention_heads": 4},
    }
    (original / "config.json").write_text(json.dumps(record))
    for number, path in enumerate(sorted(original.iterdir())):
        name = "model.safetensors" if path.name == "base.safetensors" else path.name
        shutil.copyfile(path, blobs / f"{number:040x}")
        (snapshot / name).symlink_to(Path("..") / ".." / "blobs" / f"{number:040x}")
    return snapshot


def tuned_on(base: Path, cohort: Path, out: Path, **changed) -> Path:
    grid = read_base(str(base)).config.contract
    assert grid.shape == CONTRACT.shape
    finetune(finetune_config(cohort, base, out, epochs=1, **changed))
    return out


@pytest.fixture
def cohort_of_cache(hub_cache: Path, tmp_path: Path) -> Path:
    """People on the grid that a base of the original layout has: its box, not the tiny one's."""
    import tiny

    contract = read_base(str(hub_cache)).config.contract
    before, tiny.CONTRACT = tiny.CONTRACT, contract
    try:
        tiny.write_cohort(tmp_path / "cohort")
    finally:
        tiny.CONTRACT = before
    return tmp_path / "cohort"


def test_a_model_tuned_on_a_hub_cache_finds_its_base_again(hub_cache, cohort_of_cache, tmp_path, monkeypatch):
    run = tuned_on(hub_cache, cohort_of_cache, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "home" if (tmp_path / "home").is_dir() else "/")
    assert load_model(str(run)).identity["id"] == "run"
    assert base_options(str(run))[:1] == ["--base"]
    assert read_base(base_options(str(run))[1]).sha256 == read_record(run).base["sha256"]


def test_a_blob_is_known_by_its_content(hub_cache):
    blob = (hub_cache / "model.safetensors").resolve()
    assert blob.suffix == ""
    assert find_weights(blob) == blob


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_a_link_to_what_is_gone_is_no_file(tmp_path, gone):
    """Of a cache whose blobs were cleared: told, not met when it is opened."""
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "model.safetensors").symlink_to(tmp_path / "blob")
    if gone == "folder":
        (tmp_path / "blob").mkdir()
    with pytest.raises(WeightsError, match="no safetensors file there"):
        read_base(str(snapshot))
    shutil.copyfile(write_original(tmp_path / "base") / "model.safetensors", snapshot / "weights.safetensors")
    assert find_weights(snapshot).name == "weights.safetensors"


def test_a_lone_file_and_its_vocabulary_are_remembered(hub_cache, cohort_of_cache, tmp_path):
    lone = tmp_path / "lone"
    lone.mkdir()
    for name in ("model.safetensors", "config.json"):
        shutil.copyfile(hub_cache / name, lone / name)
    vocabulary = tmp_path / "words" / "our-vocab.txt"
    vocabulary.parent.mkdir()
    shutil.copyfile(hub_cache / "vocab.txt", vocabulary)
    run = tuned_on(lone / "model.safetensors", cohort_of_cache, tmp_path / "run", tokenizer=vocabulary)
    assert load_model(str(run)).tokenizer.get_vocab_size() == SMALL_TEXT["words"]
    assert base_options(str(run)) == ["--base", str(lone / "model.safetensors"), "--tokenizer", str(vocabulary)]
    # another vocabulary of the same length lies beside the weights by now: it would read other words
    lines = (hub_cache / "vocab.txt").read_text().splitlines()
    (lone / "vocab.txt").write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]) + "\n")
    assert load_model(str(run)).tokenizer.get_vocab() == read_tokenizer(vocabulary).get_vocab()
    vocabulary.unlink()
    refused(run, "vocab.txt", "no longer on this machine", kind=WeightsError)
    with pytest.raises(WeightsError) as caught:
        load_model(str(run))
    assert "--tokenizer" not in caught.value.remedy  # predict has no such option


def test_a_base_in_the_store_with_a_vocabulary_from_elsewhere(tmp_path):
    folder = write_original(tmp_path / "base")
    adopt(folder, "ours", None, ignore, overwrite=False)
    other = tmp_path / "other.txt"
    lines = (folder / "vocab.txt").read_text().splitlines()
    other.write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]) + "\n")
    base = read_base("ours", other)
    remember(base)
    assert find_base("ours", base.sha256, base.vocabulary_sha256).vocabulary == other
    assert find_base("ours", base.sha256).vocabulary == base.folder / "vocab.txt"


# ------------------------------------------------------------------------------------------------ several files


def test_parts_are_read_by_their_index_and_imported_whole(tmp_path):
    whole = write_original(tmp_path / "whole")
    parts = Path(shutil.copytree(whole, tmp_path / "parts"))
    index = shard(parts)
    images = torch.rand(2, 1, *read_base(str(whole)).config.contract.shape, generator=torch.Generator().manual_seed(0))
    wanted = load_base(str(whole))
    for place in (parts, index):
        found = load_base(str(place))
        assert torch.equal(found.encode_image(images), wanted.encode_image(images))
        assert torch.equal(found.encode_text(["a photo"]), wanted.encode_text(["a photo"]))
    kept = adopt(parts, "parts", None, ignore, overwrite=False)
    assert kept.path is not None and len(list(kept.path.glob("*.safetensors"))) == 3
    assert weights(WeightsConfig("verify", "parts")).bases[0].sha256 == read_base(str(parts)).sha256
    archive = weights(WeightsConfig("export", "parts", out=tmp_path / "parts.zip")).path
    assert archive is not None
    assert adopt(archive, "again", None, ignore, overwrite=False).sha256 == kept.sha256
    part = sorted(kept.path.glob("*.safetensors"))[1]
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    os.chmod(part, 0o644)
    part.write_bytes(data)
    with pytest.raises(WeightsError, match=part.name):
        weights(WeightsConfig("verify", "parts"))
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        load_base("parts")


def test_files_of_an_import_are_hashed_once_to_record_and_once_to_check(tmp_path, monkeypatch):
    whole, parts = write_original(tmp_path / "whole"), write_original(tmp_path / "parts")
    shard(parts)
    hashed: list[str] = []
    real = tensor_files.file_sha256

    def count(path: Path) -> str:
        hashed.append(path.name)
        return real(path)

    for module in (tensor_files, inventory, store):
        monkeypatch.setattr(module, "file_sha256", count)
    for folder in (whole, parts):
        hashed.clear()
        kept = adopt(folder, folder.name, None, ignore, overwrite=False)
        base = read_base(folder.name)
        counts = {path.name: hashed.count(path.name) for path in tensor_files.parts_of(base.weights)}
        assert kept.sha256 == tensor_files.weights_sha256(base.weights)
        # when it is read where it comes from, when it is recorded, and when the copy is checked
        assert set(counts.values()) == {3}, counts


def test_an_index_is_read_once_for_all_tensors(tmp_path, monkeypatch):
    """In low precision each tensor has a mapping of its own; that the index fits its parts is looked at before."""
    folder = write_original(tmp_path / "base")
    shard(folder)
    base, read = read_base(str(folder)), []
    real = tensor_files.read_index
    monkeypatch.setattr(tensor_files, "read_index", lambda index: read.append(index) or real(index))
    with build.open_state(base, dtype=torch.bfloat16) as state:
        halves = dict(state)
    assert len(read) == 2 < len(halves), "once for the parts, once to compare"
    with build.open_state(base) as state:
        assert state.keys() == halves.keys()
        differing = [
            name for name, value in state.items() if not torch.equal(value.to(halves[name].dtype), halves[name])
        ]
    assert not differing


@pytest.mark.parametrize("damage", ["part gone", "name twice", "name missing", "elsewhere", "empty", "no json"])
def test_an_index_that_does_not_fit_its_parts_is_told(tmp_path, damage):
    folder = write_original(tmp_path / "base")
    index = shard(folder)
    places = json.loads(index.read_text())["weight_map"]
    name = "mm_vision_proj.weight"
    if damage == "part gone":
        (folder / places[name]).unlink()
    elif damage == "name twice":
        other = next(file for file in set(places.values()) if file != places[name])
        state = load_file(folder / other)
        save_file(state | {name: torch.ones(2)}, folder / other)
    elif damage == "name missing":
        del places[name]
    elif damage == "elsewhere":
        places[name] = "../up.safetensors"
    index.write_text("{" if damage == "no json" else json.dumps({"weight_map": {} if damage == "empty" else places}))
    with pytest.raises((CheckpointError, WeightsError)) as caught:
        read_base(str(folder))
    assert "index" in str(caught.value) and caught.value.remedy


def test_one_part_of_several_is_not_taken_for_a_model(tmp_path):
    shard(write_original(tmp_path / "base"))
    with pytest.raises(WeightsError, match="one of several files"):
        read_base(str(tmp_path / "base" / "model-00002-of-00003.safetensors"))


def test_a_sharded_model_is_fetched_whole():
    parts = [f"model-0000{number}-of-00002.safetensors" for number in (2, 1)]
    assert _choose_weights(["README.md", *parts, "model.safetensors.index.json", "other.safetensors"]) == [
        "model.safetensors.index.json", *sorted(parts),
    ]  # fmt: skip
    assert _choose_weights(["model.safetensors", *parts, "model.safetensors.index.json"]) == ["model.safetensors"]
    assert _choose_weights(["a.safetensors"]) == ["a.safetensors"] and _choose_weights(["a.bin"]) == []


# ------------------------------------------------------------------------------------------------ messages that say what it is


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "lacks [CLS]"),
        (b"\xff\xfe[\x00C\x00", "not UTF-8"),
        ("caf\u00e9\n[CLS]\n".encode("latin-1"), "not UTF-8"),
        (b"", "lacks [CLS], [SEP], [UNK]"),
    ],
)
def test_what_is_no_vocabulary_is_told(tmp_path, content, words):
    folder = write_original(tmp_path / "base")
    good = (folder / "vocab.txt").read_text()
    (folder / "vocab.txt").write_bytes(good.replace("[CLS]", "[XLS]").encode() if content is None else content)
    with pytest.raises(CheckpointError) as caught:
        load_base(str(folder)).encode_text(["a photo"])
    assert words in str(caught.value) and "vocab.txt" in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_names_of_a_wrapped_model_are_told(tmp_path, wrapper):
    folder = write_original(tmp_path / "base")
    state = load_file(folder / "model.safetensors")
    save_file({wrapper + name: value for name, value in state.items()}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"every name begins with `{wrapper}`"):
        read_base(str(folder))


def test_names_that_do_not_fit_speak_of_the_base(tmp_path):
    folder = write_original(tmp_path / "base")
    state = load_file(folder / "model.safetensors")
    state["extra.weight"] = state.pop("mm_vision_proj.bias")
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        read_base(str(folder))
    told = str(caught.value) + caught.value.remedy
    assert "mm_vision_proj.bias" in told and "extra.weight" in told and "M3D-CLIP's layout" in told
    assert "adapter.json" not in told and "train again" not in told


@pytest.mark.parametrize("kind", ["torch.save", "old pickle", "page", "pointer", "gguf"])
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, kind):
    path = tmp_path / "pytorch_model.bin"
    if kind == "torch.save":
        torch.save({"a": torch.zeros(2)}, path)
    else:
        start = {"old pickle": b"\x80\x02}q\x00.", "page": b"<!DOCTYPE html><html>", "gguf": b"GGUF\x03\x00\x00\x00",
                 "pointer": b"version https://git-lfs.github.com/spec/v1\n"}[kind]  # fmt: skip
        path.write_bytes(start.ljust(64))
    words = {"page": "a web page", "pointer": "git-lfs pointer", "gguf": "GGUF"}.get(
        kind, "pickled weights can run code"
    )
    for take in (lambda: adopt(path, "x", None, ignore, overwrite=False), lambda: read_base(str(path))):
        with pytest.raises(WeightsError) as caught:
            take()
        assert words in str(caught.value) and "archive" not in str(caught.value)


def test_a_bin_that_is_safetensors_is_read(tmp_path):
    folder = write_original(tmp_path / "base")
    renamed = folder / "weights.bin"
    (folder / "model.safetensors").rename(renamed)
    assert read_base(str(renamed)).weights == renamed


def test_the_options_that_tune_the_base_of_a_model(tmp_path, tiny_run, tiny_base):
    assert base_options("builtin") == [] and base_options("m3d-clip") == ["--base", "m3d-clip"]
    assert base_options(str(tiny_run)) == ["--base", str(tiny_base)]
    folder = write_original(tmp_path / "base")
    assert base_options(str(folder)) == ["--base", str(folder)]
    assert base_options(str(BUILTIN_FOLDER / "adapter")) == []


def test_the_options_are_told_without_the_base_and_without_hashing(run, tmp_path, monkeypatch):
    """They end a printed hint: a base that is elsewhere is no reason to fail, and 792 MB are none to be read for it."""
    original = write_original(tmp_path / "original")
    adopt(original, "kept", None, ignore, overwrite=False)
    record = json.loads((run / "adapter.json").read_text())
    sha256 = read_base("kept").sha256

    def options(name: str, sha256: str, **more: str) -> list[str]:
        record["base"] = {"name": name, "revision": "r", "sha256": sha256} | more
        (run / "adapter.json").write_text(json.dumps(record))
        return base_options(str(run))

    remember(read_base(str(original)))
    words = tmp_path / "words.txt"
    shutil.copyfile(original / "vocab.txt", words)
    words.write_text(words.read_text() + "more\n")
    vocabulary = dataclasses.replace(read_base("kept"), vocabulary=words)
    remember(vocabulary)
    for module in (tensor_files, places):
        monkeypatch.setattr(module, "file_sha256", lambda path: pytest.fail(f"{path} was hashed"))
    assert options("gone", "0" * 64) == ["--base", "gone"]
    assert options("kept", sha256) == ["--base", "kept"]
    assert options("elsewhere", sha256) == ["--base", "kept"], "by its hash, whatever it was called there"
    assert options("kept", "1" * 64) == ["--base", "kept"], "nothing better is known"
    own = json.loads((places.store() / places.PLACES).read_text())
    (known,) = [key for key, place in own.items() if place == str(words)]
    assert options("kept", sha256, vocabulary=known) == ["--base", "kept", "--tokenizer", str(words)]
    words.unlink()
    assert options("kept", sha256, vocabulary=known) == ["--base", "kept"]
    shutil.rmtree(places.store() / "kept")
    assert options("original", sha256) == ["--base", str(original / "model.safetensors")]
    (places.store() / "damaged").mkdir()
    (places.store() / "damaged" / "base.json").write_text("{")
    assert options("gone", "0" * 64) == ["--base", "gone"]


def test_eight_bytes_may_be_the_beginning_of_anything():
    """The length of a header in safetensors can look like the start of a pickle; a download may have broken off there."""
    length = (640).to_bytes(8, "little")
    assert length[:2] == b"\x80\x02"
    assert tensor_files.looks_like(length) is None and tensor_files.looks_like(length + b"{") is None
    assert tensor_files.looks_like(length + b"}") == tensor_files.PICKLED
    assert tensor_files.looks_like(b"") is None
