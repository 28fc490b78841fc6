"""The kinds of tables that adclip knows by their columns; one module for each study or program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from adclip.clinical.dialects.adni import ADNIMERGE
from adclip.clinical.dialects.adnimerge2 import ADNIMERGE2
from adclip.clinical.dialects.aibl import AIBL
from adclip.clinical.dialects.base import AUXILIARY, Derived, Dialect, Rule, Tall
from adclip.clinical.dialects.bids import BIDS
from adclip.clinical.dialects.canonical import CANONICAL
from adclip.clinical.dialects.freesurfer_tables import FASTSURFER_TABLE, FREESURFER_TABLE, SAMSEG_TABLE
from adclip.clinical.dialects.ixi import IXI
from adclip.clinical.dialects.loni import LONI
from adclip.clinical.dialects.nacc import NACC
from adclip.clinical.dialects.oasis import OASIS_1, OASIS_2, OASIS_3
from adclip.clinical.dialects.programs import DLMUSE_TABLE, HIPPODEEP_TABLE, SYNTHSEG_TABLE
from adclip.clinical.dialects.ukbiobank import UKBIOBANK

__all__ = [
    "AUXILIARY", "CANONICAL", "DIALECTS", "PROGRAMS", "Derived", "Dialect", "Rule", "StudyKey", "Tall", "recognise", "study_key",
    "with_program",
]  # fmt: skip

# Tables of volumes by one program. SAMSEG and FastSurfer use FreeSurfer's names, and more.
PROGRAMS: tuple[Dialect, ...] = (
    SAMSEG_TABLE, FASTSURFER_TABLE, FREESURFER_TABLE, SYNTHSEG_TABLE, DLMUSE_TABLE, HIPPODEEP_TABLE,
)  # fmt: skip
# The most particular signature first: the first that fits is taken. What says who is a study's; volumes beside that are added to it.
DIALECTS: tuple[Dialect, ...] = (
    ADNIMERGE,
    ADNIMERGE2,
    OASIS_1,
    OASIS_2,
    OASIS_3,
    AIBL,
    NACC,
    IXI,
    LONI,
    UKBIOBANK,
    BIDS,
    *PROGRAMS,
    CANONICAL,
)


def recognise(header: Iterable[str]) -> Dialect:
    """Return the dialect of a table with these column names; the canonical form if no other fits."""
    names = [name.strip().lower() for name in header]
    return next((dialect for dialect in DIALECTS if dialect.fits(frozenset(dialect.spell(names)))), CANONICAL)


def with_program(dialect: Dialect, header: Iterable[str]) -> Dialect:
    """Return the dialect with the volumes of a program, where somebody has put them into a study's table.

    Parameters
    ----------
    dialect : Dialect
        What `recognise` made of the table.
    header : iterable of str
        Its names.

    Returns
    -------
    Dialect
        The same if the table has volumes of its own dialect, of no program, or is a program's own.
    """
    names = [name.strip().lower() for name in header]
    present = frozenset(dialect.spell(names))
    if dialect in PROGRAMS or any(
        rule.column.endswith("_mm3") and present.issuperset(rule.sources) for rule in dialect.rules
    ):
        return dialect
    program = next((program for program in PROGRAMS if program.fits(frozenset(program.spell(names)))), None)
    if program is None:
        return dialect
    return replace(
        dialect,
        rules=(*dialect.rules, *(rule for rule in program.rules if rule.column.endswith("_mm3"))),
        derived=(*dialect.derived, *program.derived),
        volumes_source=program.volumes_source,
        definitions=program.definitions,
        unused={**dialect.unused, **program.unused},
    )


class StudyKey(NamedTuple):
    """What a study's naming says of a scan: the dialect, and subject and session as its tables write them."""

    study: str
    subject: str
    session: str | None


def study_key(name: str) -> StudyKey | None:
    """Return what the name of a scan, of a folder or an id made of one says, or None where no study is known by it."""
    for dialect in DIALECTS:
        if dialect.scan_key is not None and (key := dialect.scan_key(name)):
            return StudyKey(dialect.name, *key)
    return None
