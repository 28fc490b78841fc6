"""One of several files of a session is refused: the next one is tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from adclip.domain import ScanItem
from adclip.errors import ScanError
from adclip.imaging.formats.contrast import CONTRAST_AGENT
from adclip.imaging.sources.agents import has_contrast_agent

NEXT_RUN = "next_run_used"
Result = TypeVar("Result")


def try_in_turn(item: ScanItem, work: Callable[[ScanItem], Result], tell: Callable[[ScanItem, str], None]) -> Result:
    """Do a scan; where its file is refused, do the next of those that were there to choose from.

    Parameters
    ----------
    item : ScanItem
        A scan with what it was preferred to in `others`.
    work : callable
        What is to be done. The flags of the item that it is given tell that another file than the first was used.
    tell : callable
        Hears, of the item that was refused, why and what is tried instead.

    Returns
    -------
    Result
        Of `work`.

    Raises
    ------
    ScanError
        The first file's, if every file is refused.
    """
    first: ScanError | None = None
    while True:
        try:
            return work(item)
        except ScanError as error:
            first = first or error
            if not item.others:
                raise first from None
            path, *others = item.others
            reason = error.problem.removeprefix(f"{item.path}: ")
            tell(item, f"{item.path.name} is refused ({reason}); trying {path.name}")
            flags = [flag for flag in item.flags if flag != CONTRAST_AGENT]
            flags += [CONTRAST_AGENT] if has_contrast_agent(path) else []
            flags.append(NEXT_RUN)
            item = replace(item, path=path, others=tuple(others), flags=tuple(dict.fromkeys(flags)), notes=())
