"""The settings of every verb and of the network, for `from adclip.config import FinetuneConfig`; each stands in the room that uses it.

All are frozen, are checked when they are made, and read no file for it.
"""

from __future__ import annotations

from adclip.clinical.settings import SynthesizeReportsConfig, TableOptions
from adclip.model.settings import LAST_TEXT_TOKEN, M3D_CLIP, SMALL, ModelConfig, PromptConfig
from adclip.prediction.settings import PreprocessConfig
from adclip.settings.setting import Settings
from adclip.settings.shared import REPORT_STYLES
from adclip.simulation.settings import SimulateConfig
from adclip.training.settings import FinetuneConfig
from adclip.verbs.settings import (
    DemoConfig,
    DoctorConfig,
    EvaluateConfig,
    ExplainConfig,
    PredictConfig,
    SchemaConfig,
    WeightsConfig,
)

__all__ = [
    "LAST_TEXT_TOKEN", "M3D_CLIP", "REPORT_STYLES", "SMALL", "DemoConfig", "DoctorConfig", "EvaluateConfig", "ExplainConfig", "FinetuneConfig", "ModelConfig",
    "PredictConfig", "PreprocessConfig", "PromptConfig", "SchemaConfig", "Settings", "SimulateConfig", "SynthesizeReportsConfig", "TableOptions",
    "WeightsConfig",
]  # fmt: skip
