"""Where the golden tables are: the same visits as each study and program writes them."""

from __future__ import annotations

from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "clinical" / "golden"
# name -> how the table is recognised, its files below GOLDEN
STUDIES = {
    "canonical": ("canonical", ["canonical/visits.csv"]),
    "ADNIMERGE": ("adnimerge", ["adnimerge/ADNIMERGE.csv", "adnimerge/supplement.csv"]),
    "AIBL": ("aibl", ["aibl"]),
    "OASIS-1": ("oasis1", ["oasis1/oasis_cross-sectional.csv", "oasis1/supplement.csv"]),
    "OASIS-2": ("oasis2", ["oasis2/oasis_longitudinal.csv", "oasis2/supplement.csv"]),
    "OASIS-3": ("oasis3", ["oasis3"]),
    "BIDS": ("bids", ["bids", "bids-supplement.csv"]),
    "FreeSurfer": ("freesurfer", ["freesurfer"]),
    "SynthSeg": ("synthseg", ["synthseg/volumes.csv", "synthseg/supplement.csv"]),
    "DLMUSE": ("dlmuse", ["dlmuse/supplement.csv", "dlmuse/DLMUSE_Volumes.csv"]),
}
