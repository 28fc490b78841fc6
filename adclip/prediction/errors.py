"""What can go wrong in `adclip.prediction`, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable

from adclip.errors import CheckpointError


def other_template(style: str, version: str, supported: Iterable[str]) -> CheckpointError:
    return CheckpointError(
        f"the model reads reports of style {style}, version {version}; this adclip writes version {', '.join(supported)}",
        "train again with `adclip finetune`, or install the adclip version named in adapter.json",
    )
