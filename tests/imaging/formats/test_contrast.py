"""Contrast agents, as names and fields say them; what says that there was none is no agent."""

from __future__ import annotations

import pytest

from adclip.imaging.formats.contrast import is_named_so, names_agent


@pytest.mark.parametrize(
    "name",
    ["sub-01_ce-gad_T1w", "sub-01_ses-2_ce-Gadobutrol_run-1_T1w", "ce-gd_T1w", "BraTS19_CBICA_t1ce", "x-t1c", "UPENN_1_T1GD", "a_T1_post", "a_postcontrast"],
)  # fmt: skip
def test_names_that_say_so(name: str) -> None:
    assert is_named_so(name)


@pytest.mark.parametrize(
    "name",
    ["sub-01_T1w", "sub-01_ce-none_T1w", "sub-01_ce-pre_T1w", "sub-01_ce-without_T1w", "grace-gad", "sub-ce01_T1w", "anna_T1", "x_T1c2", "ct1c0"],
)  # fmt: skip
def test_names_that_do_not(name: str) -> None:
    assert not is_named_so(name)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"ContrastBolusAgent": "Dotarem"}, True),
        ({"ContrastBolusAgent": ["Gadovist", ""]}, True),
        ({"ContrastBolusIngredient": "GADOLINIUM"}, True),
        ({"ContrastBolusIngredient": "gadolinium", "ContrastBolusAgent": ""}, True),
        ({"ContrastBolusVolume": 7.5}, True),
        ({"ContrastBolusTotalDose": "0.1"}, True),
        ({"ContrastBolusAgent": "NOVA-GD"}, True),
        ({"ContrastBolusAgent": "NONE", "ContrastBolusVolume": "15"}, False),
        ({"ContrastBolusAgent": "no contrast"}, False),
        ({"ContrastBolusAgent": " n/a "}, False),
        ({"ContrastBolusAgent": None, "ContrastBolusVolume": "0.0"}, False),
        ({"ContrastBolusVolume": "n/a"}, False),
        ({"ContrastBolusRoute": "IV"}, False),
        ({}, False),
    ],
)
def test_fields(fields: dict[str, object], found: bool) -> None:
    assert names_agent(fields) is found
