"""What lies around the template's brain: a schematic head of shells, ellipsoids and a neck.

nilearn's template has no skull. This one is drawn, not measured: it is there so that brain extraction and registration meet
the bright and dark tissue that surrounds a real brain. Label maps of whole heads (`--labels`) bring their own.
All positions and sizes are template millimetres (x right, y anterior, z superior), judged on three real scans.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray

Centre = tuple[float, float, float]
Mask = NDArray[np.bool_]

# Distance from the cranial cavity at which each shell ends, mm; scalp fat ends at the skin.
SUBARACHNOID, INNER_TABLE, DIPLOE, OUTER_TABLE, SCALP_FAT, SKIN = 1.5, 3.5, 6.0, 8.0, 12.0, 14.0
FACE: tuple[tuple[Centre, Centre], ...] = (
    ((0, 34, -58), (64, 58, 62)),  # cheeks and orbits
    ((0, 94, -50), (13, 14, 20)),  # nose
    ((0, 50, -104), (46, 42, 30)),  # jaw
    ((71, -22, -42), (7, 13, 24)),  # ears
    ((-71, -22, -42), (7, 13, 24)),
)
NECK_CENTRE_Y, NECK_RADII, NECK_TOP = -36.0, (56.0, 58.0), -40.0
AIR: tuple[tuple[Centre, Centre], ...] = (
    ((0, 66, -54), (9, 26, 18)),  # nasal cavity
    ((27, 56, -64), (12, 14, 15)),  # maxillary sinuses
    ((-27, 56, -64), (12, 14, 15)),
    ((0, 26, -36), (11, 10, 9)),  # sphenoid sinus
    ((0, 50, -34), (10, 16, 8)),  # ethmoid cells
    ((0, 20, -92), (8, 7, 44)),  # pharynx
    ((42, -32, -62), (9, 10, 10)),  # mastoid cells
    ((-42, -32, -62), (9, 10, 10)),
)
EYES: tuple[Centre, ...] = ((31, 62, -36), (-31, 62, -36))
EYE_RADIUS, ORBIT_RADIUS = 12.0, 20.0
BONES: tuple[tuple[Centre, Centre], ...] = (
    ((36, -22, -50), (24, 13, 13)),  # petrous bones
    ((-36, -22, -50), (24, 13, 13)),
    ((0, 14, -52), (14, 26, 10)),  # clivus and skull base
    ((0, 74, -82), (24, 9, 10)),  # teeth
)
VERTEBRAE = ((0.0, -14.0), (14.0, 11.0))  # centre x, y and radii
SPINAL_CANAL, CORD_RADIUS, CANAL_RADIUS = (0.0, -34.0), 5.5, 9.0


def draw_surroundings(brain: FloatArray, affine: NDArray[np.float64]) -> dict[str, Mask]:
    """Give every voxel outside the brain one tissue.

    Parameters
    ----------
    brain : ndarray (X, Y, Z)
        Share of each voxel that is brain or inner CSF, on an isotropic grid.
    affine : ndarray (4, 4)
        Voxel to template millimetres, without rotation.

    Returns
    -------
    dict of ndarray (X, Y, Z), bool
        Tissue name of `tissues.TISSUES` -> voxels; disjoint. What no mask holds is air, or brain.
    """
    from scipy.ndimage import distance_transform_edt

    spacing_mm = float(affine[0, 0])
    x, y, z = (
        (affine[axis, 3] + spacing_mm * np.arange(size, dtype=np.float32)).reshape(
            [-1 if a == axis else 1 for a in range(3)]
        )
        for axis, size in enumerate(brain.shape)
    )
    inside = brain > 0.5
    cavity = _closed(inside, 12.0 / spacing_mm)
    outward = distance_transform_edt(~cavity, sampling=spacing_mm).astype(np.float32)

    def ellipsoid(centre: Centre, radii: Centre) -> Mask:
        mask: Mask = (
            ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((z - centre[2]) / radii[2]) ** 2
        ) < 1
        return mask

    def tube(centre: tuple[float, float], radii: tuple[float, float]) -> Mask:
        mask: Mask = (((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 < 1) & (z < NECK_TOP)
        return mask

    def any_of(shapes: tuple[tuple[Centre, Centre], ...]) -> Mask:
        return np.logical_or.reduce([ellipsoid(*shape) for shape in shapes])

    # below this slanting plane the shells of the vault give way to face and neck
    vault = z > -38.0 + 0.25 * (y + 20.0).clip(-90, 90)
    body = any_of(FACE) | tube((0.0, NECK_CENTRE_Y), NECK_RADII) | (outward < SKIN)
    depth = distance_transform_edt(body, sampling=spacing_mm).astype(np.float32)
    tissue: dict[str, Mask] = {}
    unassigned = body & ~inside

    def take(name: str, where: Mask) -> None:
        nonlocal unassigned
        assigned = where & unassigned
        tissue[name] = tissue[name] | assigned if name in tissue else assigned
        unassigned = unassigned & ~assigned

    take("csf", cavity | (outward < SUBARACHNOID))
    take("csf", tube(SPINAL_CANAL, (CANAL_RADIUS, CANAL_RADIUS)) & ~tube(SPINAL_CANAL, (CORD_RADIUS, CORD_RADIUS)))
    take("brainstem", tube(SPINAL_CANAL, (CORD_RADIUS, CORD_RADIUS)))
    take("skin", depth < 2.0)
    take("vitreous", np.logical_or.reduce([ellipsoid(eye, (EYE_RADIUS,) * 3) for eye in EYES]))
    take("bone", (outward < INNER_TABLE) | (vault & (outward >= DIPLOE) & (outward < OUTER_TABLE)))
    take("marrow", vault & (outward < DIPLOE))
    take("fat", (vault & (outward < SCALP_FAT)) | (depth < 6.0))
    take("fat", np.logical_or.reduce([ellipsoid(eye, (ORBIT_RADIUS,) * 3) for eye in EYES]))
    air = any_of(AIR)
    take("mucosa", any_of(tuple((centre, (r[0] + 2, r[1] + 2, r[2] + 2)) for centre, r in AIR)) & ~air)
    unassigned &= ~air
    take("bone", any_of(BONES))
    spine = tube(*VERTEBRAE)
    take("bone", spine & (np.mod(z, 18.0) < 4.0))
    take("marrow", spine)
    take("muscle", unassigned)
    return tissue


def _closed(mask: Mask, radius: float) -> Mask:
    """Close gaps narrower than twice `radius` voxels: by distances, which is fast for large radii."""
    from scipy.ndimage import distance_transform_edt

    grown = np.pad(mask, int(np.ceil(radius)) + 1)
    grown = distance_transform_edt(~grown) < radius
    shrunk = distance_transform_edt(grown) >= radius
    pad = int(np.ceil(radius)) + 1
    result: Mask = shrunk[pad:-pad, pad:-pad, pad:-pad] | mask
    return result
