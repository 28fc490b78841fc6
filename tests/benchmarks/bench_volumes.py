"""Volumes of `adclip preprocess --volumes` against DLMUSE on real, healthy scans. Run by hand:

    python tests/benchmarks/bench_volumes.py [--write] [--cache FOLDER]

Scans are found through ADCLIP_TEST_DATA (default ../shared/data). `--write` writes assets/segmenter/accuracy.json and
the tables of docs/reference/volumes.md. `--cache` keeps the brain masks between runs. The second column of
numbers is a plain atlas estimate, so that the network's worth is seen: see `atlas_estimate.py`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from atlas_estimate import AtlasEstimate
from numpy.typing import NDArray
from scipy import ndimage, stats

from adclip.imaging.bias import correct_bias
from adclip.imaging.brain import DeepbetStripper
from adclip.imaging.files import read_volume
from adclip.imaging.prepare import _crop
from adclip.imaging.register import register_affine
from adclip.imaging.segmenter import BOX, CLASSES, load_segmenter, segment
from adclip.imaging.volumes import FIELDS, METHOD, TISSUE_CLASSES, measure_volumes, to_segmenter_box

ROOT = Path(__file__).parents[2]
ASSET = ROOT / "adclip" / "assets" / "segmenter" / "accuracy.json"
PAGE = ROOT / "docs" / "reference" / "volumes.md"
# MUSE codes (../shared/data/tables/muse_dict.csv)
HIPPOCAMPUS_RIGHT, HIPPOCAMPUS_LEFT = (47,), (48,)
VENTRICLES = (4, 11, 49, 50, 51, 52)
NOT_TISSUE = (0, 1, 46, *VENTRICLES)  # background, cortical csf, other csf
MIXED_UP = 0.5  # difference of the hippocampi over their sum; 0.1 is much in life
NAMES = {
    "hippocampus_left_mm3": "hippocampus, left",
    "hippocampus_right_mm3": "hippocampus, right",
    "hippocampus_mm3": "hippocampus, both",
    "ventricles_mm3": "ventricles",
    "whole_brain_mm3": "whole brain",
    "icv_mm3": "intracranial volume",
}

Row = dict[str, Any]


def main() -> None:
    """Measure all scans, print the tables, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--masks-only", action="store_true", help="fill the cache and stop")
    options = parser.parse_args()
    data = Path(os.environ.get("ADCLIP_TEST_DATA", ROOT.parent / "shared" / "data"))
    with (data / "ixi_2mm" / "participants.csv").open(encoding="utf-8") as stream:
        ages = {line["MRID"]: float(line["Age"]) for line in csv.DictReader(stream)}
    rows: list[Row] = []
    atlas = None if options.masks_only else AtlasEstimate.build(data / "synthseg_labels")
    for path in sorted((data / "ixi_2mm").glob("*_T1.nii.gz")):
        prepared = _prepare(path, options.cache)
        if atlas is not None:
            rows.append(_measure(path, prepared, atlas))
            say(json.dumps({key: rows[-1][key] for key in ("scan", "seconds", "found", "reference")}))
    if atlas is None:
        return
    record = _record(rows) | {"spearman_with_age_of_share_of_icv": _trend(rows, ages)}
    say(json.dumps(record, indent=1))
    say(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    if options.write:
        ASSET.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        _write_page(record)


def _prepare(path: Path, cache: Path | None) -> tuple[Any, ...]:
    """Cropped corrected head, affine, mask and map to MNI, by the same steps as `prepare_scan`."""
    volume = read_volume(path)
    kept = cache / f"{path.name.split('.')[0]}.npz" if cache else None
    if kept is not None and kept.exists():
        with np.load(kept) as arrays:
            mask = arrays["mask"]
    else:
        mask = STRIPPER(volume)
    if kept is not None and not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(kept, mask=mask)
    head, mask, affine = _crop(volume, mask)
    x, y, z = (float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    head = correct_bias(head, mask, (x, y, z))
    return head, affine, mask, register_affine(head, affine, mask)


def _measure(path: Path, prepared: tuple[Any, ...], atlas: AtlasEstimate) -> Row:
    head, affine, mask, scan_to_mni = prepared
    start = time.perf_counter()
    found = measure_volumes(head, affine, mask, scan_to_mni)
    seconds = time.perf_counter() - start
    labels, label_affine, voxel_mm3 = _read_labels(path)

    def reference(codes: tuple[int, ...]) -> float:
        return float(np.isin(labels, codes).sum()) * voxel_mm3

    truth = {
        "hippocampus_left_mm3": reference(HIPPOCAMPUS_LEFT),
        "hippocampus_right_mm3": reference(HIPPOCAMPUS_RIGHT),
        "hippocampus_mm3": reference(HIPPOCAMPUS_LEFT + HIPPOCAMPUS_RIGHT),
        "ventricles_mm3": reference(VENTRICLES),
        "whole_brain_mm3": float((~np.isin(labels, NOT_TISSUE)).sum()) * voxel_mm3,
        "icv_mm3": float((labels > 0).sum()) * voxel_mm3,
    }
    box = to_segmenter_box(head, affine, mask, scan_to_mni)
    probability = segment(box)
    growth = abs(float(np.linalg.det(scan_to_mni[:3, :3])))
    by_atlas = atlas.measure(box, growth)
    size = float(np.prod(BOX.spacing_mm)) / growth
    other_icv = {
        "all classes but background": float(probability[1:].sum(dtype=np.float64)) * size,
        "brain mask": float(mask.sum()) * abs(float(np.linalg.det(affine[:3, :3]))),
    }
    to_box = np.linalg.inv(BOX.affine_xyz) @ scan_to_mni @ label_affine
    return {
        "scan": path.name,
        "seconds": round(seconds, 2),
        "found": {name: round(getattr(found, name)) for name in FIELDS},
        "reference": {name: round(value) for name, value in truth.items()},
        "atlas": {name: round(value) for name, value in by_atlas.items()},
        "other_icv": other_icv,
        "dice": _overlaps(probability, labels, to_box),
        "atlas_dice": _overlaps(atlas.segment(box), labels, to_box),
    }


def _read_labels(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    image = nib.as_closest_canonical(nib.load(path.with_name(path.name.replace("_T1.", "_T1_DLMUSE."))))
    affine = np.asarray(image.affine, dtype=np.float64)
    return np.asarray(image.dataobj).astype(np.int64), affine, abs(float(np.linalg.det(affine[:3, :3])))


def _overlaps(probability: NDArray[Any], labels: NDArray[np.int64], to_box: NDArray[Any]) -> dict[str, float]:
    """Dice on the scan's own grid: probabilities interpolated there, the most probable class wins."""
    middle = BOX.shape_xyz[0] // 2
    halves = {"hippocampus_left": np.s_[:middle], "hippocampus_right": np.s_[middle:]}
    channels = {
        "ventricles": probability[
            [CLASSES.index("lateral ventricle"), CLASSES.index("third and fourth ventricle")]
        ].sum(0),
        "whole_brain": probability[[CLASSES.index(name) for name in TISSUE_CLASSES]].sum(0),
    }
    for name, side in halves.items():
        channel = np.zeros(BOX.shape_xyz, np.float32)
        channel[side] = probability[CLASSES.index("hippocampus"), side]
        channels[name] = channel
    truth = {
        "hippocampus_left": np.isin(labels, HIPPOCAMPUS_LEFT),
        "hippocampus_right": np.isin(labels, HIPPOCAMPUS_RIGHT),
        "ventricles": np.isin(labels, VENTRICLES),
        "whole_brain": ~np.isin(labels, NOT_TISSUE),
    }
    result = {}
    for name, channel in channels.items():
        there = (
            ndimage.affine_transform(channel, to_box[:3, :3], to_box[:3, 3], output_shape=labels.shape, order=1) > 0.5
        )
        result[name] = float(2 * (there & truth[name]).sum() / (there.sum() + truth[name].sum()))
    return result


def _record(rows: list[Row]) -> dict[str, Any]:
    segmenter = load_segmenter()
    others = rows[0]["other_icv"]
    return {
        "schema_version": 1,
        "method": METHOD,
        "segmenter_sha256": segmenter.record["sha256"],
        "reference": "DLMUSE segmentation (NiChart) of the same scans; an automatic method, not hand tracing",
        "data": "IXI, Hammersmith 3 T, healthy, 20-69 years, resampled to 2 mm; not used in training or selection",
        "n": len(rows),
        "reference_sides_mixed_up": sum(_sides_mixed_up(row) for row in rows),
        "volumes": {name: _agreement(rows, "found", name) for name in FIELDS},
        "hippocampal_asymmetry_pearson_r": _asymmetry(rows),
        "median_dice": {
            name: round(float(np.median([row["dice"][name] for row in rows])), 3) for name in rows[0]["dice"]
        },
        "atlas_estimate": {
            "volumes": {name: _agreement(rows, "atlas", name) for name in FIELDS if name in rows[0]["atlas"]},
            "median_dice": {
                name: round(float(np.median([row["atlas_dice"][name] for row in rows])), 3) for name in rows[0]["dice"]
            },
        },
        "icv_alternatives": {
            name: _compare([row["other_icv"][name] for row in rows], [row["reference"]["icv_mm3"] for row in rows])
            for name in others
        },
        "median_seconds": round(float(np.median([row["seconds"] for row in rows])), 2),
    }


def _agreement(rows: list[Row], kind: str, name: str) -> dict[str, float]:
    if name in ("hippocampus_left_mm3", "hippocampus_right_mm3"):
        rows = [row for row in rows if not _sides_mixed_up(row)]
    return _compare([row[kind][name] for row in rows], [row["reference"][name] for row in rows])


def _asymmetry(rows: list[Row]) -> float:
    """Correlation of (left - right) / (left + right) of the hippocampi with the reference's."""
    pairs = []
    for row in rows:
        if not _sides_mixed_up(row):
            sides = [
                (row[kind]["hippocampus_left_mm3"], row[kind]["hippocampus_right_mm3"])
                for kind in ("found", "reference")
            ]
            pairs.append([(left - right) / (left + right) for left, right in sides])
    return round(float(stats.pearsonr(*zip(*pairs, strict=True)).statistic), 2)


def _sides_mixed_up(row: Row) -> bool:
    """Whether the reference gave one hippocampus the code of the other, judged by the reference alone."""
    left, right = row["reference"]["hippocampus_left_mm3"], row["reference"]["hippocampus_right_mm3"]
    return bool(abs(left - right) > MIXED_UP * (left + right))


def _compare(found: list[float], reference: list[float]) -> dict[str, float]:
    ours, theirs = np.array(found, dtype=float), np.array(reference, dtype=float)
    difference = ours - theirs
    fit = stats.pearsonr(ours, theirs)
    interval = fit.confidence_interval(0.95)
    return {
        "n": len(ours),
        "reference_mean_mm3": round(float(theirs.mean())),
        "bias_mm3": round(float(difference.mean())),
        "bias_percent": round(float(100 * difference.mean() / theirs.mean()), 1),
        "sd_mm3": round(float(difference.std(ddof=1))),
        "median_absolute_percent": round(float(np.median(100 * np.abs(difference) / theirs)), 1),
        "pearson_r": round(float(fit.statistic), 3),
        "pearson_r_low": round(float(interval.low), 3),
        "pearson_r_high": round(float(interval.high), 3),
    }


def _trend(rows: list[Row], ages: dict[str, float]) -> dict[str, dict[str, float]]:
    """Rank correlation of each volume's share of ICV with age: the brain shrinks and the ventricles grow in both, or not."""
    years = [ages[row["scan"].removesuffix("_T1.nii.gz")] for row in rows]
    result = {}
    for name in ("hippocampus_mm3", "ventricles_mm3", "whole_brain_mm3"):
        result[name] = {
            kind: round(
                float(stats.spearmanr(years, [row[kind][name] / row[kind]["icv_mm3"] for row in rows]).statistic), 2
            )
            for kind in ("found", "reference")
        }
    return result


def _table(volumes: dict[str, dict[str, float]]) -> list[str]:
    lines = [
        "| volume | n | DLMUSE mean, mm3 | bias, mm3 | bias, % | SD of differences, mm3 | median abs. error, % | Pearson r (95 %) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in volumes.items():
        lines.append(
            f"| {NAMES.get(name, name)} | {row['n']} | {row['reference_mean_mm3']:.0f} | {row['bias_mm3']:+.0f} | {row['bias_percent']:+.1f} "
            f"| {row['sd_mm3']:.0f} | {row['median_absolute_percent']:.1f} "
            f"| {row['pearson_r']:.2f} ({row['pearson_r_low']:.2f} to {row['pearson_r_high']:.2f}) |"
        )
    return lines


def to_tables(record: dict[str, Any]) -> str:
    """Write the measured numbers as Markdown, for the page between its two marks."""
    lines = [f"n = {record['n']}; segmenter {record['segmenter_sha256'][:12]}.", "", *_table(record["volumes"]), ""]
    if record["reference_sides_mixed_up"]:
        lines += [
            f"In {record['reference_sides_mixed_up']} scan DLMUSE gave most of one hippocampus the code of the other (their "
            "difference is more than half of their sum); the rows of single sides leave it out.", "",
        ]  # fmt: skip
    lines += [
        f"Hippocampal asymmetry, (left - right) / (left + right), agrees with r = {record['hippocampal_asymmetry_pearson_r']:.2f}: "
        "differences between the sides of one person are not to be relied on.", "",
    ]  # fmt: skip
    lines += ["| median Dice | network | atlas |", "|---|---|---|"]
    for name, value in record["median_dice"].items():
        lines.append(
            f"| {name.replace('_', ' ')} | {value:.3f} | {record['atlas_estimate']['median_dice'][name]:.3f} |"
        )
    lines += ["", "Spearman correlation with age of the share of intracranial volume (adclip, DLMUSE):", ""]
    for name, pair in record["spearman_with_age_of_share_of_icv"].items():
        lines.append(f"- {NAMES[name]}: {pair['found']:+.2f}, {pair['reference']:+.2f}")
    lines += ["", "The intracranial volume by two other ways, which do not replace it:", ""]
    lines += _table(record["icv_alternatives"])
    lines += ["", "The atlas estimate on the same scans:", "", *_table(record["atlas_estimate"]["volumes"])]
    return "\n".join(lines)


def _write_page(record: dict[str, Any]) -> None:
    begin, end = "<!-- measured: begin -->", "<!-- measured: end -->"
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    PAGE.write_text(f"{before}{begin}\n{to_tables(record)}\n{end}{after}", encoding="utf-8")


def say(line: str) -> None:
    """Write one line and show it at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


STRIPPER = DeepbetStripper("cpu")

if __name__ == "__main__":
    main()
