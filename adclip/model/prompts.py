"""Learnable tokens, and the one rule that says which parameters are ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

PROMPT_STD = 0.02  # truncated normal, as ViT's own tokens

# The parts that prompt tuning trains; everything else belongs to the base and stays frozen.
_ADAPTER_PREFIXES = (
    "vision_encoder.cls_token",
    "vision_encoder.mmse_token",
    "vision_encoder.prompts",
    "text_prompts",
    "mm_vision_proj.",
    "mm_language_proj.",
    "cross_attention.",
    "mmse_head.",
    "logit_scale",
)
# Those of them that no base has: they begin as chance or as nothing.
_ADDED_PREFIXES = (
    "vision_encoder.mmse_token",
    "vision_encoder.prompts",
    "text_prompts",
    "cross_attention.",
    "mmse_head.",
)
_PROJECTIONS = ("mm_vision_proj.", "mm_language_proj.")
_LOW_RANK = ".lora_"  # in the name of every low-rank update


def is_adapter(name: str, *, whole: bool = False) -> bool:
    """Tell whether the parameter `name` is trained, saved with the adapter and counted as ours.

    Parameters
    ----------
    name : str
    whole : bool
        Whether everything is trained (`PromptConfig.whole`: full fine-tuning).
    """
    return whole or name.startswith(_ADAPTER_PREFIXES) or _LOW_RANK in name


def trained_parameters(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield name and value of the parameters that training changes and a RUN holds."""
    prompts = getattr(network, "prompt_config", None)
    whole = prompts is not None and prompts.whole
    yield from ((name, value) for name, value in network.named_parameters() if is_adapter(name, whole=whole))


def is_added(name: str) -> bool:
    """Tell whether the parameter `name` is one that no base file has."""
    return name.startswith(_ADDED_PREFIXES) or _LOW_RANK in name


def pretrained(network: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that training changes and a base has taught."""
    prompts = getattr(network, "prompt_config", None)
    anew = _PROJECTIONS if prompts is not None and prompts.new_projections else ()
    return frozenset(
        name for name, _ in trained_parameters(network) if not is_added(name) and not name.startswith(anew)
    )


def adapter_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the adapter's parameters by name, detached and on the CPU."""
    return {name: parameter.detach().cpu().contiguous() for name, parameter in trained_parameters(network)}


def freeze_base(network: nn.Module) -> None:
    """Let only the adapter's parameters be trained."""
    network.requires_grad_(False)
    for _, parameter in trained_parameters(network):
        parameter.requires_grad_(True)


def count_trainable(network: nn.Module) -> tuple[int, int]:
    """Return the number of adapter parameters and of all parameters."""
    return sum(p.numel() for _, p in trained_parameters(network)), sum(p.numel() for p in network.parameters())


def lower_frozen(network: nn.Module, dtype: torch.dtype) -> None:
    """Keep the frozen weights in `dtype`; what is ours stays as it is, in float32."""
    trained = {name for name, _ in trained_parameters(network)}
    for name, parameter in network.named_parameters():
        if name not in trained:
            parameter.data = parameter.data.to(dtype)


def unallocated(empty: bool) -> AbstractContextManager[Any]:
    """Return a context in which layers get no memory (`empty`), to be filled from a file, or a context that does nothing."""
    return torch.device("meta") if empty else nullcontext()


def new_tokens(*shape: int) -> nn.Parameter:
    """Return learnable tokens, truncated normal with standard deviation PROMPT_STD."""
    tokens = nn.Parameter(torch.empty(*shape))
    nn.init.trunc_normal_(tokens, std=PROMPT_STD)
    return tokens
