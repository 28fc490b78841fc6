"""Where the base of an adapter is found again: by its name, else wherever it was seen on this machine."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from adclip.errors import AdclipError, WeightsError
from adclip.model import errors
from adclip.model.bases import BASE_RECORD, BUILTIN_FOLDER, KNOWN, VOCABULARY, BaseWeights, read_base, store, stored
from adclip.model.record import ADAPTER_RECORD, AdapterRecord
from adclip.runtime.hashing import file_sha256
from adclip.runtime.paths import write_text

PLACES = (
    "places.json"  # SHA-256 -> where a base or vocabulary outside the store was last seen; never leaves this machine
)


def find_base(name: str, sha256: str, vocabulary_sha256: str | None = None) -> BaseWeights:
    """Find the base that an adapter was made for: by its name, else by its hash wherever it was seen on this machine.

    Parameters
    ----------
    name, sha256 : str
        As the adapter remembers them.
    vocabulary_sha256 : str, optional
        Of the vocabulary that it was tuned with; one that lay elsewhere than beside the weights is looked for where it was.

    Raises
    ------
    WeightsError
        If it is nowhere.
    """
    base = _find_weights_of(name, sha256)
    if vocabulary_sha256 is None or base.vocabulary_sha256 == vocabulary_sha256:
        return base
    elsewhere = Path(read_places().get(vocabulary_sha256, ""))
    if elsewhere.is_file() and file_sha256(elsewhere) == vocabulary_sha256:
        return dataclasses.replace(base, vocabulary=elsewhere)
    return base


def _find_weights_of(name: str, sha256: str) -> BaseWeights:
    absent: AdclipError | None = None
    try:
        base = read_base(name)
        if base.sha256 == sha256:
            return base
    except WeightsError as error:
        absent = error
    for place in (*(str(store() / stored_name) for stored_name in stored()), read_places().get(sha256, "")):
        if place and Path(place).exists() and (match := read_base(place)).sha256 == sha256:
            return match
    if absent is not None:
        raise absent if name in KNOWN else errors.base_of_adapter(name, sha256)
    return base


def check_base_of(base: BaseWeights, record: AdapterRecord, folder: Path) -> None:
    """Raise unless an adapter can be used on a base, as far as names, sizes and the vocabulary's hash tell; no weights are read.

    Parameters
    ----------
    base : BaseWeights
        What was found.
    record : AdapterRecord
        Of the adapter.
    folder : Path
        The adapter's, to name in an error.

    Raises
    ------
    CheckpointError
        If it is another base than the adapter was made for, or of other sizes.
    WeightsError
        If the vocabulary is gone, or another one: with that the adapter would read other words.
    """
    if base.sha256 != record.base["sha256"]:
        raise errors.other_base(folder, record.base["sha256"], base.sha256)
    if dataclasses.replace(base.config, contract=record.model.contract) != record.model:
        raise errors.damaged(folder / ADAPTER_RECORD, "its model sizes are not those of its base")
    expected, found = record.base.get("vocabulary"), base.vocabulary_sha256
    if found is None or found != (expected or found):
        raise errors.vocabulary_of_adapter(folder, base.weights)


def options_of(record: AdapterRecord) -> list[str]:
    """Return the options of `adclip finetune` that tune an adapter's base, none for the builtin one; nothing is hashed.

    Where it was seen is believed: what lies there by now is told when the options are used.
    """
    name, sha256 = record.base["name"], record.base["sha256"]
    if name == "builtin":
        return []
    places = read_places()
    kept = [one for one in stored() if _recorded_sha256(one) == sha256]
    seen = places.get(sha256, "")
    candidates = [name] if name in kept else [*kept, *([seen] if seen and Path(seen).exists() else [])]
    place = next(iter(candidates), name)
    vocabulary = places.get(record.base.get("vocabulary") or "", "")
    return ["--base", place, *(["--tokenizer", vocabulary] if vocabulary and Path(vocabulary).is_file() else [])]


def _recorded_sha256(name: str) -> str | None:
    """Return what the record of a base in the store says; None where it cannot be read, which is told elsewhere."""
    try:
        return read_base(name).sha256
    except AdclipError:
        return None


def remember(base: BaseWeights) -> None:
    """Note where a base outside the store lies, and its vocabulary, so that adapters made on it find both again.

    Links are kept as they were given: what they point to may have no name that says what it is.
    """
    found: dict[str, str] = {}
    is_kept = base.folder == BUILTIN_FOLDER or base.folder.is_relative_to(store())
    if not is_kept:
        recorded = (base.folder / BASE_RECORD).is_file()
        found[base.sha256] = str((base.folder if recorded else base.weights).absolute())
    vocabulary, sha256 = base.vocabulary, base.vocabulary_sha256
    if vocabulary is not None and sha256 is not None and vocabulary.absolute() != (base.folder / VOCABULARY).absolute():
        found[sha256] = str(vocabulary.absolute())
    if found:
        write_text(store() / PLACES, json.dumps(read_places() | found, indent=2) + "\n")


def read_places() -> dict[str, str]:
    """Return SHA-256 -> folder or file of bases and vocabularies outside the store."""
    try:
        places = json.loads((store() / PLACES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in places.items()} if isinstance(places, dict) else {}
