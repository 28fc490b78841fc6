"""What a model is asked: ordered classes with their phrases, the auxiliary score, and the columns it may read.

The default is CN / MCI / AD with the MMSE. Another condition is a TOML file:

    name = "parkinson"
    classes = ["HC", "PD"]                    # in order of severity
    columns = ["age_years", "sex", "icv_mm3"]  # that reports and the metadata baseline may use; left out: all

    [phrases]                                 # how a report names each class; left out: the class itself
    HC = "healthy person"
    PD = "Parkinson's disease"

    [score]
    name = "MoCA"
    range = [0, 30]
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adclip.domain import CLASS_PHRASES, MMSE_RANGE, Diagnosis, Prediction, Visit
from adclip.errors import ConfigError

MMSE = "mmse"
MOST_CLASSES = 10
# What a report never states, whatever a task says: who it is, and what defines the answer.
_NEVER = frozenset({
    "subject_id", "session_id", "visit_date", "mmse", "cdr_global", "diagnosis", "scan", "volumes_source", "score",
    "further_volumes",
})  # fmt: skip
REPORTABLE = tuple(field.name for field in dataclasses.fields(Visit) if field.name not in _NEVER)
_CLASS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_PHRASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ,.'/()-]{0,58}[A-Za-z0-9)]|[A-Za-z0-9]")
_SCORE = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,31}")
_KEYS = {"name", "classes", "columns", "phrases", "score"}


@dataclass(frozen=True)
class Task:
    """One question.

    Parameters
    ----------
    name : str
    classes : tuple of str
        In order of severity: the first and the last are the ends that metrics compare.
    phrases : mapping of str to str
        Class -> its words in the label phrase.
    score : str
        Name of the auxiliary score as people write it.
    score_range : tuple of float
        Its lowest and highest value, in points.
    columns : tuple of str or None
        Columns that reports and the metadata baseline may use; None is all.
    """

    name: str = "alzheimer"
    classes: tuple[str, ...] = tuple(str(diagnosis) for diagnosis in Diagnosis)
    phrases: Mapping[str, str] = field(default_factory=lambda: dict(CLASS_PHRASES))
    score: str = "MMSE"
    score_range: tuple[float, float] = MMSE_RANGE
    columns: tuple[str, ...] | None = None

    @property
    def score_key(self) -> str:
        """Name of the score in records and tables: lower case, no blanks."""
        return re.sub(r"[ -]+", "_", self.score.lower())

    @property
    def is_default(self) -> bool:
        """Whether it is CN / MCI / AD with the MMSE."""
        return self.to_dict() == ALZHEIMER.to_dict()

    def score_of(self, visit: Visit) -> float | None:
        """Return the auxiliary score of a visit in points, None where unknown."""
        return visit.mmse if self.score_key == MMSE else visit.score

    def usable(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Return those of `columns` that the task may use."""
        return tuple(name for name in columns if self.columns is None or name in self.columns)

    def keep(self, columns: Iterable[str]) -> frozenset[str] | None:
        """Return `usable(columns)` as the `keep` of a report: None where everything may be used."""
        return None if self.columns is None else frozenset(self.usable(columns))

    def class_of(self, cell: str) -> str | None:
        """Return the class that a cell names, by its name or its phrase, without case; None if it names none."""
        folded_cell = cell.strip().casefold()
        return next(
            (name for name in self.classes if folded_cell in (name.casefold(), self.phrases[name].casefold())), None
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "phrases": dict(self.phrases),
            "score": {"name": self.score, "range": list(self.score_range)},
            "columns": None if self.columns is None else list(self.columns),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "task") -> Task:
        """Build a task and check it.

        Raises
        ------
        ConfigError
            If something is missing, unknown, or cannot be used.
        """

        def wrong(why: str, remedy: str = "see docs/how-to/ask-another-question.md for a whole example") -> ConfigError:
            return ConfigError.bad_value("--task", f"{source}: {why}", remedy)

        if unknown := set(data) - _KEYS:
            raise wrong(f"`{min(unknown)}` is not a setting of a task", f"it has {', '.join(sorted(_KEYS))}")
        classes, phrases, score = data.get("classes"), data.get("phrases", {}), data.get("score")
        if not isinstance(classes, list) or not 2 <= len(classes) <= MOST_CLASSES:
            raise wrong(f"`classes` must be a list of 2 to {MOST_CLASSES} names, in order of severity")
        if not all(isinstance(name, str) and _CLASS.fullmatch(name) for name in classes):
            raise wrong("a class is named by letters, digits, `_` and `-`, up to 32 of them")
        if len({name.casefold() for name in classes}) < len(classes):
            raise wrong("two classes have the same name")
        if not isinstance(phrases, Mapping) or (strange := set(phrases) - set(classes)):
            raise wrong(f"`phrases` names {min(strange)}, which is no class" if isinstance(phrases, Mapping)
                        else "`phrases` must be a table: class = \"words\"")  # fmt: skip
        class_phrases = {name: phrases.get(name, name) for name in classes}
        if not all(isinstance(phrase, str) and _PHRASE.fullmatch(phrase) for phrase in class_phrases.values()):
            raise wrong("a phrase is 1 to 60 letters, digits, blanks and plain punctuation, without a colon")
        if len({phrase.casefold() for phrase in class_phrases.values()}) < len(classes):
            raise wrong("two classes have the same phrase")
        if not isinstance(score, Mapping) or set(score) != {"name", "range"}:
            raise wrong('`score` needs `name` and `range`, e.g. name = "MoCA", range = [0, 30]')
        name, limits = score["name"], score["range"]
        if not isinstance(name, str) or not _SCORE.fullmatch(name):
            raise wrong("the score is named by letters, digits, blanks, `_` and `-`")
        if not (isinstance(limits, list) and len(limits) == 2 and all(isinstance(x, int | float) for x in limits)
                and limits[0] < limits[1]):  # fmt: skip
            raise wrong("the score's `range` is its lowest and its highest value")
        columns = data.get("columns")
        if columns is not None:
            if not isinstance(columns, list) or not columns:
                raise wrong("`columns` must be a list of names; leave it out for all")
            for column in columns:
                if column not in REPORTABLE:
                    raise wrong(
                        f"`{column}` is not a column that a report may use", f"those are {', '.join(REPORTABLE)}"
                    )
        task = cls(
            str(data.get("name", "unnamed")), tuple(classes), class_phrases, name, (float(limits[0]), float(limits[1])),
            None if columns is None else tuple(columns),
        )  # fmt: skip
        taken = {field.name for kind in (Visit, Prediction) for field in dataclasses.fields(kind)}
        if task.score_key != MMSE and task.score_key in taken:
            raise wrong(
                f"the score cannot be called {name}: something of another meaning has that name, in tables or in answers"
            )
        return task


ALZHEIMER = Task()


def read_task(path: Path | None) -> Task:
    """Read a task; None is the default one.

    Raises
    ------
    ConfigError
        If the file is not there, is no TOML, or does not describe a task.
    """
    if path is None:
        return ALZHEIMER
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError.bad_value("--task", f"{path}: no such file", "check the path") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError.bad_value("--task", f"{path}: not readable as TOML ({error})", "mend it") from None
    return Task.from_dict(data, str(path))
