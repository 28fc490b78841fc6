"""What can go wrong in `adclip.prediction`, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from adclip.errors import CheckpointError, OutputError, name_some

_RESULTS = {"predict": "predictions", "explain": "explanations"}
_ANOTHER_PLACE = "choose another --out, or replace what is there with --overwrite"


def other_template(style: str, version: str, supported: Iterable[str]) -> CheckpointError:
    return CheckpointError(
        f"the model reads reports of style {style}, version {version}; this adclip writes version {', '.join(supported)}",
        "train again with `adclip finetune`, or install the adclip version named in adapter.json",
    )


def of_another_model(out: Path | str, verb: str) -> OutputError:
    return OutputError(f"{out}: holds {_RESULTS[verb]} of another model", _ANOTHER_PLACE)


def of_other_settings(out: Path | str, verb: str, flags: Sequence[str]) -> OutputError:
    return OutputError(
        f"{out}: holds {_RESULTS[verb]} made with another {name_some(flags)}",
        f"give the same as before to go on with them; else {_ANOTHER_PLACE}",
    )


def of_other_scans(out: Path | str, verb: str, stems: Sequence[str]) -> OutputError:
    return OutputError(
        f"{out}: holds {_RESULTS[verb]} of scans that are none of these: {name_some(stems)}",
        f"give all of them to go on; else {_ANOTHER_PLACE}",
    )


def builtin_has_no_cases() -> CheckpointError:
    return CheckpointError(
        "--similar: the builtin model has no training cases with it, as no model that is shared has",
        "fine-tune a model on your own cohort with `adclip finetune --out RUN`, and give it: --model RUN",
    )


def no_cases(path: Path) -> CheckpointError:
    return CheckpointError(
        f"--similar: {path}: no such file; only the folder where a model was fine-tuned has its training cases",
        "give that folder as --model; if it has none either, an earlier adclip made it: fine-tune again with --overwrite",
    )


def damaged_cases(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"--similar: {path}: {why}", "fine-tune again with --overwrite, or leave --similar out")
