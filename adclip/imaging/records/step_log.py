"""The steps of preprocessing as they are taken: what was done, with which parameters, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adclip.imaging.records.sidecar import StepTaken


class StepLog:
    """Collects the steps of one scan in `steps`, in order."""

    def __init__(self) -> None:
        self.steps: list[StepTaken] = []

    @contextmanager
    def step(self, name: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Time a block; what it adds to `parameters` is recorded."""
        began = time.perf_counter()
        yield parameters
        self.steps.append(StepTaken(name, parameters, round(time.perf_counter() - began, 3)))
