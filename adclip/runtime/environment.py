"""What a machine has and how it is set up, one finding a line, each with the command that changes it; nothing heavy is imported."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from adclip.runtime.machine import usable_cores, usable_memory_gb
from adclip.runtime.paths import cache_folder, data_folder, shown

OK, WARN, MISSING = "ok", "warn", "missing"
_LOW_GB, _FULL_GB = 5.0, 0.5  # free disk: a cohort's derivatives, or not even a model
_HOME = "ADCLIP_HOME"
_NVIDIA = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Finding:
    """One line of `adclip doctor`.

    Parameters
    ----------
    name : str
        What was looked at.
    status : str
        `ok`; `warn`: works, but something could be better or is not there; `missing`: something needed is not there.
    what : str
        What was found.
    fix : str or None
        The command that changes it.
    """

    name: str
    status: str
    what: str
    fix: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(vars(self))


class Need(NamedTuple):
    """What one process with one model needs of the memory.

    Parameters
    ----------
    name : str
        Of the model.
    gb : float
        Estimated peak, GB.
    is_asked : bool
        Whether it is the model that somebody asked for: too little for another one keeps nobody from working.
    """

    name: str
    gb: float
    is_asked: bool


def version_of(package: str) -> str | None:
    """Return the version of an installed package without importing it; None where it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def look_at_python(needed: Sequence[str]) -> Iterator[Finding]:
    """Yield what is found of Python and of the packages that adclip cannot do without, by requirement as in `torch>=2.10`."""
    yield Finding("python", OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    lacking = [text for text in needed if not _is_met(text)]
    if lacking:
        names = " ".join(f"'{text}'" for text in lacking)
        yield Finding(
            "packages", MISSING, f"not here or too old: {', '.join(lacking)}", f"pip install --upgrade {names}"
        )
    else:
        yield Finding("packages", OK, f"all {len(needed)} that adclip needs")


def _is_met(requirement: str) -> bool:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    version = version_of(wanted.name)
    return version is not None and wanted.specifier.contains(version, prereleases=True)


def requirements_of(package: str) -> list[str]:
    """Return what a package needs without any extra, as its metadata state it."""
    return [text for text in importlib.metadata.requires(package) or () if "extra ==" not in text]


def look_at_torch() -> Iterator[Finding]:
    """Yield what can be said of torch and a GPU without importing torch."""
    version = version_of("torch")
    if version is None:
        yield Finding("torch", MISSING, "not installed", "pip install torch")
        return
    yield Finding("torch", OK, version)
    has_card = _NVIDIA.is_file() or shutil.which("nvidia-smi") is not None
    if has_card and version.endswith("+cpu"):
        fix = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu128"
        yield Finding("gpu", WARN, "an NVIDIA driver is here, but this torch computes on the CPU alone", fix)
    elif has_card:
        yield Finding("gpu", OK, "an NVIDIA driver is here; `adclip doctor --full` asks torch for it")
    elif sys.platform == "darwin" and platform.machine() == "arm64":
        yield Finding("gpu", OK, "Apple silicon: --device mps")
    else:
        yield Finding("gpu", OK, "none found; adclip computes on the CPU")


def look_at_memory(needs: Iterable[Need]) -> Iterator[Finding]:
    """Yield whether the free memory is enough for each model."""
    free = usable_memory_gb()
    for name, needed, is_asked in needs:
        told = f"{name} needs about {needed:.1f} GB a process"
        if free is None:
            yield Finding("memory", OK, f"{told}; this system does not say what is free")
        elif free < needed:
            yield Finding(
                "memory",
                MISSING if is_asked else WARN,
                f"{told}, {free:.1f} GB are free",
                f"close other programs, or ask the batch system: sbatch --mem={math.ceil(needed) + 1}G",
            )
        else:
            yield Finding("memory", OK, f"{told}, {free:.1f} GB are free on {usable_cores()} cores")


def look_at_folders() -> Iterator[Finding]:
    """Yield whether cache, store and temporary files can be written, and how much room is left."""
    import tempfile

    folders = {
        "cache": cache_folder(),
        "store": data_folder(),
        "temporary": Path(tempfile.gettempdir()),
        "here": Path.cwd(),
    }
    for name, folder in folders.items():
        fix = {"temporary": "export TMPDIR=/a/larger/folder", "here": "cd /a/folder/of/yours"}.get(
            name, "export ADCLIP_HOME=/a/folder/of/yours"
        )
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not os.access(nearest, os.W_OK | os.X_OK):
            needed = name in ("cache", "temporary")
            yield Finding(name, MISSING if needed else WARN, f"{place_of(folder)} cannot be written", fix)
            continue
        free = shutil.disk_usage(nearest).free / 1e9
        status = MISSING if free < _FULL_GB else WARN if free < _LOW_GB else OK
        yield Finding(name, status, f"{place_of(folder)}, {free:.1f} GB free", None if status == OK else fix)


def place_of(folder: Path) -> str:
    """Return a folder as text that may be shown to others: without the user's name."""
    home = os.environ.get(_HOME)
    if home and folder.is_relative_to(home):
        return (Path("$ADCLIP_HOME") / folder.relative_to(home)).as_posix()
    own = Path(os.path.expanduser("~"))  # noqa: PTH111  Path.home raises where there is none
    return (Path("~") / folder.relative_to(own)).as_posix() if folder.is_relative_to(own) else shown(folder)


def look_at_optional(packages: Mapping[str, tuple[str, str]]) -> Iterator[Finding]:
    """Yield which optional packages are here: name -> the extra that brings it, and what it is for."""
    for package, (extra, purpose) in packages.items():
        version = version_of(package)
        if version is None:
            yield Finding(package, WARN, f"not installed: {purpose}", f"pip install 'adclip[{extra}]'")
        else:
            yield Finding(package, OK, f"{version}: {purpose}")


def look_at_variables(known: Iterable[str]) -> Iterator[Finding]:
    """Yield what stands in variables that matter; `known` are the names after `ADCLIP_` that stand for options."""
    names = {f"ADCLIP_{name}" for name in known}
    for name in sorted(variable for variable in os.environ if variable.startswith("ADCLIP_")):
        if name == _HOME:
            yield Finding(name, OK, "is set: cache and store of base models are there")
        elif name in names:
            yield Finding(name, OK, "is set, and wins over settings files")
        else:
            near = get_close_matches(name, names | {_HOME}, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            yield Finding(name, WARN, f"no command reads it{meant}", f"unset {name}")
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true")
    told = (
        "HF_HUB_OFFLINE is set: `weights fetch` is refused"
        if offline
        else "`weights fetch` may use the network, nothing else does"
    )
    yield Finding("network", OK, told, "unset HF_HUB_OFFLINE" if offline else "export HF_HUB_OFFLINE=1")
    threads, cores = os.environ.get("OMP_NUM_THREADS", ""), usable_cores()
    if threads.isdigit() and int(threads) > cores:
        yield Finding(
            "OMP_NUM_THREADS",
            WARN,
            f"{threads} threads on {cores} cores hold each other up",
            f"export OMP_NUM_THREADS={cores}",
        )
    else:
        yield Finding("OMP_NUM_THREADS", OK, threads or f"not set: as many threads as cores ({cores})")


def look_at_telemetry() -> Iterator[Finding]:
    """Yield what other people's packages could send, and what adclip does about it."""
    yield Finding("telemetry: adclip", OK, "none; `adclip doctor --privacy` runs the commands with sockets blocked")
    if version_of("huggingface-hub") is not None:
        is_off = any(os.environ.get(name) for name in ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK"))
        told = (
            "off by a variable of yours"
            if is_off
            else "switched off by adclip before it is used, which only `weights fetch` does"
        )
        yield Finding("telemetry: huggingface_hub", OK, told, None if is_off else "export HF_HUB_DISABLE_TELEMETRY=1")
    if version_of("transformers") is not None:
        yield Finding(
            "telemetry: transformers",
            OK,
            "sends through huggingface_hub when asked to; adclip builds its network from sizes and never asks",
        )
