"""One bad item, one killed process, or one defect is one failed item: the others are done."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adclip.errors import ConfigError, DefectError, DeviceError, MissingPackageError, ScanError, WorkerError
from adclip.runtime import machine
from adclip.runtime.cohort import run_each
from adclip.runtime.machine import choose_workers, usable_cores, usable_memory_gb
from adclip.runtime.paths import private_folder
from adclip.runtime.shards import parse_shard, shard_from_slurm, take_shard


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
        if harm == "package":
            raise MissingPackageError.needed("something", "extra")
        if harm == "module":
            raise ModuleNotFoundError("no", name="decoder.fast")
        if harm == "device":
            raise DeviceError.absent("cuda")
        if harm == "private":
            with private_folder() as private:
                (private / "scan.nii").write_text("a face")
                (self.folder / "hidden").write_text(str(private))
                time.sleep(60)
        if harm == "waits":
            deadline = time.monotonic() + 30
            while not (self.folder / "hidden").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
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
@pytest.mark.parametrize("harm", ["package", "module"])
def test_a_package_that_one_item_needs_costs_only_that_item(task: Task, workers: int, harm: str) -> None:
    outcomes = {outcome.index: outcome for outcome in run_each(task, [f"a:{harm}", "b", "c"], workers)}
    assert isinstance(outcomes[0].error, MissingPackageError) and "not installed" in outcomes[0].error.problem
    assert [outcomes[i].value[0] for i in (1, 2)] == ["b", "c"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("harm", "error"), [("device", DeviceError), ("full", OSError)])
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


def test_a_terminated_process_takes_its_private_files_with_it(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(task.folder))
    running = run_each(task, ["a:waits", "b:private"], 2)
    assert next(running).value[0] == "a"
    private = Path((task.folder / "hidden").read_text())
    assert private.is_dir() and private.parent == task.folder, "the other process is at work"
    running.close()  # as Ctrl-C does
    assert not private.exists()


@pytest.mark.parametrize("guard", [False, True])
def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path, guard: bool) -> None:
    script = (
        "from adclip.runtime.cohort import run_each\n"
        "def run():\n"
        "    try: print([outcome.value for outcome in run_each(abs, [-1, -2], 2)])\n"
        "    except Exception as error: print(error.remedy)\n"
    )
    (tmp_path / "script.py").write_text(script + ("if __name__ == '__main__': run()\n" if guard else "run()\n"))
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=600)
    assert ("[1, 2]" in done.stdout or "[2, 1]" in done.stdout) == guard, done.stderr
    assert ('if __name__ == "__main__"' in done.stdout) != guard


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


@pytest.mark.parametrize(
    ("ids", "step", "refusing"),
    [
        ((1, 3, 7), "1", 3), ((1, 2, 4, 5), "", 4), ((0, 1, 2, 9), "1", 4),
        ((1, 3, 7), "", 1), ((1, 3, 4, 7), "2", 1),  # only the task between the others can tell, but it does
    ],
)  # fmt: skip
def test_an_irregular_array_is_refused_before_scans_are_lost(
    monkeypatch: pytest.MonkeyPatch, ids: tuple[int, ...], step: str, refusing: int
) -> None:
    for name, value in (("MIN", ids[0]), ("MAX", ids[-1]), ("COUNT", len(ids)), ("STEP", step)):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    refused = 0
    for here in ids:
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(here))
        try:
            shard_from_slurm()
        except ConfigError as error:
            refused += "irregular" in error.problem and "--shard I/N" in error.remedy
    assert refused == refusing


def test_the_batch_systems_grant_and_free_memory_limit_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert usable_cores() == 1
    assert choose_workers(0, 50, 1.6) == 1
    assert choose_workers(3, 50, 1.6) == 3, "what the user asks for is done"
    assert choose_workers(8, 2, 1.6) == 2
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    assert choose_workers(0, 50, 1e6) == 1


def test_limits_of_the_groups_around_a_job_bind_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:   80000000 kB\n")
    assert (usable_cores(), usable_memory_gb()) == (64, 81.92)

    (tmp_path / "cgroup").write_text("0::/slurm/job_7/step_0\n")
    job = tmp_path / "slurm" / "job_7"
    (job / "step_0").mkdir(parents=True)
    (job / "step_0" / "memory.max").write_text("max\n")
    (job / "step_0" / "cpu.max").write_text("max 100000\n")
    (job / "memory.max").write_text("6000000000\n")
    (job.parent / "cpu.max").write_text("350000 100000\n")
    assert (usable_cores(), usable_memory_gb()) == (3, 6.0)

    (tmp_path / "cgroup").write_text("4:memory:/box\n3:cpu,cpuacct:/box\n")  # version 1
    for controller in ("memory", "cpu"):
        (tmp_path / controller / "box").mkdir(parents=True)
    (tmp_path / "memory" / "box" / "memory.limit_in_bytes").write_text("9223372036854771712")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("5000000000")
    (tmp_path / "cpu" / "box" / "cpu.cfs_quota_us").write_text("200000")
    (tmp_path / "cpu" / "box" / "cpu.cfs_period_us").write_text("100000")
    assert (usable_cores(), usable_memory_gb()) == (2, 5.0)


@pytest.mark.parametrize(
    ("granted", "gigabytes"),
    [
        ({"MEM_PER_NODE": "4096"}, 4096 * 1024**2 / 1e9),
        ({"MEM_PER_CPU": "2000", "CPUS_PER_TASK": "3"}, 6000 * 1024**2 / 1e9),
        ({"MEM_PER_CPU": "2000", "CPUS_ON_NODE": "2"}, 4000 * 1024**2 / 1e9),
        ({"MEM_PER_NODE": "0"}, 81.92),
    ],
)
def test_memory_granted_by_slurm_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granted: dict[str, str], gigabytes: float
) -> None:
    for name in ("CPUS_PER_TASK", "CPUS_ON_NODE", "MEM_PER_NODE", "MEM_PER_CPU"):
        monkeypatch.delenv(f"SLURM_{name}", raising=False)
    for name, value in granted.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "absent")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    (tmp_path / "meminfo").write_text("MemAvailable:   80000000 kB\n")
    assert usable_memory_gb() == pytest.approx(gigabytes)
