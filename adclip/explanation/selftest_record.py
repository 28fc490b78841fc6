"""What the self-test of a model's maps found, kept beside the model and stamped on its later maps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adclip.explanation.faithfulness.record import SelfTestRow
from adclip.model.record import model_folder
from adclip.runtime.paths import write_text
from adclip.told import to_plain

NAME = "explain_selftest.json"
RANDOM = "random"  # smooth noise, as fine as the finest map: what knows nothing


@dataclass(frozen=True)
class SelfTest:
    """A self-test.

    Parameters
    ----------
    model_sha256 : str
        Of the model it was made with; it counts for no other.
    target : str
        What was explained.
    seed : int
        Of the simulated heads.
    rows : tuple of SelfTestRow
    text_differs : bool or None
        Whether maps of free text look at different places for different phrases; None for a model that was not asked.
    notice : str
    """

    model_sha256: str
    target: str
    seed: int
    rows: tuple[SelfTestRow, ...]
    text_differs: bool | None
    notice: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        record: dict[str, Any] = to_plain(asdict(self))
        return record


def path_beside(model: str) -> Path:
    """Return where the self-test of a model is kept: under `private/` of a RUN, with the builtin model for that."""
    folder = model_folder(model)
    return folder.parent / NAME if model == "builtin" else folder / "private" / NAME


def read_selftest(model: str, model_sha256: str) -> SelfTest | None:
    """Return the self-test of a model; None where there is none, or it is of another state of it."""
    try:
        data = json.loads(path_beside(model).read_text(encoding="utf-8"))
        rows = tuple(SelfTestRow(**row) for row in data.pop("rows"))
        found = SelfTest(**data, rows=rows)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if found.model_sha256 == model_sha256 else None


def rows_of(found: SelfTest | None, method: str) -> tuple[SelfTestRow, ...]:
    """Return what a self-test says of one method, and of the maps that know nothing."""
    rows: Sequence[SelfTestRow] = () if found is None else found.rows
    return tuple(row for row in rows if row.method in (method, RANDOM))


def write_selftest(path: Path, found: SelfTest) -> None:
    """Write a self-test, whole or not at all."""
    write_text(path, json.dumps(found.to_dict(), indent=2) + "\n")
