"""Config to network, and base weights to network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as functional
from einops import rearrange
from torch import Tensor, nn

from adclip.domain import InputContract
from adclip.errors import CheckpointError
from adclip.model import errors
from adclip.model.bases import BaseWeights, check_hash
from adclip.model.network import Network
from adclip.model.numbers import check_tensor
from adclip.model.original import IGNORED, TEXT
from adclip.model.prompts import freeze_base, is_adapter, is_added, lower_frozen, trained_parameters
from adclip.model.settings import ModelConfig, PromptConfig
from adclip.model.tensor_files import open_tensors, read_tensor
from adclip.model.text import build_bert

if TYPE_CHECKING:
    from collections.abc import Iterator

POSITIONS = "vision_encoder.patch_embedding.position_embeddings"


def build_network(config: ModelConfig, prompts: PromptConfig | None) -> Network:
    """Allocate a network of the given sizes with random weights, in evaluation mode."""
    return Network(config, prompts).eval()


def load_network(
    base: BaseWeights,
    prompts: PromptConfig | None,
    *,
    contract: InputContract | None = None,
    dtype: torch.dtype = torch.float32,
    late_text: bool = False,
) -> Network:
    """Build a network on a base; the adapter's own parts are fresh.

    The frozen weights are the file's own pages, mapped into memory: nothing is initialised first and copied over, and
    processes that share a base share its memory. Every name of the file is used and none may be missing but those that
    the adapter adds.

    Parameters
    ----------
    base : BaseWeights
    prompts : PromptConfig or None
        Parts of the adapter; None builds the base alone.
    contract : InputContract, optional
        Another grid than the base was taught on; its position table is then interpolated.
    dtype : torch.dtype
        Of the frozen weights.
    late_text : bool
        Leave the text tower on disk until the first text comes.

    Raises
    ------
    WeightsError
        If the file is not the one recorded.
    CheckpointError
        If its names or shapes do not fit.
    """
    check_hash(base)
    config = base.config if contract is None else dataclasses.replace(base.config, contract=contract)
    text_tower = _text_loader(base, dtype) if late_text and config.text_depth else None
    network = Network(config, prompts, empty=True, text_tower=text_tower)
    skipped: tuple[str, ...] = ("logit_scale",) if prompts is not None and base.raw_scale else ()
    if prompts is not None and prompts.new_projections:
        skipped += ("mm_vision_proj.", "mm_language_proj.")
    with open_state(base, text=text_tower is None, dtype=dtype) as state:
        if config.token_grid != base.config.token_grid:
            state[POSITIONS] = resize_positions(state[POSITIONS], base.config.token_grid, config.token_grid)
        optional = added_by_adapter(network) | _without_counterpart(network, config)
        fill(
            network,
            state,
            base.weights,
            optional=optional,
            skipped=skipped,
            dtype=dtype,
            refuse=errors.base_keys_differ,
        )
    freeze_base(network)
    lower_frozen(network, dtype)
    return network.eval()


@contextmanager
def open_state(
    base: BaseWeights, *, text: bool = True, vision: bool = True, dtype: torch.dtype = torch.float32
) -> Iterator[dict[str, Tensor]]:
    """Give the file's tensors by the network's names: mapped from disk, not read, unless they have to be converted.

    Frozen weights of a lower precision are converted one by one, each from a mapping of its own that ends at once, so that
    the whole file is never in memory beside them. Every tensor is looked at once: what is no number is refused by name.
    """
    with open_tensors(base.weights) as file:
        names = [name for name in file.names() if base.prefix + name not in IGNORED]
        tensor_names = [n for n in names if (text if (base.prefix + n).startswith(TEXT) else vision)]
        if dtype == torch.float32:
            state = {base.prefix + name: file.tensor(name) for name in tensor_names}
            for name, value in state.items():
                check_tensor(name, value, base.weights)
            yield state
            return
        places = {name: file.place(name) for name in tensor_names}
    state = {}
    for name, place in places.items():
        value = read_tensor(place, name)
        check_tensor(base.prefix + name, value, base.weights)
        state[base.prefix + name] = value.clone() if is_adapter(base.prefix + name) else value.to(dtype)
        del value
    yield state


def _text_loader(base: BaseWeights, dtype: torch.dtype) -> Callable[[], nn.Module]:
    def load() -> nn.Module:
        bert: nn.Module = build_bert(base.config, empty=True)
        with open_state(base, vision=False, dtype=dtype) as state:
            short = {name.removeprefix(TEXT): value for name, value in state.items()}
            fill(bert, short, base.weights, optional=frozenset(), trained=frozenset(), refuse=errors.base_keys_differ)
        bert.requires_grad_(False)
        lower_frozen(bert, dtype)
        return bert

    return load


def resize_positions(table: Tensor, old: tuple[int, int, int], new: tuple[int, int, int]) -> Tensor:
    """Interpolate a position table (1, patches, width) trilinearly from one token grid (D', H', W') to another.

    Cell centres are aligned, as patches tile the box: the first patch of a finer grid starts where the first of the coarser
    one starts.
    """
    d, h, w = old
    grid = rearrange(table.float(), "1 (d h w) e -> 1 e d h w", d=d, h=h, w=w)
    resized = functional.interpolate(grid, size=new, mode="trilinear", align_corners=False)
    return rearrange(resized, "1 e d h w -> 1 (d h w) e").contiguous()


def added_by_adapter(network: Network) -> frozenset[str]:
    """Names of the parameters that no base file has."""
    return frozenset(name for name, _ in network.named_parameters() if is_added(name))


def _without_counterpart(network: Network, config: ModelConfig) -> frozenset[str]:
    """Names that a bare ViT lacks: nothing was ever projected from it."""
    if config.text_depth:
        return frozenset()
    return frozenset(name for name, _ in network.named_parameters() if not name.startswith("vision_encoder."))


def fill(
    network: nn.Module,
    state: Mapping[str, Tensor],
    where: Path,
    *,
    optional: frozenset[str] | set[str],
    skipped: tuple[str, ...] = (),
    dtype: torch.dtype = torch.float32,
    trained: frozenset[str] | None = None,
    refuse: Callable[[Path, set[str], set[str]], CheckpointError] = errors.keys_differ,
) -> None:
    """Put `state` into the network; every name must be used, and only `optional` parameters may be absent.

    Parameters that are ours are copied, as they will change; frozen ones become the tensors of `state` themselves.

    Parameters
    ----------
    network : Module
    state : dict
        Name -> tensor.
    where : Path
        File to name in an error.
    optional : set of str
        Parameters that may be absent from `state`.
    skipped : tuple of str
        Beginnings of names that are checked but not taken over.
    dtype : torch.dtype
        Of frozen parameters.
    trained : set of str, optional
        Names to copy; by default those that are ours in this network.
    refuse : callable
        Makes the error of a file, names that are missing and names that are unknown.

    Raises
    ------
    CheckpointError
        Naming the keys or shapes that differ.
    """
    parameters = dict(network.named_parameters())
    copied = frozenset(name for name, _ in trained_parameters(network)) if trained is None else trained
    missing = {name for name in parameters if name not in state and name not in optional}
    unknown = {name for name in state if name not in parameters}
    if missing or unknown:
        raise refuse(where, missing, unknown)
    for name, value in state.items():
        if parameters[name].shape != value.shape:
            raise errors.shape_differs(where, name, tuple(value.shape), tuple(parameters[name].shape))
        if skipped and name.startswith(skipped):
            continue
        if name in copied and not parameters[name].is_meta:
            with torch.no_grad():
                parameters[name].copy_(value)
        elif name in copied:  # full fine-tuning: the base's own layers, in memory of their own
            _put(network, name, nn.Parameter(value.float().clone()))
        else:
            _put(network, name, nn.Parameter(value.to(dtype), requires_grad=False))


def _put(network: nn.Module, name: str, parameter: nn.Parameter) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, parameter)
