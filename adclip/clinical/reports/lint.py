"""Look through reports for what gives the answer away: words for a diagnosis, scores that define it, the person's name.

A report may name the class in its leading label phrase only, ``A photo of NC|MCI|AD``, and may hold the sentences of the
knowledge table, which are equal for all classes. Findings name the class of what was found, never the words or values.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adclip.clinical.leak_words import DIAGNOSES, SCORE_NAMES, SCORE_VALUES, LeakRule, literal
from adclip.clinical.reports.knowledge import BY_TEXT, KNOWLEDGE_VERSION
from adclip.clinical.reports.report_texts import ReportText, read_report_texts
from adclip.task import ALZHEIMER, MMSE, Task

LINT_VERSION = "2"  # raise it with every change of what is found
LEAK_KINDS = ("diagnosis_word", "score_name", "score_value", "identity")


_UNSEEN = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")  # soft hyphens and their like
_SHORTEST_ID = 3
_CALLED = (
    r"(?:sub-|subject|participant|patient|person|case|rid|mrn|id)[\s:#=]{0,3}(?:(?:id|number|no\.?|is)[\s:#=]{1,3})?0*"
)


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Parameters
    ----------
    line : int
        Line of the file, from 1.
    kind : str
        One of `LEAK_KINDS`, or the warnings `same_text_across_splits` and `same_text`.
    what : str
        The class of what was found; never the words themselves.
    """

    line: int
    kind: str
    what: str


@dataclass(frozen=True)
class LintResult:
    """What was found in a file of reports.

    Parameters
    ----------
    path : Path
    reports : int
        Reports looked at.
    findings : tuple of Finding
        By line; a report has at most one of each kind and class.
    version : str
        Of the rules, and of the knowledge table whose sentences are allowed.
    """

    path: Path
    reports: int
    findings: tuple[Finding, ...]
    version: str

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that give the answer or the person away; the others are warnings."""
        return tuple(finding for finding in self.findings if finding.kind in LEAK_KINDS)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; the file by its name alone."""
        return {
            "file": self.path.name,
            "reports": self.reports,
            "leaks": len(self.leaks),
            "warnings": len(self.findings) - len(self.leaks),
            "findings": [asdict(finding) for finding in self.findings],
            "version": self.version,
        }


@dataclass(frozen=True)
class _Rules:
    """What is looked for, in reports of one task."""

    label: re.Pattern[str]
    scores: tuple[LeakRule, ...]
    diagnoses: tuple[LeakRule, ...]

    @classmethod
    def of(cls, task: Task) -> _Rules:
        # The text tower reads lower case, so a phrase in lower case is the same phrase.
        phrases = "|".join(re.escape(phrase) for phrase in sorted(task.phrases.values(), key=len, reverse=True))
        label = re.compile(rf"\s*A photo of (?:{phrases})(?=:|\.?\s*$)", re.IGNORECASE)
        if task.is_default:
            return cls(label, SCORE_NAMES, DIAGNOSES)
        scores = SCORE_NAMES if task.score_key == MMSE else (literal("the task's score", [task.score]), *SCORE_NAMES)
        class_rule = literal("a class of the task", [*task.phrases.values(), *task.classes], cased=True)
        return cls(label, scores, (class_rule, *DIAGNOSES))


_DEFAULT_RULES = _Rules.of(ALZHEIMER)


def lint_reports(path: Path, task: Task = ALZHEIMER) -> LintResult:
    """Look through a file of reports.

    Parameters
    ----------
    path : Path
        See `adclip.clinical.reports.report_texts.read_report_texts`.
    task : Task
        Whose classes and score a report may not name.

    Returns
    -------
    LintResult

    Raises
    ------
    TableError
        If the file or one of its lines cannot be read.
    """
    path = Path(path)
    findings: list[Finding] = []
    rules = _Rules.of(task)
    seen = _Seen(rules.label)
    reports = 0
    for report in read_report_texts(path):
        reports += 1
        findings += find_leaks(report, rules)
        findings += seen.add(report)
    findings += seen.summary()
    order = sorted(findings, key=lambda finding: finding.line)
    return LintResult(path, reports, tuple(order), f"{LINT_VERSION}+knowledge-{KNOWLEDGE_VERSION}")


