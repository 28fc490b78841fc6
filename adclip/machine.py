"""What this machine lets one run use: cores and memory, as the batch system or container grants them."""

from __future__ import annotations

import os
from pathlib import Path

_MEMORY_FILES = (
    Path("/sys/fs/cgroup/memory.max"),  # a container's or job's limit, cgroup v2
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # the same, cgroup v1
)
_MEMINFO = Path("/proc/meminfo")


def usable_cores() -> int:
    """Return how many cores this process may use; a batch system's grant counts, not what the node has."""
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        allowed = os.cpu_count() or 1
    return max(min(allowed, int(granted)) if granted.isdigit() else allowed, 1)


def usable_memory_gb() -> float | None:
    """Return the memory that is free for this process in GB (1e9 bytes), or None where the system does not say."""
    known = [value for value in (_available(), *map(_limit, _MEMORY_FILES)) if value is not None]
    return min(known) / 1e9 if known else None


def choose_workers(wanted: int, items: int, gb_each: float) -> int:
    """Return how many processes should share the work.

    Parameters
    ----------
    wanted : int
        What the user asked for; 0 leaves the choice to the machine.
    items : int
        Units of work; more processes than that would idle.
    gb_each : float
        Peak memory of one process, GB.
    """
    if wanted == 0:
        memory = usable_memory_gb()
        fitting = int(memory / gb_each) if memory is not None else usable_cores()
        wanted = min(usable_cores(), max(fitting, 1))
    return max(min(wanted, items), 1)


def _available() -> float | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return int(kilobytes) * 1024.0 if kilobytes else None


def _limit(file: Path) -> float | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return float(text) if text.isdigit() and int(text) < 1 << 60 else None  # v1 says "none" by a huge number
