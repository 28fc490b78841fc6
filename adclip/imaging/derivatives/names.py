"""Where a preprocessed scan and its companions stand: BIDS-derivative names below an output folder."""

from __future__ import annotations

from pathlib import Path

from adclip.domain import TEMPLATE_SPACE, ScanItem
from adclip.imaging.sources.ours import PREPROC_SUFFIX
from adclip.runtime.paths import check_id


def derivative_path(out: Path, item: ScanItem) -> Path:
    """Return where the preprocessed scan of `item` belongs below `out`.

    Raises
    ------
    OutputError
        If an id could leave `out` or is not a file name.
    """
    folder = out / f"sub-{check_id('subject', item.subject_id)}"
    if item.session_id:
        folder = folder / f"ses-{check_id('session', item.session_id)}"
    return folder / "anat" / f"{item.stem}_space-{TEMPLATE_SPACE}{PREPROC_SUFFIX}"


def mask_path(scan: Path) -> Path:
    """Return the brain mask beside a preprocessed scan."""
    return scan.with_name(scan.name.removesuffix(PREPROC_SUFFIX) + "_desc-brain_mask.nii.gz")


def xfm_path(scan: Path) -> Path:
    """Return the affine beside a preprocessed scan."""
    stem = scan.name.removesuffix(PREPROC_SUFFIX).removesuffix(f"_space-{TEMPLATE_SPACE}")
    return scan.with_name(f"{stem}_from-T1w_to-{TEMPLATE_SPACE}_mode-image_xfm.txt")


def figure_path(out: Path, item: ScanItem) -> Path:
    """Return where the quality picture of `item` belongs, in the `figures` folder that BIDS apps use."""
    folder = out / f"sub-{check_id('subject', item.subject_id)}" / "figures"
    return folder / f"{item.stem}_space-{TEMPLATE_SPACE}_desc-qc_T1w.webp"


def sidecar_path(scan: Path) -> Path:
    """Return the JSON beside a preprocessed scan; it is written last, so its presence says that the set is whole."""
    return scan.with_name(scan.name.removesuffix(".nii.gz") + ".json")
