"""The sidecar of a preprocessed scan: who made it, of what, how, what it is worth, and which files belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adclip.brain_volumes import BrainVolumes
from adclip.domain import RESEARCH_NOTICE, TEMPLATE_SPACE, InputContract
from adclip.imaging.records.quality import Quality
from adclip.json_values import as_list, as_mapping, as_text

GENERATOR = "adclip"


@dataclass(frozen=True)
class StepTaken:
    """One step of preprocessing: its name, with which parameters, and how many seconds it took."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"name": self.name, "parameters": dict(self.parameters), "seconds": self.seconds}


@dataclass(frozen=True)
class FileMade:
    """One file of a derivative: its path below the derivatives folder, its size in bytes, and its hash."""

    path: str
    size: int | None
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"path": self.path, "bytes": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class Sidecar:
    """What stands in the JSON beside a preprocessed scan.

    Parameters
    ----------
    subject_id, session_id : str or None
        Of the scan: names alone are ambiguous where an id holds `_`, as ADNI's do.
    version : str
        Of the adclip that made it.
    recipe : int or None
        See `adclip.imaging.derivatives.currency.RECIPE`.
    source_sha256 : str
        Of the scan's bytes; empty for a simulated derivative.
    fingerprint : str
        Of what decides the numbers, see `adclip.imaging.derivatives.currency.fingerprint`.
    geometry : mapping
        How the file's geometry was read, see `Volume.facts`.
    contract : InputContract or None
        Grid and intensity rule; None where what stands there is none.
    steps : tuple of StepTaken
        In order.
    scan_to_mni : sequence of sequence of float or None
        4 by 4, scan millimetres to MNI millimetres.
    qc : Quality
        What was measured, and the verdict.
    flags : tuple of str
        See `PreparedScan.flags`.
    volumes : BrainVolumes or None
        None where none were asked for.
    files : mapping of str to FileMade
        `image`, `mask`, `xfm`, `figure`.
    simulated : bool
        Whether it was made of no scan.
    as_read : mapping
        The file's own words, empty for a new one: what is not changed is written as it was read, and in its place.
    """

    subject_id: str | None = None
    session_id: str | None = None
    version: str = ""
    recipe: int | None = None
    source_sha256: str = ""
    fingerprint: str = ""
    geometry: Mapping[str, Any] = field(default_factory=dict)
    contract: InputContract | None = None
    steps: tuple[StepTaken, ...] = ()
    scan_to_mni: Sequence[Sequence[float]] | None = None
    qc: Quality = field(default_factory=Quality)
    flags: tuple[str, ...] = ()
    volumes: BrainVolumes | None = None
    files: Mapping[str, FileMade] = field(default_factory=dict)
    simulated: bool = False
    as_read: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def brain_method(self) -> str:
        """How the brain was found."""
        return brain_method(self.steps)

    def copied(self) -> Sidecar:
        """Return it without what each copy says anew; whoever made it, of what and how, stays word by word."""
        return self.from_dict(replace(self, volumes=None).to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; keys that adclip does not know stay as they were read."""
        current = self._known_fields()
        previous = self.from_dict(self.as_read)._known_fields() if self.as_read else {}
        retained = {name: value for name, value in self.as_read.items() if name in current or name not in previous}
        changed = {name: value for name, value in current.items() if name not in previous or previous[name] != value}
        return {**retained, **changed, **({} if "Notice" in retained else {"Notice": RESEARCH_NOTICE})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Sidecar:
        """Read `to_dict`, of whatever version. What is absent or not as it should be counts as unknown."""
        made_by = as_mapping(next(iter(as_list(data.get("GeneratedBy"))), None))
        return cls(
            subject_id=as_text(data.get("SubjectID")),
            session_id=as_text(data.get("SessionID")),
            version=as_text(made_by.get("Version")) or "",
            recipe=made_by["Recipe"] if isinstance(made_by.get("Recipe"), int) else None,
            source_sha256=as_text(data.get("SourceSHA256")) or "",
            fingerprint=as_text(data.get("Fingerprint")) or "",
            geometry=as_mapping(data.get("SourceGeometry")),
            contract=_to_contract(data.get("InputContract")),
            steps=tuple(map(_to_step, as_list(data.get("Steps")))),
            scan_to_mni=as_list(data.get("ScanToMNI")) or None,
            qc=Quality.from_dict(data.get("QC")),
            flags=tuple(str(flag) for flag in as_list(data.get("Flags"))),
            volumes=BrainVolumes.from_dict(data.get("Volumes")),
            files={name: _to_file(entry) for name, entry in as_mapping(data.get("Files")).items()},
            simulated=data.get("Simulated") is True,
            as_read=data,
        )

    def _known_fields(self) -> dict[str, Any]:
        """Return all that is known in the order in which a new file has it."""
        recipe = {} if self.recipe is None else {"Recipe": self.recipe}
        return {
            "GeneratedBy": [{"Name": GENERATOR, "Version": self.version, **recipe}],
            "SpatialReference": TEMPLATE_SPACE,
            "SkullStripped": True,
            "Units": "arbitrary, 0 to 1",
            "SourceSHA256": self.source_sha256,
            "Fingerprint": self.fingerprint,
            "SourceGeometry": dict(self.geometry),
            **({} if self.contract is None else {"InputContract": self.contract.to_dict()}),
            "Steps": [step.to_dict() for step in self.steps],
            **({} if self.scan_to_mni is None else {"ScanToMNI": self.scan_to_mni}),
            "SubjectID": self.subject_id,
            "SessionID": self.session_id,
            "QC": self.qc.to_dict(),
            "Flags": list(self.flags),
            **({} if self.volumes is None else {"Volumes": self.volumes.to_dict()}),
            "Files": {name: file.to_dict() for name, file in self.files.items()},
            "Notice": RESEARCH_NOTICE,
            **({"Simulated": True} if self.simulated else {}),
        }


def brain_method(steps: Sequence[StepTaken]) -> str:
    """Return how the brain was found, from the recorded steps."""
    return next((str(step.parameters.get("method")) for step in steps if step.name == "brain"), "")


def _to_step(entry: object) -> StepTaken:
    content = as_mapping(entry)
    seconds = content.get("seconds")
    return StepTaken(
        as_text(content.get("name")) or "",
        as_mapping(content.get("parameters")),
        seconds if isinstance(seconds, int | float) else 0.0,
    )


def _to_file(entry: object) -> FileMade:
    content = as_mapping(entry)
    size = content.get("bytes")
    return FileMade(str(content.get("path")), size if isinstance(size, int) else None, str(content.get("sha256")))


def _to_contract(data: object) -> InputContract | None:
    """Return a contract only if nothing in it is lacking, strange or more than adclip knows."""
    try:
        contract = InputContract.from_dict(as_mapping(data))
    except (TypeError, ValueError):
        return None
    return contract if contract.to_dict() == data else None
