"""Which words of the report an answer comes from, and what each biomarker that it names is worth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adclip.clinical.reports import Span, fields_of, spans
from adclip.clinical.reports.spans import KNOWLEDGE
from adclip.domain import Visit
from adclip.explanation.explained import number_of_classes
from adclip.explanation.target import Target
from adclip.model.calibration import SCAN
from adclip.prediction.scoring import Wording, score_tokens

if TYPE_CHECKING:
    from adclip.model.network import ImageTokens
    from adclip.prediction.evidence import Evidence
    from adclip.prediction.predictor import Predictor

NODES = tuple(
    (step + 0.5) / 8 for step in range(8)
)  # of the path; words add up to within what docs/benchmarks.md tells
MASK = "[MASK]"  # BERT's own piece for a word that is not told
_SENTENCE = re.compile(r"[^.]*(?:\.\d[^.]*)*(?:\.\s*|$)")  # a point between digits ends none
_PART = re.compile(r"_(?:mm3|left|right)$")


@dataclass(frozen=True)
class Word:
    """One word of the report.

    Parameters
    ----------
    text : str
    start, end : int
        Its place in the report: ``report[start:end]``.
    biomarker : str or None
        What its part of the sentence tells of, such as `hippocampus` or `age_years`.
    relevance : float
        Signed, in units of the explained number; above 0 speaks for the target.
    """

    text: str
    start: int
    end: int
    biomarker: str | None
    relevance: float


@dataclass(frozen=True)
class Biomarker:
    """What the report says of one biomarker.

    Parameters
    ----------
    name : str
    relevance : float
        Sum over its words.
    left_out : float
        The explained number less the same where the report does not tell of it: what it is worth, without any approximation.
    """

    name: str
    relevance: float
    left_out: float


@dataclass(frozen=True)
class WordRelevance:
    """Words and biomarkers of one report; both empty where the answer reads none, or what is explained hangs on no text.

    Parameters
    ----------
    words : tuple of Word
    biomarkers : tuple of Biomarker
    together : float
        The explained number less that of a report whose words are all masked: what the words add up to.
    """

    words: tuple[Word, ...] = ()
    biomarkers: tuple[Biomarker, ...] = ()
    together: float = 0.0


def attribute_words(predictor: Predictor, tokens: ImageTokens, evidence: Evidence, target: Target) -> WordRelevance:
    """Explain one answer by the words of its report.

    Parameters
    ----------
    predictor : Predictor
    tokens : ImageTokens
        The encoded scan.
    evidence : Evidence
    target : Target
        Only the number of a class hangs on the words of a report.

    Notes
    -----
    Words by integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) at BERT's word embeddings, from a report whose every
    word is [MASK] to the report as it is, at `NODES` of the path, on the forward pass as it is; summed over the pieces of a
    word and over the candidate reports of all classes, which share these words. So words add up to what the report's words are worth
    together. Gradient times input, the cheaper way, had nothing to do with what the model does when words are masked or sentences left
    out (docs/benchmarks.md). What each biomarker is worth is asked of the model itself, with its sentences left out of every candidate. The
    regression on the row is no part of either.
    """
    visit = evidence.completed
    if visit is None or evidence.road == SCAN or not target.reads_classes:
        return WordRelevance()
    text, value_spans = _report_of(predictor, visit)
    number = _Number(predictor, evidence, target)
    words, together = _words(predictor, tokens, visit, text, value_spans, number)
    relevance: dict[str, float] = {}
    for word in words:
        if word.biomarker is not None:
            relevance[word.biomarker] = relevance.get(word.biomarker, 0.0) + word.relevance
    worth = _left_out(predictor, tokens, visit, number)
    names = [name for name in relevance if name in worth]
    return WordRelevance(tuple(words), tuple(Biomarker(name, relevance[name], worth[name]) for name in names), together)


def words_to_tsv(told: WordRelevance) -> str:
    """Return the words of a report as the text of a table."""
    lines = ["word\tstart\tend\tbiomarker\trelevance"]
    lines += [
        f"{word.text}\t{word.start}\t{word.end}\t{word.biomarker or 'n/a'}\t{word.relevance:.6f}" for word in told.words
    ]
    return "\n".join(lines) + "\n"


def biomarkers_to_tsv(told: WordRelevance) -> str:
    """Return the biomarkers of a report as the text of a table."""
    lines = ["biomarker\trelevance\tleft_out"]
    lines += [f"{one.name}\t{one.relevance:.6f}\t{one.left_out:.6f}" for one in told.biomarkers]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Number:
    """The number that is explained: the target's score, as the model weighs it, less the mean of the others."""

    predictor: Predictor
    evidence: Evidence
    target: Target

    def of(self, scores: Any, place: int = 0) -> Tensor:
        decided = self.predictor.decide(scores.of_one(place), self.evidence)
        return number_of_classes(self.target, decided, self.predictor.labels)[0]


