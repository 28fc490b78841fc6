"""`adclip weights`: base models in and out of the user's store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.errors import ConfigError
from adclip.runtime.events import OnEvent, Step, ignore
from adclip.verbs.settings import WeightsConfig

if TYPE_CHECKING:
    from adclip.model.inventory import StoredBase


@dataclass(frozen=True)
class CheckedRun:
    """What `weights verify` found of a tuned model; that it exists says that nothing differs.

    Parameters
    ----------
    name, base, sha256 : str
        The model, its base, and the SHA-256 of its weights.
    path : Path
    state : str
        `whole`; `whole, no hashes recorded` of a record that names none.
    canary : str
        `answers as recorded`, or `none recorded`.
    canary_difference : float or None
        Largest difference of a score from the recorded one.
    canary_tolerance : float
        How large it may be.
    """

    name: str
    base: str
    sha256: str
    path: Path
    state: str
    canary: str
    canary_difference: float | None
    canary_tolerance: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "path": str(self.path)}


@dataclass(frozen=True)
class WeightsResult:
    """What was done.

    Parameters
    ----------
    action : str
    bases : tuple of StoredBase
        Those listed, fetched, verified, imported or located.
    runs : tuple of CheckedRun
        Tuned models that were verified.
    path : Path or None
        The archive written, or the folder asked for.
    """

    action: str
    bases: tuple[StoredBase, ...] = ()
    path: Path | None = None
    runs: tuple[CheckedRun, ...] = ()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one plain record for each base, or one with the path."""
        if self.path is not None:
            return [{"action": self.action, "path": str(self.path)}]
        records = [base.to_dict() for base in self.bases] + [run.to_dict() for run in self.runs]
        return [{"action": self.action, **record} for record in records]


def weights(config: WeightsConfig, on_event: OnEvent = ignore) -> WeightsResult:
    """List, fetch, verify, locate, import or export base models; verify tuned ones.

    Parameters
    ----------
    config : WeightsConfig
    on_event : callable
        Told of progress.

    Raises
    ------
    WeightsError
        If a base is absent, damaged, or not the one recorded; also if the hub cannot be reached.
    CheckpointError
        If a file is no base model, or a tuned model is damaged or answers otherwise than where it was written.
    """
    from adclip.model import inventory, store
    from adclip.model.bases import KNOWN, read_base, stored
    from adclip.model.bases import store as store_folder
    from adclip.model.record import OF_A_RUN

    what = config.what
    if config.action == "list":
        return WeightsResult("list", tuple(inventory.list_bases()))
    if config.action == "fetch":
        name = what or "m3d-clip"
        if name in KNOWN:
            known_base = KNOWN[name]
            on_event(
                Step(f"{name}: {known_base.repository}, licence {known_base.licence}, about {known_base.megabytes} MB")
            )
        base, fetched = store.fetch(name, config.revision, on_event, overwrite=config.overwrite)
        on_event(Step(f"{name}: licence {base.licence}, revision {base.revision}, SHA-256 {base.sha256}"))
        on_event(Step(f"{name}: {'fetched and verified' if fetched else 'was here already; verified'}"))
        return WeightsResult("fetch", (base,))
    if config.action == "verify":
        if what is not None and any((Path(what) / name).is_file() for name in OF_A_RUN):  # an unfinished one too
            return WeightsResult("verify", runs=(check_run(what),))
        names = [what] if what else ["builtin", *stored()]
        on_event(Step(f"hashing {', '.join(names)}, looking at every number and asking the canary"))
        runs = (check_run("builtin"),) if "builtin" in names else ()
        return WeightsResult("verify", tuple(inventory.verify(name) for name in names), runs=runs)
    if config.action == "path":
        return WeightsResult("path", path=read_base(what).folder if what else store_folder())
    if what is None:
        raise ConfigError.bad_value(config.action, "say what to take", f"`adclip weights {config.action} WHAT`")
    if config.action == "import":
        base = store.adopt(Path(what), config.name, config.tokenizer, on_event, overwrite=config.overwrite)
        return WeightsResult("import", (base,))
    return WeightsResult("export", path=store.export(what, config.out, on_event, overwrite=config.overwrite))


def check_run(model: str) -> CheckedRun:
    """Verify `builtin`'s adapter or a RUN: hash its files and its base, look at every number, and ask the canary again.

    Raises
    ------
    CheckpointError, WeightsError
        Naming the file, the tensor or the number that differs.
    """
    from adclip.model.checkpoint import load_model
    from adclip.model.integrity import check_record
    from adclip.model.record import model_folder
    from adclip.prediction.canary import TOLERANCE, check_canary

    folder = model_folder(model)
    loaded = load_model(model)
    notes = (*loaded.notes, *check_record(folder))
    _ = loaded.network.text_tower if loaded.network.config.text_depth else None  # its numbers as well
    difference = check_canary(loaded, folder)
    return CheckedRun(
        name=loaded.identity["id"],
        base=loaded.identity["base"],
        sha256=loaded.identity["sha256"],
        path=folder,
        state="whole, no hashes recorded" if notes else "whole",
        canary="none recorded" if difference is None else "answers as recorded",
        canary_difference=difference,
        canary_tolerance=TOLERANCE,
    )
