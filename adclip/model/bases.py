"""Where base models are: shipped with adclip, in the user's store, or in a folder or file of the user's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.errors import AdclipError
from adclip.model import errors
from adclip.model.settings import M3D_CLIP, ModelConfig
from adclip.model.tensor_files import (
    HEAD_BYTES,
    SUFFIX,
    has_safetensors_header,
    is_index,
    is_pickled,
    weights_sha256,
    what_is,
)
from adclip.runtime.hashing import file_sha256
from adclip.runtime.paths import data_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUILTIN_FOLDER = Path(str(files("adclip") / "assets" / "builtin"))
BASE_RECORD = "base.json"  # beside the weights, written last: a folder that has it is complete
BASE_WEIGHTS, VOCABULARY, ORIGINAL_CONFIG = "base.safetensors", "vocab.txt", "config.json"

_PART = re.compile(r".*-\d{5}-of-\d{5}\.safetensors")  # as Hugging Face's tools call the files of an index


@dataclass(frozen=True)
class KnownBase:
    """A published base model that `adclip weights fetch` can bring.

    Parameters
    ----------
    name, repository : str
        Here, and on the Hugging Face hub.
    licence : str
        As its authors state it; the hub's own word is shown beside it at fetch.
    megabytes : int
        Size of the download, about.
    config : ModelConfig
        Known before it is fetched, so that scans can be preprocessed for it.
    """

    name: str
    repository: str
    licence: str
    megabytes: int
    config: ModelConfig


KNOWN = {"m3d-clip": KnownBase("m3d-clip", "GoodBaiBai88/M3D-CLIP", "Apache-2.0", 792, M3D_CLIP)}


@dataclass(frozen=True)
class BaseWeights:
    """A frozen base model on disk, pinned by name, revision and hash.

    Parameters
    ----------
    name, revision, sha256 : str
        What an adapter remembers of it.
    weights : Path
        Safetensors file, or the index of several.
    vocabulary : Path or None
        WordPiece vocabulary of the text tower; None where nobody gave one.
    config : ModelConfig
        Its sizes and input contract.
    prefix : str
        What the file's names lack of the network's; see `adclip.model.original`.
    raw_scale : bool
        Whether its logit scale is multiplied as it is (M3D-CLIP) rather than exponentiated (builtin).
    hashed : bool
        Whether `sha256` was just computed from the weights, and needs no check.
    """

    name: str
    revision: str
    sha256: str
    weights: Path
    vocabulary: Path | None
    config: ModelConfig
    prefix: str = ""
    raw_scale: bool = False
    hashed: bool = False

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.weights.parent

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of its text tower.

        Raises
        ------
        WeightsError
            If there is no vocabulary, or it has another length than the text tower.
        """
        from adclip.model.text import read_tokenizer

        if self.vocabulary is None or not self.vocabulary.is_file():
            raise errors.no_tokenizer(self.weights)
        tokenizer = read_tokenizer(self.vocabulary)
        if tokenizer.get_vocab_size() != self.config.vocabulary:
            raise errors.other_vocabulary(self.vocabulary, tokenizer.get_vocab_size(), self.config.vocabulary)
        return tokenizer

    @property
    def vocabulary_sha256(self) -> str | None:
        """SHA-256 of its vocabulary; None where there is none."""
        return file_sha256(self.vocabulary) if self.vocabulary is not None and self.vocabulary.is_file() else None


def store() -> Path:
    """Return the folder of fetched and imported base models."""
    return data_folder() / "weights"


def read_base(name: str, tokenizer: Path | None = None) -> BaseWeights:
    """Find a base model.

    Parameters
    ----------
    name : str
        `builtin`; a name in the store, such as `m3d-clip`; a folder with `base.json`, or in M3D-CLIP's original layout
        (one safetensors file or several with their index, `vocab.txt`, `config.json`); or a lone file or index.
    tokenizer : Path, optional
        `vocab.txt`, or a folder that has it, where none lies beside the weights.

    Raises
    ------
    WeightsError
        If there is no such base, or it is not fetched yet.
    CheckpointError
        If its record cannot be read, or its names and shapes make no model.
    """
    place = Path(name)
    if name == "builtin":
        base = read_recorded(BUILTIN_FOLDER)
    elif (store() / name / BASE_RECORD).is_file() and place.name == name:
        base = read_recorded(store() / name)
    elif (place / BASE_RECORD).is_file():
        base = read_recorded(place)
    elif place.exists():
        base = read_original(place)
    elif name in KNOWN:
        raise errors.not_fetched(name)
    else:
        raise errors.unknown_base(name, ["builtin", *sorted(KNOWN.keys() | set(stored())), "a folder, a file"])
    if tokenizer is None:
        return base
    vocabulary = tokenizer / VOCABULARY if tokenizer.is_dir() else tokenizer
    if not vocabulary.is_file():
        raise errors.no_tokenizer(vocabulary)
    return BaseWeights(**{**vars(base), "vocabulary": vocabulary})


