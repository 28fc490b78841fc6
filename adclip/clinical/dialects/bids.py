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

from adclip.clinical.columns import COLUMNS, MISSING, CellError, parse_cell
from adclip.clinical.dialects.base import Dialect, Reader, Rule, count_e4, folded_code, scaled, to_date
from adclip.clinical.dialects.missing import unless_missing

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
_UNKNOWN_WORDS = frozenset({
    "n/a", "na", "unknown", "missing", "not available", "not reported", "not applicable", "no data", "not recorded", "refused",
    "missing data", "missing value",
})  # fmt: skip
_YEARS = {**dict.fromkeys(("jahre", "jahr", "ans", "jaar", "anni", "anos"), 1.0), "year": 1.0, "years": 1.0, "yr": 1.0, "yrs": 1.0, "y": 1.0, "a": 1.0, "month": 1 / 12, "months": 1 / 12,
          "mo": 1 / 12, "mos": 1 / 12, "mth": 1 / 12, "mths": 1 / 12, "week": 7 / 365.25, "weeks": 7 / 365.25, "wk": 7 / 365.25,
          "wks": 7 / 365.25, "day": 1 / 365.25, "days": 1 / 365.25, "d": 1 / 365.25}  # fmt: skip
# What stands in `Units` where somebody had to fill it in: the number then has the unit that BIDS recommends.
_NO_UNIT = frozenset(
    {
        "",
        "n/a",
        "na",
        "none",
        "null",
        "nan",
        "unknown",
        "unspecified",
        "not available",
        "not applicable",
        "-",
        "--",
        "?",
        "1",
    }
)
_ADULT_YEARS = 18.0
# What the sidecar's `Units` decides: whether a column is read whose name leaves open what it holds, and whether one is converted that
# is called years. Where the two contradict each other, one is wrong.
_BY_UNIT = {
    "education": ("education_years", _YEARS, "years"),
    "apoe4": ("apoe4_count", {"allele": 1.0, "alleles": 1.0, "count": 1.0}, "alleles"),
    "age_years": ("age_years", _YEARS, "years"),
    "years_of_education": ("education_years", _YEARS, "years"),
    "education_years": ("education_years", _YEARS, "years"),
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


def with_sidecar(dialect: Dialect, sidecar: Mapping[str, Any], name: str = "the JSON beside the table") -> Dialect:
    """Return the dialect with the codes and units that a table's JSON declares.

    Parameters
    ----------
    dialect : Dialect
        `BIDS`.
    sidecar : mapping
        Content of the JSON with the stem of the table. `Levels` of `sex` and `diagnosis` whose meanings are plain words
        define their codes, and levels of any column that mean "unknown" make these cells empty. `Units` of `age` convert it to
        years, and those of `education` and `apoe4` say what they are; a unit that says nothing (``n/a``) is none.
    name : str
        Of the JSON, for notes.
    """
    levels = bids_levels(sidecar)
    declared = [*_coded(dialect, levels, name), *_by_unit(dialect, sidecar, name)]
    unit = _unit(sidecar, "age")
    factor = _factor(unit, _YEARS)
    dialect_rules: tuple[Rule, ...] = dialect.rules
    unused, unread = dict(dialect.unused), {}
    if unit is not None and factor is None:
        dialect_rules = tuple(rule for rule in dialect_rules if rule.sources != ("age",))
        unused["age"] = "the JSON beside the table gives it a unit that is no time: declare it with --column"
        unread["age"] = (
            f"`age` is not read: {name} gives it a unit that is no time. If it is in years, add `--column age_years=age:years`"
        )
    elif unit is not None and factor is not None and factor != 1:
        declared.append(_converted("age_years", "age", unit, factor, name))
    rules = tuple(_with_unknown(rule, levels) for rule in (*declared, *dialect_rules))
    return replace(dialect, rules=rules, unused=unused, unread={**dialect.unread, **unread})


def _converted(column: str, source: str, unit: str, factor: float, name: str) -> Rule:
    """Return a rule for a number in another unit than the canonical one, which tells of it and reads no child's age."""
    plain = scaled(column, factor)
    remedy = f"correct `Units` in {name}, or say here which unit it is: `--column {column}={source}:years`"

    def read(cell: str) -> Any:
        try:
            value = plain(cell)
        except CellError as error:
            raise CellError(error.why, remedy) from None
        if column == "age_years" and value is not None and value < _ADULT_YEARS:
            raise CellError(f"no adult's age: below {_ADULT_YEARS:g} years as {name} has it, in {unit}", remedy)
        return value

    note = f"`{source}` is converted to years: {name} says that it is in {unit}"
    return Rule(column, (source,), f"{source}, converted from {unit}", unit, read, note=note)


def _with_unknown(rule: Rule, levels: Mapping[str, Mapping[str, str]]) -> Rule:
    """Return a rule to which those levels of its columns are empty that a sidecar calls unknown."""
    codes = {
        place: [code for code, text in levels.get(source, {}).items() if _is_unknown(text)]
        for place, source in enumerate(rule.sources)
    }
    if not any(codes.values()):
        return rule
    read = rule.read or (lambda cell: parse_cell(rule.column, cell))
    cleaned = {place: unless_missing(unknown, lambda cell: cell) for place, unknown in codes.items()}
    return replace(rule, read=lambda *cells: read(*(cleaned[place](cell) for place, cell in enumerate(cells))))


def _unit(sidecar: Mapping[str, Any], column: str) -> str | None:
    for name, entry in sidecar.items():
        unit = entry.get("Units") if isinstance(entry, Mapping) else None
        if name.strip().lower() == column and isinstance(unit, str) and unit.strip().lower() not in _NO_UNIT:
            return unit.strip().lower()
    return None


def _factor(unit: str | None, factors: Mapping[str, float]) -> float | None:
    """Return what a number in a unit is multiplied by: ``years old``, ``year(s)`` and ``decimal years`` are years."""
    words = re.findall(r"[a-z]+", (unit or "").replace("(s)", "s"))
    known = {factors[word] for word in words if word in factors}
    return next(iter(known)) if len(known) == 1 else None


def _by_unit(dialect: Dialect, sidecar: Mapping[str, Any], sidecar_name: str) -> list[Rule]:
    read_anyway = {*COLUMNS, *(source for rule in dialect.rules for source in rule.sources)}
    rules = []
    for name, (column, units, unit) in _BY_UNIT.items():
        said = _unit(sidecar, name)
        factor = _factor(said, units)
        if said is None or factor is None:
            continue
        if factor != 1:
            rules.append(_converted(column, name, said, factor, sidecar_name))
        elif name not in read_anyway:
            rules.append(
                Rule(column, (name,), "its unit stands in the JSON beside the table", unit, scaled(column, factor))
            )
    return rules


def _coded(dialect: Dialect, levels: Mapping[str, Mapping[str, str]], name: str) -> list[Rule]:
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
            said = ", ".join(
                f"{code} = {word or 'unknown'}" for code, word in meanings.items() if code.lower() != word.lower()
            )
            note = f"codes of `{column}` are read as {name} says: {said}" if said else ""
            rules.append(Rule(column, (column,), why, "code", _reader(column, meanings, plain), note=note))
    return rules


def _word(text: str, vocabulary: Mapping[str, str]) -> str | None:
    return "" if _is_unknown(text) else vocabulary.get(text.strip().strip(".").lower())


def _is_unknown(text: str) -> bool:
    return text.strip().strip(".").lower() in _UNKNOWN_WORDS or text in MISSING


def _reader(column: str, meanings: Mapping[str, str], plain: Reader | None) -> Reader:
    """Return a reader of declared codes; what is not declared is read as it would be without them."""
    values_by_code = {folded_code(code): parse_cell(column, word) for code, word in meanings.items()}

    def read(cell: str) -> Any:
        if folded_code(cell) in values_by_code:
            return values_by_code[folded_code(cell)]
        return plain(cell) if plain else parse_cell(column, cell)

    return read
