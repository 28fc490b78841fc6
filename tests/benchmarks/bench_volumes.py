"""Volumes of `adclip preprocess --volumes` against DLMUSE on real, healthy scans. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_volumes.py [--write] [--cache FOLDER]

Scans are found through ADCLIP_TEST_DATA (default ../shared/data). `--write` writes assets/segmenter/accuracy.json and
the tables of docs/reference/volumes.md. The prepared heads are kept in the cache folder, see `prepared_heads.py`. The second
column of numbers is a plain atlas estimate, so that the network's worth is seen: see `atlas_estimate.py`.

The record has the calibration that brings the networks' volumes to DLMUSE's scale: for each structure one factor, the same
for both sides, so that a mirrored head stays mirrored. The stated error is what remains when every head is calibrated by
the other 58. `bench_medial_temporal.py` prints every figure of the medial temporal lobe.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from atlas_estimate import AtlasEstimate
from numpy.typing import NDArray
from prepared_heads import AMYGDALA, CACHE, HIPPOCAMPUS, INFERIOR_HORN, VENTRICLES, Head, people, ready_ixi
from readings import remembered, segmenter_key
from real_scans import DATA, clock, ixi, peak_gb, say
from scipy import ndimage, stats
from structure_maps import medial_temporal, raw_volumes, structure_maps, truth_of

from adclip.imaging.volumes.measure import FIELDS, METHOD, TISSUE_CLASSES, to_segmenter_box, volumes_version
from adclip.imaging.volumes.segmenter import BOX, CLASSES, load_segmenter, segment

ROOT = Path(__file__).parents[2]
ASSET = ROOT / "adclip" / "assets" / "segmenter" / "accuracy.json"
PAGE = ROOT / "docs" / "reference" / "volumes.md"
NOT_TISSUE = (0, 1, 46, *VENTRICLES)  # background, cortical csf, other csf
HORN = "inferior_lateral_ventricle"
MIXED_UP = 0.5  # difference of the hippocampi over their sum; 0.1 is much in life
NAMES = {
    "hippocampus_left_mm3": "hippocampus, left",
    "hippocampus_right_mm3": "hippocampus, right",
    "hippocampus_mm3": "hippocampus, both",
    "amygdala_left_mm3": "amygdala, left",
    "amygdala_right_mm3": "amygdala, right",
    "amygdala_mm3": "amygdala, both",
    "inferior_lateral_ventricle_left_mm3": "inferior lateral ventricle, left",
    "inferior_lateral_ventricle_right_mm3": "inferior lateral ventricle, right",
    "inferior_lateral_ventricle_mm3": "inferior lateral ventricle, both",
    "ventricles_mm3": "ventricles",
    "whole_brain_mm3": "whole brain",
    "icv_mm3": "intracranial volume",
}

Row = dict[str, Any]


def main() -> None:
    """Measure all scans, print the tables, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args()
    atlas = AtlasEstimate.build(DATA / "synthseg_labels")
    rows: list[Row] = []
    for path in ixi():
        kept = options.cache / "volumes" / segmenter_key(weights_only=True) / f"{path.name}.json"
        rows.append(remembered(kept, lambda path=path: _measure(ready_ixi(path, options.cache), atlas)))
        say(f"{path.name} {rows[-1]['seconds']} s " + ", ".join(
            f"{name} {rows[-1]['found'][name]:.0f} ({rows[-1]['reference'][name]:.0f})" for name in FIELDS
        ))  # fmt: skip
    ages = {name: age for name, (age, _) in people().items()}
    record = _record(rows) | {"spearman_with_age_of_share_of_icv": _trend(rows, ages)}
    say(json.dumps(record, indent=1))
    say(f"peak {peak_gb():.2f} GB")
    if options.write:
        ASSET.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        _write_page(record)


