"""What the self-test of a model's maps found, kept beside the model and stamped on its later maps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from adclip.explanation.faithfulness.record import SelfTestRow
from adclip.model.record import model_folder
from adclip.runtime.paths import write_text
from adclip.told import to_plain

NAME = "explain_selftest.json"
RANDOM = "random"  # smooth noise, as fine as the finest map: what knows nothing
IMAGE = (
    "image"  # how far each voxel of the changed head lies from the unchanged one: the change itself, without any model
)


@dataclass(frozen=True)
class PlantedEffect:
    """What a planted change did, over heads.

    Parameters
    ----------
    planted : str
    heads : int
    remaining : float
        Mean volume of the structure after over before.
    moved, low, high : float
        How far the explained number rose, mean and 95 % interval over heads.
    """

    planted: str
    heads: int
    remaining: float
    moved: float
    low: float
    high: float


@dataclass(frozen=True)
class TextTest:
    """Maps of two phrases on the same heads, see `adclip.explanation.selftest.phrases`.

    Parameters
    ----------
    method : str
    phrases : sequence of str
        One on the ventricles, one on the entorhinal cortex.
    heads : int
    likeness : float
        Median Spearman correlation of both maps over the patches that hold brain.
    ventricles, medial_temporal : sequence of float
        Mean share of the relevance there, for each phrase.
    differs : bool
        Whether each phrase has surely more where it should, and the maps are not alike.
    """

    method: str
    phrases: Sequence[str]
    heads: int
    likeness: float
    ventricles: Sequence[float]
    medial_temporal: Sequence[float]
    differs: bool


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
    effects : tuple of PlantedEffect
        What the planted changes did to volume and number.
    text : TextTest or None
    """

    model_sha256: str
    target: str
    seed: int
    rows: tuple[SelfTestRow, ...]
    text_differs: bool | None
    notice: str
    effects: tuple[PlantedEffect, ...] = ()
    text: TextTest | None = None

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
        found = _from_dict(data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return found if found.model_sha256 == model_sha256 else None


def _from_dict(data: dict[str, Any]) -> SelfTest:
    text = data.pop("text", None)
    rows = tuple(SelfTestRow(**row) for row in data.pop("rows"))
    effects = tuple(PlantedEffect(**effect) for effect in data.pop("effects", ()))
    if text is not None:
        text = TextTest(**text)
    return SelfTest(**data, rows=rows, effects=effects, text=text)


def joined(found: SelfTest, earlier: SelfTest | None) -> SelfTest:
    """Return a self-test with what an earlier one of the same model, target and seed has beside: other methods, other heads."""
    if earlier is None or (earlier.model_sha256, earlier.target, earlier.seed) != (
        found.model_sha256, found.target, found.seed,
    ):  # fmt: skip
        return found
    measured = {(row.method, row.planted) for row in found.rows}
    planted = {effect.planted for effect in found.effects}
    return replace(
        found,
        rows=(*found.rows, *(row for row in earlier.rows if (row.method, row.planted) not in measured)),
        effects=(*found.effects, *(effect for effect in earlier.effects if effect.planted not in planted)),
    )


def rows_of(found: SelfTest | None, method: str) -> tuple[SelfTestRow, ...]:
    """Return what a self-test says of one method, and of the maps that know nothing."""
    rows: Sequence[SelfTestRow] = () if found is None else found.rows
    return tuple(row for row in rows if row.method in (method, RANDOM))


def write_selftest(path: Path, found: SelfTest) -> None:
    """Write a self-test, whole or not at all."""
    write_text(path, json.dumps(found.to_dict(), indent=2) + "\n")
