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
class WeightsResult:
    """What was done.

    Parameters
    ----------
    action : str
    bases : tuple of StoredBase
        Those listed, fetched, verified, imported or located.
    path : Path or None
        The archive written, or the folder asked for.
    """

    action: str
    bases: tuple[StoredBase, ...] = ()
    path: Path | None = None

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one plain record for each base, or one with the path."""
        if self.path is not None:
            return [{"action": self.action, "path": str(self.path)}]
        return [{"action": self.action, **base.to_dict()} for base in self.bases]


def weights(config: WeightsConfig, on_event: OnEvent = ignore) -> WeightsResult:
    """List, fetch, verify, locate, import or export base models.

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
        If a file is no base model.
    """
    from adclip.model import inventory, store
    from adclip.model.bases import KNOWN, read_base, stored
    from adclip.model.bases import store as store_folder

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
        names = [what] if what else ["builtin", *stored()]
        return WeightsResult("verify", tuple(inventory.verify(name) for name in names))
    if config.action == "path":
        return WeightsResult("path", path=read_base(what).folder if what else store_folder())
    if what is None:
        raise ConfigError.bad_value(config.action, "say what to take", f"`adclip weights {config.action} WHAT`")
    if config.action == "import":
        base = store.adopt(Path(what), config.name, config.tokenizer, on_event, overwrite=config.overwrite)
        return WeightsResult("import", (base,))
    return WeightsResult("export", path=store.export(what, config.out, on_event, overwrite=config.overwrite))
