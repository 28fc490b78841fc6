"""The thresholds of the quality verdict, with what was observed on real scans beside each, and what to do beyond them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

Range = tuple[float | None, float | None]
_FREE: Range = (None, None)


@dataclass(frozen=True)
class Limit:
    """What is asked of one number.

    Parameters
    ----------
    name : str
        Key in `Quality.numbers`.
    label, unit : str
        For people.
    reason : str
        One word for the record where the number lies outside `usual`.
    usual : tuple of float or None
        Lowest and highest value that need no second look (`warn` beyond); None is open.
    usable : tuple of float or None
        Lowest and highest value of a result to be used at all (`fail` beyond).
    """

    name: str
    label: str
    unit: str
    reason: str
    usual: Range = _FREE
    usable: Range = _FREE

    def judge(self, value: float | None) -> str:
        """Return `pass`, `warn` or `fail`; a number that could not be measured passes."""
        if value is None or _within(value, self.usual):
            return "pass"
        return "warn" if _within(value, self.usable) else "fail"


# Round numbers outside everything seen on 59 healthy heads (IXI, 3 T, 2 mm), one of 1 mm (Siemens Trio) and six simulated
# raw heads, with room for atrophy, other field strengths and stripped scans. Observed ranges stand beside each: IXI; the
# others where they reach further. Measured by tests/benchmarks/bench_quality.py; the same on both grids to the digits shown.
LIMITS = (
    Limit(
        "template_overlap",
        "Overlap with the template's brain",
        "Dice",
        "low_template_overlap",
        (0.92, None),
        (0.85, None),
    ),  # 0.945-0.969; two OASIS-1 brains, cut by their box, 0.919 and 0.937
    Limit(
        "template_correlation", "Similarity to the template", "r", "low_template_correlation", (0.4, None), (0.25, None)
    ),  # 0.59-0.68; simulated to 0.70
    Limit("scale", "Size change to the template", "x", "impossible_scale", (0.75, 1.4), (0.6, 1.6)),  # 1.04-1.19; 0.96
    Limit("rotation_degrees", "Rotation from upright", "degrees", "orientation_doubtful", (None, 40.0)),  # 1-28
    Limit(
        "brain_volume_ml", "Brain volume", "mL", "unusual_brain_volume", (900.0, 2100.0), (700.0, 2600.0)
    ),  # 1164-1710; OASIS-1 brains enlarged to an atlas 2240-2390
    Limit(
        "mask_pieces_share", "Mask outside its largest piece", "share", "mask_in_pieces", (None, 0.01), (None, 0.05)
    ),  # 0
    Limit("mask_holes_share", "Holes in the mask", "share", "mask_with_holes", (None, 0.005), (None, 0.05)),  # 0
    Limit(
        "mask_roughness", "Mask surface, relative to the template", "x", "rough_mask", (None, 1.15), (None, 1.4)
    ),  # 0.95-1.00; 0.92
    Limit(
        "mask_border", "Mask pressed against the scan's edge", "x", "mask_at_border", (None, 0.02), (None, 1.5)
    ),  # 0; OASIS-1, cut above and below, 0.35 and 0.42
    Limit("coverage", "Brain in the field of view", "share", "brain_cut_off", (0.97, None), (0.8, None)),  # 1.00; 0.995
    Limit("coverage_top", "Upper half of it", "share", "top_cut_off", (0.95, None)),  # 1.00
    Limit("coverage_bottom", "Lower half of it", "share", "bottom_cut_off", (0.95, None)),  # 1.00; 0.989
    Limit(
        "gray_white_contrast", "Grey-white contrast", "SD", "not_t1_contrast", (0.5, None), (0.0, None)
    ),  # 1.04-1.45; 1.02-1.85
    Limit(
        "cjv", "Joint variation of grey and white (CJV)", "ratio", "uneven_tissue", (None, 3.0)
    ),  # 1.35-1.90; 1.08-1.95
    Limit(
        "snr", "Signal to noise in white matter", "ratio", "noisy", (10.0, None), (5.0, None)
    ),  # 36-55; 17-23 simulated
    Limit(
        "cnr", "Grey-white contrast to noise", "ratio", "low_contrast_to_noise", (2.5, None), (1.0, None)
    ),  # 6-12; 4.6
    Limit(
        "air_noise_percent", "Noise in air", "% of white matter", "noisy_air", (None, 12.0), (None, 30.0)
    ),  # Trio 1.4, simulated 2.6-6.0; IXI's air was set to 0
    Limit("gray_level", "Grey matter, median", "0-1", ""),  # 0.60-0.72; 0.47
    Limit("white_level", "White matter, median", "0-1", ""),  # 0.76-0.85
    Limit("fluid_level", "Ventricles, median", "0-1", ""),  # 0.13-0.51; 0.08
)

# What a person does about each reason; one sentence, shown on the QC page and explained in docs/reference/quality.md.
ADVICE = {
    "low_template_overlap": "Look at the outlines: a wrong brain mask or a wrong alignment.",
    "low_template_correlation": "Look at the alignment; other contrasts than T1 and large lesions lower it too.",
    "impossible_scale": "Check the voxel sizes in the header; the brain cannot have this size.",
    "orientation_doubtful": "The head lies far from the header's upright: check the orientation before you trust left and right.",
    "unusual_brain_volume": "Check the mask and the voxel sizes; brains enlarged to an atlas are large by right.",
    "mask_in_pieces": "Look at the mask: something that is no brain was kept.",
    "mask_with_holes": "Look at the mask: brain is missing inside; dark lesions can do this.",
    "rough_mask": "Look at the mask outline: noise, motion or dura make it ragged.",
    "mask_at_border": "The brain reaches the edge of the file: it may have been cropped; use the uncropped scan if there is one.",
    "brain_cut_off": "Part of the brain lies outside the field of view; what is missing cannot be learned from.",
    "top_cut_off": "The top of the brain is missing: use another acquisition if there is one.",
    "bottom_cut_off": "The lower brain is missing: temporal lobes and hippocampus may be affected.",
    "not_t1_contrast": "White matter is hardly brighter than grey: check that this is a T1-weighted scan before contrast agent.",
    "uneven_tissue": "Grey and white overlap widely: residual shading, motion or a faint contrast.",
    "noisy": "Strong noise: a single fast acquisition, or a damaged coil.",
    "low_contrast_to_noise": "Noise hides the border of grey and white matter.",
    "noisy_air": "Signal in the air: noise, or ghosts of motion; look at the scan itself.",
    "voxel_size_doubtful": "The header states two voxel sizes: find out which is right, every volume hangs on it.",
    "left_right_doubtful": "No image can prove the sides: confirm them with who acquired the scan.",
}


def limits_version() -> str:
    """Return eight hex digits that change with any name or threshold of `LIMITS`: by which rules a verdict was reached."""
    rules = [(limit.name, limit.reason, limit.usual, limit.usable) for limit in LIMITS]
    return hashlib.sha256(repr(rules).encode()).hexdigest()[:8]


def _within(value: float, bounds: Range) -> bool:
    low, high = bounds
    return (low is None or value >= low) and (high is None or value <= high)
