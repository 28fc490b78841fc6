"""How the download trees of studies name scans: whose one is, of which day, and which image."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from adclip.imaging.formats.names import strip_ending

# LONI's image archive: PROJECT/SUBJECT/DESCRIPTION/2005-08-26_06_36_14.0/I7128, with files or one image below
_MOMENT, _IMAGE = re.compile(r"(\d{4}-\d\d-\d\d)_\d\d_\d\d_\d\d(\.\d+)?"), re.compile(r"[IS]\d+")
# ADNI's own ids say the study by themselves; a bare number, as in AIBL and PPMI, needs the project before it
_SAYS_ITS_STUDY = re.compile(r"\d{3}_S_\d{4,5}", re.IGNORECASE)
# Files of LONI without their folders: ADNI_002_S_0295_MR_MPRAGE_..._S13408_I13722
_FLAT = re.compile(r"(?:ADNI_(\d{3}_S_\d{4,5})|(AIBL_\d+))_[A-Z]{2,3}_.*_(I\d+)", re.IGNORECASE)
# OASIS-3: OAS30001_MR_d0129/anat2/..., where the files have BIDS names, mostly
_OASIS_3 = re.compile(r"(OAS3\d{4})_MR_(d\d{4,5})", re.IGNORECASE)
# People's own folders: 002_S_0295/2006-04-18/T1.nii.gz; files called after the visit: 002_S_0295_m06_T1.nii.gz
_DAY, _VISIT = (
    re.compile(r"(\d{4}-\d\d-\d\d)(?:_\d\d_\d\d_\d\d(?:\.\d+)?)?"),
    re.compile(r"bl|sc|m\d{2,3}", re.IGNORECASE),
)
_CALLED = re.compile(r"(\d{3}_S_\d{4,5})(?:_(bl|sc|m\d{2,3}))?(?:[_-](?:T1w?|MPRAGE|MPR))?", re.IGNORECASE)
_BELOW = 4  # folders between a scan and the person's that are looked at
_ABOVE = 3  # folders above a scan of OASIS-3 that are looked at: anat2, NIFTI, the session
# IXI012-HH-1211-T2.nii.gz: other contrasts of the person than the T1
_OTHER_OF_IXI = re.compile(r"IXI\d{3}-[A-Za-z]+-\d{4}-(?:T2|PD|MRA|DTI).*", re.IGNORECASE)


class Archived(NamedTuple):
    """Who a scan is of, and which: `session` is the day and the image where the tree says them, else the study's own session."""

    subject: str
    session: str


def read_archive(path: Path) -> Archived | None:
    """Return what the names of a file and of the folders above it say, or None where no tree is known by them.

    Parameters
    ----------
    path : Path
        A scan file or a folder of DICOM files.

    Returns
    -------
    Archived or None
        `002_S_0295` and `2006-04-18_I13722` for ADNI, `AIBL_7` and `2009-03-02_I123` for AIBL, `OAS30001` and `d0129` for OASIS-3.

    Notes
    -----
    A folder called after a moment alone is anybody's, a backup say; the folders above it are then nobody's name. The time in the
    names of LONI's files is that of the archive, not of the scan, and is not read.
    """
    return _of_tree(path) or _of_flat_name(path) or _of_oasis_3(path)


def read_adni_folder(path: Path) -> Archived | None:
    """Return subject and session of a scan that lies anywhere below a folder called by ADNI's id, or is called by it alone.

    The session is the day or the visit code that a folder in between, or the file, is called by; empty where none is.
    """
    if called := _CALLED.fullmatch(strip_ending(path.name)):
        return Archived(called[1].upper(), (called[2] or "").lower())
    folders = _parts(path)[-_BELOW - 2 : -1]
    for place in range(len(folders) - 1, -1, -1):
        if _SAYS_ITS_STUDY.fullmatch(folders[place]):
            between = (*folders[place + 1 :], strip_ending(path.name))
            days = [match[1] for name in between if (match := _DAY.fullmatch(name))]
            visits = [name.lower() for name in between if _VISIT.fullmatch(name)]
            image = re.search(r"(?:^|_)(I\d{4,})$", between[-1])
            found = [days[0], image[1]] if days and image else days[:1] or visits[:1] or ([image[1]] if image else [])
            return Archived(folders[place].upper(), "_".join(found))
    return None


def is_other_contrast(name: str) -> bool:
    """Whether a file's name says that it is no T1, in a study's own way."""
    return _OTHER_OF_IXI.fullmatch(strip_ending(name)) is not None


def _of_tree(path: Path) -> Archived | None:
    folders = _parts(path)
    for place in range(len(folders) - 1, 3, -1):
        below = strip_ending(folders[place + 1]) if place + 1 < len(folders) else ""
        moment = _MOMENT.fullmatch(folders[place])
        if moment and _IMAGE.fullmatch(below):
            image = re.search(r"_(I\d+)$", strip_ending(path.name))
            project, subject = folders[place - 3], folders[place - 2]
            named = subject if _SAYS_ITS_STUDY.fullmatch(subject) else f"{project}_{subject}"
            return Archived(named, f"{moment[1]}_{image[1] if image else below}")
    return None


def _of_flat_name(path: Path) -> Archived | None:
    match = _FLAT.fullmatch(strip_ending(path.name))
    return Archived((match[1] or match[2]).upper(), match[3].upper()) if match else None


def _of_oasis_3(path: Path) -> Archived | None:
    matches = (_OASIS_3.fullmatch(folder) for folder in reversed(_parts(path)[-_ABOVE - 1 :]))
    match = next(filter(None, matches), None)
    return Archived(match[1].upper(), match[2].lower()) if match else None


def _parts(path: Path) -> tuple[str, ...]:
    return Path(os.path.abspath(path)).parts  # noqa: PTH100  unlike Path.absolute it makes away with `..`
