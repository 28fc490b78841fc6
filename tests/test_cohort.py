"""One bad item, one killed process, or one defect is one failed item: the others are done."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from adclip.cohort import parse_shard, run_each, shard_from_slurm, take_shard
from adclip.errors import ConfigError, DefectError, MissingPackageError, ScanError, WorkerError
from adclip.machine import choose_workers, usable_cores


class Task:
    """Stands for preprocessing: what it does is written in the item."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = 0

    def __call__(self, item: str) -> tuple[str, int, int]:
        self.calls += 1
        name, _, harm = item.partition(":")
        with (self.folder / name).open("a") as stream:
            stream.write("x")
        if harm == "bad":
            raise ScanError.missing(name)
        if harm == "defect":
            raise KeyError(name)
        if harm == "missing":
            raise MissingPackageError.needed("something", "extra")
        if harm == "full":
            raise OSError(errno.ENOSPC, "no space left", name)
        if harm == "memory":
            raise MemoryError
        if harm == "killed" or (harm == "killed once" and (self.folder / name).stat().st_size == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return name, os.getpid(), self.calls


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_item_and_a_defect_leave_the_others_done(task: Task, workers: int) -> None:
    items = ["a", "b:bad", "c", "d:defect", "e:memory", "f"]
    outcomes = {outcome.index: outcome for outcome in run_each(task, items, workers)}
    assert sorted(outcomes) == list(range(6))
    assert [outcomes[i].value[0] for i in (0, 2, 5)] == ["a", "c", "f"]
    assert isinstance(outcomes[1].error, ScanError) and "no such file" in outcomes[1].error.problem
    assert isinstance(outcomes[3].error, DefectError)
    assert "KeyError" in outcomes[3].error.problem and "'d'" not in outcomes[3].error.problem
    assert "memory" in outcomes[4].error.problem


def test_a_killed_process_costs_only_its_own_item(task: Task) -> None:
    items = ["a", "b:killed", "c", "d", "e"]
    outcomes = {outcome.index: outcome for outcome in run_each(task, items, 2)}
    assert [outcomes[i].value[0] for i in (0, 2, 3, 4)] == ["a", "c", "d", "e"]
    assert isinstance(outcomes[1].error, WorkerError) and "signal 9" in outcomes[1].error.problem
    assert (task.folder / "b").read_text() == "xx", "tried once more, alone, and then given up"


def test_an_item_that_fails_only_under_pressure_is_done_in_the_end(task: Task) -> None:
    outcomes = {outcome.index: outcome for outcome in run_each(task, ["a:killed once", "b", "c"], 2)}
    assert [outcomes[i].value[0] for i in range(3)] == ["a", "b", "c"]


def test_processes_keep_what_is_slow_to_load(task: Task) -> None:
    values = [outcome.value for outcome in run_each(task, list("abcdef"), 2)]
    assert len({pid for _, pid, _ in values}) == 2
    assert os.getpid() not in {pid for _, pid, _ in values}
    assert max(calls for _, _, calls in values) > 1, "each process must keep one copy of the work"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("harm", "error"), [("missing", MissingPackageError), ("full", OSError)])
def test_what_every_item_would_miss_ends_the_run(task: Task, workers: int, harm: str, error: type) -> None:
    with pytest.raises(error):
        list(run_each(task, [f"a:{harm}", "b", "c"], workers))


def test_leaving_early_ends_the_processes(task: Task) -> None:
    running = run_each(task, list("abcdef"), 2)
    pids = {next(running).value[1]}
    running.close()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_shards_are_a_partition() -> None:
    items = list(range(11))
    parts = [take_shard(items, (number, 4)) for number in range(1, 5)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_a_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="I/N"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("ids", "here", "shard"),
    [((1, 4, 4), 3, (3, 4)), ((0, 3, 4), 0, (1, 4)), ((0, 30, 4), 20, (3, 4)), ((5, 5, 1), 5, (1, 1))],
)
def test_slurm_arrays_count_from_any_number_in_any_step(
    monkeypatch: pytest.MonkeyPatch, ids: tuple[int, int, int], here: int, shard: tuple[int, int]
) -> None:
    for name, value in zip(("MIN", "MAX", "COUNT"), ids, strict=True):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(here))
    assert shard_from_slurm() == shard
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    assert shard_from_slurm() is None


def test_the_batch_systems_grant_and_free_memory_limit_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert usable_cores() == 1
    assert choose_workers(0, 50, 1.6) == 1
    assert choose_workers(3, 50, 1.6) == 3, "what the user asks for is done"
    assert choose_workers(8, 2, 1.6) == 2
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    assert choose_workers(0, 50, 1e6) == 1
