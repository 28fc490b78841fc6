"""One scan in, one Prediction out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from adclip.domain import Prediction, ReadOptions, ScanItem, Visit
from adclip.imaging.sources.in_turn import try_in_turn
from adclip.prediction import errors
from adclip.prediction.answer import Answer, calibrated
from adclip.prediction.beside import Beside
from adclip.prediction.evidence import Evidence, find_evidence, log_chances, weigh
from adclip.prediction.inputs import read_visit, to_item
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.prevalence import at_prevalence, check_prevalence, likeliest, parse_prevalence, shift
from adclip.prediction.similar import TrainingCases, read_cases
from adclip.prediction.teller import Teller
from adclip.prediction.telling import Telling, check_telling

if TYPE_CHECKING:
    from torch import Tensor

    from adclip.imaging.prepare import PreparedScan
    from adclip.imaging.steps.brain import SkullStripper
    from adclip.model.checkpoint import LoadedModel
    from adclip.prediction.scoring import Reader, Records, Scores


class Predictor:
    """A loaded model. Make it once with `from_checkpoint`, call it for each scan.

    Parameters
    ----------
    model : LoadedModel
    device : str
        `auto`, `cpu`, `cuda[:N]` or `mps`.
    volumes : bool
        Whether the volumes of brain structures are looked up beside each scan, else measured: shown with every answer,
        and reported where no table has any.
    telling : Telling, optional
        For which shares of the classes, and what is told beside an answer.
    seed : int
        Of the pseudo-rescans.

    Raises
    ------
    CheckpointError
        If the model reads reports in a version that this adclip does not write.
    ConfigError
        If the model cannot tell what `telling` asks for.

    Examples
    --------
    >>> predictor = Predictor.from_checkpoint("builtin", device="cpu")  # doctest: +SKIP
    >>> predictor("scan.nii.gz").probabilities  # doctest: +SKIP
    """

    def __init__(
        self, model: LoadedModel, device: str, volumes: bool = True, telling: Telling | None = None, seed: int = 0
    ) -> None:
        from adclip.clinical.reports import template_versions
        from adclip.model.device import choose_device
        from adclip.prediction.scoring import reader_of

        supported_versions = template_versions(model.record.style)
        if model.record.template_version not in supported_versions:
            raise errors.other_template(model.record.style, model.record.template_version, supported_versions)
        self.device = choose_device(device)
        self.record = model.record
        self.identity, self.folder = model.identity, model.folder
        self.gate = model.gate
        self.volumes = volumes
        self.telling = telling or Telling()
        check_telling(self.telling, self.record, model.folder)
        self.prevalence = self._shares_of(self.telling.prevalence)
        self.reader: Reader = reader_of(model, self.device)
        stored = self.record.metadata_baseline
        self._baseline = None if stored is None else MetadataBaseline.from_dict(stored.content)
        self.beside = Beside(self.telling, self.record.model.contract, self._cases_of(model), seed)
        self._stripper: SkullStripper | None = None

    @classmethod
    def from_checkpoint(
        cls,
        folder: Path | str = "builtin",
        device: str = "auto",
        precision: str = "auto",
        volumes: bool = True,
        telling: Telling | None = None,
        seed: int = 0,
    ) -> Self:
        """Load a model.

        Parameters
        ----------
        folder : path
            `builtin` or a RUN folder.
        device : str
            `auto`, `cpu`, `cuda[:N]` or `mps`.
        precision : str
            Of the frozen weights: `fp32`, `bf16`, `fp16`, or `auto` (bfloat16 on GPUs that compute in it, else float32).
        volumes : bool
            Whether volumes are found or measured for each scan, see the class.
        telling, seed
            See the class.
        """
        from adclip.model.checkpoint import load_model
        from adclip.model.device import choose_device

        return cls(load_model(str(folder), precision, choose_device(device)), device, volumes, telling, seed)

    @property
    def teller(self) -> Teller:
        """Says what the model answered."""
        return Teller(self.record, self.identity, self.reader, self._baseline, self.volumes)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class order."""
        return self.record.labels

    def __call__(
        self,
        scan: Path | str | ScanItem,
        meta: Visit | Path | str | None = None,
        options: ReadOptions | None = None,
        prevalence: Mapping[str, float] | str | None = None,
    ) -> Prediction:
        """Predict one scan.

        Parameters
        ----------
        scan : path or ScanItem
            A raw scan is preprocessed on the way, an adclip derivative is taken as it is. Of several T1w of one session in a
            folder the next is taken where one is refused, with the flag `next_run_used`.
        meta : Visit or path, optional
            What is known of the person, or a table with one row. Diagnosis and scores in it are never used.
        options : ReadOptions, optional
            Orientation or DICOM series, where the file leaves them open.
        prevalence : mapping or str, optional
            Class -> share among people like this one, for this scan alone; by default that of `telling`.

        Returns
        -------
        Prediction

        Raises
        ------
        ScanError, TableError
            If the scan or the table cannot be used.
        ConfigError
            If `prevalence` does not fit the classes.
        """
        shares = self.prevalence if prevalence is None else self._shares_of(prevalence)
        visit = read_visit(meta, self.record.task) if isinstance(meta, str | Path) else meta
        if isinstance(scan, str | Path):
            return try_in_turn(
                to_item(scan),
                partial(self, meta=visit, options=options, prevalence=prevalence),
                lambda item, text: None,
            )
        prepared = self.prepare(scan, options)
        evidence = self.evidence(prepared, visit)
        return self.to_prediction(scan, prepared, evidence, self.answer(prepared, evidence), shares)

    def prepare(self, item: ScanItem, options: ReadOptions | None = None) -> PreparedScan:
        """Bring a scan onto the model's grid, and find its volumes: in a table beside it, in its sidecar, else by measuring."""
        from adclip.imaging.prepare import prepare_scan
        from adclip.prediction.volumetry import find_volumes, still_counts

        if self._stripper is None and not item.preprocessed:
            from adclip.imaging.steps.brain import DeepbetStripper

            self._stripper = DeepbetStripper(str(self.device))
        of_table = find_volumes(item) if self.volumes else None
        measure = self.volumes and of_table is None
        prepared = prepare_scan(item, self.record.model.contract, self._stripper, options, measure=measure)
        if not self.volumes or (item.preprocessed and not still_counts(prepared.volumes)):
            prepared = replace(prepared, volumes=None)
        return prepared if of_table is None else replace(prepared, volumes=of_table)

    def complete(self, prepared: PreparedScan, visit: Visit | None) -> Visit | None:
        """Return what the report is written from: the row of the table, and the scan's volumes where it has none.

        A model that was never taught volumes is told none, and what adclip measured only if it learned from such volumes.
        """
        from adclip.prediction.volumetry import may_be_told, with_volumes

        learned_from = self.record.training.volumes_sources or ()
        may = self._was_taught_volumes() and may_be_told(prepared.volumes, learned_from)
        return with_volumes(visit, prepared.volumes) if may else visit

    def evidence(self, prepared: PreparedScan, visit: Visit | None) -> Evidence:
        """Say what the answer of a scan can rest on; `visit` is the row of the table."""
        return self.evidence_of(visit, self.complete(prepared, visit))

    def evidence_of(self, visit: Visit | None, completed: Visit | None) -> Evidence:
        """Say the same of a row that is completed already; with the row twice, of a scan for which no volumes were found."""
        has_report = bool(completed and self.reader.fields(completed))
        return find_evidence(visit, completed, self._baseline, has_report=has_report)

    def to_image(self, prepared: PreparedScan) -> Tensor:
        """Return the scan as the network takes it: (1, 1, D, H, W) in [0, 1] on the device."""
        import torch

        from adclip.imaging.steps.grid import to_model_order

        image = torch.from_numpy(to_model_order(prepared.image).copy()).float()
        return image[None, None].to(self.device)

    def score(self, image: Tensor, evidence: Evidence, records: Records | None = None) -> Scores:
        """Score one scan with the report of all that is known; the caller decides about gradients."""
        from adclip.prediction.scoring import score_batch

        return score_batch(self.reader, image, [evidence.completed or Visit()], None, records)

    def decide(self, scores: Scores, evidence: Evidence) -> Tensor:
        """Return the answer's scores (1, K) before temperature: those of scan, row and both, as the model weighs them."""
        metadata = scores.bare.new_tensor([log_chances(evidence.metadata_only, self.labels)])
        return weigh(self.record.calibration.road(evidence.road), scores.bare, metadata, scores.report)

    def answer(self, prepared: PreparedScan, evidence: Evidence) -> Answer:
        """Score one scan without gradients."""
        import torch

        with torch.inference_mode():
            return self.to_answer(self.score(self.to_image(prepared), evidence), evidence)

    def to_answer(self, scores: Scores, evidence: Evidence) -> Answer:
        """Give the numbers of one scan their names."""
        from torch.nn.functional import normalize

        named = dict(zip(self.labels, self.decide(scores, evidence)[0].tolist(), strict=True))
        bare = dict(zip(self.labels, scores.bare[0].tolist(), strict=True))
        points = None
        if scores.mmse is not None and self.record.mmse_mean is not None and self.record.mmse_sd is not None:
            points = float(scores.mmse[0].detach()) * self.record.mmse_sd + self.record.mmse_mean
        distance = None if self.gate is None else float(self.gate.distance(scores.image.cls)[0])
        embedding = normalize(scores.image.cls[0].detach().float(), dim=0).cpu().numpy()
        return Answer(named, bare, evidence.road, points, distance, embedding)

    def diagnosis(self, answer: Answer) -> str:
        """Return the class that `to_prediction` names, for the shares of `telling`."""
        return likeliest(self._chances(answer, self.prevalence))

    def to_prediction(
        self,
        item: ScanItem,
        prepared: PreparedScan,
        evidence: Evidence,
        answer: Answer,
        prevalence: Mapping[str, float] | None = None,
    ) -> Prediction:
        """Numbers to the record of the contract, with all that `telling` asks for; `prevalence` takes the place of its own."""
        shares = self.prevalence if prevalence is None else prevalence
        prediction = self.teller.tell(item, prepared, evidence, answer)
        if shares is not None:
            prediction = at_prevalence(prediction, shares)
        chances = partial(self._chances, shares=shares)
        return self.beside.add(self, prediction, prepared, evidence, answer, chances, is_raw=not item.preprocessed)

    def _chances(self, answer: Answer, shares: Mapping[str, float] | None) -> Mapping[str, float]:
        """Return the probabilities of an answer for these shares of the classes; None are equal ones."""
        probabilities = calibrated(answer, self.record.calibration).probabilities
        return probabilities if shares is None else shift(probabilities, shares)

    def _shares_of(self, prevalence: Mapping[str, float] | str | None) -> dict[str, float] | None:
        """Return class -> share in the class order, None where classes count as equally common."""
        if prevalence is None:
            return None
        shares = parse_prevalence(prevalence) if isinstance(prevalence, str) else prevalence
        return check_prevalence(shares, self.labels)

    def _cases_of(self, model: LoadedModel) -> TrainingCases | None:
        """Read the training cases of the model where similar ones are asked for."""
        if not self.telling.similar_cases:
            return None
        return read_cases(model.folder, self.labels, self.record.model.embedding, self.record.training.fingerprint)

    def _was_taught_volumes(self) -> bool:
        """Whether volumes varied among the training visits, so that reports told of them; True where the record does not say."""
        baseline = self.record.metadata_baseline
        return self.record.reports and (baseline is None or baseline.reads_volumes_of_table)
