"""Shares of a cohort: which of the items are this machine's, said by the user or by SLURM's job array."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TypeVar

from adclip.errors import ConfigError
from adclip.runtime.events import OnEvent, Step

Item = TypeVar("Item")

_SHARD = re.compile(r"(\d{1,6})/(\d{1,6})")


def parse_shard(text: str) -> tuple[int, int]:
    """Return (I, N) of `I/N`, both counted from 1.

    Raises
    ------
    ConfigError
        If it is anything else.

    Examples
    --------
    >>> parse_shard("2/8")
    (2, 8)
    """
    match = _SHARD.fullmatch(text.strip())
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise ConfigError.bad_value("--shard", f"`{text}` is not I/N with I from 1 to N", "for example --shard 2/8")
    return number, count


def shard_from_slurm() -> tuple[int, int] | None:
    """Return (I, N) of this task of a SLURM job array, or None outside of one.

    Raises
    ------
    ConfigError
        If the ids of the array are not evenly spaced, as in `--array=1,3,7`: no task can tell its place among them.
    """
    task_id, first, last, count, step = (
        int(text) if (text := os.environ.get(f"SLURM_ARRAY_TASK_{name}", "")).isdigit() else None
        for name in ("ID", "MIN", "MAX", "COUNT", "STEP")
    )
    if task_id is None or not count:
        return None
    start = 1 if first is None else first
    steps = max(count - 1, 1)
    # `--array=0-30:10` counts 4 tasks with the ids 0, 10, 20, 30: ids are positions only after division by the step.
    width = steps if last is None else last - start
    stride = step if step and count > 1 else max(width // steps, 1)
    place, rest = divmod(task_id - start, stride)
    if rest or not 0 <= place < count or (count > 1 and stride * steps != width):
        raise ConfigError.bad_value(
            "--shard",
            "the ids of this SLURM job array are irregular, so no task can tell its place among them",
            f"say it yourself, --shard I/N with N = {count} and another I from 1 to {count} in every task; or submit the "
            f"job with --array=1-{count}",
        )
    return place + 1, count


def choose_shard(text: str | None, count: int, on_event: OnEvent) -> tuple[int, int] | None:
    """Return the share of a cohort that this run is to do: the user's word, else SLURM's, else None for all of it.

    Parameters
    ----------
    text : str or None
        `I/N`, as the user wrote it.
    count : int
        Items of the whole cohort; a lone one is never shared out unasked.
    on_event : callable
        Hears which share it is.

    Raises
    ------
    ConfigError
        If the text is no share, or SLURM's ids are irregular.
    """
    shard = parse_shard(text) if text else None
    if shard is None and count > 1 and (shard := shard_from_slurm()):
        on_event(Step(f"shard {shard[0]}/{shard[1]} from SLURM's array variables; --shard 1/1 takes all scans"))
    if shard is not None:
        on_event(Step(f"shard {shard[0]}/{shard[1]}: {len(range(count)[shard[0] - 1 :: shard[1]])} of {count} scans"))
    return shard


def take_shard(items: Sequence[Item], shard: tuple[int, int] | None) -> list[Item]:
    """Return every N-th item from the I-th on, so that long and short items spread evenly."""
    return list(items) if shard is None else list(items[shard[0] - 1 :: shard[1]])
