"""The record of one simulated visit: what all tables of a cohort are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adclip.brain_volumes import BrainVolumes
from adclip.simulation.population import Person


@dataclass(frozen=True)
class VisitRecord:
    """One simulated visit with its scan.

    Parameters
    ----------
    person : Person
    volumes_mm3 : dict
        Column -> volume measured on the simulated labels; canonical columns and more.
    scan : str
        Path below the cohort's folder.
    site, scanner : str
    field_strength_t : float
        Tesla.
    anatomy : str
        Name of the head that the person was made of.
    measured : BrainVolumes or None
        What the shipped segmenter found in the scan: source and volumes alone, see `measured.measure_scan`.
    """

    person: Person
    volumes_mm3: dict[str, float]
    scan: str
    site: str
    scanner: str
    field_strength_t: float
    anatomy: str
    measured: BrainVolumes | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        measured = None if self.measured is None else self.measured.to_dict()
        return {**vars(self), "person": self.person.to_dict(), "measured": measured}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VisitRecord:
        """Rebuild from `to_dict`."""
        measured = BrainVolumes.from_dict(data.get("measured"))
        return cls(**{**data, "person": Person.from_dict(data["person"]), "measured": measured})

    @property
    def number(self) -> int:
        """Place of the subject in the cohort, from 1."""
        return int(self.person.subject_id.removeprefix("sim"))
