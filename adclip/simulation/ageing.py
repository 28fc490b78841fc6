"""Normal ageing: how each structure's share of the intracranial volume goes from 20 to 95 years."""

from __future__ import annotations

import numpy as np

KNOTS_YEARS = (20, 30, 40, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95)
# ln(volume / ICV) against 75 years. Medians of cognitively normal people, DLMUSE and MUSE segmentations: from 40 years the
# ICV-normalised centiles of the NiChart project (2024), below 40 those of iSTAGING, shifted to meet at 40; 20 and 95 years are
# continued by eye. Hippocampus, temporal, parietal and frontal are means of left and right (grey matter of the lobe); sulci
# are what brain and ventricles leave of the ICV. The published curves of the temporal horn are normal distributions that reach below
# 0: its medians are those of log-normal ones with the same mean and standard deviation. Amygdala and temporal horn are not in
# iSTAGING's tables: below 40 years they are continued by eye. See adclip/assets/norms/NOTICE.txt for the licence of these tables.
LOG_SHARE: dict[str, tuple[float, ...]] = {
    "hippocampus": (0.065, 0.065, 0.060, 0.061, 0.062, 0.061, 0.048, 0.027, 0.0, -0.032, -0.067, -0.101, -0.135),
    "amygdala": (0.035, 0.038, 0.041, 0.048, 0.048, 0.043, 0.033, 0.018, 0.0, -0.023, -0.049, -0.076, -0.104),
    "inferior_lateral_ventricle": (
        -1.200, -1.190, -1.171, -1.195, -1.148, -0.904, -0.597, -0.283, 0.0, 0.239, 0.446, 0.621, 0.760,
    ),
    "entorhinal": (0.050, 0.050, 0.051, 0.056, 0.054, 0.048, 0.035, 0.019, 0.0, -0.021, -0.045, -0.068, -0.090),
    "temporal": (0.130, 0.110, 0.088, 0.069, 0.060, 0.049, 0.035, 0.018, 0.0, -0.019, -0.040, -0.061, -0.080),
    "parietal": (0.175, 0.160, 0.134, 0.097, 0.078, 0.059, 0.040, 0.020, 0.0, -0.021, -0.042, -0.063, -0.085),
    "frontal": (0.195, 0.180, 0.156, 0.115, 0.095, 0.074, 0.051, 0.026, 0.0, -0.024, -0.046, -0.067, -0.090),
    "ventricles": (-1.070, -0.940, -0.811, -0.711, -0.620, -0.508, -0.343, -0.169, 0.0, 0.153, 0.299, 0.433, 0.550),
    "sulci": (-0.530, -0.430, -0.308, -0.224, -0.180, -0.140, -0.092, -0.044, 0.0, 0.042, 0.083, 0.122, 0.160),
}  # fmt: skip


def age_change(structure: str, age_years: float) -> float:
    """Return ln(share of ICV) at an age against 75 years; beyond 20 to 95 the value at that end."""
    return float(np.interp(age_years, KNOTS_YEARS, LOG_SHARE[structure]))
