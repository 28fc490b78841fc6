"""Where a preprocessed scan and its companions stand: BIDS-derivative names below an output folder."""

from __future__ import annotations

from pathlib import Path

from adclip.domain import TEMPLATE_SPACE, ScanItem
from adclip.imaging.derivatives.labels import to_label
from adclip.imaging.sources.ours import PREPROC_SUFFIX
from adclip.runtime.paths import check_id


def derivative_path(out: Path, item: ScanItem) -> Path:
    """Return where the preprocessed scan of `item` belongs below `out`.

    A derivative that stands there under the ids themselves, as earlier versions named it, keeps its place.

    Raises
    ------
    OutputError
        If an id could leave `out` or is not a file name.
    """
    subject, session = _names_in(out, item)
    return _anat(out, subject, session) / _file_name(subject, session)


def record_path(out: Path, item: ScanItem, kind: str) -> Path:
    """Return where the JSON of `kind`, such as `prediction`, belongs that tells of `item`, below `out`.

    Raises
    ------
    OutputError
        If an id could leave `out` or is not a file name.
    """
    subject, session = _names_in(out, item)
    return _anat(out, subject, session) / f"{_stem(subject, session)}_{kind}.json"


def _names_in(out: Path, item: ScanItem) -> tuple[str, str | None]:
    """Return how subject and session of a scan are called below `out`: by their labels, or as a derivative there calls them."""
    ids = check_id("subject", item.subject_id), check_id("session", item.session_id) if item.session_id else None
    labels = to_label(ids[0]), to_label(ids[1]) if ids[1] else None
    if labels != ids and (_anat(out, *ids) / _file_name(*ids)).is_file():
        return ids
    return labels


def _anat(out: Path, subject: str, session: str | None) -> Path:
    folder = out / f"sub-{subject}"
    return (folder / f"ses-{session}" if session else folder) / "anat"


def _stem(subject: str, session: str | None) -> str:
    return f"sub-{subject}" + (f"_ses-{session}" if session else "")


def _file_name(subject: str, session: str | None) -> str:
    return f"{_stem(subject, session)}_space-{TEMPLATE_SPACE}{PREPROC_SUFFIX}"


def mask_path(scan: Path) -> Path:
    """Return the brain mask beside a preprocessed scan."""
    return scan.with_name(scan.name.removesuffix(PREPROC_SUFFIX) + "_desc-brain_mask.nii.gz")


def mask_sidecar_path(scan: Path) -> Path:
    """Return the JSON beside the brain mask of a preprocessed scan: what BIDS asks to be known of a mask."""
    mask = mask_path(scan)
    return mask.with_name(mask.name.removesuffix(".nii.gz") + ".json")


def xfm_path(scan: Path) -> Path:
    """Return the affine beside a preprocessed scan."""
    stem = scan.name.removesuffix(PREPROC_SUFFIX).removesuffix(f"_space-{TEMPLATE_SPACE}")
    return scan.with_name(f"{stem}_from-T1w_to-{TEMPLATE_SPACE}_mode-image_xfm.txt")


def figure_path(out: Path, item: ScanItem) -> Path:
    """Return where the quality picture of `item` belongs, in the `figures` folder that BIDS apps use."""
    subject, session = _names_in(out, item)
    return out / f"sub-{subject}" / "figures" / f"{_stem(subject, session)}_space-{TEMPLATE_SPACE}_desc-qc_T1w.webp"


def sidecar_path(scan: Path) -> Path:
    """Return the JSON beside a preprocessed scan; it is written last, so its presence says that the set is whole."""
    return scan.with_name(scan.name.removesuffix(".nii.gz") + ".json")
