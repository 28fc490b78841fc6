"""Numbers that say how good predictions are, with 95 % intervals over people; knows neither scans nor models."""

from adclip.evaluation.metrics.comparison import Judged, compare
from adclip.evaluation.metrics.reliability import ece, ece_if_perfect, perfect_band, put_back
from adclip.evaluation.metrics.resampling import RESAMPLES, bootstrap_interval
from adclip.evaluation.metrics.summary import entry, summarise, summarise_mean
from adclip.evaluation.metrics.values import accuracy, auc, balanced_accuracy, brier, macro_f1, mae, pearson_r

__all__ = [
    "RESAMPLES", "Judged", "accuracy", "auc", "balanced_accuracy", "bootstrap_interval", "brier", "compare", "ece",
    "ece_if_perfect", "entry", "macro_f1", "mae", "pearson_r", "perfect_band", "put_back", "summarise", "summarise_mean",
]  # fmt: skip
