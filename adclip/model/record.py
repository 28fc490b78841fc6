"""What a RUN folder says of itself: `adapter.json`, and where it stands."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adclip.domain import BUILTIN_NOTICE, RESEARCH_NOTICE
from adclip.errors import CheckpointError, ConfigError
from adclip.json_values import is_number
from adclip.model import errors
from adclip.model.bases import BUILTIN_FOLDER, KNOWN
from adclip.model.calibration import Calibration
from adclip.model.record_parts import Canary, StoredBaseline, Training
from adclip.model.settings import ModelConfig, PromptConfig
from adclip.settings.shared import REPORT_STYLES
from adclip.task import ALZHEIMER, Task

SCHEMA_VERSION = 1
ADAPTER_RECORD, ADAPTER_WEIGHTS = "adapter.json", "adapter.safetensors"
LESS = "less_"  # metrics `less_GROUP.METRIC` are the model's less that group's on the same subjects
LAST_DIAGNOSIS_NOTICE = "learned from each subject's last diagnosis, not that at the visit of the scan (subject-last)"
BASELINES = ("metadata_baseline", "volumes_baseline")
BASELINE_RECORD = "baseline.json"  # of a method that is measured for comparison and cannot predict
RECORD_HASH = "record_sha256"  # of all else that the record says
BEGUN = "private/config.toml"  # is there as soon as a run is begun
OF_A_RUN = (ADAPTER_RECORD, ADAPTER_WEIGHTS, BASELINE_RECORD, BEGUN)  # a folder with any of them is a RUN


@dataclass(frozen=True)
class AdapterRecord:
    """The content of `adapter.json`.

    Parameters
    ----------
    base : dict
        `name`, `revision`, `sha256` of the frozen base; `vocabulary` is the SHA-256 of the vocabulary that it was tuned with.
    model, prompts : ModelConfig, PromptConfig
        Sizes; the input contract is part of the first.
    labels : tuple of str
        Class order.
    phrases : dict
        Class -> word in the label phrase.
    style : str
        Report style.
    mmse_mean, mmse_sd : float or None
        Undo the z-scoring of the MMSE, in points.
    calibration : Calibration
    metadata_baseline : StoredBaseline or None
        Logistic regression on the same columns.
    training : Training
        Settings and counts; no path, no individual.
    metrics : dict
        Measured on the test subjects: name -> value, low, high, n, see `adclip.model.record_parts.Number`.
    adclip_version : str
    libraries : dict
    template_version : str
        Version of the report style's words that the model was taught on.
    reports : bool
        Whether it reads reports at all.
    task : Task
        What it was asked; `labels` and `phrases` are its.
    volumes_baseline : StoredBaseline or None
        Logistic regression on the medial temporal norm score; None where the training scans had no volumes that any
        norms fit, and in records from before there was one.
    prior : dict or None
        Class -> its share among the training scans, which training took out of the scores; None in records from before it was
        kept.
    files : dict or None
        Name -> SHA-256 of the files beside the record that are shared with it; None in records from before they were named.
    canary : Canary or None
        What it answered to a made-up input where it was written; None in records from before it was asked.
    """

    base: dict[str, str]
    model: ModelConfig
    prompts: PromptConfig
    labels: tuple[str, ...]
    phrases: dict[str, str]
    style: str
    mmse_mean: float | None
    mmse_sd: float | None
    calibration: Calibration
    metadata_baseline: StoredBaseline | None
    training: Training
    metrics: dict[str, Any]
    adclip_version: str
    libraries: dict[str, str]
    template_version: str = "1"
    reports: bool = True
    task: Task = ALZHEIMER
    volumes_baseline: StoredBaseline | None = None
    prior: dict[str, float] | None = None
    files: dict[str, str] | None = None
    canary: Canary | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def shares(self) -> tuple[float, ...] | None:
        """How common the classes were in training, in their order; None where that was not kept."""
        return None if self.prior is None else tuple(self.prior[label] for label in self.labels)

    def by_group(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Return the model's own metrics, those of each group beside it, and the model's less theirs."""
        own: dict[str, Any] = {}
        groups: dict[str, dict[str, Any]] = {}
        differences: dict[str, dict[str, Any]] = {}
        for name, value in self.metrics.items():
            group, dot, metric = name.partition(".")
            if not dot:
                own[name] = value
            elif group.startswith(LESS):
                differences.setdefault(group.removeprefix(LESS), {})[metric] = value
            else:
                groups.setdefault(group, {})[metric] = value
        return own, groups, differences

    @property
    def takes_last_diagnosis(self) -> bool:
        """Whether scans were labelled with diagnoses of later visits."""
        return self.training.label_policy == "subject-last"

    @property
    def notice(self) -> str:
        """The line every output of this model carries."""
        lines = [BUILTIN_NOTICE] if self.base["name"] == "builtin" else []
        lines += [LAST_DIAGNOSIS_NOTICE] if self.takes_last_diagnosis else []
        return ". ".join([*lines, RESEARCH_NOTICE])

    def to_json(self) -> str:
        """Return the text of `adapter.json`."""
        record = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        record["model"], record["prompts"] = self.model.to_dict(), self.prompts.to_dict()
        record["task"] = self.task.to_dict()
        record["calibration"] = self.calibration.to_dict()
        record["training"] = self.training.to_dict()
        record["canary"] = None if self.canary is None else self.canary.to_dict()
        for name in BASELINES:
            record[name] = None if record[name] is None else record[name].to_dict()
        ordered = {"schema_version": record.pop("schema_version"), **record, "notice": self.notice}
        return json.dumps({**ordered, RECORD_HASH: hash_record(ordered)}, indent=2) + "\n"


