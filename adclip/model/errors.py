"""What can go wrong in `adclip.model`, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from adclip.errors import CheckpointError, DeviceError, WeightsError


def is_baseline(path: Path | str) -> CheckpointError:
    return CheckpointError(
        f"{path}: a baseline for comparison; its numbers stand there, but no model to predict with",
        "use a RUN of `adclip finetune --method prompt`, `lora` or `full`",
    )


def missing(path: Path | str) -> CheckpointError:
    return CheckpointError(f"{path}: not an adclip model folder", "give the RUN that `adclip finetune --out RUN` wrote")


def no_folder(path: Path | str) -> CheckpointError:
    return CheckpointError(
        f"{path}: no such folder", "check the path after --model; without it the builtin model answers"
    )


def is_base(name: Path | str) -> CheckpointError:
    remedy = f"tune it with `adclip finetune --base {name} ...` and give that RUN"
    return CheckpointError(f"{name}: a base, which knows no diagnoses until it is tuned", remedy)


def unfinished(path: Path | str) -> CheckpointError:
    return CheckpointError(
        f"{path}: an unfinished run", "give its `adclip finetune` line again; it goes on where it stopped"
    )


def damaged(path: Path | str, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: {why}", "copy the folder again, or train again with `adclip finetune ... --overwrite`"
    )


def newer_schema(path: Path | str, schema: int, newest_schema: int) -> CheckpointError:
    return CheckpointError(
        f"{path}: written by a newer adclip (schema {schema}, known {newest_schema})",
        "upgrade: `pip install -U adclip`",
    )


def file_differs(path: Path | str) -> CheckpointError:
    return CheckpointError(
        f"{path}: SHA-256 differs from the one in adapter.json: the file was changed or damaged since it was written",
        "copy the whole RUN folder again, or train again with `adclip finetune ... --overwrite`",
    )


def bad_numbers(path: Path | str, name: str, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: `{name}` {what}",
        "the weights are damaged or were never trained: get the file again where it came from",
    )


def canary_differs(
    path: Path | str, name: str, found: float | None, stored: float | None, tolerance: float
) -> CheckpointError:
    return CheckpointError(
        f"{path}: the canary's `{name}` is {_digits(found)} here, adapter.json says {_digits(stored)} (tolerance {tolerance:g})",
        "the model does not answer here as it did where it was written: install the adclip version and libraries named in "
        "adapter.json, or copy the folder again",
    )


def _digits(value: float | None) -> str:
    return "absent" if value is None else f"{value:.6f}"


def bad_embedding(what: str, how: str) -> CheckpointError:
    return CheckpointError(
        f"the embedding of the {what} is {how}: the model has no answer",
        "check the weights with `adclip weights verify`; with --precision bf16 or fp16, try --precision fp32",
    )


def keys_differ(path: Path | str, missing: Iterable[str], unknown: Iterable[str]) -> CheckpointError:
    lack, extra = sorted(missing), sorted(unknown)
    return CheckpointError(
        f"{path}: weights do not fit the model; missing {lack[:5]}, unknown {extra[:5]}",
        "use the base model named in adapter.json, or train again",
    )


def base_keys_differ(path: Path | str, missing: Iterable[str], unknown: Iterable[str]) -> CheckpointError:
    lack, extra = sorted(missing), sorted(unknown)
    parts = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("names are missing", lack), ("are of no part of it", extra))
        if names
    ]
    return CheckpointError(
        f"{path}: not a whole base model in M3D-CLIP's layout: {'; '.join(parts)}",
        "give a checkpoint whose names are those of M3D-CLIP, as docs/how-to/use-m3d-clip.md lists them",
    )


def wrapped_names(path: Path | str, prefix: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: every name begins with `{prefix}`, which a wrapper put there when it was saved (`module.` is "
        "DataParallel's, `_orig_mod.` torch.compile's)",
        f"save the state of the model inside the wrapper, or rename the tensors without `{prefix}`",
    )


def shape_differs(
    path: Path | str, name: str, shape: tuple[int, ...], expected_shape: tuple[int, ...]
) -> CheckpointError:
    return CheckpointError(
        f"{path}: `{name}` has shape {shape}, the model needs {expected_shape}",
        "use the weights and the config.json that belong together, or train again",
    )


def not_safetensors(path: Path | str, what: str | None = None) -> CheckpointError:
    return CheckpointError(
        f"{path}: not a readable safetensors file ({what or 'cut short, or of another format'})",
        "copy it again; pickled weights have to be converted to safetensors first",
    )


def bad_base(path: Path | str, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: {why}", "give a folder in M3D-CLIP's layout: model.safetensors, config.json, vocab.txt"
    )


def bad_index(path: Path | str, why: str) -> CheckpointError:
    return CheckpointError(f"{path}: {why}", "get the index and all its files again from where they came")


def bad_vocabulary(path: Path | str, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: {why}", "give the vocab.txt of the text tower: WordPiece as BERT has it, UTF-8, one piece a line"
    )


def other_grid(shape: tuple[int, ...], expected_shape: tuple[int, ...]) -> CheckpointError:
    return CheckpointError(
        f"images of shape {shape}, the model takes (B, {', '.join(map(str, expected_shape))})",
        "preprocess with `--model` of the same name, or load the base with `contract=`",
    )


def other_base(path: Path | str, expected_sha256: str, actual_sha256: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: made for base weights {expected_sha256[:12]}, found {actual_sha256[:12]}",
        "install the adclip version that wrote it",
    )


def unknown_base(name: str, names: Iterable[str]) -> WeightsError:
    return WeightsError(f"no base model `{name}`", f"choose one of: {', '.join(names)}")


def hash_differs(path: Path | str) -> WeightsError:
    return WeightsError(
        f"{path}: SHA-256 differs from the recorded one",
        "fetch or import it again with --overwrite (`adclip weights verify` checks it); if it came with adclip, "
        "reinstall adclip",
    )


def not_fetched(name: str) -> WeightsError:
    return WeightsError(f"no weights for {name} on this machine", f"`adclip weights fetch {name}`")


def no_weights(path: Path | str) -> WeightsError:
    return WeightsError(
        f"{path}: no safetensors file there", "give the folder that holds model.safetensors, or the file"
    )


def part_missing(index: Path | str, name: str) -> WeightsError:
    return WeightsError(f"{index}: its file {name} is not beside it", "get all files that the index names")


def lone_part(path: Path | str) -> WeightsError:
    return WeightsError(
        f"{path}: one of several files of a model", "give the folder, or the file that ends in .safetensors.index.json"
    )


def several_files(path: Path | str, names: Sequence[str]) -> WeightsError:
    return WeightsError(f"{path}: holds several safetensors files ({', '.join(names[:4])})", "name the one to use")


def not_weights(path: Path | str, what: str) -> WeightsError:
    return WeightsError(f"{path}: {what}, not a safetensors file", "give the folder or file that holds the weights")


def pickled(path: Path | str) -> WeightsError:
    return WeightsError(
        f"{path}: not a safetensors file; pickled weights can run code when they are opened, so adclip never does",
        "convert it to safetensors where you trust it, and give that file",
    )


def no_tokenizer(path: Path | str) -> WeightsError:
    return WeightsError(f"{path}: no vocab.txt for its text tower", "give it with `--tokenizer vocab.txt`")


def other_vocabulary(path: Path | str, entries: int, expected_entries: int) -> WeightsError:
    return WeightsError(
        f"{path}: {entries} entries, the text tower knows {expected_entries}",
        "give the vocab.txt that belongs to the weights, with `--tokenizer`",
    )


def offline(repository: str) -> WeightsError:
    return WeightsError(
        f"{repository}: HF_HUB_OFFLINE forbids the network",
        "unset it; or on another machine `adclip weights fetch` and `adclip weights export m3d-clip`, and here "
        "`adclip weights import m3d-clip.adclip.zip`",
    )


def connection_broke(repository: str, why: str) -> WeightsError:
    return WeightsError(
        f"{repository}: the hub cannot be reached, or the connection broke off ({why})",
        "run the same command again, it continues where it stopped; behind a proxy set HTTPS_PROXY, for a mirror "
        "HF_ENDPOINT; without any network, `adclip weights import`",
    )


def hub_refuses(repository: str, why: str) -> WeightsError:
    return WeightsError(f"{repository}: the hub refuses ({why})", "check HF_ENDPOINT, HF_TOKEN and --revision")


def hub_nonsense(repository: str, why: str) -> WeightsError:
    return WeightsError(f"{repository}: the hub's record is of no use ({why})", "check HF_ENDPOINT, or try later")


def wrong_content(repository: str, file: str, why: str) -> WeightsError:
    return WeightsError(
        f"{repository}: {file} is not what the hub's record says ({why}); it was deleted",
        "run the same command again; if it happens again, check HF_ENDPOINT and the proxy",
    )


def other_revision(name: str, pinned: str, requested: str) -> WeightsError:
    return WeightsError(
        f"{name}: revision {pinned[:12]} is here, {requested[:12]} was asked for; adapters are tied to the first",
        "add --overwrite to replace it",
    )


def changed_upstream(name: str, pinned_sha256: str, hub_sha256: str) -> WeightsError:
    return WeightsError(
        f"{name}: the hub now has other weights (SHA-256 {hub_sha256[:12]}) under the recorded revision ({pinned_sha256[:12]})",
        "do not use them; if you trust the change, delete the folder that `adclip weights path` names, and fetch again",
    )


def other_weights(name: str, stored_sha256: str, new_sha256: str) -> WeightsError:
    return WeightsError(
        f"{name}: other weights of that name are here (SHA-256 {stored_sha256[:12]}, given {new_sha256[:12]})",
        "choose another --name, or add --overwrite",
    )


def not_an_archive(path: Path | str) -> WeightsError:
    return WeightsError(f"{path}: not a whole archive of `adclip weights export`", "copy it again, or export it again")


def is_a_run(path: Path | str) -> WeightsError:
    return WeightsError(f"{path}: holds a tuned model, not a base", "unzip it into a folder and give that to --model")


def not_in_store(name: str) -> WeightsError:
    return WeightsError(f"{name}: not in the store yet", f"`adclip weights import {name}` first")


def vocabulary_of_adapter(folder: Path | str, weights: Path | str) -> WeightsError:
    return WeightsError(
        f"{folder}: the vocab.txt that this model was tuned with is no longer on this machine",
        f"put it back where it was, or beside {weights}",
    )


def base_of_adapter(name: str, sha256: str) -> WeightsError:
    return WeightsError(
        f"the base model `{name}` (SHA-256 {sha256[:12]}...) that this adapter was made for is not on this machine",
        f"`adclip weights import FOLDER --name {name}` with the folder or file that holds it",
    )


def no_precision(precision: str, device: str) -> DeviceError:
    return DeviceError(f"--precision {precision}: not on {device}", "use --precision bf16 or fp32")
