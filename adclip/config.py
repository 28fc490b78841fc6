"""Settings of every verb, and of the network: frozen dataclasses that are checked when they are made."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from adclip.domain import InputContract
from adclip.errors import ConfigError
from adclip.task import ALZHEIMER, Task, read_task

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
LAST_TEXT_TOKEN = 482  # method: 512 positions of BERT less 30 prompts
REPORT_STYLES = ("paper4", "paper6", "clinical", "knowledge")
DEFAULT_STYLE = "clinical"
VERDICTS = ("pass", "warn", "fail")


MAX_DAYS = 120  # contract: how far in time a row may be from the visit that it is joined to
DIAGNOSIS_POLICIES = ("table", "cdr")
APPEARANCES = ("mild", "medium", "wild")  # the keys of simulation.paint.LOOKS
CONTRASTS = ("t1", "ct")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
OBJECTIVES = ("candidates", "paper")
LABEL_POLICIES = ("visit", "subject-last")
RECIPES = ("default", "paper")
METHODS = ("prompt", "lora", "full", "linear-probe", "cnn", "metadata")
WEIGHTS_ACTIONS = ("list", "fetch", "verify", "path", "import", "export")


class Settings:
    """Conversion to and from plain JSON types, shared by all config dataclasses."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, paths as text."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def to_json(self) -> str:
        """Return an indented JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`; unknown keys are an error."""
        known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        for key in data:
            if key not in known:
                raise ConfigError.bad_value(key, f"unknown setting of {cls.__name__}")
        return cls(**data)


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, InputContract | Settings):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def as_paths(value: Path | tuple[Path, ...] | None) -> tuple[Path, ...]:
    """Return one path, several or none as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, Path) else tuple(value)


def check_device(device: str) -> None:
    """Raise ConfigError unless `device` is auto, cpu, cuda, cuda:N or mps."""
    if not _DEVICE.fullmatch(device):
        raise ConfigError.bad_value("--device", f"`{device}` is not auto, cpu, cuda, cuda:N or mps")


def check_precision(precision: str) -> None:
    """Raise ConfigError unless `precision` is one of PRECISIONS."""
    check_choice("--precision", precision, PRECISIONS)


def check_at_least(flag: str, value: float, smallest: float) -> None:
    """Raise ConfigError if `value` is below `smallest`, or endless."""
    if not smallest <= value < math.inf:  # written so that NaN fails too
        raise ConfigError.bad_value(flag, f"must be at least {smallest:g}, and a number, got {value:g}")


def check_choice(flag: str, given: str, known: Sequence[str]) -> None:
    """Raise ConfigError unless `given` is one of `known`."""
    if given not in known:
        raise ConfigError.bad_value(flag, f"`{given}` is not one of {', '.join(known)}")


def check_style(style: str) -> None:
    """Raise ConfigError unless `style` is one of REPORT_STYLES."""
    check_choice("--style", style, REPORT_STYLES)


def check_words_of(task: Task, style: str) -> None:
    """Refuse the style that speaks of Alzheimer's disease where another question is asked."""
    if style == "knowledge" and not task.is_default:
        raise ConfigError.bad_value(
            "--style",
            f"`knowledge` tells what is known of Alzheimer's disease, the task is {task.name}",
            "take `clinical`",
        )


@dataclass(frozen=True)
class TableOptions:
    """How metadata tables are read and joined.

    Parameters
    ----------
    columns : tuple of str
        Column mappings `canonical=theirs`, with `:UNIT` or `:CODE=MEANING,...` behind where needed.
    diagnosis_policy : str
        `table` takes diagnoses from the table alone; `cdr` reads CDR 0, 0.5, >= 1 as CN, MCI, AD where none stands.
    max_days : int
        Largest distance in days between two rows that are joined by date.
    task : Task
        Whose classes and score the rows name.
    answers : bool
        Whether diagnosis and scores are wanted. `predict` and `explain` do not: nothing in their columns stops them.
    """

    columns: tuple[str, ...] = ()
    diagnosis_policy: str = "table"
    max_days: int = MAX_DAYS
    task: Task = ALZHEIMER
    answers: bool = True

    def __post_init__(self) -> None:
        if self.diagnosis_policy not in DIAGNOSIS_POLICIES:
            shown = " or ".join(DIAGNOSIS_POLICIES)
            raise ConfigError.bad_value("--diagnosis-policy", f"`{self.diagnosis_policy}` is not {shown}")
        if self.max_days < 0:
            raise ConfigError.bad_value("--max-days", "must not be negative")


