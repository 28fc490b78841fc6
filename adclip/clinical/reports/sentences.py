"""What a sentence of the full-sentence styles is: it both writes its slots and reads them back.

A sentence has a key, the slots it prints, and several wordings of the same content. The first wording is the canonical one. Every
slot is one field at a stated precision, so that a sentence can be undone. Which sentences there are, and in which order they stand,
is a `Grammar`; the grammars are in `grammars`, one for each version of the words.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

STRUCTURES = {
    "hippocampus": "hippocampus",
    "hippocampus_left": "left hippocampus",
    "hippocampus_right": "right hippocampus",
    "ventricles": "ventricles",
    "whole_brain": "whole brain",
    "entorhinal": "entorhinal cortex",
    "fusiform": "fusiform gyrus",
    "middle_temporal": "middle temporal gyrus",
}
UNAVAILABLE_NAMES = {
    "age_years": "age",
    "sex": "sex",
    "education_years": "education",
    "apoe4_count": "apoe",
    "icv_mm3": "intracranial volume",
    **{f"{name}_mm3": STRUCTURES[name] for name in STRUCTURES if name not in ("hippocampus_left", "hippocampus_right")},
}
UNAVAILABLE = "unavailable"  # the sentence, and its slot, that names what is missing
SEXES = {"F": "woman", "M": "man"}

# Field (or its ending) -> decimals printed. Volumes to the cubic millimetre; shares of the intracranial volume to about one
# part in a thousand of a typical value; ages to a tenth of a year, as ADNI gives them.
DECIMALS = {
    "age_years": 1, "education_years": 0, "apoe4_count": 0, "_mm3": 0, "hippocampus_percent_icv": 3,
    "entorhinal_percent_icv": 3, "fusiform_percent_icv": 2, "middle_temporal_percent_icv": 2, "ventricles_percent_icv": 2,
    "whole_brain_percent_icv": 1, "_smaller_percent": 1, "_z": 2, "_centile": 0,
}  # fmt: skip

_SLOT = re.compile(r"\{(\w+)\}")


@cache
def decimals_of(name: str) -> int:
    """Return the decimals that a field is printed with."""
    if name in DECIMALS:
        return DECIMALS[name]
    return next(count for ending, count in DECIMALS.items() if ending.startswith("_") and name.endswith(ending))


@cache
def _format_of(name: str) -> str:
    return f"%.{decimals_of(name)}f"


def to_text(name: str, value: float | str) -> str:
    """Return a field as it is printed."""
    if isinstance(value, str):
        return SEXES[value] if name == "sex" else value
    text = _format_of(name) % value
    if name == "age_years":
        return text.removesuffix(".0")  # a woman of 74, not of 74.0
    return text[1:] if text[0] == "-" and float(text) == 0 else text


def from_text(name: str, text: str) -> float | str:
    """Return what a printed field says; the inverse of `to_text` at its precision."""
    if name == "sex":
        return next(sex for sex, word in SEXES.items() if word == text)
    return text if name == UNAVAILABLE else float(text)


def _pattern(name: str) -> str:
    if name == "sex":
        return "|".join(SEXES.values())
    if name == UNAVAILABLE:
        names = "|".join(map(re.escape, sorted(UNAVAILABLE_NAMES.values(), key=len, reverse=True)))
        return rf"(?:{names})(?:, (?:{names}))*"
    if name == "age_years":
        return r"\d+(?:\.\d)?"
    count = decimals_of(name)
    return r"-?\d+" + (rf"\.\d{{{count}}}" if count else "")


@dataclass(frozen=True)
class Sentence:
    """One thing that a report can say.

    Parameters
    ----------
    key : str
        Its name.
    wordings : tuple of str
        Templates with `{field}` slots, each with the same slots; the first is the canonical one.
    drawn_as : str
        Key of the sentence whose draw of a wording it shares; empty draws for itself.
    """

    key: str
    wordings: tuple[str, ...]
    drawn_as: str = ""
    slots: tuple[str, ...] = field(init=False)
    pieces: tuple[tuple[tuple[str, str], ...], ...] = field(init=False)  # of each wording: (text before a slot, slot)
    patterns: tuple[re.Pattern[str], ...] = field(init=False)

    def __post_init__(self) -> None:
        slots_by_wording = [tuple(_SLOT.findall(wording)) for wording in self.wordings]
        if any(sorted(slots) != sorted(slots_by_wording[0]) for slots in slots_by_wording):
            raise ValueError(f"the wordings of `{self.key}` differ in their slots")
        object.__setattr__(self, "slots", slots_by_wording[0])
        object.__setattr__(self, "pieces", tuple(_split(wording) for wording in self.wordings))
        object.__setattr__(self, "patterns", tuple(re.compile(_to_pattern(wording)) for wording in self.wordings))

    def write(self, texts: Mapping[str, str], phrasing: int, at: int) -> tuple[str, list[tuple[str, int, int]]]:
        """Return the sentence and, for each slot, its field and place in a text in which the sentence begins at `at`."""
        number = zlib.crc32(f"{phrasing} {self.drawn_as or self.key}".encode()) % len(self.pieces) if phrasing else 0
        parts: list[str] = []
        places: list[tuple[str, int, int]] = []
        for before, slot in self.pieces[number]:
            parts.append(before)
            at += len(before)
            if slot:
                text = texts[slot]
                parts.append(text)
                places.append((slot, at, at + len(text)))
                at += len(text)
        return "".join(parts), places


def _split(wording: str) -> tuple[tuple[str, str], ...]:
    pieces = _SLOT.split(wording)
    return tuple(zip(pieces[::2], [*pieces[1::2], ""], strict=True))


def _to_pattern(wording: str) -> str:
    pieces = _SLOT.split(wording)
    return "".join(
        re.escape(piece) if not index % 2 else f"(?P<{piece}>{_pattern(piece)})" for index, piece in enumerate(pieces)
    )


@dataclass(frozen=True)
class Grammar:
    """The sentences of one version of the words.

    Parameters
    ----------
    version : str
    sentences : tuple of Sentence
        In the order in which a report says them. No two wordings of different sentences match the same text.
    """

    version: str
    sentences: tuple[Sentence, ...]
    by_key: Mapping[str, Sentence] = field(init=False)
    order: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_key", {sentence.key: sentence for sentence in self.sentences})
        object.__setattr__(self, "order", {sentence.key: number for number, sentence in enumerate(self.sentences)})

    @property
    def names_gaps(self) -> bool:
        """Whether reports say which columns are missing."""
        return UNAVAILABLE in self.by_key

    def read_sentence(self, text: str, at: int) -> tuple[str, list[tuple[str, int, int]], int] | None:
        """Read the sentence that begins at `at`: its key, the place of each slot, and where it ends; None if there is none."""
        best: tuple[str, list[tuple[str, int, int]], int] | None = None
        for sentence in self.sentences:
            for pattern in sentence.patterns:
                match = pattern.match(text, at)
                if match and (best is None or match.end() > best[2]):
                    best = (sentence.key, [(slot, *match.span(slot)) for slot in sentence.slots], match.end())
        return best
