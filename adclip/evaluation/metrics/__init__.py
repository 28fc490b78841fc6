"""Numbers that say how good predictions are, with 95 % intervals over people; knows neither scans nor models."""

from adclip.evaluation.metrics.agreement import icc_interval
from adclip.evaluation.metrics.benefit import net_benefit
from adclip.evaluation.metrics.comparison import Judged, compare, compare_groups
from adclip.evaluation.metrics.reliability import ece, ece_if_perfect, perfect_band, put_back
from adclip.evaluation.metrics.resampling import RESAMPLES, bootstrap_interval
from adclip.evaluation.metrics.summary import entry, summarise, summarise_mean
from adclip.evaluation.metrics.values import accuracy, auc, balanced_accuracy, brier, macro_f1, mae, pearson_r

__all__ = [
    "RESAMPLES", "Judged", "accuracy", "auc", "balanced_accuracy", "bootstrap_interval", "brier", "compare", "compare_groups",
    "ece", "ece_if_perfect", "entry", "icc_interval", "macro_f1", "mae", "net_benefit", "pearson_r", "perfect_band", "put_back",
    "summarise", "summarise_mean",
]  # fmt: skip