def references(head: Head) -> dict[str, float]:
    """Return what DLMUSE says, by adclip's columns and definitions."""
    assert head.labels is not None and head.labels_affine is not None
    voxel_mm3 = abs(float(np.linalg.det(head.labels_affine[:3, :3])))
    truth = {}
    for name, codes in (
        ("hippocampus", HIPPOCAMPUS), ("amygdala", AMYGDALA), ("inferior_lateral_ventricle", INFERIOR_HORN),
    ):  # fmt: skip
        for side, code in zip(("left", "right"), codes, strict=True):
            truth[f"{name}_{side}_mm3"] = head.reference_mm3((code,))
        truth[f"{name}_mm3"] = head.reference_mm3(codes)
    return truth | {
        "ventricles_mm3": head.reference_mm3(VENTRICLES),
        "whole_brain_mm3": float((~np.isin(head.labels, NOT_TISSUE)).sum()) * voxel_mm3,
        "icv_mm3": head.reference_icv_mm3(),
    }


def _measure(head: Head, atlas: AtlasEstimate) -> Row:
    with clock() as taken:
        found = raw_volumes(head)
    truth = references(head)
    box = to_segmenter_box(*head.measurable())
    probability = segment(box)
    growth = abs(float(np.linalg.det(head.scan_to_mni[:3, :3])))
    by_atlas = atlas.measure(box, growth)
    size = float(np.prod(BOX.spacing_mm)) / growth
    other_icv = {
        "all classes but background": float(probability[1:].sum(dtype=np.float64)) * size,
        "brain mask": float(head.mask.sum()) * abs(float(np.linalg.det(head.affine[:3, :3]))),
    }
    assert head.labels is not None
    to_box = np.linalg.inv(BOX.affine_xyz) @ head.scan_to_mni @ head.labels_affine
    return {
        "scan": f"{head.name}.nii.gz",
        "seconds": round(taken.cpu, 2),
        "found": {name: found[name] for name in FIELDS},
        "reference": {name: truth[name] for name in FIELDS},
        "atlas": {name: round(value) for name, value in by_atlas.items()},
        "other_icv": other_icv,
        "dice": _overlaps(probability, head.labels, to_box) | _fine_overlaps(head),
        "atlas_dice": _overlaps(atlas.segment(box), head.labels, to_box),
    }


def _fine_overlaps(head: Head) -> dict[str, float]:
    """Dice of the structures that finer networks measure, in place of the coarse one's."""
    return {
        name.replace(" ", "_"): one.overlap(head, truth_of(head, name)) for name, one in structure_maps(head).items()
    }


def _overlaps(probability: NDArray[Any], labels: NDArray[Any], to_box: NDArray[Any]) -> dict[str, float]:
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
        "hippocampus_left": labels == HIPPOCAMPUS[0],
        "hippocampus_right": labels == HIPPOCAMPUS[1],
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
    factors = _calibrate(rows)
    fine = (
        {} if medial_temporal is None else {"medial_temporal_sha256": medial_temporal.load_networks().record["sha256"]}
    )
    return {
        "schema_version": 1,
        "method": METHOD,
        "segmenter_sha256": segmenter.record["sha256"],
        **fine,
        "reference": "DLMUSE segmentation (NiChart) of the same scans; an automatic method, not hand tracing",
        "data": "IXI, Hammersmith 3 T, healthy, 20-69 years, resampled to 2 mm; not used in training or selection",
        "n": len(rows),
        "reference_sides_mixed_up": sum(_sides_mixed_up(row) for row in rows),
        "volumes": {name: _agreement(rows, "calibrated", name) | {"calibration": factors[name]} for name in FIELDS},
        "shares_of_icv": {
            name: _agreement(rows, "calibrated", name, share=True) for name in FIELDS if name != "icv_mm3"
        },
        "hippocampal_asymmetry_pearson_r": _asymmetry(rows),
        "median_dice": {
            name: round(float(np.median([row["dice"][name] for row in rows])), 3) for name in rows[0]["dice"]
        },
        "atlas_estimate": {
            "volumes": {name: _agreement(rows, "atlas", name) for name in FIELDS if name in rows[0]["atlas"]},
            "median_dice": {
                name: round(float(np.median([row["atlas_dice"][name] for row in rows])), 3)
                for name in rows[0]["atlas_dice"]
            },
        },
        "icv_alternatives": {
            name: _compare([row["other_icv"][name] for row in rows], [row["reference"]["icv_mm3"] for row in rows])
            for name in others
        },
        "median_seconds": round(float(np.median([row["seconds"] for row in rows])), 2),
    }


