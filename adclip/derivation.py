"""One scan to its derivative on disk: what `preprocess` does for each, in whatever process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adclip.config import PreprocessConfig, parse_override
from adclip.domain import InputContract, ReadOptions, ScanItem
from adclip.imaging.brain import DeepbetStripper, SkullStripper
from adclip.imaging.derivatives import (
    derivative_path,
    figure_path,
    read_current,
    read_derivative,
    update_sidecar,
    write_dataset_description,
    write_derivative,
)
from adclip.imaging.files import scan_sha256
from adclip.imaging.folders import is_our_dataset
from adclip.imaging.prepare import PreparedScan, prepare_scan
from adclip.imaging.qc_picture import draw_qc
from adclip.imaging.quality import override_verdict
from adclip.imaging.status import ScanRow
from adclip.paths import write_bytes


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
        self._overrides = {(who, when): verdict for who, when, verdict in map(parse_override, config.overrides)}
        self.options = ReadOptions(orientation=config.orientation, series=config.series)

    def __call__(self, item: ScanItem) -> ScanRow:
        """Do, keep or take over one scan; raise AdclipError if it cannot be used."""
        if item.preprocessed:
            return self._take_over(item)
        finished = self.find_finished(item)
        return self._do(item) if finished is None else self._keep(item, finished)

    def find_finished(self, item: ScanItem) -> dict[str, Any] | None:
        """Return the sidecar of an earlier result that still holds."""
        if self._config.overwrite:
            return None
        config = self._config
        finished = read_current(config.out, item, self._contract, scan_sha256(item.path, self.options), self.options)
        return None if finished is None or (config.volumes and "Volumes" not in finished) else finished

    def _take_over(self, item: ScanItem) -> ScanRow:
        """Keep a derivative where it is, or copy it here from another folder; nothing is computed again."""
        prepared = read_derivative(item, self._contract)
        prepared = replace(prepared, flags=tuple(dict.fromkeys((*prepared.flags, "already_preprocessed"))))
        if item.path.resolve() == derivative_path(self._config.out, item).resolve():
            return to_row(item, "kept", qc=prepared.qc, flags=prepared.flags)
        return self._write(item, prepared)

    def _do(self, item: ScanItem) -> ScanRow:
        verdict = self._override(item)
        found = _find_volumes(item) if self._config.volumes else {}
        prepared = prepare_scan(
            item, self._contract, self._stripper, self.options,
            measure=self._config.volumes and not found, any_modality=verdict is not None,
        )  # fmt: skip
        if found:
            prepared = replace(prepared, volumes=found)
        if verdict is not None:
            qc, flags = override_verdict(prepared.qc, prepared.flags, verdict)
            prepared = replace(prepared, qc=qc, flags=flags)
        return self._write(item, prepared)

    def _write(self, item: ScanItem, prepared: PreparedScan) -> ScanRow:
        out = self._config.out
        if not is_our_dataset(out):
            write_dataset_description(out)
        picture = draw_qc(
            prepared.image, prepared.mask, self._contract, scan_to_mni=prepared.scan_to_mni, volume=prepared.volume
        )  # fmt: skip
        write_bytes(figure_path(out, item), picture)
        write_derivative(prepared, item, out, self._contract, options=self.options)
        return to_row(item, "done", qc=prepared.qc, flags=prepared.flags)

    def _keep(self, item: ScanItem, sidecar: Mapping[str, Any]) -> ScanRow:
        """Keep a finished scan, with a new word on its verdict or new volumes beside it."""
        changes: dict[str, Any] = {}
        qc, flags = sidecar.get("QC", {}), tuple(sidecar.get("Flags", ()))
        verdict = self._override(item)
        if verdict is not None and qc.get("override", {}).get("to") != verdict:
            qc, flags = override_verdict(qc, flags, verdict)
            changes |= {"QC": qc, "Flags": list(flags)}
        found = _find_volumes(item) if self._config.volumes else {}
        if found and found != sidecar.get("Volumes"):
            changes["Volumes"] = found
        if changes:
            update_sidecar(self._config.out, item, changes)
        return to_row(item, "kept", qc=qc, flags=flags)

    def _override(self, item: ScanItem) -> str | None:
        session = self._overrides.get((item.subject_id, item.session_id))
        return session or self._overrides.get((item.subject_id, None))


def to_row(item: ScanItem, status: str, **fields: Any) -> ScanRow:
    """Return the row of a scan in the state `status`."""
    return ScanRow(
        scan=str(item.path), subject_id=item.subject_id, session_id=item.session_id, status=status, **fields
    )  # fmt: skip


def _find_volumes(item: ScanItem) -> dict[str, Any]:
    """Return the volumes of a FreeSurfer, SynthSeg or DLMUSE table beside the scan, or nothing."""
    from adclip.clinical.segmentations import find_segmentation

    found = find_segmentation(item.path, item.subject_id)
    if found is None:
        return {}
    return {
        "source": found.software,
        "table": found.path.name,
        "volumes": dict(found.volumes),
        "definitions": dict(found.definitions),
    }
