"""From what the user names - files, folders, lists - to the scans to work on and the ids they go by."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

from adclip.domain import ScanItem
from adclip.errors import InputError, ScanError, TableError

PREPROC_SUFFIX = "_desc-preproc_T1w.nii.gz"
GENERATOR = "adclip"

# Words in a file name that say "not the scan itself" (BIDS suffixes, FreeSurfer, SynthSeg, MUSE, adclip's own maps).
# fmt: off
_DERIVED = frozenset({
    "mask", "brainmask", "seg", "dseg", "probseg", "label", "labels", "labelmap", "aseg",
    "aparc", "dlmuse", "muse", "synthseg", "parc", "wmparc", "xfm", "warp", "heatmap",
    "bold", "sbref", "dwi", "t2w", "flair", "pdw", "t2star", "epi", "swi",
    "angio", "fieldmap", "phasediff", "magnitude1", "magnitude2",
})
# fmt: on
_NOT_RAW = frozenset({"derivatives", "sourcedata", "code"})  # BIDS folders that hold no raw scans
_BIDS_NAME = re.compile(r"sub-(?P<sub>[^_/]+)(?:_ses-(?P<ses>[^_/]+))?(?:_|$)")
_TABLES = (".csv", ".tsv")


def is_nifti_name(name: str) -> bool:
    """Tell whether a file name ends in `.nii` or `.nii.gz`, in any case."""
    return name.lower().endswith((".nii", ".nii.gz"))


def find_scans(inputs: tuple[Path, ...]) -> list[ScanItem]:
    """List the scans that `inputs` stand for, each once, in the order given (folders by name).

    Parameters
    ----------
    inputs : tuple of Path
        Scan files; folders, searched with their subfolders; CSV or TSV tables with a `scan` column, whose paths are
        relative to the table. A file that does not exist or is no NIfTI is listed all the same: reading it gives the
        error, so that one wrong path among many does not stop the rest.

    Returns
    -------
    list of ScanItem
        `preprocessed` is true for derivatives that adclip wrote.

    Raises
    ------
    ScanError
        If a folder holds no scan.
    TableError
        If a table is missing, unreadable or has no `scan` column.
    InputError
        If two files claim the same subject and session.

    Notes
    -----
    Ids come from the table, else from BIDS names, else from the cleaned file name; where plain file names repeat
    (`anna/T1.nii.gz`, `bert/T1.nii.gz`) the folder's name is put in front. BIDS ids are never altered, because tables
    are joined by them: two runs of one session are therefore an error.
    In a BIDS dataset only `*_T1w` is listed, in an adclip derivatives folder only adclip's preprocessed scans, and in
    no folder a file whose name says mask, segmentation or another contrast.
    """
    found: dict[Path, ScanItem] = {}
    for given in inputs:
        items: Iterator[ScanItem]
        if given.is_dir():
            items = iter(_in_folder(given))
        elif given.suffix.lower() in _TABLES:
            items = _in_table(given)
        else:
            items = iter([_to_item(given)])
        for item in items:
            found.setdefault(item.path.resolve(), item)
    return _with_unique_ids(list(found.values()))


def read_sidecar(scan: Path) -> dict[str, object] | None:
    """Return the sidecar of a scan that adclip preprocessed, or None if it is not one."""
    if not scan.name.endswith(PREPROC_SUFFIX):
        return None
    try:
        sidecar = json.loads(scan.with_name(scan.name.removesuffix(".nii.gz") + ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return sidecar if isinstance(sidecar, dict) and _is_ours(sidecar) else None


def clean_id(text: str) -> str:
    """Return `text` with everything outside `[A-Za-z0-9._-]` replaced by `-`, at most 64 characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-_")[:64] or "scan"


def _is_ours(record: dict[str, object]) -> bool:
    generators = record.get("GeneratedBy")
    return isinstance(generators, list) and any(isinstance(g, dict) and g.get("Name") == GENERATOR for g in generators)


