"""What is recognised as what: real T1 scans, painted heads of four contrasts, real scans turned over, phantoms. By hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_modality.py [PEOPLE] > table.md

Every image is written to a file and takes the whole road of `adclip preprocess`, which may also refuse it before
recognition. PEOPLE (default 3) is the number of simulated people and of real scans.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from real_scans import ixi, markdown, say, spread, trio
from scipy import ndimage

from adclip.config import SMALL
from adclip.domain import ScanItem
from adclip.errors import ScanError
from adclip.imaging.prepare import prepare_scan
from adclip.imaging.sources.files import read_volume
from adclip.imaging.steps.brain import DeepbetStripper, SkullStripper
from adclip.simulation.acquisition import draw_scanners
from adclip.simulation.brains import grow_brain
from adclip.simulation.heads import simulate_head, source_spacing_mm
from adclip.simulation.paint import LOOKS, Style
from adclip.simulation.population import draw_person
from adclip.simulation.tissues import to_levels

Array = NDArray[np.floating]
SPACING_MM = 1.5
BASE = Style(to_levels(0.65, 0.2), bias=0.08, noise=0.03, blur_mm=0.8)
STYLES = {
    "simulated T1": BASE,
    "simulated T1, faint and noisy": replace(BASE, levels=to_levels(0.82, 0.45), noise=0.06),
    "simulated T2": replace(BASE, levels=to_levels(0.8, 1.6, 0.55)),
    "simulated FLAIR": replace(BASE, levels=to_levels(0.85, 0.12, 0.65)),
    "simulated PD": replace(BASE, levels=to_levels(1.0, 0.9, 0.8)),
}


def painted(people: int) -> Iterator[tuple[str, Array, Array]]:
    """Raw heads of one anatomy in several contrasts."""
    for number in range(people):
        for name, style in STYLES.items():
            rng = np.random.default_rng([9, number])
            person = draw_person(f"x{number}", rng)
            brain = grow_brain(person, None, source_spacing_mm(SPACING_MM), rng)
            (scanner,) = draw_scanners(number, 1, LOOKS["mild"])
            head = simulate_head(person, brain, style, scanner, SPACING_MM, rng)
            yield name, head.array.astype(np.float32), head.affine


def real(people: int, stripper: SkullStripper) -> Iterator[tuple[str, Array, Array]]:
    """Real T1 scans as they are, spoiled, turned over inside the brain, and painted like a CT without negative values."""
    for path in [*spread(ixi(), max(people - 1, 1)), *trio()]:
        volume = read_volume(path)
        array, affine, mask = volume.array, volume.affine, stripper(volume)
        high, rng = float(np.percentile(array[mask], 99.8)), np.random.default_rng(0)
        yield "real T1", array, affine
        top = int(np.flatnonzero(mask.any(axis=(0, 1)))[-1] - 35 / affine[2, 2])
        yield "real T1, top 35 mm cut off", array[:, :, :top], affine
        real_part, imaginary = (0.15 * high * rng.standard_normal(array.shape) for _ in range(2))
        yield "real T1, heavy noise", np.hypot(array + real_part, imaginary), affine
        yield "real T1, brain turned over", np.where(mask, np.clip(1.15 * high - array, 0, None), array), affine
        depth = ndimage.distance_transform_edt(~mask, sampling=np.diag(affine)[:3])
        scan = np.where(array > 0.08 * high, 600.0, 0.0)
        scan[mask], scan[(depth > 3) & (depth < 9)] = 640.0, 2200.0
        yield "CT-like head", np.maximum(scan + 15 * rng.standard_normal(array.shape), 0), affine


def phantoms() -> Iterator[tuple[str, Array, Array]]:
    """Balls, a bottle with rods, a thigh and an abdomen."""
    shape, rng = (100, 120, 110), np.random.default_rng(3)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -np.array(shape)
    place = np.stack(np.meshgrid(*(2.0 * (np.arange(n) - n / 2) for n in shape), indexing="ij"))

    def expose(image: Array) -> Array:
        return np.hypot(image + 28 * rng.standard_normal(shape), 28 * rng.standard_normal(shape))

    def ball(center: tuple[int, int, int], radius: float) -> NDArray[np.bool_]:
        return np.linalg.norm(place - np.array(center)[:, None, None, None], axis=0) < radius

    around = np.hypot(place[0], place[1])
    yield "phantom", expose(1000.0 * ball((0, 0, 0), 80)), affine
    yield "phantom", np.where(ball((0, 0, 0), 75), 1000 + 30 * rng.standard_normal(shape), 0), affine
    bottle = 1000.0 * ((around < 85) & (np.abs(place[2]) < 80))
    for turn in range(6):
        bottle[np.hypot(place[0] - 50 * np.cos(turn), place[1] - 50 * np.sin(turn)) < 12] = 300
    yield "phantom", expose(bottle), affine
    thigh = np.select([around < 9, around < 16, around <= 60, around < 75], [850.0, 60.0, 450.0, 900.0], 0.0)
    yield "other body part", expose(thigh), affine
    trunk = ((place / np.array([95, 110, 200])[:, None, None, None]) ** 2).sum(axis=0)
    abdomen = np.select([trunk < 0.75, trunk < 1], [450.0, 900.0], 0.0)
    for center, radius, level in (((-40, 10, 20), 45, 650), ((45, 20, -10), 30, 700), ((0, -60, 0), 22, 300)):
        abdomen[ball(center, radius)] = level
    yield "other body part", expose(abdomen), affine


def main() -> None:
    """Print what each kind was taken for."""
    people = int([*sys.argv, "3"][1])
    stripper = DeepbetStripper("cpu")
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    images = (image for part in (real(people, stripper), painted(people), phantoms()) for image in part)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii"
        for kind, array, affine in images:
            nib.save(nib.Nifti1Image(np.asarray(array, dtype=np.float32), affine), path)
            began = time.process_time()
            try:
                prepared = prepare_scan(ScanItem(path, "x"), SMALL.contract, stripper, any_modality=True)
                answer = f"{prepared.qc.modality}, {prepared.qc.verdict}"
            except ScanError as error:
                answer = "refused: " + error.problem.removeprefix(f"{path}: ")
            seen[kind][answer] += 1
            sys.stderr.write(f"{kind}: {answer} ({time.process_time() - began:.1f} s)\n")
    rows = [(kind, answer, count) for kind, answers in seen.items() for answer, count in answers.most_common()]
    say(markdown(("image", "taken for, verdict", "count"), rows))


if __name__ == "__main__":
    main()
