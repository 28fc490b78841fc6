"""What is told beside an answer, as far as the model is asked again for it: rescans, other values of a column, similar cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from adclip.domain import InputContract, Prediction, Visit
from adclip.prediction.answer import Answer, with_flags
from adclip.prediction.evidence import Evidence
from adclip.prediction.questions import Question
from adclip.prediction.rescans import FLIPS, default_count, pseudo_rescans, to_range
from adclip.prediction.similar import TrainingCases
from adclip.prediction.telling import Telling
from adclip.prediction.what_if import alter, is_found, present_value, to_curve
from adclip.told import Curve

if TYPE_CHECKING:
    from torch import Tensor

    from adclip.imaging.prepare import PreparedScan
    from adclip.model.network import ImageTokens
    from adclip.prediction.scoring import Reader, Scores

AT_ONCE = 8  # scans or reports in one pass: the same whatever else is computed, so that rounding is the same too
Chances = Callable[[Answer], Mapping[str, float]]  # the probabilities of an answer as they are told


class Asked(Protocol):
    """What is needed of a `Predictor`."""

    reader: Reader

    def to_image(self, prepared: PreparedScan) -> Tensor:
        """Return a scan as the network takes it."""

    def evidence(self, prepared: PreparedScan, visit: Visit | None) -> Evidence:
        """Say what an answer can rest on."""

    def to_answer(self, scores: Scores, evidence: Evidence) -> Answer:
        """Give the numbers of one scan their names."""


@dataclass(frozen=True)
class Beside:
    """Adds to predictions what was asked for.

    Parameters
    ----------
    telling : Telling
        What that is.
    contract : InputContract
        Grid of the prepared scans.
    cases : TrainingCases or None
        Where similar ones are looked for.
    seed : int
        Of the pseudo-rescans.
    """

    telling: Telling
    contract: InputContract
    cases: TrainingCases | None = None
    seed: int = 0

    def add(
        self,
        model: Asked,
        prediction: Prediction,
        prepared: PreparedScan,
        evidence: Evidence,
        answer: Answer,
        chances: Chances,
        *,
        is_raw: bool,
    ) -> Prediction:
        """Return the prediction with what is told beside it.

        Parameters
        ----------
        model : Asked
        prediction : Prediction
            Its probabilities are those of `chances`.
        prepared, evidence, answer : PreparedScan, Evidence, Answer
            What it was made of.
        chances : callable
            From an answer to class -> probability.
        is_raw : bool
            Whether the scan was prepared just now.
        """
        import torch

        with torch.inference_mode():
            if count := self._rescans(model.reader, is_raw=is_raw):
                again = [
                    chances(one) for one in answers_again(model, prepared, evidence, self.contract, count, self.seed)
                ]
                found = to_range(chances(answer), again)
                prediction = replace(prediction, rescans=found)
                if found.kept < found.of:
                    prediction = with_flags(prediction, {FLIPS: f"it stayed in {found.kept} of {found.of}"})
            if self.telling.questions:
                here = chances(answer)
                curves = [
                    _curve(model, question, prepared, evidence, here, chances) for question in self.telling.questions
                ]
                prediction = replace(prediction, what_if=tuple(curves))
        if self.cases is not None and answer.embedding is not None:
            nearest = self.cases.nearest(answer.embedding, self.telling.similar_cases)
            prediction = replace(prediction, similar=nearest)
        return prediction

    def _rescans(self, reader: Reader, *, is_raw: bool) -> int:
        if self.telling.rescans is not None:
            return self.telling.rescans
        tower = sum(parameter.numel() for parameter in reader.network.vision_encoder.parameters())
        return default_count(is_raw=is_raw, device_type=reader.device.type, tower_parameters=tower)


def answers_again(
    model: Asked, prepared: PreparedScan, evidence: Evidence, contract: InputContract, count: int, seed: int
) -> Iterator[Answer]:
    """Yield the answer to each of `count` pseudo-rescans of a scan, with all else as it is."""
    rescans = pseudo_rescans(prepared.image, prepared.mask, contract, count, seed)
    while batch := [replace(prepared, image=image) for image in islice(rescans, AT_ONCE)]:
        yield from answer_together(model, batch, [evidence] * len(batch))


def answer_together(model: Asked, prepared: Sequence[PreparedScan], evidence: Sequence[Evidence]) -> list[Answer]:
    """Answer several scans by one pass through the network.

    Parameters
    ----------
    model : Asked
    prepared : sequence of PreparedScan
        B scans on the model's grid.
    evidence : sequence of Evidence
        What the answer of each rests on.

    Returns
    -------
    list of Answer
        Those of `Predictor.answer` but for rounding: products of larger matrices are summed in another order.
    """
    import torch

    from adclip.prediction.scoring import score_batch

    images = torch.cat([model.to_image(scan) for scan in prepared])
    with torch.inference_mode():
        scores = score_batch(model.reader, images, [known.completed or Visit() for known in evidence])
        return [model.to_answer(scores.of_one(place), known) for place, known in enumerate(evidence)]


def answers_to(model: Asked, prepared: PreparedScan, evidences: Sequence[Evidence]) -> Iterator[Answer]:
    """Yield the answer to one scan with each of several pieces of evidence; the scan is encoded once."""
    from adclip.prediction.scoring import score_tokens

    tokens = model.reader.network.image_tokens(model.to_image(prepared))
    for start in range(0, len(evidences), AT_ONCE):
        batch = evidences[start : start + AT_ONCE]
        scores = score_tokens(model.reader, repeated(tokens, len(batch)), [one.completed or Visit() for one in batch])
        yield from (model.to_answer(scores.of_one(place), one) for place, one in enumerate(batch))


def repeated(tokens: ImageTokens, count: int) -> ImageTokens:
    """Return the tokens of one scan `count` times, without a copy."""
    return replace(
        tokens,
        cls=tokens.cls.expand(count, -1),
        patches=None if tokens.patches is None else tokens.patches.expand(count, -1, -1),
        mmse=None if tokens.mmse is None else tokens.mmse.expand(count),
    )


def with_value(model: Asked, prepared: PreparedScan, evidence: Evidence, column: str, value: float) -> Evidence:
    """Return the evidence with another value in one column, of the row or of the volumes found for the scan, wherever it stands."""
    if is_found(evidence, column):
        return replace(evidence, completed=alter(evidence.completed, column, value))
    return model.evidence(prepared, alter(evidence.row, column, value))


def _curve(
    model: Asked,
    question: Question,
    prepared: PreparedScan,
    evidence: Evidence,
    here: Mapping[str, float],
    chances: Chances,
) -> Curve:
    column = question.column
    others = [with_value(model, prepared, evidence, column, value) for value in question.values]
    answers = answers_to(model, prepared, others)
    return to_curve(question, present_value(evidence, column), here, map(chances, answers))
