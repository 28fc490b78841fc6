"""Settings that several commands share, as annotated types, with the checks of their values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from adclip.errors import ConfigError
from adclip.settings.setting import Setting, check_choice

REPORT_STYLES = ("paper4", "paper6", "clinical", "knowledge")
DEFAULT_STYLE = "clinical"
MAX_DAYS = 120  # contract: how far in time a row may be from the visit that it is joined to
DIAGNOSIS_POLICIES = ("table", "cdr")
MODALITIES = ("MR",)
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def as_paths(value: Path | tuple[Path, ...] | None) -> tuple[Path, ...]:
    """Return one path, several or none as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, Path) else tuple(value)


def check_style(style: str) -> None:
    """Raise ConfigError unless `style` is one of REPORT_STYLES."""
    check_choice("--style", style, REPORT_STYLES)


def _check_device(flag: str, device: str) -> None:
    if not _DEVICE.fullmatch(device):
        raise ConfigError.bad_value(flag, f"`{device}` is not auto, cpu, cuda, cuda:N or mps")


def _check_orientation(flag: str, text: str) -> None:
    pairs = ("LR", "PA", "IS")
    if len(text) != 3 or any(sum(letter in pair for letter in text.upper()) != 1 for pair in pairs):
        remedy = "three letters, one each of L/R, A/P and S/I, such as RAS"
        raise ConfigError.bad_value(flag, f"`{text}` is no orientation", remedy)


def _check_modality(flag: str, text: str) -> None:
    if text.upper() not in MODALITIES:
        raise ConfigError.bad_value(flag, f"`{text}` is not MR", "adclip reads T1-weighted MRI only")


# fmt: off
# The formatter would spread a setting over seven lines; here it stands on one or two.
_INPUTS = ("Scans (.nii, .nii.gz, .mgz, .mgh, .img/.hdr), DICOM folders, folders of scans, BIDS datasets, adclip derivatives, or a CSV/TSV "
    "with a `scan` column.")
Inputs = Annotated[tuple[Path, ...], Setting(_INPUTS, metavar="INPUT", is_argument=True, called="INPUT", show_default=False)]
InputsOrNone = Annotated[tuple[Path, ...], Setting(_INPUTS, metavar="INPUT", is_argument=True, called="INPUT", show_default=False,
    default_there=())]
OutFolder = Annotated[Path, Setting("Folder to write.", flags=("--out", "-o"), show_default=False)]
Meta = Annotated[Path | tuple[Path, ...] | None, Setting("Metadata table, joined to the scans by row; several are joined to each other.",
    metavar="FILE")]
Model = Annotated[str, Setting("`builtin`, or the folder of a finished finetune.", metavar="RUN")]
Subject = Annotated[str | None, Setting("Subject whose row to use when nothing else joins scan and table.")]
Columns = Annotated[tuple[str, ...], Setting("Name of a column in your table; `:cm3` or `:1=M,2=F` behind it declares unit or codes. May "
    "be repeated.", metavar="CANONICAL=THEIRS", flags=("--column",))]
DiagnosisPolicy = Annotated[str, Setting("Diagnoses as the table states them, or CDR 0, 0.5, >= 1 read as CN, MCI, AD where it states "
    "none.", choices=DIAGNOSIS_POLICIES)]
MaxDays = Annotated[int, Setting("Days that a row may be away from the visit it is joined to by date.", unit="days", at_least=0)]
TaskFile = Annotated[Path | None, Setting("Other classes, phrases and score than CN, MCI, AD and MMSE.",
    metavar="FILE.toml", show_default=False, note="docs/how-to/ask-another-question.md shows such a file.")]
Style = Annotated[str, Setting("Report style.", choices=REPORT_STYLES)]
Volumes = Annotated[bool, Setting("Report hippocampus, ventricles and other volumes where no table has any: from a table beside the scan, "
    "else measured (2 s a raw scan).")]
Orientation = Annotated[str | None, Setting("Directions of the stored axes, for files without any.", metavar="RAS|LAS|...",
    check=_check_orientation)]
NamePattern = Annotated[str | None, Setting("How the paths of scans name the person: their end with `{subject}`, and `{session}`, `{date}` or "
    "`{image}`; `*` is anything within one name.", metavar="'{subject}/{date}/*'")]
Modality = Annotated[str | None, Setting("Say that the scans are MR, where shifted values make one look like CT.", metavar="MR",
    check=_check_modality)]
Series = Annotated[str | None, Setting("Series to take from a DICOM folder that holds several.", metavar="N")]
Device = Annotated[str, Setting("Where to compute.", metavar="auto|cpu|cuda|cuda:N|mps", check=_check_device)]
Precision = Annotated[str, Setting("Of the frozen weights; auto: bf16 on GPUs that compute in it, fp32 elsewhere.", choices=PRECISIONS)]
# a script without `__main__` must not start processes unasked; a command may
Workers = Annotated[int, Setting("Processes that share the work; 0: as many as cores and memory allow.", default_there=0, at_least=0)]
Shard = Annotated[str | None, Setting("Only every N-th scan from the I-th on; SLURM job arrays set it.", metavar="I/N")]
Seed = Annotated[int, Setting("Same seed, same result on a CPU.", at_least=0)]
Overwrite = Annotated[bool, Setting("Replace earlier results in --out.")]
