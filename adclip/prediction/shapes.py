"""The record of a prediction as JSON Schema."""

from __future__ import annotations

from adclip.domain import Prediction, ScoreEstimate
from adclip.prediction.volumetry import VolumeFacts
from adclip.record_schema import SHA256, TEXT, Schema, mapping_of, object_of, of_record, one_of, or_null

PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
STATUSES = ("ok", "caution", "refer", "failed")


def prediction() -> Schema:
    """Return the schema of one line of `adclip predict --json` and of `predictions.jsonl`.

    Classes and score are those of the model's task. The estimate stands under the name of the score, so that any key that is not
    named here must hold one.
    """
    estimate = or_null(of_record(ScoreEstimate))
    shares = or_null(mapping_of(PROBABILITY))
    model = object_of({"id": TEXT, "base": TEXT, "sha256": SHA256})
    changed: dict[str, Schema | None] = {
        "status": one_of(*STATUSES),
        "probabilities": shares,
        "scan_only": shares,
        "metadata_only": shares,
        "volumes_only": shares,
        "volumes": or_null(mapping_of(of_record(VolumeFacts))),
        "mmse": estimate,
        "model": {"anyOf": [model, {"type": "object", "maxProperties": 0}]},
        "error": TEXT,
        "hint": TEXT,
        "score_name": None,
    }
    shape = of_record(Prediction, changed, optional=("mmse", "error", "hint"))
    failed = {"properties": {"status": {"const": "failed"}}, "required": ["error", "hint"]}
    done = {
        "properties": {"status": {"enum": [status for status in STATUSES if status != "failed"]}},
        "not": {"required": ["error"]},
    }
    return {**shape, "additionalProperties": estimate, "anyOf": [failed, done]}
