"""Why an image is no adult T1 head in the template's place, as far as measurements tell: what was found, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, Volume
from adclip.imaging import cures
from adclip.imaging.steps.view import head_extent_mm

SLAB_MM = 110.0  # an adult brain with cerebellum is about 130 mm wide, 170 long and 120 to 140 high
# Breadth of adult heads 132 to 172 mm, length 167 to 220 (Young 1993, US adults); a field of view adds ears and nose.
HEAD_BREADTH_MM, HEAD_LENGTH_MM = (120.0, 225.0), (155.0, 280.0)
USUAL_BREADTH_MM, USUAL_LENGTH_MM = 160.0, 200.0
ADULT_BRAIN_ML = (900.0, 2100.0)  # as `limits.LIMITS` has it for a verdict without a second look
INFANT_FACTOR = (0.6, 0.92)  # a newborn's head is 0.62 as long as an adult's, that of a child of two years 0.9
TURNED_DEG = 40.0
# Milliseconds at 1.5 to 3 T: white matter 600 to 1100, grey 900 to 1700 (Stanisz 2005, doi:10.1002/mrm.20605; 7 T some 20 % more).
T1_DARK_MS, T1_MIDDLE_MS = (450.0, 1250.0), (800.0, 2000.0)


@dataclass(frozen=True)
class Findings:
    """What was measured of a scan that is refused.

    Parameters
    ----------
    extent_mm, voxel_mm : tuple of float
        Field of view and voxel size along the axes nearest to right, front and top.
    head_mm : tuple of float
        Box of what stands out of the surroundings.
    brain_ml : float
        Volume of what was taken for brain.
    turned_deg : float or None
        Of the head against the header's upright, where it was aligned.
    overlap, correlation : float or None
        With the template, where it was aligned.
    values : tuple of float
        Percentiles 10, 50 and 90 of what was taken for brain, in the file's unit; empty where unknown.
    """

    extent_mm: tuple[float, ...]
    voxel_mm: tuple[float, ...]
    head_mm: tuple[float, ...]
    brain_ml: float
    turned_deg: float | None = None
    overlap: float | None = None
    correlation: float | None = None
    values: tuple[float, ...] = field(default=())

    @classmethod
    def of(cls, volume: Volume, mask: NDArray[np.bool_]) -> Findings:
        """Measure a scan and what was taken for its brain."""
        sizes: FloatArray = np.linalg.norm(volume.affine[:3, :3], axis=0)
        return cls(
            extent_mm=_floats(sizes * volume.array.shape),
            voxel_mm=_floats(sizes),
            head_mm=_floats(head_extent_mm(volume)),
            brain_ml=float(mask.sum()) * float(np.prod(sizes)) / 1000,
        )

    @property
    def size_factor(self) -> float:
        """How much larger the head would have to be to have an adult's usual breadth and length; 1 where one of both is usual."""
        breadth, length = self.head_mm[0], self.head_mm[1]
        fits = (
            HEAD_BREADTH_MM[0] <= breadth <= HEAD_BREADTH_MM[1],
            HEAD_LENGTH_MM[0] <= length <= HEAD_LENGTH_MM[1],
        )
        if any(fits):
            return 1.0
        return float(np.sqrt(USUAL_BREADTH_MM / breadth * USUAL_LENGTH_MM / length))

    def in_words(self) -> str:
        """Return all that was measured in one line."""
        parts = [
            f"field of view {_sizes(self.extent_mm)} mm",
            f"voxels {_sizes(self.voxel_mm, 2)} mm",
            f"head {_sizes(self.head_mm)} mm",
            f"brain {self.brain_ml:.0f} mL",
        ]
        if self.turned_deg is not None:
            parts.append(f"turned by {self.turned_deg:.0f} degrees")
        if self.overlap is not None:
            parts.append(f"overlap with the template {self.overlap:.2f}")
        return ", ".join(parts)