def _calibrate(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return the factors that take the networks' means to DLMUSE's; give each row its volumes by the others' factors.

    One factor for both sides: two would tell a mirrored head's sides apart. A factor and no line, so that no volume at
    all stays no volume, and a loss in percent is kept; but for the temporal horn, see `_calibrate_horn`.
    """
    factors = _calibrate_horn(rows)
    for name in FIELDS:
        if name in factors:
            continue
        both = name.replace("_left_", "_").replace("_right_", "_")
        found, reference = (np.array([row[kind][both] for row in rows], dtype=float) for kind in ("found", "reference"))
        for row, factor in zip(rows, (reference.sum() - reference) / (found.sum() - found), strict=True):
            row.setdefault("calibrated", {})[name] = row["found"][name] * float(factor)
        low, high = _factor_interval(found, reference)
        raw = _agreement(rows, "found", name)
        factors[name] = {
            "factor": round(float(reference.sum() / found.sum()), 4),
            "factor_low": round(low, 4),
            "factor_high": round(high, 4),
            "n": len(rows),
            "bias_before_mm3": raw["bias_mm3"],
            "bias_before_percent": raw["bias_percent"],
        }
    return factors


def _calibrate_horn(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return factor and offset of the temporal horn, one line through all single sides.

    The networks leave a little probability of a horn along the whole hippocampus, which a closed horn shows as much as a wide
    one. A factor alone, found on people with narrow horns, would halve the wide horns of old people.
    """
    columns = [f"{HORN}_{side}_mm3" for side in ("left", "right")]
    kept = [row for row in rows if not _sides_mixed_up(row)]

    def line(of: list[Row]) -> tuple[float, float]:
        found, reference = (
            np.array([row[kind][c] for row in of for c in columns], float) for kind in ("found", "reference")
        )
        slope, offset = np.polyfit(found, reference, 1)
        return float(slope), float(offset)

    for row in rows:
        slope, offset = line([other for other in kept if other is not row])
        own = {column: max(slope * row["found"][column] + offset, 0.0) for column in columns}
        row.setdefault("calibrated", {}).update(own | {f"{HORN}_mm3": sum(own.values())})
    slope, offset = line(kept)
    rng = np.random.default_rng(0)
    drawn = [line([kept[i] for i in rng.integers(len(kept), size=len(kept))])[0] for _ in range(1000)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    result = {}
    for column in (*columns, f"{HORN}_mm3"):
        raw = _agreement(rows, "found", column)
        result[column] = {
            "factor": round(slope, 4),
            "factor_low": round(float(low), 4),
            "factor_high": round(float(high), 4),
            "offset_mm3": round(offset * (1 if column in columns else 2), 1),
            "n": len(kept),
            "bias_before_mm3": raw["bias_mm3"],
            "bias_before_percent": raw["bias_percent"],
        }
    return result


def _agreement(rows: list[Row], kind: str, name: str, share: bool = False) -> dict[str, float]:
    if "_left_" in name or "_right_" in name:
        rows = [row for row in rows if not _sides_mixed_up(row)]
    if not share:
        told = _compare([row[kind][name] for row in rows], [row["reference"][name] for row in rows])
        if (
            kind == "calibrated"
        ):  # one factor changes no r; that of each head's own differs a little from the next one's
            told |= {key: value for key, value in _agreement(rows, "found", name).items() if key.startswith("pearson")}
        return told
    ours, theirs = ([1000 * row[which][name] / row[which]["icv_mm3"] for row in rows] for which in (kind, "reference"))
    told = {key.replace("_mm3", "_per_mille"): value for key, value in _compare(ours, theirs, digits=3).items()}
    if kind == "calibrated":
        told |= {
            key: value for key, value in _agreement(rows, "found", name, share).items() if key.startswith("pearson")
        }
    return told


def _factor_interval(found: NDArray[Any], reference: NDArray[Any]) -> tuple[float, float]:
    """95 % by 2,000 draws of heads."""
    draw = np.random.default_rng(0).integers(0, len(found), (2000, len(found)))
    low, high = np.percentile(reference[draw].sum(axis=1) / found[draw].sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


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


def _compare(found: Sequence[float], reference: Sequence[float], digits: int | None = None) -> dict[str, float]:
    ours, theirs = np.array(found, dtype=float), np.array(reference, dtype=float)
    difference = ours - theirs
    fit = stats.pearsonr(ours, theirs)
    interval = fit.confidence_interval(0.95)
    return {
        "n": len(ours),
        "reference_mean_mm3": round(float(theirs.mean()), digits),
        "bias_mm3": round(float(difference.mean()), digits),
        "bias_percent": round(float(100 * difference.mean() / theirs.mean()), 1),
        "sd_mm3": round(float(difference.std(ddof=1)), digits),
        "median_absolute_percent": round(float(np.median(100 * np.abs(difference) / theirs)), 1),
        "pearson_r": round(float(fit.statistic), 3),
        "pearson_r_low": round(float(interval.low), 3),
        "pearson_r_high": round(float(interval.high), 3),
    }


def _trend(rows: list[Row], ages: dict[str, float]) -> dict[str, dict[str, float]]:
    """Rank correlation of each volume's share of ICV with age: the brain shrinks and the ventricles grow in both, or not."""
    years = [ages[row["scan"].removesuffix(".nii.gz")] for row in rows]
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
    lines = [f"n = {record['n']}; adclip segmenter {volumes_version()}.", "", *_table(record["volumes"]), ""]
    lines += [
        "The errors above are of heads that had no part in the calibration (leave-one-out). The calibration, one factor for "
        "both sides, and the shares of intracranial volume:", "",
        "| volume | factor (95 %) | n | bias before, mm3 | bias before, % | r of the share of ICV (95 %) | SD of the share, 1/1000 |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, told in record["volumes"].items():
        row, portion = told["calibration"], record["shares_of_icv"].get(name)
        shown = "- | -" if portion is None else f"{_interval(portion)} | {portion['sd_per_mille']:.3f}"
        lines.append(
            f"| {NAMES[name]} | {row['factor']:.3f} ({row['factor_low']:.3f} to {row['factor_high']:.3f}) | {row['n']} "
            f"| {row['bias_before_mm3']:+.0f} | {row['bias_before_percent']:+.1f} | {shown} |"
        )
    lines.append("")
    if record["reference_sides_mixed_up"]:
        lines += [
            f"In {record['reference_sides_mixed_up']} scan DLMUSE gave most of one hippocampus the code of the other (their "
            "difference is more than half of their sum); the rows of single sides leave it out.", "",
        ]  # fmt: skip
    lines += [
        f"Hippocampal asymmetry, (left - right) / (left + right), agrees with r = {record['hippocampal_asymmetry_pearson_r']:.2f}: "
        "see it before relying on differences between the sides of one person.", "",
    ]  # fmt: skip
    lines += ["| median Dice | network | atlas |", "|---|---|---|"]
    for name, value in record["median_dice"].items():
        plain = record["atlas_estimate"]["median_dice"].get(name)
        lines.append(f"| {name.replace('_', ' ')} | {value:.3f} | {'-' if plain is None else f'{plain:.3f}'} |")
    lines += ["", "Spearman correlation with age of the share of intracranial volume (adclip, DLMUSE):", ""]
    for name, pair in record["spearman_with_age_of_share_of_icv"].items():
        lines.append(f"- {NAMES[name]}: {pair['found']:+.2f}, {pair['reference']:+.2f}")
    lines += ["", "The intracranial volume by two other ways, which do not replace it:", ""]
    lines += _table(record["icv_alternatives"])
    lines += ["", "The atlas estimate on the same scans:", "", *_table(record["atlas_estimate"]["volumes"])]
    return "\n".join(lines)


def _interval(row: dict[str, float]) -> str:
    return f"{row['pearson_r']:.2f} ({row['pearson_r_low']:.2f} to {row['pearson_r_high']:.2f})"


def _write_page(record: dict[str, Any]) -> None:
    begin, end = "<!-- measured: begin -->", "<!-- measured: end -->"
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    PAGE.write_text(f"{before}{begin}\n{to_tables(record)}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
