"""The JSON files of a model as JSON Schema: `adapter.json`, `baseline.json`, `base.json` and the leak certificate."""

from __future__ import annotations

import dataclasses

from adclip.domain import InputContract
from adclip.model.calibration import EARLIER_SCAN_ONLY, Calibration
from adclip.model.leak_record import InputsUnchanged, LeakCertificate
from adclip.model.record import ADAPTER_WEIGHTS, RECORD_HASH, SCHEMA_VERSION, AdapterRecord
from adclip.model.record_parts import Canary, Number, Training
from adclip.model.settings import ModelConfig, PromptConfig
from adclip.record_schema import (
    NUMBER,
    SHA256,
    TEXT,
    Schema,
    any_of,
    list_of,
    mapping_of,
    object_of,
    of_record,
    of_type,
    or_null,
)
from adclip.settings.setting import Settings
from adclip.task import Task


def number(*, counted: bool = True) -> Schema:
    """Return the schema of one measured number with its interval; one that is not `counted` may be of nobody, such as a loss."""
    n: Schema = {
        "type": "integer" if counted else ["integer", "null"],
        "description": "How many scans, or subjects, are behind it.",
    }
    return of_record(Number, {"scans": None, "n": n}, optional=("note", "low", "high"))


def numbers(*, counted: bool = True) -> Schema:
    """Return the schema of measured numbers by name."""
    return mapping_of(number(counted=counted))


def adapter() -> Schema:
    """Return the schema of `adapter.json`."""
    return _record({**mapping_of(SHA256), "required": [ADAPTER_WEIGHTS]})


def baseline() -> Schema:
    """Return the schema of `baseline.json`: as `adapter.json`, of a method that is measured for comparison and cannot predict."""
    return _record(mapping_of(SHA256))


def _record(files: Schema) -> Schema:
    changed: dict[str, Schema | None] = {
        "schema_version": {"const": SCHEMA_VERSION},
        "base": object_of(
            {"name": TEXT, "revision": TEXT, "sha256": SHA256, "vocabulary": SHA256}, optional=("vocabulary",)
        ),
        "model": _sizes(ModelConfig),
        "prompts": _sizes(PromptConfig),
        "task": _task(),
        "training": _training(),
        "metadata_baseline": or_null(_regression()),
        "volumes_baseline": or_null(_regression()),
        "calibration": _calibration(),
        "metrics": numbers(),
        "files": or_null(files),
        "canary": or_null(of_record(Canary)),
        "notice": TEXT,
        RECORD_HASH: {**SHA256, "description": "Of all else that the record says."},
    }
    since = (RECORD_HASH, "files", "canary", "prior", "volumes_baseline", "task", "reports", "template_version")
    return of_record(AdapterRecord, changed, optional=since)


def base() -> Schema:
    """Return the schema of `base.json`; what else stands there says how a base was made."""
    properties = {
        "name": TEXT,
        "revision": {**TEXT, "description": "Commit of the hub, `imported`, or a number of its own."},
        "sha256": {**SHA256, "description": "Of the weights; of several files, of the lines `hash  name` of each."},
        "model": _sizes(ModelConfig),
        "weights": {**TEXT, "description": "Name of the safetensors file, or of the index of several."},
        "source": or_null(TEXT),
        "licence": or_null(TEXT),
        "files": {**mapping_of(SHA256), "description": "SHA-256 of every file beside it."},
        "prefix": {**TEXT, "description": "What the file's names lack of the network's."},
        "raw_scale": {"type": "boolean", "description": "Whether its logit scale is multiplied as it is."},
    }
    optional = ("weights", "source", "licence", "files", "prefix", "raw_scale")
    return object_of(properties, optional=optional, closed=False, description="A frozen base model on disk.")


def certificate() -> Schema:
    """Return the schema of `private/leak_certificate.json`, which `adapter.json` repeats."""
    changed: dict[str, Schema | None] = {
        "largest_correlation": None,
        "reports_unchanged": None,
        "inputs_unchanged": None,
        "subjects_in_two_parts": {"const": 0},
        "largest_correlation_of_two_subjects": or_null(NUMBER),
        "reports_unchanged_by_diagnosis_and_scores": {"type": "integer", "minimum": 0},
        "inputs_unchanged_by_answers": of_record(InputsUnchanged),
    }
    return of_record(LeakCertificate, changed, optional=("inputs_unchanged_by_answers",))


def contract() -> Schema:
    """Return the schema of an input contract."""
    return of_record(InputContract)


def _sizes(kind: type[Settings]) -> Schema:
    later = ("stem", "close_up") if kind is ModelConfig else ()
    return of_record(kind, {"contract": contract()} if kind is ModelConfig else None, optional=later)


def _task() -> Schema:
    score = object_of({"name": TEXT, "range": of_type(tuple[float, float])})
    return object_of(
        {
            "name": TEXT,
            "classes": list_of(TEXT),
            "phrases": mapping_of(TEXT),
            "score": score,
            "columns": or_null(list_of(TEXT)),
        },
        description=(Task.__doc__ or "").partition("\n")[0],
    )


def _calibration() -> Schema:
    """Return the schema of what the calibration subjects taught, as it is written, or as models wrote it that knew two roads."""
    later = [field.name for field in dataclasses.fields(Calibration) if field.default is not dataclasses.MISSING]
    count, flag = {"type": "integer", "minimum": 0}, {"type": "boolean"}
    earlier: dict[str, Schema] = {"subjects": count, "report_subjects": count, "cross_fitted": flag}
    earlier |= dict.fromkeys(("mmse_half_width", "gate_limit"), or_null(NUMBER))
    for prefix in ("", EARLIER_SCAN_ONLY):
        earlier |= {f"{prefix}temperature": NUMBER, f"{prefix}calibrated": flag}
        earlier |= dict.fromkeys((f"{prefix}study_temperature", f"{prefix}set_threshold"), or_null(NUMBER))
    optional = [name for name in earlier if name != "subjects"]
    return any_of(of_record(Calibration, optional=later), object_of(earlier, optional=optional))


def _training() -> Schema:
    changed: dict[str, Schema | None] = {"settings": None, "certificate": certificate()}
    shape = of_record(Training, changed, closed=False)  # settings stand beside these by their own names
    return {**shape, "required": []}


def _regression() -> Schema:
    """Return what can be told of a regression without asking it; `adclip.prediction` checks the rest."""
    properties = {
        "class_order": list_of(TEXT),
        "columns": list_of(TEXT),
        "program": TEXT,
        "basis": TEXT,
        "structures": list_of(TEXT),
    }
    return object_of(properties, optional=("columns", "program", "basis", "structures"), closed=False)
