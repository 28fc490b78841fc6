"""Contrast agents, as names and fields say them; what says that there was none is no agent."""

from __future__ import annotations

import pytest

from adclip.imaging.formats.contrast import described_so, is_named_so, names_agent


@pytest.mark.parametrize(
    "name",
    ["sub-01_ce-gad_T1w", "sub-01_ses-2_ce-Gadobutrol_run-1_T1w", "ce-gd_T1w", "BraTS19_CBICA_t1ce", "x-t1c", "UPENN_1_T1GD", "a_T1_post", "a_postcontrast",
     "sub-01_acq-postgad_T1w", "sub-01_acq-gd_T1w", "sub-1_acq-ce_T1w", "a_T1_POST_GAD_20200304_5", "a_T1_POST_GAD_WITHOUT_FS_5", "x_MPRAGE_+C", "7_3D_T1+C_4", "b_t1_mprage_sag_KM"],
)  # fmt: skip
def test_names_that_say_so(name: str) -> None:
    assert is_named_so(name)


@pytest.mark.parametrize(
    "name",
    ["sub-01_T1w", "sub-01_ce-none_T1w", "sub-01_ce-pre_T1w", "sub-01_ce-without_T1w", "grace-gad", "sub-ce01_T1w", "anna_T1", "x_T1c2", "ct1c0",
     "sub-01_acq-pregad_T1w", "sub-01_acq-nocontrast_T1w", "sub-gad_acq-space_T1w", "sub-01_ses-post_T1w", "gad_T1", "x_T1_pre_gad",
     "anna_T1_post_op", "IXI013-HH-1212-T1"],
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


@pytest.mark.parametrize(
    "words",
    ["POST GAD", "AX T1 +C", "T1+C", "3D T1 C+", "Gd", "t1_mprage_gd", "AX_T1_POST_CONTRAST", "SAG T1 MPRAGE POST", "T1 W/ CONTRAST", "T1 W/CON",
     "T1 NO FS POST GAD", "t1_mpr_sag_KM", "T1 nach KM", "CE T1", "t1_mprage_sag_CE", "contrast-enhanced T1", "T1 gd-dtpa", "T1 post Dotarem",
     "3D T1 with contrast", "SAG 3D T1 inj", "AX T1 POST GAD WITHOUT FS", "AX T1 NON FS POST GAD", "T1 W/O FS +C", "T1 nach KM ohne FS",
     "T1 sans FS apr\u00e8s gado", "NON-FATSAT T1 C+", "T1 W/O FS W/ CONTRAST"],
)  # fmt: skip
def test_words_of_a_series_that_say_so(words: str) -> None:
    assert described_so({"SeriesDescription": words}) is True
    assert names_agent({"SeriesDescription": words, "ContrastBolusVolume": "0"})
    assert not names_agent({"SeriesDescription": words, "ContrastBolusAgent": "NONE"})


@pytest.mark.parametrize(
    "words",
    ["T1 pre contrast", "no contrast", "T1 non-contrast", "T1 w/o contrast", "T1 wo gad", "PRE GAD", "T1 C-", "T1 +/- C", "BRAIN W WO CONTRAST",
     "BRAIN WO W CONTRAST", "T1 WO/W CONTRAST", "T1 WITHOUT/WITH GAD", "T1 W/O & W/ CONTRAST", "T1 without any contrast", "T1 w/o IV contrast",
     "T1 ohne i.v. KM", "T1 sans inj", "T1 no inj", "T1 NON CE", "T1 NO CE", "T1 non-enhanced", "T1 sin medio de contraste", "T1 con y sin contraste",
     "T1 GAD W/O", "PRE/POST GAD", "T1 ohne KM", "T1 nativ", "NoGad", "T1 high contrast", "T1 GDC", "MPRAGE post op", "posterior fossa T1", "MP-RAGE REPEAT",
     "Accelerated Sag IR-FSPGR", "SAG CUBE", "T1 SPACE", "t1_mprage_sag_p2_iso", ""],
)  # fmt: skip
def test_words_of_a_series_that_do_not(words: str) -> None:
    assert described_so({"SeriesDescription": words}) is not True


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"SeriesDescription": "t1_mprage", "ProtocolName": "BRAIN WITH CONTRAST"}, None),  # the whole examination's
        ({"SeriesDescription": "t1_mprage", "ProtocolName": "T1 POST GAD"}, True),
        ({"SeriesDescription": "t1 pre", "ProtocolName": "T1 GAD"}, False),
        ({"ProtocolName": "POST GAD"}, True),
        ({"SeriesDescription": ["x"], "ProtocolName": 5}, None),
        ({}, None),
    ],
)
def test_the_name_of_a_protocol_counts_where_it_is_that_of_the_series(
    fields: dict[str, object], said: bool | None
) -> None:
    assert described_so(fields) is said
