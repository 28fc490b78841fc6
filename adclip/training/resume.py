"""Where a run stands, on disk: one file that holds everything the next epoch needs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from adclip.errors import OutputError
from adclip.runtime.paths import write_bytes
from adclip.training import errors


@dataclass
class Progress:
    """Where a run stands.

    Parameters
    ----------
    epoch : int
        Epochs done.
    best_epoch : int
        Whose weights are kept.
    best_score : list of float
        Balanced accuracy and negated loss of that epoch; compared in this order.
    history : list of dict
        Numbers of each epoch.
    micro_batch : int or None
        Scans that fit into memory at once, once that was found to be fewer than a batch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_score: list[float] = field(default_factory=lambda: [-math.inf, -math.inf])
    history: list[dict[str, float]] = field(default_factory=list)
    micro_batch: int | None = None


@dataclass
class State:
    """Everything that a resumed run needs.

    Parameters
    ----------
    now, best : dict
        Name -> trained parameter.
    optimizer : dict
        Name -> {`step`, `exp_avg`, `exp_avg_sq`} of AdamW.
    progress : Progress
    """

    now: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, dict[str, Tensor]]
    progress: Progress


def write_state(path: Path, state: State, fingerprint: str) -> None:
    """Write everything as one safetensors file, whole or not at all."""
    from safetensors.torch import save

    tensors = {f"now.{name}": value for name, value in state.now.items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    for name, values in state.optimizer.items():
        for key, value in values.items():
            tensors[f"optimizer.{key}.{name}"] = value.detach().cpu().contiguous()
    record = json.dumps(vars(state.progress))
    write_bytes(path, save(tensors, metadata={"progress": record, "fingerprint": fingerprint}))


def read_state(path: Path, fingerprint: str) -> State | None:
    """Read what `write_state` wrote; None if there is nothing.

    Raises
    ------
    OutputError
        If it belongs to a run with other settings, or is damaged.
    """
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    run = path.parent.parent.parent
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            tensors: dict[str, Tensor] = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  no mapping
        progress: dict[str, Any] = json.loads(metadata["progress"])
        stored_fingerprint = metadata["fingerprint"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise OutputError(
            f"{path.name} of {run}: cannot be read", "add --overwrite to start anew, or choose another --out"
        ) from error
    if stored_fingerprint != fingerprint:
        raise errors.other_settings(run, [])
    optimizer: dict[str, dict[str, Tensor]] = {}
    for place, value in tensors.items():
        if place.startswith("optimizer."):
            _, key, name = place.split(".", 2)
            optimizer.setdefault(name, {})[key] = value
    return State(_under("now.", tensors), _under("best.", tensors), optimizer, Progress(**progress))


def read_fingerprint(path: Path) -> str | None:
    """Return the fingerprint of what `write_state` wrote; None where nothing is, "" where it cannot be read."""
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            return str((stream.metadata() or {}).get("fingerprint", ""))
    except SafetensorError:
        return ""


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value.clone() for n, value in tensors.items() if n.startswith(prefix)}
