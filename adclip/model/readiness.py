"""Which models this machine could answer with now: whether their files are here and are what they were, and the memory they take.

What is found goes to stdout, so no finding names a folder that is nobody else's business.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adclip.errors import AdclipError
from adclip.model import errors
from adclip.model.bases import BASE_RECORD, KNOWN, BaseWeights, check_hash, read_base, stored
from adclip.model.integrity import check_files
from adclip.model.inventory import verify
from adclip.model.places import check_base_of, find_base
from adclip.model.record import ADAPTER_RECORD, AdapterRecord, model_folder, read_record
from adclip.model.tensor_files import parts_of
from adclip.runtime.environment import MISSING, OK, WARN, Finding, Need
from adclip.runtime.paths import shown, without_folders

# Peak of one process that preprocesses a raw 1 mm head and asks the builtin model, libraries included (docs/benchmarks.md: 1.56 GB).
RAW_HEAD_GB = 1.6
_FAST_TO_HASH_BYTES = 50_000_000  # a tenth of a second


@dataclass(frozen=True)
class Asked:
    """A model that is asked for, and what was found of it.

    Parameters
    ----------
    model : str
        `builtin`, a RUN, or a base model, as it was given.
    is_base : bool
        Whether it is a base model by its name or folder.
    record : AdapterRecord or None
        Of a RUN, or of the builtin model; None where there is none that can be read.
    base : BaseWeights or None
        None where it was not found.
    error : AdclipError or None
        Why something was not found.
    """

    model: str
    is_base: bool
    record: AdapterRecord | None = None
    base: BaseWeights | None = None
    error: AdclipError | None = None

    @property
    def name(self) -> str:
        """What it is called, without the folders that lead to it."""
        return Path(self.model).name or Path(self.model).resolve().name

    @property
    def places(self) -> tuple[Path, ...]:
        """Files and folders of it that an error may name."""
        of_base = () if self.base is None else (self.base.folder, self.base.weights)
        return (Path(self.model), model_folder(self.model), *of_base)


def find_model(model: str) -> Asked:
    """Find a model and its base, once for all that is told of them; what is wrong with them is kept.

    A base in the original layout outside the store is hashed for it: what its weights are is recorded nowhere.
    """
    record = None
    is_run = model == "builtin" or (Path(model) / ADAPTER_RECORD).is_file()
    is_base = not is_run and (model in KNOWN or model in stored() or (Path(model) / BASE_RECORD).is_file())
    try:
        if is_base:
            return Asked(model, is_base, base=read_base(model))
        record = read_record(model_folder(model))
        base = find_base(record.base["name"], record.base["sha256"], record.base.get("vocabulary"))
        return Asked(model, is_base, record, base)
    except AdclipError as error:
        return Asked(model, is_base, record, error=error)


def needs(asked: Asked) -> list[Need]:
    """Return what the builtin model, each that could be fetched, and the one asked for need of the memory."""
    others = [find_model("builtin"), *(_find_in_store(name) for name in KNOWN)]
    models = [asked if other.model == asked.model else other for other in others]
    if all(model is not asked for model in models):
        models.append(asked)
    return [Need(model.name, gb, model is asked) for model in models if (gb := needed_gb(model)) is not None]


def needed_gb(asked: Asked) -> float | None:
    """Estimate the peak memory in GB of one process that predicts with a model: a raw head, and all frozen weights in float32.

    Weights that are mapped and not used stay on disk, so that less is often enough. None where the weights are not here, which
    `look_at_weights` says.
    """
    if asked.base is None:
        known = KNOWN.get(asked.model) if asked.is_base else None
        return None if known is None else RAW_HEAD_GB + known.megabytes / 1e3
    try:
        return RAW_HEAD_GB + _size(asked.base) / 1e9
    except AdclipError:
        return None


def look_at_weights(asked: Asked, *, full: bool) -> list[Finding]:
    """Return what is found of the bases on this machine and of the model asked for; `full` hashes large files as well."""
    here = [*stored()]
    last = {asked.model} if asked.is_base else set()  # said once, at the end
    findings = [_look_at_base(_find_in_store(name), full=full) for name in ("builtin", *here) if name not in last]
    findings += [
        Finding(
            f"weights: {name}",
            WARN,
            "not fetched; only needed for `finetune --base`, or `simulate --model`, of that name",
            f"adclip weights fetch {name}",
        )
        for name in KNOWN
        if name not in here and name not in last
    ]
    return [*findings, _look_at_base(asked, full=full) if asked.is_base else _look_at_model(asked, full=full)]


def _find_in_store(name: str) -> Asked:
    """Find the builtin base, or one of the store; a folder of that name elsewhere is not meant."""
    try:
        return Asked(name, True, base=read_base(name)) if name in ("builtin", *stored()) else Asked(name, True)
    except AdclipError as error:
        return Asked(name, True, error=error)


def _size(base: BaseWeights) -> int:
    """Return the bytes of the weights."""
    if not base.weights.is_file():
        raise errors.no_weights(base.weights)
    return sum(path.stat().st_size for path in parts_of(base.weights))


def _look_at_base(asked: Asked, *, full: bool) -> Finding:
    about = f"weights: {asked.name}"
    try:
        base = _base_of(asked)
        size = _size(base)
        if not full and not _is_fast_to_check(base, size):
            fix = f"adclip weights verify {shlex.quote(shown(Path(asked.model)))}"
            return Finding(about, OK, f"here, {size / 1e6:.0f} MB, not hashed", fix)
        verify(asked.model) if full else check_hash(base)
        return Finding(about, OK, f"whole, {size / 1e6:.0f} MB, SHA-256 {base.sha256[:12]}")
    except AdclipError as error:
        return _missing(about, error.problem, _repair(asked.model) or error.remedy, asked)


def _base_of(asked: Asked) -> BaseWeights:
    if asked.error is not None or asked.base is None:
        raise asked.error or errors.not_fetched(asked.model)
    return asked.base


def _is_fast_to_check(base: BaseWeights, size: int) -> bool:
    return base.hashed or size <= _FAST_TO_HASH_BYTES


def _missing(about: str, problem: str, fix: str, asked: Asked) -> Finding:
    """Return what is wrong and its cure, of which no absolute path is left."""
    return Finding(about, MISSING, without_folders(problem, *asked.places), without_folders(fix, *asked.places))


def _repair(name: str) -> str | None:
    """Return the command that brings a base again; None for one in a folder of the user's own."""
    if name == "builtin":
        return "pip install --force-reinstall --no-deps adclip"
    is_stored = name in stored()
    if name in KNOWN:
        return f"adclip weights fetch {name}{' --overwrite' if is_stored else ''}"
    return f"adclip weights import FOLDER --name {name} --overwrite" if is_stored else None


