"""What an answer rests on: the scan, the row of the table, volumes found for the scan; and how their scores are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from adclip.domain import Visit
from adclip.model.calibration import (
    FOUND_VOLUMES,
    SCAN,
    TABLE,
    TABLE_AND_FOUND_VOLUMES,
    TABLE_WITH_VOLUMES,
    Road,
)
from adclip.prediction.metadata_baseline import PEOPLE_COLUMNS, MetadataBaseline

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1e-12  # of a probability before its logarithm is taken
Numbers = TypeVar("Numbers", "Tensor", NDArray[np.float64])


@dataclass(frozen=True)
class Evidence:
    """What is known of one person beside the voxels.

    Parameters
    ----------
    row : Visit or None
        Of the table.
    completed : Visit or None
        What the report is written from: the row, and the volumes found for the scan where it has none.
    road : str
        One of `adclip.model.calibration.ROADS`.
    metadata_only : mapping or None
        Class -> probability by the regression on the row alone; None where the row has none of its columns.
    """

    row: Visit | None
    completed: Visit | None
    road: str
    metadata_only: Mapping[str, float] | None


def find_evidence(
    row: Visit | None, completed: Visit | None, baseline: MetadataBaseline | None, *, has_report: bool
) -> Evidence:
    """Say what an answer can rest on.

    Parameters
    ----------
    row, completed : Visit or None
        See `Evidence`.
    baseline : MetadataBaseline or None
        Of the model.
    has_report : bool
        Whether the network reads anything of `completed`.
    """
    metadata_only = None if row is None or baseline is None else baseline.predict(row)
    row_has_volumes = row is not None and baseline is not None and baseline.knows_volume_of(row)
    volumes_were_found = completed is not None and completed.has_volumes and not (row is not None and row.has_volumes)
    if not has_report:
        road = SCAN
    elif baseline is not None and metadata_only is None:
        # nothing in the row that the training people differed in; what was found for the scan may still count
        road = FOUND_VOLUMES if volumes_were_found else SCAN
    elif volumes_were_found:
        road = TABLE_AND_FOUND_VOLUMES
    else:
        road = TABLE_WITH_VOLUMES if row_has_volumes else TABLE
    return Evidence(row, completed, road, metadata_only)


def log_chances(metadata_only: Mapping[str, float] | None, labels: tuple[str, ...]) -> list[float]:
    """Return log-probabilities (K,) in the class order; all 0 where there are none."""
    if metadata_only is None:
        return [0.0] * len(labels)
    return [float(np.log(max(metadata_only[label], LEAST))) for label in labels]


def weigh(road: Road, bare: Numbers, metadata: Numbers, both: Numbers) -> Numbers:
    """Return the answer's scores (..., K) before temperature: the sources' scores, each times its multiplier."""
    return road.scan * bare + road.metadata * metadata + road.both * both


def without_volumes(visit: Visit) -> Visit:
    """Return what is known of the person, and nothing of the brain."""
    volumes: dict[str, Any] = {column.name: None for column in fields(Visit) if column.name.endswith("_mm3")}
    return replace(visit, **volumes, further_volumes=None, volumes_source=None)


def only_volumes(visit: Visit) -> Visit:
    """Return what is known of the brain, and nothing else of the person."""
    nothing: dict[str, Any] = dict.fromkeys(PEOPLE_COLUMNS)
    return replace(visit, **nothing)
