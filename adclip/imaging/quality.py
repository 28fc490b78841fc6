"""Numbers that tell whether preprocessing went well, and a verdict by stated thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.imaging.grid import to_grid
from adclip.imaging.templates import read_template, read_tissue

PURE = 0.8  # tissue probability above which a template voxel stands for its tissue

# Thresholds as (fail, warn): beyond `warn` a person should look, beyond `fail` the result should not be used. They lie
# outside everything seen on 24 healthy IXI heads (2 mm; ranges beside each), with room for atrophy and other scanners.
OVERLAP = (0.85, 0.92)  # IXI: 0.954-0.969
CORRELATION = (0.25, 0.40)  # IXI: 0.600-0.674
CONTRAST = (0.0, 0.5)  # IXI: 1.04-1.44
BRAIN_ML = ((700.0, 2600.0), (900.0, 2100.0))  # IXI: 1180-1698; enlarged OASIS-1 brains reach 2400
COVERAGE = (0.80, 0.97)  # IXI: 1.00
SCALE = (0.6, 1.6)  # cube root of the affine's determinant; IXI: 1.04-1.18


@dataclass(frozen=True)
class Quality:
    """What was measured on one preprocessed scan.

    Parameters
    ----------
    brain_volume_ml : float
        Volume of the brain mask in the scan, millilitres.
    template_overlap : float
        Dice coefficient of the aligned mask and the template's brain.
    template_correlation : float
        Pearson correlation of scan and template inside the template's brain.
    gray_white_contrast : float
        (mean white - mean grey) / pooled standard deviation, in voxels that are pure tissue in the template. Positive in
        T1, negative in T2 and FLAIR.
    coverage : float
        Share of the template's brain that lies inside the scan's field of view.
    scale : float
        Linear size change from scan to template.
    verdict : str
        `pass`, `warn` or `fail`.
    reasons : tuple of str
        One word for each threshold crossed.
    """

    brain_volume_ml: float
    template_overlap: float
    template_correlation: float
    gray_white_contrast: float
    coverage: float
    scale: float
    verdict: str
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, numbers rounded to four digits."""
        record: dict[str, Any] = {
            name: round(float(getattr(self, name)), 4)
            for name in (
                "brain_volume_ml", "template_overlap", "template_correlation", "gray_white_contrast", "coverage", "scale",
            )
        }  # fmt: skip
        return {**record, "verdict": self.verdict, "reasons": list(self.reasons)}


def measure_quality(
    image: FloatArray,
    mask: NDArray[np.bool_],
    contract: InputContract,
    scan_to_mni: FloatArray,
    brain_volume_ml: float,
    scan_shape: tuple[int, ...],
    scan_affine: FloatArray,
) -> Quality:
    """Compare a preprocessed scan with the template.

    Parameters
    ----------
    image : ndarray of shape `contract.shape_xyz`
        Intensities in [0, 1].
    mask : ndarray of shape `contract.shape_xyz`, bool
        Brain on the grid.
    contract : InputContract
        The grid.
    scan_to_mni : ndarray of shape (4, 4)
        Scan millimetres to MNI millimetres.
    brain_volume_ml : float
        Measured in the scan, before any scaling.
    scan_shape, scan_affine
        The scan's RAS+ grid, for its field of view.
    """
    template, brain, gray, white = _template_on(contract)
    gray, white = gray & mask, white & mask

    both = float((mask & brain).sum())
    overlap = 2 * both / max(float(mask.sum() + brain.sum()), 1.0)
    correlation = _correlate(image[brain], template[brain])
    contrast = 0.0
    if gray.sum() > 10 and white.sum() > 10:
        pooled = np.sqrt((image[gray].var() + image[white].var()) / 2)
        contrast = float((image[white].mean() - image[gray].mean()) / max(float(pooled), 1e-6))
    scale = float(np.cbrt(abs(np.linalg.det(scan_to_mni[:3, :3]))))
    coverage = _coverage(brain, contract, scan_to_mni, scan_shape, scan_affine)
    verdict, reasons = judge(overlap, correlation, contrast, brain_volume_ml, coverage, scale)
    return Quality(brain_volume_ml, overlap, correlation, contrast, coverage, scale, verdict, reasons)


def judge(
    overlap: float, correlation: float, contrast: float, brain_ml: float, coverage: float, scale: float
) -> tuple[str, tuple[str, ...]]:
    """Return the verdict and the name of every threshold crossed.

    Examples
    --------
    >>> judge(0.95, 0.6, 1.5, 1400.0, 1.0, 1.05)
    ('pass', ())
    >>> judge(0.5, 0.1, 1.5, 1400.0, 1.0, 1.05)
    ('fail', ('low_template_overlap', 'low_template_correlation'))
    """
    inside: list[tuple[str, bool, bool]] = [
        ("low_template_overlap", overlap >= OVERLAP[0], overlap >= OVERLAP[1]),
        ("low_template_correlation", correlation >= CORRELATION[0], correlation >= CORRELATION[1]),
        ("not_t1_contrast", contrast >= CONTRAST[0], contrast >= CONTRAST[1]),
        (
            "unusual_brain_volume",
            BRAIN_ML[0][0] <= brain_ml <= BRAIN_ML[0][1],
            BRAIN_ML[1][0] <= brain_ml <= BRAIN_ML[1][1],
        ),
        ("brain_cut_off", coverage >= COVERAGE[0], coverage >= COVERAGE[1]),
        ("impossible_scale", SCALE[0] <= scale <= SCALE[1], SCALE[0] <= scale <= SCALE[1]),
    ]
    reasons = tuple(name for name, _, unremarkable in inside if not unremarkable)
    if not all(usable for _, usable, _ in inside):
        return "fail", reasons
    return ("warn" if reasons else "pass"), reasons


@lru_cache(maxsize=2)
def _template_on(
    contract: InputContract,
) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return T1, brain, pure grey and pure white matter of the template on the contract's grid."""
    t1, affine = read_template()

    # Nearest voxel for the masks: averaging them as well would take seconds at the first scan and change no verdict.
    def nearest(values: FloatArray) -> FloatArray:
        return to_grid(values, affine, np.eye(4), contract, order=0)

    gray, white = nearest(read_tissue("gm")) > PURE, nearest(read_tissue("wm")) > PURE
    return to_grid(t1, affine, np.eye(4), contract), nearest(t1) > 0, gray, white


def _correlate(one: FloatArray, two: FloatArray) -> float:
    if one.size < 2 or one.std() == 0 or two.std() == 0:
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])


def _coverage(
    brain: NDArray[np.bool_],
    contract: InputContract,
    scan_to_mni: FloatArray,
    scan_shape: tuple[int, ...],
    scan_affine: FloatArray,
) -> float:
    matrix = np.linalg.inv(scan_to_mni @ scan_affine) @ contract.affine_xyz
    voxels = np.argwhere(brain) @ matrix[:3, :3].T + matrix[:3, 3]
    inside = np.all((voxels >= -0.5) & (voxels <= np.array(scan_shape) - 0.5), axis=1)
    return float(np.mean(inside)) if voxels.size else 0.0
