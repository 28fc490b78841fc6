"""What the answer would be with a smaller hippocampus: in the image, in the table, and in both.

The image's curve holds the report as it is, volumes measured in the scan included, and shrinks the hippocampi of the prepared scan; the table's holds the
image and multiplies the volume that the report tells. So a reader sees which of the two the answer hangs on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from adclip.domain import Visit
from adclip.explanation.shrink import REACH_MM
from adclip.explanation.smaller_scans import Smaller, smaller_scans
from adclip.imaging.volumes.own_structures import OwnStructure, find_structure
from adclip.prediction.answer import Answer, calibrated
from adclip.prediction.beside import AT_ONCE, Chances, answers_to, with_value
from adclip.prediction.evidence import Evidence
from adclip.prediction.prevalence import shift
from adclip.prediction.what_if import present_value
from adclip.told import Curve, CurvePoint

if TYPE_CHECKING:
    from adclip.imaging.prepare import PreparedScan
    from adclip.prediction.predictor import Predictor

COLUMN = "hippocampus_mm3"
FACTORS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
IMAGE, TABLE, BOTH = "image", "table", "both"  # `column` of the curves: what was multiplied, by the points' values


@dataclass(frozen=True)
class ImageWhatIf:
    """Three curves over one factor.

    Parameters
    ----------
    image : Curve
        Hippocampi shrunk in the image, the report as it is.
    table : Curve or None
        The report's hippocampal volume multiplied, the image as it is; None where the answer reads none.
    both : Curve or None
        Both together; None without `table`.
    obtained : tuple of float
        For each point of `image`, how many times as large the hippocampi became.
    region_mm3 : tuple of float
        Left and right hippocampus as they were found, in the template's space.
    flags : tuple of str
        `hippocampus_of_template` where none was found in the scan, and the template's place stands in for it.

    Notes
    -----
    In all curves `value` is the factor, 1 is present, and points stand from the smallest to the largest.
    """

    image: Curve
    table: Curve | None
    both: Curve | None
    obtained: tuple[float, ...]
    region_mm3: tuple[float, float]
    flags: tuple[str, ...] = ()

    @property
    def curves(self) -> tuple[Curve, ...]:
        """Those that there are: image, table, both."""
        return tuple(curve for curve in (self.image, self.table, self.both) if curve is not None)


def what_if_image(
    predictor: Predictor,
    prepared: PreparedScan,
    evidence: Evidence,
    factors: Sequence[float] = FACTORS,
    *,
    answer: Answer | None = None,
    chances: Chances | None = None,
    hippocampi: OwnStructure | None = None,
    reach_mm: float = REACH_MM,
) -> ImageWhatIf:
    """Ask what the answer would be with smaller hippocampi.

    Parameters
    ----------
    predictor : Predictor
    prepared : PreparedScan
        By `predictor.prepare`; a derivative does as well.
    evidence : Evidence
        By `predictor.evidence`: what the answer rests on.
    factors : sequence of float
        How many times as large they are to be, from 0.1 to 3. 1 is always among the points.
    answer : Answer, optional
        That of the scan as it is, where it is known already; then the point at 1 is the printed one to the last digit.
    chances : callable, optional
        From an answer to class -> probability as they are told; by default after calibration, for the shares of the predictor.
    hippocampi : OwnStructure, optional
        Where they lie; by default `find_structure` looks for them, which takes about a second.
    reach_mm : float
        See `adclip.explanation.shrink.deform`.

    Returns
    -------
    ImageWhatIf

    Raises
    ------
    InputError
        If a factor cannot be reached.
    WeightsError
        If the networks that find hippocampi are absent or altered.
    """
    chances = chances or told_by(predictor)
    contract = predictor.record.model.contract
    hippocampi = hippocampi or find_structure(prepared.image, contract, device=str(predictor.device))
    others = _others(factors)
    here = chances(answer or predictor.answer(prepared, evidence))
    multiplied = _multiplied(predictor, prepared, evidence, others)
    rows = [[evidence] * len(others), *([multiplied] if multiplied else [])]
    shrunken = smaller_scans(prepared, hippocampi, contract.spacing_xyz_mm, others, reach_mm)
    points, obtained = _answer_each(predictor, shrunken, rows, chances)
    voxel_mm3 = float(np.prod(contract.spacing_xyz_mm))
    left, right = (float(side.sum(dtype=np.float64)) * voxel_mm3 for side in hippocampi.sides)
    return ImageWhatIf(
        _curve(IMAGE, here, others, points[0]),
        _of_table(predictor, prepared, multiplied, here, others, chances) if multiplied else None,
        _curve(BOTH, here, others, points[1]) if multiplied else None,
        tuple(share for _, share in sorted([*zip(others, obtained, strict=True), (1.0, 1.0)])),
        (left, right),
        hippocampi.flags,
    )


def image_curve(
    predictor: Predictor,
    prepared: PreparedScan,
    evidence: Evidence,
    factors: Sequence[float] = FACTORS,
    *,
    answer: Answer | None = None,
    chances: Chances | None = None,
    hippocampi: OwnStructure | None = None,
    reach_mm: float = REACH_MM,
) -> Curve:
    """Shrink the hippocampi of the image alone; the report is held as it is, volumes measured in the scan included.

    Parameters
    ----------
    predictor, prepared, evidence, factors, answer, chances, hippocampi, reach_mm
        As in `what_if_image`, which gives all curves by the same passes.

    Returns
    -------
    Curve
        `value` is the factor.

    Raises
    ------
    InputError
        If a factor cannot be reached.
    """
    chances = chances or told_by(predictor)
    contract = predictor.record.model.contract
    hippocampi = hippocampi or find_structure(prepared.image, contract, device=str(predictor.device))
    others = _others(factors)
    here = chances(answer or predictor.answer(prepared, evidence))
    shrunken = smaller_scans(prepared, hippocampi, contract.spacing_xyz_mm, others, reach_mm)
    (points,), _ = _answer_each(predictor, shrunken, [[evidence] * len(others)], chances)
    return _curve(IMAGE, here, others, points)


def table_curve(
    predictor: Predictor,
    prepared: PreparedScan,
    evidence: Evidence,
    factors: Sequence[float] = FACTORS,
    *,
    answer: Answer | None = None,
    chances: Chances | None = None,
) -> Curve | None:
    """Multiply the hippocampal volume that the answer reads, in the row or among those found for the scan; the image stays.

    Parameters
    ----------
    predictor, prepared, evidence, factors, answer, chances
        As in `what_if_image`.

    Returns
    -------
    Curve or None
        `value` is the factor. None where the answer reads no hippocampal volume.
    """
    chances = chances or told_by(predictor)
    others = _others(factors)
    multiplied = _multiplied(predictor, prepared, evidence, others)
    if not multiplied:
        return None
    here = chances(answer or predictor.answer(prepared, evidence))
    return _of_table(predictor, prepared, multiplied, here, others, chances)


def told_by(predictor: Predictor) -> Chances:
    """Return what makes an answer's probabilities of it as the predictor tells them: calibrated, for its shares of the classes."""

    def chances(answer: Answer) -> Mapping[str, float]:
        equal = calibrated(answer, predictor.record.calibration).probabilities
        return equal if predictor.prevalence is None else shift(equal, predictor.prevalence)

    return chances


