"""Sites and scanners, and what of a head a scan holds: voxels, field of view, orientation, defacing, skull-stripping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adclip.simulation.paint import Look

STREAM_SITES = 101  # of the random numbers that all subjects share
SLICE_AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
# Field of view, mm: width, depth and height with their standard deviations among scanners; room above the vertex. Judged
# on the headers of MPRAGE protocols: about 180 x 240 x 240 mm.
FIELD_OF_VIEW_MM, FIELD_SD_MM = (190.0, 236.0, 232.0), (5.0, 6.0, 8.0)
VERTEX_MM = (104.0, 4.0)  # template height of the upper face, and its standard deviation among scans
CENTRE_Y_MM = -12.0
OBLIQUE_DEGREES = 4.0  # standard deviation of a tilted slab's angles, at the sites that tilt it
GREY_LEVELS = (300.0, 1500.0)  # what white matter becomes in the int16 file (arbitrary unit)


@dataclass(frozen=True)
class Scanner:
    """One site's scanner: what all its scans have in common.

    Parameters
    ----------
    site : str
        `S01` and so on.
    name : str
        Invented model name.
    field_strength_t : float
        1.5 or 3 T: more signal at 3.
    axes : str
        Axis codes of the files, for example `LAS`.
    slices : str
        `sagittal`, `coronal` or `axial`.
    gray, csf : float
        Levels of the site's contrast relative to white matter.
    noise : float
        Factor on the noise of its scans.
    thickness : float
        Slice thickness over the in-plane voxel size.
    field_mm : tuple of float
        Width (x), depth (y) and height (z) of the field of view.
    oblique : bool
        Whether slabs are tilted to the patient.
    """

    site: str
    name: str
    field_strength_t: float
    axes: str
    slices: str
    gray: float
    csf: float
    noise: float
    thickness: float
    field_mm: tuple[float, float, float]
    oblique: bool

    @property
    def slice_axis(self) -> int:
        """Axis of RAS+ along which slices are stacked."""
        return SLICE_AXES[self.slices]


@dataclass(frozen=True)
class Slab:
    """Voxels of one scan in RAS+ order.

    Parameters
    ----------
    shape : tuple of int
    spacing_mm : tuple of float
    affine : ndarray (4, 4)
        Voxel to scanner millimetres; tilted where the slab is.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64]


def draw_scanners(seed: int, sites: int, look: Look) -> tuple[Scanner, ...]:
    """Draw the scanners of a cohort; the n-th site of a seed is the same however many there are."""
    scanners = []
    for index in range(sites):
        rng = np.random.default_rng([seed, STREAM_SITES, index])
        field_t = float(rng.choice([1.5, 3.0], p=[0.3, 0.7]))
        axes = "".join(str(rng.choice(list(pair))) for pair in rng.permutation(["RL", "AP", "SI"]))
        field = tuple(float(np.round(rng.normal(m, sd))) for m, sd in zip(FIELD_OF_VIEW_MM, FIELD_SD_MM, strict=True))
        scanners.append(
            Scanner(
                site=f"S{index + 1:02d}",
                name=f"Simulated {chr(65 + index % 26)} {field_t:g}T",
                field_strength_t=field_t,
                axes=axes,
                slices=str(rng.choice(list(SLICE_AXES))),
                gray=float(rng.uniform(*look.gray)),
                csf=float(rng.uniform(*look.csf)),
                noise=float(rng.uniform(0.8, 1.2) * (1.3 if field_t < 2 else 0.9)),
                thickness=float(np.round(rng.uniform(1.0, look.thickness), 1)),
                field_mm=(field[0], field[1], field[2]),
                oblique=bool(rng.random() < 0.4),
            )
        )
    return tuple(scanners)


def draw_slab(scanner: Scanner, spacing_mm: float, rng: np.random.Generator, thickness_mm: float | None) -> Slab:
    """Place one scan's voxels around a head at the origin of template space.

    The field of view belongs to the scanner and its operator, not to the size of the head.
    """
    spacing = [spacing_mm] * 3
    spacing[scanner.slice_axis] = thickness_mm or round(spacing_mm * scanner.thickness, 2)
    shape = tuple(int(np.ceil(size / step)) for size, step in zip(scanner.field_mm, spacing, strict=True))
    upper_mm = rng.normal(*VERTEX_MM)
    shift_x, shift_y = rng.normal(0, 3, 2)
    centre = np.array([shift_x, CENTRE_Y_MM + shift_y, upper_mm - scanner.field_mm[2] / 2])
    tilt = np.eye(3)
    if scanner.oblique:
        from scipy.spatial.transform import Rotation

        tilt = Rotation.from_euler("xyz", rng.normal(0, OBLIQUE_DEGREES, 3), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.diag(spacing)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Slab((shape[0], shape[1], shape[2]), (spacing[0], spacing[1], spacing[2]), affine)


def in_file_order(
    array: NDArray[np.int16], affine: NDArray[np.float64], axes: str
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Reorder a RAS+ array and its affine to the axis codes `axes`; the head stays where it is."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

    change = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(tuple(axes)))
    stored: NDArray[np.int16] = np.ascontiguousarray(apply_orientation(array, change))
    return stored, affine @ inv_ornt_aff(change, array.shape)
