"""Who is simulated, how the scans look, what the tables hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from adclip.errors import ConfigError
from adclip.settings.setting import Setting, Settings
from adclip.settings.shared import Model, OutFolder, Overwrite, Seed, Workers

APPEARANCES = ("mild", "medium", "wild")  # the keys of simulation.paint.LOOKS
CONTRASTS = ("t1", "ct")
MOST_SUBJECTS = 9999  # ids have four digits
FINEST_MM, WIDEST_MM, THICKEST_MM = 0.5, 3, 10  # no scanner's voxels are beyond


# fmt: off
# The formatter would spread a setting over seven lines; here it stands on one or two.
@dataclass(frozen=True)
class Place(Settings):
    """Where the cohort goes."""

    out: OutFolder


@dataclass(frozen=True)
class People(Settings):
    """Who is simulated."""

    SECTION: ClassVar[str] = "Who is simulated"

    subjects: Annotated[int, Setting("Number of people; ids have four digits.", at_least=1, at_most=MOST_SUBJECTS)] = 20
    visits: Annotated[int, Setting("Visits of each person; some do not happen, see --dropout.", at_least=1)] = 1
    interval_months: Annotated[int, Setting("Months between visits.", metavar="MONTHS", flags=("--interval",), unit="months",
        at_least=1)] = 12
    wide_age: Annotated[bool, Setting("Ages 20-95 instead of the clinical range.")] = False
    labels: Annotated[Path | None, Setting("Whole-head label maps (FreeSurfer codes) to make the heads of.", metavar="FOLDER",
        show_default="the template")] = None


@dataclass(frozen=True)
class Looks(Settings):
    """How the scans look."""

    SECTION: ClassVar[str] = "How the scans look"

    preprocessed: Annotated[bool, Setting("Write volumes that are ready for finetune, instead of raw heads.")] = False
    model: Model = "builtin"
    appearance: Annotated[str, Setting("Range of contrast, noise and artefacts.", choices=APPEARANCES)] = "medium"
    contrast: Annotated[str, Setting("MRI, or numbers like those of CT.", choices=CONTRASTS)] = "t1"
    sites: Annotated[int, Setting("Scanners that the people are spread over at random.", at_least=1)] = 4
    spacing_mm: Annotated[float, Setting("In-plane voxel size of raw heads.", metavar="MM", flags=("--spacing",), unit="mm",
        at_least=FINEST_MM, at_most=WIDEST_MM)] = 1.0
    thickness_mm: Annotated[float | None, Setting("Slice thickness of raw heads.", metavar="MM", flags=("--thickness",), unit="mm",
        at_least=FINEST_MM, at_most=THICKEST_MM, show_default="each scanner's own")] = None
    defaced: Annotated[float, Setting("Share of raw heads without face.", metavar="SHARE", at_least=0, at_most=1)] = 0.0
    stripped: Annotated[float, Setting("Share of raw heads without skull.", metavar="SHARE", at_least=0, at_most=1)] = 0.0

    def check_together(self) -> None:
        """Refuse slices that are thinner than their voxels are wide."""
        super().check_together()
        if self.thickness_mm is not None and self.thickness_mm < self.spacing_mm:
            raise ConfigError.bad_value("--thickness", f"must be between --spacing and {THICKEST_MM} mm")


@dataclass(frozen=True)
class Rows(Settings):
    """What the tables hold."""

    SECTION: ClassVar[str] = "What the tables hold"

    missing: Annotated[float, Setting("Share of cells without value.", metavar="SHARE", at_least=0, at_most=1)] = 0.05
    dropout: Annotated[float, Setting("Share of later visits that did not happen.", metavar="SHARE", at_least=0, at_most=1)] = 0.08
    measured: Annotated[bool, Setting("Measure each scan with adclip's segmenter too, for measured.tsv and table-measured.csv.")] = True


@dataclass(frozen=True)
class Work(Settings):
    """How the work is done; none of it but the seed changes a byte."""

    seed: Seed = 0
    workers: Workers = 1
    overwrite: Overwrite = False


@dataclass(frozen=True)
class SimulateConfig(Work, Rows, Looks, People, Place):  # fields stand in the order of the last base to the first
    """Settings of `adclip simulate`."""

    @property
    def measures(self) -> bool:
        """Whether scans are measured: the segmenter reads T1 only."""
        return self.measured and self.contrast == "t1"
