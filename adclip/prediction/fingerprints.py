"""What decides an answer, as hashes: by them a resumed run knows which scans it need not do again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adclip.domain import InputContract, ReadOptions, ScanItem, Visit
from adclip.errors import ScanError
from adclip.imaging.derivatives.currency import fingerprint as derivative_fingerprint
from adclip.imaging.derivatives.names import mask_path, sidecar_path
from adclip.imaging.sources.files import scan_sha256
from adclip.prediction.jobs import Job
from adclip.runtime.hashing import file_sha256
from adclip.runtime.paths import shown
from adclip.version import __version__

RECIPE = 2  # raised whenever the same scan, row and model would give another record
# No record says these of a row, and no answer uses them, so a run goes on although they were corrected meanwhile.
_UNUSED = frozenset({"diagnosis", "cdr_global", "scan"})


@dataclass(frozen=True)
class RunIdentity:
    """What all answers of one run have in common.

    Parameters
    ----------
    verb : str
        `predict` or `explain`.
    model : mapping of str to str
        Its name, and the SHA-256 of every file of it that decides an answer.
    settings : mapping
        By the name of the flag, in plain JSON types: what a user may choose and what changes an answer.
    recipe : str
        SHA-256 of what else does: the versions of adclip's own steps, and of the programs that they use.
    """

    verb: str
    model: Mapping[str, str]
    settings: Mapping[str, Any]
    recipe: str

    @property
    def sha256(self) -> str:
        """One hash of all of it."""
        return _hash([self.verb, dict(self.model), dict(self.settings), self.recipe])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "verb": self.verb, "model": dict(self.model), "settings": dict(self.settings), "recipe": self.recipe,
            "sha256": self.sha256,
        }  # fmt: skip

    def is_of_model(self, model: Mapping[str, str]) -> bool:
        """Tell whether an earlier run used the same model, whatever its folder is called."""
        return _without_name(self.model) == _without_name(model)


def identify_model(model: str) -> dict[str, str]:
    """Return a model's name, as records give it, and the hashes of its files, without loading them; the base's hash stands in `adapter.json`.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    from adclip.model.record import ADAPTER_RECORD, ADAPTER_WEIGHTS, model_folder

    folder = model_folder(model)
    name = "builtin" if model == "builtin" else folder.resolve().name
    files = (folder / file for file in (ADAPTER_RECORD, ADAPTER_WEIGHTS))
    return {"name": name} | {file.name: file_sha256(file) for file in files if file.is_file()}


def hash_recipe(contract: InputContract, *, volumes: bool) -> str:
    """Return the hash of how scans are prepared, measured and answered by this version of adclip."""
    from adclip.imaging.volumes.measure import measured_by

    steps = derivative_fingerprint("", contract, ReadOptions())
    return _hash([RECIPE, __version__, steps, measured_by() if volumes else None])


def fingerprint(run: RunIdentity, job: Job, options: ReadOptions, *, volumes: bool) -> str:
    """Return the hash of what decides the record of one scan.

    Parameters
    ----------
    run : RunIdentity
        What it shares with the other scans.
    job : Job
        The scan and its row.
    options : ReadOptions
        How the file is read.
    volumes : bool
        Whether tables of volumes beside the scan are read.
    """
    from adclip.prediction.volumetry import find_volumes

    item = job.item
    candidates = [item, *(dataclasses.replace(item, path=path) for path in item.others)]
    beside = [find_volumes(candidate) if volumes else None for candidate in candidates]
    decides = [
        run.sha256, item.subject_id, item.session_id, shown(item.path), item.preprocessed, list(item.flags), list(job.flags),
        [_hash_files(candidate, options) for candidate in candidates],
        [None if found is None else found.to_dict() for found in beside],
        None if job.visit is None else _used(job.visit),
    ]  # fmt: skip
    return _hash(decides)


def _hash_files(item: ScanItem, options: ReadOptions) -> str | list[str]:
    """Return the hash of a scan's bytes, of a derivative also those of the files that belong to it; or why there is none.

    A file that cannot be read is told by whoever reads it for its voxels, and has no record that could be kept.
    """
    try:
        if not item.preprocessed:
            return scan_sha256(item.path, options)
        beside = (path for path in (sidecar_path(item.path), mask_path(item.path)) if path.is_file())
        return [file_sha256(path) for path in (item.path, *beside)]
    except (ScanError, OSError) as error:
        return type(error).__name__


def _used(visit: Visit) -> dict[str, Any]:
    return {name: value for name, value in vars(visit).items() if name not in _UNUSED and value is not None}


def _without_name(model: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in model.items() if key != "name"}


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
