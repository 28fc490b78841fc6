"""One table of flags: what each makes of a status, what it says, and that the reference page says the same."""

from __future__ import annotations

import re

import pytest

from adclip.domain import Prediction
from adclip.prediction.answer import with_flags, with_verdict
from adclip.prediction.reasons import CAUTION_FLAGS, MEANINGS, STATUSES, Meaning, more_careful, notes

PLAIN = Prediction("x.nii", "ok")


def test_a_flag_makes_a_status_as_careful_as_the_table_says_and_never_less():
    for flag in CAUTION_FLAGS - {"qc_warn"}:
        found = with_flags(PLAIN, [flag])
        assert found.status == "caution" and found.reasons == (MEANINGS[flag].about(),)
        assert with_flags(Prediction("x.nii", "refer"), [flag]).status == "refer"
    harmless = [flag for flag, meaning in MEANINGS.items() if meaning.status == "ok"]
    found = with_flags(PLAIN, [*harmless, "thick_slices"])
    assert found.status == "ok" and found.reasons == () and set(harmless) <= set(found.flags)
    assert len(notes([*harmless, "contrast_agent", "thick_slices"])) == len(harmless)


def test_a_flag_is_told_once_however_often_it_comes():
    once = with_flags(PLAIN, {"contrast_agent": ""})
    assert with_flags(once, ["contrast_agent", "contrast_agent"]) == once


def test_reasons_say_what_is_known_of_this_scan():
    found = with_flags(PLAIN, {"age_outside_training": "55 to 90 years", "columns_missing": "apoe4_count"})
    first, second = found.reasons
    assert "(55 to 90 years)" in first and "(apoe4_count)" in second
    assert found.to_dict()["reasons"] == [first, second] and found.to_dict()["flags"] == list(found.flags)
    for meaning in MEANINGS.values():
        assert "{}" not in meaning.about() and "{}" not in meaning.about("x") and ";" not in meaning.sentence


@pytest.mark.parametrize(("verdict", "status"), [("pass", "ok"), (None, "ok"), ("warn", "caution"), ("fail", "refer")])
def test_the_verdict_decides_and_not_the_flag_that_a_person_overruled(verdict, status):
    found = with_flags(with_verdict(PLAIN, verdict, ("noise",)), ["qc_fail", "qc_overridden"])
    assert found.status == status
    assert len(found.reasons) == (status != "ok") and all("(noise)" in reason for reason in found.reasons)


def test_the_most_careful_status_wins_in_any_order():
    for one in STATUSES:
        for other in STATUSES:
            assert more_careful(one, other) == more_careful(other, one) == max(one, other, key=STATUSES.index)
    assert with_flags(Prediction("x.nii", "failed"), ["contrast_agent"]).status == "failed"
    both = with_flags(with_verdict(PLAIN, "fail", ()), ["contrast_agent"])
    assert both.status == "refer" and len(both.reasons) == 2


def test_the_reference_page_has_every_flag_with_its_sentence_and_status(repository):
    page = (repository / "docs" / "reference" / "outputs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| `(ok|caution|refer)` \|$", page, re.MULTILINE)
    told = {flag: Meaning(status, sentence.replace("(...)", "{}")) for flag, sentence, status in rows}
    wanted = {
        flag: Meaning(meaning.status, meaning.about("...").replace("(...)", "{}")) for flag, meaning in MEANINGS.items()
    }
    assert told == wanted
