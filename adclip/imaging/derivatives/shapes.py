"""The JSON beside derivatives as JSON Schema: sidecar, rows of a run, dictionaries of tables, description of the dataset."""

from __future__ import annotations

from adclip.brain_volumes import BrainVolumes
from adclip.domain import RESEARCH_NOTICE, TEMPLATE_SPACE, InputContract
from adclip.imaging.derivatives.status import ScanRow
from adclip.imaging.quality.limits import LIMITS
from adclip.imaging.records.sidecar import GENERATOR, Sidecar, StepTaken
from adclip.record_schema import (
    NUMBER,
    SHA256,
    TEXT,
    Schema,
    list_of,
    mapping_of,
    object_of,
    of_record,
    one_of,
    or_null,
    summary,
)

_STATUSES = ("done", "kept", "failed")
_PLANNED = ("to do", "kept", "failed")


def sidecar() -> Schema:
    """Return the schema of `*_desc-preproc_T1w.json`; keys that others add to it stay."""
    made_by = object_of(
        {"Name": {"const": GENERATOR}, "Version": TEXT, "Recipe": {"type": "integer"}}, optional=("Recipe",)
    )
    file = object_of({"path": TEXT, "bytes": or_null({"type": "integer", "minimum": 0}), "sha256": SHA256})
    row: Schema = {"type": "array", "items": NUMBER, "minItems": 4, "maxItems": 4}
    properties: dict[str, Schema] = {
        "GeneratedBy": {"type": "array", "items": made_by, "minItems": 1},
        "SpatialReference": {"const": TEMPLATE_SPACE},
        "SkullStripped": {"const": True},
        "Units": TEXT,
        "SourceSHA256": {
            "type": "string",
            "pattern": "^([0-9a-f]{64})?$",
            "description": "Of the scan; empty for a simulated one.",
        },
        "Fingerprint": {**TEXT, "description": "Of what decides the numbers: bytes of the scan, settings, recipe."},
        "SourceGeometry": {"type": "object", "description": "How the geometry of the file was read."},
        "InputContract": of_record(InputContract),
        "Steps": list_of(of_record(StepTaken)),
        "ScanToMNI": {"type": "array", "items": row, "minItems": 4, "maxItems": 4, "description": "Scan mm to MNI mm."},
        "SubjectID": or_null(TEXT),
        "SessionID": or_null(TEXT),
        "QC": object_of(_quality(), optional=tuple(_quality()), closed=False),
        "Flags": list_of(TEXT),
        "Volumes": _volumes(),
        "Files": mapping_of(file),
        "Notice": {"const": RESEARCH_NOTICE},
        "Simulated": {"const": True},
    }
    optional = ("InputContract", "ScanToMNI", "Volumes", "Simulated")
    return object_of(properties, optional=optional, closed=False, description=summary(Sidecar))


def mask() -> Schema:
    """Return the schema of `*_desc-brain_mask.json`: what BIDS asks to be known of a mask."""
    source: Schema = {"type": "string", "pattern": "^bids::sub-"}
    properties: dict[str, Schema] = {
        "Type": {"const": "Brain"},
        "SpatialReference": {"const": TEMPLATE_SPACE},
        "Sources": {
            "type": "array",
            "items": source,
            "minItems": 1,
            "description": "The preprocessed scan, below the folder.",
        },
        "Notice": {"const": RESEARCH_NOTICE},
    }
    return object_of(properties, description="The brain mask of a preprocessed scan.")


def row() -> Schema:
    """Return the schema of one line of `adclip preprocess --json`."""
    own: dict[str, Schema | None] = {"qc": None, "status": one_of(*_STATUSES), "notice": TEXT}
    return of_record(ScanRow, {**own, **_quality()}, optional=("error", "hint", *_quality()), closed=False)


def planned_row() -> Schema:
    """Return the schema of one line of `adclip preprocess --dry-run --json`."""
    own: dict[str, Schema | None] = {"qc": None, "seconds": None, "status": one_of(*_PLANNED), "notice": TEXT}
    return of_record(ScanRow, own, optional=("error", "hint"))


def dictionary() -> Schema:
    """Return the schema of the JSON beside a table that says what its columns are, as BIDS has it."""
    column = object_of(
        {
            "Description": TEXT,
            "Units": TEXT,
            "Levels": {"type": "object"},
            "Sums": TEXT,
            "Origin": list_of(TEXT),
            "Value": or_null(TEXT),
        },
        optional=("Units", "Levels", "Sums", "Origin", "Value"),
    )
    program = object_of({"Name": TEXT, "Version": TEXT})
    shape: Schema = {"type": "object", "description": "What the columns of the table beside it are."}
    return {
        **shape,
        "properties": {"Notice": TEXT, "Tables": {}, "Notes": {}, "GeneratedBy": program},
        "additionalProperties": column,
    }


def description() -> Schema:
    """Return the schema of `dataset_description.json`, which BIDS defines and adclip uses a part of."""
    made_by = object_of({"Name": TEXT, "Version": TEXT}, optional=("Version",), closed=False)
    properties = {
        "Name": TEXT, "BIDSVersion": TEXT, "DatasetType": one_of("raw", "derivative"), "GeneratedBy": list_of(made_by), "Notice": TEXT,
    }  # fmt: skip
    return object_of(properties, optional=("GeneratedBy", "Notice"), closed=False, description="A BIDS dataset.")


def _quality() -> dict[str, Schema]:
    """Return what is measured on a scan by name, and what is said of it."""
    measured: dict[str, Schema] = {limit.name: {**or_null(NUMBER), "description": limit.label} for limit in LIMITS}
    override = object_of({"from": or_null(TEXT), "to": or_null(TEXT)})
    said = {"left_right": TEXT, "modality": TEXT, "verdict": one_of("pass", "warn", "fail"), "reasons": list_of(TEXT)}
    return {**measured, **said, "override": override}


def _volumes() -> Schema:
    volume: Schema = {"type": "number", "minimum": 0}
    changed: dict[str, Schema | None] = {"mm3": None, "is_whole": None, "further": None, "volumes": mapping_of(volume)}
    return of_record(BrainVolumes, changed, optional=("source", "table", "definitions", "measured_error"), closed=False)