# ----------------------------------------------------------------------------------------------- the network


@dataclass(frozen=True)
class PromptConfig(Settings):
    """The parts that prompt tuning adds; every one can be resized or switched off.

    Parameters
    ----------
    visual_prompts : int
        Tokens overwritten at each block (VPT-deep, Jia et al. 2022, arXiv:2203.12119); 20 in arXiv:2509.07613.
    prompt_depth : int or None
        Number of leading blocks that get prompts; None is all.
    text_prompts : int
        Tokens between [CLS] and the words; 30 in arXiv:2509.07613.
    mmse_token : bool
        Whether an auxiliary token learns the MMSE.
    cross_attention : bool
        Whether image and report attend to each other before they are compared.
    prompts_before_cls : bool
        Whether the text prompts stand before [CLS], which then moves to position `text_prompts`, as published; else
        between [CLS] and the words, which keep the positions that BERT taught them.
    new_projections : bool
        Whether both projections start at random, as published, rather than from the base.
    raw_scale : bool
        Whether the cosine is multiplied by the logit scale itself, as published, rather than by its exponential.
    lora_rank : int
        Rank of learned updates of the image tower's attention (LoRA, Hu et al. 2021, arXiv:2106.09685); 0 for none.
    whole : bool
        Whether every parameter is trained, the base's too.
    published_input : bool
        Whether scans are resampled to a cube and z-scored as a whole, on positions of another grid, as published.
    """

    visual_prompts: int = 20
    prompt_depth: int | None = None
    text_prompts: int = 30
    mmse_token: bool = True
    cross_attention: bool = True
    prompts_before_cls: bool = False
    new_projections: bool = False
    raw_scale: bool = False
    lora_rank: int = 0
    whole: bool = False
    published_input: bool = False

    def __post_init__(self) -> None:
        check_at_least("--visual-prompts", self.visual_prompts, 0)
        check_at_least("--text-prompts", self.text_prompts, 0)
        check_at_least("--lora-rank", self.lora_rank, 0)
        if self.prompt_depth is not None:
            check_at_least("--prompt-depth", self.prompt_depth, 0)

    @classmethod
    def paper(cls) -> Self:
        """Return the parts as arXiv:2509.07613 has them."""
        return cls(prompts_before_cls=True, new_projections=True, raw_scale=True, published_input=True)


