"""The RUN folder: an adapter that explains itself, in and out.

`adapter.safetensors` holds only our parameters, `adapter.json` everything needed to use them. Both, and the model card
`README.md`, can be shared; individual data stand under `private/`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import InputContract
from adclip.model import errors
from adclip.model.bases import BASE_RECORD, KNOWN, read_base, store
from adclip.model.integrity import CARD, check_files, hash_files
from adclip.model.places import check_base_of, find_base, options_of
from adclip.model.record import (
    ADAPTER_RECORD,
    ADAPTER_WEIGHTS,
    BASELINE_RECORD,
    AdapterRecord,
    model_folder,
    read_record,
)
from adclip.runtime.paths import atomic_path, write_bytes, write_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from adclip.model.gate import Gate
    from adclip.model.network import Network, TextTokens
    from adclip.model.record_parts import Canary

_log = logging.getLogger(__name__)
# The encoded class phrases stand beside the parameters, so that a scan without a report never loads the text tower.
# Their order stands in the file too: two records that were mixed up would otherwise answer with each other's classes.
CLASSES = "classes"
CLASS_TOKENS, CLASS_WORDS = "class_texts.tokens", "class_texts.words"


def read_contract(model: str) -> InputContract:
    """Return the input contract of `builtin`, a RUN folder or a base model, without loading any weights."""
    if (Path(model) / ADAPTER_RECORD).is_file():
        return read_record(Path(model)).model.contract
    if model in KNOWN and not (store() / model / BASE_RECORD).is_file():
        return KNOWN[model].config.contract
    if model == "builtin" or (store() / model / BASE_RECORD).is_file() or (Path(model) / BASE_RECORD).is_file():
        return read_base(model).config.contract
    return read_record(model_folder(model)).model.contract


def base_options(model: str) -> list[str]:
    """Return the options of `adclip finetune` that tune the base of `model` (see `read_contract`), none for the builtin one."""
    folder = Path(model)
    if model == "builtin" or (model in KNOWN and not folder.exists()):
        return [] if model == "builtin" else ["--base", model]
    if not (folder / ADAPTER_RECORD).is_file():
        return ["--base", model]
    return options_of(read_record(folder))


def save_adapter(
    folder: Path,
    state: dict[str, Tensor],
    record: AdapterRecord,
    make_room: Callable[[], None] = lambda: None,
    ask_canary: Callable[[LoadedModel], Canary] | None = None,
) -> str:
    """Write the adapter's weights, then its model card and record; returns the SHA-256 of the weights.

    The record comes last, with the hashes of the others: a folder with `adapter.json` is complete. An earlier model is removed by
    `make_room` when the new weights are on the disk, so that a full disk does not cost it. With `ask_canary` what is on the disk is
    loaded as `predict` loads it, on the CPU in full precision, and its answer to the canary is kept.
    """
    from safetensors.torch import save

    from adclip.model.card import render_card

    data = save(state, metadata={CLASSES: json.dumps(record.labels)})
    with atomic_path(folder / ADAPTER_WEIGHTS) as temporary:
        temporary.write_bytes(data)
        make_room()
    write_text(folder / CARD, render_card(record))
    record = dataclasses.replace(record, files=hash_files(folder))
    if ask_canary is not None:
        record = dataclasses.replace(record, canary=ask_canary(open_model(folder, record)))
    write_text(folder / ADAPTER_RECORD, record.to_json())
    return hashlib.sha256(data).hexdigest()


def save_baseline(folder: Path, record: AdapterRecord) -> None:
    """Write the record and card of a method that is measured for comparison and has no weights to share."""
    from adclip.model.card import render_card

    write_text(folder / CARD, render_card(record))
    write_text(folder / BASELINE_RECORD, dataclasses.replace(record, files=hash_files(folder)).to_json())


def check_weights(folder: Path) -> None:
    """Raise CheckpointError unless the adapter's weights are there and can be read."""
    from safetensors import SafetensorError, safe_open

    path = folder / ADAPTER_WEIGHTS
    if not path.is_file():
        raise errors.damaged(folder, f"{ADAPTER_WEIGHTS} is missing")
    try:
        with safe_open(path, framework="pt"):
            pass
    except SafetensorError as error:
        raise errors.damaged(path, "not a readable safetensors file") from error