def is_our_dataset(folder: Path) -> bool:
    """Tell whether a folder is a derivatives dataset that adclip made."""
    try:
        record = json.loads((folder / "dataset_description.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and _is_ours(record)


def _to_item(path: Path, subject_id: str = "", session_id: str | None = None) -> ScanItem:
    match = _BIDS_NAME.match(path.name)
    sidecar = read_sidecar(path)
    if sidecar is not None and not subject_id and isinstance(sidecar.get("SubjectID"), str):
        session = sidecar.get("SessionID")
        subject_id, session_id = str(sidecar["SubjectID"]), session if isinstance(session, str) else None
    elif not subject_id and match:
        subject_id, session_id = match["sub"], match["ses"]
    elif not subject_id:
        # `IXI013-HH-1212_T1.nii.gz` is a scan of IXI013-HH-1212: the contrast is no part of who it is
        subject_id = re.sub(r"([._-]T1w?)?\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    return ScanItem(
        path=path,
        subject_id=clean_id(subject_id),
        session_id=clean_id(session_id) if session_id else None,
        preprocessed=sidecar is not None,
    )


def _in_folder(folder: Path) -> list[ScanItem]:
    ours = is_our_dataset(folder)
    bids = not ours and ((folder / "dataset_description.json").is_file() or any(folder.glob("sub-*/")))
    names = [path for path in _walk(folder, skip=_NOT_RAW if bids else frozenset()) if is_nifti_name(path.name)]
    if ours:
        items = [item for item in map(_to_item, names) if item.preprocessed]
    elif bids:
        items = [_to_item(path) for path in names if re.search(r"_T1w\.nii(\.gz)?$", path.name)]
    else:
        items = [_to_item(path) for path in names if not _is_derived(path.name)]
    if not items:
        raise ScanError.no_scans(folder)
    return items


def _is_derived(name: str) -> bool:
    return not _DERIVED.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))


def _walk(folder: Path, skip: frozenset[str]) -> Iterator[Path]:
    """Yield files below `folder` by name; hidden folders and nested adclip derivatives are left out."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path
        elif path.name not in skip and not path.is_symlink() and not is_our_dataset(path):
            yield from _walk(path, skip)


def _in_table(path: Path) -> Iterator[ScanItem]:
    if not path.is_file():
        raise TableError.missing_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise TableError.unreadable(path, "not UTF-8 text") from None
    first = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    names = {name.strip().lower(): name for name in reader.fieldnames or () if name}
    if "scan" not in names:
        raise TableError.no_column(path, "scan", names)
    subject = names.get("subject_id", names.get("participant_id", ""))
    session = names.get("session_id", "")
    some = False
    for row in reader:
        scan = (row.get(names["scan"]) or "").strip()
        if scan.lower() in ("", "n/a", "na"):
            continue  # a visit without a scan: metadata only
        some = True
        who, when = ((row.get(column) or "").strip() for column in (subject, session))
        yield _to_item(path.parent / scan, who.removeprefix("sub-"), when.removeprefix("ses-") or None)
    if not some:
        raise TableError.no_rows(path, "no row names a scan")


def _with_unique_ids(items: list[ScanItem]) -> list[ScanItem]:
    taken: dict[tuple[str, str | None], ScanItem] = {}
    result = []
    repeated = _repeated_names(items)
    for item in items:
        if item.subject_id in repeated and _from_plain_name(item):
            name = f"{item.path.parent.name}-{item.subject_id}"
            item = ScanItem(item.path, clean_id(name), item.session_id, item.preprocessed)
        key = (item.subject_id, item.session_id)
        if key in taken:
            raise InputError(
                f"{item.path}: is subject `{item.subject_id}`"
                + (f", session `{item.session_id}`" if item.session_id else "")
                + f", and so is {taken[key].path}",
                "give one of them, or a table with the columns `scan`, `subject_id` and `session_id`",
            )
        taken[key] = item
        result.append(item)
    return result


def _from_plain_name(item: ScanItem) -> bool:
    plain = re.sub(r"\.nii(\.gz)?$", "", item.path.name, flags=re.IGNORECASE)
    return not _BIDS_NAME.match(item.path.name) and item.subject_id == clean_id(plain)


def _repeated_names(items: list[ScanItem]) -> set[str]:
    seen: set[str] = set()
    twice: set[str] = set()
    for item in items:
        if _from_plain_name(item):
            (twice if item.subject_id in seen else seen).add(item.subject_id)
    return twice
