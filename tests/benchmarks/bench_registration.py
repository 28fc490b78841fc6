"""Known affines put on real scans, and how far the recovered maps miss them. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_registration.py [--cases 50] [--greedy 12] [--end-to-end 5] [--turned 3]

The reference is the library picsl-greedy (`pip install picsl-greedy`; left out where it is absent), affine with NCC, on the
same N4-corrected, stripped images. Truth is each method's own map of the scan as it was, composed with the known affine.
Each scan is resampled onto a new voxel grid (cubic), with bias field and noise; see `known_maps`. The error of a case is
the distance, in template mm, between where the recovered and the true map send the 8 corners of the moved brain's box:
the mean of the eight, and the worst. A failure is a worst corner beyond 5 mm.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import real_scans as scans
from known_maps import move
from numpy.typing import NDArray
from real_scans import Brain, clock, say

from adclip.imaging.steps.brain import DeepbetStripper
from adclip.imaging.steps.register import CONVINCING, align
from adclip.imaging.steps.rotations import quarter_turns
from adclip.imaging.steps.templates import read_template

FAILURE_MM = 5.0
# At 4, 2 and 1 mm. Ten more at 1 mm took 36 instead of 14 CPU seconds on two scans and moved corners by 0.4 to 1.2 mm.
GREEDY_ITERATIONS = "100x50x0"
Register = Callable[[Brain], NDArray[np.float64]]


def ours(brain: Brain) -> NDArray[np.float64]:
    """Scan mm to MNI mm by adclip."""
    return np.asarray(align(brain.array, brain.affine, brain.mask).scan_to_mni)


def make_greedy(threads: int = 1) -> Register | None:
    """Return the same by picsl-greedy, or None where it is not installed."""
    try:
        from picsl_greedy import Greedy3D
    except ImportError:
        return None
    fixed = to_sitk(*read_template())

    def register(brain: Brain) -> NDArray[np.float64]:
        greedy = Greedy3D()
        stripped = np.where(brain.mask, brain.array, 0)
        with quiet():
            greedy.execute(
                f"-d 3 -a -dof 12 -ia-image-centers -m NCC 2x2x2 -n {GREEDY_ITERATIONS} -i fixed moving -o found "
                f"-threads {threads}", fixed=fixed, moving=to_sitk(stripped, brain.affine), found=None,
            )  # fmt: skip
        return np.linalg.inv(greedy["found"])  # greedy maps the fixed image's RAS mm to the moving one's

    return register


def to_sitk(array: NDArray[np.float32], affine: NDArray[np.float64]) -> object:
    """Return a SimpleITK image; ITK's x and y axes point the other way."""
    import SimpleITK as sitk  # noqa: N813

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T.astype(np.float32)))
    image.SetSpacing([float(size) for size in sizes])
    image.SetDirection([float(value) for value in (lps[:3, :3] / sizes).ravel()])
    image.SetOrigin([float(value) for value in lps[:3, 3]])
    return image


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what compiled code writes to stdout elsewhere."""
    sys.stdout.flush()
    kept = os.dup(1)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def errors_mm(found: NDArray[np.float64], true: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray:
    """Distances (8,) in template mm; corners in the mm that both maps start from."""
    return np.linalg.norm(((found - true) @ corners)[:3], axis=0)


def main() -> None:
    """Print one line for each case, then the summaries."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=50)
    parser.add_argument("--end-to-end", type=int, default=5, help="cases whose moved heads are stripped again")
    parser.add_argument("--turned", type=int, default=3, help="scans to try with each of the 23 wrong headers")
    parser.add_argument("--greedy", type=int, default=12, help="cases to give to the reference too, evenly spread")
    options = parser.parse_args()
    stripper = DeepbetStripper("cpu")
    paths = [*scans.trio(), *scans.oasis()]
    paths += scans.spread(scans.ixi(), options.cases - len(paths))
    heads = {path: scans.read_head(path, stripper) for path in paths}
    methods: dict[str, Register] = {"adclip": ours}
    greedy = make_greedy() if options.greedy else None
    if greedy is None:
        say("picsl-greedy: left out")
    else:
        methods["picsl-greedy"] = greedy
    known_maps(heads, methods, options.greedy)
    end_to_end(heads, stripper, options.end_to_end)
    headers(heads, options.turned)
    if greedy is not None:
        threads(heads[paths[0]])


