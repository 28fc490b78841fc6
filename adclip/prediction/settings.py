"""How raw scans become volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from adclip.errors import ConfigError
from adclip.settings.setting import Setting, Settings
from adclip.settings.shared import (
    Device,
    Inputs,
    Modality,
    Model,
    NamePattern,
    Orientation,
    OutFolder,
    Overwrite,
    Series,
    Shard,
    Workers,
)

VERDICTS = ("pass", "warn", "fail")


# fmt: off
# The formatter would spread a setting over seven lines; here it stands on one or two.
@dataclass(frozen=True)
class PreprocessConfig(Settings):
    """Settings of `adclip preprocess`; the model's input contract sets the grid."""

    inputs: Inputs
    out: OutFolder
    volumes: Annotated[bool, Setting("Also hippocampus, ventricles, brain, ICV: from a table beside the scan, else measured.",
        flags=("--volumes",))] = False
    overrides: Annotated[tuple[str, ...], Setting("Your own quality verdict: pass, warn or fail. Recorded beside the measured one; may be "
        "repeated.", metavar="SUBJECT[/SESSION]=VERDICT", flags=("--override",))] = ()
    orientation: Orientation = None
    series: Series = None
    name_pattern: NamePattern = None
    modality: Modality = None
    model: Model = "builtin"
    device: Device = "auto"
    workers: Workers = 1
    shard: Shard = None
    overwrite: Overwrite = False

    def check_together(self) -> None:
        """Refuse verdicts of another form."""
        for text in self.overrides:
            parse_override(text)


def parse_override(text: str) -> tuple[str, str | None, str]:
    """Return (subject, session or None, verdict) of `SUBJECT[/SESSION]=VERDICT`.

    Raises
    ------
    ConfigError
        If it has another form or another verdict.

    Examples
    --------
    >>> parse_override("sub-01/ses-m06=pass")
    ('01', 'm06', 'pass')
    """
    scan_label, equals, verdict = text.rpartition("=")
    subject, _, session = scan_label.partition("/")
    subject, session = subject.removeprefix("sub-"), session.removeprefix("ses-")
    if not equals or not subject or verdict not in VERDICTS:
        raise ConfigError.bad_value(
            "--override",
            f"`{text}` is not SUBJECT[/SESSION]={'|'.join(VERDICTS)}",
            "for example --override sub-01=pass",
        )
    return subject, session or None, verdict
