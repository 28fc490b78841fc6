"""Whether an earlier derivative still holds: made of the same bytes in the same way, and whole on disk."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from adclip.domain import InputContract, ReadOptions, ScanItem
from adclip.imaging.derivatives.names import derivative_path
from adclip.imaging.quality.limits import limits_version
from adclip.imaging.records.sidecar import Sidecar
from adclip.imaging.sources.ours import read_sidecar
from adclip.imaging.steps.brain import STRIPPED, SkullStripper

RECIPE = 4  # raised whenever the same scan would give other numbers, so that old derivatives are made again


def fingerprint(source_sha256: str, contract: InputContract, options: ReadOptions, brain: str = "") -> str:
    """Return the SHA-256 of what decides the numbers of a derivative.

    Parameters
    ----------
    source_sha256 : str
        Of the scan's bytes.
    contract : InputContract
        Grid and intensity rule.
    options : ReadOptions
        What the user declared about the file.
    brain : str
        How the brain was found: `SkullStripper.name`, or `brain.STRIPPED` where no stripper was needed.

    Notes
    -----
    Also in it: the recipe's version, which stands for adclip's own code, the quality thresholds, and the version of
    SimpleITK, which corrects the bias. Derivatives of one fingerprint are the same up to last digits, which other versions of
    NumPy, SciPy and torch may round otherwise. Volumes are no part of it; they name the segmenter that measured them.
    """
    try:
        itk = version("SimpleITK")
    except PackageNotFoundError:
        itk = ""
    decides = [
        source_sha256, contract.to_dict(), options.orientation, options.series, brain, itk, limits_version(), RECIPE
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def read_whole(out: Path, item: ScanItem) -> Sidecar | None:
    """Return the sidecar of a derivative whose files all stand there in the size that was written, or None.

    Sizes tell an emptied or cut file in microseconds; the sidecar's SHA-256 are for whoever wants to know it exactly.
    """
    sidecar = read_sidecar(derivative_path(out, item))
    if sidecar is None or not {"image", "mask", "xfm", "figure"} <= sidecar.files.keys():
        return None
    for file in sidecar.files.values():
        path = out / file.path
        if not path.is_file() or path.stat().st_size != file.size:
            return None
    return sidecar


def is_current(
    sidecar: Sidecar,
    source_sha256: str,
    contract: InputContract,
    options: ReadOptions,
    stripper: SkullStripper,
) -> bool:
    """Say whether a derivative was made of the same input, with the same settings, programs and recipe.

    The stripper counts only where one was used.
    """
    if sidecar.source_sha256 != source_sha256:
        return False
    brain = STRIPPED if sidecar.brain_method == STRIPPED else stripper.name
    return sidecar.fingerprint == fingerprint(source_sha256, contract, options, brain)
