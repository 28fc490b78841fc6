"""One file for a machine without network: a base model, or a tuned one, packed and unpacked."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from adclip.model import errors
from adclip.model.bases import BASE_RECORD, ORIGINAL_CONFIG, VOCABULARY
from adclip.model.tensor_files import INDEX_SUFFIX, SUFFIX, is_pickled
from adclip.runtime.events import Advanced, OnEvent, Started
from adclip.runtime.paths import atomic_path

CHUNK = 1 << 20


def is_archive(source: Path) -> bool:
    """Tell whether `source` is a zip file; pickled weights are one too, and are none of ours."""
    return source.is_file() and zipfile.is_zipfile(source) and not is_pickled(source)


def names_in(source: Path) -> list[str]:
    """Return the names of what is packed."""
    with zipfile.ZipFile(source) as archive:
        return archive.namelist()


def name_in(source: Path) -> str:
    """Return the name of the packed base.

    Raises
    ------
    WeightsError
        If no base is packed there.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            return str(json.loads(archive.read(BASE_RECORD))["name"])
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise errors.not_an_archive(source) from error


def pack(files: Sequence[Path], target: Path, on_event: OnEvent) -> None:
    """Pack files side by side; equal content gives equal bytes.

    Nothing is compressed: trained weights do not shrink, and a stored archive is as fast as a copy.
    """
    on_event(Started("packing", len(files)))
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for number, path in enumerate(files):
            entry = zipfile.ZipInfo(path.name)  # without the time
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as sink:
                shutil.copyfileobj(source, sink, CHUNK)
            on_event(Advanced("packing", number + 1, path.name))


def unpack(source: Path, part: Path, on_event: OnEvent) -> None:
    """Unpack a base into the folder `part`; only plain names that a base may have are taken.

    Raises
    ------
    WeightsError
        If it is no such archive, or damaged.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
            allowed = {BASE_RECORD, VOCABULARY, ORIGINAL_CONFIG}
            if BASE_RECORD not in names or not all(name in allowed or _is_plain_weights(name) for name in names):
                raise errors.not_an_archive(source)
            on_event(Started("unpacking", len(names)))
            for number, name in enumerate(names):
                with archive.open(name) as packed, (part / name).open("wb") as sink:
                    shutil.copyfileobj(packed, sink, CHUNK)
                on_event(Advanced("unpacking", number + 1, name))
    except (zipfile.BadZipFile, EOFError) as error:
        raise errors.not_an_archive(source) from error


def _is_plain_weights(name: str) -> bool:
    return (
        name.endswith((SUFFIX, INDEX_SUFFIX))
        and name == Path(name).name
        and not name.startswith(".")
        and "\\" not in name
    )
