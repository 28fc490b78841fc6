"""The records of explanations as JSON Schema: lines of `--json`, and files of single scans."""

from __future__ import annotations

from adclip.explanation.faithfulness.record import Faithfulness, SelfTestRow
from adclip.explanation.group.files import GroupMap
from adclip.explanation.page.content import PageContent
from adclip.explanation.page.index import SECTION
from adclip.explanation.record import Explanation
from adclip.explanation.selftest_record import SelfTest
from adclip.prediction.reasons import STATUSES
from adclip.prediction.record_store import FINGERPRINT
from adclip.prediction.shapes import (
    RESCANS,
    SHARES,
    failed,
    failed_or_done,
    fingerprint,
    told_for_shares_or_not,
    with_keys,
)
from adclip.record_schema import TEXT, Schema, mapping_of, of_record, one_of


def explanation() -> Schema:
    """Return the schema of one line of `adclip explain --json`."""
    changed: dict[str, Schema | None] = {
        "status": one_of(*STATUSES), "probabilities": SHARES, "prevalence": SHARES, "probabilities_equal": SHARES, "rescans": RESCANS,
        "error": TEXT, "hint": TEXT,
    }  # fmt: skip
    shape = of_record(Explanation, changed, optional=("error", "hint"))
    return {**shape, "allOf": [failed_or_done(), told_for_shares_or_not()]}


def group_map() -> Schema:
    """Return the schema of `group_*_relevance.json`."""
    count: Schema = {"type": "integer", "minimum": 0}
    return of_record(GroupMap, {"people": count, "scans": count, "model": mapping_of(TEXT)})


def explanation_record() -> Schema:
    """Return the schema of `sub-*_explanation.json`: an explanation, what the page says of the scan, and what decided it."""
    section = {**of_record(PageContent), "description": "What the page says of the scan."}
    shape = with_keys(explanation(), {FINGERPRINT: fingerprint(), SECTION: section}, optional=(SECTION,))
    return {**shape, "allOf": [*shape["allOf"], {"anyOf": [failed(), {"required": [SECTION]}]}]}


def faithfulness() -> Schema:
    """Return the schema of the file beside a heatmap."""
    return of_record(Faithfulness)


def selftest() -> Schema:
    """Return the schema of `explain_selftest.json`."""
    return of_record(SelfTest)


def selftest_row() -> Schema:
    """Return the schema of one line of `adclip explain --selftest --json`."""
    return of_record(SelfTestRow)
