"""What the network says of scans and visits: the one road that training, calibration, prediction and explanation share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adclip.clinical.reports import bare_phrase, candidates, usable_fields
from adclip.domain import Visit
from adclip.model.attention import AttentionRecord
from adclip.model.network import ImageTokens, Network, TextTokens
from adclip.model.numbers import check_embeddings
from adclip.model.text import tokenize
from adclip.task import ALZHEIMER, Task

if TYPE_CHECKING:
    from adclip.model.checkpoint import LoadedModel


@dataclass(frozen=True)
class Wording:
    """How one report of a training step is written.

    Parameters
    ----------
    keep : frozenset of str or None
        Columns that may be printed (report dropout); None keeps all.
    phrasing : int
        Which wordings, see `adclip.clinical.reports.render`; 0 is the canonical one, as at prediction.
    """

    keep: frozenset[str] | None = None
    phrasing: int = 0


def report_texts(
    visit: Visit,
    labels: Sequence[str],
    style: str,
    keep: frozenset[str] | None = None,
    phrasing: int = 0,
    *,
    reports: bool = True,
    task: Task = ALZHEIMER,
    version: str | None = None,
) -> list[str]:
    """Return one candidate report per class: the same sentences, another label phrase; with nothing usable, the bare phrases."""
    fields = frozenset(task.usable(usable_fields(visit, style))) if reports else frozenset()
    shown_fields = fields if keep is None else fields & keep
    if not shown_fields:
        return [bare_phrase(label, task.phrases) for label in labels]
    return [report.text for report in candidates(visit, style, labels, shown_fields, phrasing, task.phrases, version)]


@dataclass(frozen=True)
class Reader:
    """Writes the candidate texts of a model and encodes them.

    Parameters
    ----------
    network : Network
    tokenizer : Tokenizer
    labels : tuple of str
        Class order.
    style : str
        Report style.
    class_texts : TextTokens or None
        The bare phrases as the finished model encoded them; None while it learns.
    with_reports : bool
        Whether the model reads reports at all.
    task : Task
        Phrases of the classes, and the columns that reports may use.
    version : str or None
        Version of the style's words that the model reads; None the newest, as a model reads that learns now.
    """

    network: Network
    tokenizer: object
    labels: tuple[str, ...]
    style: str
    class_texts: TextTokens | None = None
    with_reports: bool = True
    task: Task = ALZHEIMER
    version: str | None = None

    def fields(self, visit: Visit) -> tuple[str, ...]:
        """Return the columns of a visit that this model's reports use."""
        return self.task.usable(usable_fields(visit, self.style)) if self.with_reports else ()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.logit_scale.device

    def encode(self, texts: Sequence[str], count: int) -> TextTokens:
        """Encode texts given scan by scan, `count` candidates each; equal texts are encoded once."""
        distinct = list(dict.fromkeys(texts))
        place = {text: index for index, text in enumerate(distinct)}
        batch = tokenize(distinct, self.tokenizer, self.network.text_limit)  # type: ignore[arg-type]  # is a Tokenizer
        tokens = self.network.text_tokens(batch.to(self.device), 1)
        order = torch.tensor([place[text] for text in texts], device=self.device).reshape(-1, count)
        return TextTokens(tokens.tokens[order, 0], tokens.word_mask[order, 0])

    def bare_texts(self) -> list[str]:
        """Class phrases without a report."""
        return [bare_phrase(label, self.task.phrases) for label in self.labels]

    def report_texts(self, visit: Visit, keep: frozenset[str] | None = None, phrasing: int = 0) -> list[str]:
        """Return the candidate reports of a visit; see the function of this name."""
        return report_texts(
            visit,
            self.labels,
            self.style,
            keep,
            phrasing,
            reports=self.with_reports,
            task=self.task,
            version=self.version,
        )

    def bare(self) -> TextTokens:
        """Encode the bare phrases: shared by all scans."""
        if self.class_texts is not None:
            return self.class_texts
        return self.encode(self.bare_texts(), len(self.labels))

    def reports(self, visits: Sequence[Visit], wordings: Sequence[Wording] | None = None) -> TextTokens:
        """Encode the candidate reports of several visits."""
        wordings = wordings or [Wording()] * len(visits)
        if self.class_texts is not None and not any(self.fields(visit) for visit in visits):
            return self.class_texts
        texts = [
            text
            for visit, wording in zip(visits, wordings, strict=True)
            for text in self.report_texts(visit, wording.keep, wording.phrasing)
        ]
        return self.encode(texts, len(self.labels))


