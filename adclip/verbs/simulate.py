"""`simulate`: a cohort of heads with known truth, its tables, and the oracle beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import RESEARCH_NOTICE, Diagnosis
from adclip.errors import AdclipError, OutputError
from adclip.runtime.cohort import run_each
from adclip.runtime.events import Advanced, OnEvent, Started, Step, ignore
from adclip.runtime.machine import choose_workers
from adclip.runtime.paths import claim_folder, remove_leftovers, write_text
from adclip.simulation.settings import SimulateConfig

if TYPE_CHECKING:
    from adclip.simulation.visits import VisitRecord

SIMULATED_NOTICE = f"Simulated heads with known truth; no real person. {RESEARCH_NOTICE}"
TABLE, ADNIMERGE, PARTICIPANTS, TRUTH, ORACLE = (
    "table.csv", "adnimerge.csv", "participants.tsv", "truth.tsv", "oracle.json"
)  # fmt: skip
MEASURED, TABLE_MEASURED = "measured.tsv", "table-measured.csv"
GB_EACH = 1.2  # peak memory of one process at 1 mm, see docs/benchmarks.md
_NO_SCANS = (
    "*_desc-changed_mask.nii.gz", "*_ct.nii.gz", "*_ct.json", ".simulation", TABLE, TABLE_MEASURED, MEASURED, ADNIMERGE, TRUTH, ORACLE,
)  # fmt: skip


@dataclass(frozen=True)
class SimulateResult:
    """What was written.

    Parameters
    ----------
    out : Path
    subjects, scans : int
        People, and scans of all their visits.
    counts : dict
        Subjects by diagnosis at their first visit.
    converters : int
        Subjects whose diagnosis changes between visits.
    oracle : dict
        Cross-validated numbers of the oracle: name -> value, low, high, n; empty for small cohorts.
    files : dict
        Kind -> path.
    kept : int
        Subjects that an earlier run had finished.
    notice : str
    """

    out: Path
    subjects: int
    scans: int
    counts: dict[str, int]
    converters: int
    oracle: dict[str, Any]
    files: dict[str, str]
    kept: int = 0
    notice: str = SIMULATED_NOTICE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "out": str(self.out)}


def simulate(config: SimulateConfig, on_event: OnEvent = ignore) -> SimulateResult:
    """Simulate a cohort; the same seed gives the same bytes whatever the number of workers.

    Raw heads go to a BIDS dataset, with `preprocessed` derivatives on the model's grid go to a derivatives folder. Beside
    them stand `table.csv` (canonical), `adnimerge.csv`, `participants.tsv`, `truth.tsv` (severity and true volumes), a
    mask of the structures that the disease changed for every scan, and `oracle.json`; where scans are measured, `measured.tsv` (what
    adclip's segmenter finds in them) and `table-measured.csv` (the canonical table with those volumes).

    A run that was stopped goes on where it was when the same command is given again, and a larger number of subjects adds to
    a finished cohort: a subject depends on the seed and its own number only.

    Raises
    ------
    OutputError
        If `config.out` holds a cohort of other settings and `overwrite` is not set.
    InputError
        If `config.labels` holds no usable label map.
    """
    from adclip.model.checkpoint import read_contract
    from adclip.simulation.subject import SubjectWork, cohort_fingerprint, read_record

    contract = read_contract(config.model)
    sources = _read_sources(config, on_event)
    fingerprint = cohort_fingerprint(config, contract, sources)
    _claim(config, fingerprint)
    records: dict[int, list[VisitRecord]] = {}
    for index in range(config.subjects):
        if earlier := read_record(config.out, index, fingerprint):
            records[index] = earlier
    kept_subjects = len(records)
    if kept_subjects:
        on_event(Step(f"{kept_subjects} of {config.subjects} subjects are there already"))
    pending = [index for index in range(config.subjects) if index not in records]
    workers = choose_workers(config.workers, len(pending), GB_EACH)
    on_event(Started("simulating", len(pending)))
    work = SubjectWork(config, contract, sources, fingerprint)
    pending = work.in_order_of_heads(pending)
    failed: AdclipError | None = None
    for done, outcome in enumerate(run_each(work, pending, workers), 1):
        failed = failed or outcome.error
        if outcome.value is not None:
            records[pending[outcome.index]] = outcome.value
            on_event(Advanced("simulating", done, outcome.value[0].person.subject_id))
    if failed is not None:
        raise failed
    return _finish(config, [visit for index in sorted(records) for visit in records[index]], kept_subjects, on_event)


def _read_sources(config: SimulateConfig, on_event: OnEvent) -> tuple[Path, ...]:
    """List the label maps and prepare each once, so that the processes find them in the cache."""
    if config.labels is None:
        return ()
    from adclip.simulation.label_maps import prepare_label_map, read_label_maps

    paths = read_label_maps(config.labels)
    for path in paths:
        on_event(Step(f"label map {path.name}"))
        prepare_label_map(path)
    return paths


def _claim(config: SimulateConfig, fingerprint: str) -> None:
    """Take the folder: new, of the same cohort, or given up by the user; of another cohort nothing is left behind."""
    from adclip.simulation.subject import RECORDS

    marks = config.out / RECORDS / "cohort.json"
    try:
        same = json.loads(marks.read_text(encoding="utf-8"))["fingerprint"] == fingerprint
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        if marks.is_file() and not config.overwrite:
            raise OutputError(
                f"{config.out}: a simulated cohort of other settings exists there",
                "choose another --out, give the same settings to go on with it, or --overwrite",
            )
        claim_folder(config.out, overwrite=config.overwrite, marker=TRUTH)
        _remove_cohort(config.out)
        write_text(marks, json.dumps({"fingerprint": fingerprint, "seed": config.seed}) + "\n")
    remove_leftovers(config.out)


def _remove_cohort(out: Path) -> None:
    """Remove the files that the records of an earlier cohort name, and nothing else."""
    from adclip.simulation.subject import RECORDS
    from adclip.simulation.tables import MEASURED, TABLE_MEASURED

    for record in sorted((out / RECORDS).glob("*.json")):
        try:
            names = list(json.loads(record.read_text(encoding="utf-8")).get("files", {}))
        except (OSError, ValueError, AttributeError):
            names = []
        for name in names:
            path = out / name
            if ".." not in path.parts and out in path.parents:
                path.unlink(missing_ok=True)
                for folder in list(path.parents)[:3]:
                    if folder == out or any(folder.iterdir() if folder.is_dir() else ()):
                        break
                    folder.rmdir()
        record.unlink()
    for name in (MEASURED, TABLE_MEASURED):  # the new cohort may have none
        (out / name).unlink(missing_ok=True)


def _finish(
    config: SimulateConfig, visits: Sequence[VisitRecord], kept_subjects: int, on_event: OnEvent
) -> SimulateResult:
    """Write what stands for the cohort as a whole."""
    from adclip.imaging.derivatives.dataset import write_dataset_description, write_raw_description
    from adclip.simulation.oracle import FEWEST_FOR_ORACLE, measure_oracle
    from adclip.simulation.tables import to_visit, write_tables

    if config.preprocessed:
        write_dataset_description(config.out, "adclip simulated derivatives", _NO_SCANS)
    else:
        write_raw_description(config.out, "adclip simulated heads", _NO_SCANS)
    write_tables(config.out, visits, config.seed, missing=config.missing)
    oracle = measure_oracle([to_visit(visit) for visit in visits], config.seed)
    write_text(config.out / ORACLE, json.dumps({"numbers": oracle, "notice": SIMULATED_NOTICE}, indent=2) + "\n")
    if not oracle:
        on_event(Step(f"no oracle: it needs {FEWEST_FOR_ORACLE} subjects and every group"))
    diagnoses_by_subject: dict[str, list[str]] = {}
    for visit in visits:
        diagnoses_by_subject.setdefault(visit.person.subject_id, []).append(visit.person.diagnosis)
    counts = Counter(labels[0] for labels in diagnoses_by_subject.values())
    names = {"table": TABLE, "adnimerge": ADNIMERGE, "participants": PARTICIPANTS, "truth": TRUTH, "oracle": ORACLE}
    if config.measures:
        names |= {"measured": MEASURED, "table_measured": TABLE_MEASURED}
    return SimulateResult(
        out=config.out,
        subjects=len(diagnoses_by_subject),
        scans=len(visits),
        counts={str(label): counts.get(str(label), 0) for label in Diagnosis},
        converters=sum(len(set(labels)) > 1 for labels in diagnoses_by_subject.values()),
        oracle=oracle,
        files={kind: str(config.out / name) for kind, name in names.items()},
        kept=kept_subjects,
    )
