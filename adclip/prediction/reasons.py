"""What each flag of a prediction means for its reader, and how careful it makes: the one table of flags, sentences and statuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

OK, CAUTION, REFER = "ok", "caution", "refer"
STATUSES = (OK, CAUTION, REFER, "failed")  # the later, the more careful; of a scan that failed nothing is told but that
NO_DETAIL = ""


@dataclass(frozen=True)
class Meaning:
    """What a flag says.

    Parameters
    ----------
    status : str
        The least careful one that a prediction with this flag has: `ok`, `caution` or `refer`.
    sentence : str
        For a reader who knows no flags; `{}` stands where what is known of this very scan is put, in parentheses.
    """

    status: str
    sentence: str

    def about(self, detail: str = NO_DETAIL) -> str:
        """Return the sentence, with what is known of this scan."""
        return self.sentence.replace("{}", f" ({detail})" if detail else "")


# A new flag of a prediction is added here; tests hold docs/reference/outputs.md to this table.
MEANINGS: Mapping[str, Meaning] = {
    "qc_fail": Meaning(REFER, "The scan failed the quality check{}: look at it before you use any number."),
    "qc_warn": Meaning(CAUTION, "The quality check found something doubtful in the scan{}."),
    "unlike_training_scans": Meaning(
        CAUTION, "The scan lies farther from the training scans than 98 in 100 new scans of their kind would: look at the scan and its mask, and trust the probabilities less."
    ),
    "age_outside_training": Meaning(
        CAUTION, "The person's age lies outside the ages of training{}: nothing was learned or measured there."
    ),
    "columns_missing": Meaning(
        CAUTION, "The row lacks columns that the training people had{}: add them if you can, as how good answers are without them was not measured."
    ),
    "columns_averaged": Meaning(OK, "The row lacks columns that the training people had{}: the answer is averaged over what they may be."),
    "row_of_other_subject": Meaning(
        CAUTION, "The only row of the table names another subject than the scan: check that both are of one person."
    ),
    "volumes_of_other_software": Meaning(
        CAUTION, "The reported volumes are of another program than those of training{}: borders differ between programs."
    ),
    "contrast_agent": Meaning(
        CAUTION, "A contrast agent was given: it brightens vessels and some tissue, and training had scans without one."
    ),
    "scan_and_metadata_disagree": Meaning(
        CAUTION, "Scan and metadata contradict each other, with classes equally common: one alone finds the first class likelier than not, the other the last. Check that both are of one person and date."
    ),
    "class_flips_between_rescans": Meaning(
        CAUTION, "The predicted class changes when place, shading, contrast and noise of the prepared scan are changed a little{}."
    ),
    "scan_adds_nothing": Meaning(OK, "The scan adds nothing to the metadata: with it and without it the answer is the same."),
    "constant_answers": Meaning(
        CAUTION, "All scans of the cohort get the same answer, or each a certain one: the model may be broken."
    ),
    "no_prediction_set": Meaning(
        OK, "There is no prediction set: the model had too few calibration subjects of a class to promise one."
    ),
    "not_calibrated": Meaning(
        OK, "Too few calibration subjects had such evidence: the probabilities are those of the raw scores."
    ),
    "no_metadata": Meaning(OK, "Nothing was known of the person: the answer rests on the scan, and on volumes measured in it if the report has any."),
    "no_metadata_row": Meaning(OK, "No row of the table belongs to the scan."),
    "no_report": Meaning(OK, "The row has no column that the model's report prints."),
    "volumes_of_other_version": Meaning(
        OK, "The reported volumes are of another version of adclip's segmenter than those of training, on the same scale."
    ),
    "estimated_volumes": Meaning(OK, "The report has volumes that adclip's own segmenter measured."),
    "bridged_norms": Meaning(
        OK, "The report ranks volumes among norms of another program, to whose scale they were calibrated."
    ),
    "volumes_need_raw_scan": Meaning(OK, "No volumes are shown: they are measured on the raw scan, and only a derivative was given."),
    "volumes_not_plausible": Meaning(OK, "Measured volumes are not reported: no adult brain has such volumes."),
}  # fmt: skip
CAUTION_FLAGS = frozenset(flag for flag, meaning in MEANINGS.items() if meaning.status == CAUTION)
# The verdict of the quality check decides itself: a person may have overruled the flag that the scan brings along.
OF_VERDICT = {"warn": "qc_warn", "fail": "qc_fail"}


def more_careful(one: str, other: str) -> str:
    """Return the more careful of two statuses."""
    return max(one, other, key=STATUSES.index)


def meanings_of(flags: Iterable[str]) -> dict[str, Meaning]:
    """Return the meanings of those flags that say something of the answer; others speak of the file alone."""
    return {flag: MEANINGS[flag] for flag in flags if flag in MEANINGS and flag not in OF_VERDICT.values()}


def notes(flags: Iterable[str]) -> list[str]:
    """Return a sentence for each flag that makes nobody careful and is worth knowing."""
    return [meaning.about() for meaning in meanings_of(flags).values() if meaning.status == OK]