def reader_of(model: LoadedModel, device: torch.device) -> Reader:
    """Return the reader of a loaded model, its network and class texts moved to `device`."""
    record, texts = model.record, model.class_texts
    return Reader(model.network.to(device), model.tokenizer, record.labels, record.style, None if texts is None else texts.to(device),
                  record.reports, record.task, record.template_version)  # fmt: skip


@dataclass(frozen=True)
class Records:
    """What is kept of attention on the way: of the last vision block, and of the road MHA(T<-I) of either kind of candidates."""

    vision: AttentionRecord | None = None
    report: AttentionRecord | None = None
    bare: AttentionRecord | None = None


@dataclass(frozen=True)
class Scores:
    """Answers for B scans.

    Parameters
    ----------
    report, bare : Tensor (B, K)
        Class scores before temperature, with report candidates and with bare phrases.
    mmse : Tensor (B,) or None
        z-scored MMSE.
    image : ImageTokens
        For losses on embeddings.
    texts : TextTokens
        The encoded report candidates.
    """

    report: Tensor
    bare: Tensor
    mmse: Tensor | None
    image: ImageTokens
    texts: TextTokens

    def of_one(self, place: int) -> Scores:
        """Return the answers for one of the scans."""
        only = slice(place, place + 1)

        def cut(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[only]

        image = replace(
            self.image, cls=self.image.cls[only], patches=cut(self.image.patches), mmse=cut(self.image.mmse)
        )
        texts = self.texts
        if len(texts.tokens) > 1:  # one stands for all scans that have no report
            texts = TextTokens(texts.tokens[only], texts.word_mask[only])
        return replace(
            self, report=self.report[only], bare=self.bare[only], mmse=cut(self.mmse), image=image, texts=texts
        )


def score_batch(
    reader: Reader,
    images: Tensor,
    visits: Sequence[Visit],
    wordings: Sequence[Wording] | None = None,
    records: Records | None = None,
) -> Scores:
    """Score scans (B, 1, D, H, W) in [0, 1] against the candidate reports of their visits and against bare phrases."""
    records = records or Records()
    return score_tokens(reader, reader.network.image_tokens(images, records.vision), visits, wordings, records)


def score_tokens(
    reader: Reader,
    image: ImageTokens,
    visits: Sequence[Visit],
    wordings: Sequence[Wording] | None = None,
    records: Records | None = None,
) -> Scores:
    """Score scans whose tokens are there already, as `score_batch` does.

    Raises
    ------
    CheckpointError
        In inference mode, if the embedding of a scan or a report has no direction. Training has its own word for that.
    """
    return score_texts(reader.network, image, reader.reports(visits, wordings), reader.bare(), records)


def score_texts(
    network: Network, image: ImageTokens, texts: TextTokens, bare: TextTokens, records: Records | None = None
) -> Scores:
    """Score scans against texts that are encoded already, as `score_tokens` does: the reports' candidates, and the bare phrases."""
    records = records or Records()
    if torch.is_inference_mode_enabled() and not network.training:
        check_embeddings(image.cls, "scan")
        check_embeddings(texts.cls, "report")
        check_embeddings(bare.cls, "class phrases")
    report = network.score(image, texts, records.report)
    return Scores(
        report, report if bare is texts else network.score(image, bare, records.bare), image.mmse, image, texts
    )
