"""A small picture of a scan with its map, for the index of a cohort."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEIGHT = 96  # pixels; ten thousand of them make a page of some 30 MB
SHOWN_FROM = 0.15  # of the largest value; what is weaker leaves the anatomy visible


def draw_thumbnail(image: NDArray[Any], heat: NDArray[Any]) -> str:
    """Draw the coronal slice through the map's peak.

    Parameters
    ----------
    image, heat : ndarray (X, Y, Z)
        Preprocessed scan and relevance, in [0, 1], on the model's grid.

    Returns
    -------
    str
        WebP as base64, the subject's left on the left.
    """
    import matplotlib as mpl
    from PIL import Image

    place = int(np.unravel_index(int(np.argmax(heat)), heat.shape)[1])
    gray, warm = (np.clip(array[:, place, ::-1].T, 0, 1) for array in (image, heat))
    overlay = mpl.colormaps["inferno"](warm)[..., :3]
    weight = np.where(warm >= SHOWN_FROM, 0.55, 0.0)[..., None]
    colours = np.rint(255 * (gray[..., None] * (1 - weight) + overlay * weight)).astype(np.uint8)
    picture = Image.fromarray(colours)
    picture = picture.resize(
        (max(1, round(HEIGHT * picture.width / picture.height)), HEIGHT), Image.Resampling.BILINEAR
    )
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=70, method=6)
    return base64.b64encode(stream.getvalue()).decode("ascii")
