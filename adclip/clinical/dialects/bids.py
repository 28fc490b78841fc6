"""BIDS: participants.tsv, sessions.tsv and phenotype/*.tsv, with what the JSON beside them says of codes and units.

BIDS recommends names and words but leaves most of them free, so only clear names are read; a column such as `education`,
which may be years or a level, needs its sidecar. Specification: https://bids-specification.readthedocs.io, "Data summary
files" and "Tabular files".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adclip.clinical.columns import MISSING, CellError, parse_cell
from adclip.clinical.dialects.base import Dialect, Reader, Rule, count_e4, folded_code, scaled, to_date

_OTHER = frozenset({"o", "other"})  # BIDS's words; the model has learnt F and M only
# What `Levels` may call a code, in lower case.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "sex": {
        **dict.fromkeys(("female", "f", "woman", "women", "females"), "F"),
        **dict.fromkeys(("male", "m", "man", "men", "males"), "M"),
        **dict.fromkeys(_OTHER, ""),
    },
    "diagnosis": {  # "control" is not among them: a control of what, and tested how, it does not say
        **dict.fromkeys(("cn", "nc", "cognitively normal", "cognitively unimpaired", "normal cognition"), "CN"),
        **dict.fromkeys(("mci", "mild cognitive impairment"), "MCI"),
        **dict.fromkeys(
            ("ad", "alzheimer's disease", "alzheimer disease", "alzheimer's dementia", "ad dementia"), "AD"
        ),
    },
}
_UNKNOWN_WORDS = frozenset({"n/a", "na", "unknown", "missing", "not available", "not reported"})
_YEARS = {"year": 1.0, "years": 1.0, "yr": 1.0, "yrs": 1.0, "y": 1.0, "a": 1.0, "month": 1 / 12, "months": 1 / 12,
          "mo": 1 / 12, "week": 7 / 365.25, "weeks": 7 / 365.25, "day": 1 / 365.25, "days": 1 / 365.25, "d": 1 / 365.25}  # fmt: skip
# Columns whose name leaves open what they hold: read only if the sidecar's `Units` says so.
_BY_UNIT = {
    "education": ("education_years", _YEARS, "years"),
    "apoe4": ("apoe4_count", {"allele": 1.0, "alleles": 1.0, "count": 1.0}, "alleles"),
}


class _Bids(Dialect):
    """`participant_id` is BIDS's, unless adclip's own `subject_id` stands beside it: then the table is adclip's."""

    def fits(self, names: frozenset[str]) -> bool:
        return "subject_id" not in names and super().fits(names)


def subject_of_file(path: Path) -> str | None:
    """Return the subject that a file is about by its name, for ``sub-01_sessions.tsv``, which has no column for it."""
    match = re.match(r"(sub-[A-Za-z0-9]+)_", path.name)
    return match[1] if match else None


def to_age(cell: str) -> Any:
    """Read an age in years; BIDS advises to write ``89+`` for the oldest, which is no age."""
    if re.fullmatch(r"\d+(\.\d+)?\s*\+", cell):
        raise CellError(
            "a censored value where an exact number is needed", "leave the cell n/a if the age is not known"
        )
    return parse_cell("age_years", cell)


def to_sex(cell: str) -> Any:
    """Read BIDS's words for sex; `other` is known, but nothing that the model knows."""
    return None if cell.lower() in _OTHER else parse_cell("sex", cell)


def _acquired(cell: str) -> Any:
    """Read the date of ``2001-02-03T04:05:06``; dates before 1925 are shifted ones, which keep their distances."""
    if cell and not re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", cell):
        raise CellError("not a date and time in the form YYYY-MM-DDThh:mm:ss")
    return to_date(cell)


BIDS = _Bids(
    name="BIDS",
    signatures=(frozenset({"participant_id"}), frozenset({"session_id", "acq_time"})),
    rules=(
        Rule("subject_id", ("participant_id",), "BIDS name of the subject; the prefix `sub-` is removed"),
        Rule("session_id", ("session_id",), "BIDS name of the session; the prefix `ses-` is removed"),
        Rule("visit_date", ("acq_time",), "date of the acquisition", "", _acquired),
        Rule("age_years", ("age",), "age in years, BIDS's recommended unit", "years", to_age),
        Rule("sex", ("sex",), "BIDS's words for female and male; other is unknown to the model", "", to_sex),
        Rule("education_years", ("years_of_education",), "years of education", "years"),
        Rule("apoe4_count", ("apoe_genotype",), "number of 4s in the genotype, such as e3/e4", "alleles", count_e4),
        Rule("apoe4_count", ("apoe",), "number of 4s in the genotype, such as e3/e4", "alleles", count_e4),
        Rule("mmse", ("mmse",), "total of the MMSE", "points"),
    ),
    unused={
        "education": "years or a level? it is read if the JSON beside the table gives its `Units` as years",
        "apoe4": "number of alleles or carrier status? it is read if the JSON beside the table gives its `Units` as alleles",
        "handedness|strain|species|strain_rrid": "about the person; no report uses it",
        "pathology": "free text; it is no diagnosis of CN, MCI or AD",
        "cdr_sb|cdrsb|.*sum_of_boxes": "CDR sum of boxes: a score by which the diagnosis is made; no report uses it",
    },
)


