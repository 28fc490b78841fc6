"""Command lines that mend a scan, for the hints of errors: each runs as it stands, with what adclip itself needs."""

from __future__ import annotations

import shlex
from pathlib import Path

_READ, _WRITE = "import nibabel as n,sys; i=n.load(sys.argv[1])", "n.save(i,sys.argv[2])"


def drop_form(path: Path | str, form: str) -> str:
    """Return a line that writes a copy without `sform` or `qform`, with the voxel sizes of the other one."""
    other = {"sform": "qform", "qform": "sform"}[form]
    code = f"{_READ}; n.save(n.Nifti1Image(i.dataobj,i.get_{other}(),dtype=i.get_data_dtype()),sys.argv[2])"
    return _line(path, code, f"without-{form}.nii.gz")


def drop_directions(path: Path | str) -> str:
    """Return a line that writes a copy whose header says no orientation, so that `--orientation` counts."""
    return _line(path, f"{_READ}; i.set_sform(None,0); i.set_qform(None,0); {_WRITE}", "no-directions.nii.gz")


def resize(path: Path | str, factor: float) -> str:
    """Return a line that writes a copy whose voxels are `factor` times as large along each axis."""
    code = f"{_READ}; m=i.affine.copy(); m[:3]*=float(sys.argv[3]); {_WRITE.replace('(i,', '(n.Nifti1Image(i.get_fdata(),m),')}"
    return _line(path, code, f"resized.nii.gz {factor:g}")


def clear_above(path: Path | str, limit: float) -> str:
    """Return a line that writes a copy in which voxels beyond `limit`, to either side of 0, are 0."""
    code = (
        f"{_READ}; a=i.get_fdata(); a[abs(a)>float(sys.argv[3])]=0; "
        "n.save(n.Nifti1Image(a.astype('f4'),i.affine),sys.argv[2])"
    )
    return _line(path, code, f"cleared.nii.gz {limit:g}")


def clear_nan(path: Path | str) -> str:
    """Return a line that writes a copy in which voxels that are no finite number are 0."""
    code = (
        "import nibabel as n,numpy as p,sys; i=n.load(sys.argv[1]); a=i.get_fdata(); a[~p.isfinite(a)]=0; "
        "n.save(n.Nifti1Image(a.astype('f4'),i.affine),sys.argv[2])"
    )
    return _line(path, code, "cleared.nii.gz")


def first_volume(path: Path | str) -> str:
    """Return a line that writes the first 3D image of a series; the last number says which."""
    code = (
        "import nibabel as n,numpy as p,sys; i=n.load(sys.argv[1]); "
        "a=p.asarray(i.dataobj).reshape(*i.shape[:3],-1)[...,int(sys.argv[3])]; n.save(n.Nifti1Image(a.astype('f4'),i.affine),sys.argv[2])"
    )
    return _line(path, code, "volume.nii.gz 0")


def mask_air(path: Path | str) -> str:
    """Return a line that sets a UNI image to 0 wherever the second inversion, `INV2.nii.gz`, has no signal."""
    code = (
        "import nibabel as n,sys; u,v=map(n.load,sys.argv[1:3]); a=v.get_fdata(); "
        "n.save(n.Nifti1Image((u.get_fdata()*(a>.1*a.max())).astype('f4'),u.affine),sys.argv[3])"
    )
    return _line(path, code, "INV2.nii.gz UNI-masked.nii.gz")


def show_series(path: Path | str) -> str:
    """Return a line that prints number and description of every DICOM series of a folder."""
    code = (
        "import pydicom as d,pathlib as p,sys; h=[d.dcmread(f,stop_before_pixels=True,force=True) for f in p.Path(sys.argv[1]).iterdir() if f.is_file()]; "
        "print(*sorted({(str(i.get('SeriesNumber')),str(i.get('SeriesDescription'))) for i in h}),sep=chr(10))"
    )
    return _line(path, code)


def let_through(path: Path | str, subject: str = "SUBJECT") -> str:
    """Return the command that prepares a scan whatever it looks like; what it writes is read by every other command."""
    return f"`adclip preprocess {shlex.quote(str(path))} --out derivatives --override {subject}=pass`"


def _line(path: Path | str, code: str, *arguments: str) -> str:
    words = (f'python -c "{code}"', shlex.quote(str(path)), *arguments)
    return f"`{' '.join(words)}`"
