"""`adclip simulate`: a cohort of heads with known truth, its tables, and the oracle beside it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.config import SimulateConfig
from adclip.domain import RESEARCH_NOTICE, Diagnosis, InputContract, ScanItem, Visit
from adclip.events import Advanced, OnEvent, Started, Step, ignore
from adclip.paths import claim_folder, write_text

if TYPE_CHECKING:
    from adclip.simulation.brains import SimulatedBrain
    from adclip.simulation.population import Person

SIMULATED_NOTICE = f"Simulated heads with known truth; no real person. {RESEARCH_NOTICE}"
VOLUMES_SOURCE = "simulation"  # counted on the simulated label map: no program measured them
TABLE, PARTICIPANTS, TRUTH, ORACLE = "table.csv", "participants.tsv", "truth.tsv", "oracle.json"
FEWEST_FOR_ORACLE = 30  # below this, five folds hold too few of each group


@dataclass(frozen=True)
class SimulateResult:
    """What was written.

    Parameters
    ----------
    out : Path
    subjects : int
    counts : dict
        Subjects by diagnosis.
    oracle : dict
        Cross-validated numbers of the oracle: name -> value, low, high, n; empty for small cohorts.
    files : dict
        Kind -> path.
    notice : str
    """

    out: Path
    subjects: int
    counts: dict[str, int]
    oracle: dict[str, Any]
    files: dict[str, str]
    notice: str = SIMULATED_NOTICE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "out": str(self.out)}


def simulate(config: SimulateConfig, on_event: OnEvent = ignore) -> SimulateResult:
    """Simulate a cohort; the same seed gives the same bytes.

    Raw heads go to a BIDS dataset, with `preprocessed` derivatives on the model's grid go to a derivatives folder. Beside
    them stand `table.csv` (canonical), `participants.tsv`, `truth.tsv` (severity and measured volumes), a mask of the
    structures that the disease changes for every subject, and `oracle.json`.

    Raises
    ------
    OutputError
        If `config.out` holds a cohort already.
    """
    import torch

    from adclip.imaging.derivatives import write_dataset_description
    from adclip.model.checkpoint import read_contract

    contract = read_contract("builtin")
    claim_folder(config.out, overwrite=config.overwrite, marker=TRUTH)
    on_event(Started("simulating", config.subjects))
    people: list[tuple[Person, Visit]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the subjects run side by side instead
    try:
        with ThreadPoolExecutor(max_workers=max(1, min(os.cpu_count() or 1, 8))) as pool:
            jobs = [pool.submit(_simulate_subject, config, contract, index) for index in range(config.subjects)]
            try:
                for done, job in enumerate(jobs, 1):
                    people.append(job.result())
                    on_event(Advanced("simulating", done, people[-1][0].subject_id))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(threads)
    if config.preprocessed:
        write_dataset_description(config.out, "adclip simulated derivatives")
    else:
        description = {"Name": "adclip simulated heads", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
        write_text(config.out / "dataset_description.json", json.dumps(description, indent=2) + "\n")
    visits = [visit for _, visit in people]
    write_tables(config.out, people)
    oracle = measure_oracle(visits, config.seed)
    write_text(config.out / ORACLE, json.dumps({"numbers": oracle, "notice": SIMULATED_NOTICE}, indent=2) + "\n")
    if not oracle:
        on_event(Step(f"no oracle: it needs {FEWEST_FOR_ORACLE} subjects and every group"))
    counts = Counter(str(visit.diagnosis) for visit in visits)
    names = {"table": TABLE, "participants": PARTICIPANTS, "truth": TRUTH, "oracle": ORACLE}
    files = {kind: str(config.out / name) for kind, name in names.items()}
    return SimulateResult(
        config.out, len(visits), {str(label): counts.get(str(label), 0) for label in Diagnosis}, oracle, files
    )


def _simulate_subject(config: SimulateConfig, contract: InputContract, index: int) -> tuple[Person, Visit]:
    """Simulate and write one subject; depends on nothing but the seed and the index."""
    import numpy as np

    from adclip.imaging.files import write_nifti
    from adclip.simulation.brains import paint_subject
    from adclip.simulation.heads import simulate_head
    from adclip.simulation.paint import draw_style
    from adclip.simulation.population import draw_person

    rng = np.random.default_rng([config.seed, index])
    person = draw_person(f"sim{index + 1:04d}", rng, wide_age=config.wide_age)
    item = ScanItem(Path(), person.subject_id)
    folder = config.out / item.stem / "anat"
    if config.preprocessed:
        brain, image, mask = paint_subject(person, contract, rng)
        scan = _write_derivative(item, config, contract, image, mask)
    else:
        head = simulate_head(person, draw_style(rng), contract, config.spacing_mm, rng)
        brain = head.brain
        scan = folder / f"{item.stem}_T1w.nii.gz"
        write_nifti(scan, head.array, head.affine, np.int16)
    changed = folder / f"{item.stem}_space-MNI152NLin2009aSym_desc-changed_mask.nii.gz"
    write_nifti(changed, brain.changed.astype(np.uint8), contract.affine_xyz, np.uint8)
    return person, to_visit(person, brain, scan.relative_to(config.out).as_posix())


def _write_derivative(item: ScanItem, config: SimulateConfig, contract: InputContract, image: Any, mask: Any) -> Path:
    import numpy as np

    from adclip.imaging.derivatives import PreparedScan, quantise, write_derivative

    steps = [{"name": "simulate", "parameters": {"seed": config.seed}, "seconds": 0.0}]
    prepared = PreparedScan(quantise(image), mask, np.eye(4), flags=("simulated",), steps=steps)
    return write_derivative(prepared, item, config.out, contract, with_xfm=False, extra={"Simulated": True})


def to_visit(person: Person, brain: SimulatedBrain, scan: str) -> Visit:
    """Return what the table says of a person."""
    return Visit(
        subject_id=person.subject_id,
        age_years=person.age_years,
        sex=person.sex,
        education_years=person.education_years,
        apoe4_count=person.apoe4_count,
        mmse=float(person.mmse),
        diagnosis=Diagnosis(person.diagnosis),
        scan=scan,
        volumes_source=VOLUMES_SOURCE,
        **brain.volumes_mm3,  # type: ignore[arg-type]  # only float columns
    )


def write_tables(out: Path, people: Sequence[tuple[Person, Visit]]) -> None:
    """Write the canonical table, BIDS participants and the truth; columns without any value are left out."""
    visits = [visit for _, visit in people]
    names = [field.name for field in fields(Visit) if any(getattr(v, field.name) not in (None, "") for v in visits)]
    rows = [[_cell(getattr(visit, name)) for name in names] for visit in visits]
    write_text(out / TABLE, "".join(",".join(row) + "\n" for row in [names, *rows]))
    header = ["participant_id", "age", "sex", "diagnosis", "mmse"]
    bids = [
        [f"sub-{v.subject_id}", _cell(v.age_years), _cell(v.sex), _cell(v.diagnosis), _cell(v.mmse)] for v in visits
    ]
    write_text(out / PARTICIPANTS, "".join("\t".join(row) + "\n" for row in [header, *bids]))
    volumes = [name for name in names if name.endswith("_mm3")]
    truth = [
        [p.subject_id, p.diagnosis, f"{p.severity:.6f}", *(_cell(getattr(v, name)) for name in volumes)]
        for p, v in people
    ]
    header = ["subject_id", "diagnosis", "severity", *volumes]
    write_text(out / TRUTH, "".join("\t".join(row) + "\n" for row in [header, *truth]))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def measure_oracle(visits: Sequence[Visit], seed: int) -> dict[str, Any]:
    """Measure the cross-validated oracle; empty where the cohort is too small."""
    from adclip.clinical.oracle import cross_validated_oracle
    from adclip.metrics import summarise

    labels = [str(label) for label in Diagnosis]
    truth = [str(visit.diagnosis) for visit in visits]
    counts = Counter(truth)
    if len(visits) < FEWEST_FOR_ORACLE or min(counts.get(label, 0) for label in labels) < 5:
        return {}
    found = cross_validated_oracle(visits, labels, seed)
    numbers = summarise(truth, found, labels, [visit.subject_id for visit in visits], seed=seed)
    return {name: numbers[name] for name in ("auc_ad_vs_cn", "balanced_accuracy")}