def is_here(name: str) -> bool:
    """Tell whether a name is anything else than a base that could be fetched and was not."""
    return name not in KNOWN or Path(name).exists() or (store() / name / BASE_RECORD).is_file()


def read_recorded(folder: Path) -> BaseWeights:
    """Read a base that has adclip's own record beside it."""
    record = read_base_record(folder)
    try:
        return BaseWeights(
            str(record["name"]),
            str(record["revision"]),
            str(record["sha256"]),
            folder / Path(record.get("weights", BASE_WEIGHTS)).name,
            folder / VOCABULARY,
            ModelConfig.from_dict(record["model"]),
            str(record.get("prefix", "")),
            bool(record.get("raw_scale", False)),
        )
    except (KeyError, TypeError, ValueError, AdclipError) as error:
        raise errors.bad_base(folder / BASE_RECORD, "not a readable record of a base model") from error


def read_base_record(folder: Path) -> dict[str, Any]:
    """Return the content of `base.json`."""
    path = folder / BASE_RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("not an object")
    except (ValueError, OSError) as error:
        raise errors.bad_base(path, "not a readable record of a base model") from error
    return record


def read_original(place: Path) -> BaseWeights:
    """Read a base in M3D-CLIP's original layout, from a folder or one file; its hash is computed here."""
    from adclip.model.original import read_layout

    weights = find_weights(place)
    beside = weights.parent / ORIGINAL_CONFIG
    layout = read_layout(weights, beside if beside.is_file() else None)
    vocabulary = weights.parent / VOCABULARY
    return BaseWeights(
        place.resolve().name if place.is_dir() else name_of_file(place),
        "unknown",
        weights_sha256(weights),
        weights,
        vocabulary if vocabulary.is_file() else None,
        layout.config,
        layout.prefix,
        raw_scale=True,
        hashed=True,
    )


def name_of_file(place: Path) -> str:
    """Return what a base of one file is called: after the file, or after the folder of an index."""
    return place.absolute().parent.name if is_index(place) else place.stem


def find_weights(place: Path) -> Path:
    """Return the one safetensors file at `place`, or the index of several.

    A link is not followed: in a Hugging Face cache the name that says what a file is stands on the link alone.

    Raises
    ------
    WeightsError
        If there is none, several, or only files of pickled weights, which adclip never opens.
    """
    if place.is_file():
        return _check_kind(place)
    files = sorted(path for path in place.iterdir() if path.is_file())  # no links to what is gone
    candidates, indices = [path for path in files if path.suffix == SUFFIX], [path for path in files if is_index(path)]
    preferred = [path for path in candidates if path.name == "model.safetensors"]
    if preferred:
        return preferred[0]
    if len(indices) == 1:
        return indices[0]
    if len(candidates) == 1:
        return _check_kind(candidates[0])
    if candidates:
        raise errors.several_files(place, [path.name for path in candidates])
    pickled = [path for path in files if path.suffix in (".bin", ".pt", ".pth")]
    raise errors.pickled(pickled[0]) if pickled else errors.no_weights(place)


def _check_kind(file: Path) -> Path:
    """Return a file that may be opened: by its name, and where that says nothing by its first bytes."""
    if is_index(file):
        return file
    if _PART.fullmatch(file.name):
        raise errors.lone_part(file)
    if file.suffix == SUFFIX:
        return file
    with file.open("rb") as stream:
        if has_safetensors_header(stream.read(HEAD_BYTES)):
            return file
    what = what_is(file)
    raise errors.pickled(file) if what is None or is_pickled(file) else errors.not_weights(file, what)


def check_hash(base: BaseWeights, known: Mapping[str, str] | None = None) -> None:
    """Raise WeightsError unless the weights are there and are the ones recorded; `known` as in `weights_sha256`."""
    if not base.weights.is_file():
        raise errors.no_weights(base.weights)
    if not base.hashed and weights_sha256(base.weights, known) != base.sha256:
        raise errors.hash_differs(base.weights)


def stored() -> Iterator[str]:
    """Yield the names of the base models in the store."""
    yield from sorted(path.parent.name for path in store().glob(f"[!.]*/{BASE_RECORD}"))
