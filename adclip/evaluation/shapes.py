"""The record of an evaluation as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping

from adclip.evaluation.audits.columns import ColumnMeter, Missingness
from adclip.evaluation.audits.quality import QualityAudit
from adclip.evaluation.audits.rescans import Rescans
from adclip.evaluation.audits.shuffles import Shuffled
from adclip.evaluation.audits.subgroups import Subgroup
from adclip.model.record_shapes import number, numbers
from adclip.record_schema import SHA256, TEXT, Schema, list_of, mapping_of, object_of, of_record, one_of, or_null

COUNT: Schema = {"type": "integer", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
SCHEMA_VERSION = 1


def evaluation_line() -> Schema:
    """Return the schema of the line of `adclip evaluate --json`: `metrics.json`, and where it stands."""
    return _evaluation({"out": {**TEXT, "description": "Folder of page and tables."}})


def evaluation() -> Schema:
    """Return the schema of `metrics.json`, in which groups of people have numbers and nobody a name."""
    return _evaluation({})


def _evaluation(further: Mapping[str, Schema]) -> Schema:
    by_group = mapping_of(numbers())
    shuffled = or_null(
        of_record(
            Shuffled,
            {
                "auc": number(),
                "cost": number(),
                "adds": {
                    "type": "boolean",
                    "description": "Whether it adds to the answer: the interval of its cost lies above 0.",
                },
            },
        )
    )
    properties: dict[str, Schema] = {
        **further,
        "schema_version": {"const": SCHEMA_VERSION},
        "model": object_of({"id": TEXT, "base": TEXT, "sha256": SHA256}),
        "adclip_version": TEXT,
        "who": {**TEXT, "description": "Who is counted, in words."},
        "own_test_part": {"type": "boolean", "description": "Whether they are the run's own test people."},
        "flow": {**mapping_of(COUNT), "description": "How many were left at each step from the folder to the numbers."},
        "seed": {"type": "integer"},
        "scans": COUNT,
        "people": {**mapping_of(COUNT), "description": "Class -> people, by their first scan here."},
        "prevalence": {**mapping_of(SHARE), "description": "Class -> how common it was taken to be here."},
        "metrics": {**numbers(), "description": "Numbers of the model, named as in `adapter.json`."},
        "beside": {**by_group, "description": "The same of each that stands beside the model."},
        "less": {**by_group, "description": "The model's numbers less those of each."},
        "rivals_learned": {**TEXT, "description": "From whom the regressions learned that the model does not bring along."},
        "shuffled": object_of({"scan": shuffled, "report": shuffled}),
        "subgroups": list_of(
            of_record(
                Subgroup, {"kind": one_of("sex", "age", "site"), "counts": mapping_of(COUNT), "numbers": numbers(),
                           "too_small": {"type": "boolean"}}
            )
        ),
        "columns": list_of(
            of_record(
                ColumnMeter,
                {"kind": one_of("score", "diagnosis", "column"), "balanced_accuracy": number(), "explained": SHARE, "says": TEXT},
            )
        ),
        "missing": of_record(Missingness, {"shares": mapping_of(mapping_of(SHARE)), "auc": or_null(number())}),
        "quality": of_record(
            QualityAudit, {"acquisition": or_null(number()), "every": or_null(number()), "doubtful": {"type": "boolean"}}
        ),
        "rescans": of_record(Rescans, {"pairs": COUNT, "kept": or_null(number()), "icc": numbers()}),
        "findings": {
            **list_of(object_of({"level": one_of("good", "plain", "warn"), "text": TEXT})),
            "description": "The sentences on top of the page.",
        },
        "notice": TEXT,
    }  # fmt: skip
    return object_of(
        properties, description="What was measured of a model on a cohort, and what else could explain it."
    )
