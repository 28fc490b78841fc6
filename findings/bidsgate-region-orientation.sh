#!/usr/bin/env bash
# bidsgate 0.3.0 shrinks the wrong side when a region image is stored in another orientation than the scan.
#
# `inject(..., region_path=...)` compares the shapes of scan and region image and not their affines. A label image of the same head
# that is stored mirrored along its first axis, with the affine that says so, has the same shape on a symmetric grid: its voxels are
# then taken as if they lay on the scan's, and the structure on the other side of the head is shrunk. No error, no warning; the truth
# file names the label that was asked for. Seen on 2026-11-28:
#   asked for the left ball: left 1.00, right 0.47 of their size before
# Cure: bring label images onto the scan's own axes first (nibabel.as_closest_canonical on both).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet bidsgate==0.3.0 numpy==2.4.6 scipy==1.17.1 nibabel==5.4.2 pandas==3.1.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
from pathlib import Path

import nibabel as nib
import numpy as np
from bidsgate.inject_atrophy import AtrophySpec, inject

shape = (64, 48, 48)
x, y, z = np.indices(shape)
affine = np.diag([2.0, 2.0, 2.0, 1.0])
affine[:3, 3] = -63, -47, -47  # x grows to the right; symmetric about x = 0
left = (x - 16) ** 2 + (y - 24) ** 2 + (z - 24) ** 2 < 8**2
right = (x - 47) ** 2 + (y - 24) ** 2 + (z - 24) ** 2 < 8**2
head = np.where(left | right, 900, 100).astype(np.float32)
nib.save(nib.Nifti1Image(head, affine), "t1.nii.gz")

labels = np.where(left, 48, np.where(right, 47, 0)).astype(np.int16)
mirrored = affine.copy()
mirrored[0, 0], mirrored[0, 3] = -2.0, 63.0  # the same places in millimetres, stored from right to left
nib.save(nib.Nifti1Image(labels[::-1].copy(), mirrored), "labels.nii.gz")
stored = nib.load("labels.nii.gz")
at = np.argwhere(np.asarray(stored.dataobj) == 48).mean(axis=0)
assert nib.affines.apply_affine(stored.affine, at)[0] < 0, "label 48 lies on the left in millimetres"

spec = AtrophySpec(volume_factor=0.5, region_label=48)
brain = nib.Nifti1Image(np.ones(shape, np.uint8), affine)
nib.save(brain, "brain.nii.gz")
inject(Path("t1.nii.gz"), None, Path("out.nii.gz"), None, Path("truth.json"), spec, Path("brain.nii.gz"), Path("labels.nii.gz"))
after = np.asarray(nib.load("out.nii.gz").dataobj)
half = shape[0] // 2
kept_left = (after[:half] > 500).sum() / left.sum()
kept_right = (after[half:] > 500).sum() / right.sum()
print(f"asked for the left ball: left {kept_left:.2f}, right {kept_right:.2f} of their size before")
assert kept_left > 0.97 and kept_right < 0.6, "the behaviour has changed"
PY
