"""From a raw T1 scan to CN / MCI / AD, MMSE and a heatmap, with prompt-tuned image-text models.

The public names load on first use, so `import adclip` costs nothing. Behind each command stands a module of `adclip.verbs`, with one
function of the same name which takes one config from `adclip.config`:

    from adclip.config import PredictConfig
    from adclip.verbs.predict import predict

`adclip.predict`, where the modules stood before, is the same module.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from adclip.version import __version__

_VERBS = (
    "demo",
    "evaluate",
    "explain",
    "finetune",
    "predict",
    "preprocess",
    "simulate",
    "synthesize_reports",
    "weights",
)
_NAMES = {"Predictor": "adclip.prediction.predictor", "load_base": "adclip.model.base_model"}

__all__ = [
    "Predictor", "__version__", "demo", "evaluate", "explain", "finetune", "load_base", "predict", "preprocess", "simulate", "synthesize_reports",
    "weights",
]  # fmt: skip

if TYPE_CHECKING:
    from adclip.model.base_model import load_base
    from adclip.prediction.predictor import Predictor
    from adclip.verbs import (
        demo,
        evaluate,
        explain,
        finetune,
        predict,
        preprocess,
        simulate,
        synthesize_reports,
        weights,
    )


class _EarlierPlace:
    """Finds `adclip.predict` and the like, where verbs stood before there was `adclip.verbs`: the same module, not a second one."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, verb = name.partition(".")
        is_verb = package == __name__ and verb in _VERBS
        return importlib.util.spec_from_loader(name, cls()) if is_verb else None  # type: ignore[arg-type]  # has what Loader asks for

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"{__name__}.verbs.{spec.name.rpartition('.')[2]}")
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing, the module has run; it keeps its own name."""
        module.__spec__ = self._own


sys.meta_path.append(_EarlierPlace)


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _VERBS:
        return importlib.import_module(f"adclip.verbs.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'adclip' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
