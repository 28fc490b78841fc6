"""The numbers as tables that other programs read: group-level numbers only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adclip.evaluation.assess import Assessment
from adclip.evaluation.judgement import MODEL
from adclip.model.record import LESS
from adclip.runtime.spreadsheets import escape_cell

_ENTRY = ("value", "low", "high", "n", "note")


def metrics_to_tsv(assessment: Assessment) -> str:
    """Return every number of the model, of those beside it, and of the model less them: who, number, value, interval, scans."""
    own, groups, differences = assessment.by_group
    rows = [(MODEL, name, entry) for name, entry in own.items()]
    rows += [(group, name, entry) for group, numbers in groups.items() for name, entry in numbers.items()]
    rows += [
        (f"{LESS}{group}", name, entry) for group, numbers in differences.items() for name, entry in numbers.items()
    ]
    for what, result in (("scan", assessment.scan_shuffled), ("report", assessment.report_shuffled)):
        if result is not None:
            rows += [
                (f"{what}_shuffled", assessment.headline, result.auc),
                (f"{LESS}{what}_shuffled", assessment.headline, result.cost),
            ]
    for name, entry in (("acquisition", assessment.quality.acquisition), ("all", assessment.quality.every)):
        if entry is not None:
            rows.append((f"quality_{name}", assessment.headline, entry))
    if assessment.missing.auc is not None:
        rows.append(("missing_cells", assessment.headline, assessment.missing.auc))
    rescans = assessment.rescans
    if rescans.kept is not None:
        rows += [
            ("rescans", "class_kept", rescans.kept),
            *(("rescans", f"icc_{name}", entry) for name, entry in rescans.icc.items()),
        ]
    return to_tsv(("who", "number", *_ENTRY), ((who, name, *_cells(entry)) for who, name, entry in rows))


def subgroups_to_tsv(assessment: Assessment) -> str:
    """Return every number of every group; a group that is too small has one row that says so."""
    rows: list[tuple[Any, ...]] = []
    for group in assessment.subgroups:
        start = (group.kind, group.name, group.people)
        rows += [(*start, name, *_cells(entry)) for name, entry in group.numbers.items()]
        if group.is_too_small:
            rows.append((*start, "too small", None, None, None, group.scans, None))
    return to_tsv(("kind", "group", "people", "number", *_ENTRY), rows)


def columns_to_tsv(assessment: Assessment) -> str:
    """Return what each column of the table explains by itself."""
    rows = (
        (
            meter.column,
            meter.kind,
            meter.read,
            meter.known,
            meter.explained,
            *_cells(meter.balanced_accuracy)[:3],
            meter.says,
        )
        for meter in assessment.columns
    )
    return to_tsv(("column", "kind", "read", "known", "explained", "balanced_accuracy", "low", "high", "says"), rows)


def to_tsv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as the text of a TSV; unknown as `n/a`."""
    return "".join("\t".join(map(_cell, row)) + "\n" for row in (header, *rows))


def _cells(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in _ENTRY)


def _cell(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(str(escape_cell(value)).split()) or "n/a"
