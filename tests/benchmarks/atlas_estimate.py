"""What a plain atlas can do: mean label maps in MNI space and the scan's own intensities. The bar for the network.

Prior: the ten label maps, aligned by affine maps and averaged. Likelihood: one Gaussian for each kind of tissue, fitted
by expectation maximisation (Ashburner & Friston 2005, doi:10.1016/j.neuroimage.2005.02.018, without the deformation).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from adclip.imaging.volumes.measure import TISSUE_CLASSES, VENTRICLE_CLASSES
from adclip.imaging.volumes.segmenter import BOX, CLASSES

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "segmenter"))
from heads import read_head

KIND = (0, 1, 2, 0, 0, 0, 1, 1, 3, 4, 2)  # csf-like, grey, white, deep grey, cerebellum: who shares a Gaussian
ROUNDS = 15
SMOOTH_MM = 2.0


@dataclass(frozen=True)
class AtlasEstimate:
    """Prior probability of each of `CLASSES` on `BOX`."""

    prior: NDArray[np.float32]

    @classmethod
    def build(cls, labels: Path) -> AtlasEstimate:
        """Average the label maps of a folder."""
        total = np.zeros((len(CLASSES), *BOX.shape_xyz), np.float32)
        for path in sorted(labels.glob("training_seg_*.nii.gz")):
            head = read_head(path, labels / "meta")
            matrix = np.linalg.inv(head.to_mni @ head.affine) @ BOX.affine_xyz
            found = ndimage.affine_transform(
                head.classes, matrix[:3, :3], matrix[:3, 3], output_shape=BOX.shape_xyz, order=0
            )
            for number in range(len(CLASSES)):
                total[number] += found == number
        total += total[:, ::-1]
        total = np.stack([ndimage.gaussian_filter(one, SMOOTH_MM / 1.5) for one in total])
        return cls(total / total.sum(axis=0))

    def segment(self, box: NDArray[Any]) -> NDArray[np.float32]:
        """Return the posterior of each class on the box, shape as the prior; 0 but background outside the brain."""
        inside = box > 0
        prior, value = self.prior[:, inside], box[inside]
        prior = prior[1:] + 1e-6  # inside the mask nothing is background
        prior /= prior.sum(axis=0)
        kinds = np.array(KIND[1:])
        posterior = prior
        for _ in range(ROUNDS):
            likelihood = np.empty_like(prior)
            for kind in np.unique(kinds):
                weight = posterior[kinds == kind].sum(axis=0)
                mean = float((weight * value).sum() / weight.sum())
                variance = float((weight * (value - mean) ** 2).sum() / weight.sum()) + 1e-4
                likelihood[kinds == kind] = np.exp(-0.5 * (value - mean) ** 2 / variance) / np.sqrt(variance)
            posterior = prior * likelihood
            posterior /= posterior.sum(axis=0) + 1e-12
        result = np.zeros_like(self.prior)
        result[0] = ~inside
        result[1:, inside] = posterior
        return result

    def measure(self, box: NDArray[Any], growth: float) -> dict[str, float]:
        """Volumes in the scan's cubic millimetres; `growth` is the determinant of the map to MNI."""
        size = float(np.prod(BOX.spacing_mm)) / growth
        sums = {name: posterior.sum(axis=(1, 2), dtype=np.float64) * size for name, posterior in
                zip(CLASSES, self.segment(box), strict=True)}  # fmt: skip
        middle = BOX.shape_xyz[0] // 2
        left, right = sums["hippocampus"][:middle].sum(), sums["hippocampus"][middle:].sum()
        return {
            "hippocampus_left_mm3": float(left),
            "hippocampus_right_mm3": float(right),
            "hippocampus_mm3": float(left + right),
            "ventricles_mm3": float(sum(sums[name].sum() for name in VENTRICLE_CLASSES)),
            "whole_brain_mm3": float(sum(sums[name].sum() for name in TISSUE_CLASSES)),
        }
