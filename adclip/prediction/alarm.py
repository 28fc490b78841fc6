"""An alarm for a model that gives every scan of a cohort the same answer, or is certain of each: no single scan can show that."""

from __future__ import annotations

from adclip.domain import Prediction
from adclip.prediction.prevalence import shift

CONSTANT = "constant_answers"  # the flag of predictions of such a cohort
FEWEST_SCANS = 8  # fewer can agree by chance
# Largest spread of a class's scan-only probability that counts as none: far above arithmetic (scores on one and two threads differ by
# 1e-6), and far below what could tell two people apart.
SAME = 1e-4
CERTAIN = 0.999  # no calibration set that anybody has could support more


class Alarm:
    """Watches the answers of a cohort as they come; what it keeps does not grow with their number.

    Examples
    --------
    >>> alarm = Alarm()
    >>> for number in range(FEWEST_SCANS):
    ...     alarm.add(Prediction(f"{number}.nii", "ok", scan_only={"CN": 0.2, "AD": 0.8}))
    >>> alarm.verdict()
    'the scan changes nothing: all 8 scans get the same answer within 0.0001'
    """

    def __init__(self) -> None:
        self.count = 0
        self._certain = 0
        self._lowest: dict[str, float] = {}
        self._highest: dict[str, float] = {}

    def add(self, prediction: Prediction) -> None:
        """Take note of one answer; one that failed has none."""
        answer, shares = prediction.scan_only, prediction.prevalence
        if not answer:
            return
        if shares is not None:
            if not all(shares.values()):
                return  # of a class that does not occur nothing is left
            # what the model says is judged, not how rare its user holds a class to be
            answer = shift(answer, {label: 1 / share for label, share in shares.items()})
        self.count += 1
        self._certain += max(answer.values()) >= CERTAIN
        for label, probability in answer.items():
            self._lowest[label] = min(self._lowest.get(label, probability), probability)
            self._highest[label] = max(self._highest.get(label, probability), probability)

    def verdict(self) -> str | None:
        """Say what is wrong with the cohort's answers so far; None where nothing is, or they are too few to tell.

        What the scan alone says is judged: with a row of its own for each scan even a blind network gives different answers.
        """
        if self.count < FEWEST_SCANS:
            return None
        spread = max(self._highest[label] - self._lowest[label] for label in self._highest)
        if spread <= SAME:
            return f"the scan changes nothing: all {self.count} scans get the same answer within {SAME:g}"
        if self._certain == self.count:
            return f"the model is certain of everything: each of {self.count} scans has a class of {CERTAIN:g} or more"
        return None
