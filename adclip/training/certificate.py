"""Proof, before the first step, that nothing of the answer is in the input and nobody stands on two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adclip.clinical.scans.splits import prove_disjoint
from adclip.clinical.tables.people import count_people
from adclip.domain import InputContract
from adclip.model.leak_record import InputsUnchanged, LeakCertificate
from adclip.prediction.dataset import Cohort
from adclip.training import errors
from adclip.training.alike import FEWEST, most_alike

# Correlation of two scans, one laid over the other (`alike`), above which two people are taken for one. Measured by
# tests/benchmarks/bench_certificate.py, each scan under an id of its own; intervals are Wilson's, 95 %:
#   second visits of 70 simulated people, a year later on another scanner, otherwise aligned: 2 missed, 3 % (1 to 10), of which 1 at
#   the first look; of the others the lowest is 0.46, the median 0.64. Of 28 people made of 16 label maps: none, 0 % (0 to 12), lowest
#   0.61. Pseudo-rescans of 10 IXI heads: none of 60, 0 % (0 to 6), lowest 0.83.
#   different people: none of 9660 pairs (up to 0.04 %), of 1512 (0.25 %), of 6811 (0.06 %); highest 0.28, 0.35 and 0.20. The
#   0.35 are two simulated people of one label map.
# These with the mean of all heads taken away. With what heads have in common taken away contrast by contrast, as `alike` does now: of 28 second visits
# none missed, 0 % (0 to 12), lowest 0.46; different people at most 0.20, and 0.34 among 220 simulated in wild contrasts (0.50 before).
# The correlation as they lie, in cells of 10 mm with a limit of 0.8, missed 68 of the 70 and 26 of the 28.
NEAR_DUPLICATE = 0.42
NEARLY_EQUAL = 0.9995  # of the plain correlation, where there are too few people to know what heads have in common


def certify(
    cohort: Cohort, parts: Mapping[str, Sequence[int]], contract: InputContract, unchanged: InputsUnchanged
) -> LeakCertificate:
    """Check a cohort and its division, and return what was checked.

    Parameters
    ----------
    cohort : Cohort
    parts : mapping of str to sequence of int
        Part -> places in the cohort.
    contract : InputContract
        Of the cohort's grid.
    unchanged : InputsUnchanged
        What was the same when the tables were read with other answers; it is part of what is returned.

    Returns
    -------
    LeakCertificate

    Raises
    ------
    LeakError
        If a person is in two parts under whatever ids, or two people have nearly the same scan.
    """
    prove_disjoint({part: {cohort.visits[place].subject_id for place in places} for part, places in parts.items()})
    alike, pair = most_alike(cohort, contract)
    limit = near_duplicate_limit(cohort)
    if alike > limit:
        raise errors.near_duplicates(*pair, alike)
    return LeakCertificate(
        subjects={part: count_people(cohort.visits[p].subject_id for p in places) for part, places in parts.items()},
        scans={part: len(places) for part, places in parts.items()},
        largest_correlation=None if alike < -1 else round(alike, 4),
        near_duplicate_above=limit,
        reports_unchanged=unchanged.scans,
        inputs_unchanged=unchanged,
    )


def near_duplicate_limit(cohort: Cohort) -> float:
    """Return the correlation above which two scans are taken for one person's; see NEAR_DUPLICATE."""
    return NEAR_DUPLICATE if count_people(visit.subject_id for visit in cohort.visits) >= FEWEST else NEARLY_EQUAL
