"""What the calibration subjects taught a model: from raw scores to probabilities, and how far either can be believed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adclip.json_values import is_number

FEW_SUBJECTS = 60  # method: with fewer, calibration is cross-fitted and says so

# What an answer can rest on. Each has multipliers, temperatures and thresholds of its own, since what a source is worth hangs
# on what else is known.
SCAN = "scan"
TABLE = "scan and row"
TABLE_WITH_VOLUMES = "scan and row with volumes"
TABLE_AND_FOUND_VOLUMES = "scan, row and volumes found for the scan"
FOUND_VOLUMES = "scan and volumes found for it"
ROADS = (SCAN, TABLE, TABLE_WITH_VOLUMES, TABLE_AND_FOUND_VOLUMES, FOUND_VOLUMES)

# What models wrote that knew two roads, with a report and without, and had a number for either.
EARLIER_SCAN_ONLY = "scan_only_"
EARLIER_KEYS = {"subjects", "mmse_half_width", "gate_limit", "cross_fitted", "report_subjects"} | {
    f"{prefix}{name}"
    for prefix in ("", EARLIER_SCAN_ONLY)
    for name in ("temperature", "study_temperature", "set_threshold", "calibrated")
}


@dataclass(frozen=True)
class Road:
    """How the scores of one kind of evidence become probabilities.

    Parameters
    ----------
    scan, metadata, both : float
        Multipliers, at least 0: of the network's scores with bare phrases, of the log-probabilities of the regression on the row, and of
        the network's scores with report candidates. Their sum is the answer's score.
    temperature : float
        Divisor of that sum before softmax, for classes that are equally common.
    study_temperature : float or None
        The same after the logarithm of the study's `prior` was added: for classes as common as in the study.
    thresholds : mapping of str to float, or None
        Class -> smallest probability with which it is in the prediction set; None where a class had too few subjects for one.
    counts : mapping of str to int
        Class -> subjects that this road was fitted on.
    fitted : bool
        Whether there were enough to fit anything: people of two classes.
    cross_fitted : bool
        Whether they were so few that the thresholds come from cross-fitting.
    """

    scan: float = 0.0
    metadata: float = 0.0
    both: float = 1.0
    temperature: float = 1.0
    study_temperature: float | None = None
    thresholds: Mapping[str, float] | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    fitted: bool = False
    cross_fitted: bool = False

    def __post_init__(self) -> None:
        multipliers = (self.scan, self.metadata, self.both)
        if not all(is_number(value) and value >= 0 for value in multipliers) or not sum(multipliers):
            raise ValueError("`scan`, `metadata` and `both` must be numbers of at least 0, one of them above")
        if not is_number(self.temperature) or self.temperature <= 0:
            raise ValueError("`temperature` must be a number above 0")
        if self.study_temperature is not None and not (
            is_number(self.study_temperature) and self.study_temperature > 0
        ):
            raise ValueError("`study_temperature` must be a number above 0, or null")
        if not all(is_number(value) and value >= 0 for value in (self.thresholds or {}).values()):
            raise ValueError("`thresholds` must be numbers of at least 0, or null")
        if not all(type(count) is int and count >= 0 for count in self.counts.values()):
            raise ValueError("`counts` must be whole numbers of at least 0")
        if not (type(self.fitted) is type(self.cross_fitted) is bool):
            raise ValueError("`fitted` and `cross_fitted` must be true or false")

    @property
    def subjects(self) -> int:
        """How many people it was fitted on."""
        return sum(self.counts.values())

    @property
    def least_probability(self) -> float:
        """Smallest probability that any class is given; 0 where nobody is counted.

        What none of n people showed may still happen to 3 in n (the rule of three: Hanley and Lippman-Hand 1983, JAMA 249:1743, the
        95 % limit), so no class is told to be surer than 1 - 3 / n. With very few people it is half of an even share.
        """
        if not self.fitted or not self.subjects:
            return 0.0
        classes = len(self.counts)
        return min(3 / self.subjects / (classes - 1), 1 / (2 * classes))

    def too_few(self, coverage: float) -> dict[str, int]:
        """Return class -> subjects, of the classes that have too few for a prediction set of this coverage."""
        return {label: count for label, count in self.counts.items() if count < least_subjects(coverage)}


@dataclass(frozen=True)
class Calibration:
    """What the calibration subjects taught.

    Parameters
    ----------
    subjects : int
        How many there were.
    mmse_half_width : float or None
        Half width in points of the interval of the MMSE estimate, at `coverage`.
    gate_limit : float or None
        Distance from the training scans above which a scan is flagged, see `adclip.model.gate`.
    coverage : float
        Of that interval, and of the prediction sets in each class.
    roads : mapping of str to Road
        By what the answer rests on, one of `ROADS`; absent where nobody had such evidence.
    """

    subjects: int
    mmse_half_width: float | None = None
    gate_limit: float | None = None
    coverage: float = 0.9
    roads: Mapping[str, Road] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.subjects) is not int or self.subjects < 0:
            raise ValueError("`subjects` must be a whole number of at least 0")
        for name in ("mmse_half_width", "gate_limit"):
            value = getattr(self, name)
            if value is not None and (not is_number(value) or value < 0):
                raise ValueError(f"`{name}` must be a number of at least 0, or null")
        if not is_number(self.coverage) or not 0 < self.coverage < 1:
            raise ValueError("`coverage` must be a number between 0 and 1")
        if not set(self.roads) <= set(ROADS):
            raise ValueError(f"`roads` must be of: {', '.join(ROADS)}")
        alone = self.roads.get(SCAN)
        if alone is not None and (alone.scan, alone.metadata, alone.both) != (1, 0, 0):
            raise ValueError(f"`scan` must be 1, and `metadata` and `both` 0, for an answer by the {SCAN} alone")

    @property
    def too_few(self) -> dict[str, dict[str, int]]:
        """Return road -> class -> subjects, of the fitted roads that promise no prediction set, and of the classes to blame."""
        without = {name: road for name, road in self.roads.items() if road.fitted and road.thresholds is None}
        return {name: few for name, road in without.items() if (few := road.too_few(self.coverage))}

    def road(self, name: str) -> Road:
        """Return what was fitted for one kind of evidence, else a road that leaves the raw scores as they are."""
        return self.roads.get(name) or (Road(scan=1.0, both=0.0) if name == SCAN else Road())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], labels: tuple[str, ...]) -> Calibration:
        """Read `to_dict`, also of models from before the sources were weighed, which answered by the report's scores alone.

        Raises
        ------
        TypeError, ValueError
            If a value is not what it must be.
        """
        if "roads" in data:
            roads = {str(name): Road(**road) for name, road in data["roads"].items()}
            if any(road.thresholds is not None and set(road.thresholds) != set(labels) for road in roads.values()):
                raise ValueError("`thresholds` must give each of `labels` a number, or be null")
            if any(road.counts and set(road.counts) != set(labels) for road in roads.values()):
                raise ValueError("`counts` must give each of `labels` its subjects, or be empty")
            return cls(**{**data, "roads": roads})
        if set(data) - EARLIER_KEYS:
            raise TypeError("a key that no version has written")
        alone, with_report = (_earlier_road(data, prefix, labels) for prefix in (EARLIER_SCAN_ONLY, ""))
        return cls(
            data["subjects"], data.get("mmse_half_width"), data.get("gate_limit"),
            roads={name: alone if name == SCAN else with_report for name in ROADS},
        )  # fmt: skip


def least_subjects(coverage: float) -> int:
    """Return of how many subjects conformal prediction can promise a coverage at all: 9 for 90 %, 19 for 95 %."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def likely_coverage(count: int, coverage: float) -> tuple[float, float]:
    """Return where the coverage of a threshold from `count` subjects lies with 95 % probability.

    `coverage` is what it is on average over all such sets of subjects. With these very subjects it follows a beta distribution
    (Vovk 2012, arXiv:1209.2673).
    """
    from scipy.stats import beta

    rank = math.ceil((count + 1) * coverage)
    low, high = beta.ppf((0.025, 0.975), rank, count + 1 - rank)
    return float(low), float(high)


def _earlier_road(data: Mapping[str, Any], prefix: str, labels: tuple[str, ...]) -> Road:
    """Return one of the two roads of a model from before the sources were weighed; its keys begin with `prefix`."""
    threshold = data.get(f"{prefix}set_threshold")
    if threshold is not None and (not is_number(threshold) or threshold < 0):
        raise ValueError(f"`{prefix}set_threshold` must be a number of at least 0, or null")
    alone = prefix == EARLIER_SCAN_ONLY
    try:
        return Road(
            scan=1.0 if alone else 0.0,
            both=0.0 if alone else 1.0,
            temperature=data.get(f"{prefix}temperature", 1.0),
            study_temperature=data.get(f"{prefix}study_temperature"),
            thresholds=None if threshold is None else dict.fromkeys(labels, threshold),
            fitted=bool(data["subjects"]) and bool(data.get(f"{prefix}calibrated", True)),
            cross_fitted=bool(data.get("cross_fitted", False)),
        )
    except ValueError as error:  # in the file the name has the prefix
        raise ValueError(str(error).replace("`", f"`{prefix}", 1)) from None
