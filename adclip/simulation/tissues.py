"""Tissues of a simulated head: which labels they cover, and how bright a scanner shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray


@dataclass(frozen=True)
class Tissue:
    """One class of the painter.

    Parameters
    ----------
    codes : tuple of int
        FreeSurfer labels; empty for the tissues that only the template's schematic head has.
    mix : float or None
        T1 level of brain tissue between grey matter (0) and white matter (1); None for all else.
    level : float
        T1 level relative to white matter where `mix` is None.
    hounsfield : float
        CT number, HU.
    texture : float
        Standard deviation of its smooth inner variation, relative.
    """

    codes: tuple[int, ...] = ()
    mix: float | None = None
    level: float = 0.0
    hounsfield: float = 40.0
    texture: float = 0.03


OUTSIDE_FROM, PARCELS_FROM = (
    500,
    1000,
)  # codes of tissue outside the skull, and of cortical parcels, which are inside again
CORTEX_CODES = (3, 42, *range(1000, 1036), *range(2000, 2036))
WHITE_CODES = (2, 41, 77, 85, 251, 252, 253, 254, 255)
# ventricles, CSF, choroid plexus (in maps of SynthSeg's kind 136 and 163 are that of the lateral ventricles, 137 and 164 that of the
# temporal horns: told by what lies around them in four maps), vessels, and code 72 (a fifth ventricle), all of which T1 shows dark
FLUID_CODES = (4, 5, 14, 15, 24, 30, 31, 43, 44, 62, 63, 72, 136, 137, 163, 164)

# T1 levels of brain tissue follow the means of SynthSeg's T1 priors (Billot et al. 2023, Apache-2.0), as shares of the way
# from cortex (96 of 160) to white matter (160 of 160); CT numbers are textbook values, HU; textures are judged.
TISSUES: dict[str, Tissue] = {
    "csf": Tissue(FLUID_CODES, level=0.28, hounsfield=8.0, texture=0.02),
    "cortex": Tissue(CORTEX_CODES, mix=0.0, hounsfield=37.0),
    "white": Tissue(WHITE_CODES, mix=1.0, hounsfield=28.0),
    "cerebellar_gray": Tissue((8, 47), mix=-0.12, hounsfield=37.0),
    "cerebellar_white": Tissue((7, 46), mix=0.62, hounsfield=30.0),
    "thalamus": Tissue((10, 49), mix=0.52, hounsfield=35.0),
    "putamen": Tissue((12, 51), mix=0.44, hounsfield=37.0),
    "pallidum": Tissue((13, 52), mix=0.87, hounsfield=35.0),
    # 25 and 57 lie in the white matter beside the ventricles of such maps: lesions, which T1 shows as grey as the nuclei
    "deep_gray": Tissue((11, 50, 26, 58, 17, 53, 18, 54, 80, 25, 57), mix=0.0, hounsfield=36.0),
    "brainstem": Tissue((16,), mix=0.55, hounsfield=30.0),
    "ventral_dc": Tissue((28, 60), mix=0.72, hounsfield=31.0),
    # outside the brain; levels judged on the scans of three scanners
    "bone": Tissue(level=0.07, hounsfield=1100.0, texture=0.3),
    "marrow": Tissue(level=0.5, hounsfield=500.0, texture=0.3),
    "fat": Tissue(level=1.1, hounsfield=-90.0, texture=0.15),
    "muscle": Tissue(level=0.48, hounsfield=50.0, texture=0.2),
    "skin": Tissue(level=0.62, hounsfield=40.0, texture=0.1),
    "mucosa": Tissue(level=0.6, hounsfield=35.0, texture=0.35),
    "vitreous": Tissue(level=0.16, hounsfield=6.0, texture=0.02),
}
AIR_HOUNSFIELD = -1000.0

BRAIN_TISSUES = tuple(name for name, tissue in TISSUES.items() if tissue.codes)
FOLDED = ("csf", "cortex", "white")  # between these the average template is blurred


def is_intracranial(codes: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which codes lie inside the skull: brain, ventricles and all other fluid."""
    inside: NDArray[np.bool_] = (codes > 0) & ((codes < OUTSIDE_FROM) | (codes >= PARCELS_FROM))
    return inside


def tissue_of_code() -> dict[int, str]:
    """Return the brain tissue of each FreeSurfer code."""
    return {code: name for name, tissue in TISSUES.items() for code in tissue.codes}


def to_levels(gray: float = 0.6, csf: float = 0.28, white: float = 1.0) -> dict[str, float]:
    """Return the T1 level of each tissue from those of cortex, CSF and white matter."""
    levels = {
        name: tissue.level if tissue.mix is None else gray + tissue.mix * (white - gray)
        for name, tissue in TISSUES.items()
    }
    return levels | {"csf": csf, "white": white, "cortex": gray}


def paint_plainly(labels: NDArray[np.int16]) -> FloatArray:
    """Paint the brain of a label map with typical T1 levels (white matter 1), 0 outside: enough to register it."""
    table = np.zeros(int(labels.max()) + 1, dtype=np.float32)
    levels = to_levels()
    for code, name in tissue_of_code().items():
        if code < table.size:
            table[code] = levels[name]
    result: FloatArray = table[labels]
    return result
