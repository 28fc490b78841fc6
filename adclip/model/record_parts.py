"""Parts of `adapter.json`: how a model was trained, the regressions beside it, its canary, and the numbers that were measured of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adclip.json_values import is_number
from adclip.model.leak_record import LeakCertificate


@dataclass(frozen=True)
class Training:
    """How a model was trained; no path, no individual. What is absent in the record of an earlier version is None or empty.

    Parameters
    ----------
    settings : mapping
        Name -> value as chosen, in the order of the file; settings that this version does not know are kept.
    epochs, best_epoch : int or None
        How many were run, and which one was kept.
    counts : mapping
        Part -> class -> subjects.
    ages : tuple of float or None
        Youngest and oldest of the training people in years, each to the end of its band of five years: the range is the group's,
        and no age of a person. None where fewer than two ages were known.
    volumes_sources : tuple of str or None
        Programs that measured the volumes of the training visits.
    trainable_parameters : int or None
        How many numbers were learned.
    certificate : LeakCertificate or None
        What was checked for leaks before the first step.
    split_sha256 : str or None
        Of who was in which part.
    fingerprint : str or None
        Of everything that decides the result.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    best_epoch: int | None = None
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ages: tuple[float, float] | None = None
    volumes_sources: tuple[str, ...] | None = None
    trainable_parameters: int | None = None
    certificate: LeakCertificate | None = None
    split_sha256: str | None = None
    fingerprint: str | None = None

    @property
    def method(self) -> str:
        """Which method: `prompt`, `lora`, `full`, or one that is measured for comparison."""
        return str(self.settings.get("method", "prompt"))

    @property
    def recipe(self) -> str:
        """Which recipe the settings began with."""
        return str(self.settings.get("recipe", "default"))

    @property
    def objective(self) -> str:
        """What a batch was judged by."""
        return str(self.settings.get("objective", "candidates"))

    @property
    def label_policy(self) -> str | None:
        """Whether a scan was labelled with the diagnosis of its visit or with its subject's last."""
        policy: str | None = self.settings.get("label_policy")
        return policy

    @property
    def seed(self) -> int | None:
        """Of all random choices."""
        seed: int | None = self.settings.get("seed")
        return seed

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types in the order of the file."""
        sources = None if self.volumes_sources is None else list(self.volumes_sources)
        outcome = {
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "counts": {part: dict(subjects) for part, subjects in self.counts.items()} or None,
            "ages": None if self.ages is None else list(self.ages),
            "volumes_sources": sources,
            "trainable_parameters": self.trainable_parameters,
            "certificate": None if self.certificate is None else self.certificate.to_dict(),
            "split_sha256": self.split_sha256,
            "fingerprint": self.fingerprint,
        }
        return {**self.settings, **{name: value for name, value in outcome.items() if value is not None}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Training:
        """Read `to_dict`, also of earlier versions."""
        outcome = {
            "epochs", "best_epoch", "counts", "ages", "volumes_sources", "trainable_parameters", "certificate",
            "split_sha256", "fingerprint",
        }  # fmt: skip
        sources, certificate, ages = data.get("volumes_sources"), data.get("certificate"), data.get("ages")
        return cls(
            settings={name: value for name, value in data.items() if name not in outcome},
            epochs=data.get("epochs"),
            best_epoch=data.get("best_epoch"),
            counts=data.get("counts") or {},
            ages=None if ages is None else _to_ages(ages),
            volumes_sources=None if sources is None else tuple(sources),
            trainable_parameters=data.get("trainable_parameters"),
            certificate=None if certificate is None else LeakCertificate.from_dict(certificate),
            split_sha256=data.get("split_sha256"),
            fingerprint=data.get("fingerprint"),
        )


def _to_ages(ages: Any) -> tuple[float, float]:
    youngest, oldest = (float(age) for age in ages)
    if not 0 <= youngest <= oldest:
        raise ValueError("`ages` must be two ages, the younger one first")
    return youngest, oldest


@dataclass(frozen=True)
class StoredBaseline:
    """A regression that is kept with a model, and what of it can be told without asking it.

    Parameters
    ----------
    class_order : tuple of str
        The classes it answers.
    columns : tuple of str
        Of the table, where it reads any.
    program, basis : str or None
        Whose volumes it reads, and how, where it reads volumes.
    structures : tuple of str
        Of those volumes.
    content : mapping
        All of it as in the file, for `adclip.prediction`, which checks it and answers by it.
    """

    class_order: tuple[str, ...]
    columns: tuple[str, ...]
    program: str | None
    basis: str | None
    structures: tuple[str, ...]
    content: Mapping[str, Any]

    @property
    def reads_volumes_of_table(self) -> bool:
        """Whether a volume is among its columns: one that varied among the training visits."""
        return any(column.endswith("_mm3") for column in self.columns)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(self.content)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StoredBaseline:
        """Read `to_dict`.

        Raises
        ------
        KeyError
            If the classes are not named.
        """
        return cls(
            class_order=tuple(data["class_order"]),
            columns=tuple(data.get("columns", ())),
            program=data.get("program"),
            basis=data.get("basis"),
            structures=tuple(data.get("structures", ())),
            content=data,
        )


@dataclass(frozen=True)
class Number:
    """One measured number.

    Parameters
    ----------
    value : float or None
        None where it is not defined.
    low, high : float or None
        Ends of its 95 % interval over subjects.
    scans : int or None
        How many are behind it.
    note : str or None
        Why there is no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    scans: int | None = None
    note: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Number:
        """Read what `adclip.evaluation.metrics` returns for a number, as it stands under `metrics`."""
        return cls(data.get("value"), data.get("low"), data.get("high"), data.get("n"), data.get("note"))


@dataclass(frozen=True)
class Canary:
    """What a model answered, where it was written, to an input that is made by rule; see `adclip.prediction.canary`.

    Parameters
    ----------
    rule : int
        Which rule made the input.
    scores, scan_only : mapping of str to float
        Class -> score before temperature, with the report and without.
    mmse : float or None
        z-scored; None for a model that learned no score.
    """

    rule: int
    scores: Mapping[str, float]
    scan_only: Mapping[str, float]
    mmse: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"rule": self.rule, "scores": dict(self.scores), "scan_only": dict(self.scan_only), "mmse": self.mmse}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], labels: Sequence[str]) -> Canary:
        """Read `to_dict` of a model with these classes.

        Raises
        ------
        ValueError
            If the rule is none, an answer is no number, or the answers are of other classes.
        """
        canary = cls(data["rule"], dict(data["scores"]), dict(data["scan_only"]), data["mmse"])
        if not all(map(is_number, canary.numbers().values())):
            raise ValueError("`canary` must be numbers")
        if type(canary.rule) is not int or canary.rule < 1:
            raise ValueError("`canary` must name its rule, a whole number of at least 1")
        if not set(canary.scores) == set(canary.scan_only) == set(labels):
            raise ValueError("`canary` must give each of `labels` a score, with the report and without")
        return canary

    def numbers(self) -> dict[str, float]:
        """Return every number of the answer by a name of its own: `scores.AD`, `scan_only.AD`, `mmse`."""
        named = {f"scores.{label}": value for label, value in self.scores.items()}
        named |= {f"scan_only.{label}": value for label, value in self.scan_only.items()}
        return named if self.mmse is None else {**named, "mmse": self.mmse}
