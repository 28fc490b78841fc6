"""From an explanation to what its page says: sentences, tables and curves of one scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adclip.domain import Prediction
from adclip.explanation.faithfulness.record import Faithfulness
from adclip.explanation.page.content import Cell, Line, PageContent, Panel, Regions, Table, WhatIf, Word
from adclip.explanation.page.measured import curves_of, self_test_table, tables_of
from adclip.task import Task
from adclip.told import Curve as ToldCurve

if TYPE_CHECKING:
    from adclip.explanation.what_if_image import ImageWhatIf
    from adclip.explanation.word_relevance import WordRelevance

SHOWN_WHAT_IF = "Hippocampi made smaller in the scan itself, and the number in the report made smaller: which of the two moves the answer?"


def section_of(
    prediction: Prediction,
    task: Task,
    told: WordRelevance,
    faithful: Faithfulness,
    *,
    regions: Regions | None = None,
    sentences: Sequence[str] = (),
    what_if: ImageWhatIf | None = None,
    asked: Mapping[str, str] | None = None,
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
    faithful : Faithfulness
        The map: what it explains, how it was made, what was measured of it.
    regions : Regions, optional
    sentences : sequence of str
        Which regions hold most, and how large they are.
    what_if : ImageWhatIf, optional
        Answers with smaller hippocampi.
    asked : mapping, optional
        Name -> text: what else decides the map.
    thumbnail : str
        WebP as base64.
    """
    tables = [_volumes_table(prediction)] if prediction.volumes else []
    if told.biomarkers:
        tables.append(_biomarkers_table(told))
    model = {"id": "model", "base": "base model", "sha256": "SHA-256 of the base"}
    orders = faithful.curves[0].deletion_gain.of if faithful.curves else 1
    finest = (
        f"where finest {faithful.fine_resolution_mm:.0f} mm"
        if faithful.fine_resolution_mm < faithful.resolution_mm
        else ""
    )
    return PageContent(
        title=f"sub-{prediction.subject_id}" + (f", ses-{prediction.session_id}" if prediction.session_id else ""),
        scan=Path(prediction.scan).name,
        status=prediction.status,
        answer=prediction.diagnosis,
        target=faithful.target,
        explained=faithful.explained,
        verdict=faithful.verdict.words,
        doubtful=faithful.verdict.believed is not True,
        notice=prediction.notice,
        probabilities=dict(prediction.probabilities or {}),
        score=_score(prediction, task),
        reasons=prediction.reasons,
        report=prediction.report or "",
        words=tuple(Word(word.text, word.relevance) for word in told.words),
        facts=_facts(prediction, (*prediction.flags, *faithful.flags)),
        tables=tuple(tables),
        regions=regions,
        sentences=tuple(sentences),
        curves=curves_of(faithful.curves, faithful.number),
        orders=orders,
        measured=tables_of(faithful),
        what_if=None if what_if is None else _what_if(what_if, _told_class(prediction, faithful)),
        self_test=self_test_table(faithful.selftest),
        provenance={
            **{title: str(prediction.model[key]) for key, title in model.items() if key in prediction.model},
            "adclip": prediction.adclip_version,
            "explained": faithful.explained,
            "method": faithful.method,
            "told apart": ", ".join(filter(None, (f"{faithful.resolution_mm:.0f} mm", finest))),
            **(asked or {}),
        },
        thumbnail=thumbnail,
    )


def _told_class(prediction: Prediction, faithful: Faithfulness) -> str | None:
    """Return the class whose moves are told: the one that is explained, else the answer."""
    first = faithful.target.split("-")[0]
    return next(
        (name for name in (faithful.target, first) if name in (prediction.probabilities or {})), prediction.diagnosis
    )


def _what_if(found: ImageWhatIf, label: str | None) -> WhatIf:
    from adclip.explanation.what_if_words import tell

    sentences = tell(found, label) if label is not None else ()
    return WhatIf(
        " ".join((SHOWN_WHAT_IF, *sentences)),
        _panel(found.image, "In the scan: hippocampi shrunk"),
        None if found.table is None else _panel(found.table, "In the report: hippocampal volume multiplied"),
    )


def _panel(curve: ToldCurve, title: str) -> Panel:
    points = sorted(curve.points, key=lambda point: -point.value)
    labels = list(points[0].probabilities)
    lines = tuple(Line(label, tuple(point.probabilities[label] for point in points)) for label in labels)
    return Panel(title, "times as large", tuple(point.value for point in points), lines)


def _score(prediction: Prediction, task: Task) -> str:
    found = prediction.mmse
    if found is None:
        return ""
    known = "" if found.known is None else f"; {found.known:g} is known, and was not used"
    interval = "" if found.low is None or found.high is None else f", interval {found.low:.1f} to {found.high:.1f}"
    return f"{task.score} estimated at {found.estimate:.1f} points{interval}{known}."


def _facts(prediction: Prediction, flags: Sequence[str]) -> dict[str, str]:
    from adclip.prediction.answer_lines import rescan_line
    from adclip.prediction.volume_lines import notes

    facts = {
        "scan only": _shares(prediction.scan_only),
        "metadata only": _shares(prediction.metadata_only),
        "volumes only": _shares(prediction.volumes_only),
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
