"""Where relevance lies, in words: rows of a page, and sentences that join how relevant a region is with how large it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adclip.explanation.region_table import RegionRow, cell
from adclip.imaging.volumes.partition import REST, Region

HEADERS = (
    "region", "relevance", "of the brain", "ratio", "mean, signed", "relevance, L-R", "mm3", "centile", "mm3, L-R", "borders",
)  # fmt: skip
CAPTION = "Relevance by region (ratio 1 is chance)"
USUAL = (10.0, 90.0)  # centiles between which 80 in 100 healthy people lie: a region there is told as of usual size
AT_MOST, FROM, TOGETHER = (
    4,
    0.03,
    0.6,
)  # regions in sentences: how many, of what share, until what part of those with a place is told
AGAINST_AT_MOST = 2
_AND_AGAINST = ", and more that speaks against it"
_WIDE = frozenset({REST, "white_matter"})  # parts that are no place
_VENTRICLES = frozenset({"lateral_ventricle", "third_ventricle", "fourth_ventricle"})  # measured together

Volumes = Mapping[str, Mapping[str, Any]]


def to_page_cells(row: RegionRow) -> list[str]:
    """Return what the page says of a region, under `HEADERS`."""
    return [
        _name(row.region), cell(row.relevance_share, ".1%"), cell(row.volume_share, ".1%"), cell(row.ratio, ".2f"),
        cell(row.mean_signed, "+.3f"), cell(row.relevance_asymmetry, "+.2f"), cell(row.mm3, ".0f"), _short_centile(row),
        cell(row.volume_asymmetry, "+.2f"), row.region.source,
    ]  # fmt: skip


def to_sentences(rows: Sequence[RegionRow], volumes: Volumes | None = None) -> list[str]:
    """Say of the regions that hold most of the relevance how much they hold, and how large they are.

    Parameters
    ----------
    rows : sequence of RegionRow
        The most relevant first.
    volumes : mapping, optional
        As in `region_table`: where only the sum of both sides was measured, or of all ventricles, it is told as such.

    Returns
    -------
    list of str
        Such as `right hippocampus: 4th centile, 31 % of the relevance (22.0 times chance).` Further ones where regions that hold much
        of all values speak against what is explained, where most of the map lies in no region of its own, and where the most
        relevant region was measured and is of usual size.
    """
    relevant = [row for row in rows if row.relevance_share]
    if not relevant:
        return ["The map is flat: no region holds any relevance."]
    wide = sum(row.relevance_share or 0.0 for row in relevant if row.region.name in _WIDE)
    places = [row for row in relevant if row.region.name not in _WIDE and (row.relevance_share or 0.0) >= FROM]
    told: list[RegionRow] = []
    while len(told) < min(len(places), AT_MOST) and sum(row.relevance_share or 0.0 for row in told) < TOGETHER * (
        1 - wide
    ):
        told.append(places[len(told)])
    sentences = [
        f"{_name(row.region)}: {_size_of(row, volumes or {})}{_percent(row.relevance_share)} of the relevance"
        f" ({cell(row.ratio, '.1f')} times chance){_AND_AGAINST if (row.mean_signed or 0.0) < 0 else ''}."
        for row in told
    ]
    if not told:
        sentences.append(f"No region holds {_percent(FROM)} of the relevance: the map is spread over the brain.")
    against = [
        row
        for row in rows
        if row not in told
        and (row.mean_signed or 0.0) < 0
        and (row.absolute_share or 0.0) >= FROM
        and row.region.name not in _WIDE
    ]
    for row in sorted(against, key=lambda row: -(row.absolute_share or 0.0))[:AGAINST_AT_MOST]:
        sentences.append(
            f"{_name(row.region)}: {_size_of(row, volumes or {})}speaks against it, with {_percent(row.absolute_share)} of all relevance"
            " of either sign."
        )
    if wide >= 0.5:
        sentences.append(
            f"{_percent(wide)} of the relevance lies in white matter, sulci and what has no region: the map names no place well."
        )
    measured = [row for row in told if row.centile is not None]
    if measured and _is_usual(measured[0]):
        first = "The most relevant region" + ("" if measured[0] is told[0] else " that was measured")
        sentences.append(
            f"{first}, the {_name(measured[0].region)}, is of usual size for age and sex: its volume alone is no reason for the relevance."
            " A map says where the answer comes from, not what was seen there."
        )
    return sentences


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.0f} %"


def _name(region: Region) -> str:
    words = region.name.replace("_", " ")
    return words if region.side is None else f"{region.side} {words}"


def _short_centile(row: RegionRow) -> str:
    if row.centile is None:
        return "n/a"
    sign = ("<" if row.centile < 50 else ">") if row.centile_beyond else ""
    return f"{sign}{row.centile:.0f}"


def _size_of(row: RegionRow, volumes: Volumes) -> str:
    """Say how large a region is, with a comma behind; nothing where it was not measured."""
    if row.centile is not None:
        return f"{_centile(row.centile, beyond=row.centile_beyond)}, "
    ventricle = row.region.name in _VENTRICLES
    of_all = volumes.get("ventricles_mm3" if ventricle else f"{row.region.name}_mm3", {})
    if of_all.get("centile") is not None and (ventricle or row.region.side is not None):
        text = _centile(of_all["centile"], beyond=bool(of_all.get("centile_beyond")))
        return f"{'all ventricles' if ventricle else 'both sides'} together {text}, "
    return "" if row.mm3 is None else f"{row.mm3:.0f} mm3, "


def _centile(centile: float, *, beyond: bool) -> str:
    number = round(centile)
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    text = f"{number}{ending} centile"
    return f"{'below' if centile < 50 else 'above'} the {text}" if beyond else text


def _is_usual(row: RegionRow) -> bool:
    low, high = USUAL
    return row.centile is not None and not row.centile_beyond and low <= row.centile <= high
