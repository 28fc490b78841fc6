"""The kinds of tables that adclip knows by their columns; one module for each study or program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from adclip.clinical.dialects.adni import ADNIMERGE
from adclip.clinical.dialects.adnimerge2 import ADNIMERGE2
from adclip.clinical.dialects.aibl import AIBL
from adclip.clinical.dialects.base import AUXILIARY, Derived, Dialect, Rule, Tall
from adclip.clinical.dialects.bids import BIDS
from adclip.clinical.dialects.canonical import CANONICAL
from adclip.clinical.dialects.nacc import NACC
from adclip.clinical.dialects.oasis import OASIS_1, OASIS_2, OASIS_3
from adclip.clinical.dialects.programs import DLMUSE_TABLE, FREESURFER_TABLE, SYNTHSEG_TABLE

__all__ = [
    "AUXILIARY",
    "CANONICAL",
    "DIALECTS",
    "Derived",
    "Dialect",
    "Rule",
    "StudyKey",
    "Tall",
    "recognise",
    "study_key",
]

# The most particular signature first: the first that fits is taken.
DIALECTS: tuple[Dialect, ...] = (
    ADNIMERGE, ADNIMERGE2, OASIS_1, OASIS_2, OASIS_3, AIBL, NACC, FREESURFER_TABLE, SYNTHSEG_TABLE, DLMUSE_TABLE, BIDS, CANONICAL,
)  # fmt: skip


def recognise(header: Iterable[str]) -> Dialect:
    """Return the dialect of a table with these column names; the canonical form if no other fits."""
    names = [name.strip().lower() for name in header]
    return next((dialect for dialect in DIALECTS if dialect.fits(frozenset(dialect.spell(names)))), CANONICAL)


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
