"""From an explanation to what its page says: sentences, tables and curves of one scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adclip.domain import Prediction
from adclip.explanation.page.content import (
    Cell,
    Curve,
    PageContent,
    Regions,
    Table,
    WhatIf,
    Word,
)
from adclip.task import Task

if TYPE_CHECKING:
    from adclip.explanation.word_relevance import WordRelevance

RANDOM_INTERVAL = (2.5, 97.5)  # percentiles of the random orders


def section_of(
    prediction: Prediction,
    task: Task,
    told: WordRelevance,
    *,
    target: str,
    flags: Sequence[str],
    verdict: str,
    doubtful: bool,
    gains: Mapping[str, float],
    regions: Regions | None = None,
    curves: tuple[Curve, ...] = (),
    orders: int = 1,
    what_if: WhatIf | None = None,
    self_test: Table | None = None,
    provenance: Mapping[str, str] | None = None,
    thumbnail: str = "",
) -> PageContent:
    """Put together what the page of one scan says.

    Parameters
    ----------
    prediction : Prediction
        The answer, with the flags of its row.
    task : Task
        Names the score.
    told : WordRelevance
        Of the report; empty where none was read.
    target : str
        Class or score that is explained.
    flags : sequence of str
        Of the prediction and of the map.
    verdict : str
        Whether the map can be believed, in words; `doubtful` where it had better not be.
    gains : mapping
        Name -> how much better than a random order.
    regions, curves, orders, what_if, self_test
        As in `PageContent`; what was not made is left out of the page.
    provenance : mapping, optional
        Name -> text, what the prediction does not say: method, options, resolution.
    thumbnail : str
        WebP as base64.
    """
    explained = f"score of {target}" + ("" if target == task.score_key else " minus the mean of the other classes")
    tables = [_volumes_table(prediction)] if prediction.volumes else []
    if told.biomarkers:
        tables.append(_biomarkers_table(told))
    model = {"id": "model", "base": "base model", "sha256": "SHA-256 of the base"}
    return PageContent(
        title=f"sub-{prediction.subject_id}" + (f", ses-{prediction.session_id}" if prediction.session_id else ""),
        scan=Path(prediction.scan).name,
        status=prediction.status,
        answer=prediction.diagnosis,
        target=target,
        explained=explained,
        verdict=verdict,
        doubtful=doubtful,
        notice=prediction.notice,
        probabilities=dict(prediction.probabilities or {}),
        score=_score(prediction, task),
        reasons=prediction.reasons,
        report=prediction.report or "",
        words=tuple(Word(word.text, word.relevance) for word in told.words),
        facts=_facts(prediction, flags, gains),
        tables=tuple(tables),
        regions=regions,
        curves=curves,
        orders=orders,
        what_if=what_if,
        self_test=self_test,
        provenance={
            **{title: str(prediction.model[key]) for key, title in model.items() if key in prediction.model},
            "adclip": prediction.adclip_version,
            "explained": explained,
            **(provenance or {}),
        },
        thumbnail=thumbnail,
    )


def faithfulness_curves(record: Mapping[str, Any]) -> tuple[tuple[Curve, ...], int]:
    """Return the curves of a `faithfulness.json` for the page, and how many random orders they are beside.

    Parameters
    ----------
    record : mapping
        `deletion`, `insertion` and each with `_random`: a list a random order, or one order alone; `fractions`: share of patches
        at each step, even steps to one half where it is not told.
    """
    curves: list[Curve] = []
    count = 1
    for name in ("deletion", "insertion"):
        if not record.get(name):
            continue
        y = np.asarray(record[name], dtype=float)
        x = np.asarray(record.get("fractions") or np.linspace(0, 0.5, len(y)), dtype=float)
        orders = np.atleast_2d(np.asarray(record[f"{name}_random"], dtype=float))
        low, high = np.percentile(orders, RANDOM_INTERVAL, axis=0)
        count = len(orders)
        curves.append(Curve(name, *(tuple(values.tolist()) for values in (x, y, low, high))))
    return tuple(curves), count


def _score(prediction: Prediction, task: Task) -> str:
    found = prediction.mmse
    if found is None:
        return ""
    known = "" if found.known is None else f"; {found.known:g} is known, and was not used"
    interval = "" if found.low is None or found.high is None else f", interval {found.low:.1f} to {found.high:.1f}"
    return f"{task.score} estimated at {found.estimate:.1f} points{interval}{known}."


def _facts(prediction: Prediction, flags: Sequence[str], gains: Mapping[str, float]) -> dict[str, str]:
    from adclip.prediction.answer_lines import rescan_line
    from adclip.prediction.volume_lines import notes

    facts = {
        "scan only": _shares(prediction.scan_only),
        "metadata only": _shares(prediction.metadata_only),
        "volumes only": _shares(prediction.volumes_only),
        **{f"{name.replace('_', ' ')} over random": f"{value:+.3f}" for name, value in gains.items()},
        "flags": ", ".join(flags) or "none",
    }
    if range_of_rescans := rescan_line(prediction.to_dict()):
        facts["when the scan is changed a little"] = range_of_rescans
    if prediction.prevalence is not None:
        facts["prediction, classes equally common"] = _shares(prediction.probabilities_equal)
        facts["shares of the classes, as given"] = _shares(prediction.prevalence)
    if prediction.volumes:
        facts["volumes"] = "; ".join(notes(prediction.volumes, prediction.volumes_source, prediction.flags))
    return facts


def _shares(probabilities: Mapping[str, float] | None) -> str:
    return ", ".join(f"{label} {value:.0%}" for label, value in (probabilities or {}).items()) or "none"


def _biomarkers_table(told: WordRelevance) -> Table:
    """Lay out what the report is worth: by its words, and with each biomarker left out."""
    rows = tuple(
        (Cell(one.name.replace("_", " ")), Cell(f"{one.relevance:+.3f}"), Cell(f"{one.left_out:+.3f}"))
        for one in sorted(told.biomarkers, key=lambda one: -abs(one.left_out))
    )
    header = ("biomarker", "its words", "score with its sentences less score without")
    return Table(f"The report, by biomarker (all words together {told.together:+.3f})", header, rows)


def _volumes_table(prediction: Prediction) -> Table:
    """Lay out the volumes with a bar where each stands among healthy people."""
    from adclip.prediction.volume_lines import CENTILE, HEADERS, rows

    table = tuple(
        tuple(Cell(text, row.centile if place == CENTILE else None) for place, text in enumerate(row.cells))
        for row in rows(prediction.volumes or {})
    )
    return Table("Volumes of brain structures", HEADERS, table)
