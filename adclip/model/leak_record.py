"""The leak certificate as a record: what was proven before the first step of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class InputsUnchanged:
    """What was read and written the same when the tables were read again with other answers.

    Parameters
    ----------
    scans : int
        Scans with a row, each of which was compared.
    rows : int
        Rows of all tables that were read again.
    columns_altered : tuple of str
        As the table writes them.
    cells_blanked, cells_shuffled : int
        Cells that were emptied, and cells that had another content after the shuffling.
    shuffled_answers_set_aside : bool
        Whether the shuffled answers contradicted each other, so that they were read as `predict` reads answers: set aside.
    compared : tuple of str
        What was compared.
    """

    scans: int
    rows: int
    columns_altered: tuple[str, ...]
    cells_blanked: int
    cells_shuffled: int
    shuffled_answers_set_aside: bool
    compared: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types in the order of the file."""
        return {
            "scans": self.scans,
            "rows": self.rows,
            "columns_altered": list(self.columns_altered),
            "cells_blanked": self.cells_blanked,
            "cells_shuffled": self.cells_shuffled,
            "shuffled_answers_set_aside": self.shuffled_answers_set_aside,
            "compared": list(self.compared),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InputsUnchanged:
        """Read `to_dict`."""
        return cls(
            scans=data["scans"],
            rows=data["rows"],
            columns_altered=tuple(data["columns_altered"]),
            cells_blanked=data["cells_blanked"],
            cells_shuffled=data["cells_shuffled"],
            shuffled_answers_set_aside=data["shuffled_answers_set_aside"],
            compared=tuple(data["compared"]),
        )


@dataclass(frozen=True)
class LeakCertificate:
    """What was checked for leaks; that it exists says that every check passed.

    Parameters
    ----------
    subjects, scans : mapping of str to int
        Part -> people, and scans.
    largest_correlation : float or None
        Of two people's scans; None where no two could be compared.
    near_duplicate_above : float
        Correlation above which two people would have been taken for one.
    inputs_unchanged : InputsUnchanged or None
        None in files of versions that did not read the tables again.
    reports_unchanged : int
        Scans whose reports did not change with diagnosis and scores.
    """

    subjects: Mapping[str, int]
    scans: Mapping[str, int]
    largest_correlation: float | None
    near_duplicate_above: float
    reports_unchanged: int
    inputs_unchanged: InputsUnchanged | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types in the order of the file."""
        unchanged = self.inputs_unchanged
        return {
            "subjects": dict(self.subjects),
            "scans": dict(self.scans),
            "subjects_in_two_parts": 0,
            "largest_correlation_of_two_subjects": self.largest_correlation,
            "near_duplicate_above": self.near_duplicate_above,
            "reports_unchanged_by_diagnosis_and_scores": self.reports_unchanged,
            **({} if unchanged is None else {"inputs_unchanged_by_answers": unchanged.to_dict()}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LeakCertificate:
        """Read `to_dict`, also of versions that did not read the tables again."""
        unchanged = data.get("inputs_unchanged_by_answers")
        return cls(
            subjects=data["subjects"],
            scans=data["scans"],
            largest_correlation=data["largest_correlation_of_two_subjects"],
            near_duplicate_above=data["near_duplicate_above"],
            reports_unchanged=data["reports_unchanged_by_diagnosis_and_scores"],
            inputs_unchanged=None if unchanged is None else InputsUnchanged.from_dict(unchanged),
        )
