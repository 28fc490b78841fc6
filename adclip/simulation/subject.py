"""One simulated subject on disk: all visits' scans, masks and what the tables will need, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adclip.brain_volumes import BrainVolumes
from adclip.domain import InputContract, ScanItem, Visit
from adclip.runtime.paths import write_text
from adclip.simulation.measured import segmenter_name
from adclip.simulation.scale import MUSE_PER_LABEL
from adclip.simulation.settings import SimulateConfig
from adclip.version import __version__

if TYPE_CHECKING:
    from adclip.simulation.acquisition import Scanner
    from adclip.simulation.brains import Brain
    from adclip.simulation.derivative import Derivative
    from adclip.simulation.population import Person
    from adclip.simulation.visits import VisitRecord

RECIPE = 5  # raised whenever the same seed would give other bytes
RECORDS = ".simulation"  # one JSON file a subject, written when the subject is whole: what a stopped run goes on from
# Streams of a subject's random numbers: who, shape and folds, everything about the scan of a visit.
PERSON, SHAPE, SCAN, CHOICE = 1, 2, 3, 4
_NOT_DECISIVE = {"out", "subjects", "workers", "overwrite"}


def cohort_fingerprint(config: SimulateConfig, contract: InputContract, sources: tuple[Path, ...]) -> str:
    """Return the SHA-256 of everything that decides a subject's bytes; the number of subjects does not."""
    from adclip.runtime.hashing import file_sha256

    settings = {key: value for key, value in asdict(config).items() if key not in _NOT_DECISIVE}
    settings["labels"] = [file_sha256(path) for path in sources]
    settings["contract"] = contract.to_dict() if config.preprocessed else None
    settings["scale"] = MUSE_PER_LABEL
    settings["segmenter"] = segmenter_name() if config.measures else None
    return hashlib.sha256(json.dumps([settings, __version__, RECIPE], sort_keys=True, default=str).encode()).hexdigest()


def name_subject(index: int) -> str:
    """Return the id of the subject at `index`; it says nothing about the person."""
    return f"sim{index + 1:04d}"


def record_path(out: Path, index: int) -> Path:
    """Return where the record of a subject stands."""
    return out / RECORDS / f"{name_subject(index)}.json"


def read_record(out: Path, index: int, fingerprint: str) -> list[VisitRecord] | None:
    """Return the visits of a subject that is finished and whole, or None."""
    from adclip.simulation.visits import VisitRecord

    try:
        content = json.loads(record_path(out, index).read_text(encoding="utf-8"))
        same = content["fingerprint"] == fingerprint
        whole = all((out / name).stat().st_size == size for name, size in content["files"].items())
        return [VisitRecord.from_dict(visit) for visit in content["visits"]] if same and whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_true_visits(out: Path) -> list[Visit]:
    """Return all visits of a finished cohort with nothing missing, in the order of its tables."""
    from adclip.simulation.tables import to_visit
    from adclip.simulation.visits import VisitRecord

    records = (json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / RECORDS).glob("sim*.json")))
    return [to_visit(VisitRecord.from_dict(visit)) for record in records for visit in record["visits"]]