# ----------------------------------------------------------------------------------------------- the sidecar


def bids_levels(sidecar: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return column -> code -> meaning from the `Levels` of a table's JSON; names in lower case, codes as written.

    A level is a text, or an object with a `Description`.
    """
    levels_by_column: dict[str, dict[str, str]] = {}
    for column, entry in sidecar.items():
        levels = entry.get("Levels") if isinstance(entry, Mapping) else None
        if not isinstance(levels, Mapping):
            continue
        meanings = {
            str(code): level.get("Description") if isinstance(level, Mapping) else level
            for code, level in levels.items()
        }
        levels_by_column[column.strip().lower()] = {
            code: meaning for code, meaning in meanings.items() if isinstance(meaning, str)
        }
    return levels_by_column


def with_sidecar(dialect: Dialect, sidecar: Mapping[str, Any]) -> Dialect:
    """Return the dialect with the codes and units that a table's JSON declares.

    Parameters
    ----------
    dialect : Dialect
        `BIDS`.
    sidecar : mapping
        Content of the JSON with the stem of the table. `Levels` of `sex` and `diagnosis` whose meanings are plain words
        define their codes; `Units` of `age` convert it to years, and those of `education` and `apoe4` say what they are.
    """
    rules = [*_coded(dialect, bids_levels(sidecar)), *_by_unit(sidecar)]
    unit = _unit(sidecar, "age")
    declared = [rule for rule in rules if rule is not None]
    dialect_rules: tuple[Rule, ...] = dialect.rules
    unused = dict(dialect.unused)
    if unit is not None and unit not in _YEARS:
        dialect_rules = tuple(rule for rule in dialect_rules if rule.sources != ("age",))
        unused["age"] = "the JSON beside the table gives it a unit that is no time: declare it with --column"
    elif unit is not None and _YEARS[unit] != 1:
        declared.append(Rule("age_years", ("age",), "age, converted", unit, scaled("age_years", _YEARS[unit])))
    return replace(dialect, rules=(*declared, *dialect_rules), unused=unused)


def _unit(sidecar: Mapping[str, Any], column: str) -> str | None:
    for name, entry in sidecar.items():
        unit = entry.get("Units") if isinstance(entry, Mapping) else None
        if name.strip().lower() == column and isinstance(unit, str) and unit.strip():
            return unit.strip().lower()
    return None


def _by_unit(sidecar: Mapping[str, Any]) -> list[Rule]:
    rules = []
    for name, (column, units, unit) in _BY_UNIT.items():
        factor = units.get(_unit(sidecar, name) or "")
        if factor is not None:
            rules.append(
                Rule(column, (name,), "its unit stands in the JSON beside the table", unit, scaled(column, factor))
            )
    return rules


def _coded(dialect: Dialect, levels: Mapping[str, Mapping[str, str]]) -> list[Rule]:
    rules = []
    for column, vocabulary in _WORDS.items():
        meanings = {
            code: word for code, text in levels.get(column, {}).items() if (word := _word(text, vocabulary)) is not None
        }
        if meanings:
            plain = next((rule.read for rule in dialect.rules if rule.sources == (column,)), None)
            why = "codes as the JSON beside the table says: " + ", ".join(
                f"{code} = {word or 'unknown'}" for code, word in meanings.items()
            )
            rules.append(Rule(column, (column,), why, "code", _reader(column, meanings, plain)))
    return rules


def _word(text: str, vocabulary: Mapping[str, str]) -> str | None:
    folded = text.strip().strip(".").lower()
    return "" if folded in _UNKNOWN_WORDS or text in MISSING else vocabulary.get(folded)


def _reader(column: str, meanings: Mapping[str, str], plain: Reader | None) -> Reader:
    """Return a reader of declared codes; what is not declared is read as it would be without them."""
    values_by_code = {folded_code(code): parse_cell(column, word) for code, word in meanings.items()}

    def read(cell: str) -> Any:
        if folded_code(cell) in values_by_code:
            return values_by_code[folded_code(cell)]
        return plain(cell) if plain else parse_cell(column, cell)

    return read
