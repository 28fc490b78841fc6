"""What an aligned image is: a T1 head, a head of another contrast, or no head at all.

CT, label maps, masks and constants are told from the voxel values when a file is read. What is left can only be told once
the template says where grey matter, white matter and ventricles are.

A T2 or PD head does not align with a T1 template: the search looks for bright white matter. It aligns well once its
brain is inverted, and then its own levels say what it is. That second alignment takes three to ten CPU seconds and is tried
only where the first one shows no T1 contrast.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from adclip.domain import InputContract, Volume
from adclip.imaging.quality.measurements import Bools, measure_alignment, measure_tissue
from adclip.imaging.steps.grid import to_grid

Numbers = Mapping[str, float | None]
T1, T2, FLAIR, PD = "t1", "t2_like", "flair_like", "pd_like"
NO_CONTRAST, NO_HEAD = "no_contrast", "not_a_head"
WHAT = {
    T2: "a T2-weighted head (grey matter brighter than white, bright fluid)",
    FLAIR: "a FLAIR head (grey matter brighter than white, dark fluid)",
    PD: "a proton-density head (grey matter brighter than white)",
    NO_CONTRAST: "a head without contrast between grey and white matter, such as CT",
}

# Thresholds between what was observed (tests/benchmarks/bench_modality.py). T1, even with its top cut off or under heavy
# noise: contrast 0.48, correlation 0.27, overlap 0.85 or more. Everything else: contrast at most 0.18, but for one abdomen
# of 0.36, which overlaps by 0.76.
T1_CONTRAST = 0.4
T1_CORRELATION = 0.22
T1_OVERLAP = 0.82
# Of levels in [0, 1]: grey above white by 0.05 to 0.16 in the other contrasts, by at most 0.014 in a CT-like head.
GRAY_OVER_WHITE = 0.03
FLUID_OVER_GRAY = 0.15  # T2 0.23 to 0.42, proton density at most 0.08
# Heads of any contrast overlap with the template by 0.94 or more in the better alignment, balls and other body parts by
# 0.90 or less, with correlations of 0.31 or less.
HEAD_OVERLAP, HEAD_CORRELATION = 0.91, 0.4


def recognise(
    numbers: Numbers,
    contract: InputContract | None = None,
    volume: Volume | None = None,
    scan_mask: Bools | None = None,
) -> str:
    """Say what an aligned image is.

    Parameters
    ----------
    numbers : mapping
        What `measure_alignment` and `measure_tissue` found.
    contract : InputContract, optional
        The grid.
    volume : Volume, optional
        The scan. With it and `scan_mask` the second alignment is tried where it is needed.
    scan_mask : ndarray of the volume's shape, bool, optional
        Brain in the scan.

    Returns
    -------
    str
        `t1`; `t2_like`, `flair_like`, `pd_like`: grey brighter than white, told apart by the ventricles; `no_contrast`: a
        head whose grey and white do not differ; `not_a_head`: nothing of the template is found again.

    Examples
    --------
    >>> recognise({"template_overlap": 0.96, "template_correlation": 0.6, "gray_white_contrast": 1.2})
    't1'
    """
    sure = {"gray_white_contrast": T1_CONTRAST, "template_correlation": T1_CORRELATION, "template_overlap": T1_OVERLAP}
    if all(_at_least(numbers, name, limit) for name, limit in sure.items()):
        return T1
    if contract is not None and volume is not None and scan_mask is not None:
        inverted = _measure_inverted(contract, volume, scan_mask)
        if (inverted.get("template_overlap") or 0) > (numbers.get("template_overlap") or 0):
            numbers = inverted
    return _name(numbers)


def _name(numbers: Numbers) -> str:
    if not (
        _at_least(numbers, "template_overlap", HEAD_OVERLAP)
        or _at_least(numbers, "template_correlation", HEAD_CORRELATION)
    ):
        return NO_HEAD
    gray, white, fluid = (numbers.get(f"{name}_level") for name in ("gray", "white", "fluid"))
    if gray is None or white is None:
        return NO_HEAD
    if gray - white < GRAY_OVER_WHITE:
        # A T1 whose white matter is brighter, but hardly: too faint to use, yet nothing else.
        return T1 if white - gray > GRAY_OVER_WHITE else NO_CONTRAST
    if fluid is None:
        return PD
    if fluid > gray + FLUID_OVER_GRAY:
        return T2
    return FLAIR if fluid < white else PD


def _measure_inverted(contract: InputContract, volume: Volume, scan_mask: Bools) -> Numbers:
    """Align the brain with its intensities turned over, and measure the original ones there."""
    from scipy import ndimage

    from adclip.imaging.steps.bias import correct_bias
    from adclip.imaging.steps.register import register_affine

    (window,) = ndimage.find_objects(scan_mask.astype(np.uint8))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in window])
    mask = scan_mask[window]
    x, y, z = (float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    head = correct_bias(volume.array[window], mask, (x, y, z))
    low, high = (float(value) for value in np.percentile(head[mask], contract.percentiles))
    scaled = np.where(mask, np.clip((head - low) / max(high - low, 1e-6), 0, 1), 0).astype(np.float32)
    try:
        # Nothing inside the brain becomes 0, which would look like its outside.
        scan_to_mni = register_affine(np.where(mask, 1.1 - scaled, 0).astype(np.float32), affine, mask)
    except np.linalg.LinAlgError:
        return {}
    share = to_grid(mask.astype(np.float32), affine, scan_to_mni, contract)
    inside = share > 0.5
    image = np.where(inside, to_grid(scaled, affine, scan_to_mni, contract) / np.maximum(share, 0.5), 0)
    return {
        **measure_alignment(image, inside, contract, scan_to_mni),
        **measure_tissue(image, inside, contract),
    }


def _at_least(numbers: Numbers, name: str, limit: float) -> bool:
    value = numbers.get(name)
    return value is not None and value >= limit