class SubjectWork:
    """Simulate and write the subject at an index; depends on nothing but the settings, the seed and the index.

    Parameters
    ----------
    config : SimulateConfig
    contract : InputContract
        Grid of derivatives.
    sources : tuple of Path
        Label maps to make heads of; empty for the template.
    fingerprint : str
        Of the cohort, for the record.
    """

    def __init__(
        self, config: SimulateConfig, contract: InputContract, sources: tuple[Path, ...], fingerprint: str
    ) -> None:
        self._config, self._contract, self._sources, self._fingerprint = config, contract, sources, fingerprint

    def __call__(self, index: int) -> list[VisitRecord]:
        """Return the subject's visits, simulated now."""
        import torch

        from adclip.simulation.acquisition import draw_scanners
        from adclip.simulation.paint import LOOKS
        from adclip.simulation.population import draw_course
        from adclip.simulation.tables import is_dropped
        from adclip.simulation.visits import VisitRecord

        config = self._config
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sums in another order would give other bytes
        try:
            scanners = draw_scanners(config.seed, config.sites, LOOKS[config.appearance])
            scanner, source = self._choose(index, scanners)
            course = draw_course(
                name_subject(index), self._rng(index, PERSON), wide_age=config.wide_age, visits=config.visits,
                interval_months=config.interval_months,
            )  # fmt: skip
            visits, files = [], []
            for number, person in enumerate(course):
                if number and is_dropped(config.seed, index, number, config.dropout):
                    continue
                brain, written, measured = self._write_visit(person, source, scanner, index, number)
                files += written
                visits.append(
                    VisitRecord(
                        person=person, volumes_mm3=brain.volumes_mm3, scan=written[0].relative_to(config.out).as_posix(),
                        site=scanner.site, scanner=scanner.name, field_strength_t=scanner.field_strength_t,
                        anatomy=source.name.partition(".")[0] if source else "template",
                        measured=None if measured is None else BrainVolumes(measured.source, measured.mm3),
                    )
                )  # fmt: skip
        finally:
            torch.set_num_threads(threads)
        sizes = {path.relative_to(config.out).as_posix(): path.stat().st_size for path in files}
        content = {"fingerprint": self._fingerprint, "files": sizes, "visits": [visit.to_dict() for visit in visits]}
        write_text(record_path(config.out, index), json.dumps(content) + "\n")
        return visits

    def _choose(self, index: int, scanners: Sequence[Scanner]) -> tuple[Scanner, Path | None]:
        """Draw where and on what anatomy; nothing about the person plays a part."""
        choice = self._rng(index, CHOICE)
        scanner = scanners[int(choice.integers(len(scanners)))]
        return scanner, self._sources[int(choice.integers(len(self._sources)))] if self._sources else None

    def in_order_of_heads(self, indices: Iterable[int]) -> list[int]:
        """Sort subjects by their label map: a process then makes each head ready once and need not keep them all."""
        if not self._sources:
            return list(indices)
        from adclip.simulation.acquisition import draw_scanners
        from adclip.simulation.paint import LOOKS

        scanners = draw_scanners(self._config.seed, self._config.sites, LOOKS[self._config.appearance])
        return sorted(indices, key=lambda index: (str(self._choose(index, scanners)[1]), index))

    def _rng(self, index: int, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self._config.seed, index, *stream])

    def _write_visit(
        self, person: Person, source: Path | None, scanner: Scanner, index: int, number: int
    ) -> tuple[Brain, list[Path], BrainVolumes | None]:
        from adclip.simulation import derivative, heads
        from adclip.simulation.brains import grow_brain, head_size
        from adclip.simulation.measured import measure_scan
        from adclip.simulation.paint import LOOKS, draw_ct_style, draw_style

        config = self._config
        measured: BrainVolumes | None = None
        rng = self._rng(index, SCAN, number)
        if config.contrast == "ct":
            style = draw_ct_style(rng)
        else:
            style = draw_style(rng, LOOKS[config.appearance], scanner.gray, scanner.csf)
        step = (
            derivative.source_spacing_mm(self._contract)
            if config.preprocessed
            else heads.source_spacing_mm(config.spacing_mm)
        )
        brain = grow_brain(person, source, step, self._rng(index, SHAPE))
        item = ScanItem(Path(), person.subject_id, person.session_id)
        if config.preprocessed:
            simulated = derivative.to_derivative(brain, style, self._contract, rng)
            if config.measures:  # the person's own millimetres: the grid has no head size
                to_mni = np.linalg.inv(simulated.misalignment) @ np.diag([*[1 / head_size(person, brain)] * 3, 1.0])
                affine = np.linalg.inv(to_mni) @ self._contract.affine_xyz
                measured = measure_scan(simulated.image, affine, simulated.mask, to_mni)
            return brain, _write_derivative(config, self._contract, item, simulated, measured), measured
        head = heads.simulate_head(
            person, brain, style, scanner, config.spacing_mm, rng, thickness_mm=config.thickness_mm,
            defaced=bool(rng.random() < config.defaced), stripped=bool(rng.random() < config.stripped),
        )  # fmt: skip
        if config.measures:
            measured = measure_scan(head.array, head.affine, head.brain, head.to_template)
        return brain, _write_head(config, item, head, scanner), measured


def _write_derivative(
    config: SimulateConfig,
    contract: InputContract,
    item: ScanItem,
    simulated: Derivative,
    measured: BrainVolumes | None,
) -> list[Path]:
    from adclip.imaging.derivatives.files import PreparedScan, quantise, write_derivative
    from adclip.imaging.derivatives.names import mask_path, mask_sidecar_path, sidecar_path
    from adclip.imaging.records.sidecar import StepTaken
    from adclip.imaging.sources.files import MNI, write_nifti

    steps = (StepTaken("simulate", {"seed": config.seed}),)
    prepared = PreparedScan(
        quantise(simulated.image), simulated.mask, np.eye(4), flags=("simulated",), steps=steps, volumes=measured
    )
    scan = write_derivative(prepared, item, config.out, contract, with_xfm=False, simulated=True)
    changed = scan.with_name(f"{item.stem}_space-MNI152NLin2009aSym_desc-changed_mask.nii.gz")
    write_nifti(changed, simulated.changed.astype(np.uint8), contract.affine_xyz, np.uint8, space_code=MNI)
    return [scan, mask_path(scan), mask_sidecar_path(scan), sidecar_path(scan), changed]


def _write_head(config: SimulateConfig, item: ScanItem, head: Any, scanner: Scanner) -> list[Path]:
    from adclip.imaging.sources.files import write_nifti

    folder = config.out / f"sub-{item.subject_id}" / (f"ses-{item.session_id}" if item.session_id else "") / "anat"
    suffix = "ct" if config.contrast == "ct" else "T1w"
    scan = folder / f"{item.stem}_{suffix}.nii.gz"
    write_nifti(scan, head.array, head.affine, np.int16)
    changed = folder / f"{item.stem}_desc-changed_mask.nii.gz"
    write_nifti(changed, head.changed.astype(np.uint8), head.affine, np.uint8)
    sidecar = folder / f"{item.stem}_{suffix}.json"
    facts: dict[str, Any] = {"Modality": "CT" if config.contrast == "ct" else "MR", "Simulated": True,
                             "InstitutionName": scanner.site, "ManufacturersModelName": scanner.name}  # fmt: skip
    if config.contrast != "ct":
        facts["MagneticFieldStrength"] = scanner.field_strength_t
    write_text(sidecar, json.dumps(facts, indent=2) + "\n")
    return [scan, changed, sidecar]
