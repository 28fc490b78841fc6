"""The volumes of one scan: whose numbers count, how they enter a report, and what is told of them.

They travel as a mapping, the one that a derivative's sidecar holds under `Volumes`: `source`, the program that measured
them; `volumes`, canonical columns to mm3; and where adclip measured them `measured_error`, see `adclip.imaging.volumes.measure`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from adclip.clinical.columns import are_plausible, to_further
from adclip.clinical.norms.normative_score import standings
from adclip.clinical.norms.norms import Standing, scale_of
from adclip.domain import SEGMENTER, ScanItem, Visit
from adclip.errors import TableError

NEED_RAW_SCAN = "volumes_need_raw_scan"  # volumes were asked for, and only a derivative without them was given
IMPLAUSIBLE = "volumes_not_plausible"  # measured, and not reported: no adult brain has such volumes
OTHER_SOFTWARE, OTHER_VERSION = "volumes_of_other_software", "volumes_of_other_version"
REPORTABLE = tuple(column.name for column in fields(Visit) if column.name.endswith("_mm3"))
ICV = "icv_mm3"
_log = logging.getLogger(__name__)


def find_volumes(item: ScanItem) -> dict[str, Any]:
    """Return the volumes of a FreeSurfer, SynthSeg or DLMUSE table beside the scan, or nothing."""
    from adclip.clinical.tables.segmentations import find_segmentation

    try:
        found = find_segmentation(item.path, item.subject_id)
    except TableError as error:  # a neighbour's fault must not fail a good scan
        _log.warning("%s; it is not used for the volumes of %s", error.problem, item.stem)
        return {}
    except OSError:  # a scan that is not there is told where it is read
        return {}
    if found is None:
        return {}
    return {
        "source": found.software,
        "table": found.path.name,
        "volumes": dict(found.volumes),
        "definitions": dict(found.definitions),
    }


def still_counts(found: Mapping[str, Any]) -> bool:
    """Whether volumes out of a sidecar are what would be found today: whole, and not of another segmenter's version.

    A derivative and its raw scan must give one answer, and `measured_error` and norms speak of the segmenter that is here.
    """
    from adclip.imaging.volumes.measure import measured_by

    source = found.get("source")
    if not isinstance(source, str) or not _numbers(found):
        return False
    return not source.startswith(SEGMENTER) or source == measured_by()


def volumes_of(visit: Visit | None) -> dict[str, Any]:
    """Return the volumes that a table gave, or nothing."""
    if visit is None or not visit.has_volumes:
        return {}
    known = {column: getattr(visit, column) for column in REPORTABLE if getattr(visit, column) is not None}
    return {"source": visit.volumes_source, "volumes": {**known, **dict(visit.further_volumes or ())}}


def is_plausible(found: Mapping[str, Any]) -> bool:
    """Whether an adult brain can have the volumes of a sidecar or a scan; one that cannot be right casts doubt on all."""
    return are_plausible(_numbers(found))


def with_volumes(visit: Visit | None, found: Mapping[str, Any]) -> Visit | None:
    """Return the visit with the volumes found for its scan, if it has none at all: programs are never mixed.

    Parameters
    ----------
    visit : Visit or None
        The row of the table; None where there is none.
    found : mapping
        Volumes of the scan; empty, or not plausible, they change nothing.

    Returns
    -------
    Visit or None
    """
    numbers = _numbers(found)
    known = {column: value for column, value in numbers.items() if column in REPORTABLE}
    if not known or (visit is not None and visit.has_volumes) or not is_plausible(found):
        return visit
    values: dict[str, Any] = {**known, "further_volumes": to_further(numbers), "volumes_source": found["source"]}
    return replace(visit or Visit(), **values)


def foreign_flag(source: str | None, known: list[str]) -> str | None:
    """Say how the program that measured the reported volumes differs from those that the model learned from.

    Parameters
    ----------
    source : str or None
        As in `Visit.volumes_source`; an unknown one is taken on trust, as it was in training.
    known : list of str
        Programs of the training visits; none where the tables named none.

    Returns
    -------
    str or None
        `volumes_of_other_software`, as borders differ by up to a third between programs; `volumes_of_other_version` where
        adclip's segmenter has changed since, but not its scale: what it measures has another random error than the model
        knows, and no other mean.
    """
    if source is None or not known or source in known:
        return None
    if scale_of(source) == SEGMENTER:
        if SEGMENTER in known:  # whatever its version
            return None
        if any(scale_of(name) == SEGMENTER for name in known):
            return OTHER_VERSION
    return OTHER_SOFTWARE


def may_be_told(source: object, known: list[str]) -> bool:
    """Whether volumes found with a scan may enter the report of a model that learned from the programs `known`.

    Sentences and borders that a model has not met would move its answer at random, so what adclip measured by itself is told only to a
    model that learned from it. A table of another program beside the scan is the user's word, and is told with a flag.
    """
    own = isinstance(source, str) and source.startswith(SEGMENTER)
    return not own or foreign_flag(str(source), known) != OTHER_SOFTWARE


def describe(found: Mapping[str, Any], visit: Visit | None) -> dict[str, dict[str, Any]] | None:
    """Say of each volume what a reader needs to judge it.

    Parameters
    ----------
    found : mapping
        Volumes and their source.
    visit : Visit or None
        For age and sex.

    Returns
    -------
    dict or None
        For each column: `mm3`; `icv_share`, the fraction of the intracranial volume; `centile` for age and sex, 0 to 100,
        `centile_beyond` where the volume lies outside the tabulated centiles, of which it then is the outermost; `norms`
        they come from; `bridged` where those norms are another program's and a calibration leads to its scale;
        `error_mm3`, the standard deviation of the measured differences to the reference; `n`, the people it was measured
        on; `asymmetry_percent` of a structure with two sides. What is not known is None. None where there is no volume.
    """
    numbers = _numbers(found)
    if not numbers:
        return None
    source, visit = found.get("source"), visit or Visit()
    error = found.get("measured_error")
    error = error if isinstance(error, Mapping) else {}
    errors = error.get("volumes")
    errors = errors if isinstance(errors, Mapping) else {}
    icv = numbers.get(ICV)
    ranks = standings(numbers, visit.age_years, visit.sex, source)
    told: dict[str, dict[str, Any]] = {}
    # more digits than a page shows: what is rounded twice may contradict the report
    for column, value in numbers.items():
        where = ranks.get(column)
        known = where if isinstance(where, Standing) else None
        measured = errors.get(column)
        measured = measured if isinstance(measured, Mapping) else {}
        told[column] = {
            "mm3": value,
            "icv_share": float(f"{value / icv:.6g}") if icv and column != ICV else None,
            "centile": None if known is None else round(known.centile, 3),
            "centile_beyond": None if known is None else known.beyond,
            "norms": None if known is None else known.norm_id,
            "bridged": None if known is None else known.bridged,
            "error_mm3": measured.get("sd_mm3"),
            "n": measured.get("n", error.get("n")) if "sd_mm3" in measured else None,
            "asymmetry_percent": _asymmetry(column, numbers),
        }
    return told


def ask_baseline(
    stored: Mapping[str, Any] | None, found: Mapping[str, Any], visit: Visit | None
) -> Mapping[str, float] | None:
    """Return what the volumes alone say, by the baseline that is stored with a model.

    Parameters
    ----------
    stored : mapping or None
        As in `adapter.json`; None for a model without one.
    found : mapping
        Volumes of the scan.
    visit : Visit or None
        The row of the table: for age and sex, and for its own volumes where they are of the baseline's program.

    Returns
    -------
    mapping of str to float, or None
        Class -> probability; None without the volumes and the age that it needs.
    """
    from adclip.clinical.measured import Case, to_measured
    from adclip.prediction.volumes_baseline import VolumesBaseline

    if stored is None:
        return None
    return VolumesBaseline.from_dict(stored).predict_case(Case.of(visit or Visit(), to_measured(found)))


def _asymmetry(column: str, numbers: Mapping[str, float]) -> float | None:
    """Return 100 (R - L) / ((R + L) / 2) of a structure whose two sides are known: above 0 where the right one is larger."""
    name = column.removesuffix("_mm3")
    left, right = (numbers.get(f"{name}_{side}_mm3") for side in ("left", "right"))
    if left is None or right is None or left + right <= 0:
        return None
    return round(100 * (right - left) / ((right + left) / 2), 4)


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    """Return columns to mm3; nothing where what stands there is not such a mapping, as in a sidecar that somebody edited."""
    volumes = found.get("volumes")
    if not isinstance(volumes, Mapping):
        return {}
    good = {
        str(column): float(value)
        for column, value in volumes.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    }
    return good if len(good) == len(volumes) else {}
