"""Words and scores that give a diagnosis away, each with the class it is reported as.

Abbreviations that are also English words count in upper case only (`AD`, not `ad`), unless a word such as `diagnosis` goes
before them. Every rule has triggers, of which one must stand in the text: most reports hold none, and looking for them is many times
faster than the patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class LeakRule:
    """One class of words.

    Parameters
    ----------
    what : str
        How a finding names them.
    triggers : tuple of str
        Without any of them in the text that is searched there is no match.
    pattern : re.Pattern
        Searched in the lower-case text, or in the text as it stands if `cased`.
    cased : bool
    """

    what: str
    triggers: tuple[str, ...]
    pattern: re.Pattern[str]
    cased: bool = False

    def find(self, text: str, lower: str) -> Iterator[re.Match[str]]:
        """Yield the matches in a text, given with its lower-case form of the same length."""
        searched = text if self.cased else lower
        if any(trigger in searched for trigger in self.triggers):
            yield from self.pattern.finditer(searched)


def _rule(what: str, triggers: str, pattern: str, cased: bool = False) -> LeakRule:
    """Make a rule whose pattern stands between anything but letters and digits; `_` may be a neighbour, as in `mmse_total`."""
    between = re.compile(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])")
    return LeakRule(what, tuple(triggers.split()), between, cased)


def literal(what: str, terms: Iterable[str], cased: bool = False) -> LeakRule:
    """Make a rule that finds the words as they stand, with any number behind them; without case unless `cased`."""
    triggers = [word if cased else word.lower() for word in terms]
    pattern = "|".join(re.escape(word) for word in sorted(triggers, key=len, reverse=True))
    between = re.compile(rf"(?<![A-Za-z0-9])(?:{pattern})\d*(?![A-Za-z0-9])")
    return LeakRule(what, tuple(triggers), between, cased)


_PEOPLE = (
    "controls?|volunteers?|subjects?|participants?|persons?|people|adults?|elderly|man|men|woman|women|males?|females?|"
    "individuals?|comparisons?|patients?|aging|ageing"
)
_GIVEN = r"(?:diagnos(?:is|ed)|dx|diagnostic group|clinical group|group|class|label|photo)"
_ABBREVIATIONS = r"(?:ad|cn|nc|mci|scd|smc|dementia)"

DIAGNOSES: tuple[LeakRule, ...] = (
    _rule("a word for Alzheimer's disease", "alzheimer", r"\w*alzheimer\w*"),
    _rule("a word for dementia", "dement ftd ftld dlb lewy frontotemporal neurocognitive senil alz",
          r"(?:\w*-)?\w*dement\w*|ftl?d|dlb|lewy bod\w*|frontotemporal(?: lobar)? degeneration"
          r"|(?:major|minor)\W+neurocognitive\W+disorders?|senil\w*|alz"),
    _rule("a word for mild cognitive impairment", "mci mild",
          r"\w{0,3}mci\w?|mild(?:ly)?\W+(?:neuro)?cognitive(?:ly)?\W+(?:impair\w*|disorder)"),
    _rule("a word for the cognitive state", "cogniti memory",
          r"(?:(?:neuro)?cognitive(?:ly)?|memory)\W+(?:\w+\W+)?(?:normal|healthy|intact|unimpaired|impair\w*|declin\w*|deficits?"
          r"|complaints?|concerns?|loss|preserved|status)"
          r"|(?:normal|intact|impaired|preserved|unimpaired|declining)\W+(?:cognition|cognitive\w*|memory)"
          r"|(?:declin\w*|impair\w*|loss)\W+(?:of|in)\W+(?:cognition|memory)"),
    _rule("a word for an impaired memory", "amnes memory prodromal",
          r"(?:non-?)?amnes\w*|memory\W+(?:clinics?|centers?|centres?|units?)|prodromal"),
    _rule("a word for the group", "group status diagnos dx class",
          r"(?:diagnos(?:is|ed)(?:\W+as)?|dx|(?:clinical\W+|disease\W+)?status|group|class)\W{1,3}(?:(?:is|was)\W+)?"
          r"(?:normal|abnormal|healthy|controls?|hc|patients?|cases?|impaired|unimpaired|positive|negative|none)"),
    _rule("a word for a healthy person", "healthy control converter progressor",
          rf"(?:cognitively\W+)?healthy(?=\W*$|\W*[.;])|healthy(?:[\s,-]+[\w-]+){{0,3}}?[\s-]+(?:{_PEOPLE})|(?:normal|elderly|matched)[\s-]+controls?"
          r"|control[\s-]+(?:subjects?|groups?|participants?|persons?)|\w*-?(?:converter|progressor)s?"),
    _rule("another diagnosis", "parkinson aphasia posterior", r"parkinson\w*|(?:primary\W+)?progressive\W+aphasia|posterior\W+cortical\W+atrophy"),
    _rule("criteria of a diagnosis", "nincds adrda nia", r"nincds|adrda|nia\W?aa"),
    _rule("a drug against dementia",
          "donepezil aricept memantine namenda rivastigmine exelon galantamine lecanemab donanemab aducanumab",
          r"donepezil|aricept|memantine|namenda|rivastigmine|exelon|galantamine|lecanemab|donanemab|aducanumab"),
    _rule("an abbreviation of a diagnosis", "A.D DAT PPA PCA", r"A\.\s?D(?:\.|\b)|DAT|l?v?PPA|PCA", cased=True),
    _rule("an abbreviation of a diagnosis", "AD CN NC SMC SCD",
          r"AD(?!\s+HOC\b)|CN(?!\s+[IVX]+\b)|NC|SMC|SCD", cased=True),
    _rule("an abbreviation of a diagnosis", "diagnos dx group class label photo",
          rf"{_GIVEN}\W{{0,3}}(?:(?:is|was|of|as|with)\W+)?{_ABBREVIATIONS}"),
    _rule("a value after the word diagnosis", "diagnosis dx",
          r"(?:diagnosis|dx)\w*\s*[:=]\s*-?\d+"),
    _rule("a code of a diagnosis", "g30 f00 f01 f02 f03 331.0 290.", r"g30(?:\.\d)?|f0[0-3](?:\.\d+)?|331\.0|290\.\d+"),
)  # fmt: skip

# ----------------------------------------------------------------------------------------------- scores

_NAMES: tuple[tuple[str, str, str], ...] = (
    ("the Mini-Mental State Examination", "mmse mini folstein",
     r"mmse|folstein|mini\W?mental(?:\W+(?:state|status))?(?:\W+exam\w*)?"),
    ("the Clinical Dementia Rating", "cdr rating boxes", r"cdr(?:\W?sb|\W?sob|\W?rsb|\W?gs)?|clinical dementia rating"
     r"|sum\W+of\W+(?:the\W+)?boxes"),
    ("the ADAS", "adas assessment",
     r"adas(?:\W?cog)?(?:\W?1[13]|q4)?|alzheimer\W?s?\W+disease\W+assessment\W+scale(?:\W+cognitive)?"),
    ("the Montreal Cognitive Assessment", "moca montreal", r"moca|montreal\W+cognitive(?:\W+assessment)?"),
    ("the Functional Activities Questionnaire", "functional",
     r"functional\W+(?:activit\w+|assessment)\W+(?:questionnaire|score|scale)"),
    ("a test of memory", "ravlt avlt logical auditory recall lmt ldeltotal limmtotal",
     r"r?avlt\w*|logical\W+memory|auditory\W+verbal\W+learning|(?:delayed|immediate|word|story|free)\W+recall"
     r"|ldeltotal|limmtotal"),
    ("another cognitive test", "trail fluency naming digit clock ecog pacc cognitive neuropsych trabscor hachinski blessed slums ace- ace addenbrooke mini",
     r"slums|ace\W?(?:r|iii)|addenbrooke\w*|mini\W?cog|trail\W?making|trabscor|(?:category|verbal|animal|letter)\W+fluency|boston\W+naming|digit\W+(?:span|symbol)|digitscor"
     r"|clock\W+drawing|ecog\w*|m?pacc\w*|hachinski|blessed|(?:cognitive|neuropsych\w+)\W+(?:tests?|scores?|scales?|battery)"),
    ("a scale of mood or behaviour", "depression neuropsychiatric deterioration",
     r"geriatric\W+depression|neuropsychiatric\W+inventory|global\W+deterioration"),
)  # fmt: skip
_UPPER = r"FAQ|GDS|NPI(?:-?Q)?|BNT"

SCORE_NAMES: tuple[LeakRule, ...] = (
    *(_rule(what, triggers, rf"(?:{pattern})\d*") for what, triggers, pattern in _NAMES),  # `MMSE27` too
    _rule("an abbreviation of a score", "FAQ GDS NPI BNT", _UPPER, cased=True),
)

_NUMBER = r"(?:\d+(?:\.\d+)?|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|twenty(?:\W[a-z]+)?|thirty)"
_BETWEEN = r"[\s:=(,>~_|-]{1,3}"
_LINKS = rf"(?:{_BETWEEN}(?:total|global|scores?|scored|is|was|of|at|equals?|points?|result|sum|test|the|a|an|with|had|on|in))"
_ANY_NAME = "|".join(pattern for _, _, pattern in _NAMES) + "|" + _UPPER.lower()
_TRIGGERS = " ".join(triggers for _, triggers, _ in _NAMES) + " faq gds npi bnt"

SCORE_VALUES: tuple[LeakRule, ...] = (
    _rule("a value beside the name of a score", _TRIGGERS, rf"(?:{_ANY_NAME}){_LINKS}{{0,6}}{_BETWEEN}{_NUMBER}"),
    _rule("a value beside the name of a score", _TRIGGERS,
          rf"{_NUMBER}(?:\s*(?:/|out of|of)\s*{_NUMBER})?{_LINKS}{{0,4}}{_BETWEEN}(?:{_ANY_NAME})"),
    # Folstein's 30 points and the 70 or 85 of the ADAS; not a date, nor a part of a longer number
    _rule("points of a total", "30 70 85", r"(?<![\d./-])\d{1,2}(?:\.\d+)?\s*(?:/|of|out of)\s*(?:30|70|85)(?!\s*[/.\d-]\s*\d)"
          r"(?!\s*(?:mm|cm|ml|%|mg|slices|scans|people|patients|persons|subjects))"),
    _rule("points of a total", "scor", rf"(?:scored|scoring|(?:s?he|patient|who|they)\W+scores)\W+(?:only\W+|a\W+)?{_NUMBER}"
          rf"|scores?\W+(?:is\W+|was\W+|of\W+)?{_NUMBER}\s*(?:/|out of|of)\s*{_NUMBER}"),
)  # fmt: skip
