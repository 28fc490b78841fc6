"""`adclip doctor`: what this machine can do, and the exact fix for what it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adclip.errors import AdclipError
from adclip.runtime.environment import (
    MISSING,
    OK,
    WARN,
    Finding,
    look_at_folders,
    look_at_memory,
    look_at_optional,
    look_at_python,
    look_at_telemetry,
    look_at_torch,
    look_at_variables,
    requirements_of,
)
from adclip.runtime.events import OnEvent, Step, ignore
from adclip.verbs.settings import DoctorConfig
from adclip.version import __version__

OPTIONAL = {
    "isal": ("fast", "reads .nii.gz about four times faster"),
    "openpyxl": ("excel", "reads .xlsx tables"),
    "tensorboard": ("tensorboard", "draws the curves of `finetune --tensorboard`"),
}
# Options of every command, and what no option stands for; the others are the settings.
_COMMON = (
    "CONFIG",
    "JSON",
    "QUIET",
    "VERBOSE",
    "DEBUG",
    "DRY_RUN",
    "CHECK",
    "EXPLAIN_COLUMNS",
    "LINT",
    "HOME",
    "TEST_DATA",
)


@dataclass(frozen=True)
class DoctorResult:
    """Everything that was looked at, in order."""

    findings: tuple[Finding, ...]

    @property
    def missing(self) -> int:
        """How many things that are needed are not there."""
        return sum(finding.status == MISSING for finding in self.findings)


def doctor(config: DoctorConfig, on_event: OnEvent = ignore) -> DoctorResult:
    """Look at the machine; nothing is changed, and nothing is asked of the network.

    Without `full` nothing heavy is imported and large files are not hashed. With `privacy` the commands are run on simulated heads
    in a process whose sockets are blocked.

    Raises
    ------
    DefectError
        If a command tried to reach anything.
    """
    findings = [*_look(config)]
    if config.full:
        from adclip.model.readiness import look_into_torch

        on_event(Step("asking torch, and hashing all weights"))
        findings += look_into_torch()
    if config.privacy:
        from adclip.verbs.privacy import run_blocked

        findings += run_blocked(on_event)
    return DoctorResult(tuple(findings))


def _look(config: DoctorConfig) -> Iterator[Finding]:
    from adclip.model.readiness import look_at_weights

    yield Finding("adclip", OK, __version__)
    yield from look_at_python(requirements_of("adclip"))
    yield from look_at_torch()
    yield from look_at_memory(_needs(config.model))
    yield from look_at_folders()
    yield from look_at_weights(config.model, full=config.full)
    yield from look_at_optional(OPTIONAL)
    yield _look_at_dcm2niix()
    yield from look_at_variables(_known_variables())
    yield from look_at_telemetry()


def _needs(model: str) -> dict[str, float]:
    from adclip.model.bases import KNOWN
    from adclip.model.readiness import needed_gb

    names = dict.fromkeys(("builtin", *KNOWN, model))
    needs = {}
    for name in names:
        try:
            needs[name if name in ("builtin", *KNOWN) else Path(name).name] = needed_gb(name)
        except AdclipError:
            continue  # said where the weights are looked at
    return needs


def _look_at_dcm2niix() -> Finding:
    """Say whether the program that converts compressed DICOM is here; it comes with a package."""
    try:
        import importlib

        program = Path(str(importlib.import_module("dcm2niix").bin))
    except (ImportError, AttributeError):
        program = Path()
    if program.is_file():
        return Finding("dcm2niix", OK, "here: reads compressed DICOM")
    return Finding(
        "dcm2niix", WARN, "not here: compressed DICOM cannot be read", "pip install --force-reinstall dcm2niix"
    )


def _known_variables() -> set[str]:
    from adclip.verbs.schema import schema_of

    tables = schema_of("settings")["properties"].values()
    return {name.replace("-", "_").upper() for table in tables for name in table["properties"]} | set(_COMMON)
