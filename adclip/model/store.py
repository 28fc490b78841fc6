"""The user's store of base models: in, out, and whether they are what they were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adclip.errors import OutputError
from adclip.model import errors
from adclip.model.archive import is_archive, name_in, names_in, pack, unpack
from adclip.model.bases import (
    BASE_RECORD,
    KNOWN,
    ORIGINAL_CONFIG,
    VOCABULARY,
    find_weights,
    name_of_file,
    read_base,
    read_recorded,
    store,
)
from adclip.model.hub import download, read_listing
from adclip.model.integrity import CARD
from adclip.model.inventory import StoredBase, check_base, describe, verify
from adclip.model.record import ADAPTER_RECORD, ADAPTER_WEIGHTS, read_record
from adclip.model.tensor_files import is_index, parts_of, weights_sha256
from adclip.runtime.events import OnEvent
from adclip.runtime.hashing import file_sha256
from adclip.runtime.paths import check_id, check_place, write_text

SHAREABLE = (ADAPTER_WEIGHTS, ADAPTER_RECORD, CARD)  # contract: what of a RUN may leave


# --------------------------------------------------------------------------------------- in


def fetch(name: str, revision: str | None, on_event: OnEvent, *, overwrite: bool) -> tuple[StoredBase, bool]:
    """Bring a known base from the hub into the store.

    Returns
    -------
    base : StoredBase
    fetched : bool
        False if it was there already, which is verified.

    Raises
    ------
    WeightsError
        If it cannot be had, is not what the hub says it is, or differs from what this machine has recorded.
    """
    known_base = KNOWN.get(name)
    if known_base is None:
        raise errors.unknown_base(name, sorted(KNOWN))
    folder = store() / name
    with _alone(folder):
        pinned = read_recorded(folder) if (folder / BASE_RECORD).is_file() else None
        if pinned is not None and not overwrite:
            if revision not in (None, pinned.revision):
                raise errors.other_revision(name, pinned.revision, str(revision))
            return verify(name), False
        # a repair stays at the recorded revision; another one has to be asked for
        requested_revision = revision or (pinned.revision if pinned else None)
        listing = read_listing(known_base.repository, requested_revision)
        part = folder.with_name(f".{name}.{listing.revision}.part")
        part.mkdir(parents=True, exist_ok=True)
        for file in listing.files:
            download(listing, file, part / Path(file.name).name, on_event)
        sha256 = weights_sha256(find_weights(part))
        if pinned is not None and revision in (None, pinned.revision) and pinned.sha256 != sha256:
            raise errors.changed_upstream(name, pinned.sha256, sha256)
        write_record(part, name, listing.revision, known_base.repository, listing.licence or known_base.licence)
        check_base(part)
        _put_in_place(part, folder)
    return describe(name), True


def adopt(source: Path, name: str | None, tokenizer: Path | None, on_event: OnEvent, *, overwrite: bool) -> StoredBase:
    """Copy a base model from a folder, a file or an exported archive into the store.

    Raises
    ------
    WeightsError, CheckpointError
        If it is no base model, lacks its vocabulary, or another one of that name is there.
    """
    if not source.exists():
        raise errors.no_weights(source)
    packed = is_archive(source)
    if packed and CARD in names_in(source):
        raise errors.is_a_run(source)
    base_name = name or (name_in(source) if packed else _name_of(source))
    check_id("name", base_name)
    if base_name == "builtin":
        raise OutputError("the name `builtin` belongs to the base that adclip ships", "choose another --name")
    folder = store() / base_name
    with _alone(folder):
        part = folder.with_name(f".{base_name}.import.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            if packed:
                unpack(source, part, on_event)
            elif (source / BASE_RECORD).is_file():
                _copy_recorded(source, part)
            else:
                _copy_original(source, part, tokenizer)
                write_record(part, base_name, "imported", source.name, None)
            base = read_recorded(part)
            check_base(part)
            if not overwrite and (folder / BASE_RECORD).is_file():
                existing = read_recorded(folder)
                if existing.sha256 != base.sha256:
                    raise errors.other_weights(base_name, existing.sha256, base.sha256)
            _put_in_place(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return describe(base_name)


def write_record(folder: Path, name: str, revision: str, source: str, licence: str | None) -> None:
    """Write `base.json` for files in the original layout; every hash in it is computed here."""
    from adclip.model.original import read_layout

    weights, config_file = find_weights(folder), folder / ORIGINAL_CONFIG
    layout = read_layout(weights, config_file if config_file.is_file() else None)
    files = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != BASE_RECORD}
    record = {
        "name": name,
        "revision": revision,
        "sha256": weights_sha256(weights, files),
        "weights": weights.name,
        "source": source,
        "licence": licence,
        "files": files,
        "prefix": layout.prefix,
        "raw_scale": True,
        "model": layout.config.to_dict(),
    }
    write_text(folder / BASE_RECORD, json.dumps(record, indent=2) + "\n")


def _copy_recorded(source: Path, part: Path) -> None:
    """Copy a base that has adclip's own record, record included."""
    base = read_recorded(source)
    paths = {base.weights, *parts_of(base.weights), source / VOCABULARY, source / ORIGINAL_CONFIG, source / BASE_RECORD}
    for path in sorted(paths):
        if path.is_file():
            shutil.copyfile(path, part / path.name)


