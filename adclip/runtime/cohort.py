"""Many items, here or in several processes: one bad item, or one killed process, never stops the rest.

The pools of the standard library break as a whole when a process is killed, and do not say which item it was working on.
Here every process has its own pipe, so a death has a name: the item is tried once more when nothing else runs, since the
machine may only have been short of memory, and then given up.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from adclip.errors import (
    EXIT_MISSING,
    AdclipError,
    DeviceMemoryError,
    MissingPackageError,
)
from adclip.runtime import errors
from adclip.runtime.exceptions import defect
from adclip.runtime.machine import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
_EVERY_ITEM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # a full or read-only disk fails the next item as well
_PATIENCE_S = 5.0
_READY = "ready"  # what a process says once it has its copy of the work


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one item.

    Parameters
    ----------
    index : int
        Place of the item in the sequence.
    value : object or None
        What the work returned.
    error : AdclipError or None
        Why there is no value.
    seconds : float
        Wall time spent on it.
    """

    index: int
    value: Result | None
    error: AdclipError | None
    seconds: float


def run_each(work: Callable[[Item], Result], items: Sequence[Item], workers: int = 1) -> Iterator[Outcome[Result]]:
    """Do `work` on every item and yield the outcomes as they come.

    Parameters
    ----------
    work : callable
        With several workers it is pickled, and each process keeps its own copy, so that what is slow to load may be
        loaded once and kept in an attribute.
    items : sequence
        Whatever `work` takes.
    workers : int
        1 works in this process; more start that many others and share the cores among them.

    Yields
    ------
    Outcome
        In order with one worker, else as they are done. An `AdclipError`, exhausted memory, a missing package (which
        perhaps only items of this kind need), a defect, and the death of a process become the outcome of that one item.

    Raises
    ------
    AdclipError
        If something is missing that every other item would miss as well (exit code 4), such as a device; or if the other
        processes cannot even begin.
    OSError
        If the disk is full.
    """
    if workers <= 1 or len(items) <= 1:
        for index, item in enumerate(items):
            yield attempt(work, index, item)
    else:
        yield from _Team(work, items, min(workers, len(items))).run()


# ----------------------------------------------------------------------------------------------- one item


def attempt(work: Callable[[Item], Result], index: int, item: Item) -> Outcome[Result]:
    """Do `work` on one item here; what goes wrong with this item alone becomes its outcome, see `run_each`."""
    began = time.perf_counter()

    def failed(error: AdclipError) -> Outcome[Result]:
        return Outcome(index, None, error, time.perf_counter() - began)

    try:
        return Outcome(index, work(item), None, time.perf_counter() - began)
    except (DeviceMemoryError, MissingPackageError) as error:
        return failed(error)
    except AdclipError as error:
        if error.exit_code == EXIT_MISSING:
            raise
        return failed(error)
    except MemoryError:
        return failed(DeviceMemoryError.of("this machine"))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        return failed(defect(error) if package in ("", "adclip") else MissingPackageError.broken(package))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _EVERY_ITEM:
            raise
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(error, torch.OutOfMemoryError):
            return failed(DeviceMemoryError.of("the device"))
        return failed(defect(error))


# ----------------------------------------------------------------------------------------------- several processes


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    index: int | None = None  # of the item it works on
    ready: bool = False


class _Team:
    """Processes with a pipe each."""

    def __init__(self, work: Callable[[Any], Any], items: Sequence[Any], workers: int) -> None:
        self._work, self._items, self._size = work, items, workers
        self._threads = max(usable_cores() // workers, 1)
        self._waiting = deque(range(len(items)))
        self._suspects: deque[int] = deque()  # a process died on them once; tried again alone
        self._tried: set[int] = set()
        self._workers: list[_Worker] = []

    def run(self) -> Iterator[Outcome[Any]]:
        try:
            while self._assign():
                for pipe in wait([worker.pipe for worker in self._workers if worker.index is not None]):
                    worker = next(candidate for candidate in self._workers if candidate.pipe is pipe)
                    outcome = self._receive(worker)
                    if outcome is not None:
                        yield outcome
        finally:
            self._dismiss()

    def _assign(self) -> bool:
        """Give work to whoever is free; False when nothing is left and nobody is busy."""
        busy = sum(worker.index is not None for worker in self._workers)
        while self._waiting and busy < self._size:
            self._give(self._waiting.popleft())
            busy += 1
        if not busy and self._suspects:
            self._give(self._suspects.popleft())
            busy = 1
        return busy > 0

    def _give(self, index: int) -> None:
        worker = next((idle for idle in self._workers if idle.index is None), None) or self._hire()
        worker.index = index
        with contextlib.suppress(OSError):  # it died while idle: the pipe reports that at the next wait
            worker.pipe.send((index, self._items[index]))

    def _hire(self) -> _Worker:
        context = multiprocessing.get_context("spawn")  # forking a process that has threads may deadlock
        parent_pipe, child_pipe = context.Pipe()
        process = context.Process(target=_serve, args=(child_pipe, self._threads), daemon=True)
        process.start()
        child_pipe.close()  # so that the pipe ends when the process does
        worker = _Worker(process, parent_pipe)
        self._workers.append(worker)
        with contextlib.suppress(OSError):
            parent_pipe.send(self._work)
        return worker

    def _receive(self, worker: _Worker) -> Outcome[Any] | None:
        assert worker.index is not None
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            return self._bury(worker, worker.index)
        if answer == _READY:
            worker.ready = True
            return None
        worker.index = None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _bury(self, worker: _Worker, index: int) -> Outcome[Any] | None:
        worker.process.join(_PATIENCE_S)
        self._workers.remove(worker)
        code = worker.process.exitcode
        if not worker.ready and code is not None and 0 < code < 128:  # no item is to blame, and the next fares alike
            raise errors.never_began(code)
        if index not in self._tried:
            self._tried.add(index)
            self._suspects.append(index)
            return None
        return Outcome(index, None, errors.died(code), 0.0)

    def _dismiss(self) -> None:
        for worker in self._workers:
            worker.pipe.close()  # an idle process ends by itself
            if worker.index is not None:
                worker.process.terminate()  # its files are temporary until they are whole
        for worker in self._workers:
            worker.process.join(_PATIENCE_S)
            if worker.process.is_alive():
                worker.process.kill()


def _serve(pipe: Connection, threads: int) -> None:
    """Work in a process of one's own until the pipe ends, which it also does when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, _leave)
    for name in THREAD_VARIABLES:  # before anything that reads them is imported
        os.environ[name] = str(threads)
    with contextlib.suppress(EOFError, OSError):
        work = pipe.recv()
        pipe.send(_READY)
        while True:
            index, item = pipe.recv()
            answer: Any
            try:
                answer = attempt(work, index, item)
            except (AdclipError, OSError) as error:
                answer = error
            pipe.send(answer)


def _leave(*_: object) -> None:
    """End as an exception does, so that temporary files - perhaps of a head that has a face - go with the process."""
    raise SystemExit(128 + signal.SIGTERM)
