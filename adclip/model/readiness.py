"""Which models this machine could answer with now: whether their files are here and are what they were, and the memory they take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adclip.errors import AdclipError
from adclip.model import errors
from adclip.model.bases import BASE_RECORD, KNOWN, read_base, store, stored
from adclip.model.inventory import verify
from adclip.model.places import find_base
from adclip.model.record import model_folder, read_record
from adclip.model.tensor_files import parts_of
from adclip.runtime.environment import MISSING, OK, WARN, Finding

# Peak of one process that preprocesses a raw 1 mm head and asks the builtin model, libraries included (docs/benchmarks.md: 1.56 GB).
RAW_HEAD_GB = 1.6
_FAST_TO_HASH_BYTES = 50_000_000  # a tenth of a second


def needed_gb(model: str) -> float:
    """Estimate the peak memory in GB of one process that predicts with a model: a raw head, and all frozen weights in float32.

    Weights that are mapped and not used stay on disk, so that less is often enough.

    Parameters
    ----------
    model : str
        `builtin`, a RUN, or a base model.
    """
    if model in KNOWN and not (store() / model / BASE_RECORD).is_file():
        return RAW_HEAD_GB + KNOWN[model].megabytes / 1e3
    if model == "builtin" or (Path(model) / "adapter.json").is_file():
        record = read_record(model_folder(model))
        base = find_base(record.base["name"], record.base["sha256"], record.base.get("vocabulary"))
    else:
        base = read_base(model)
    return RAW_HEAD_GB + sum(path.stat().st_size for path in parts_of(base.weights)) / 1e9


def look_at_weights(model: str, *, full: bool) -> list[Finding]:
    """Return what is found of the bases on this machine and of the model asked for; `full` hashes large files as well."""
    findings = [_look_at_base(name, full=full) for name in ("builtin", *stored())]
    here = set(stored())
    findings += [
        Finding(
            f"weights: {name}",
            WARN,
            "not fetched; only needed for `--base` or `--model` of that name",
            f"adclip weights fetch {name}",
        )
        for name in KNOWN
        if name not in here
    ]
    return [*findings, _look_at_model(model, full=full)]


def _look_at_base(name: str, *, full: bool) -> Finding:
    about = f"weights: {name}"
    try:
        base = read_base(name)
        if not base.weights.is_file():
            raise errors.no_weights(base.weights)
        size = sum(path.stat().st_size for path in parts_of(base.weights))
        if not full and size > _FAST_TO_HASH_BYTES:
            return Finding(about, OK, f"here, {size / 1e6:.0f} MB, not hashed", f"adclip weights verify {name}")
        verify(name) if full else _check_hash(name)
        return Finding(about, OK, f"whole, {size / 1e6:.0f} MB, SHA-256 {base.sha256[:12]}")
    except AdclipError as error:
        return Finding(about, MISSING, error.problem, _repair(name))


def _check_hash(name: str) -> None:
    from adclip.model.tensor_files import weights_sha256

    base = read_base(name)
    if weights_sha256(base.weights) != base.sha256:
        raise errors.hash_differs(base.weights)


def _repair(name: str) -> str:
    if name == "builtin":
        return "pip install --force-reinstall --no-deps adclip"
    return (
        f"adclip weights fetch {name} --overwrite"
        if name in KNOWN
        else f"adclip weights import FOLDER --name {name} --overwrite"
    )


def _look_at_model(model: str, *, full: bool) -> Finding:
    """Say whether a RUN, or the builtin model, is whole; with `full` it is loaded, every number is looked at."""
    from adclip.model.integrity import check_files

    about, folder = f"model: {'builtin' if model == 'builtin' else Path(model).name}", model_folder(model)
    try:
        if model in KNOWN or (store() / model / BASE_RECORD).is_file():
            return _look_at_base(model, full=full)
        record = read_record(folder)
        notes = check_files(folder, record)
        base = find_base(record.base["name"], record.base["sha256"], record.base.get("vocabulary"))
        if base.sha256 != record.base["sha256"]:
            raise errors.other_base(folder, record.base["sha256"], base.sha256)
        if full:
            from adclip.model.checkpoint import load_model

            load_model(model)
    except AdclipError as error:
        return Finding(about, MISSING, error.problem, error.remedy)
    if notes:
        return Finding(about, WARN, notes[0], f"adclip weights verify {model}")
    return Finding(about, OK, f"whole, on base {record.base['name']}, for {', '.join(record.labels)}")


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
