"""Made-up tables of segmentation programs, in the forms that the programs write. No real person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ASEG = {
    "Left-Lateral-Ventricle": (4, 10000.5), "Left-Inf-Lat-Vent": (5, 300.0), "3rd-Ventricle": (14, 900.0),
    "4th-Ventricle": (15, 1600.0), "Left-Hippocampus": (17, 4000.2), "Left-choroid-plexus": (31, 500.0),
    "Right-Lateral-Ventricle": (43, 9000.0), "Right-Inf-Lat-Vent": (44, 250.0), "Right-Hippocampus": (53, 4100.0),
    "Right-choroid-plexus": (63, 450.0),
}  # fmt: skip
VENTRICLES = 10000.5 + 300 + 900 + 1600 + 500 + 9000 + 250 + 450
CORTEX = {
    "ctx-lh-entorhinal": (1006, 1700.5), "ctx-lh-fusiform": (1007, 9000.0), "ctx-lh-middletemporal": (1015, 9500.0),
    "ctx-rh-entorhinal": (2006, 1600.0), "ctx-rh-fusiform": (2007, 9100.0), "ctx-rh-middletemporal": (2015, 9600.0),
}  # fmt: skip
HEAD_ONLY = {"Skull": (165, 8e5), "Soft-Nonbrain-Tissue": (258, 9e5), "Fluid-Inside-Eyes": (259, 9000.0)}
GLOBAL = {"BrainSegVol": 1.15e6, "BrainSegVolNotVent": 1110000.5, "EstimatedTotalIntraCranialVol": 1500000.25}
ETIV = "# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, {}, mm^3\n"
BY_FASTSURFER = "# Title Segmentation Statistics\n#\n# generating_program segstats.py\n# FastSurfer_version 2.4.2\n"
BY_FREESURFER = "# Title Segmentation Statistics\n#\n# generating_program mri_segstats\n"

SYNTHSEG_SIDES = (
    "cerebral white matter", "cerebral cortex", "lateral ventricle", "inferior lateral ventricle", "cerebellum white matter",
    "cerebellum cortex", "thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala", "accumbens area", "ventral DC",
)  # fmt: skip
SYNTHSEG = {
    "total intracranial": 1.5e6, "3rd ventricle": 1000.0, "4th ventricle": 1500.0, "brain-stem": 20000.0, "csf": 3e5,
    **{f"{side} {name}": 250000.0 if "cerebral" in name else 4000.25 for side in ("left", "right") for name in SYNTHSEG_SIDES},
}  # fmt: skip
MUSE = {
    702: 1.4e6,
    701: 1.2e6,
    47: 4100.0,
    48: 4000.0,
    4: 900.0,
    11: 1600.0,
    49: 300.0,
    50: 250.0,
    51: 9000.0,
    52: 8000.0,
}


def stats(structures: Mapping[str, tuple[int, float]], head: str = "") -> str:
    """Return a table of one scan as mri_segstats and segstats.py write it."""
    rows = (
        f"{place:3d} {code:4d} {int(volume):8d} {volume:10.3f}  {name:<30} 60.0 9.0 1 100 99\n"
        for place, (name, (code, volume)) in enumerate(structures.items(), 1)
    )
    columns = "# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange\n"
    return head + columns + "".join(rows)


def measures(structures: Mapping[str, tuple[int, float]], intracranial: float | None) -> str:
    """Return samseg.stats: a line for each structure."""
    lines = [] if intracranial is None else [f"# Measure Intra-Cranial, {intracranial:.6f}, mm^3"]
    lines += [f"# Measure {name}, {volume:.6f}, mm^3" for name, (_, volume) in structures.items()]
    return "\n".join(lines) + "\n"


def samseg_csv(structures: Mapping[str, tuple[int, float]], intracranial: float) -> str:
    lines = ["ROI,volume_mm3,volume_ICV_x1000", f"Intra-Cranial,{intracranial:.6f},1000"]
    lines += [f"{name},{volume:.6f},{1000 * volume / intracranial:.6f}" for name, (_, volume) in structures.items()]
    return "\n".join(lines) + "\n"


def wide(
    first: str, columns: Mapping[str, float], names: Sequence[str], sep: str = "\t", **altered: Mapping[str, float]
) -> str:
    """Return a table with a row for each name; `altered` gives a name other volumes."""
    lines = [sep.join((first, *columns))]
    for name in names:
        volumes = {**columns, **altered.get(name, {})}
        lines.append(sep.join((name, *(repr(volumes[column]) for column in columns))))
    return "\n".join(lines) + "\n"


def transposed(first: str, columns: Mapping[str, float], names: Sequence[str], sep: str = "\t") -> str:
    """Return the same table with a row for each structure."""
    lines = [sep.join((first, *names))]
    lines += [sep.join((column, *(repr(volume) for _ in names))) for column, volume in columns.items()]
    return "\n".join(lines) + "\n"


def aseg_columns(*further: Mapping[str, tuple[int, float]]) -> dict[str, float]:
    """Return asegstats2table's columns without the global measures."""
    return {name: volume for part in (ASEG, *further) for name, (_, volume) in part.items()}