def hash_record(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a record says, however its text is laid out; its own hash is no part of it."""
    said = {key: value for key, value in json.loads(json.dumps(content)).items() if key != RECORD_HASH}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def model_folder(model: str) -> Path:
    """Return the adapter folder of `builtin` or of a RUN folder."""
    return BUILTIN_FOLDER / "adapter" if model == "builtin" else Path(model)


def read_record(folder: Path, name: str = ADAPTER_RECORD) -> AdapterRecord:
    """Read `adapter.json`, or the record of a baseline where that is asked for.

    Raises
    ------
    CheckpointError
        If it is absent, damaged, or written by a newer adclip.
    """
    path = folder / name
    if (folder / BASELINE_RECORD).is_file() and not path.is_file():
        raise errors.is_baseline(folder)
    if not path.is_file():
        if not folder.exists():
            raise errors.is_base(folder) if str(folder) in KNOWN else errors.no_folder(folder)
        if (folder / ADAPTER_WEIGHTS).is_file():
            raise errors.damaged(folder, f"{name} is missing")
        begun = (folder / BEGUN).is_file()
        raise errors.unfinished(folder) if begun else errors.missing(folder)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema_version"] > SCHEMA_VERSION:
            raise errors.newer_schema(path, data["schema_version"], SCHEMA_VERSION)
        for key in ("notice", RECORD_HASH):
            data.pop(key, None)
        data["model"] = ModelConfig.from_dict(data["model"])
        data["prompts"] = PromptConfig.from_dict(data["prompts"])
        data["labels"] = tuple(data["labels"])
        data["calibration"] = Calibration.from_dict(data["calibration"], data["labels"])
        if "task" in data:
            data["task"] = Task.from_dict(data["task"], str(path))
        task = data.get("task", ALZHEIMER)
        if task.classes != data["labels"]:
            raise ValueError("`labels` are not the classes of `task`")
        if data["style"] not in REPORT_STYLES:
            raise ValueError(f"`style` is none of {', '.join(REPORT_STYLES)}")
        data["training"] = Training.from_dict(data["training"])
        data.setdefault("volumes_baseline", None)
        for kind in BASELINES:
            data[kind] = None if data[kind] is None else StoredBaseline.from_dict(data[kind])
            if data[kind] is not None and data[kind].class_order != data["labels"]:
                raise ValueError(f"`{kind}` has other classes than `labels`")
        prior = data.get("prior")
        if prior is not None and not (
            set(prior) == set(data["labels"]) and all(is_number(share) and 0 < share < 1 for share in prior.values())
        ):
            raise ValueError("`prior` must give each of `labels` a share between 0 and 1")
        files, canary = data.get("files"), data.get("canary")
        if files is not None and not all(isinstance(sha256, str) for sha256 in files.values()):
            raise ValueError("`files` must give each file its SHA-256")
        if files is not None and name == ADAPTER_RECORD and ADAPTER_WEIGHTS not in files:
            raise ValueError(f"`files` must give {ADAPTER_WEIGHTS} its SHA-256")
        data["canary"] = None if canary is None else Canary.from_dict(canary, data["labels"])
        mean, sd = data["mmse_mean"], data["mmse_sd"]
        if mean is not None and not (is_number(mean) and is_number(sd) and sd > 0):
            raise ValueError("`mmse_mean` and `mmse_sd` must be numbers, the second above 0")
        return AdapterRecord(**data)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        if isinstance(error, CheckpointError):
            raise
        # the words of our own checks alone: others may repeat what stands in the file
        why = str(error) if type(error) is ValueError and str(error).startswith("`") else "not readable"
        raise errors.damaged(path, why) from error