def describe(
    path: Path | str, findings: Findings, subject: str = "SUBJECT", *, let_through: bool = True
) -> tuple[str, str]:
    """Say what an image seems to be in which no adult brain was found, and what to do.

    Parameters
    ----------
    path : Path
        The scan, for the command that is told.
    findings : Findings
        What was measured.
    subject : str
        By which name the scan goes in `adclip preprocess`.
    let_through : bool
        Whether a verdict of the user can help: not where there is no brain to prepare.

    Returns
    -------
    what, remedy : str
        The first names every number that was measured.
    """
    sure = cures.let_through(path, subject)
    what, remedy = _guess(
        path, findings, f"if you are sure that this is a T1 head, let it through: {sure}" if let_through else ""
    )
    return f"{what}; measured: {findings.in_words()}", remedy


def no_head(path: Path | str, subject: str = "SUBJECT") -> tuple[str, str]:
    """Return the words and the remedy for an image of which no more is known than that no head is in it."""
    return (
        "this looks like a phantom or another part of the body",
        f"check that this is a T1-weighted head scan; if you are sure, let it through: {cures.let_through(path, subject)}",
    )


def looks_like_t1_map(values: tuple[float, ...]) -> bool:
    """Tell whether the values inside a brain are those of a map of T1 times, in milliseconds or seconds."""
    if len(values) != 3:
        return False
    return any(
        T1_DARK_MS[0] <= values[0] * unit <= T1_DARK_MS[1] and T1_MIDDLE_MS[0] <= values[1] * unit <= T1_MIDDLE_MS[1]
        for unit in (1.0, 1000.0)
    )


def t1_map_words(values: tuple[float, ...]) -> str:
    """Name the values that made an image look like a map of T1 times."""
    shown = ", ".join(f"{value:.3g}" for value in values)
    return f"a map of T1 times (10, 50 and 90 % of the brain lie below {shown}: white matter is darker than grey)"


def _guess(path: Path | str, found: Findings, sure: str) -> tuple[str, str]:
    """Return what the first measurement out of the ordinary says; `sure` is what a user who knows better can do."""
    # Before the slab: voxels stated too small make every field of view small, and a slab leaves breadth or length as they are.
    factor = found.size_factor
    if factor != 1.0:
        size = f"the head would be {found.head_mm[0]:.0f} mm wide and {found.head_mm[1]:.0f} mm long"
        whose = "an infant's or a child's head, or a wrong voxel size" if 1 / factor >= INFANT_FACTOR[0] and factor > 1 else (
            "a wrong voxel size, or no human head")  # fmt: skip
        return (
            f"{whose}: {size}, an adult's is about {USUAL_BREADTH_MM:.0f} and {USUAL_LENGTH_MM:.0f}",
            f"adclip is for adults. If the header's voxel size is wrong, write the true one: {cures.resize(path, round(factor, 2))} "
            f"(the last number is true size / stated size, here guessed), and give that file",
        )
    if min(found.extent_mm) < SLAB_MM:
        axis = ("right to left", "front to back", "top to bottom")[int(np.argmin(found.extent_mm))]
        return (
            f"a slab: it covers {min(found.extent_mm):.0f} mm from {axis}, a brain needs {SLAB_MM:.0f} and more",
            _joined("give the T1 scan of the whole head", sure),
        )
    if looks_like_t1_map(found.values):
        return t1_map_words(found.values), _joined("give the T1-weighted image of the same acquisition", sure)
    if not ADULT_BRAIN_ML[0] <= found.brain_ml <= ADULT_BRAIN_ML[1] and found.brain_ml >= 100:
        return (
            f"a brain of {found.brain_ml:.0f} mL, where adults have {ADULT_BRAIN_ML[0]:.0f} to {ADULT_BRAIN_ML[1]:.0f}: an infant's, "
            "a wrong voxel size, a head that lies far from upright, or no T1 contrast",
            _joined("look at the scan in a viewer: head upright, whole and T1-weighted?", sure),
        )
    if found.turned_deg is not None and found.turned_deg > TURNED_DEG:
        return (
            f"a head turned by {found.turned_deg:.0f} degrees from where its header says",
            f"if the header is wrong, drop its directions: {cures.drop_directions(path)}, give that file and "
            "say where its stored axes grow to, for example `--orientation RAS`",
        )
    return "this looks like a phantom or another part of the body", _joined(
        "check that this is a T1-weighted head scan", sure
    )


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _sizes(values: tuple[float, ...], digits: int = 0) -> str:
    return " x ".join(f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}" for value in values)


def _floats(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
