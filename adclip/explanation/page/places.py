"""Where regions lie for a page: their codes in the viewer's label image, and the place that a click on their row leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adclip.domain import FloatArray
from adclip.explanation.page.content import Region, Regions
from adclip.explanation.region_table import RegionRow
from adclip.explanation.region_words import CAPTION, HEADERS, to_page_cells


def regions_of(rows: Sequence[RegionRow], codes: Mapping[str, int], mni_from_shown: FloatArray) -> Regions:
    """Lay out how much of the map each region holds.

    Parameters
    ----------
    rows : sequence of RegionRow
        The most relevant first.
    codes : mapping
        `Region.key` -> its value in the label image.
    mni_from_shown : ndarray (4, 4)
        Millimetres of the image shown to MNI millimetres.
    """
    to_shown = np.linalg.inv(mni_from_shown)
    found = []
    for row in rows:
        name, *cells = to_page_cells(row)
        found.append(Region(name, tuple(cells), codes.get(row.region.key), _shown(row.peak_mm, to_shown)))
    return Regions(CAPTION, HEADERS, tuple(found))


def _shown(peak_mm: tuple[float, float, float] | None, to_shown: FloatArray) -> tuple[float, float, float] | None:
    if peak_mm is None:
        return None
    x, y, z = (round(float(value), 2) for value in to_shown[:3, :3] @ peak_mm + to_shown[:3, 3])
    return x, y, z
