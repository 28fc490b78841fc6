"""One real head with margins, on oblique grids and tilted, through preprocessing and the builtin model. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_views.py [--heads 1] [--only WORD]

Printed for each variant: the mask's volume against the plain scan's, the largest difference of a probability, the correlation of
each look, and CPU seconds. Asked for: volume within 2 %, probabilities within 0.02.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import real_scans as scans
from real_scans import clock, say
from scipy import ndimage

from adclip.errors import ScanError
from adclip.imaging.steps.rotations import about
from adclip.prediction.inputs import to_item
from adclip.prediction.predictor import Predictor

NOISE = 0.02  # of the brightest tissue: SD of each channel of the painted air


@dataclass(frozen=True)
class Head:
    """Voxels (X, Y, Z) and their affine (4, 4)."""

    array: np.ndarray
    affine: np.ndarray

    def padded(self, margin_mm: float, noise: bool = False) -> Head:
        """Put a margin round it, of zeros or of Rayleigh noise."""
        count = np.round(margin_mm / self.sizes).astype(int)
        array = np.pad(self.array, [(n, n) for n in count])
        if noise:
            rng, sd = np.random.default_rng(0), NOISE * float(np.percentile(self.array, 99))
            array = np.hypot(array + sd * rng.standard_normal(array.shape), sd * rng.standard_normal(array.shape))
        affine = self.affine.copy()
        affine[:3, 3] -= affine[:3, :3] @ count
        return Head(array.astype(np.float32), affine)

    def oblique(self, rotation: np.ndarray) -> Head:
        """Acquire it on a grid whose axes are turned against the body, in a box that holds all of it.

        By cubic splines: linear ones blur a head of 2 mm so much that its probabilities move by 0.01 to 0.03 under the plain
        scan's own mask.
        """
        shape = np.ceil(np.abs(rotation.T) @ (np.array(self.array.shape) * self.sizes) / self.sizes).astype(int)
        grid = np.eye(4)
        grid[:3, :3] = rotation * self.sizes
        middle = self.affine @ [*((np.array(self.array.shape) - 1) / 2), 1]
        grid[:3, 3] = middle[:3] - grid[:3, :3] @ ((shape - 1) / 2)
        matrix = np.linalg.inv(self.affine) @ grid
        values = ndimage.affine_transform(self.array, matrix[:3, :3], matrix[:3, 3], output_shape=tuple(shape), order=3)
        return Head(np.maximum(values, 0).astype(np.float32), grid)

    def tilted(self, rotation: np.ndarray) -> Head:
        """Let the header claim that the oblique grid lies along the body: then it is the head that is turned."""
        other = self.oblique(rotation)
        affine = np.diag([*self.sizes, 1.0])
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(other.array.shape) - 1) / 2)
        return Head(other.array, affine)

    @property
    def sizes(self) -> np.ndarray:
        """Voxel size in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def variants(head: Head) -> Iterator[tuple[str, Head]]:
    """Yield names and heads; the plain one first."""
    yield "plain", head
    for degrees in (-45, 45, -30, 30):
        yield f"tilted {degrees} about x", head.tilted(about(0, degrees))
    yield "oblique 48 about x, 30 about y", head.oblique(about(0, 48) @ about(1, 30))
    yield "oblique 30 about x", head.oblique(about(0, 30))
    yield "tilted 30 about x, 30 about z", head.tilted(about(0, 30) @ about(2, 30))
    for margin in (60, 80):
        yield f"{margin} mm of zeros", head.padded(margin)
        yield f"{margin} mm of noise", head.padded(margin, noise=True)
    for axis, name in ((1, "y"), (2, "z")):
        yield f"tilted 45 about {name}", head.tilted(about(axis, 45))
        yield f"oblique 48 about {name}", head.oblique(about(axis, 48))


def main() -> None:
    """Print one line for each variant of each head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--trio", action="store_true", help="the head of 1 mm instead of those of 2 mm")
    parser.add_argument("--only", default="", help="variants whose name holds this word, after the plain one")
    options = parser.parse_args()
    predictor = Predictor.from_checkpoint("builtin", "cpu", volumes=False)
    with tempfile.TemporaryDirectory() as folder:
        heads = scans.spread(scans.ixi(), options.heads + 2)[1:-1]
        for path in scans.trio() if options.trio else heads:
            image = nib.as_closest_canonical(nib.load(path))
            plain: tuple[float, dict[str, float]] | None = None
            say(path.name)
            for name, head in variants(Head(np.asarray(image.dataobj, dtype=np.float32), image.affine)):
                if plain is not None and options.only not in name:
                    continue
                file = Path(folder) / "scan.nii"
                nib.save(nib.Nifti1Image(head.array, head.affine), file)
                with clock() as taken:
                    try:
                        prepared = predictor.prepare(to_item(file))
                    except ScanError as error:
                        say(f"  {name}: refused, {error.problem}")
                        continue
                    evidence = predictor.evidence(prepared, None)
                    answer = predictor.to_prediction(
                        to_item(file), prepared, evidence, predictor.answer(prepared, evidence)
                    )
                found = float(prepared.qc.numbers["brain_volume_ml"] or 0), dict(answer.probabilities or {})
                plain = plain or found
                looks = [step.parameters["correlation"] for step in prepared.steps if step.name == "register"]
                most = max(abs(found[1][label] - plain[1][label]) for label in found[1])
                say(f"  {name}: {found[0]:.0f} mL, x {found[0] / plain[0]:.4f}, probabilities {most:.4f}, looks {looks}, "
                    f"{prepared.qc.verdict}, {taken.cpu:.0f} CPU s")  # fmt: skip


if __name__ == "__main__":
    main()
