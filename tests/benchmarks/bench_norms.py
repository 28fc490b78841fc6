"""Do the norms fit DLMUSE's volumes of real healthy people, and how do left and right go together? Run by hand:

    python tests/benchmarks/bench_norms.py

Needs the IXI scans with DLMUSE labels under ADCLIP_TEST_DATA (default ../shared/data). Prints the constants that
`adclip/clinical/norms/norms.py` (`_BRIDGE`) and `adclip/clinical/norms/normative_score.py` (correlations) hold, for people of 40 and more.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import stats

from adclip.clinical.norms.norm_tables import PPM, z_with_tails
from adclip.clinical.norms.normative_score import (
    AS_MEASURED,
    DIRECTION,
    ICV,
    SHARE,
    NormScore,
    medial_temporal_score,
    sides_of,
)
from adclip.clinical.norms.norms import DLMUSE, find_curve

ROOT = Path(__file__).parents[2]
# MUSE codes (../shared/data/tables/muse_dict.csv)
CODES = {
    "hippocampus_left_mm3": 48, "hippocampus_right_mm3": 47, "amygdala_left_mm3": 32, "amygdala_right_mm3": 31,
    "inferior_lateral_ventricle_left_mm3": 50, "inferior_lateral_ventricle_right_mm3": 49,
}  # fmt: skip
SMALLEST = 4.0  # mm3, half a voxel of these scans: a horn of no voxel at all has no logarithm
SCORED = tuple(name for structure in DIRECTION for name in sides_of(structure))
BRIDGED = "adclip segmenter calibrated"  # on DLMUSE's scale in these people, as DLMUSE's own volumes are


def main() -> None:
    """Measure everybody, and print."""
    people = read_people(Path(os.environ.get("ADCLIP_TEST_DATA", ROOT.parent / "shared" / "data")) / "ixi_2mm")
    women = sum(sex == "F" for _, sex, _ in people)
    say(f"{len(people)} people of {min(p[0] for p in people):.0f}-{max(p[0] for p in people):.0f} years, {women} women")
    for basis in (SHARE, AS_MEASURED):
        say(f"\n{basis}")
        z = {side: np.array([rank(side, person, basis) for person in people]) for side in SCORED}
        for side in SCORED:
            logs = np.log([ratio(side, person, basis) for person in people])
            error = logs.std(ddof=1) / np.sqrt(len(logs))
            say(
                f"  {side}: z {z[side].mean():+.2f} (SD {z[side].std(ddof=1):.2f}), "
                f"volume over the norms' median {np.exp(logs.mean()):.3f} (SE {error:.3f})"
            )
        for structure in DIRECTION:
            left, right = (z[side] for side in sides_of(structure))
            say(f"  left with right, {structure}: {correlation(left, right)}")
        both = {structure: sum(z[side] for side in sides_of(structure)) for structure in DIRECTION}
        for one, other in (
            ("hippocampus", "amygdala"),
            ("hippocampus", "inferior_lateral_ventricle"),
            ("amygdala", "inferior_lateral_ventricle"),
        ):
            say(f"  {one} with {other}: {correlation(both[one], both[other])}")
        scores = [medial_temporal_score(volumes, age, sex, BRIDGED, None, basis) for age, sex, volumes in people]
        values = np.array([score.value for score in scores if isinstance(score, NormScore)])
        ages = np.array([age for age, _, _ in people])
        say(
            f"  medial temporal norm score: mean {values.mean():+.2f}, SD {values.std(ddof=1):.2f}, "
            f"beyond 1.645 {np.mean(values > 1.645):.2f}, with age {correlation(values, ages)}"
        )


def read_people(folder: Path) -> list[tuple[float, str, dict[str, float]]]:
    """Return age, sex and DLMUSE's volumes (mm3) of the people of 40 years and more."""
    found = []
    with (folder / "participants.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            if float(row["Age"]) < 40:
                continue
            image = nib.load(folder / f"{row['MRID']}_T1_DLMUSE.nii.gz")
            counts = np.bincount(np.asarray(image.dataobj).round().astype(int).ravel(), minlength=208)
            voxel = abs(float(np.linalg.det(image.affine[:3, :3])))
            volumes = {side: float(counts[code]) * voxel for side, code in CODES.items()}
            volumes[ICV] = float(counts[1:].sum()) * voxel
            found.append((float(row["Age"]), row["Sex"], volumes))
    return found


def curve_of(side: str, person: tuple[float, str, dict[str, float]], basis: str) -> tuple[list[float], float]:
    """Return the norm's centiles for a person, and the person's value in their unit."""
    age, sex, volumes = person
    curve = find_curve(side, age, sex, DLMUSE, share=basis == SHARE)
    assert isinstance(curve, list)
    value = max(volumes[side], SMALLEST)
    return curve, value * PPM / volumes[ICV] if basis == SHARE else value


def rank(side: str, person: tuple[float, str, dict[str, float]], basis: str) -> float:
    """Return the z of a side."""
    curve, value = curve_of(side, person, basis)
    return z_with_tails(curve, value, skewed="ventricle" in side)


def ratio(side: str, person: tuple[float, str, dict[str, float]], basis: str) -> float:
    """Return a side's volume over the median of its norm."""
    curve, value = curve_of(side, person, basis)
    return value / curve[2]


def correlation(one: np.ndarray, other: np.ndarray) -> str:
    """Return Pearson's r with its 95 % interval."""
    found = stats.pearsonr(one, other)
    low, high = found.confidence_interval()
    return f"r {found.statistic:.2f} ({low:.2f} to {high:.2f})"


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