def _look_at_model(asked: Asked, *, full: bool) -> Finding:
    """Say whether a RUN, or the builtin model, is whole and could be loaded; with `full` it is, and every number is looked at."""
    about, folder = f"model: {asked.name}", model_folder(asked.model)
    try:
        if asked.record is None:
            raise asked.error or errors.missing(folder)
        record = asked.record
        notes = check_files(folder, record)
        base = _base_of(asked)
        check_base_of(base, record, folder)
        size = _size(base)
        is_checked = full or _is_fast_to_check(base, size)
        if full:
            from adclip.model.checkpoint import load_model

            load_model(asked.model)
        elif is_checked:
            check_hash(base)
    except AdclipError as error:
        return _missing(about, error.problem, error.remedy, asked)
    if notes:
        return Finding(about, WARN, notes[0], f"adclip weights verify {shlex.quote(shown(Path(asked.model)))}")
    on = without_folders(f"on base {record.base['name']}", *asked.places)
    unhashed = "" if is_checked else ", whose weights were not hashed"
    return Finding(about, OK, f"whole, {on}{unhashed}, for {', '.join(record.labels)}")


def look_into_torch() -> Iterator[Finding]:
    """Yield what torch itself says of its devices; this imports it."""
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = (number / 1e9 for number in torch.cuda.mem_get_info(index))
            yield Finding(
                f"cuda:{index}", OK, f"{torch.cuda.get_device_name(index)}, {free:.1f} of {total:.1f} GB free"
            )
    elif torch.version.cuda is not None:
        yield Finding("cuda", WARN, f"torch is built for CUDA {torch.version.cuda}, and finds no device", "nvidia-smi")
    if torch.backends.mps.is_available():
        yield Finding("mps", OK, "available")
    yield Finding("threads", OK, f"torch computes with {torch.get_num_threads()} threads")