def _multiplied(
    predictor: Predictor, prepared: PreparedScan, evidence: Evidence, factors: Sequence[float]
) -> list[Evidence]:
    """Return the evidence with the hippocampus times each factor; nothing where no word or number that the answer reads changes."""
    present = present_value(evidence, COLUMN)
    if present is None:
        return []
    changed = [with_value(predictor, prepared, evidence, COLUMN, factor * present) for factor in factors]
    words = predictor.reader.report_texts(evidence.completed or Visit())
    if all(
        predictor.reader.report_texts(one.completed or Visit()) == words and one.metadata_only == evidence.metadata_only
        for one in changed
    ):
        return []
    return changed


def _others(factors: Iterable[float]) -> list[float]:
    return sorted({float(factor) for factor in factors} - {1.0})


def _answer_each(
    predictor: Predictor, shrunken: Iterator[Smaller], rows: Sequence[Sequence[Evidence]], chances: Chances
) -> tuple[list[list[Mapping[str, float]]], list[float]]:
    """Answer scans with each of several rows of evidence, one for every scan; the scans are encoded once, several together.

    Returns
    -------
    tuple
        For each row the probabilities of every scan; and how many times as large each scan's hippocampi became.
    """
    import torch

    from adclip.prediction.scoring import score_tokens

    told: list[list[Mapping[str, float]]] = [[] for _ in rows]
    obtained: list[float] = []
    with torch.inference_mode():
        while batch := list(islice(shrunken, AT_ONCE)):
            tokens = predictor.reader.network.image_tokens(
                torch.cat([predictor.to_image(one.prepared) for one in batch])
            )
            for row, probabilities in zip(rows, told, strict=True):
                known = row[len(obtained) : len(obtained) + len(batch)]
                scores = score_tokens(predictor.reader, tokens, [one.completed or Visit() for one in known])
                probabilities += [
                    chances(predictor.to_answer(scores.of_one(place), one)) for place, one in enumerate(known)
                ]
            obtained += [one.obtained for one in batch]
    return told, obtained


def _of_table(
    predictor: Predictor,
    prepared: PreparedScan,
    multiplied: Sequence[Evidence],
    here: Mapping[str, float],
    factors: Sequence[float],
    chances: Chances,
) -> Curve:
    import torch

    with torch.inference_mode():
        return _curve(TABLE, here, factors, [chances(one) for one in answers_to(predictor, prepared, multiplied)])


def _curve(
    name: str, here: Mapping[str, float], factors: Sequence[float], found: Sequence[Mapping[str, float]]
) -> Curve:
    points = [CurvePoint(factor, False, dict(one)) for factor, one in zip(factors, found, strict=True)]
    points.append(CurvePoint(1.0, True, dict(here)))
    return Curve(name, 1.0, tuple(sorted(points, key=lambda point: point.value)))
