"""What a fine-tuning is made of: cohort and base, steps, parts, objective, split, and how it is computed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self

from adclip.clinical.settings import TableOptions, read_task_of
from adclip.errors import ConfigError
from adclip.model.settings import PromptConfig
from adclip.settings.setting import Setting, Settings
from adclip.settings.shared import (
    DEFAULT_STYLE,
    MAX_DAYS,
    Columns,
    Device,
    DiagnosisPolicy,
    MaxDays,
    Overwrite,
    Precision,
    Seed,
    Style,
    TaskFile,
    as_paths,
)
from adclip.task import Task

OBJECTIVES = ("candidates", "paper")
LABEL_POLICIES = ("visit", "subject-last")
RECIPES = ("default", "paper")
METHODS = ("prompt", "lora", "full", "linear-probe", "cnn", "metadata")


def parse_fold(text: str) -> tuple[int, int]:
    """Return (I, N) of `I/N`, 1 <= I <= N and N >= 2."""
    number, slash, count = text.partition("/")
    if not slash or not number.isdecimal() or not count.isdecimal() or not 1 <= int(number) <= int(count) >= 2:
        raise ConfigError.bad_value(
            "--fold",
            f"`{text}` is not I/N with I from 1 to N, and N at least 2",
            "for example --fold 1/5, then 2/5, ...",
        )
    return int(number), int(count)


def _check_fold(flag: str, text: str) -> None:
    parse_fold(text)


# fmt: off
# The formatter would spread a setting over seven lines; here it stands on one or two.
@dataclass(frozen=True)
class CohortSettings(Settings):
    """Scans, their rows, and the base that learns from them."""

    SECTION: ClassVar[str] = "Cohort and base"

    scans: Annotated[Path, Setting("adclip derivatives folder with the scans.", metavar="DIR", show_default=False)]
    table: Annotated[Path | tuple[Path, ...], Setting("Metadata with subject_id, diagnosis and what the reports need; may be repeated.",
        metavar="FILE", show_default=False)]
    out: Annotated[Path, Setting("Folder for the tuned model.", metavar="RUN", flags=("--out", "-o"), show_default=False)]
    base: Annotated[str, Setting("Base model: a name of `adclip weights list`, a folder or a safetensors file.",
        metavar="NAME")] = "builtin"
    tokenizer: Annotated[Path | None, Setting("Vocabulary, where none lies beside the base's weights.", metavar="VOCAB.txt")] = None
    style: Style = DEFAULT_STYLE
    task: TaskFile = None
    columns: Columns = ()
    diagnosis_policy: DiagnosisPolicy = "table"
    max_days: MaxDays = MAX_DAYS

    @property
    def tables(self) -> tuple[Path, ...]:
        """The tables, one or several."""
        return as_paths(self.table)

    def read_task(self) -> Task:
        """Read what is asked; ConfigError if the file of `--task` cannot be used, or not with this style."""
        return read_task_of(self.task, self.style)

    @property
    def table_options(self) -> TableOptions:
        """How the tables are read; the file of `--task` is read for it."""
        return TableOptions(self.columns, self.diagnosis_policy, self.max_days, self.read_task())


@dataclass(frozen=True)
class StepSettings(Settings):
    """How long and how fast."""

    SECTION: ClassVar[str] = "Training"

    epochs: Annotated[int, Setting("Passes over the training scans.", at_least=1)] = 10
    batch_size: Annotated[int, Setting("Scans per step.", at_least=1)] = 8
    learning_rate: Annotated[float, Setting("Of AdamW, at the end of the warm-up.", above=0,
        note="Cosine to zero after a warm-up of one tenth.", source="Loshchilov & Hutter 2019")] = 1e-3
    weight_decay: Annotated[float, Setting("Of AdamW.", at_least=0)] = 0.01
    # At 1 few subjects unlearn what many taught.
    pretrained_rate: Annotated[float, Setting("Share of the learning rate for parts that the base has already taught.", at_least=0,
        note="These are class token, projections and logit scale, with `full` all of it.", source="docs/benchmarks.md")] = 0.1
    alpha: Annotated[float, Setting("Weight of the MMSE loss.", at_least=0, source="0.5 in arXiv:2509.07613")] = 0.5
    prompts: PromptConfig = PromptConfig()  # noqa: RUF009  it is frozen, so it may be shared


@dataclass(frozen=True)
class ObjectiveSettings(Settings):
    """What is learned, and from what."""

    SECTION: ClassVar[str] = "Method and objective"

    method: Annotated[str, Setting("Prompt tuning, or a baseline on the same split.", choices=METHODS,
        note="`lora` and `full` fine-tune the base with the same objective, `linear-probe` is a regression on its frozen image "
        "embeddings, `cnn` a 3D ResNet from scratch, `metadata` a logistic regression on the table.")] = "prompt"
    recipe: Annotated[str, Setting("adclip's settings, or what the paper does otherwise.", choices=RECIPES,
        source="arXiv:2509.07613")] = "default"
    from_scratch: Annotated[bool, Setting("With --method full: random weights in place of the base's.")] = False
    objective: Annotated[str, Setting("adclip's objective, or the published one.", choices=OBJECTIVES,
        note="`paper` is the in-batch loss on the raw MMSE.", source="arXiv:2509.07613")] = "candidates"
    reports: Annotated[bool, Setting("Read reports; without, class phrases alone.")] = True
    bare_weight: Annotated[float, Setting("Weight of the bare-phrase term.", at_least=0)] = 0.5
    contrast_weight: Annotated[float, Setting("Weight of the contrastive term.", at_least=0)] = 0.5
    report_dropout: Annotated[float, Setting("Chance that a whole report is dropped for a step.", at_least=0, at_most=1)] = 0.4
    field_dropout: Annotated[float, Setting("Chance of each field of a report that is not.", at_least=0, at_most=1)] = 0.15
    memory: Annotated[int, Setting("Pairs of earlier steps that the contrastive term compares with.", at_least=0)] = 64
    patience: Annotated[int | None, Setting("Epochs without a better one before training stops; default: all are trained.",
        at_least=1)] = None
    augment: Annotated[bool, Setting("Move, shade and add noise to scans at random.")] = True
    flip: Annotated[bool, Setting("Also exchange left and right at random.")] = False

    def check_together(self) -> None:
        """Refuse a start from nothing where a part of the base is kept."""
        super().check_together()
        if self.from_scratch and self.method != "full":
            raise ConfigError.bad_value("--from-scratch", "only `--method full` trains every weight")


@dataclass(frozen=True)
class SplitSettings(Settings):
    """Which subjects train, choose, calibrate and test."""

    SECTION: ClassVar[str] = "Split"

    train_size: Annotated[int | None, Setting("Train on so many subjects of the training part.", at_least=1,
        note="Each class in proportion; the other parts stay.")] = None
    fold: Annotated[str | None, Setting("Test on the I-th of N parts that together hold everyone once.", metavar="I/N",
        check=_check_fold)] = None
    splits: Annotated[Path | None, Setting("Take over the split of another run: its private/splits.tsv.", metavar="SPLITS.tsv")] = None
    label_policy: Annotated[str, Setting("Diagnosis at the visit of the scan, or the subject's last one at every visit.",
        choices=LABEL_POLICIES)] = "visit"
    test_fraction: Annotated[float, Setting("Share for the final numbers.", at_least=0, at_most=1)] = 0.2
    validation_fraction: Annotated[float, Setting("Share that chooses the epoch.", at_least=0, at_most=1)] = 0.1
    calibration_fraction: Annotated[float, Setting("Share that sets temperature and intervals.", at_least=0, at_most=1)] = 0.15

    def check_together(self) -> None:
        """Refuse two answers to who is tested, and shares that leave nobody to train on."""
        super().check_together()
        if self.fold is not None and self.splits is not None:
            raise ConfigError.bad_value("--fold", "--splits says already who is tested", "give one of the two")
        if self.test_fraction + self.validation_fraction + self.calibration_fraction >= 1:
            raise ConfigError.bad_value("--test-fraction", "the held-out shares leave nothing to train on")


@dataclass(frozen=True)
class RunSettings(Settings):
    """Where and how it is computed, and what is kept of it."""

    SECTION: ClassVar[str] = "Computing and output"

    tensorboard: Annotated[bool, Setting("Also write TensorBoard's event files, to RUN/private.", flags=("--tensorboard",))] = False
    device: Device = "auto"
    precision: Precision = "auto"
    checkpointing: Annotated[bool, Setting("Compute activations twice instead of keeping them: for small cards.")] = False
    compile: Annotated[bool, Setting("Compile the image tower's blocks: for long runs on a GPU.")] = False
    seed: Seed = 0
    overwrite: Overwrite = False

    def check_together(self) -> None:
        """Refuse a precision that cannot be trained in."""
        super().check_together()
        if self.precision == "fp16":
            raise ConfigError.bad_value(
                "--precision", "gradients in fp16 vanish", "train in bf16, or in fp32 where the device has no bf16"
            )


@dataclass(frozen=True)
class FinetuneConfig(RunSettings, SplitSettings, ObjectiveSettings, StepSettings, CohortSettings):
    """Settings of `adclip finetune`, flat: `FinetuneConfig(scans=..., table=..., out=..., epochs=4).epochs`.

    Each group stands above, with what is to be said of each setting; dataclasses take fields from the last base to the first.
    """

    def resolved(self) -> Self:
        """Return the settings with what the recipe stands for put in; sizes stay as given.

        The paper's recipe: prompts before [CLS], random projections, the raw logit scale, the in-batch loss on cross-attended
        pairs and the raw MMSE, nothing dropped from reports, no augmentation, a z-scored cube on positions of another grid. Its 8
        heads in place of 12 and its splits are plain bugs and not taken over.
        """
        if self.recipe != "paper":
            anew = self.from_scratch or self.method == "cnn"  # nothing was taught where everything begins as chance
            return dataclasses.replace(self, pretrained_rate=1.0) if anew else self
        published = PromptConfig.paper()
        prompts = dataclasses.replace(
            self.prompts,
            prompts_before_cls=published.prompts_before_cls,
            new_projections=published.new_projections,
            raw_scale=published.raw_scale,
            published_input=published.published_input,
        )
        return dataclasses.replace(
            self,
            prompts=prompts,
            objective="paper",
            report_dropout=0.0,
            field_dropout=0.0,
            augment=False,
            pretrained_rate=1.0,
        )
