"""The grammar of the full-sentence styles: one table that both writes sentences and reads them back.

A sentence has a key, the slots it prints, and several wordings of the same content. The first wording is the canonical one. Every
slot is one field at a stated precision, so that a sentence can be undone; no two wordings of different sentences match the same text
(`tests/clinical/test_report_grammar.py`). The words are those of the builtin model's vocabulary.
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
    return text if name == "unavailable" else float(text)


def _pattern(name: str) -> str:
    if name == "sex":
        return "|".join(SEXES.values())
    if name == "unavailable":
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
    """

    key: str
    wordings: tuple[str, ...]
    slots: tuple[str, ...] = field(init=False)
    pieces: tuple[tuple[tuple[str, str], ...], ...] = field(init=False)  # of each wording: (text before a slot, slot)
    patterns: tuple[re.Pattern[str], ...] = field(init=False)

    def __post_init__(self) -> None:
        found = [tuple(_SLOT.findall(wording)) for wording in self.wordings]
        if any(sorted(slots) != sorted(found[0]) for slots in found):
            raise ValueError(f"the wordings of `{self.key}` differ in their slots")
        object.__setattr__(self, "slots", found[0])
        object.__setattr__(self, "pieces", tuple(_split(wording) for wording in self.wordings))
        object.__setattr__(self, "patterns", tuple(re.compile(_to_pattern(wording)) for wording in self.wordings))

    def write(self, texts: Mapping[str, str], phrasing: int, at: int) -> tuple[str, list[tuple[str, int, int]]]:
        """Return the sentence and, for each slot, its field and place in a text in which the sentence begins at `at`."""
        number = zlib.crc32(f"{phrasing} {self.key}".encode()) % len(self.pieces) if phrasing else 0
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


def _size(name: str, with_icv: bool) -> Sentence:
    word, value, share = STRUCTURES[name], f"{{{name}_mm3}}", f"{{{name}_percent_icv}}"
    if not with_icv:
        return Sentence(name, (f"The volume of the {word} is {value} mm3.", f"Volume of the {word}: {value} mm3.",
                               f"A volume of {value} mm3 was measured in the {word}."))  # fmt: skip
    return Sentence(
        f"{name} of icv",
        (
            f"The volume of the {word} is {value} mm3, {share} % of intracranial volume.",
            f"Volume of the {word}: {value} mm3, {share} % of intracranial volume.",
            f"At {share} % of intracranial volume, the {word} has {value} mm3.",
        ),
    )


def _standing(name: str) -> tuple[Sentence, ...]:
    word = STRUCTURES[name]
    z, centile = f"{{{name}_z}}", f"{{{name}_centile}}"
    return (
        Sentence(
            f"{name} standing",
            (
                f"For age and sex this is z score {z}, centile {centile}, in the {word}.",
                f"In the {word}, z score {z} and centile {centile} for age and sex.",
                f"Centile {centile}, z score {z}, in the {word} for this age and sex.",
            ),
        ),
        *(
            Sentence(
                f"{name} {side}",
                (
                    f"For age and sex this is {side} centile {{{name}_{side}_centile}} in the {word}.",
                    f"In the {word}, {side} centile {{{name}_{side}_centile}} for age and sex.",
                    f"{side.capitalize()} centile {{{name}_{side}_centile}} in the {word} for this age and sex.",
                ),
            )
            for side in ("below", "above")
        ),
    )


def _volume(name: str, *, standing: bool = True) -> tuple[Sentence, ...]:
    return (_size(name, True), _size(name, False), *(_standing(name) if standing else ()))


# In the order in which a report says them.
SENTENCES: tuple[Sentence, ...] = (
    Sentence("age and sex", ("A {sex}, aged {age_years} years.", "The patient is a {sex} of {age_years} years.",
                             "A {sex} of {age_years} years.")),
    Sentence("age", ("The patient is {age_years} years old.", "Age: {age_years} years.", "A person of {age_years} years.")),
    Sentence("sex", ("The patient is a {sex}.", "A {sex}.", "This is a {sex}.")),
    Sentence("education", ("There were {education_years} years of education.", "Education: {education_years} years.",
                           "The patient has {education_years} years of school and education.")),
    Sentence("apoe", ("Number of apoe e4 alleles: {apoe4_count}.", "The genotype has {apoe4_count} copies of apoe e4.",
                      "Apoe e4 allele copies: {apoe4_count}.")),
    Sentence("icv", ("The intracranial volume is {icv_mm3} mm3.", "Intracranial volume: {icv_mm3} mm3.",
                     "An intracranial volume of {icv_mm3} mm3 was measured.")),
    *_volume("hippocampus", standing=False),
    Sentence("sides", ("The left hippocampus has {hippocampus_left_mm3} mm3, the right {hippocampus_right_mm3} mm3.",
                       "Hippocampus left {hippocampus_left_mm3} mm3, right {hippocampus_right_mm3} mm3.",
                       "Left and right hippocampus have {hippocampus_left_mm3} and {hippocampus_right_mm3} mm3.")),
    _size("hippocampus_left", False),
    _size("hippocampus_right", False),
    Sentence("left smaller", ("The left is smaller by {hippocampus_left_smaller_percent} %.",
                              "Asymmetry: left smaller by {hippocampus_left_smaller_percent} %.",
                              "On the left it is smaller by {hippocampus_left_smaller_percent} %.")),
    Sentence("right smaller", ("The right is smaller by {hippocampus_right_smaller_percent} %.",
                               "Asymmetry: right smaller by {hippocampus_right_smaller_percent} %.",
                               "On the right it is smaller by {hippocampus_right_smaller_percent} %.")),
    *_standing("hippocampus_left"),
    *_standing("hippocampus_right"),
    *_volume("ventricles"),
    *_volume("whole_brain", standing=False),
    *_volume("entorhinal", standing=False),
    *_volume("fusiform", standing=False),
    *_volume("middle_temporal", standing=False),
    Sentence("unavailable", ("Data unavailable: {unavailable}.", "Data unavailable for: {unavailable}.",
                             "Data unavailable, not measured: {unavailable}.")),
)  # fmt: skip
BY_KEY = {sentence.key: sentence for sentence in SENTENCES}
ORDER = {sentence.key: number for number, sentence in enumerate(SENTENCES)}


def read_sentence(text: str, at: int) -> tuple[str, list[tuple[str, int, int]], int] | None:
    """Read the sentence that begins at `at`: its key, the place of each slot, and where it ends; None if there is none."""
    best: tuple[str, list[tuple[str, int, int]], int] | None = None
    for sentence in SENTENCES:
        for pattern in sentence.patterns:
            match = pattern.match(text, at)
            if match and (best is None or match.end() > best[2]):
                best = (sentence.key, [(slot, *match.span(slot)) for slot in sentence.slots], match.end())
    return best
