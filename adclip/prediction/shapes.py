"""The records of predictions as JSON Schema: lines of `--json`, files of single scans, whose run a folder is of."""

from __future__ import annotations

from typing import Any

from adclip.domain import Prediction, ScoreEstimate
from adclip.prediction.fingerprints import RunIdentity
from adclip.prediction.reasons import STATUSES
from adclip.prediction.record_store import FINGERPRINT, RUN_DIGITS
from adclip.prediction.volumetry import VolumeFacts
from adclip.record_schema import (
    SHA256,
    TEXT,
    Schema,
    list_of,
    mapping_of,
    object_of,
    of_record,
    one_of,
    or_null,
)
from adclip.told import Curve, CurvePoint, RescanRange

PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHARES = or_null(mapping_of(PROBABILITY))
RESCANS = or_null(of_record(RescanRange, {"low": PROBABILITY, "high": PROBABILITY, "kept": COUNT, "of": COUNT}))


def prediction() -> Schema:
    """Return the schema of one line of `adclip predict --json` and of `predictions.jsonl`.

    Classes and score are those of the model's task. The estimate stands under the name of the score, so that any key that is not
    named here must hold one.
    """
    estimate = or_null(of_record(ScoreEstimate))
    model = object_of({"id": TEXT, "base": TEXT, "sha256": SHA256})
    curve = of_record(Curve, {"points": list_of(of_record(CurvePoint, {"probabilities": mapping_of(PROBABILITY)}))})
    changed: dict[str, Schema | None] = {
        "status": one_of(*STATUSES),
        "probabilities": SHARES,
        "scan_only": SHARES,
        "metadata_only": SHARES,
        "volumes_only": SHARES,
        "volumes": or_null(mapping_of(of_record(VolumeFacts))),
        "mmse": estimate,
        "rescans": RESCANS,
        "prevalence": SHARES,
        "probabilities_equal": SHARES,
        "what_if": or_null(list_of(curve)),
        "model": {"anyOf": [model, {"type": "object", "maxProperties": 0}]},
        "error": TEXT,
        "hint": TEXT,
        "score_name": None,
    }
    shape = of_record(Prediction, changed, optional=("mmse", "error", "hint"))
    return {**shape, "additionalProperties": estimate, "allOf": [failed_or_done(), told_for_shares_or_not()]}


def prediction_record() -> Schema:
    """Return the schema of `sub-*_prediction.json`: a prediction, and what decided it."""
    return with_keys(prediction(), {FINGERPRINT: fingerprint()})


def cohort_run() -> Schema:
    """Return the schema of `.adclip/predict.json` and `.adclip/explain.json`: which model, settings and scans a folder is of."""
    model = {**object_of({"name": TEXT}), "additionalProperties": SHA256}
    own: dict[str, Schema | None] = {
        "verb": one_of("predict", "explain"),
        "model": model,
        "recipe": SHA256,
        "sha256": {**SHA256, "description": "Of all of it; the fingerprints of the records begin with it."},
        "scans": {
            **list_of(TEXT),
            "description": "`sub-X[_ses-Y]` of all scans of the cohort, those of other shards included.",
        },
        "notice": TEXT,
    }
    return of_record(RunIdentity, own)


def failed() -> Schema:
    """Return what holds of the record of a scan that failed."""
    return {"properties": {"status": {"const": "failed"}}, "required": ["error", "hint"]}


def failed_or_done() -> Schema:
    """Return that `error` and `hint` stand in the records of scans that failed, and in no others."""
    done = {
        "properties": {"status": {"enum": [status for status in STATUSES if status != "failed"]}},
        "not": {"required": ["error"]},
    }
    return {"anyOf": [failed(), done]}


def told_for_shares_or_not() -> Schema:
    """Return that probabilities for equal shares stand beside those for other shares, and beside no others."""
    kinds = [{"type": "null"}, {"type": "object"}]
    return {"anyOf": [{"properties": {"prevalence": kind, "probabilities_equal": kind}} for kind in kinds]}


def fingerprint() -> Schema:
    """Return the schema of what a record is known again by."""
    pattern = f"^[0-9a-f]{{{RUN_DIGITS}}}:([0-9a-f]{{64}})?$"
    says = "Which run, and the hash of what decided the record; without that hash the next run does the scan again."
    return {"type": "string", "pattern": pattern, "description": says}


def with_keys(shape: Schema, properties: dict[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object with further keys."""
    known: dict[str, Any] = shape["properties"]
    required = [*shape["required"], *(name for name in properties if name not in optional)]
    return {**shape, "properties": {**known, **properties}, "required": required}
