"""What simulated cohorts are: marginals and oracle, shortcuts, likeness to real scans, speed. By hand, on two cores:

OMP_NUM_THREADS=1 python tests/benchmarks/bench_simulation.py OUT marginals|shortcut|likeness|speed [SUBJECTS]

OUT keeps the cohorts, so that a second call measures at once.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from real_scans import ixi, markdown, oasis, peak_gb, say, spread, trio

from adclip.config import PreprocessConfig, SimulateConfig
from adclip.evaluation.metrics import auc, bootstrap_interval, pearson_r
from adclip.verbs.preprocess import preprocess
from adclip.verbs.simulate import simulate

GROUPS = ("CN", "MCI", "AD")
CORNER = 8  # voxels of the blocks in which only air is looked at


def interval(metric, *arrays: NDArray[np.float64]) -> str:  # type: ignore[no-untyped-def]
    """Value with its bootstrap interval over subjects."""
    value, low, high = bootstrap_interval(metric, *arrays, subjects=[str(i) for i in range(len(arrays[0]))])
    return f"{value:.3f} ({low:.3f}-{high:.3f})"


def cross_validated(
    features: NDArray[np.float64], labels: NDArray[np.int_], forest: bool = False
) -> NDArray[np.float64]:
    """Five-fold scores of a classifier that sees `features`."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = (
        RandomForestClassifier(400, min_samples_leaf=3, random_state=0)
        if forest
        else make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.3))
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_predict(model, features, labels, cv=folds, method="predict_proba")[:, 1]


def marginals(out: Path, subjects: int) -> None:
    """Groups, volumes, oracle, correlation of MMSE and hippocampus within groups."""
    simulate(SimulateConfig(out / "marginals", subjects, preprocessed=True, seed=11, workers=2))
    truth = pd.read_csv(out / "marginals" / "truth.tsv", sep="\t")
    table = pd.read_csv(out / "marginals" / "table.csv")
    rows = []
    for group in GROUPS:
        ill, told = truth[truth.diagnosis == group], table[table.diagnosis == group]
        hippocampus, ventricles = ill.hippocampus_mm3, ill.ventricles_mm3
        rows.append([
            group, str(len(ill)), f"{told.mmse.mean():.2f} ({told.mmse.std():.2f})",
            f"{told.age_years.mean():.1f} ({told.age_years.std():.1f})",
            f"{told.education_years.mean():.1f} ({told.education_years.std():.1f})",
            f"{100 * (told.apoe4_count.dropna() > 0).mean():.0f}",
            f"{hippocampus.median():.0f} ({hippocampus.std():.0f})",
            f"{ventricles.median():.0f} ({ventricles.quantile(0.05):.0f}-{ventricles.quantile(0.95):.0f})",
            f"{(ill.whole_brain_mm3 / ill.icv_mm3).median():.3f}",
        ])  # fmt: skip
    header = ["group", "n", "MMSE", "age", "education", "e4 carriers %", "hippocampus", "ventricles", "brain / ICV"]
    say(markdown(header, rows))
    both = truth[truth.diagnosis.isin(["CN", "AD"])]
    ages = table.set_index("subject_id").age_years.reindex(both.subject_id).fillna(75).to_numpy()
    labels = (both.diagnosis == "AD").to_numpy().astype(int)
    share = np.log(both[["hippocampus_mm3", "ventricles_mm3"]].to_numpy() / both[["icv_mm3"]].to_numpy())
    for name, features in {
        "hippocampus and ventricles over ICV": share,
        "the same, age": np.column_stack([share, ages]),
        "hippocampus and ventricles in mm3": np.log(both[["hippocampus_mm3", "ventricles_mm3"]].to_numpy()),
    }.items():
        say(f"AUC AD vs CN, {name}: {interval(auc, labels, cross_validated(features, labels))}\n")
    told = table.set_index("subject_id").mmse.reindex(truth.subject_id).to_numpy()
    for group in GROUPS:
        mine = (truth.diagnosis == group).to_numpy() & np.isfinite(told)
        found = interval(pearson_r, told[mine], truth.hippocampus_mm3.to_numpy()[mine])
        say(f"r(MMSE, hippocampus) in {group}: {found}\n")


