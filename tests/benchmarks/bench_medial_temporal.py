"""The medial temporal lobe as `adclip preprocess --volumes` measures it, against DLMUSE on 59 real, healthy heads. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_medial_temporal.py [--label after] [--beside before]

Everything asked of hippocampus, amygdala, temporal horn and ventricles, one row a figure. Volumes are calibrated by one
factor a structure, the same for both sides, each head by the other 58; r does not depend on it, bias and differences do.
DLMUSE is a program too, and gave the right hippocampus 10 % more than the left on these people: one factor leaves
that difference between the sides. One scan where DLMUSE mixed up the sides is left out of all rows of single sides.

The mirrored head: the map to MNI is mirrored, so that the networks see the head's mirror image, and left and right must
change places to the last digits. `--mirrored N` heads are also mirrored as files and go the whole road, where brain
extraction and registration are not symmetric. Seconds are CPU seconds on one core, for `--timed N` heads.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from bench_volumes import NAMES, Row, _agreement, _calibrate, _sides_mixed_up, references
from numpy.typing import NDArray
from prepared_heads import Head, get_ready, people, ready_ixi, spread_over_age, stem
from readings import Table, build, common_options, correlation, median, rank_correlation, remembered, segmenter_key
from real_scans import clock, ixi, say
from structure_maps import raw_volumes, structure_maps, truth_of

from adclip.imaging.volumes.measure import FIELDS

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
SHOWN = [name for name in FIELDS if name not in ("whole_brain_mm3", "icv_mm3")]


def main() -> None:
    parser = common_options(__doc__)
    parser.add_argument("--heads", type=int, default=59)
    parser.add_argument("--timed", type=int, default=10)
    parser.add_argument("--mirrored", type=int, default=6)
    options = parser.parse_args()
    title = build()
    say(title)
    table = Table("medial_temporal", options, title)
    paths = spread_over_age(options.heads) if options.heads < len(ixi()) else ixi()
    heads = [ready_ixi(path, options.cache) for path in paths]
    rows = [row_of(head, options.cache) for head in heads]
    factors = _calibrate(rows)
    table.add("heads", str(len(rows)))
    for name in SHOWN:
        add_structure(table, rows, name, factors[name])
    add_overlap(table, rows)
    add_errors(table, rows)
    add_mirror(table, heads, options.cache)
    add_mirrored_files(
        table, paths[:: max(1, len(paths) // max(1, options.mirrored))][: options.mirrored], options.cache
    )
    add_seconds(table, heads[: options.timed])
    table.close()


def row_of(head: Head, cache: Path) -> Row:
    """Volumes before calibration, what DLMUSE says, and Dice; kept between runs."""

    def measure() -> dict[str, Any]:
        overlaps = {name: one.overlap(head, truth_of(head, name)) for name, one in structure_maps(head).items()}
        return {"found": raw_volumes(head), "dice": overlaps}

    kept = remembered(cache / "raw" / segmenter_key(weights_only=True) / f"{head.key}.json", measure)
    return {"scan": head.name, "reference": references(head), **kept}


def add_structure(table: Table, rows: list[Row], name: str, factor: dict[str, float]) -> None:
    """Return agreement of one volume and of its share of ICV."""
    shown = NAMES[name]
    for share, what in ((False, "volume"), (True, "share of ICV")):
        fit = _agreement(rows, "calibrated", name, share=share)
        table.add(f"{shown}, {what}, r", f"{fit['pearson_r']:.3f} ({fit['pearson_r_low']:.2f} to {fit['pearson_r_high']:.2f}), n {fit['n']}")  # fmt: skip
    raw, fit = _agreement(rows, "found", name), _agreement(rows, "calibrated", name)
    table.add(f"{shown}, bias before calibration", f"{raw['bias_mm3']:+.0f} mm3, {raw['bias_percent']:+.1f} %")
    table.add(f"{shown}, factor", f"{factor['factor']:.3f} ({factor['factor_low']:.3f} to {factor['factor_high']:.3f}), n {factor['n']}")  # fmt: skip
    table.add(f"{shown}, bias of left-out heads", f"{fit['bias_mm3']:+.0f} mm3, {fit['bias_percent']:+.1f} %")
    table.add(f"{shown}, SD of differences", f"{fit['sd_mm3']:.0f} mm3 of {fit['reference_mean_mm3']:.0f}")
    table.add(f"{shown}, median absolute difference", f"{fit['median_absolute_percent']:.1f} %")


def add_overlap(table: Table, rows: list[Row]) -> None:
    for name in rows[0]["dice"]:
        kept = [row["dice"][name] for row in rows if not _sides_mixed_up(row)]
        table.add(f"Dice, {name}, median", f"{median(kept, 3, '')}; least {min(kept):.3f}")


def add_errors(table: Table, rows: list[Row]) -> None:
    """Whether the error follows what must not move it, and whether sides and ages are seen."""

    def values(kind: str, name: str) -> NDArray[np.float64]:
        return np.array([row[kind][name] for row in rows])

    ventricles = values("reference", "ventricles_mm3") / values("reference", "icv_mm3")
    ages = [people()[row["scan"]][0] for row in rows]
    for name in ("hippocampus_mm3", "amygdala_mm3"):
        if name in FIELDS:
            error = values("calibrated", name) / values("reference", name)
            table.add(f"{NAMES[name]}, error in % and ventricles/ICV, rho", rank_correlation(error, ventricles))
            table.add(
                f"{NAMES[name]}, error in % and true volume, rho", rank_correlation(error, values("reference", name))
            )
    for name in ("hippocampus_mm3", "ventricles_mm3"):
        for kind, whose in (("calibrated", "adclip"), ("reference", "DLMUSE")):
            share = values(kind, name) / values(kind, "icv_mm3")
            table.add(f"{NAMES[name]}, share of ICV and age, {whose}, rho", rank_correlation(share, ages))
    kept = [row for row in rows if not _sides_mixed_up(row)]
    for structure in ("hippocampus", "amygdala", "inferior_lateral_ventricle"):
        if f"{structure}_left_mm3" in FIELDS:
            ours, theirs = ([asymmetry(row[kind], structure) for row in kept] for kind in ("found", "reference"))
            table.add(f"{structure.replace('_', ' ')}, (left - right) / (left + right), r", correlation(ours, theirs))


def asymmetry(values: dict[str, float], structure: str) -> float:
    left, right = (values[f"{structure}_{side}_mm3"] for side in ("left", "right"))
    return (left - right) / max(left + right, 1e-9)


def swapped(name: str) -> str:
    """Return the column of the other side."""
    return name.replace("_left_", "_?_").replace("_right_", "_left_").replace("_?_", "_right_")


def add_mirror(table: Table, heads: list[Head], cache: Path) -> None:
    """Largest difference of a column from that of the other side in the mirrored head."""
    worst = dict.fromkeys(FIELDS, 0.0)
    some = heads[:: max(1, len(heads) // 12)]
    for head in some:
        kept = cache / "raw" / segmenter_key(weights_only=True) / f"{head.key}-mirrored.json"
        mirrored = replace(head, scan_to_mni=MIRROR @ head.scan_to_mni)
        other = remembered(kept, lambda mirrored=mirrored: raw_volumes(mirrored))
        plain = row_of(head, cache)["found"]
        for name in FIELDS:
            worst[name] = max(worst[name], abs(other[swapped(name)] / max(plain[name], 1e-9) - 1))
    name = max(worst, key=lambda one: worst[one])
    table.add(
        "mirrored map to MNI, largest difference to the other side",
        f"{worst[name]:.1e} of {NAMES[name]}, n {len(some)}",
    )


def add_mirrored_files(table: Table, paths: list[Path], cache: Path) -> None:
    """The whole road with the file's voxels in mirrored order, the header as it was."""
    changes: dict[str, list[float]] = {name: [] for name in SHOWN}
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            image = nib.as_closest_canonical(nib.load(path))
            turned = Path(folder) / "mirrored.nii"
            nib.save(nib.Nifti1Image(np.asarray(image.dataobj, dtype=np.float32)[::-1], image.affine), turned)
            mirrored = get_ready(turned, cache / "mirrored" / f"{stem(path)}.npz")
        found, plain = row_of_plain(mirrored, cache), row_of(ready_ixi(path, cache), cache)["found"]
        for name in SHOWN:
            changes[name].append(100 * (found[swapped(name)] / max(plain[name], 1e-9) - 1))
    if paths:
        for name in SHOWN:
            table.add(
                f"mirrored file, {NAMES[name]}, largest change",
                f"{np.max(np.abs(changes[name])):.1f} %, n {len(paths)}",
            )


def row_of_plain(head: Head, cache: Path) -> dict[str, float]:
    return remembered(
        cache / "raw" / segmenter_key(weights_only=True) / f"{head.key}.json", lambda: {"found": raw_volumes(head)}
    )["found"]


def add_seconds(table: Table, heads: list[Head]) -> None:
    taken = []
    for number, head in enumerate([heads[0], *heads]):
        with clock() as seconds:
            raw_volumes(head)
        if number:  # the first one loads the networks
            taken.append(seconds.cpu)
    table.add("CPU seconds a scan on one core, all volumes", median(taken, 2, ""))


if __name__ == "__main__":
    main()
