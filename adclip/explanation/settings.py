"""What `adclip explain` can be asked for, in words alone: nothing heavy is loaded for it."""

from __future__ import annotations

METHOD_NAMES = (
    "patch-integrated-gradients",
    "integrated-gradients",
    "smoothgrad",
    "gradient-x-input",
    "grad-eclip",
    "grad-eclip-single-head",
    "attention-rollout",
    "occlusion",
)
DEFAULT_METHOD = "patch-integrated-gradients"  # found planted changes best, see docs/benchmarks.md
AUTO = "auto"  # in place of a method: the default for maps, and all for a self-test
LEVELS = ("off", "quick", "full")  # of what is measured of a map
FINER = ("none", "shifts", "occlusion")  # ways to tell more apart than patches
