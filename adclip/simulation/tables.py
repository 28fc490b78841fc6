"""Tables of a simulated cohort: canonical, ADNIMERGE-like, BIDS, and the complete truth.

What is missing is drawn apart from everything else, and the same cell is missing in every table but the truth.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from adclip.domain import Diagnosis, Visit
from adclip.runtime.paths import write_text
from adclip.simulation.adnimerge import to_adnimerge, to_cell
from adclip.simulation.measured import measured_rows, with_measured
from adclip.simulation.visits import VisitRecord

VOLUMES_SOURCE = "simulation"  # counted on the simulated labels: no program measured them
TABLE, MEASURED, TABLE_MEASURED = "table.csv", "measured.tsv", "table-measured.csv"
MISSING_STREAM, DROPOUT_STREAM = 7, 8
# Cells that a study may lack. Age, sex, diagnosis and the scan are always there: without them there is no row to use.
MAY_MISS = ("education_years", "apoe4_count", "mmse", "cdr_global")
SEGMENTATION_FAILS = 0.5  # of the rate of missing cells: then all volumes of the visit are missing

PARTICIPANT_COLUMNS = {
    "age": "Age at the first visit, years.",
    "sex": "F or M.",
    "education_years": "Years of education.",
    "apoe4_count": "Number of APOE e4 alleles.",
    "diagnosis": "CN, MCI or AD at the first visit, drawn from the simulated severity.",
    "mmse": "Mini-Mental State Examination at the first visit, 0-30 points.",
    "site": "Invented site.",
    "scanner": "Invented scanner.",
    "field_strength": "Tesla.",
}


OF_A_VISIT = ("age", "diagnosis", "mmse")  # where there are sessions, these stand with each of them instead


def is_dropped(seed: int, index: int, visit: int, share: float) -> bool:
    """Say whether a follow-up visit of the subject at `index` did not happen."""
    return bool(np.random.default_rng([seed, index, visit, DROPOUT_STREAM]).random() < share)


def to_visit(record: VisitRecord) -> Visit:
    """Return everything the tables could say of a visit."""
    person = record.person
    names = {field.name for field in fields(Visit)}
    volumes: dict[str, Any] = {name: value for name, value in record.volumes_mm3.items() if name in names}
    return Visit(
        subject_id=person.subject_id,
        session_id=person.session_id,
        visit_date=person.exam_date,
        age_years=person.age_years,
        sex=person.sex,
        education_years=person.education_years,
        apoe4_count=person.apoe4_count,
        mmse=float(person.mmse),
        cdr_global=person.scores.cdr_global,
        diagnosis=Diagnosis(person.diagnosis),
        scan=record.scan,
        volumes_source=VOLUMES_SOURCE,
        **volumes,
    )


def missing_cells(seed: int, record: VisitRecord, share: float) -> frozenset[str]:
    """Draw the canonical columns without value at a visit; nothing about the person plays a part."""
    rng = np.random.default_rng([seed, record.number, record.person.months, MISSING_STREAM])
    volumes = sorted(name for name in {field.name for field in fields(Visit)} if name.endswith("_mm3"))
    drawn = {name for name in (*MAY_MISS, *volumes) if rng.random() < share}
    if rng.random() < share * SEGMENTATION_FAILS:
        drawn |= set(volumes)
    return frozenset(drawn)


def write_tables(out: Path, records: Sequence[VisitRecord], seed: int, missing: float = 0.05) -> None:
    """Write `table.csv`, `adnimerge.csv`, `participants.tsv`, sessions where there are several visits, and `truth.tsv`.

    Where scans were measured, also `measured.tsv` and `table-measured.csv`, which is `table.csv` with those volumes.

    Parameters
    ----------
    out : Path
        The cohort's folder.
    records : sequence of VisitRecord
        In the order of subjects and visits.
    seed : int
        Of the cohort.
    missing : float
        Share of cells without value in all tables but the truth.
    """
    lacking = [missing_cells(seed, record, missing) for record in records]
    visits = [_without(to_visit(record), cells) for record, cells in zip(records, lacking, strict=True)]
    write_text(out / TABLE, _join(_canonical(visits), ","))
    if any(record.measured for record in records):
        write_text(out / MEASURED, _join(measured_rows(records), "\t"))
        own = [with_measured(*of_it) for of_it in zip(visits, records, lacking, strict=True)]
        write_text(out / TABLE_MEASURED, _join(_canonical(own), ","))
    write_text(out / "adnimerge.csv", _join(to_adnimerge(records, visits), ","))
    _write_participants(out, records, visits)
    write_text(out / "truth.tsv", _join(_truth(records), "\t"))


def _canonical(visits: Sequence[Visit]) -> list[list[str]]:
    """Return header and rows of a canonical table: the columns that any visit has a value for."""
    names = [field.name for field in fields(Visit) if field.name != "further_volumes"]
    names = [name for name in names if any(getattr(visit, name) not in (None, "") for visit in visits)]
    further = list(dict.fromkeys(name for visit in visits for name, _ in visit.further_volumes or ()))
    rows = [
        [
            *(to_cell(getattr(visit, name)) for name in names),
            *(to_cell(dict(visit.further_volumes or ()).get(name)) for name in further),
        ]
        for visit in visits
    ]
    return [[*names, *further], *rows]


def _without(visit: Visit, columns: frozenset[str]) -> Visit:
    return Visit(**{**vars(visit), **dict.fromkeys(columns)})


def _write_participants(out: Path, records: Sequence[VisitRecord], visits: Sequence[Visit]) -> None:
    several = any(visit.session_id is not None for visit in visits)
    columns = {name: text for name, text in PARTICIPANT_COLUMNS.items() if not (several and name in OF_A_VISIT)}
    rows = [["participant_id", *columns]]
    sessions: dict[str, list[list[str]]] = {}
    written_subjects = set()
    for record, visit in zip(records, visits, strict=True):
        if visit.session_id is not None:
            row = [
                f"ses-{visit.session_id}",
                f"{visit.visit_date}T00:00:00",
                *map(to_cell, (visit.age_years, visit.diagnosis, visit.mmse)),
            ]
            sessions.setdefault(visit.subject_id, [["session_id", "acq_time", "age", "diagnosis", "mmse"]]).append(row)
        if visit.subject_id in written_subjects:
            continue
        written_subjects.add(visit.subject_id)
        facts = {
            "age": visit.age_years, "sex": visit.sex, "education_years": visit.education_years,
            "apoe4_count": visit.apoe4_count, "diagnosis": visit.diagnosis, "mmse": visit.mmse,
            "site": record.site, "scanner": record.scanner, "field_strength": record.field_strength_t,
        }  # fmt: skip
        rows.append([f"sub-{visit.subject_id}", *(to_cell(facts[name]) for name in columns)])
    write_text(out / "participants.tsv", _join(_filled(rows), "\t"))
    described = {name: {"Description": text} for name, text in columns.items()}
    write_text(out / "participants.json", json.dumps(described, indent=2) + "\n")
    for subject, lines in sessions.items():
        write_text(out / f"sub-{subject}" / f"sub-{subject}_sessions.tsv", _join(_filled(lines), "\t"))


def _truth(records: Sequence[VisitRecord]) -> list[list[str]]:
    volumes = list(dict.fromkeys(name for record in records for name in record.volumes_mm3))
    drivers = list(dict.fromkeys(name for record in records for name in record.person.disease_change))
    header = [
        "subject_id", "session_id", "months", "diagnosis", "severity", "pattern", "anatomy", "site", "scanner",
        *(f"disease_change_{name}" for name in drivers), *volumes,
    ]  # fmt: skip
    rows = [
        [
            record.person.subject_id, record.person.session_id or "", str(record.person.months), record.person.diagnosis,
            f"{record.person.severity:.6f}", record.person.pattern, record.anatomy, record.site, record.scanner,
            *(f"{record.person.disease_change[name]:.6f}" for name in drivers),
            *(to_cell(record.volumes_mm3.get(name)) for name in volumes),
        ]
        for record in records
    ]  # fmt: skip
    return _filled([header, *rows])


def _filled(rows: list[list[str]]) -> list[list[str]]:
    return [[cell or "n/a" for cell in row] for row in rows]


def _join(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    return "".join(delimiter.join(row) + "\n" for row in rows)
