"""What this machine lets one run use: cores and memory, as the batch system or container grants them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_MEMINFO = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")  # cgroups(7): one line `number:controllers:path` for each hierarchy
_GROUPS = Path("/sys/fs/cgroup")
_MIB = 1024.0**2


def usable_cores() -> int:
    """Return how many cores this process may use; a batch system's or container's grant counts, not what the node has."""
    granted = _number(os.environ.get("SLURM_CPUS_PER_TASK", ""))
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        allowed = os.cpu_count() or 1
    limits = [allowed, *([] if granted is None else [int(granted)]), *map(int, _processor_limits())]
    return max(min(limits), 1)


def usable_memory_gb() -> float | None:
    """Return the memory that is free for this process in GB (1e9 bytes), or None where the system does not say."""
    limits_bytes = [value for value in (_available(), _slurm_memory(), *_memory_limits()) if value is not None]
    return min(limits_bytes) / 1e9 if limits_bytes else None


def choose_workers(workers: int, items: int, gb_each: float) -> int:
    """Return how many processes should share the work.

    Parameters
    ----------
    workers : int
        What the user asked for; 0 leaves the choice to the machine.
    items : int
        Units of work; more processes than that would idle.
    gb_each : float
        Peak memory of one process, GB.
    """
    if workers == 0:
        memory = usable_memory_gb()
        fitting = int(memory / gb_each) if memory is not None else usable_cores()
        workers = min(usable_cores(), max(fitting, 1))
    return max(min(workers, items), 1)


def _available() -> float | None:
    kilobytes = next((line.split()[1] for line in _read(_MEMINFO).splitlines() if line.startswith("MemAvailable:")), "")
    number = _number(kilobytes)
    return None if number is None else number * 1024


def _slurm_memory() -> float | None:
    """Return the bytes that SLURM grants to this job on this node; a 0 there means all of the node."""
    node_mib, core_mib, cores, all_cores = (
        _number(os.environ.get(f"SLURM_{name}", ""))
        for name in ("MEM_PER_NODE", "MEM_PER_CPU", "CPUS_PER_TASK", "CPUS_ON_NODE")
    )
    mebibytes = node_mib or (core_mib or 0) * (cores or all_cores or 1)
    return mebibytes * _MIB if mebibytes else None


# ----------------------------------------------------------------------------------------------- control groups of Linux


def _memory_limits() -> Iterator[float]:
    """Yield every limit in bytes: a job's or container's own, and those of the groups around it, which bind as well."""
    for folder in _groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):  # cgroup v2, v1
            number = _number(_read(folder / name))
            if number is not None and number < 1 << 60:  # v1 says "none" by a huge number
                yield number


def _processor_limits() -> Iterator[float]:
    """Yield every limit in cores: processor time per period of time."""
    for folder in _groups("cpu"):
        quota, _, period = _read(folder / "cpu.max").partition(" ")  # cgroup v2: `200000 100000`, or `max 100000`
        old = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")  # v1: -1 is none
        for share, whole in ((_number(quota), _number(period)), (_number(old[0]), _number(old[1]))):
            if share and whole:
                yield share / whole


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's groups from its own upwards; inside a container perhaps only the root."""
    for line in _read(_OWN_GROUPS).splitlines() or ["0::/"]:
        _, controllers, own = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        place = PurePosixPath(own.lstrip("/"))
        if ".." in place.parts:  # a group outside of what this container sees
            place = PurePosixPath()
        for root in (
            dict.fromkeys((controllers, controller)) if controllers else ("",)
        ):  # `cpu,cpuacct`, or a link to it
            yield from (_GROUPS / root / group for group in (place, *place.parents))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _number(text: str) -> float | None:
    return float(text) if text.isdigit() else None