def shortcut_features(cohort: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Everything about a scan that is not the head: one row a subject, and the truth."""
    truth = pd.read_csv(cohort / "truth.tsv", sep="\t")
    table = pd.read_csv(cohort / "table.csv").set_index("subject_id").reindex(truth.subject_id)
    rows = []
    for order, scan in enumerate(table.scan):
        image = nib.load(cohort / scan)
        voxels = np.asarray(image.dataobj, dtype=np.float32)
        corners = np.concatenate([
            voxels[x, y, z].ravel()
            for x in (slice(CORNER), slice(-CORNER, None)) for y in (slice(CORNER), slice(-CORNER, None))
            for z in (slice(CORNER), slice(-CORNER, None))
        ])  # fmt: skip
        row = {"order": order, "dtype": image.get_data_dtype().num, "air mean": corners.mean(), "air sd": corners.std()}
        row |= {f"air {q}": np.percentile(corners, q) for q in (1, 25, 50, 75, 99)}
        row |= {f"shape {i}": size for i, size in enumerate(image.shape)}
        row |= {f"zoom {i}": float(size) for i, size in enumerate(image.header.get_zooms())}
        row |= {f"affine {i}": float(value) for i, value in enumerate(image.affine[:3].ravel())}
        row |= {f"axis {i}": "RLAPSI".index(code) for i, code in enumerate(nib.aff2axcodes(image.affine))}
        rows.append(row)
    features = pd.DataFrame(rows)
    asked = [name for name in table.columns if name not in ("diagnosis", "scan", "subject_id", "session_id")]
    for name in asked:
        features[f"missing {name}"] = table[name].isna().to_numpy().astype(int)
    for name in ("site", "anatomy"):
        if name in truth:
            features = features.join(pd.get_dummies(truth[name], prefix=name).astype(int))
    return features.fillna(0), truth


def mask_features(cohort: Path) -> pd.DataFrame:
    """Volume and outline of the brain mask of every derivative, one row a subject in the order of the truth.

    The grid has no head size: what is left is the shape of the inner skull, and the errors of the extraction. The outline is
    how far the mask reaches from its middle in 26 directions, its extent along the axes, its surface and its eighths.
    """
    truth = pd.read_csv(cohort / "truth.tsv", sep="\t")
    directions = np.array([d for d in np.ndindex(3, 3, 3) if d != (1, 1, 1)]) - 1.0
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rows = []
    for subject in truth.subject_id:
        image = nib.load(next((cohort / f"sub-{subject}").rglob("*_desc-brain_mask.nii.gz")))
        mask = np.asarray(image.dataobj) > 0
        spacing = np.array(image.header.get_zooms()[:3], dtype=float)
        where = np.argwhere(mask) * spacing
        middle = where.mean(axis=0)
        apart = where - middle
        edges = sum(np.count_nonzero(np.diff(mask.astype(np.int8), axis=axis)) for axis in range(3))
        row = {"mask volume": mask.sum() * spacing.prod(), "mask edges": edges}
        row |= {f"mask middle {i}": value for i, value in enumerate(middle)}
        row |= {f"mask extent {i}": value for i, value in enumerate(np.ptp(where, axis=0))}
        row |= {f"mask reach {i}": (apart @ d).max() for i, d in enumerate(directions)}
        eighth = (apart > 0) @ np.array([1, 2, 4])
        row |= {f"mask eighth {i}": count for i, count in enumerate(np.bincount(eighth, minlength=8))}
        rows.append(row)
    return pd.DataFrame(rows)


def shortcut(out: Path, subjects: int) -> None:
    """A classifier on header, air, missing cells, file order, site, anatomy and the brain mask must be at chance."""
    from scipy.stats import chi2_contingency

    labels_from = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    cohort = out / ("shortcut-labels" if labels_from else "shortcut")
    simulate(
        SimulateConfig(
            cohort,
            subjects,
            spacing_mm=2.0,
            seed=12,
            workers=2,
            missing=0.1,
            defaced=0.3,
            measured=False,
            labels=labels_from,
        )
    )
    features, truth = shortcut_features(cohort)
    masks = out / f"{cohort.name}-masks"  # the same people as derivatives: raw heads come without a mask
    simulate(SimulateConfig(masks, subjects, preprocessed=True, seed=12, workers=2, measured=False, labels=labels_from))
    features = features.join(mask_features(masks))
    features["mask head size"] = truth.icv_mm3
    both = truth.diagnosis.isin(["CN", "AD"]).to_numpy()
    labels = (truth.diagnosis[both] == "AD").to_numpy().astype(int)
    kinds = {
        "header": ["shape", "zoom", "affine", "axis", "dtype"], "air": ["air"], "missing cells": ["missing"],
        "file order": ["order"], "site": ["site"], "anatomy": ["anatomy"],
        "brain mask and head size": ["mask"], "all": [""],
    }  # fmt: skip
    rows = []
    for kind, starts in kinds.items():
        names = [name for name in features if name.startswith(tuple(starts))]
        if not names or (kind == "anatomy" and truth.anatomy.nunique() == 1):
            continue
        chosen = features.loc[both, names].to_numpy(dtype=float)
        linear, forest = (interval(auc, labels, cross_validated(chosen, labels, f)) for f in (False, True))
        rows.append([kind, str(len(names)), linear, forest])
    say(markdown(["what is seen", "features", "AUC AD vs CN, logistic", "forest"], rows))
    for name in ("site", "anatomy"):
        if truth[name].nunique() > 1:
            say(
                f"{name} against diagnosis, chi square p = {chi2_contingency(pd.crosstab(truth[name], truth.diagnosis))[1]:.2f}\n"
            )


def likeness(out: Path, subjects: int) -> None:
    """Quality control, noise and intensity of mild simulations beside real scans, and a page of slices to look at."""
    for labels in (None, Path(sys.argv[4]) if len(sys.argv) > 4 else None):
        name = "labels" if labels else "template"
        if name == "template" or labels:
            cohort = out / f"mild-{name}"
            simulate(
                SimulateConfig(cohort, subjects, spacing_mm=2.0, seed=13, workers=2, appearance="mild", labels=labels)
            )
            preprocess(PreprocessConfig((cohort,), out / f"mild-{name}-prep", workers=2))
    preprocess(PreprocessConfig((ixi()[0].parent,), out / "ixi-prep", workers=2))
    numbers = (
        "snr",
        "cnr",
        "air_noise_percent",
        "gray_level",
        "white_level",
        "fluid_level",
        "cjv",
        "gray_white_contrast",
    )
    rows = []
    for folder in sorted(out.glob("*-prep")):
        status = pd.read_csv(folder / "status.tsv", sep="\t")
        verdicts = status.verdict.value_counts().to_dict()
        row = [folder.name.removesuffix("-prep"), str(len(status)), " ".join(f"{k} {v}" for k, v in verdicts.items())]
        row += ["/".join(f"{q:.3g}" for q in status[n].quantile([0.05, 0.5, 0.95])) for n in numbers]
        rows.append(row)
    say(markdown(["scans", "n", "verdicts", *numbers], rows))
    page(out)


def page(out: Path) -> None:
    """Slices of simulated and real scans side by side, and histograms of their brains."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    groups = {p.name: [s for s in sorted(p.glob("sub-*/anat/*_T1w.nii.gz")) if "desc" not in s.name] for p in
              sorted(out.glob("mild-*")) if not p.name.endswith("-prep")}  # fmt: skip
    shown = [(name, path) for name, paths in groups.items() for path in spread(paths, 4)]
    shown += [("real", path) for path in [*spread(ixi(), 3), *oasis(), *trio()]]
    figure, axes = plt.subplots(len(shown), 4, figsize=(11, 2.6 * len(shown)))
    for row, (name, path) in zip(axes, shown, strict=True):
        image = nib.as_closest_canonical(nib.load(path))
        voxels, zooms = np.asarray(image.dataobj, dtype=np.float32), image.header.get_zooms()
        x, y, z = voxels.shape
        cuts = (
            (voxels[x // 2], 1, 2),
            (voxels[int(0.38 * x)], 1, 2),
            (voxels[:, y // 2], 0, 2),
            (voxels[:, :, int(0.6 * z)], 0, 1),
        )
        for axis, (cut, across, up) in zip(row, cuts, strict=True):
            axis.imshow(
                cut.T, origin="lower", cmap="gray", vmax=np.percentile(voxels, 99.5), aspect=zooms[up] / zooms[across]
            )
            axis.axis("off")
        row[0].set_title(f"{name} {path.name[:24]}", fontsize=7)
    figure.tight_layout()
    figure.savefig(out / "page.png", dpi=70)
    figure, axis = plt.subplots(figsize=(7, 4))
    for folder in sorted(out.glob("*-prep")):
        counts = np.zeros(60)
        for path in spread(sorted(folder.glob("sub-*/**/*_T1w.nii.gz")), 30):
            voxels = np.asarray(nib.load(path).dataobj)
            counts += np.histogram(voxels[voxels > 0], bins=60, range=(0, 1), density=True)[0] / 30
        axis.plot(np.linspace(0, 1, 60), counts, label=folder.name.removesuffix("-prep"))
    axis.legend()
    axis.set_xlabel("intensity after preprocessing")
    figure.savefig(out / "histograms.png", dpi=70)


def speed(out: Path, subjects: int) -> None:
    """Subjects a second on two workers, start-up included."""
    rows = []
    for name, options in {
        "preprocessed": {"preprocessed": True},
        "raw, 2 mm": {"spacing_mm": 2.0},
        "raw, 1 mm": {},
    }.items():
        people = subjects if name != "raw, 1 mm" else max(subjects // 5, 4)
        began = time.perf_counter()
        simulate(SimulateConfig(out / f"speed-{name}-{time.time_ns()}", people, workers=2, seed=3, **options))
        seconds = time.perf_counter() - began
        rows.append([name, str(people), f"{seconds:.1f}", f"{people / seconds:.2f}"])
    say(markdown(["kind", "subjects", "seconds, 2 workers", "subjects / s"], rows))
    say(f"peak of this process {peak_gb():.2f} GB\n")


if __name__ == "__main__":
    chosen = {"marginals": marginals, "shortcut": shortcut, "likeness": likeness, "speed": speed}[sys.argv[2]]
    chosen(Path(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 600)