def write_tensors(path: Path, state: dict[str, Tensor]) -> None:
    """Write tensors as a safetensors file, whole or not at all."""
    from safetensors.torch import save

    write_bytes(path, save(state))


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to answer, with what it remembers.

    Parameters
    ----------
    network : Network
        Base and adapter, frozen, in evaluation mode, on the CPU.
    record : AdapterRecord
    identity : dict
        `id`, `base`, `sha256` for the prediction record.
    tokenizer : Tokenizer
    class_texts : TextTokens or None
        The encoded class phrases (1, K, L, E); None in folders of before they were kept.
    gate : Gate or None
        What the training scans are like; None likewise.
    notes : tuple of str
        What is to be known of the files, such as that no hashes are recorded.
    folder : str
        Where it was read, or `builtin`.
    """

    network: Network
    record: AdapterRecord
    identity: dict[str, str]
    tokenizer: Any
    class_texts: TextTokens | None = None
    gate: Gate | None = None
    notes: tuple[str, ...] = ()
    folder: str = "builtin"


def with_class_texts(state: dict[str, Tensor], texts: TextTokens) -> dict[str, Tensor]:
    """Return the adapter's tensors with the encoded class phrases (1, K, L, E) beside them."""
    class_tensors = {CLASS_TOKENS: texts.tokens, CLASS_WORDS: texts.word_mask}
    return state | {name: value[0].detach().cpu().contiguous() for name, value in class_tensors.items()}


def load_model(model: str, precision: str = "fp32", device: torch.device | None = None) -> LoadedModel:
    """Load `builtin` or a RUN folder.

    Parameters
    ----------
    model : str
    precision : str
        Of the frozen weights: `auto`, `fp32`, `bf16` or `fp16`.
    device : torch.device, optional
        Where the network will compute; decides what `auto` means.

    Raises
    ------
    CheckpointError
        If files are missing or not those recorded, keys or shapes differ, a tensor holds no weights, or the base is another one than
        the adapter was made for.
    """
    folder = model_folder(model)
    return open_model(folder, read_record(folder), "builtin" if model == "builtin" else None, precision, device)


def open_model(
    folder: Path,
    record: AdapterRecord,
    name: str | None = None,
    precision: str = "fp32",
    device: torch.device | None = None,
) -> LoadedModel:
    """Load the weights of a folder whose record is at hand; see `load_model`.

    Parameters
    ----------
    folder : Path
    record : AdapterRecord
    name : str, optional
        What answers call the model; by default as the folder.
    precision, device
        See `load_model`.
    """
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load

    from adclip.model.build import fill, load_network
    from adclip.model.device import choose_dtype
    from adclip.model.gate import take_gate
    from adclip.model.network import TextTokens
    from adclip.model.numbers import check_numbers
    from adclip.model.prompts import trained_parameters

    base = find_base(record.base["name"], record.base["sha256"], record.base.get("vocabulary"))
    check_base_of(base, record, folder)
    path = folder / ADAPTER_WEIGHTS
    if not path.is_file():
        raise errors.damaged(folder, f"{ADAPTER_WEIGHTS} is missing")
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    notes = check_files(folder, record, {ADAPTER_WEIGHTS: sha256})
    for note in notes:
        _log.info("%s: %s", folder.name, note)
    try:
        state = load(data)
        with safe_open(path, framework="pt") as stream:
            classes = (stream.metadata() or {}).get(CLASSES)
    except SafetensorError as error:
        raise errors.damaged(path, "not a readable safetensors file") from error
    if classes is not None and classes != json.dumps(record.labels):
        raise errors.damaged(path, f"its classes are {classes}, not those of {ADAPTER_RECORD}")
    check_numbers(state, path, masks=frozenset({CLASS_WORDS}))
    class_texts = _take_class_texts(state, record, path)
    try:
        gate = take_gate(state, record.model.embedding)
    except ValueError as error:
        raise errors.damaged(path, str(error)) from None
    dtype = choose_dtype(precision, device or torch.device("cpu"))
    late = class_texts is not None and not record.prompts.whole  # a tower that was trained is in the adapter
    network = load_network(base, record.prompts, contract=record.model.contract, dtype=dtype, late_text=late)
    frozen = {name for name, _ in network.named_parameters()} - {name for name, _ in trained_parameters(network)}
    fill(network, state, path, optional=frozen)
    network.requires_grad_(False)
    identity = {"id": name or folder.resolve().name, "base": record.base["name"], "sha256": sha256}
    texts = None if class_texts is None else TextTokens(*class_texts)
    return LoadedModel(network.eval(), record, identity, base.tokenizer, texts, gate, notes, name or str(folder))


def _take_class_texts(state: dict[str, Tensor], record: AdapterRecord, path: Path) -> tuple[Tensor, Tensor] | None:
    """Take the encoded class phrases out of `state`: tokens (1, K, L, E) and words (1, K, L)."""
    tokens, word_mask = state.pop(CLASS_TOKENS, None), state.pop(CLASS_WORDS, None)
    if tokens is None and word_mask is None:
        return None
    if (
        tokens is None
        or word_mask is None
        or tokens.shape != (len(record.labels), word_mask.shape[-1], record.model.embedding)
        or word_mask.shape != tokens.shape[:2]
    ):
        raise errors.damaged(path, "its encoded class phrases do not fit its classes")
    return tokens[None], word_mask[None].bool()
