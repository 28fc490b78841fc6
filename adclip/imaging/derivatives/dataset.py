"""What stands for a dataset as a whole in BIDS's terms: its description, its README, and the files that BIDS has no names for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from adclip.domain import RESEARCH_NOTICE
from adclip.imaging.records.sidecar import GENERATOR
from adclip.runtime.paths import write_text
from adclip.version import __version__

BIDS_VERSION = "1.10.0"
DESCRIPTION, IGNORED = "dataset_description.json", ".bidsignore"
# What adclip keeps beside the images: pages, tables, pictures, matrices
_NOT_OF_BIDS = (
    "qc.html", "status.tsv", "status.json", "volumes.tsv", "volumes.json", "figures", "*_xfm.txt", "predictions.jsonl",
    "predictions.csv", "predictions.tsv", "what_if.tsv", "*_prediction.json", "*_explanation.json",
)  # fmt: skip
_READMES = ("README", "README.md", "README.rst", "README.txt")
_README = "{name}\n\nWritten by adclip {version}. {notice}\n"
_OF_DERIVATIVES = """
Names of files hold labels of letters and digits alone, as BIDS asks for. The ids that the scans came with stand in the JSON file
beside each image (SubjectID, SessionID) and in every table. Tables are joined by those ids, not by the labels.

The JSON file beside an image tells every step, its parameters, the hash of the scan that it was made of, and what was measured to
judge it.
"""


def write_dataset_description(
    out: Path,
    name: str = "adclip preprocessed T1 scans",
    not_of_bids: Iterable[str] = (),
    *,
    has_images: bool = True,
) -> None:
    """Write the file that makes `out` a BIDS derivatives folder, by which adclip recognises its own, with README and `.bidsignore`.

    Parameters
    ----------
    out : Path
        The folder.
    name : str
        Of the dataset, for people.
    not_of_bids : iterable of str
        Patterns of further files that BIDS has no names for.
    has_images : bool
        Whether the README is to tell of images and their sidecars.
    """
    generated_by = [{"Name": GENERATOR, "Version": __version__}]
    record = {"DatasetType": "derivative", "GeneratedBy": generated_by, "Notice": RESEARCH_NOTICE}
    _write(out, name, record, (*_NOT_OF_BIDS, *not_of_bids), _OF_DERIVATIVES if has_images else "")


def write_raw_description(out: Path, name: str, not_of_bids: Iterable[str]) -> None:
    """Write what stands for a dataset of raw scans; see `write_dataset_description`."""
    _write(out, name, {"DatasetType": "raw"}, not_of_bids)


def _write(out: Path, name: str, record: Mapping[str, object], not_of_bids: Iterable[str], about: str = "") -> None:
    described = {"Name": name, "BIDSVersion": BIDS_VERSION, **record}
    write_text(out / DESCRIPTION, json.dumps(described, indent=2) + "\n")
    if not any((out / readme).is_file() for readme in _READMES):  # somebody's own stays
        write_text(out / "README", _README.format(name=name, notice=RESEARCH_NOTICE, version=__version__) + about)
    ignore_in_bids(out, not_of_bids)


def ignore_in_bids(out: Path, patterns: Iterable[str] = _NOT_OF_BIDS) -> None:
    """Add patterns of files that BIDS has no names for to `.bidsignore`; by default those of adclip."""
    ignored = out / IGNORED
    lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.is_file() else []
    wanted = list(dict.fromkeys([*lines, *patterns]))
    if wanted != lines:
        write_text(ignored, "\n".join(wanted) + "\n")
