"""The quality of one preprocessed scan: what was measured, the verdict, and whose verdict it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adclip.json_values import as_text, is_number


@dataclass(frozen=True)
class Override:
    """A person's verdict in the place of the measured one."""

    measured: str | None
    decided: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"from": self.measured, "to": self.decided}


@dataclass(frozen=True)
class Quality:
    """What was measured on one preprocessed scan. All is empty for a scan that nobody judged, such as a simulated derivative.

    Parameters
    ----------
    numbers : mapping
        Value of every `Limit.name` in `adclip.imaging.quality.limits`; None where there was nothing to measure.
        docs/reference/quality.md explains each.
    left_right : str or None
        What the sides rest on, see `adclip.imaging.quality.verdict.tell_left_from_right`.
    modality : str or None
        See `adclip.imaging.quality.modality.recognise`.
    verdict : str or None
        `pass`, `warn` or `fail`, after an override.
    reasons : tuple of str
        One word for each threshold crossed.
    override : Override or None
        Where a person decided.
    further : mapping
        What else stands in the file, kept as it is.
    """

    numbers: Mapping[str, float | None] = field(default_factory=dict)
    left_right: str | None = None
    modality: str | None = None
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    override: Override | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def overridden_to(self) -> str | None:
        """The verdict that a person gave, None where nobody did."""
        return None if self.override is None else self.override.decided

    def overridden(self, verdict: str) -> Quality:
        """Return it with a person's `verdict`, and with the measured one beside it."""
        measured = self.verdict if self.override is None else self.override.measured
        return replace(self, verdict=verdict, override=Override(measured, verdict))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types in one flat record; what is not known is left out."""
        judgements = {
            "left_right": self.left_right,
            "modality": self.modality,
            "verdict": self.verdict,
            "reasons": None if self.verdict is None else list(self.reasons),
        }
        stated = {name: value for name, value in judgements.items() if value is not None}
        override = {} if self.override is None else {"override": self.override.to_dict()}
        return {**self.numbers, **stated, **self.further, **override}

    @classmethod
    def from_dict(cls, data: object) -> Quality:
        """Read `to_dict`. What is not as it should be counts as unknown."""
        remaining = dict(data) if isinstance(data, Mapping) else {}
        judgements = {
            name: remaining.pop(name)
            for name in ("left_right", "modality", "verdict")
            if isinstance(remaining.get(name), str)
        }
        reasons = remaining.pop("reasons") if isinstance(remaining.get("reasons"), list) else []
        override = remaining.pop("override") if isinstance(remaining.get("override"), dict) else None
        numbers = {name: value for name, value in remaining.items() if value is None or is_number(value)}
        return cls(
            numbers=numbers,
            reasons=tuple(str(reason) for reason in reasons),
            override=None if override is None else Override(as_text(override.get("from")), as_text(override.get("to"))),
            further={name: value for name, value in remaining.items() if name not in numbers},
            **judgements,
        )
