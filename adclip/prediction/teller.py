"""From the numbers of one scan to the record of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adclip.clinical.tables.scan_names import session_in_record
from adclip.domain import Prediction, Report, ScanItem, ScoreEstimate, Visit
from adclip.prediction.answer import Answer, calibrated, with_flags, with_verdict
from adclip.prediction.evidence import Evidence
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.prevalence import likeliest
from adclip.prediction.reasons import NO_DETAIL, OK
from adclip.runtime.paths import shown
from adclip.version import __version__

if TYPE_CHECKING:
    from adclip.imaging.prepare import PreparedScan
    from adclip.model.record import AdapterRecord
    from adclip.prediction.scoring import Reader


@dataclass(frozen=True)
class Teller:
    """Says what a model answered.

    Parameters
    ----------
    record : AdapterRecord
    identity : mapping
        `id`, `base`, `sha256` of the model.
    reader : Reader
        For which columns a report uses.
    baseline : MetadataBaseline or None
        The regression on the row.
    looks_for_volumes : bool
        Whether volumes were looked for beside each scan.
    """

    record: AdapterRecord
    identity: Mapping[str, str]
    reader: Reader
    baseline: MetadataBaseline | None
    looks_for_volumes: bool

    def tell(self, item: ScanItem, prepared: PreparedScan, evidence: Evidence, answer: Answer) -> Prediction:
        """Return the record of the contract, for classes equally common."""
        from adclip.clinical.columns import are_plausible
        from adclip.clinical.measured import volumes_of
        from adclip.prediction.flags import flags_of_answer, flags_of_row
        from adclip.prediction.volumetry import IMPLAUSIBLE, NEED_RAW_SCAN, ask_baseline, describe

        visit, metadata_only = evidence.row, evidence.metadata_only
        result = calibrated(answer, self.record.calibration)
        flags = dict.fromkeys(prepared.flags, NO_DETAIL)
        flags |= flags_of_answer(answer, result, evidence, self.record.labels)
        flags |= flags_of_row(visit, self.record.training, self.baseline)
        told = evidence.completed if answer.used_report else None
        report = None if told is None else self.report_of(told)
        flags |= self._flags_of_volumes(told, report)
        volumes = prepared.volumes
        if volumes is not None and not are_plausible(volumes.mm3):
            flags[IMPLAUSIBLE] = NO_DETAIL
        if volumes is None and visit is not None:
            volumes = volumes_of(visit)
        if self.looks_for_volumes and item.preprocessed and volumes is None:
            flags[NEED_RAW_SCAN] = NO_DETAIL
        prediction = Prediction(
            scan=shown(item.path),
            status=OK,
            subject_id=(visit.subject_id if visit and visit.subject_id else item.subject_id) or None,
            session_id=session_in_record(item, visit),
            diagnosis=likeliest(result.probabilities),
            scores=answer.scores,
            probabilities=result.probabilities,
            prediction_set=result.prediction_set,
            mmse=self._score(answer, visit),
            scan_only=result.scan_only,
            metadata_only=metadata_only,
            volumes_only=ask_baseline(self.record.volumes_baseline, prepared.volumes, visit),
            volumes=describe(volumes, visit),
            volumes_source=None if volumes is None else volumes.source,
            flags=(),
            report=None if report is None else report.text,
            model=self.identity,
            adclip_version=__version__,
            notice=self.record.notice,
            score_name=self.record.task.score_key,
        )
        return with_flags(with_verdict(prediction, prepared.qc.verdict, prepared.qc.reasons), flags)

    def report_of(self, visit: Visit) -> Report:
        """Write what the network reads of a visit, in the version it was taught on, without a label phrase."""
        from adclip.clinical.reports import fields_of, render

        keep = self.record.task.keep(fields_of(self.record.style))
        return render(visit, self.record.style, None, keep, version=self.record.template_version)

    def _flags_of_volumes(self, told: Visit | None, report: Report | None) -> dict[str, str]:
        """Say what is to be known of the volumes in the report, if there are any."""
        from adclip.prediction.flags import flags_of_volumes

        if told is None or report is None or not any(column.endswith("_mm3") for column in self.reader.fields(told)):
            return {}
        learned_from = self.record.training.volumes_sources or ()
        return flags_of_volumes(told.volumes_source, learned_from, report.flags)

    def _score(self, answer: Answer, visit: Visit | None) -> ScoreEstimate | None:
        if answer.mmse_points is None:
            return None
        task = self.record.task
        lowest, highest = task.score_range
        points = min(max(answer.mmse_points, lowest), highest)
        half, points_of_row = self.record.calibration.mmse_half_width, task.score_of(visit) if visit else None
        if half is None:
            return ScoreEstimate(points, known=points_of_row)
        return ScoreEstimate(points, max(points - half, lowest), min(points + half, highest), points_of_row)
