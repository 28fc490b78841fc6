"""Atrophy patterns: the disease does not take every brain the same way.

Four patterns and how often they occur follow the pooled frequencies of Ferreira et al. 2020 (Neurology 94:436; typical 55,
limbic-predominant 21, hippocampal-sparing 17, minimal atrophy 15 %, made to sum to one) and the pathology of Murray et al. 2011
(Lancet Neurol. 10:785). How strongly a structure takes part is judged from their descriptions; the amygdala takes part like the
hippocampus, and the temporal horn, which fills the room of both, lies between them and the ventricles.
"""

from __future__ import annotations

import numpy as np

SHARES = {"typical": 0.51, "limbic-predominant": 0.19, "hippocampal-sparing": 0.16, "minimal": 0.14}
WEIGHTS: dict[str, dict[str, float]] = {
    "typical": dict.fromkeys(
        ("hippocampus", "amygdala", "inferior_lateral_ventricle", "entorhinal", "temporal", "parietal", "frontal", "ventricles",
         "sulci"), 1.0,
    ),
    "limbic-predominant": {
        "hippocampus": 1.35, "amygdala": 1.35, "inferior_lateral_ventricle": 1.3, "entorhinal": 1.35, "temporal": 0.8,
        "parietal": 0.3, "frontal": 0.3, "ventricles": 1.0, "sulci": 0.6,
    },
    "hippocampal-sparing": {
        "hippocampus": 0.35, "amygdala": 0.4, "inferior_lateral_ventricle": 0.5, "entorhinal": 0.5, "temporal": 1.0,
        "parietal": 1.7, "frontal": 1.3, "ventricles": 0.9, "sulci": 1.3,
    },
    "minimal": {
        "hippocampus": 0.25, "amygdala": 0.25, "inferior_lateral_ventricle": 0.4, "entorhinal": 0.3, "temporal": 0.25,
        "parietal": 0.25, "frontal": 0.25, "ventricles": 0.5, "sulci": 0.3,
    },
}  # fmt: skip
SIDE_SD = 0.25  # of the share by which one side is ahead of the other; judged


def draw_pattern(rng: np.random.Generator) -> str:
    """Draw a pattern; everybody has one, it shows only as far as the disease goes."""
    return str(rng.choice(list(SHARES), p=list(SHARES.values())))


def draw_side(rng: np.random.Generator) -> float:
    """Draw how far the left side is ahead of the right: 0.2 means 20 % more atrophy left and 20 % less right."""
    return float(np.clip(rng.normal(0, SIDE_SD), -0.8, 0.8))
