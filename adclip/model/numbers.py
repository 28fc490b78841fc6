"""Whether weights are numbers that a network can compute with, and what it makes of a scan a direction; else a refusal by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adclip.model import errors
from adclip.model.tensor_files import open_tensors

if TYPE_CHECKING:
    from torch import Tensor

# Parts that begin at nothing, so that a fresh network answers as its base does: they may still be there.
_BEGIN_AT_ZERO = ("cross_attention.out_proj.weight", ".lora_up", "close_up.gather.weight")


def check_numbers(state: Mapping[str, Tensor], where: Path, masks: frozenset[str] = frozenset()) -> None:
    """Refuse tensors that hold no weights.

    Parameters
    ----------
    state : mapping
        Name -> tensor.
    where : Path
        File to name in an error.
    masks : set of str
        Names of tensors that are true or false and no weights.

    Raises
    ------
    CheckpointError
        If one is of whole numbers, holds NaN or an infinity, or is 0 everywhere though it is no bias.
    """
    for name, value in state.items():
        if name not in masks:
            check_tensor(name, value, where)


def check_tensor(name: str, value: Tensor, where: Path) -> None:
    """Refuse one tensor; see `check_numbers`."""
    import torch

    if not value.is_floating_point():
        raise errors.bad_numbers(where, name, f"holds {str(value.dtype).removeprefix('torch.')}, not weights")
    if not value.numel():
        return
    low, high = torch.aminmax(
        value.detach().float() if value.element_size() < 2 else value.detach()
    )  # NaN passes through
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        raise errors.bad_numbers(where, name, "holds numbers that are not finite (NaN or infinity)")
    is_silent = bool(low == 0) and bool(high == 0)
    if is_silent and (value.ndim > 1 or name.endswith(".weight")) and not name.endswith(_BEGIN_AT_ZERO):
        raise errors.bad_numbers(where, name, "is zero everywhere")


def check_file(weights: Path, ignored: frozenset[str] = frozenset()) -> None:
    """Refuse a safetensors file, or the parts of an index, of which a tensor holds no weights.

    Parameters
    ----------
    weights : Path
    ignored : set of str
        Names of tensors that no network takes.

    Raises
    ------
    CheckpointError
        Naming the tensor.
    """
    with open_tensors(weights) as file:
        for name in file.names():
            if name not in ignored:
                check_tensor(name, file.tensor(name), weights)


def check_embeddings(embeddings: Tensor, what: str) -> None:
    """Refuse embeddings (..., E) that have no direction: normalising one of zeros, or of NaN, would make an answer of nothing.

    Raises
    ------
    CheckpointError
        If one is zero or not finite.
    """
    import torch

    lengths = torch.linalg.vector_norm(embeddings.detach().float(), dim=-1)
    if not bool(torch.isfinite(lengths).all()):
        raise errors.bad_embedding(what, "not finite (NaN or infinity)")
    if not bool((lengths > 0).all()):
        raise errors.bad_embedding(what, "zero")