def find_leaks(report: ReportText, rules: _Rules = _DEFAULT_RULES) -> Iterator[Finding]:
    """Yield what gives the answer or the person away in one report, each kind and class once."""
    # The capital dotted I alone has a lower case of another length, and positions must stay.
    text = _UNSEEN.sub("", unicodedata.normalize("NFKC", report.text)).replace("\u0130", "I")
    if _names_person(text, report.ids):
        yield Finding(report.line, "identity", "an id of the same record")
    text = _blank(rules.label.match(text), text)
    for sentence in BY_TEXT:
        text = _blank_sentence(sentence, text)
    lower = text.lower()
    yield from _apply(SCORE_VALUES, "score_value", report.line, text, lower)
    for rule in rules.scores:
        # A score is called by its kind, not by the words in its name: the clinical dementia rating is no diagnosis.
        matches = list(rule.find(text, lower))
        if matches:
            yield Finding(report.line, "score_name", rule.what)
        for match in matches:
            text = _blank(match, text)
            lower = _blank(match, lower)
    yield from _apply(rules.diagnoses, "diagnosis_word", report.line, text, lower)


def _apply(rules: tuple[LeakRule, ...], kind: str, line: int, text: str, lower: str) -> Iterator[Finding]:
    reported = set()
    for rule in rules:
        if rule.what not in reported and next(rule.find(text, lower), None) is not None:
            reported.add(rule.what)
            yield Finding(line, kind, rule.what)


def _blank(match: re.Match[str] | None, text: str) -> str:
    """Replace what was found by as many blanks, so that its neighbours stay apart."""
    return text if match is None else text[: match.start()] + " " * len(match[0]) + text[match.end() :]


def _blank_sentence(sentence: str, text: str) -> str:
    """Blank a sentence of the knowledge table where it is a sentence: at the beginning or after another, up to a space."""
    start = text.find(sentence)
    while start >= 0:
        end = start + len(sentence)
        if (start == 0 or text[start - 2 : start] in (". ", ": ", "  ")) and text[end : end + 1] in ("", " ", "\n"):
            text = text[:start] + " " * len(sentence) + text[end:]
        start = text.find(sentence, end)
    return text


def _names_person(text: str, ids: tuple[str, ...]) -> bool:
    return any(_is_named(text, name.removeprefix("sub-")) for name in ids)


def _is_named(text: str, name: str) -> bool:
    """Whether an id stands in a text as a word; a bare number must be called an id, as it may be any measurement."""
    if not name or name.lower() not in text.lower():
        return False
    word = rf"{re.escape(name)}(?![A-Za-z0-9])(?!\.\d)"
    if name.isdigit():
        return re.search(rf"(?<![A-Za-z0-9]){_CALLED}{word}", text, re.IGNORECASE) is not None
    return len(name) >= _SHORTEST_ID and re.search(rf"(?<![A-Za-z0-9]){word}", text, re.IGNORECASE) is not None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.strip(" :.\n\t").encode()).digest()


class _Seen:
    """The texts so far, by their hash, to find equal ones."""

    def __init__(self, label: re.Pattern[str]) -> None:
        self._label = label
        self._first: dict[bytes, tuple[int, str | None]] = {}
        self._unlabelled: dict[bytes, tuple[int, str | None]] = {}
        self._repeated = 0
        self._line = 0

    def add(self, report: ReportText) -> Iterator[Finding]:
        """Remember a report; yield a warning if its text stood in another part of the split."""
        line, _ = self._first.setdefault(_digest(report.text), (report.line, report.split))
        if line != report.line:
            self._repeated += 1
            self._line = self._line or report.line
        # the label phrase aside: the same scan's report under two labels is the same report
        line, split = self._unlabelled.setdefault(
            _digest(self._label.sub("", report.text)), (report.line, report.split)
        )
        if line != report.line and report.split is not None and split is not None and report.split != split:
            yield Finding(
                report.line, "same_text_across_splits", f"the text of line {line}, in another part of the split"
            )

    def summary(self) -> Iterator[Finding]:
        """Yield one warning that counts the reports whose text stood before."""
        if self._repeated:
            several = "reports repeat texts" if self._repeated > 1 else "report repeats a text"
            yield Finding(self._line, "same_text", f"{self._repeated} {several} that stood before")
