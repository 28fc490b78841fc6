"""The picture by which a person checks one scan: nine slices, the brain mask's outline and the template's.

Drawn with NumPy and Pillow: matplotlib takes half a second to import and longer to draw, and a cohort has many scans.
"""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract, Volume
from adclip.imaging.quality.measurements import template_on

if TYPE_CHECKING:
    from PIL import Image

# Fixed places (MNI mm), so that pictures of different people can be compared: both temporal lobes and the midline; frontal
# horns, hippocampus, occipital lobe; temporal lobes, basal ganglia, centrum semiovale.
SLICES_MM = ((-28.0, 2.0, 28.0), (12.0, -22.0, -62.0), (-18.0, 8.0, 38.0))
PIXEL_MM = 1.0
GAP = 4  # pixels between slices
MASK_COLOR = (255, 200, 0)
TEMPLATE_COLOR = (70, 200, 255)
TEXT_COLOR = (215, 215, 215)
QUALITY = 35  # WebP: about 20 kB for a preprocessed scan, 35 kB with scalp; JPEG needs twice that for the same picture


def draw_qc(
    image: FloatArray,
    mask: NDArray[np.bool_],
    contract: InputContract,
    *,
    scan_to_mni: FloatArray | None = None,
    volume: Volume | None = None,
) -> bytes:
    """Draw three sagittal, coronal and axial slices.

    Parameters
    ----------
    image : ndarray of shape `contract.shape_xyz`
        Preprocessed scan in [0, 1].
    mask : ndarray of shape `contract.shape_xyz`, bool
        Brain: a solid yellow line. The template's brain is a dotted blue line.
    contract : InputContract
        The grid.
    scan_to_mni, volume : optional
        With both, the slices show the scan itself with scalp and skull, so that brain outside the mask is seen. Without,
        they show `image`, which is empty there.

    Returns
    -------
    bytes
        WebP. The same inputs give the same bytes.

    Notes
    -----
    Neurological view: the subject's left is on the left of coronal and axial slices, and marked so. On sagittal
    slices the front is on the right.
    """
    from PIL import Image, ImageDraw

    template = template_on(contract).brain
    shade = _shading(image, mask, contract, scan_to_mni, volume)
    rows: list[list[Image.Image]] = []
    for axis, places in enumerate(SLICES_MM):
        rows.append([_draw_slice(shade, mask, template, contract, axis, place) for place in places])
    width = max(sum(panel.width + GAP for panel in row) for row in rows) + GAP
    height = sum(row[0].height + GAP for row in rows) + GAP
    canvas = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(canvas)
    top_px = GAP
    for axis, (row, places) in enumerate(zip(rows, SLICES_MM, strict=True)):
        room = width - sum(panel.width for panel in row)
        left_px = room // 4
        for panel, place in zip(row, places, strict=True):
            canvas.paste(panel, (left_px, top_px))
            write = partial(pen.text, fill=TEXT_COLOR, stroke_width=1, stroke_fill=(0, 0, 0))
            write((left_px + 2, top_px), f"{'xyz'[axis]} {place:+.0f}")
            if axis:
                bottom_px = top_px + panel.height - 13
                write((left_px + 2, bottom_px), "L")
                write((left_px + panel.width - 9, bottom_px), "R")
            left_px += panel.width + room // 4
        top_px += row[0].height + GAP
    stream = io.BytesIO()
    canvas.save(stream, format="WEBP", quality=QUALITY, method=4)
    return stream.getvalue()


class _Shading:
    """Gray levels of any slice of the contract's box."""

    def __init__(self, array: FloatArray, to_voxels: FloatArray, low: float, high: float) -> None:
        self._array, self._to_voxels, self._low, self._high = array, to_voxels, low, high

    def __call__(self, points_mm: FloatArray) -> NDArray[np.uint8]:
        """Return levels (rows, columns) at MNI points (rows, columns, 3)."""
        from scipy import ndimage

        voxels = points_mm @ self._to_voxels[:3, :3].T + self._to_voxels[:3, 3]
        intensities = ndimage.map_coordinates(
            self._array, np.moveaxis(voxels, -1, 0), order=1, mode="constant", cval=self._low, prefilter=False
        )
        scaled = (intensities - self._low) / max(self._high - self._low, 1e-6)
        return np.asarray(np.clip(scaled, 0, 1) * 235, dtype=np.uint8)


def _shading(
    image: FloatArray,
    mask: NDArray[np.bool_],
    contract: InputContract,
    scan_to_mni: FloatArray | None,
    volume: Volume | None,
) -> _Shading:
    if scan_to_mni is None or volume is None:
        return _Shading(image, np.linalg.inv(contract.affine_xyz), 0.0, 1.0)
    to_voxels = np.linalg.inv(scan_to_mni @ volume.affine)
    # Thousands of brain voxels tell the range as well as millions.
    inside = np.argwhere(mask)[:: max(1, int(mask.sum()) // 20000)]
    grid_to_voxels = to_voxels @ contract.affine_xyz
    voxels = np.rint(inside @ grid_to_voxels[:3, :3].T + grid_to_voxels[:3, 3]).astype(int)
    voxels = voxels[np.all((voxels >= 0) & (voxels < volume.array.shape), axis=1)]
    if not len(voxels):
        return _Shading(image, np.linalg.inv(contract.affine_xyz), 0.0, 1.0)
    _, high = np.percentile(volume.array[tuple(voxels.T)], contract.percentiles)
    return _Shading(volume.array, to_voxels, min(0.0, float(volume.array.min())), float(high))


def _draw_slice(
    shade: _Shading,
    mask: NDArray[np.bool_],
    template: NDArray[np.bool_],
    contract: InputContract,
    axis: int,
    place_mm: float,
) -> Image.Image:
    from PIL import Image

    across, up = (plane_axis for plane_axis in range(3) if plane_axis != axis)
    sizes, origin = np.array(contract.spacing_xyz_mm), contract.affine_xyz[:3, 3]
    extent = np.array(contract.shape_xyz) * sizes
    columns, rows = (round(float(extent[plane_axis] / PIXEL_MM)) for plane_axis in (across, up))
    points = np.empty((rows, columns, 3))
    points[..., axis] = place_mm
    points[..., across] = origin[across] - sizes[across] / 2 + (np.arange(columns) + 0.5) * PIXEL_MM
    points[..., up] = (origin[up] - sizes[up] / 2 + (np.arange(rows) + 0.5) * PIXEL_MM)[::-1, None]
    picture = np.repeat(shade(points)[..., None], 3, axis=2)
    index = int(np.clip(round(float((place_mm - origin[axis]) / sizes[axis])), 0, contract.shape_xyz[axis] - 1))
    for volume, color, dotted in ((template, TEMPLATE_COLOR, True), (mask, MASK_COLOR, False)):
        plane = Image.fromarray(np.where(np.take(volume, index, axis).T[::-1], 255, 0).astype(np.uint8))
        inside = np.asarray(plane.resize((columns, rows), Image.Resampling.BILINEAR)) > 127
        line = inside & ~_shrink(inside)
        if dotted:
            line &= np.add.outer(np.arange(rows), np.arange(columns)) % 4 < 2
        picture[line] = color
    return Image.fromarray(picture)


def _shrink(inside: NDArray[Any]) -> NDArray[np.bool_]:
    """Remove pixels that touch the outside at an edge; the picture's border counts as outside."""
    padded = np.pad(inside, 1)
    return np.asarray(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])
