"""From what was measured of a map to flags and one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from adclip.explanation.faithfulness.record import Curves, Randomised, Stability, Verdict
from adclip.explanation.flags import (
    DISAGREE,
    NO_BETTER_THAN_CHANCE,
    ONE_WAY_ALONE,
    SAME_FOR_ANY_TEXT,
    SAME_WITHOUT_WEIGHTS,
    UNCERTAIN,
    UNSTABLE,
)

ALIKE = 0.5  # Spearman; above it a map without the weights is the same map, below it a rescan's is another
NOT_MEASURED = "not measured (--faithfulness off)"
NOTHING_TO_SEE = "there is no map: the method finds nothing in the scan that speaks for this"


def flags_of(
    curves: Sequence[Curves], randomised: Sequence[Randomised] = (), rescans: Stability | None = None
) -> tuple[str, ...]:
    """Return what makes a map doubtful.

    Parameters
    ----------
    curves : sequence of Curves
        One for each reference image.
    randomised : sequence of Randomised
    rescans : Stability or None
    """
    flags = []
    gains = [(one.deletion_gain, one.insertion_gain) for one in curves]
    estimates = [gain.estimate for pair in gains for gain in pair]
    # the sign of either gain hangs on what takes the place of a patch
    turned = any(
        min(column) <= 0 < max(column) for column in zip(*([g.estimate for g in pair] for pair in gains), strict=True)
    )
    if estimates and max(estimates) <= 0:
        flags.append(NO_BETTER_THAN_CHANCE)
    elif turned:
        flags.append(DISAGREE)
    elif estimates and min(estimates) <= 0:
        flags.append(ONE_WAY_ALONE)
    elif not all(gain.beats == gain.of for pair in gains for gain in pair):
        flags.append(UNCERTAIN)
    if randomised and randomised[-1].agreement > ALIKE:
        flags.append(SAME_WITHOUT_WEIGHTS)
    if rescans is not None and rescans.median < ALIKE:
        flags.append(UNSTABLE)
    return tuple(flags)


def to_verdict(flags: Sequence[str], curves: Sequence[Curves], *, is_flat: bool) -> Verdict:
    """Say whether a map can be believed."""
    if is_flat:
        return Verdict(False, NOTHING_TO_SEE)
    if SAME_FOR_ANY_TEXT in flags:
        return Verdict(False, "no: this model looks at the same places whatever the text says")
    if not curves:
        return Verdict(None, NOT_MEASURED)
    orders = curves[0].deletion_gain.of
    if NO_BETTER_THAN_CHANCE in flags:
        return Verdict(False, "no: patches that it marks move the number no more than patches taken at random")
    if DISAGREE in flags:
        return Verdict(False, "no: whether patches that it marks matter hangs on what they are replaced by")
    if ONE_WAY_ALONE in flags:
        way = "are taken away" if curves[0].deletion_gain.estimate > 0 else "are put back"
        return Verdict(False, f"no: patches that it marks move the number more than random ones only if they {way}")
    if SAME_WITHOUT_WEIGHTS in flags:
        return Verdict(False, "no: it looks the same when the model's weights are drawn anew")
    if UNSTABLE in flags:
        return Verdict(False, "no: a rescan of the same head would give another map")
    if UNCERTAIN in flags:
        return Verdict(
            None,
            f"a little: patches that it marks move the number more than {orders} random orders do on average, but not more than each",
        )
    return Verdict(
        True,
        f"as far as this can be tested: patches that it marks move the number more than each of {orders} random orders",
    )
