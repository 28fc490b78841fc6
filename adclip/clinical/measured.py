"""Volumes of a scan as records: by which program, of whom."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from adclip.clinical.columns import are_plausible
from adclip.domain import Visit


@dataclass(frozen=True)
class Measured:
    """Volumes of one scan by one program.

    Parameters
    ----------
    source : str
        The program, as in `Visit.volumes_source`.
    volumes : mapping of str to float
        mm3, under the names of `adclip.clinical.columns`.
    """

    source: str
    volumes: Mapping[str, float]


@dataclass(frozen=True)
class Case:
    """One training scan: age in years, sex, and what each program measured on it."""

    age_years: float | None
    sex: str | None
    measured: tuple[Measured, ...]

    @classmethod
    def of(cls, visit: Visit, beside: Measured | None = None) -> Case:
        """Gather the volumes of a visit's row and of its derivative's sidecar.

        Of one program they are not merged: the sidecar's stand for both, because it has all that adclip measured and a table
        of it may have less.
        """
        listed = volumes_of(visit)
        twice = listed is not None and beside is not None and listed.source == beside.source
        found = (None if twice else listed, beside)
        return cls(visit.age_years, visit.sex, tuple(one for one in found if one is not None))


def volumes_of(visit: Visit) -> Measured | None:
    """Return the volumes of a table's row, None where it has none or does not say who measured them."""
    listed = {name: value for name, value in vars(visit).items() if name.endswith("_mm3") and value is not None}
    listed |= dict(visit.further_volumes or ())
    return Measured(visit.volumes_source, listed) if visit.volumes_source and listed else None


def to_measured(found: object) -> Measured | None:
    """Return what stands under `Volumes` in a sidecar; None where that is nothing usable, or no adult brain's."""
    if not isinstance(found, Mapping):
        return None
    source, volumes = found.get("source"), found.get("volumes")
    if not isinstance(source, str) or not isinstance(volumes, Mapping):
        return None
    numbers = {
        str(name): float(value)
        for name, value in volumes.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    return Measured(source, numbers) if numbers and are_plausible(numbers) else None
