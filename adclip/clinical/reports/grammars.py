"""The sentences of the full-sentence styles, one grammar for each version of the words.

Version 1 ends with a sentence that names what is missing. Where the sicker are examined less, or more, that sentence tells the
diagnosis. Version 2 has none: a report says what is known and no word of the rest. What is left of a sentence that lost a slot is
the same sentence, shortened, in the same wording; so a gap takes words away and never brings a word in. That something is absent
can still be seen, in any text.

A grammar never changes once a model was taught on it: what a model reads is told by the version in its record. The words are those of
the builtin model's vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from adclip.clinical.reports.sentences import STRUCTURES, UNAVAILABLE, Grammar, Sentence


def _size_of_icv(name: str) -> Sentence:
    word, value, share = STRUCTURES[name], f"{{{name}_mm3}}", f"{{{name}_percent_icv}}"
    return Sentence(
        f"{name} of icv",
        (
            f"The volume of the {word} is {value} mm3, {share} % of intracranial volume.",
            f"Volume of the {word}: {value} mm3, {share} % of intracranial volume.",
            f"At {share} % of intracranial volume, the {word} has {value} mm3.",
        ),
    )


def _size(name: str) -> Sentence:
    word, value = STRUCTURES[name], f"{{{name}_mm3}}"
    return Sentence(name, (f"The volume of the {word} is {value} mm3.", f"Volume of the {word}: {value} mm3.",
                           f"A volume of {value} mm3 was measured in the {word}."))  # fmt: skip


def _shortened_size(name: str) -> Sentence:
    word, value = STRUCTURES[name], f"{{{name}_mm3}}"
    return Sentence(name, (f"The volume of the {word} is {value} mm3.", f"Volume of the {word}: {value} mm3.",
                           f"The {word} has {value} mm3."), f"{name} of icv")  # fmt: skip


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


_STRUCTURES_IN_ORDER = ("ventricles", "whole_brain", "entorhinal", "fusiform", "middle_temporal")
_BACKGROUND = (
    Sentence("education", ("There were {education_years} years of education.", "Education: {education_years} years.",
                           "The patient has {education_years} years of school and education.")),
    Sentence("apoe", ("Number of apoe e4 alleles: {apoe4_count}.", "The genotype has {apoe4_count} copies of apoe e4.",
                      "Apoe e4 allele copies: {apoe4_count}.")),
    Sentence("icv", ("The intracranial volume is {icv_mm3} mm3.", "Intracranial volume: {icv_mm3} mm3.",
                     "An intracranial volume of {icv_mm3} mm3 was measured.")),
)  # fmt: skip
_ASYMMETRY = (
    Sentence("left smaller", ("The left is smaller by {hippocampus_left_smaller_percent} %.",
                              "Asymmetry: left smaller by {hippocampus_left_smaller_percent} %.",
                              "On the left it is smaller by {hippocampus_left_smaller_percent} %.")),
    Sentence("right smaller", ("The right is smaller by {hippocampus_right_smaller_percent} %.",
                               "Asymmetry: right smaller by {hippocampus_right_smaller_percent} %.",
                               "On the right it is smaller by {hippocampus_right_smaller_percent} %.")),
)  # fmt: skip


def _after_hippocampi(sizes: Mapping[str, Sentence]) -> Iterable[Sentence]:
    """Yield what follows the volumes of the hippocampi; norms exist for the hippocampi and the ventricles."""
    yield from _ASYMMETRY
    for side in ("hippocampus_left", "hippocampus_right"):
        yield from _standing(side)
    for name in _STRUCTURES_IN_ORDER:
        yield _size_of_icv(name)
        yield sizes[name]
        if name == "ventricles":
            yield from _standing(name)


VERSION_1 = Grammar("1", (
    Sentence("age and sex", ("A {sex}, aged {age_years} years.", "The patient is a {sex} of {age_years} years.",
                             "A {sex} of {age_years} years.")),
    Sentence("age", ("The patient is {age_years} years old.", "Age: {age_years} years.", "A person of {age_years} years.")),
    Sentence("sex", ("The patient is a {sex}.", "A {sex}.", "This is a {sex}.")),
    *_BACKGROUND,
    _size_of_icv("hippocampus"),
    _size("hippocampus"),
    Sentence("sides", ("The left hippocampus has {hippocampus_left_mm3} mm3, the right {hippocampus_right_mm3} mm3.",
                       "Hippocampus left {hippocampus_left_mm3} mm3, right {hippocampus_right_mm3} mm3.",
                       "Left and right hippocampus have {hippocampus_left_mm3} and {hippocampus_right_mm3} mm3.")),
    _size("hippocampus_left"),
    _size("hippocampus_right"),
    *_after_hippocampi({name: _size(name) for name in _STRUCTURES_IN_ORDER}),
    Sentence(UNAVAILABLE, ("Data unavailable: {unavailable}.", "Data unavailable for: {unavailable}.",
                           "Data unavailable, not measured: {unavailable}.")),
))  # fmt: skip

VERSION_2 = Grammar("2", (
    Sentence("age and sex", ("A {sex}, aged {age_years} years.", "The patient is a {sex}, {age_years} years old.",
                             "Sex: {sex}, age: {age_years} years.")),
    Sentence("age", ("Aged {age_years} years.", "The patient is {age_years} years old.", "Age: {age_years} years."),
             "age and sex"),
    Sentence("sex", ("A {sex}.", "The patient is a {sex}.", "Sex: {sex}."), "age and sex"),
    *_BACKGROUND,
    _size_of_icv("hippocampus"),
    _shortened_size("hippocampus"),
    Sentence("sides", ("The left hippocampus has {hippocampus_left_mm3} mm3, the right {hippocampus_right_mm3} mm3.",
                       "Hippocampus left {hippocampus_left_mm3} mm3, right {hippocampus_right_mm3} mm3.",
                       "In the left hippocampus {hippocampus_left_mm3} mm3, in the right {hippocampus_right_mm3} mm3.")),
    *(Sentence(f"hippocampus_{side}", (f"The {side} hippocampus has {{hippocampus_{side}_mm3}} mm3.",
                                       f"Hippocampus {side} {{hippocampus_{side}_mm3}} mm3.",
                                       f"In the {side} hippocampus {{hippocampus_{side}_mm3}} mm3."), "sides")
      for side in ("left", "right")),
    *_after_hippocampi({name: _shortened_size(name) for name in _STRUCTURES_IN_ORDER}),
))  # fmt: skip

# The oldest first; the last is what is written where no version is asked for.
GRAMMARS: Mapping[str, Grammar] = {grammar.version: grammar for grammar in (VERSION_1, VERSION_2)}
