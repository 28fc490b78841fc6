"""`adclip schema`: JSON Schema (2020-12) of every JSON that adclip writes, made from the records themselves."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adclip.errors import ConfigError
from adclip.record_schema import (
    TEXT,
    Schema,
    document,
    list_of,
    mapping_of,
    object_of,
    of_record,
    of_type,
    one_of,
    or_null,
)
from adclip.settings.setting import Settings
from adclip.verbs.settings import SchemaConfig


@dataclass(frozen=True)
class SchemaEntry:
    """One line of `adclip schema`.

    Parameters
    ----------
    name : str
    is_lines : bool
        Whether the file has one such record a line.
    where : str
        Which file or output it is of.
    """

    name: str
    is_lines: bool
    where: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(vars(self))


@dataclass(frozen=True)
class SchemaResult:
    """The list of what there is, or one schema."""

    entries: tuple[SchemaEntry, ...] = ()
    schema: dict[str, Any] | None = None


def schema(config: SchemaConfig) -> SchemaResult:
    """Return one schema by its name; without a name the list of all.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if config.name is None:
        return SchemaResult(tuple(entry for entry, _ in CATALOGUE.values()))
    if config.name not in CATALOGUE:
        near = difflib.get_close_matches(config.name, CATALOGUE, n=3, cutoff=0.4)
        remedy = f"did you mean {', '.join(near)}? " if near else ""
        raise ConfigError.bad_value("NAME", f"no schema `{config.name}`", f"{remedy}`adclip schema` lists all")
    return SchemaResult(schema=schema_of(config.name))


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of one name of the catalogue."""
    entry, build = CATALOGUE[name]
    return document(name, entry.where, build())


# --------------------------------------------------------------------------------------- what only a verb writes


def _finetune() -> Schema:
    from adclip.model.record_shapes import numbers
    from adclip.verbs.finetune import FinetuneResult

    of_groups = mapping_of(numbers())
    changed: dict[str, Schema | None] = {
        "metrics": numbers(), "baselines": of_groups, "differences": of_groups, "history": list_of(_epoch()),
    }  # fmt: skip
    return of_record(FinetuneResult, changed)


def _evaluate_plan() -> Schema:
    from adclip.verbs.evaluate import EvaluatePlan

    count: Schema = {"type": "integer", "minimum": 0}
    cost: Schema = {"type": "number", "minimum": 0}
    return of_record(EvaluatePlan, {"scans": count, "people": count, "minutes": cost, "memory_gb": cost})


def _finetune_plan() -> Schema:
    from adclip.verbs.finetune import FinetunePlan

    return of_record(FinetunePlan)


def _epoch() -> Schema:
    names = ("validation_loss", "validation_scan_only_loss", "validation_balanced_accuracy")
    measured = {name: {"type": ["number", "null"]} for name in ("train_loss", *names)}
    # other methods than prompt tuning have no loss without a report
    shape = object_of(
        {"epoch": {"type": "integer", "minimum": 1}, **measured}, optional=names, closed=False, description="One epoch."
    )
    return {**shape, "additionalProperties": {"type": ["number", "null"]}}


def _report() -> Schema:
    from adclip.clinical.reports.report_file import ReportRecord

    return of_record(ReportRecord, {"synthetic": {"const": True}})


def _synthesize() -> Schema:
    from adclip.verbs.synthesize_reports import ColumnSummary, SynthesizeResult

    counts = mapping_of({"type": "integer", "minimum": 0})
    changed: dict[str, Schema | None] = {
        "table": None, "rows": None, "columns": list_of(of_record(ColumnSummary)), "tables": mapping_of(TEXT), "visits": of_type(int),
        "subjects": of_type(int), "by_diagnosis": counts, "missing": counts, "flagged": counts, "definitions": mapping_of(TEXT),
        "notes": list_of(TEXT), "notice": TEXT,
    }  # fmt: skip
    return of_record(SynthesizeResult, changed, names={"Table": object})


def _columns() -> Schema:
    from adclip.clinical.tables.meanings import Meaning

    return of_record(Meaning)


def _lint() -> Schema:
    from adclip.clinical.reports.lint import LintResult

    changed: dict[str, Schema | None] = {
        "path": None,
        "file": TEXT,
        "leaks": of_type(int),
        "warnings": of_type(int),
        "notice": TEXT,
    }
    return of_record(LintResult, changed, optional=("notice",))


def _weights() -> Schema:
    from adclip.model.inventory import StoredBase
    from adclip.verbs.settings import WEIGHTS_ACTIONS
    from adclip.verbs.weights import CheckedRun

    action: Schema = {"action": one_of(*WEIGHTS_ACTIONS)}
    return {
        "anyOf": [of_record(StoredBase, action), of_record(CheckedRun, action), object_of({**action, "path": TEXT})]
    }


def _simulate() -> Schema:
    from adclip.model.record_shapes import numbers
    from adclip.verbs.simulate import SimulateResult

    return of_record(SimulateResult, {"oracle": numbers()})


def _oracle() -> Schema:
    from adclip.model.record_shapes import numbers

    return object_of({"numbers": numbers(), "notice": TEXT}, description="What the true volumes alone would reveal.")


def _demo() -> Schema:
    from adclip.model.record_shapes import numbers
    from adclip.prediction.shapes import prediction
    from adclip.verbs.demo import DemoResult

    own: dict[str, Schema | None] = {"numbers": numbers(counted=False), "predictions": list_of(prediction())}
    return of_record(DemoResult, own, names={"Prediction": object})


def _demo_summary() -> Schema:
    from adclip.model.record_shapes import numbers

    number: Schema = {"type": ["number", "null"]}
    return object_of(
        {
            "config": {"type": "object"},
            "numbers": numbers(counted=False),
            "seconds": number,
            "peak_memory_gb": number,
            "notice": TEXT,
        },
        description="What the demo measured.",
    )


def _faithfulness() -> Schema:
    from adclip.explanation.faithfulness.record import Faithfulness

    return of_record(Faithfulness)


def _doctor() -> Schema:
    from adclip.runtime.environment import MISSING, OK, WARN, Finding

    return of_record(Finding, {"status": one_of(OK, WARN, MISSING)})


def _simulated_head() -> Schema:
    properties: dict[str, Schema] = {
        "Modality": one_of("MR", "CT"), "Simulated": {"const": True}, "InstitutionName": TEXT, "ManufacturersModelName": TEXT,
        "MagneticFieldStrength": or_null(of_type(float)),
    }  # fmt: skip
    return object_of(
        properties, optional=("MagneticFieldStrength",), description="The BIDS sidecar of a simulated head."
    )


def settings_of_commands() -> dict[str, type[Settings]]:
    """Return the settings of each command, by its name on the command line."""
    from adclip.clinical.settings import SynthesizeReportsConfig
    from adclip.prediction.settings import PreprocessConfig
    from adclip.simulation.settings import SimulateConfig
    from adclip.training.settings import FinetuneConfig
    from adclip.verbs import settings as own

    return {
        "demo": own.DemoConfig, "preprocess": PreprocessConfig, "synthesize-reports": SynthesizeReportsConfig,
        "finetune": FinetuneConfig, "predict": own.PredictConfig, "explain": own.ExplainConfig, "evaluate": own.EvaluateConfig,
        "weights": own.WeightsConfig, "simulate": SimulateConfig, "doctor": own.DoctorConfig, "schema": SchemaConfig,
    }  # fmt: skip


def _settings() -> Schema:
    from adclip.settings.schema import file_schema

    return file_schema(settings_of_commands())


def _of(module: str, function: str) -> Callable[[], Schema]:
    """Return what calls a function of a module that is imported only then."""

    def build() -> Schema:
        import importlib

        made: Schema = getattr(importlib.import_module(f"adclip.{module}"), function)()
        return made

    return build


_ENTRIES: tuple[tuple[str, bool, str, Callable[[], Schema]], ...] = (
    ("prediction", True, "`adclip predict --json`, predictions.jsonl", _of("prediction.shapes", "prediction")),
    ("prediction-record", False, "sub-*_prediction.json of predict", _of("prediction.shapes", "prediction_record")),
    ("explanation", True, "`adclip explain --json`", _of("explanation.shapes", "explanation")),
    ("explanation-record", False, "sub-*_explanation.json of explain", _of("explanation.shapes", "explanation_record")),
    ("cohort-run", False, ".adclip/predict.json, .adclip/explain.json", _of("prediction.shapes", "cohort_run")),
    ("faithfulness", False, "*_relevance_faithfulness.json of explain", _faithfulness),
    ("group-map", False, "group_*_relevance.json of explain", _of("explanation.shapes", "group_map")),
    ("preprocess", True, "`adclip preprocess --json`", _of("imaging.derivatives.shapes", "row")),
    ("preprocess-plan", True, "`adclip preprocess --dry-run --json`", _of("imaging.derivatives.shapes", "planned_row")),
    ("sidecar", False, "*_desc-preproc_T1w.json of preprocess", _of("imaging.derivatives.shapes", "sidecar")),
    ("mask", False, "*_desc-brain_mask.json of preprocess", _of("imaging.derivatives.shapes", "mask")),
    ("dataset", False, "dataset_description.json", _of("imaging.derivatives.shapes", "description")),
    ("dictionary", False, "status.json, volumes.json, participants.json, group.json, *.json beside a clean table",
     _of("imaging.derivatives.shapes", "dictionary")),
    ("adapter", False, "adapter.json of a RUN", _of("model.record_shapes", "adapter")),
    ("baseline", False, "baseline.json of a RUN", _of("model.record_shapes", "baseline")),
    ("base", False, "base.json of a base model", _of("model.record_shapes", "base")),
    ("certificate", False, "private/leak_certificate.json of a RUN", _of("model.record_shapes", "certificate")),
    ("metrics", True, "private/metrics.jsonl of a RUN", _epoch),
    ("finetune", True, "`adclip finetune --json`", _finetune),
    ("finetune-plan", True, "`adclip finetune --dry-run --json`", _finetune_plan),
    ("evaluate", True, "`adclip evaluate --json`", _of("evaluation.shapes", "evaluation_line")),
    ("evaluate-plan", True, "`adclip evaluate --dry-run --json`", _evaluate_plan),
    ("evaluation", False, "metrics.json of evaluate", _of("evaluation.shapes", "evaluation")),
    ("report", True, "reports.jsonl of synthesize-reports", _report),
    ("synthesize-reports", True, "`adclip synthesize-reports --json`", _synthesize),
    ("columns", True, "`adclip synthesize-reports --explain-columns --json`", _columns),
    ("lint", True, "`adclip synthesize-reports --lint FILE --json`", _lint),
    ("weights", True, "`adclip weights ... --json`", _weights),
    ("simulate", True, "`adclip simulate --json`", _simulate),
    ("oracle", False, "oracle.json of simulate", _oracle),
    ("simulated-head", False, "*_T1w.json, *_ct.json of simulate", _simulated_head),
    ("demo", True, "`adclip demo --json`", _demo),
    ("demo-summary", False, "demo.json of demo", _demo_summary),
    ("doctor", True, "`adclip doctor --json`", _doctor),
    ("settings", False, "adclip.toml, read as JSON", _settings),
)  # fmt: skip
CATALOGUE: dict[str, tuple[SchemaEntry, Callable[[], Schema]]] = {
    name: (SchemaEntry(name, is_lines, where), build) for name, is_lines, where, build in _ENTRIES
}
