"""Which rules hold for one file: its kind, what stands beside it, what the user said of its columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adclip.clinical.dialects import CANONICAL, Dialect, Rule, recognise
from adclip.clinical.dialects.bids import BIDS, subject_of_file, with_sidecar
from adclip.clinical.dialects.clinica import is_clinicas, of_clinica, study_of
from adclip.clinical.tables import errors
from adclip.clinical.tables.header import Header
from adclip.clinical.tables.mapping import ColumnMapping
from adclip.errors import TableError

_SESSIONS = "_sessions"


def dialect_of(path: Path, shown: Sequence[str], first: Sequence[str]) -> Dialect:
    """Return the dialect of a file, with what a sidecar declares and what clinica's names mean in a study.

    Parameters
    ----------
    path : Path
        The file. Its name counts for one kind alone: ``sub-01_sessions.tsv`` says in it whom it is about.
    shown : sequence of str
        Names of the columns as written.
    first : sequence of str
        Cells of the first row; the subject's name tells the study in which clinica's names have their meaning.

    Raises
    ------
    TableError
        If the JSON beside the table cannot be read.
    """
    dialect = recognise(shown)
    if dialect is CANONICAL and subject_of_file(path) and path.stem.endswith(_SESSIONS):
        dialect = BIDS
    if dialect is not BIDS:
        return dialect
    names = [name.strip().lower() for name in shown]
    subject = subject_of_file(path) or ""
    if "participant_id" in names and len(first) == len(names):
        subject = first[names.index("participant_id")]
    study = study_of(subject)
    described = with_sidecar(dialect, *_sidecar(path))
    return of_clinica(described, study or "") if study or is_clinicas(names) else described


def _sidecar(path: Path) -> tuple[Mapping[str, Any], str]:
    """Return what FILE.json says of FILE.tsv and its name; of sessions also the JSON that stands for all of them in the dataset."""
    places = [path.with_suffix(".json")]
    if path.stem.endswith(_SESSIONS):
        places.append(path.parent.parent / "sessions.json")
    sidecar = next((place for place in places if place.is_file()), None)
    if path.suffix == ".json" or sidecar is None:
        return {}, ""
    try:
        data = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise TableError.unreadable(
            sidecar, "it should describe the columns of the table beside it, and is no JSON"
        ) from None
    return (data if isinstance(data, dict) else {}), sidecar.name


def choose_rules(path: Path, dialect: Dialect, mappings: Sequence[ColumnMapping], header: Header) -> list[Rule]:
    """Return one rule for each canonical column, in file order: the user's own, the dialect's, then canonical names.

    Raises
    ------
    TableError
        If two names of adclip's own form mean one column.
    """
    rules = dialect.rules if dialect is CANONICAL or not dialect.canonical_names else (*dialect.rules, *CANONICAL.rules)
    holding = [rule for rule in rules if _holds(rule, header)]
    chosen: dict[str, Rule] = {}
    for mapping in mappings:
        if rule := mapping.rule_for(header.names, holding):
            chosen[mapping.column] = rule
    mapped = header.places(chosen.values())
    source_of: dict[str, str] = {}
    for rule in holding:
        if mapped & header.places((rule,)):
            continue
        if rule.column in chosen:
            # In adclip's own form two names for one column are a mistake; elsewhere the dialect's order decides.
            if dialect is CANONICAL and rule.column in source_of and source_of[rule.column] != rule.sources[0]:
                duplicates = [header.shown[header.place(name)] for name in (source_of[rule.column], rule.sources[0])]
                raise errors.same_column(path, rule.column, duplicates)
            continue
        chosen[rule.column] = rule
        source_of[rule.column] = rule.sources[0]
    return sorted(chosen.values(), key=lambda rule: header.place(rule.sources[0]))


def _holds(rule: Rule, header: Header) -> bool:
    return header.names.issuperset((*rule.sources, *rule.beside)) and not header.names & set(rule.without)


def notes_of_mappings(
    dialect: Dialect, mappings: Sequence[ColumnMapping], header: Header, answers: frozenset[str]
) -> Iterator[str]:
    """Yield what the user should know of an answer that is read, as asked, from a column the study does not mean so."""
    for mapping in mappings:
        why = dialect.why_not(mapping.table_column) if mapping.column in answers and not mapping.implied else None
        if why is not None and mapping.rule_for(header.names) is not None:
            yield f"`{mapping.table_column}` is read as `{mapping.column}`, as --column says, though it holds: {why}"
