"""Settings of how an answer is told: for which shares of the classes, and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from adclip.prediction.prevalence import check_prevalence, parse_prevalence
from adclip.prediction.questions import Question, check_question, parse_question
from adclip.settings.setting import Setting, Settings

if TYPE_CHECKING:
    from adclip.model.record import AdapterRecord

MOST_RESCANS, MOST_SIMILAR = 64, 1000


def _check_prevalence(flag: str, text: Any) -> None:
    parse_prevalence(text)


def _check_questions(flag: str, texts: Any) -> None:
    for text in texts:
        parse_question(text)


# fmt: off
# The formatter would spread a setting over seven lines; here it stands on one or two.
@dataclass(frozen=True)
class Telling(Settings):
    """For which shares of the classes an answer is told, and what is told beside it."""

    SECTION: ClassVar[str] = "How the answer is told"

    prevalence: Annotated[str | None, Setting("How common each class is among people like these: shifts all probabilities, and tells "
        "those for equal shares beside them.", metavar="CN=.6,MCI=.3,AD=.1", check=_check_prevalence,
        source="Saerens et al. 2002, Neural Computation 14:21-41")] = None
    rescans: Annotated[int | None, Setting("Change place, shading, contrast and noise of the scan a little, K times, and tell the range of "
        "the answer; 0 is off. By default 8 for raw scans with a small network or on a GPU, else none.", metavar="K", at_least=0,
        at_most=MOST_RESCANS)] = None

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked of other values of a column."""
        return ()

    @property
    def similar_cases(self) -> int:
        """How many training cases are told."""
        return 0


@dataclass(frozen=True)
class PredictTelling(Telling):
    """What `predict` tells beside that."""

    SECTION: ClassVar[str] = "How the answer is told"

    what_if: Annotated[tuple[str, ...], Setting("Also the answers for other values of a column that the report reads; may be repeated.",
        metavar="COLUMN=FROM:TO:COUNT", flags=("--what-if",), check=_check_questions)] = ()
    similar: Annotated[int, Setting("Also the K training scans most like this one: diagnosis, age band, distance. Needs the folder of your own "
        "finetune.", metavar="K", at_least=0, at_most=MOST_SIMILAR)] = 0

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked of other values of a column."""
        return tuple(parse_question(text) for text in self.what_if)

    @property
    def similar_cases(self) -> int:
        """How many training cases are told."""
        return self.similar
# fmt: on


def check_telling(telling: Telling, record: AdapterRecord, model: str) -> None:
    """Say what a model cannot tell, before any scan is read.

    Parameters
    ----------
    telling : Telling
        What is asked for.
    record : AdapterRecord
        Of the model.
    model : str
        Its folder, or `builtin`.

    Raises
    ------
    ConfigError
        If a class is unknown or has no share, or no report of the model has a column that is asked for.
    CheckpointError
        If similar cases are asked for, and none stand with the model.
    """
    from adclip.prediction.similar import check_cases

    if telling.prevalence is not None:
        check_prevalence(parse_prevalence(telling.prevalence), record.labels)
    for question in telling.questions:
        check_question(question, record)
    if telling.similar_cases:
        check_cases(model)
