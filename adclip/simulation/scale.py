"""From label maps to the scale of the tables: two programs draw the borders of one structure differently.

Heads are made of label maps and of an atlas that follow FreeSurfer's borders. The volumes that people are drawn from
(`population.DRIVERS`, `ageing`) are MUSE's, and MUSE draws most structures tighter. A head whose labels were given the MUSE volume
itself would have a hippocampus too small to look at. So a structure's label volume is the MUSE volume over the ratio below, and what tables say of it is its label volume times the ratio.
"""

from __future__ import annotations

# MUSE volume over label volume of the same structure of the same person; 1 where no other ratio is known. The medial temporal
# networks learned the borders of such label maps and tell their volumes on unseen maps within 5 %; compared with DLMUSE on 59 real
# heads they gave the rounded factors here (`calibration` in assets/segmenter/accuracy.json). The whole-brain network's own errors
# are as large as its factors, so those say nothing of labels. DLMUSE's amygdala lies 12 % under the median of the norms in these people (`clinical.norms`), and people are drawn from the norms: hence
# 0.55 / 0.88.
MUSE_PER_LABEL: dict[str, float] = {
    "hippocampus": 0.93,
    "amygdala": 0.63,
    "inferior_lateral_ventricle": 0.75,
    "ventricles": 1.0,
    "whole_brain": 1.0,
    "icv": 1.0,
}

# Share of the intracranial volume that fluid outside the ventricles fills at 75 years in label maps of whole heads: they give every
# voxel up to the skull to some tissue. Sixteen maps of SynthSeg hold 0.17 to 0.38, the young ones about 0.19, which the ageing of
# `ageing.LOG_SHARE` puts at 0.26. What MUSE's brain and ventricles leave of the ICV is half of it, as is the template's; pressed
# into that, white matter would fill the sulci of an old head.
SULCI_OF_WHOLE_HEADS = 0.26


def family_of(name: str) -> str:
    """Return the structure that a driver or a region of one side belongs to: `hippocampus` for `hippocampus_left`."""
    return name.removesuffix("_left").removesuffix("_right")


def muse_per_label(name: str) -> float:
    """Return the ratio of a structure, whichever side."""
    return MUSE_PER_LABEL.get(family_of(name), 1.0)


def to_label_icv(icv_mm3: float) -> float:
    """Return the intracranial volume that a head's labels must have for tables to say `icv_mm3`."""
    return icv_mm3 / MUSE_PER_LABEL["icv"]
