"""Settings of the verbs that no other room shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from adclip.clinical.settings import TableOptions
from adclip.errors import ConfigError
from adclip.explanation.settings import AUTO, DEFAULT_METHOD, FINER, LEVELS, METHOD_NAMES
from adclip.prediction.telling import PredictTelling, Telling
from adclip.settings.setting import Setting, Settings
from adclip.settings.shared import (
    MAX_DAYS,
    Columns,
    Device,
    DiagnosisPolicy,
    Inputs,
    InputsOrNone,
    MaxDays,
    Meta,
    Modality,
    Model,
    NamePattern,
    Orientation,
    OutFolder,
    Overwrite,
    Precision,
    Seed,
    Series,
    Shard,
    Subject,
    Volumes,
    Workers,
    as_paths,
)
from adclip.simulation.settings import MOST_SUBJECTS

WEIGHTS_ACTIONS = ("list", "fetch", "verify", "path", "import", "export")


class _WithRows:
    """What is joined to the scans, where a row may be given and its answers are not read."""

    meta: Path | tuple[Path, ...] | None
    columns: tuple[str, ...]
    max_days: int

    @property
    def metas(self) -> tuple[Path, ...]:
        """The metadata tables: none, one or several."""
        return as_paths(self.meta)

    @property
    def table_options(self) -> TableOptions:
        """How they are read."""
        return TableOptions(self.columns, max_days=self.max_days)


# fmt: off
# The formatter would spread a setting over seven lines; here it stands on one or two.
@dataclass(frozen=True)
class PredictConfig(_WithRows, Settings):
    """Settings of `adclip predict`."""

    inputs: Inputs
    meta: Meta = None
    model: Model = "builtin"
    subject: Subject = None
    columns: Columns = ()
    max_days: MaxDays = MAX_DAYS
    out: Annotated[Path | None, Setting("Also write predictions.jsonl, .csv and .tsv here, and a record of each scan as it is done; a stopped run goes on from them.", flags=("--out", "-o"))] = None
    volumes: Volumes = True
    telling: PredictTelling = PredictTelling()  # noqa: RUF009  it is frozen, so it may be shared
    orientation: Orientation = None
    series: Series = None
    name_pattern: NamePattern = None
    modality: Modality = None
    device: Device = "auto"
    precision: Precision = "auto"
    workers: Workers = 1
    shard: Shard = None
    seed: Seed = 0
    overwrite: Overwrite = False


@dataclass(frozen=True)
class ExplainConfig(_WithRows, Settings):
    """Settings of `adclip explain`; the seed also orders the random baseline of the faithfulness curve."""

    inputs: InputsOrNone
    out: OutFolder
    meta: Meta = None
    model: Model = "builtin"
    subject: Subject = None
    columns: Columns = ()
    max_days: MaxDays = MAX_DAYS
    target: Annotated[str | None, Setting("What to explain: a class, one class against another, or the score; by default the predicted class.",
        metavar="CN|MCI|AD|AD-CN|mmse")] = None
    text: Annotated[str | None, Setting("Explain how like this text the scan is, instead of a target.", metavar="PHRASE")] = None
    method: Annotated[str, Setting(f"How the map is made; auto: {DEFAULT_METHOD}, of a self-test all.", choices=(AUTO, *METHOD_NAMES), note="The "
        "default found planted changes best, see docs/benchmarks.md.")] = AUTO
    faithfulness: Annotated[str, Setting("How much is measured of each map.", choices=LEVELS)] = "quick"
    selftest: Annotated[bool, Setting("Explain no scan: plant known changes in simulated heads, and in INPUT if given, and measure whether maps "
        "find them.", flags=("--selftest",), note="About ten minutes of one core. What is found is stamped on every later map of this model.")] = False
    finer: Annotated[str, Setting("Make the map hang less on where patches lie (shifts), or look into the hottest of them (occlusion), for more passes.", choices=FINER)] = "none"
    shrink: Annotated[bool, Setting("Also shrink the hippocampi in the image and in the table, and show how the answer moves.",
        flags=("--shrink/--no-shrink",))] = False
    volumes: Volumes = True
    telling: Telling = Telling()  # noqa: RUF009  it is frozen, so it may be shared
    orientation: Orientation = None
    series: Series = None
    name_pattern: NamePattern = None
    modality: Modality = None
    device: Device = "auto"
    precision: Precision = "auto"
    seed: Seed = 0
    workers: Workers = 1
    shard: Shard = None
    overwrite: Overwrite = False

    @property
    def map_method(self) -> str:
        """How maps are made."""
        return DEFAULT_METHOD if self.method == AUTO else self.method

    def check_together(self) -> None:
        """Refuse what a self-test does not look at, and anything else without a scan."""
        super().check_together()
        if self.selftest:
            given = {"--target": self.target, "--text": self.text, "--shard": self.shard}
            for flag, value in given.items():
                if value is not None:
                    raise ConfigError.bad_value(flag, "says nothing to --selftest, which has a target and heads of its own", f"leave {flag} out")
        elif not self.inputs:
            raise ConfigError.bad_value("INPUT", "missing, there is nothing to explain", "name a scan or a folder of scans; only --selftest needs none")


@dataclass(frozen=True)
class EvaluateConfig(Settings):
    """Settings of `adclip evaluate`; classes, score and report style are those of the model."""

    scans: Annotated[Path, Setting("adclip derivatives folder with the scans.", metavar="DIR", show_default=False)]
    table: Annotated[Path | tuple[Path, ...], Setting("Metadata with subject_id, diagnosis and what the reports need; may be repeated.",
        metavar="FILE", show_default=False)]
    out: OutFolder
    model: Model = "builtin"
    columns: Columns = ()
    diagnosis_policy: DiagnosisPolicy = "table"
    max_days: MaxDays = MAX_DAYS
    batch_size: Annotated[int, Setting("Scans that the network takes at once.", at_least=1)] = 8
    device: Device = "auto"
    precision: Precision = "auto"
    seed: Seed = 0
    overwrite: Overwrite = False

    @property
    def tables(self) -> tuple[Path, ...]:
        """The tables, one or several."""
        return as_paths(self.table)

    @property
    def table_options(self) -> TableOptions:
        """How they are read."""
        return TableOptions(self.columns, self.diagnosis_policy, self.max_days)


@dataclass(frozen=True)
class WeightsConfig(Settings):
    """Settings of `adclip weights`."""

    action: Annotated[str, Setting("What to do.", is_argument=True, called="weights", show_default=False, choices=WEIGHTS_ACTIONS)]
    what: Annotated[str | None, Setting("A base model: `m3d-clip`, `builtin`, an imported name. For import a folder, file or archive; "
        "export and verify also take a RUN folder.", metavar="[WHAT]", is_argument=True)] = None
    out: Annotated[Path | None, Setting("Archive to export to; without it `NAME.adclip.zip` in the current folder.", metavar="FILE.zip",
        flags=("--out", "-o"))] = None
    name: Annotated[str | None, Setting("Name for an imported base.")] = None
    tokenizer: Annotated[Path | None, Setting("Vocabulary for an imported base that lies without one.", metavar="VOCAB.txt")] = None
    revision: Annotated[str | None, Setting("Revision to fetch: a commit of the hub, a branch or a tag.")] = None
    overwrite: Overwrite = False


@dataclass(frozen=True)
class DoctorConfig(Settings):
    """Settings of `adclip doctor`."""

    model: Model = "builtin"
    full: Annotated[bool, Setting("Also import torch and ask it for its devices, hash large files, and load the model.")] = False
    privacy: Annotated[bool, Setting("Also run the commands on simulated heads with sockets blocked; some minutes.")] = False


@dataclass(frozen=True)
class SchemaConfig(Settings):
    """Settings of `adclip schema`."""

    name: Annotated[str | None, Setting("Which output; without it all are listed.", metavar="[NAME]", is_argument=True)] = None


@dataclass(frozen=True)
class DemoConfig(Settings):
    """Settings of `adclip demo`."""

    out: Annotated[Path, Setting("Folder for everything the demo makes.", flags=("--out", "-o"))] = Path("adclip-demo")
    subjects: Annotated[int, Setting("Size of the simulated cohort.", at_least=120, at_most=MOST_SUBJECTS)] = 240
    epochs: Annotated[int, Setting("Passes of the fine-tuning.", at_least=1)] = 4
    device: Device = "auto"
    seed: Seed = 0
    overwrite: Overwrite = False
