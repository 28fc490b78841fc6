"""Still pictures of a heatmap over a scan."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import InputContract

SHOWN_FROM = 0.15  # relevance below this is left transparent, so that the anatomy stays visible
PLANES = ("sagittal", "coronal", "axial")


def draw_overlay(
    image: NDArray[Any], heat: NDArray[Any], contract: InputContract, title: str, outline: NDArray[Any] | None = None
) -> bytes:
    """Draw three planes through the heatmap's peak and two more slices of each, as PNG.

    Parameters
    ----------
    image : ndarray (X, Y, Z)
        Preprocessed scan in [0, 1] on the contract's grid.
    heat : ndarray (X, Y, Z)
        Relevance in [0, 1] on the same grid.
    contract : InputContract
        For the millimetres beside the slices.
    title : str
        Lines above the picture.
    outline : ndarray of bool (X, Y, Z), optional
        A region to draw as a line.

    Notes
    -----
    Neurological view: the subject's left is on the left of the picture, and marked so.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    peak = np.unravel_index(int(np.argmax(heat)), heat.shape)
    figure = Figure(figsize=(10.5, 9.6), facecolor="black", layout="constrained")
    axes = figure.subplots(3, 3)
    affine = contract.affine_xyz
    for axis, plane in enumerate(PLANES):
        for column, offset_mm in enumerate((-20.0, 0.0, 20.0)):
            step = round(offset_mm / contract.spacing_xyz_mm[axis])
            place = int(np.clip(int(peak[axis]) + step, 0, heat.shape[axis] - 1))
            panel = axes[axis, column]
            picture, warm = np.take(image, place, axis).T, np.take(heat, place, axis).T
            panel.imshow(picture, cmap="gray", origin="lower", vmin=0, vmax=1)
            panel.imshow(
                np.ma.masked_less(warm, SHOWN_FROM), cmap=mpl.colormaps["inferno"], origin="lower", vmin=0, vmax=1,
                alpha=0.55,
            )  # fmt: skip
            if outline is not None and np.take(outline, place, axis).any():
                panel.contour(np.take(outline, place, axis).T, [0.5], colors="cyan", linewidths=0.7)
            millimetres = affine[axis, axis] * place + affine[axis, 3]
            panel.set_title(f"{plane} {'xyz'[axis]} = {millimetres:.0f} mm", color="white", fontsize=9)
            if plane != "sagittal":
                for x, side in ((0.02, "L"), (0.95, "R")):
                    panel.text(x, 0.03, side, transform=panel.transAxes, color="white", fontsize=9)
            panel.axis("off")
    figure.suptitle(title, color="white", fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90, metadata={"Software": None})
    return stream.getvalue()