def _report_of(predictor: Predictor, visit: Visit) -> tuple[str, Sequence[Span]]:
    report = predictor.teller.report_of(visit)
    keep = predictor.record.task.keep(fields_of(predictor.record.style))
    return report.text, spans(visit, report, keep)


def _words(
    predictor: Predictor, image: Any, visit: Visit, text: str, value_spans: Sequence[Span], number: _Number
) -> tuple[list[Word], float]:
    """Return the words, and the explained number less that of a report whose words are all masked."""
    candidates = list(dict.fromkeys(predictor.reader.report_texts(visit)))
    places = _places(predictor.reader.tokenizer, candidates, text)
    masked = torch.tensor(places >= 0, device=image.cls.device)[..., None]
    embeddings: Any = predictor.reader.network.text_tower.embeddings
    vocabulary: Any = predictor.reader.tokenizer
    mask_id = vocabulary.token_to_id(MASK)
    table = embeddings.word_embeddings.weight
    nothing = torch.zeros_like(table[0]) if mask_id is None else table[mask_id].detach()
    given: list[Tensor] = []
    share = 1.0

    def blend(module: object, inputs: object, output: Tensor) -> Tensor | None:
        if given:
            return None  # bare phrases, where they are encoded at all, come after the report
        blended = torch.where(masked, nothing + share * (output.detach() - nothing), output.detach())
        given.append(blended.requires_grad_(torch.is_grad_enabled()))
        return given[0]

    def ask(part: float) -> tuple[Tensor, Tensor]:
        nonlocal share
        share = part
        given.clear()
        return number.of(score_tokens(predictor.reader, image, [visit])), given[0]

    handle = embeddings.word_embeddings.register_forward_hook(blend)
    try:
        gradient = torch.zeros(1, device=image.cls.device)
        with torch.enable_grad():
            for node in NODES:
                value, blended = ask(node)
                gradient = gradient + torch.autograd.grad(value, blended)[0] / len(NODES)
        with torch.no_grad():
            (whole, words), (empty, _) = ask(1.0), ask(0.0)
    finally:
        handle.remove()
    relevance = (gradient * (words - nothing)).sum(-1).double().cpu().numpy()
    by_place = np.zeros(len(text))
    np.add.at(by_place, places[places >= 0], relevance[places >= 0])
    owner = list(_owners(text, value_spans))
    return [
        Word(one[0], one.start(), one.end(), owner[one.start()], float(by_place[one.start() : one.end()].sum()))
        for one in re.finditer(r"\S+", text)
    ], float(whole - empty)


def _places(tokenizer: Any, candidates: Sequence[str], text: str) -> NDArray[np.int64]:
    """Return for each piece of each candidate (K, L) where in the report it begins; -1 for the label phrase and what is no word."""
    encoded = [tokenizer.encode(candidate).offsets for candidate in candidates]
    places = np.full((len(candidates), max(map(len, encoded))), -1, dtype=np.int64)
    for row, (candidate, offsets) in enumerate(zip(candidates, encoded, strict=True)):
        before = len(candidate) - len(text)  # the label phrase comes first, and the rest is the same in all
        assert candidate.endswith(text)
        for piece, (start, end) in enumerate(offsets):
            if end > start >= before:
                places[row, piece] = start - before
    return places


def _owners(text: str, value_spans: Sequence[Span]) -> Iterator[str | None]:
    """Yield the biomarker of each character: within a sentence, that of the value that follows, after the last one that of the last."""
    for sentence in _SENTENCE.finditer(text):
        inside = [span for span in value_spans if sentence.start() <= span.start < sentence.end()]
        for place in range(sentence.start(), sentence.end()):
            found = next((span for span in inside if place < span.end), inside[-1] if inside else None)
            yield None if found is None else _biomarker(found)


def _biomarker(span: Span) -> str:
    return biomarker_of(span.sources[0] if span.sources else span.column) if span.column != KNOWLEDGE else KNOWLEDGE


def biomarker_of(column: str) -> str:
    """Return what a column is about: both sides of a structure and its total are one biomarker.

    Examples
    --------
    >>> biomarker_of("hippocampus_left_mm3"), biomarker_of("age_years")
    ('hippocampus', 'age_years')
    """
    while (shorter := _PART.sub("", column)) != column:
        column = shorter
    return column


def _left_out(predictor: Predictor, image: Any, visit: Visit, number: _Number) -> dict[str, float]:
    """Return biomarker -> the explained number less that of a report without it."""
    from adclip.prediction.beside import repeated

    fields = predictor.reader.fields(visit)
    names = list(dict.fromkeys(biomarker_of(field) for field in fields))
    kept = [None, *(frozenset(field for field in fields if biomarker_of(field) != name) for name in names)]
    wordings = [Wording(keep) for keep in kept]
    with torch.inference_mode():
        scores = score_tokens(predictor.reader, repeated(image, len(kept)), [visit] * len(kept), wordings)
        numbers = [float(number.of(scores, place)) for place in range(len(kept))]
    return {name: numbers[0] - without for name, without in zip(names, numbers[1:], strict=True)}
