"""Relevance by region: what is planted in a region is told of it, shares are the whole, and nothing is divided by nothing."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from tiny import CONTRACT

from adclip.config import SMALL
from adclip.explanation.region_table import region_table, to_tsv
from adclip.explanation.region_words import HEADERS, to_page_cells, to_sentences
from adclip.imaging.volumes.partition import partition

GRID = SMALL.contract
SHARES = ("relevance_share", "volume_share", "absolute_share")


def region_of(key, contract=GRID):
    parts = partition(contract)
    place = [region.key for region in parts.regions].index(key)
    return parts.shares[[place]].toarray().reshape(contract.shape_xyz)


@pytest.fixture(scope="module")
def brain():
    parts = partition(GRID)
    inside = [not region.key.startswith("rest") for region in parts.regions]
    return (parts.shares[inside].sum(axis=0) > 0.5).reshape(GRID.shape_xyz)


def by_key(rows):
    return {row.region.key: row for row in rows}


def cells_of(tsv):
    header, *lines = [line.split("\t") for line in tsv.splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def volumes(**centiles):
    return {
        f"{name}_mm3": {"mm3": 3000.0, "centile": centile, "centile_beyond": centile in (5.0, 95.0)}
        for name, centile in centiles.items()
    }


def test_what_is_planted_in_a_region_is_told_of_it(brain):
    own = region_of("hippocampus_right") > 0.99
    signed = np.where(own, 2.0, 0.0)
    signed[region_of("amygdala_left") > 0.99] = -1.0
    rows = region_table(signed, brain, GRID)
    first, found = rows[0], by_key(rows)
    assert first.region.key == "hippocampus_right" and first.relevance_share == pytest.approx(1, abs=0.01)
    assert first.ratio == pytest.approx(1 / first.volume_share, rel=0.01) and first.ratio > 100
    assert first.relevance_asymmetry == pytest.approx(-1) == found["hippocampus_left"].relevance_asymmetry
    against = found["amygdala_left"]
    assert against.relevance_share == pytest.approx(0, abs=1e-3) and against.mean_signed < -0.1
    assert against.peak == -1.0 and against.peak_mm[0] < 0
    weight = (own.sum() * 2, (signed < 0).sum())
    assert against.absolute_share == pytest.approx(weight[1] / sum(weight), rel=0.02)


def test_the_peak_has_its_place_in_millimetres(brain):
    signed = 0.1 * brain.astype(float)
    voxel = np.argwhere(region_of("hippocampus_left") > 0.9)[7]
    signed[tuple(voxel)] = 3.5
    row = by_key(region_table(signed, brain, GRID))["hippocampus_left"]
    assert row.peak == 3.5
    assert row.peak_mm == pytest.approx(tuple(GRID.affine_xyz[:3, :3] @ voxel + GRID.affine_xyz[:3, 3]))


@pytest.mark.parametrize("contract", [GRID, CONTRACT], ids=["small", "tiny"])
def test_shares_sum_to_one_exactly_as_printed(contract):
    rng = np.random.default_rng(3)
    for _ in range(5):
        mask = rng.random(contract.shape_xyz) < 0.6
        cells = cells_of(to_tsv(region_table(rng.standard_normal(contract.shape_xyz), mask, contract)))
        for column in SHARES:
            assert sum(Decimal(row[column]) for row in cells if row[column] != "n/a") == 1, column
        assert all(0 <= Decimal(row[column]) <= 1 for row in cells for column in SHARES if row[column] != "n/a")


def test_an_even_map_is_at_chance_in_every_region(brain):
    rows = region_table(np.full(GRID.shape_xyz, 0.3), brain, GRID)
    assert all(row.ratio == pytest.approx(1) for row in rows if row.ratio is not None)
    assert all(row.mean_signed == pytest.approx(0.3) for row in rows if row.mean_signed is not None)
    assert sum(row.volume_share for row in rows) == pytest.approx(1)


def test_what_lies_outside_the_brain_does_not_count(brain):
    inside = np.where(region_of("precuneus_left") > 0.5, 1.0, 0.0)
    shout = np.where(brain, inside, 1e6)
    assert to_tsv(region_table(shout, brain, GRID)) == to_tsv(region_table(inside, brain, GRID))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_map_without_relevance_has_zeros_and_no_number_that_is_none(brain, value):
    tsv = to_tsv(region_table(np.full(GRID.shape_xyz, value), brain, GRID))
    assert "nan" not in tsv.lower() and "inf\t" not in tsv and "None" not in tsv
    for row in cells_of(tsv):
        if row["relevance_share"] != "n/a":
            assert float(row["relevance_share"]) == 0 and row["ratio_to_chance"] == row["relevance_asymmetry"] == "n/a"
            assert (row["peak_x_mm"] == "n/a") is (value == 0)
    rows = region_table(np.zeros(GRID.shape_xyz), brain, GRID)
    assert to_sentences(rows) == ["The map is flat: no region holds any relevance."]
    assert {to_page_cells(row)[1] for row in rows} == {"0.0%"} and {to_page_cells(row)[3] for row in rows} == {"n/a"}


def test_a_region_without_a_voxel_and_an_empty_brain_are_told_as_unknown(brain):
    blind = brain & ~(region_of("fourth_ventricle") > 0)
    row = next(r for r in cells_of(to_tsv(region_table(brain * 1.0, blind, GRID))) if r["region"] == "fourth_ventricle")
    assert row["relevance_share"] == row["mean_signed"] == row["peak"] == row["ratio_to_chance"] == "n/a"
    assert float(row["volume_share"]) == 0
    empty = cells_of(to_tsv(region_table(brain * 1.0, np.zeros_like(brain), GRID)))
    assert {row["relevance_share"] for row in empty} == {"n/a"}


def test_numbers_that_are_none_in_a_map_do_not_spread(brain):
    signed = np.where(region_of("insula_left") > 0.9, 1.0, 0.0)
    signed[0, 0, 0] = signed[40, 48, 40] = np.nan
    assert region_table(signed, brain, GRID)[0].region.key == "insula_left"


def test_the_columns_that_were_there_come_first_and_names_are_unique(brain):
    tsv = to_tsv(region_table(brain * 1.0, brain, GRID))
    assert tsv.splitlines()[0].split("\t")[:6] == [
        "region", "relevance_share", "volume_share", "ratio_to_chance", "side", "source",
    ]  # fmt: skip
    names = [row["region"] for row in cells_of(tsv)]
    assert len(set(names)) == len(names) == 88
    assert {"hippocampus_left", "entorhinal_right", "fusiform_left", "middle_temporal_right"} <= set(names)


def test_the_scans_own_structures_are_told_as_such(brain):
    share = np.ones((10, 10, 10), np.float32)
    affine = np.eye(4)
    affine[:3, 3] = (-30, -25, -20)
    signed = np.zeros(GRID.shape_xyz)
    low = np.rint(np.linalg.inv(GRID.affine_xyz) @ [-26, -21, -16, 1])[:3].astype(int)
    signed[tuple(slice(place, place + 1) for place in low)] = 1.0
    row = region_table(signed, brain, GRID, structures={"amygdala_left": (share, affine)})[0]
    assert (row.region.key, row.region.source) == ("amygdala_left", "this scan")
    template = region_table(signed, brain, GRID)[0]
    assert template.region.key != "amygdala_left" and template.region.source == "template"


# ------------------------------------------------------------------------------------------------ beside the volumes


def test_volumes_stand_beside_the_relevance_of_the_same_side(brain):
    measured = volumes(hippocampus_left=50.0, hippocampus_right=4.0, hippocampus=20.0)
    measured["hippocampus_left_mm3"]["mm3"] = 5000.0
    found = by_key(region_table(brain * 1.0, brain, GRID, volumes=measured))
    assert (found["hippocampus_right"].mm3, found["hippocampus_right"].centile) == (3000.0, 4.0)
    assert found["hippocampus_left"].volume_asymmetry == pytest.approx((5000 - 3000) / 8000)
    assert found["insula_left"].mm3 is None and found["insula_left"].volume_asymmetry is None


def planted(**values):
    return sum(value * region_of(key) for key, value in values.items())


def test_a_sentence_joins_relevance_and_size(brain):
    measured = volumes(hippocampus_right=4.0, entorhinal=12.0, ventricles=95.0)
    rows = region_table(
        planted(hippocampus_right=2.0, entorhinal_left=3.0, third_ventricle=9.0), brain, GRID, volumes=measured
    )
    text = " ".join(to_sentences(rows, measured))
    assert f"right hippocampus: 4th centile, {100 * rows[0].relevance_share:.0f} % of the relevance" in text
    assert "left entorhinal: both sides together 12th centile" in text
    assert "third ventricle" not in text  # the two before it hold most
    assert "usual size" not in text
    only = region_table(planted(third_ventricle=1.0), brain, GRID, volumes=measured)
    assert to_sentences(only, measured)[0].startswith(
        "third ventricle: all ventricles together above the 95th centile, "
    )


def test_a_relevant_region_of_usual_size_is_told_with_care(brain):
    signed = planted(hippocampus_left=1.0)
    usual, small = (region_table(signed, brain, GRID, volumes=volumes(hippocampus_left=c)) for c in (48.0, 4.0))
    assert "of usual size for age and sex" in to_sentences(usual)[-1]
    assert not any("usual size" in text for text in to_sentences(small))
    two = region_table(
        planted(insula_left=1.0, hippocampus_left=1.0), brain, GRID, volumes=volumes(hippocampus_left=48.0)
    )
    assert two[0].region.key == "insula_left"
    assert to_sentences(two)[-1].startswith(
        "The most relevant region that was measured, the left hippocampus, is of usual"
    )
    unknown = region_table(signed, brain, GRID)
    assert to_sentences(unknown) == [
        f"left hippocampus: {100 * unknown[0].relevance_share:.0f} % of the relevance ({unknown[0].ratio:.1f} times chance)."
    ]


def test_what_speaks_against_it_is_told(brain):
    rows = region_table(
        planted(insula_left=1.0, hippocampus_left=-3.0), brain, GRID, volumes=volumes(hippocampus_left=95.0)
    )
    assert any(
        text.startswith("left hippocampus: above the 95th centile, speaks against it") for text in to_sentences(rows)
    )


def test_a_region_that_speaks_both_ways_is_told_once(brain):
    half = planted(hippocampus_left=1.0)
    x = np.arange(GRID.shape_xyz[1])[:, None]
    middle = np.argwhere(half > 0)[:, 1].mean()
    text = to_sentences(region_table(np.where(x > middle, half, -3 * half), brain, GRID))
    assert sum("left hippocampus" in sentence for sentence in text) == 1
    assert text[0].endswith("times chance), and more that speaks against it.")


def test_a_map_without_a_place_is_told_so(brain):
    text = " ".join(to_sentences(region_table(planted(white_matter_left=1.0, white_matter_right=1.0), brain, GRID)))
    assert "names no place well" in text


def test_rows_of_the_page_are_the_whole(brain):
    rows = region_table(brain * np.random.default_rng(0).random(brain.shape), brain, GRID)
    cells = [to_page_cells(row) for row in rows]
    assert len(cells) == 88 and {len(row) for row in cells} == {len(HEADERS)}
    for column in (1, 2):
        assert sum(float(row[column].rstrip("%")) for row in cells) == pytest.approx(100, abs=1.5)
