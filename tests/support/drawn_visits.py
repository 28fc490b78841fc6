"""Visits as hypothesis draws them, for what must hold of every report."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from adclip.config import REPORT_STYLES
from adclip.domain import Diagnosis, Visit

RANGES = {
    "age_years": (18, 100), "education_years": (0, 30), "icv_mm3": (8e5, 2.2e6), "hippocampus_mm3": (2e3, 1.1e4),
    "hippocampus_left_mm3": (1e3, 6e3), "hippocampus_right_mm3": (1e3, 6e3), "ventricles_mm3": (4e3, 2e5),
    "whole_brain_mm3": (6e5, 1.6e6), "entorhinal_mm3": (1e3, 7e3), "fusiform_mm3": (7e3, 3e4),
    "middle_temporal_mm3": (7e3, 3e4),
}  # fmt: skip


def draw_visit(draw: random.Random) -> Visit:
    """Return a visit with more digits than any report prints, and gaps."""
    known = {name: draw.uniform(low, high) for name, (low, high) in RANGES.items() if draw.random() < 0.8}
    return Visit(
        subject_id="S-731", session_id="m48", visit_date="2012-05-31", scan="AD/scan.nii", mmse=11.0, cdr_global=2.0,
        diagnosis=draw.choice([None, *Diagnosis]), sex=draw.choice([None, "F", "M"]),
        apoe4_count=draw.choice([None, 0, 1, 2]), volumes_source=draw.choice([None, "DLMUSE", "FreeSurfer"]), **known,
    )  # fmt: skip


visits = st.randoms(use_true_random=False).map(draw_visit)
styles = st.sampled_from(REPORT_STYLES)
sentences = st.sampled_from(["clinical", "knowledge"])
phrasings = st.integers(0, 2**31)
