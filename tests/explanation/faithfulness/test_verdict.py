"""From what was measured to flags and one sentence."""

from __future__ import annotations

import re

import pytest

from adclip.explanation.faithfulness.record import Curves, Gain, Randomised, Stability
from adclip.explanation.faithfulness.verdict import NOT_MEASURED, NOTHING_TO_SEE, flags_of, to_verdict


def curves(deletion: float, insertion: float, beats: int = 8, reference: str = "healthy heads") -> Curves:
    gains = [Gain(value, value - 1, value + 1, beats, 8) for value in (deletion, insertion)]
    return Curves(reference, (0.5,), (0.0,), (0.0,), ((0.0,),) * 8, ((0.0,),) * 8, *gains)


GOOD = (curves(1.0, 2.0), curves(0.5, 0.1, reference="a blurred scan"))
LOST, KEPT = (Randomised("projection", 0.9), Randomised("patch embedding", 0.1)), (Randomised("patch embedding", 0.6),)
STEADY, CHANGING = Stability(0.9, 0.2, 8), Stability(0.4, 0.1, 8)


@pytest.mark.parametrize(
    ("measured", "randomised", "rescans", "flags", "believed", "words"),
    [
        (GOOD, (), None, (), True, "as far as this can be tested.*each of 8 random orders"),
        (GOOD, LOST, STEADY, (), True, "as far as this can be tested"),
        ((curves(1.0, 2.0), curves(0.5, 0.1, beats=7)), LOST, STEADY, ("map_not_surely_better_than_chance",), None, "a little"),
        ((curves(-1.0, -2.0), curves(-0.1, 0.0)), (), None, ("map_no_better_than_chance",), False, "no: .*no more than patches taken at random"),
        ((curves(-1.0, 2.0), curves(1.0, 0.0)), (), None, ("references_disagree",), False, "hangs on what they are replaced by"),
        ((curves(1.0, 0.0),), (), None, ("map_better_than_chance_one_way_alone",), False, "only if they are taken away$"),
        ((curves(-0.1, 2.0), curves(0.0, 1.0)), (), None, ("map_better_than_chance_one_way_alone",), False, "only if they are put back$"),
        ((curves(1.0, -0.1), GOOD[1]), (), None, ("references_disagree",), False, "hangs on what they are replaced by$"),
        ((GOOD[0], curves(-0.1, 1.0)), (), None, ("references_disagree",), False, "hangs on what they are replaced by$"),
        (GOOD, KEPT, None, ("map_hangs_little_on_weights",), False, "no: .*weights are drawn anew"),
        (GOOD, LOST, CHANGING, ("map_changes_between_rescans",), False, "no: a rescan"),
        (GOOD, KEPT, CHANGING, ("map_hangs_little_on_weights", "map_changes_between_rescans"), False, "no: .*weights"),
        ((), (), None, (), None, "not measured"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_map(measured, randomised, rescans, flags, believed, words):
    found = flags_of(measured, randomised, rescans)
    assert found == flags
    verdict = to_verdict(found, measured, is_flat=False)
    assert verdict.believed is believed
    assert re.search(words, verdict.words), verdict.words


def test_no_map_is_no_map_whatever_else_was_measured():
    for measured in ((), GOOD):
        assert to_verdict((), measured, is_flat=True).words == NOTHING_TO_SEE
        assert to_verdict((), measured, is_flat=True).believed is False
    assert to_verdict((), (), is_flat=False).words == NOT_MEASURED


def test_weights_are_judged_by_the_last_step_and_exactly_half_is_not_alike():
    assert flags_of(GOOD, (Randomised("a", 1.0), Randomised("b", 0.5)), Stability(0.5, -1.0, 8)) == ()
