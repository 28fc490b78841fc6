"""From a raw T1 scan to CN / MCI / AD, MMSE and a heatmap, with prompt-tuned image-text models.

The public names load on first use, so `import adclip` costs nothing. `adclip.verbs.preprocess`, `adclip.verbs.synthesize_reports`,
`adclip.verbs.simulate`, `adclip.verbs.finetune`, `adclip.verbs.predict`, `adclip.verbs.explain`, `adclip.verbs.weights` and `adclip.verbs.demo` are the modules behind the
commands; each has one function of the same name that takes one config from `adclip.config`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from adclip.version import __version__

_VERBS = ("demo", "explain", "finetune", "predict", "preprocess", "simulate", "synthesize_reports", "weights")
_NAMES = {"Predictor": "adclip.prediction.predictor", "load_base": "adclip.model.base_model"}

__all__ = ["Predictor", "__version__", "load_base", *_VERBS]

if TYPE_CHECKING:
    from adclip.model.base_model import load_base
    from adclip.prediction.predictor import Predictor


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _VERBS:
        return importlib.import_module(f"adclip.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'adclip' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