@dataclass(frozen=True)
class ModelConfig(Settings):
    """Sizes of both towers. The defaults are M3D-CLIP's (Bai et al. 2024, arXiv:2404.00578).

    Parameters
    ----------
    contract : InputContract
        Grid and intensity rule of the image tower.
    patch : tuple of int
        Patch size along D, H, W in voxels.
    stem : tuple of int
        Channels of the convolutional stem's levels, each of which halves the grid; empty (as in M3D-CLIP) for none.
    close_up : tuple of int
        Channels of the network that looks closer at both medial temporal lobes, at 2, 4, 8 ... mm; empty for none.
    width, depth, heads, mlp_width : int
        Of the image tower.
    text_width, text_depth, text_heads, text_mlp_width, vocabulary, text_positions : int
        Of the text tower.
    embedding : int
        Width of the shared space.
    fusion_heads : int
        Heads of the cross-attention.

    Notes
    -----
    A base without a text tower (a bare ViT) has `text_depth` 0.
    """

    contract: InputContract
    patch: tuple[int, int, int] = (4, 16, 16)
    stem: tuple[int, ...] = ()
    close_up: tuple[int, ...] = ()
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072
    text_width: int = 768
    text_depth: int = 12
    text_heads: int = 12
    text_mlp_width: int = 3072
    vocabulary: int = 30522
    text_positions: int = 512
    embedding: int = 768
    fusion_heads: int = 8

    def __post_init__(self) -> None:
        for size, part in zip(self.contract.shape, self.patch, strict=True):
            if size % part:
                raise ConfigError.bad_value("patch", f"{self.contract.shape} is not a multiple of {self.patch}")
            if part % 2 ** len(self.stem):
                raise ConfigError.bad_value("stem", f"{self.patch} cannot be halved {len(self.stem)} times")
        for channels in self.stem:
            if channels % max(channels // 8, 1):
                raise ConfigError.bad_value("stem", f"{channels} channels are no multiple of 8")
        if len(self.close_up) == 1 or any(channels % 4 for channels in self.close_up):
            raise ConfigError.bad_value("close_up", f"{self.close_up}: two numbers or more, multiples of 4, are needed")
        for width, heads in ((self.width, self.heads), (self.text_width, self.text_heads),
                             (self.embedding, self.fusion_heads)):  # fmt: skip
            if width % heads:
                raise ConfigError.bad_value("heads", f"width {width} is not a multiple of {heads} heads")

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """Patches along D, H, W."""
        d, h, w = (size // part for size, part in zip(self.contract.shape, self.patch, strict=True))
        return d, h, w

    @property
    def patches(self) -> int:
        """Number of patch tokens."""
        d, h, w = self.token_grid
        return d * h * w

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`."""
        data = dict(data)
        data["contract"] = InputContract.from_dict(data["contract"])
        data["patch"] = tuple(data["patch"])
        data["stem"] = tuple(data.get("stem", ()))
        data["close_up"] = tuple(data.get("close_up", ()))
        return super().from_dict(data)


# 32 x 256 x 256 axial-first, patches 4 x 16 x 16 (M3DCLIPConfig). The box covers the MNI brain with about 10 mm to spare
# above and below: 160 mm high, 204.8 mm square in plane.
M3D_CLIP = ModelConfig(
    contract=InputContract(shape=(32, 256, 256), spacing_mm=(5.0, 0.8, 0.8), center_mm=(0.0, -17.0, 5.0))
)

# The small size of the builtin model: 2 mm voxels, 16 mm patches, 1,200 tokens, and convolutions before them that see what is
# smaller than a patch, such as the border of a hippocampus. The box holds the whole template brain (x +-72, y -107..73, z -72..82 mm).
SMALL = ModelConfig(
    contract=InputContract(shape=(80, 96, 80), spacing_mm=(2.0, 2.0, 2.0), center_mm=(0.0, -17.0, 5.0)),
    patch=(8, 8, 8),
    stem=(24, 64, 128),
    close_up=(24, 48, 64),
    width=128,
    depth=4,
    heads=4,
    mlp_width=512,
    text_width=128,
    text_depth=3,
    text_heads=4,
    text_mlp_width=512,
    vocabulary=0,  # filled from the vocabulary file when the model is built
    embedding=128,
    fusion_heads=4,
)


# ----------------------------------------------------------------------------------------------- the verbs


def check_orientation(text: str) -> None:
    """Raise ConfigError unless `text` names each of the three anatomical axes once, as `RAS` or `LPI` do."""
    pairs = ("LR", "PA", "IS")
    if len(text) != 3 or any(sum(letter in pair for letter in text.upper()) != 1 for pair in pairs):
        raise ConfigError.bad_value(
            "--orientation", f"`{text}` is no orientation", "three letters, one each of L/R, A/P and S/I, such as RAS"
        )


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


def parse_override(text: str) -> tuple[str, str | None, str]:
    """Return (subject, session or None, verdict) of `SUBJECT[/SESSION]=VERDICT`.

    Raises
    ------
    ConfigError
        If it has another form or another verdict.

    Examples
    --------
    >>> parse_override("sub-01/ses-m06=pass")
    ('01', 'm06', 'pass')
    """
    who, equals, verdict = text.rpartition("=")
    subject, _, session = who.partition("/")
    subject, session = subject.removeprefix("sub-"), session.removeprefix("ses-")
    if not equals or not subject or verdict not in VERDICTS:
        raise ConfigError.bad_value(
            "--override",
            f"`{text}` is not SUBJECT[/SESSION]={'|'.join(VERDICTS)}",
            "for example --override sub-01=pass",
        )
    return subject, session or None, verdict


@dataclass(frozen=True)
class PreprocessConfig(Settings):
    """Settings of `adclip preprocess`.

    Parameters
    ----------
    inputs : tuple of Path
        Scan files, DICOM folders, folders of scans, BIDS datasets, or CSV/TSV lists with a `scan` column.
    out : Path
        Derivatives folder to write.
    model : str
        Model whose input contract sets the grid: `builtin` or a RUN folder.
    device : str
        Device of the brain extraction.
    volumes : bool
        Whether hippocampus, ventricles, brain and intracranial volume are looked up beside the scan, else measured.
    orientation : str or None
        Directions of the stored axes, such as `LAS`, for files that do not say; see `adclip.domain.ReadOptions`.
    series : str or None
        Series to take from a DICOM folder that holds several.
    overrides : tuple of str
        `SUBJECT[/SESSION]=pass|warn|fail`: quality verdicts that the user decides; recorded with what was measured.
    workers : int
        Processes that share the work; 0 takes as many as cores and memory allow.
    shard : str or None
        `I/N`: only every N-th scan from the I-th on, for job arrays.
    overwrite : bool
        Whether finished scans are done again.
    """

    inputs: tuple[Path, ...]
    out: Path
    model: str = "builtin"
    device: str = "auto"
    volumes: bool = False
    orientation: str | None = None
    series: str | None = None
    overrides: tuple[str, ...] = ()
    workers: int = 1
    shard: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.orientation is not None:
            check_orientation(self.orientation)
        if self.workers < 0:
            raise ConfigError.bad_value("--workers", f"{self.workers} is less than 0", "0 lets adclip choose")
        for text in self.overrides:
            parse_override(text)


@dataclass(frozen=True)
class SynthesizeReportsConfig(Settings):
    """Settings of `adclip synthesize-reports`.

    Parameters
    ----------
    table : Path or tuple of Path
        Metadata tables; several are joined.
    out : Path or None
        `.jsonl` or `.csv` to write; None reads and checks the tables only.
    style : str
        Report style, see REPORT_STYLES.
    mode : str
        `train` (label phrase of the true class), `candidate` (one report per class), `predict` (no label phrase).
    task : Path or None
        TOML file with other classes, phrases and score, see `adclip.task`.
    columns, diagnosis_policy, max_days
        See TableOptions.
    canonical : Path or None
        `.csv` or `.tsv` for the clean table.
    seed : int or None
        Vary the wording from report to report, the same for the same seed; None writes the canonical wording.
    overwrite : bool
        Whether existing files are replaced.
    """

    table: Path | tuple[Path, ...] = ()
    out: Path | None = None
    style: str = DEFAULT_STYLE
    mode: str = "train"
    columns: tuple[str, ...] = ()
    overwrite: bool = False
    task: Path | None = None
    diagnosis_policy: str = "table"
    max_days: int = MAX_DAYS
    canonical: Path | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        check_style(self.style)
        if not self.tables:
            raise ConfigError.bad_value("TABLE", "no table is given", "name one or more metadata tables")
        if self.mode not in ("train", "candidate", "predict"):
            raise ConfigError.bad_value("--mode", f"`{self.mode}` is not train, candidate or predict")
        if self.out is not None and self.out.suffix not in (".jsonl", ".csv"):
            raise ConfigError.bad_value("--out", f"`{self.out.name}` does not end in .jsonl or .csv")
        if self.canonical is not None and self.canonical.suffix not in (".csv", ".tsv"):
            raise ConfigError.bad_value("--write-canonical", f"`{self.canonical.name}` does not end in .csv or .tsv")
        if self.seed is not None:
            check_at_least("--seed", self.seed, 0)
        check_words_of(self.table_options.task, self.style)

    @property
    def tables(self) -> tuple[Path, ...]:
        """The tables, one or several."""
        return as_paths(self.table)

    @property
    def table_options(self) -> TableOptions:
        """How they are read."""
        return TableOptions(self.columns, self.diagnosis_policy, self.max_days, read_task(self.task))


@dataclass(frozen=True)
class SimulateConfig(Settings):
    """Settings of `adclip simulate`.

    Parameters
    ----------
    out : Path
        Folder to write.
    subjects : int
        Number of people.
    preprocessed : bool
        Write derivatives on the model grid directly instead of raw heads.
    model : str
        Model whose input contract sets that grid: `builtin` or a RUN folder.
    labels : Path or None
        Folder of whole-head label maps to make the heads of; None takes the template.
    visits, interval_months : int
        Visits of each person, and the months between them.
    wide_age : bool
        Ages 20-95 instead of the clinical range.
    appearance : str
        How far contrast, noise and artefacts range, one of `APPEARANCES`.
    contrast : str
        `t1` or `ct`.
    sites : int
        Scanners that the people are spread over at random.
    spacing_mm : float
        In-plane voxel size of raw heads, mm.
    thickness_mm : float or None
        Slice thickness of raw heads, mm; None is each scanner's own.
    defaced, stripped : float
        Share of raw heads without face, or without anything but the brain.
    missing, dropout : float
        Share of table cells without value, and of follow-up visits that did not happen.
    measured : bool
        Whether adclip's segmenter measures each painted scan for a second table; never for CT.
    seed : int
        Same seed, same bytes.
    workers : int
        Processes that share the work; 0 takes as many as cores and memory allow.
    overwrite : bool
        Whether an earlier cohort is replaced.
    """

    out: Path
    subjects: int = 20
    preprocessed: bool = False
    model: str = "builtin"
    labels: Path | None = None
    visits: int = 1
    interval_months: int = 12
    wide_age: bool = False
    appearance: str = "medium"
    contrast: str = "t1"
    sites: int = 4
    spacing_mm: float = 1.0
    thickness_mm: float | None = None
    defaced: float = 0.0
    stripped: float = 0.0
    missing: float = 0.05
    dropout: float = 0.08
    measured: bool = True
    seed: int = 0
    workers: int = 1
    overwrite: bool = False

    @property
    def measures(self) -> bool:
        """Whether scans are measured: the segmenter reads T1 only."""
        return self.measured and self.contrast == "t1"

    def __post_init__(self) -> None:
        check_at_least("--subjects", self.subjects, 1)
        if self.subjects > 9999:
            raise ConfigError.bad_value("--subjects", "at most 9999: ids have four digits")
        check_at_least("--visits", self.visits, 1)
        check_at_least("--interval", self.interval_months, 1)
        check_at_least("--sites", self.sites, 1)
        check_at_least("--seed", self.seed, 0)
        check_at_least("--workers", self.workers, 0)
        check_at_least("--spacing", self.spacing_mm, 0.5)
        if self.spacing_mm > 3:
            raise ConfigError.bad_value("--spacing", f"must be at most 3 mm, got {self.spacing_mm:g}")
        if self.thickness_mm is not None and not self.spacing_mm <= self.thickness_mm <= 10:
            raise ConfigError.bad_value("--thickness", "must be between --spacing and 10 mm")
        check_choice("--appearance", self.appearance, APPEARANCES)
        check_choice("--contrast", self.contrast, CONTRASTS)
        for flag, share in (
            ("--defaced", self.defaced), ("--stripped", self.stripped), ("--missing", self.missing),
            ("--dropout", self.dropout),
        ):  # fmt: skip
            if not 0 <= share <= 1:
                raise ConfigError.bad_value(flag, f"is a share between 0 and 1, got {share:g}")


@dataclass(frozen=True)
class FinetuneConfig(Settings):
    """Settings of `adclip finetune`.

    Parameters
    ----------
    scans : Path
        adclip derivatives folder (`adclip preprocess --out` or `adclip simulate --preprocessed --out`).
    table : Path or tuple of Path
        Metadata with `subject_id`, `diagnosis` and what the reports need; several tables are joined.
    out : Path
        RUN folder to write.
    base : str
        Base model: `builtin`, `m3d-clip`, another name of `adclip weights list`, a folder or a safetensors file.
    tokenizer : Path or None
        `vocab.txt` of the base's text tower, where none lies beside its weights.
    style : str
        Report style, stored with the model.
    epochs, batch_size : int
        Passes over the training scans; scans per step.
    learning_rate, weight_decay : float
        AdamW (Loshchilov & Hutter 2019), cosine to zero after a warm-up of one tenth.
    pretrained_rate : float
        Share of the learning rate by which parts that the base has already taught are changed: class token, projections, logit
        scale, with `full` all of it. At 1 few subjects unlearn what many taught (docs/benchmarks.md).
    prompts : PromptConfig
        What is added to the base.
    alpha : float
        Weight of the MMSE loss; 0.5 in arXiv:2509.07613.
    test_fraction, validation_fraction, calibration_fraction : float
        Shares of subjects; the rest trains.
    task : Path or None
        TOML file with other classes, phrases and score, see `adclip.task`; stored with the model.
    columns, diagnosis_policy, max_days
        See TableOptions.
    device : str
        Where to train.
    seed : int
        Same seed, same weights on CPU.
    overwrite : bool
        Start anew even if `out` holds a finished run.
    precision : str
        Of the frozen weights, see `adclip.model.device.choose_dtype`; what is trained stays in float32.
    checkpointing : bool
        Compute activations again during backward instead of keeping them: less memory, more time.
    compile : bool
        Compile the blocks of the image tower with torch.compile; pays on GPUs and long runs.
    method : str
        `prompt`; the others are baselines on the same split: `lora` and `full` fine-tune the base with the same objective,
        `linear-probe` is a regression on its frozen image embeddings, `cnn` a 3D ResNet from scratch, `metadata` a
        logistic regression on the table.
    recipe : str
        `paper` sets what arXiv:2509.07613 does otherwise, see `resolved`.
    from_scratch : bool
        With `full`, random weights in place of the base's.
    objective : str
        `candidates` (adclip's), or `paper` (the in-batch loss of arXiv:2509.07613 on the raw MMSE).
    reports : bool
        Whether reports are read; without, class phrases alone.
    bare_weight, contrast_weight : float
        Weights of the bare-phrase term and of the contrastive term.
    report_dropout, field_dropout : float
        Chance that a scan's whole report is dropped for a step; else chance of each field.
    memory : int
        Pairs of earlier steps that the contrastive term compares with.
    patience : int or None
        Epochs without a better one on the validation subjects before training stops; None trains them all.
    augment, flip : bool
        Whether scans are moved, shaded and made noisy at random; whether left and right may change places.
    train_size : int or None
        Train on so many subjects of the training part, each class in proportion; the other parts stay.
    fold : str or None
        `I/N`: the I-th of N disjoint test sets that together hold every subject once.
    splits : Path or None
        `splits.tsv` of another run, whose division of the subjects is taken over in place of drawing one.
    tensorboard : bool
        Whether TensorBoard's event files are written beside `metrics.jsonl` and `metrics.csv`; needs the optional package.
    label_policy : str
        `visit`: the diagnosis at the visit of the scan; `subject-last`: that of the subject's last visit, at all of them.
    """

    scans: Path
    table: Path | tuple[Path, ...]
    out: Path
    base: str = "builtin"
    style: str = DEFAULT_STYLE
    epochs: int = 10
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    pretrained_rate: float = 0.1
    prompts: PromptConfig = PromptConfig()
    alpha: float = 0.5
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    calibration_fraction: float = 0.15
    columns: tuple[str, ...] = ()
    device: str = "auto"
    seed: int = 0
    overwrite: bool = False
    task: Path | None = None
    diagnosis_policy: str = "table"
    max_days: int = MAX_DAYS
    tokenizer: Path | None = None
    precision: str = "auto"
    checkpointing: bool = False
    compile: bool = False
    method: str = "prompt"
    recipe: str = "default"
    from_scratch: bool = False
    objective: str = "candidates"
    reports: bool = True
    bare_weight: float = 0.5
    contrast_weight: float = 0.5
    report_dropout: float = 0.4
    field_dropout: float = 0.15
    memory: int = 64
    patience: int | None = None
    augment: bool = True
    flip: bool = False
    train_size: int | None = None
    fold: str | None = None
    splits: Path | None = None
    tensorboard: bool = False
    label_policy: str = "visit"

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

    @property
    def tables(self) -> tuple[Path, ...]:
        """The tables, one or several."""
        return as_paths(self.table)

    @property
    def table_options(self) -> TableOptions:
        """How they are read."""
        return TableOptions(self.columns, self.diagnosis_policy, self.max_days, read_task(self.task))

    def __post_init__(self) -> None:
        check_device(self.device)
        check_precision(self.precision)
        if self.precision == "fp16":
            raise ConfigError.bad_value(
                "--precision", "gradients in fp16 vanish", "train in bf16, or in fp32 where the device has no bf16"
            )
        check_style(self.style)
        check_words_of(self.table_options.task, self.style)
        check_choice("--method", self.method, METHODS)
        check_choice("--objective", self.objective, OBJECTIVES)
        check_choice("--recipe", self.recipe, RECIPES)
        check_choice("--label-policy", self.label_policy, LABEL_POLICIES)
        if self.from_scratch and self.method != "full":
            raise ConfigError.bad_value("--from-scratch", "only `--method full` trains every weight")
        for flag in ("bare_weight", "contrast_weight", "memory", "report_dropout", "field_dropout"):
            check_at_least(f"--{flag.replace('_', '-')}", getattr(self, flag), 0)
        for flag in ("report_dropout", "field_dropout"):
            if getattr(self, flag) > 1:
                raise ConfigError.bad_value(f"--{flag.replace('_', '-')}", "a chance is at most 1")
        for flag in ("patience", "train_size"):
            if getattr(self, flag) is not None:
                check_at_least(f"--{flag.replace('_', '-')}", getattr(self, flag), 1)
        if self.fold is not None:
            parse_fold(self.fold)
            if self.splits is not None:
                raise ConfigError.bad_value("--fold", "--splits says already who is tested", "give one of the two")
        check_at_least("--epochs", self.epochs, 1)
        check_at_least("--batch-size", self.batch_size, 1)
        check_at_least("--weight-decay", self.weight_decay, 0)
        check_at_least("--alpha", self.alpha, 0)
        check_at_least("--pretrained-rate", self.pretrained_rate, 0)
        check_at_least("--seed", self.seed, 0)
        for flag in ("test_fraction", "validation_fraction", "calibration_fraction"):
            check_at_least(f"--{flag.replace('_', '-')}", getattr(self, flag), 0)
        if not 0 < self.learning_rate < float("inf"):
            raise ConfigError.bad_value("--learning-rate", "must be above 0")
        if self.test_fraction + self.validation_fraction + self.calibration_fraction >= 1:
            raise ConfigError.bad_value("--test-fraction", "the held-out shares leave nothing to train on")


@dataclass(frozen=True)
class PredictConfig(Settings):
    """Settings of `adclip predict`.

    Parameters
    ----------
    inputs : tuple of Path
        Raw scans, folders, lists or adclip derivatives.
    meta : Path, tuple of Path or None
        Metadata tables; several are joined.
    model : str
        `builtin` or a RUN folder.
    subject : str or None
        Row to use when nothing else joins scan and table.
    columns, max_days
        See TableOptions.
    out : Path or None
        Also write predictions.jsonl and predictions.csv there.
    orientation, series : str or None
        What the files do not say themselves, see `adclip.domain.ReadOptions`.
    device : str
        Where to compute.
    overwrite : bool
        Whether earlier files in `out` are replaced.
    precision : str
        Of the frozen weights, see `adclip.model.device.choose_dtype`.
    volumes : bool
        Whether the volumes of brain structures are looked up beside the scan, else measured, and reported where no table
        has any; about 2 s for a raw scan.
    """

    inputs: tuple[Path, ...]
    meta: Path | tuple[Path, ...] | None = None
    model: str = "builtin"
    subject: str | None = None
    columns: tuple[str, ...] = ()
    out: Path | None = None
    orientation: str | None = None
    series: str | None = None
    device: str = "auto"
    overwrite: bool = False
    max_days: int = MAX_DAYS
    precision: str = "auto"
    volumes: bool = True

    @property
    def metas(self) -> tuple[Path, ...]:
        """The metadata tables: none, one or several."""
        return as_paths(self.meta)

    @property
    def table_options(self) -> TableOptions:
        """How they are read."""
        return TableOptions(self.columns, max_days=self.max_days)

    def __post_init__(self) -> None:
        _ = self.table_options
        check_device(self.device)
        check_precision(self.precision)
        if self.orientation is not None:
            check_orientation(self.orientation)


@dataclass(frozen=True)
class ExplainConfig(Settings):
    """Settings of `adclip explain`.

    Parameters
    ----------
    inputs, meta, model, subject, columns, max_days, orientation, series, device, overwrite, precision, volumes
        As for PredictConfig.
    out : Path
        Folder for heatmaps, figures and pages.
    target : str or None
        Class to explain (`CN`, `MCI`, `AD`) or `mmse`; None is the predicted class.
    seed : int
        Order of the random baseline of the faithfulness curve.
    """

    inputs: tuple[Path, ...]
    out: Path
    meta: Path | tuple[Path, ...] | None = None
    model: str = "builtin"
    subject: str | None = None
    columns: tuple[str, ...] = ()
    target: str | None = None
    orientation: str | None = None
    series: str | None = None
    device: str = "auto"
    seed: int = 0
    overwrite: bool = False
    max_days: int = MAX_DAYS
    precision: str = "auto"
    volumes: bool = True

    @property
    def metas(self) -> tuple[Path, ...]:
        """The metadata tables: none, one or several."""
        return as_paths(self.meta)

    @property
    def table_options(self) -> TableOptions:
        """How they are read."""
        return TableOptions(self.columns, max_days=self.max_days)

    def __post_init__(self) -> None:
        _ = self.table_options
        check_device(self.device)
        check_precision(self.precision)
        if self.orientation is not None:
            check_orientation(self.orientation)
        check_at_least("--seed", self.seed, 0)


@dataclass(frozen=True)
class WeightsConfig(Settings):
    """Settings of `adclip weights`.

    Parameters
    ----------
    action : str
        One of WEIGHTS_ACTIONS.
    what : str or None
        Base model by name; for import a folder, file or archive; for export also a RUN folder.
    out : Path or None
        Archive to export to; by default `NAME.adclip.zip` in the current folder.
    name : str or None
        Name for an imported base.
    tokenizer : Path or None
        `vocab.txt` for an imported base that lies without one.
    revision : str or None
        Commit, branch or tag to fetch.
    overwrite : bool
        Whether what is in the store, or the archive, may be replaced.
    """

    action: str
    what: str | None = None
    out: Path | None = None
    name: str | None = None
    tokenizer: Path | None = None
    revision: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_choice("weights", self.action, WEIGHTS_ACTIONS)


@dataclass(frozen=True)
class DemoConfig(Settings):
    """Settings of `adclip demo`.

    Parameters
    ----------
    out : Path
        Folder for everything the demo makes.
    subjects : int
        Size of the simulated cohort.
    epochs : int
        Passes of the fine-tuning.
    device : str
        Where to compute.
    seed : int
        Fixes cohort, split and training.
    overwrite : bool
        Replace an earlier demo.
    """

    out: Path = Path("adclip-demo")
    subjects: int = 240
    epochs: int = 4
    device: str = "auto"
    seed: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_device(self.device)
        check_at_least("--subjects", self.subjects, 120)
        check_at_least("--seed", self.seed, 0)
        check_at_least("--epochs", self.epochs, 1)
