"""`adclip doctor`: what this machine can do, and the exact fix for what it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
from adclip.settings.setting import Settings, fields_of, parts_of
from adclip.verbs.settings import DoctorConfig
from adclip.version import __version__

OPTIONAL = {
    "isal": ("fast", "decompresses .nii.gz two to three times faster"),
    "openpyxl": ("excel", "reads .xlsx tables"),
    "tensorboard": ("tensorboard", "draws the curves of `finetune --tensorboard`"),
}
# Options that are no settings.
_COMMON = ("CONFIG", "JSON", "QUIET", "VERBOSE", "DEBUG", "DRY_RUN", "CHECK", "EXPLAIN_COLUMNS", "LINT")


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

    Without `full` nothing heavy is imported and large files are not hashed, but those of a base outside the store that has no record
    of adclip's: by their hash alone it is told what they are, once. With `privacy` the commands are run on simulated heads in a
    process whose sockets are blocked.

    Raises
    ------
    DefectError
        If a command tried to reach anything, or failed.
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
    from adclip.model.readiness import find_model, look_at_weights, needs

    asked = find_model(config.model)
    yield Finding("adclip", OK, __version__)
    yield from look_at_python(requirements_of("adclip"))
    yield from look_at_torch()
    yield from look_at_memory(needs(asked))
    yield from look_at_folders()
    yield from look_at_weights(asked, full=config.full)
    yield from look_at_optional(OPTIONAL)
    yield _look_at_dcm2niix()
    yield from look_at_variables(_known_variables())
    yield from look_at_telemetry()


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
    """Return the names after `ADCLIP_` of all options; an argument has no variable."""
    from adclip.verbs.schema import settings_of_commands

    flags = {flag for kind in settings_of_commands().values() for flag in _flags_of(kind)}
    return {flag.removeprefix("--").replace("-", "_").upper() for flag in flags} | set(_COMMON)


def _flags_of(kind: type[Settings]) -> Iterator[str]:
    for part in parts_of(kind).values():
        yield from _flags_of(part)
    yield from (field.flag for field in fields_of(kind) if not field.setting.is_argument)