def known_maps(heads: dict, methods: dict[str, Register], shared: int) -> None:
    """The cases, on stripped brains."""
    rng = np.random.default_rng(20_261_123)
    ours(next(iter(heads.values())).cropped())  # the template is prepared once in a process
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in methods}
    apart: list[float] = []
    both = scans.spread(list(heads), shared)
    for path, head in heads.items():
        moved = move(head, rng)
        before, after = head.cropped().corrected(), moved.brain.cropped().corrected()
        corners, line, bases = after.corners_mm(), path.name.split(".")[0], []
        for name, method in methods.items():
            if name != "adclip" and path not in both:
                continue
            bases.append(base := method(before))
            with clock() as taken:
                found = method(after)
            missed = errors_mm(found, base @ np.linalg.inv(moved.old_to_new), corners)
            results[name].append((float(missed.mean()), float(missed.max()), taken.cpu))
            if path in both and name == "adclip":
                results.setdefault("adclip, the reference's cases", []).append(results[name][-1])
            line += f" | {name} mean {missed.mean():.2f} worst {missed.max():.2f} mm {taken.cpu:.2f} s"
        if len(bases) == 2:
            apart.append(float(errors_mm(bases[0], bases[1], before.corners_mm()).mean()))
        say(line)
    rows = []
    for name, values in results.items():
        mean, worst, cpu = np.array(values).T
        rows.append(
            [name, len(mean), f"{np.median(mean):.2f}", f"{np.percentile(mean, 95):.2f}", f"{mean.max():.2f}",
             f"{np.median(worst):.2f}", f"{worst.max():.2f}", int((worst > FAILURE_MM).sum()), f"{np.median(cpu):.2f}"]
        )  # fmt: skip
    say()
    header = ["", "cases", "median mm", "95th percentile", "max", "median of worst corner", "max of worst corner",
              f"failures (> {FAILURE_MM:g} mm)", "median CPU s"]  # fmt: skip
    say(scans.markdown(header, rows))
    if apart:
        say(f"\nthe two methods' maps of the scans as they were lie apart: median {np.median(apart):.2f} mm, "
            f"max {max(apart):.2f} mm (mean of 8 corners)")  # fmt: skip


def end_to_end(heads: dict, stripper: DeepbetStripper, count: int) -> None:
    """A few moved heads with brain extraction of their own."""
    rng = np.random.default_rng(1)
    whole = [path for path in heads if path not in scans.oasis()]
    missed = []
    for path in scans.spread(whole, count):
        head = heads[path]
        moved = move(head, rng, keep_head=True)
        from adclip.domain import SourceGrid, Volume

        grid = SourceGrid(moved.brain.array.shape, moved.brain.affine)
        mask = stripper(Volume(moved.brain.array, moved.brain.affine, grid))
        after = Brain(moved.brain.array, moved.brain.affine, mask).cropped().corrected()
        true = ours(head.cropped().corrected()) @ np.linalg.inv(moved.old_to_new)
        missed.append(errors_mm(ours(after), true, after.corners_mm()))
        dice = 2 * (mask & moved.brain.mask).sum() / (mask.sum() + moved.brain.mask.sum())
        say(f"end to end {path.name}: mean {missed[-1].mean():.2f} worst {missed[-1].max():.2f} mm, "
            f"mask against the moved mask: Dice {dice:.3f}")  # fmt: skip
    if missed:
        say(f"end to end, {len(missed)} heads: median {np.median([one.mean() for one in missed]):.2f} mm, "
            f"worst corner {max(one.max() for one in missed):.2f} mm")  # fmt: skip


def headers(heads: dict, count: int) -> None:
    """Right headers on all scans, and each of the 23 wrong ones on a few."""
    correlations = {}
    for path in [*scans.ixi(), *scans.oasis(), *scans.trio()]:
        head = heads[path] if path in heads else scans.read_head(path, DeepbetStripper("cpu"))
        brain = head.cropped().corrected()
        found = align(brain.array, brain.affine, brain.mask)
        correlations[path.name] = found.correlation
        if found.rotated:
            say(f"ROTATED although the header is right: {path.name}")
    values = np.array(list(correlations.values()))
    say(f"\nright headers, {len(values)} scans: coarse correlation {values.min():.3f} to {values.max():.3f}, "
        f"below {CONVINCING}: {int((values < CONVINCING).sum())}")  # fmt: skip
    for path in [*scans.oasis(), *[path for path in heads if path in scans.ixi()]][: count + 2]:
        brain = heads[path].cropped().corrected()
        right, corners = ours(brain), brain.corners_mm()
        missed, flagged, seconds = [], 0, []
        for turn in quarter_turns()[1:]:
            wrong = np.eye(4)
            wrong[:3, :3] = turn
            with clock() as taken:
                found = align(brain.array, wrong @ brain.affine, brain.mask)
            flagged += found.rotated
            seconds.append(taken.cpu)
            missed.append(errors_mm(found.scan_to_mni @ wrong, right, corners).max())
        say(f"wrong headers on {path.name}: {sum(one < 1 for one in missed)} of 23 recovered, {flagged} reported, "
            f"worst corner {max(missed):.4f} mm, CPU {np.median(seconds):.1f} s")  # fmt: skip


def threads(head: Brain) -> None:
    """Whether the reference's map depends on threads, and on being asked again."""
    brain = head.cropped().corrected()
    corners = brain.corners_mm()
    maps = [register(brain) for register in (make_greedy(1), make_greedy(1), make_greedy(2)) if register]
    own = [ours(brain), ours(brain)]
    say(f"\nagain: adclip {errors_mm(own[0], own[1], corners).max():.1e} mm, "
        f"picsl-greedy {errors_mm(maps[0], maps[1], corners).max():.1e} mm; "
        f"one and two threads: picsl-greedy {errors_mm(maps[0], maps[2], corners).max():.1e} mm (adclip has one)")  # fmt: skip


if __name__ == "__main__":
    main()
