"""Predict and explain a scan from Python: simulate a head, read it with the builtin model, look at the numbers.

python examples/predict_from_python.py
"""

# %%
import sys
import tempfile
from pathlib import Path

import adclip
from adclip.config import ExplainConfig, SimulateConfig
from adclip.verbs.explain import explain
from adclip.verbs.simulate import simulate

# %% A raw head with known truth; use your own scan and table instead
folder = Path(tempfile.mkdtemp())
simulate(SimulateConfig(folder / "heads", subjects=1, spacing_mm=2.0, seed=5))
scan = folder / "heads" / "sub-sim0001" / "anat" / "sub-sim0001_T1w.nii.gz"
table = folder / "heads" / "table.csv"

# %% One model, any number of scans
predictor = adclip.Predictor.from_checkpoint("builtin", device="cpu")
prediction = predictor(scan, table)
sys.stdout.write(f"{prediction.diagnosis} {prediction.probabilities}\n{prediction.notice}\n")

# %% Heatmap, tables and one HTML page
result = explain(ExplainConfig((scan,), folder / "explained", meta=table, device="cpu"))
sys.stdout.write(f"{result.page}\n")
