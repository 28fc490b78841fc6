"""The volumes of one scan: whose numbers count, how they enter a report, and what is told of them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.columns import are_plausible, to_further
from adclip.clinical.norms.normative_score import standings
from adclip.clinical.norms.norms import Standing, scale_of
from adclip.domain import SEGMENTER, ScanItem, Visit
from adclip.errors import TableError
from adclip.model.record_parts import StoredBaseline

NEED_RAW_SCAN = "volumes_need_raw_scan"  # volumes were asked for, and only a derivative without them was given
IMPLAUSIBLE = "volumes_not_plausible"  # measured, and not reported: no adult brain has such volumes
OTHER_SOFTWARE, OTHER_VERSION = "volumes_of_other_software", "volumes_of_other_version"
REPORTABLE = tuple(column.name for column in fields(Visit) if column.name.endswith("_mm3"))
ICV = "icv_mm3"
_log = logging.getLogger(__name__)


def find_volumes(item: ScanItem) -> BrainVolumes | None:
    """Return the volumes of a FreeSurfer, SynthSeg or DLMUSE table beside the scan, or None."""
    from adclip.clinical.tables.segmentations import find_segmentation

    try:
        table = find_segmentation(item.path, item.subject_id)
    except TableError as error:  # a neighbour's fault must not fail a good scan
        _log.warning("%s; it is not used for the volumes of %s", error.problem, item.stem)
        return None
    except OSError:  # a scan that is not there is told where it is read
        return None
    if table is None:
        return None
    return BrainVolumes(table.software, dict(table.volumes), table.path.name, dict(table.definitions))


def still_counts(volumes: BrainVolumes | None) -> bool:
    """Whether volumes out of a sidecar are what would be found today: whole, and not of another segmenter's version.

    A derivative and its raw scan must give one answer, and `measured_error` and norms speak of the segmenter that is here.
    """
    from adclip.imaging.volumes.measure import measured_by

    if volumes is None or not volumes.is_complete:
        return False
    return not volumes.is_own or volumes.source == measured_by()


def with_volumes(visit: Visit | None, volumes: BrainVolumes | None) -> Visit | None:
    """Return the visit with the volumes found for its scan, if it has none at all: programs are never mixed.

    Parameters
    ----------
    visit : Visit or None
        The row of the table; None where there is none.
    volumes : BrainVolumes or None
        Of the scan; none, or not plausible, they change nothing.

    Returns
    -------
    Visit or None
    """
    if volumes is None or (visit is not None and visit.has_volumes) or not are_plausible(volumes.mm3):
        return visit
    reportable = {column: value for column, value in volumes.mm3.items() if column in REPORTABLE}
    if not reportable:
        return visit
    values: dict[str, Any] = {
        **reportable, "further_volumes": to_further(volumes.mm3), "volumes_source": volumes.source
    }  # fmt: skip
    return replace(visit or Visit(), **values)


def foreign_flag(source: str | None, learned_from: Collection[str]) -> str | None:
    """Say how the program that measured the reported volumes differs from those that the model learned from.

    Parameters
    ----------
    source : str or None
        As in `Visit.volumes_source`; an unknown one is taken on trust, as it was in training.
    learned_from : collection of str
        Programs of the training visits; none where the tables named none.

    Returns
    -------
    str or None
        `volumes_of_other_software`, as borders differ by up to a third between programs; `volumes_of_other_version` where
        adclip's segmenter has changed since, but not its scale: what it measures has another random error than the model
        knows, and no other mean.
    """
    if source is None or not learned_from or source in learned_from:
        return None
    if scale_of(source) == SEGMENTER:
        if SEGMENTER in learned_from:  # whatever its version
            return None
        if any(scale_of(name) == SEGMENTER for name in learned_from):
            return OTHER_VERSION
    return OTHER_SOFTWARE


def may_be_told(volumes: BrainVolumes | None, learned_from: Collection[str]) -> bool:
    """Whether volumes found with a scan may enter the report of a model that learned from these programs.

    Sentences and borders that a model has not met would move its answer at random, so what adclip measured by itself is told only to a
    model that learned from it. A table of another program beside the scan is the user's word, and is told with a flag.
    """
    if volumes is None or not volumes.is_own:
        return True
    return foreign_flag(volumes.source, learned_from) != OTHER_SOFTWARE


@dataclass(frozen=True)
class VolumeFacts:
    """What is told of one volume. What is not known is None.

    Parameters
    ----------
    mm3 : float
        In cubic millimetres of the scan.
    icv_share : float or None
        The fraction of the intracranial volume, 0 to 1.
    centile : float or None
        Among healthy people of this age and sex, 0 to 100.
    centile_beyond : bool or None
        Whether the volume lies outside the tabulated centiles, of which `centile` then is the outermost.
    norms : str or None
        Which norms.
    bridged : bool or None
        Whether those norms are another program's and a calibration leads to its scale.
    error_mm3 : float or None
        Standard deviation of the measured differences to the reference.
    n : int or None
        The people it was measured on.
    asymmetry_percent : float or None
        Of a structure with two sides: 100 (R - L) / ((R + L) / 2).
    """

    mm3: float
    icv_share: float | None = None
    centile: float | None = None
    centile_beyond: bool | None = None
    norms: str | None = None
    bridged: bool | None = None
    error_mm3: float | None = None
    n: int | None = None
    asymmetry_percent: float | None = None


def describe(volumes: BrainVolumes | None, visit: Visit | None) -> dict[str, dict[str, Any]] | None:
    """Say of each volume what a reader needs to judge it.

    Parameters
    ----------
    volumes : BrainVolumes or None
        What was found for the scan, or stands in its row.
    visit : Visit or None
        For age and sex.

    Returns
    -------
    dict or None
        For each column the content of its `VolumeFacts`. None where there is no volume.
    """
    if volumes is None or not volumes.mm3:
        return None
    visit = visit or Visit()
    icv = volumes.mm3.get(ICV)
    ranks = standings(volumes.mm3, visit.age_years, visit.sex, volumes.source)
    entries: dict[str, dict[str, Any]] = {}
    # more digits than a page shows: what is rounded twice may contradict the report
    for column, value in volumes.mm3.items():
        rank = ranks.get(column)
        standing = rank if isinstance(rank, Standing) else None
        error_mm3, people = volumes.error_of(column)
        facts = VolumeFacts(
            mm3=value,
            icv_share=float(f"{value / icv:.6g}") if icv and column != ICV else None,
            centile=None if standing is None else round(standing.centile, 3),
            centile_beyond=None if standing is None else standing.beyond,
            norms=None if standing is None else standing.norm_id,
            bridged=None if standing is None else standing.bridged,
            error_mm3=error_mm3,
            n=people,
            asymmetry_percent=_asymmetry(column, volumes.mm3),
        )
        entries[column] = dict(vars(facts))
    return entries


def ask_baseline(
    stored: StoredBaseline | None, volumes: BrainVolumes | None, visit: Visit | None
) -> Mapping[str, float] | None:
    """Return what the volumes alone say, by the baseline that is stored with a model.

    Parameters
    ----------
    stored : StoredBaseline or None
        Of `adapter.json`; None for a model without one.
    volumes : BrainVolumes or None
        Of the scan.
    visit : Visit or None
        The row of the table: for age and sex, and for its own volumes where they are of the baseline's program.

    Returns
    -------
    mapping of str to float, or None
        Class -> probability; None without the volumes and the age that it needs.
    """
    from adclip.clinical.measured import Case, usable
    from adclip.prediction.volumes_baseline import VolumesBaseline

    if stored is None:
        return None
    return VolumesBaseline.from_dict(stored.content).predict_case(Case.of(visit or Visit(), usable(volumes)))


def _asymmetry(column: str, numbers: Mapping[str, float]) -> float | None:
    """Return 100 (R - L) / ((R + L) / 2) of a structure whose two sides are known: above 0 where the right one is larger."""
    name = column.removesuffix("_mm3")
    left, right = (numbers.get(f"{name}_{side}_mm3") for side in ("left", "right"))
    if left is None or right is None or left + right <= 0:
        return None
    return round(100 * (right - left) / ((right + left) / 2), 4)