def _copy_original(source: Path, part: Path, tokenizer: Path | None) -> None:
    """Copy the files of a base, in the original layout or with a record, into `part`."""
    base = read_base(str(source), tokenizer)
    if base.vocabulary is None and base.config.text_depth:
        raise errors.no_tokenizer(base.weights)
    if base.config.text_depth:
        _ = base.tokenizer
    if is_index(base.weights):
        for path in (base.weights, *parts_of(base.weights)):
            shutil.copyfile(path, part / path.name)
    else:
        shutil.copyfile(base.weights, part / "model.safetensors")
    if base.vocabulary is not None and base.vocabulary.is_file():
        shutil.copyfile(base.vocabulary, part / VOCABULARY)
    if (base.folder / ORIGINAL_CONFIG).is_file():
        shutil.copyfile(base.folder / ORIGINAL_CONFIG, part / ORIGINAL_CONFIG)


def _put_in_place(part: Path, folder: Path) -> None:
    """Make `part` the folder; an earlier one goes only when the new one is whole."""
    for path in part.iterdir():
        path.chmod(0o644)
    old = folder.with_name(f".{folder.name}.old.part")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time change one base."""
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        yield


def _name_of(source: Path) -> str:
    return source.resolve().name if source.is_dir() else name_of_file(source)


# --------------------------------------------------------------------------------------- out


def export(what: str, out: Path | None, on_event: OnEvent, *, overwrite: bool) -> Path:
    """Write a base model, or the three shareable files of a RUN, as one archive.

    Raises
    ------
    WeightsError, CheckpointError
        If there is no such base or RUN, or it is damaged.
    """
    run = Path(what)
    if (run / ADAPTER_RECORD).is_file():
        read_record(run)
        files, name = [run / file for file in SHAREABLE], run.resolve().name
        for path in files:
            if not path.is_file():
                raise errors.damaged(run, f"{path.name} is missing")
    else:
        base = verify(what)
        if base.path is None or not (base.path / BASE_RECORD).is_file():
            raise errors.not_in_store(what)
        recorded = read_recorded(base.path)
        names = {
            recorded.weights.name,
            *(path.name for path in parts_of(recorded.weights)),
            VOCABULARY,
            ORIGINAL_CONFIG,
            BASE_RECORD,
        }
        files, name = sorted(path for path in base.path.iterdir() if path.name in names), base.name
    target = out or Path(f"{name}.adclip.zip")
    if target.is_dir():
        target = target / f"{name}.adclip.zip"
    check_place(target)
    if target.exists() and not overwrite:
        raise OutputError.exists(target)
    pack(files, target, on_event)
    return target
