"""One scan to its derivative on disk: what `preprocess` does for each, in whatever process."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from adclip.domain import InputContract, ReadOptions, ScanItem
from adclip.imaging.derivatives.currency import is_current, read_whole
from adclip.imaging.derivatives.files import (
    check_own_place,
    read_derivative,
    write_dataset_description,
    write_derivative,
    write_sidecar,
)
from adclip.imaging.derivatives.names import derivative_path, figure_path
from adclip.imaging.derivatives.qc_picture import draw_qc
from adclip.imaging.derivatives.status import ScanRow
from adclip.imaging.prepare import PreparedScan, prepare_scan
from adclip.imaging.quality.verdict import override_verdict
from adclip.imaging.records.sidecar import Sidecar
from adclip.imaging.sources.in_turn import try_in_turn
from adclip.imaging.sources.ours import is_our_dataset, read_sidecar
from adclip.imaging.sources.source import Source, hash_source
from adclip.imaging.steps.brain import DeepbetStripper, SkullStripper
from adclip.prediction.settings import PreprocessConfig, parse_override
from adclip.prediction.volumetry import NEED_RAW_SCAN, find_volumes, still_counts
from adclip.runtime.paths import legible, write_bytes

TAKEN_OVER = "already_preprocessed"
_log = logging.getLogger(__name__)


class ScanWork:
    """Make the derivative of a scan, or keep the one that is there.

    Parameters
    ----------
    config : PreprocessConfig
        What was asked for.
    contract : InputContract
        Grid and intensity rule of the model.
    stripper : SkullStripper or None
        Brain extraction to use instead of deepbet. It loads its network at the first head that needs it, once a process.

    Notes
    -----
    Called with a ScanItem it returns a ScanRow. It is pickled into the processes that share a cohort.
    """

    def __init__(self, config: PreprocessConfig, contract: InputContract, stripper: SkullStripper | None) -> None:
        self._config, self._contract = config, contract
        self._stripper = stripper or DeepbetStripper(config.device)
        self._overrides = {
            (subject_id, session_id): verdict
            for subject_id, session_id, verdict in map(parse_override, config.overrides)
        }
        self.options = ReadOptions(config.orientation, config.series, config.modality)

    def __call__(self, item: ScanItem) -> ScanRow:
        """Do, keep or take over one scan; raise AdclipError if it cannot be used."""
        check_own_place(self._config.out, item)
        if item.preprocessed:
            return self._take_over(item)
        return try_in_turn(item, self._do_or_keep, lambda refused, text: _log.warning("%s: %s", refused.path, text))

    def _do_or_keep(self, item: ScanItem) -> ScanRow:
        earlier = read_sidecar(derivative_path(self._config.out, item))
        if earlier is None:  # a new scan is hashed once, where it is read
            return self._do(item, None, None)
        source = hash_source(item.path, self.options)
        finished = self._still_holds(item, source)
        return self._do(item, source, earlier) if finished is None else self._keep(item, finished)

    def find_finished(self, item: ScanItem) -> Sidecar | None:
        """Return the sidecar of an earlier result that still holds."""
        if read_sidecar(derivative_path(self._config.out, item)) is None:
            return None
        return self._still_holds(item, hash_source(item.path, self.options))

    def _still_holds(self, item: ScanItem, source: Source) -> Sidecar | None:
        """Return the sidecar of a whole set of files made of the same bytes in the same way, volumes included."""
        finished = None if self._config.overwrite else read_whole(self._config.out, item)
        if finished is None or not is_current(finished, source.sha256, self._contract, self.options, self._stripper):
            return None
        if self._config.volumes and not still_counts(finished.volumes) and find_volumes(item) is None:
            return None  # none, or measured by another segmenter
        return finished

    def _take_over(self, item: ScanItem) -> ScanRow:
        """Keep a derivative where it is, or copy it here from another folder; nothing is computed again."""
        out = self._config.out
        prepared = read_derivative(item, self._contract)
        origin = read_sidecar(item.path) or Sidecar()
        notes: tuple[str, ...] = (TAKEN_OVER,)
        of_table = find_volumes(item) if self._config.volumes else None
        if self._config.volumes and not still_counts(prepared.volumes) and of_table is None:
            prepared = replace(
                prepared, volumes=None
            )  # of another segmenter: not comparable with what is measured today
            _log.warning("%s: volumes are measured on the raw scan only; give it instead of its derivative", item.path)
            notes = (TAKEN_OVER, NEED_RAW_SCAN)
        if item.path.resolve() == derivative_path(out, item).resolve():
            return self._keep(item, origin, notes=notes)
        existing = read_sidecar(derivative_path(out, item))
        if existing is not None and not self._config.overwrite and _same_result(origin, read_whole(out, item)):
            return self._keep(item, _merge(existing, origin), before=existing, notes=notes)
        prepared = replace(prepared, flags=tuple(dict.fromkeys((*prepared.flags, TAKEN_OVER))))
        if of_table is not None:
            prepared = replace(prepared, volumes=of_table)
        row = self._write(item, _judge(prepared, self._verdict(item, existing, prepared.source_sha256)), origin)
        return replace(row, flags=tuple(dict.fromkeys((*row.flags, *notes))))

    def _do(self, item: ScanItem, source: Source | None, earlier: Sidecar | None) -> ScanRow:
        verdict = self._verdict(item, earlier, source.sha256 if source else "")
        of_table = find_volumes(item) if self._config.volumes else None
        prepared = prepare_scan(
            item, self._contract, self._stripper, self.options,
            measure=self._config.volumes and of_table is None, any_modality=verdict is not None, source=source,
        )  # fmt: skip
        if of_table is not None:
            prepared = replace(prepared, volumes=of_table)
        return self._write(item, _judge(prepared, verdict))

    def _write(self, item: ScanItem, prepared: PreparedScan, origin: Sidecar | None = None) -> ScanRow:
        out = self._config.out
        if not is_our_dataset(out):
            write_dataset_description(out)
        picture = draw_qc(
            prepared.image, prepared.mask, self._contract, scan_to_mni=prepared.scan_to_mni, volume=prepared.volume
        )  # fmt: skip
        write_bytes(figure_path(out, item), picture)
        write_derivative(prepared, item, out, self._contract, options=self.options, origin=origin)
        return to_row(item, "done", qc=prepared.qc, flags=prepared.flags)

    def _keep(
        self,
        item: ScanItem,
        sidecar: Sidecar,
        before: Sidecar | None = None,
        notes: tuple[str, ...] = (),
    ) -> ScanRow:
        """Keep a finished scan, with a new word on its verdict or new volumes beside it; `before` is what the disk holds."""
        before = before or sidecar
        after = sidecar
        verdict = self._override(item)
        if verdict is not None and after.qc.overridden_to != verdict:
            qc, flags = override_verdict(after.qc, after.flags, verdict)
            after = replace(after, qc=qc, flags=flags)
        if self._config.volumes:
            if (of_table := find_volumes(item)) is not None:
                after = replace(after, volumes=of_table)
            elif not still_counts(after.volumes):
                after = replace(after, volumes=before.volumes)  # what somebody measured earlier is not thrown away
        if after.to_dict() != before.to_dict():
            write_sidecar(derivative_path(self._config.out, item), after)
        return to_row(item, "kept", qc=after.qc, flags=tuple(dict.fromkeys((*after.flags, *notes))))

    def _verdict(self, item: ScanItem, earlier: Sidecar | None, source_sha256: str) -> str | None:
        """Return what the user says of a scan now, or said of the same bytes in an earlier run."""
        now = self._override(item)
        if now is not None or earlier is None or earlier.source_sha256 != source_sha256:
            return now  # nobody has looked at other bytes yet
        return earlier.qc.overridden_to

    def _override(self, item: ScanItem) -> str | None:
        session = self._overrides.get((item.subject_id, item.session_id))
        return session or self._overrides.get((item.subject_id, None))


def to_row(item: ScanItem, status: str, **fields: Any) -> ScanRow:
    """Return the row of a scan in the state `status`."""
    return ScanRow(
        scan=legible(item.path), subject_id=item.subject_id, session_id=item.session_id, status=status, **fields
    )  # fmt: skip


def _judge(prepared: PreparedScan, verdict: str | None) -> PreparedScan:
    """Put the user's verdict, if there is one, in the place of the measured one."""
    if verdict is None:
        return prepared
    qc, flags = override_verdict(prepared.qc, prepared.flags, verdict)
    return replace(prepared, qc=qc, flags=flags)


def _same_result(origin: Sidecar, existing: Sidecar | None) -> bool:
    """Say whether two derivatives were made of one scan in one way; simulated ones, made of none, never are the same."""
    if existing is None or not origin.source_sha256 or not origin.fingerprint:
        return False
    return (origin.source_sha256, origin.fingerprint) == (existing.source_sha256, existing.fingerprint)


def _merge(existing: Sidecar, origin: Sidecar) -> Sidecar:
    """Return the sidecar that is there with the origin's verdict and volumes, unless the user judged the scan there."""
    merged = existing
    if existing.qc.overridden_to is None and origin.qc != existing.qc:
        merged = replace(merged, qc=origin.qc, flags=tuple(dict.fromkeys((*origin.flags, TAKEN_OVER))))
    return merged if origin.volumes is None else replace(merged, volumes=origin.volumes)
