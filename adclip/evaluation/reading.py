"""Scans of an evaluation read as `predict` reads them; a damaged one is told and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adclip.clinical.measured import usable
from adclip.clinical.scans.manifest import Example
from adclip.domain import Visit
from adclip.errors import AdclipError
from adclip.imaging.records.quality import Quality
from adclip.prediction.dataset import Cohort, read_cohort
from adclip.prediction.predictor import Predictor
from adclip.runtime.events import Advanced, Failed, OnEvent, Started
from adclip.runtime.paths import legible


@dataclass(frozen=True)
class Failure:
    """A scan that could not be read: whose it is, and why."""

    example: Example
    error: AdclipError


@dataclass(frozen=True)
class ReadScans:
    """Scans in memory, or mapped from the cache, with all that is asked of them.

    Parameters
    ----------
    examples : tuple of Example
        Those that could be read.
    cohort : Cohort
        The same, with the rows of the table as they are and the volumes that were found for each scan.
    told : tuple of Visit
        What each report is written from: the row, and where it has no volumes those of the scan, as far as the model may be told them.
    quality : tuple of Quality
        What was measured of each scan when it was preprocessed.
    failures : tuple of Failure
        Those that could not.
    """

    examples: tuple[Example, ...]
    cohort: Cohort
    told: tuple[Visit, ...]
    quality: tuple[Quality, ...]
    failures: tuple[Failure, ...]


def read_scans(predictor: Predictor, examples: Sequence[Example], on_event: OnEvent, task: str) -> ReadScans:
    """Read preprocessed scans.

    Parameters
    ----------
    predictor : Predictor
        Whose input contract they have to fit, and which says what its reports may be told.
    examples : sequence of Example
        With rows and diagnoses.
    on_event : OnEvent
        Is told of every scan, and of those that fail.
    task : str
        How the work is called there.

    Raises
    ------
    AdclipError
        If none can be read: then the first error.
    """
    read, failures = try_to_read(predictor, examples, on_event, task)
    if read is None:
        raise failures[0].error
    return read


def try_to_read(
    predictor: Predictor, examples: Sequence[Example], on_event: OnEvent, task: str
) -> tuple[ReadScans | None, tuple[Failure, ...]]:
    """Read preprocessed scans that an evaluation can do without, as `read_scans` does.

    Returns
    -------
    read : ReadScans or None
        None where none could be read.
    failures : tuple of Failure
        Those that could not.
    """
    on_event(Started(task, len(examples)))
    kept, told, quality = [], [], []
    failures: list[Failure] = []
    for done, example in enumerate(examples, 1):
        try:
            prepared = predictor.prepare(example.item)
        except AdclipError as error:
            failures.append(Failure(example, error))
            on_event(Failed(legible(example.item.path), error.problem, error.remedy))
        else:
            kept.append(replace(example, measured=usable(prepared.volumes)))
            told.append(predictor.complete(prepared, example.visit) or example.visit)
            quality.append(prepared.qc)
        on_event(Advanced(task, done, example.item.path.name))
    if not kept:
        return None, tuple(failures)
    cohort = read_cohort(kept, predictor.record.model.contract, predictor.record.task, on_event)
    return ReadScans(tuple(kept), cohort, tuple(told), tuple(quality), tuple(failures)), tuple(failures)
