"""The records of explanations as JSON Schema: lines of `--json`, and files of single scans."""

from __future__ import annotations

from adclip.explanation.explain_one import Explanation
from adclip.explanation.figures import Bar
from adclip.explanation.group.files import GroupMap
from adclip.explanation.work import SECTION
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
from adclip.record_schema import TEXT, Schema, any_of, list_of, mapping_of, object_of, of_record, one_of


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
    cells = list_of(any_of(TEXT, of_record(Bar)))
    parts = [TEXT, list_of(TEXT), list_of(cells)]
    table: Schema = {
        "type": "array", "prefixItems": parts, "items": False, "minItems": len(parts),
        "description": "Caption, header and rows.",
    }  # fmt: skip
    word: Schema = {
        "type": "array", "prefixItems": [TEXT, {"type": "number"}], "items": False, "minItems": 2,
        "description": "A word of the report and its relevance.",
    }  # fmt: skip
    section = object_of(
        {"title": TEXT, "facts": mapping_of(TEXT), "tables": list_of(table), "words": list_of(word)},
        description="What the page says of the scan.",
        optional=("words",),
    )
    shape = with_keys(explanation(), {FINGERPRINT: fingerprint(), SECTION: section}, optional=(SECTION,))
    return {**shape, "allOf": [*shape["allOf"], {"anyOf": [failed(), {"required": [SECTION]}]}]}
