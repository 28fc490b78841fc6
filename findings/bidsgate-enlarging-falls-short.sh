#!/usr/bin/env bash
# bidsgate 0.3.0 enlarges a region by less than it is asked for.
#
# `AtrophySpec(volume_factor=...)` promises that the target's volume changes by exactly the factor inside the uniform zone. That holds
# for shrinking. For factors above 1 the border moves out of the zone, into the falloff, where the map is already on its way back to the
# identity: a ball of 16 mm radius and a bent tube grow by less than asked. Shrinking is met, or exceeded a little. Seen on 2026-11-28, volume above half the contrast in the written image, ball and bent tube, asked for 1.50:
#   ball 1.40, tube 1.35; asked for 0.70: ball 0.70, tube 0.65
# Cure: measure what was injected on the written image, or carry the label map along by the same displacement; do not use the factor.
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

shape, affine = (96, 96, 64), np.eye(4)
x, y, z = np.indices(shape).astype(float)
ball = (x - 48) ** 2 + (y - 48) ** 2 + (z - 32) ** 2 < 16**2
radius = np.hypot(x - 48, y - 30)
tube = ((radius - 32) ** 2 + (z - 32) ** 2 < 6**2) & (y > 30)  # a half ring, as a ventricle is bent
nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), affine), "brain.nii.gz")
found = {}
for name, region in (("ball", ball), ("tube", tube)):
    nib.save(nib.Nifti1Image(np.where(region, 900, 100).astype(np.float32), affine), "t1.nii.gz")
    nib.save(nib.Nifti1Image(region.astype(np.uint8), affine), "region.nii.gz")
    for factor in (1.5, 0.7):
        inject(Path("t1.nii.gz"), None, Path("out.nii.gz"), None, Path("truth.json"), AtrophySpec(volume_factor=factor),
               Path("brain.nii.gz"), Path("region.nii.gz"))
        found[name, factor] = float((np.asarray(nib.load("out.nii.gz").dataobj) > 500).sum() / region.sum())
print("asked for 1.50: ball {:.2f}, tube {:.2f}; asked for 0.70: ball {:.2f}, tube {:.2f}".format(
    found["ball", 1.5], found["tube", 1.5], found["ball", 0.7], found["tube", 0.7]))
assert found["ball", 1.5] < 1.45 and found["tube", 1.5] < 1.40, "the behaviour has changed"
assert all(abs(found[name, 0.7] - 0.7) < 0.06 for name in ("ball", "tube")), "the behaviour has changed"
PY
