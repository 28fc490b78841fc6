"""What is known of a finding in Alzheimer's disease: a small table of statements, each with its literature reference.

The statements are chosen by printed findings alone, never by a diagnosis or a score, so every candidate report of a visit
holds the same ones. They say what is known of a finding, not what the person has. Their words of diagnosis are excepted by
the linter (`adclip.clinical.reports.lint`) as whole sentences of this version.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
}  # fmt: skip
_KNOWN = "known"


@dataclass(frozen=True)
class Statement:
    """One sentence of the table.

    Parameters
    ----------
    id : str
        Its name, which stays when the wording changes.
    text : str
        The sentence, without digits.
    reference : str
        Authors, year, title, journal and DOI.
    field : str
        The printed finding that called for it.
    """

    id: str
    text: str
    reference: str
    field: str


@dataclass(frozen=True)
class _Condition:
    finding: str
    holds: Callable[[float, float], bool] | None  # None: any value will do
    bound: float = 0.0


@dataclass(frozen=True)
class _Case:
    """Conditions that all have to hold, and the statement as it is then given."""

    conditions: tuple[_Condition, ...]
    statement: Statement

    def fits(self, findings: Mapping[str, float]) -> bool:
        for condition in self.conditions:
            value = findings.get(condition.finding)
            # NaN satisfies no comparison, and is no known value either
            if value is None or value != value or (condition.holds and not condition.holds(value, condition.bound)):
                return False
        return True


def statements(findings: Mapping[str, float]) -> list[Statement]:
    """Choose what is known of the findings of one report.

    Parameters
    ----------
    findings : mapping of str to float
        Printed values by the name of the field: canonical columns, ``<structure>_percent_icv`` (%), ``<structure>_z``,
        ``<structure>_below_centile`` and ``_above_centile`` (beyond the norms), ``hippocampus_left_smaller_percent`` or
        ``..._right_...`` (%), ``apoe4_count`` and the like. Unknown names are passed over.

    Returns
    -------
    list of Statement
        The most important first, each at most once; its `field` is one of the findings.

    Notes
    -----
    Small and large mean a z of the norms beyond 1.5 (about one healthy person in fifteen): a bound chosen here with care,
    not one of the references. Percentages of the intracranial volume have no norms, so no statement depends on their size.
    """
    chosen = []
    for cases in _TABLE:
        for case in cases:
            if case.fits(findings):
                chosen.append(case.statement)
                break
    return chosen


def _read_table() -> tuple[str, tuple[tuple[_Case, ...], ...]]:
    """Read the table: its version, and the cases of each statement in order of importance."""
    data = json.loads((files("adclip") / "assets" / "knowledge.json").read_text(encoding="utf-8"))
    return str(data["version"]), tuple(tuple(_cases(entry)) for entry in data["statements"])


def _cases(entry: Mapping[str, Any]) -> list[_Case]:
    cases = []
    for case in entry["when"]:
        statement = Statement(entry["id"], entry["text"], entry["reference"], next(iter(case)))
        cases.append(_Case(tuple(_to_condition(finding, text) for finding, text in case.items()), statement))
    return cases


def _to_condition(finding: str, text: str) -> _Condition:
    if text == _KNOWN:
        return _Condition(finding, None)
    sign, bound = text.split()
    return _Condition(finding, _OPERATORS[sign], float(bound))


KNOWLEDGE_VERSION, _TABLE = _read_table()
# Every sentence of this version, with the first finding that calls for it.
BY_TEXT: dict[str, Statement] = {cases[0].statement.text: cases[0].statement for cases in _TABLE}
