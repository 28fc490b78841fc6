"""Volumes of a scan beside its row: by which programs, of whom."""

from __future__ import annotations

from dataclasses import dataclass

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.columns import are_plausible
from adclip.domain import Visit


@dataclass(frozen=True)
class Case:
    """One training scan: age in years, sex, and what each program measured on it."""

    age_years: float | None
    sex: str | None
    measured: tuple[BrainVolumes, ...]

    @classmethod
    def of(cls, visit: Visit, beside: BrainVolumes | None = None) -> Case:
        """Gather the volumes of a visit's row and of its derivative's sidecar, of programs that are known.

        Of one program they are not merged: the sidecar's stand for both, because it has all that adclip measured and a table
        of it may have less.
        """
        listed = volumes_of(visit)
        if listed is not None and (not listed.source or (beside is not None and listed.source == beside.source)):
            listed = None
        return cls(visit.age_years, visit.sex, tuple(volumes for volumes in (listed, beside) if volumes is not None))


def volumes_of(visit: Visit) -> BrainVolumes | None:
    """Return the volumes of a table's row, None where it has none."""
    listed = {name: value for name, value in vars(visit).items() if name.endswith("_mm3") and value is not None}
    listed |= dict(visit.further_volumes or ())
    return BrainVolumes(visit.volumes_source, listed) if listed else None


def usable(volumes: BrainVolumes | None) -> BrainVolumes | None:
    """Return the volumes of a sidecar if somebody is named who measured them and an adult brain can have them, else None."""
    if volumes is None or not volumes.is_complete or not are_plausible(volumes.mm3):
        return None
    return volumes
