"""Volumes of brain structures as one record: what a sidecar, a table's row or a measurement says of one scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adclip.domain import SEGMENTER
from adclip.json_values import as_mapping, as_text, is_number


@dataclass(frozen=True)
class BrainVolumes:
    """Volumes of one scan by one program.

    Parameters
    ----------
    source : str or None
        The program, as in `Visit.volumes_source`; None where nobody says which.
    mm3 : mapping of str to float
        Under the names of `adclip.clinical.columns`; finite and not negative.
    table : str or None
        Name of the file beside the scan that they come from.
    definitions : mapping or None
        What each of them sums.
    measured_error : mapping or None
        Of adclip's own volumes, see `adclip.imaging.volumes.measure.read_accuracy`.
    is_whole : bool
        Whether all that was read was such a number; not so in a file that somebody edited.
    further : mapping
        What else stands in the file, kept for whoever wrote it.
    """

    source: str | None
    mm3: Mapping[str, float]
    table: str | None = None
    definitions: Mapping[str, str] | None = None
    measured_error: Mapping[str, Any] | None = None
    is_whole: bool = True
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """Whether adclip's segmenter measured them, in whatever version."""
        return (self.source or "").startswith(SEGMENTER)

    @property
    def is_complete(self) -> bool:
        """Whether somebody is named who measured them, and all of them can be used."""
        return self.source is not None and self.is_whole and bool(self.mm3)

    def error_of(self, column: str) -> tuple[float | None, int | None]:
        """Return the standard deviation of the measured differences to the reference, mm3, and the people it was measured on."""
        error = self.measured_error or {}
        of_column = as_mapping(as_mapping(error.get("volumes")).get(column))
        if "sd_mm3" not in of_column:
            return None, None
        return of_column["sd_mm3"], of_column.get("n", error.get("n"))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, as they stand under `Volumes` in a sidecar."""
        record = {
            "source": self.source,
            "table": self.table,
            "volumes": dict(self.mm3),
            "definitions": None if self.definitions is None else dict(self.definitions),
            "measured_error": None if self.measured_error is None else dict(self.measured_error),
        }
        return {name: value for name, value in record.items() if value is not None} | dict(self.further)

    @classmethod
    def from_dict(cls, data: object) -> BrainVolumes | None:
        """Read `to_dict`; what is not as it should be is left out. None where there is nothing at all."""
        if not data:
            return None
        content = as_mapping(data)
        volumes = content.get("volumes")
        keys = {"source", "table", "volumes", "definitions", "measured_error"}
        numbers = {str(name): float(value) for name, value in as_mapping(volumes).items() if _is_volume(value)}
        return cls(
            source=as_text(content.get("source")),
            mm3=numbers,
            table=as_text(content.get("table")),
            definitions=content["definitions"] if isinstance(content.get("definitions"), dict) else None,
            measured_error=content["measured_error"] if isinstance(content.get("measured_error"), dict) else None,
            is_whole=isinstance(volumes, dict) and len(numbers) == len(volumes),
            further={name: value for name, value in content.items() if name not in keys},
        )


def _is_volume(value: Any) -> bool:
    return is_number(value) and value >= 0
