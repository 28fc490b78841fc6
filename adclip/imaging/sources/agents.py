"""Whether a scan's name or the JSON files beside and above it say that a contrast agent was given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adclip.imaging.formats.contrast import described_so, is_named_so, names_agent
from adclip.imaging.formats.names import strip_ending
from adclip.imaging.sources.folders import BIDS_NAME, entities_of

_FLOORS = 4  # dataset, subject, session, anat
_MOST_BYTES = 1 << 20


def has_contrast_agent(path: Path) -> bool:
    """Tell whether the words about a scan file or DICOM folder name a contrast agent; its own header is not read.

    Notes
    -----
    Of the JSON files that BIDS lets speak for an image (its inheritance principle) those are looked at that are named by
    subject, session or `acq-` alone, and the nearest that says anything of an agent counts, in its own field or in the words of
    the series.
    """
    if is_named_so(strip_ending(path.name)):
        return True
    for sidecar in _sidecars(path):
        fields = _read(sidecar)
        if any(name.startswith("ContrastBolus") for name in fields):
            return names_agent(fields)
        if (described := described_so(fields)) is not None:
            return described
    return False


def _sidecars(path: Path) -> Iterator[Path]:
    """Yield the files that may describe a scan, nearest first."""
    yield path.with_name(f"{strip_ending(path.name)}.json")
    if not BIDS_NAME.match(path.name):
        return
    entities = entities_of(path.name)
    subject, session, acquisition = (
        f"{name}-{entities[name]}_" if name in entities else "" for name in ("sub", "ses", "acq")
    )
    stems = dict.fromkeys((f"{subject}{session}", subject, f"{session}", acquisition, ""))
    folder = path.parent
    for _ in range(_FLOORS):
        yield from (folder / f"{stem}T1w.json" for stem in stems)
        if (folder / "dataset_description.json").is_file() or folder == folder.parent:
            return
        folder = folder.parent


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
