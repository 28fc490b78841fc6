"""The medial temporal norm score: zero in the middle of the norms, growing with loss without an end, from one program only."""

from __future__ import annotations

import csv
import math
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adclip.clinical.columns import COLUMNS, FURTHER_VOLUMES
from adclip.clinical.norms.normative_score import (
    AS_MEASURED,
    DIRECTION,
    SHARE,
    NormScore,
    NoScore,
    medial_temporal_score,
    share_standings,
    sides_of,
    standings,
)
from adclip.clinical.norms.norms import NoStanding, Standing, share_standing, standing

DLMUSE, BRIDGE = "DLMUSE", "adclip segmenter 1a2b3c4d5e6f"
HEAD = 1.4e6  # mm3
SCORED = tuple(name for structure in DIRECTION for name in sides_of(structure))


def read(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((files("adclip") / "assets" / "norms" / name).read_text(encoding="utf-8").splitlines()))


def at(centile: int, age: int = 72, sex: str = "F") -> dict[str, float]:
    """Everything at one centile as measured; a ventricle at the mirrored one, so that all say the same of loss."""
    rows = {row["field"]: row for row in read("dlmuse.csv") if row["sex"] == sex and row["age_years"] == str(age)}
    return {side: float(rows[side][f"centile_{100 - centile if 'ventricle' in side else centile}"]) for side in SCORED}


def shares_at(centile: int, age: int = 72) -> dict[str, float]:
    rows = {row["field"]: row for row in read("dlmuse_share.csv") if row["age_years"] == str(age)}
    found = {
        side: float(rows[side][f"centile_{100 - centile if 'ventricle' in side else centile}"]) * HEAD / 1e6
        for side in SCORED
    }
    return {**found, "icv_mm3": HEAD}


def score(volumes, age=72.0, sex="F", source=DLMUSE, **more) -> float:
    found = medial_temporal_score(volumes, age, sex, source, **more)
    assert isinstance(found, NormScore), found
    return found.value


def test_the_middle_of_the_norms_scores_zero():
    for sex in "FM":
        assert score(at(50, sex=sex), sex=sex) == pytest.approx(0, abs=1e-9)
    found = medial_temporal_score(shares_at(50), 72, None, DLMUSE)  # shares are of both sexes together
    assert isinstance(found, NormScore)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert (found.basis, found.norm_id, found.bridged) == (SHARE, "NiChart-DLMUSE-ICV-1", False)
    assert list(found.parts) == ["hippocampus", "amygdala", "inferior_lateral_ventricle"]


def test_less_tissue_and_a_wider_horn_score_higher():
    assert score(at(5)) > score(at(25)) > 0 > score(at(75)) > score(at(95))
    assert score(at(5)) > 1.645  # all three at their worst twentieth at once is rarer than one in twenty
    for structure in ("hippocampus", "amygdala", "inferior_lateral_ventricle"):
        worse = at(50) | {side: volume for side, volume in at(5).items() if side.startswith(structure)}
        assert score(worse) > 0.3


def test_it_does_not_saturate_beyond_the_tabulated_centiles():
    """Where `standing` can only say `below the 5th`, the score goes on."""
    losses = [{side: volume * (1 - loss) if "vent" not in side else volume * (1 + 9 * loss)
               for side, volume in at(5).items()} for loss in (0.0, 0.1, 0.2, 0.3, 0.4)]  # fmt: skip
    values = [score(one) for one in losses]
    assert all(later - earlier > 0.5 for earlier, later in pairwise(values))
    assert values[-1] < 12  # and no single structure explodes


def test_left_and_right_count_alike():
    volumes = at(50)
    for structure in ("hippocampus", "amygdala", "inferior_lateral_ventricle"):
        left, right = (
            volumes | {f"{structure}_{side}_mm3": at(5)[f"{structure}_{side}_mm3"]} for side in ("left", "right")
        )
        assert score(left) == pytest.approx(score(right), abs=1e-6)


@given(st.floats(40, 92), st.sampled_from("FM"), st.floats(0, 9000), st.floats(10, 900))
def test_a_temporal_horn_however_small_never_hides_a_loss(age, sex, horn, other):
    volumes = at(5) | {"inferior_lateral_ventricle_left_mm3": horn, "inferior_lateral_ventricle_right_mm3": other}
    found = medial_temporal_score(volumes, age, sex, DLMUSE)
    assert isinstance(found, NormScore) and math.isfinite(found.value)
    # the 5th centile at the least, by both sides: 2 * -1.645 over the spread of such a sum
    assert found.parts["inferior_lateral_ventricle"] >= -2 * 1.6449 / math.sqrt(2 + 2 * 0.55)


def test_healthy_people_have_mean_zero_and_spread_one():
    """People drawn from the norms themselves, correlated as the constants say."""
    rng = np.random.default_rng(0)
    share, sides = (
        {row["field"]: row for row in read("dlmuse_share.csv") if row["age_years"] == "72"},
        {"hippocampus": 0.6, "amygdala": 0.45, "inferior_lateral_ventricle": 0.45},
    )
    between = np.linalg.cholesky(np.array([[1, 0.6, 0], [0.6, 1, 0], [0, 0, 1]]))
    values = []
    for _ in range(4000):
        volumes = {"icv_mm3": HEAD}
        for (structure, r), both in zip(sides.items(), between @ rng.standard_normal(3), strict=True):
            mean, apart = both * math.sqrt((1 + r) / 2), rng.standard_normal() * math.sqrt((1 - r) / 2)
            for side, z in (("left", mean + apart), ("right", mean - apart)):
                row = [float(share[f"{structure}_{side}_mm3"][f"centile_{c}"]) for c in (5, 25, 50, 75, 95)]
                scale = (math.log(row[4] / row[2]) if "vent" in structure else (row[4] - row[0]) / 2) / 1.6449
                ppm = row[2] * math.exp(z * scale) if "vent" in structure else row[2] + z * scale
                volumes[f"{structure}_{side}_mm3"] = ppm * HEAD / 1e6
        values.append(score(volumes))
    assert np.mean(values) == pytest.approx(0, abs=0.06)
    assert np.std(values) == pytest.approx(1, abs=0.06)


def test_what_is_known_is_used_and_the_hippocampus_is_needed():
    volumes = at(5)
    alone = {side: volume for side, volume in volumes.items() if side.startswith("hippocampus")}
    assert list(medial_temporal_score(alone, 72, "F", DLMUSE).parts) == ["hippocampus"]
    assert score(volumes, structures=("hippocampus",)) == score(alone)
    assert medial_temporal_score(alone, 72, "F", DLMUSE, structures=("hippocampus", "amygdala")) == NoScore(
        "no_structure"
    )
    for missing in ("hippocampus_left_mm3", "hippocampus_right_mm3"):
        one_side = {side: volume for side, volume in volumes.items() if side != missing}
        assert medial_temporal_score(one_side, 72, "F", DLMUSE) == NoScore("no_hippocampus")
        assert medial_temporal_score(volumes | {missing: 0.0}, 72, "F", DLMUSE) == NoScore("no_hippocampus")
    assert medial_temporal_score({"hippocampus_mm3": 7000.0}, 72, "F", DLMUSE) == NoScore("no_hippocampus")


@pytest.mark.parametrize(
    ("age", "sex", "source", "reason"),
    [
        (None, "F", DLMUSE, "no_age"), (72, None, DLMUSE, "no_sex"), (39, "F", DLMUSE, "outside_age"),
        (92.5, "M", DLMUSE, "outside_age"), (72, "F", "FreeSurfer", "no_norms_for_software"),
        (72, "F", "simulation", "no_norms_for_software"), (72, "F", None, "no_software"),
        # an estimate without a version, or of the segmenter before the calibration, is on no known scale
        (72, "F", "adclip segmenter", "no_norms_for_software"),
        (72, "F", "adclip segmenter 968d0ae78409", "no_norms_for_software"),
    ],
)  # fmt: skip
def test_without_fitting_norms_there_is_no_score_but_a_reason(age, sex, source, reason):
    assert medial_temporal_score(at(50), age, sex, source) == NoScore(reason)
    assert standing("hippocampus_left_mm3", 3400, age, sex, source) == NoStanding(reason)


def test_a_share_needs_the_head_and_no_sex():
    volumes = shares_at(25)
    assert score(volumes, sex=None) == pytest.approx(score(volumes, sex="M"))
    assert score({k: 1.2 * v for k, v in volumes.items()}) == pytest.approx(score(volumes))  # only the share counts
    bare = {side: volume for side, volume in volumes.items() if side != "icv_mm3"}
    assert medial_temporal_score(bare, 72, "F", DLMUSE).basis == AS_MEASURED
    assert medial_temporal_score(bare, 72, "F", DLMUSE, basis=SHARE) == NoScore("no_icv")
    assert medial_temporal_score(volumes | {"icv_mm3": 0.0}, 72, None, DLMUSE) == NoScore("no_sex")


def test_volumes_of_adclip_are_ranked_over_a_bridge_and_say_so():
    own = standing("hippocampus_left_mm3", 3400, 72, "F", DLMUSE)
    over = standing("hippocampus_left_mm3", 3400, 72, "F", BRIDGE)
    assert isinstance(own, Standing) and isinstance(over, Standing)
    assert (own.bridged, over.bridged, over.z) == (False, True, own.z)
    # people of IXI have smaller amygdalae by DLMUSE than the norms' people: the bridge lifts them, DLMUSE's own stay
    small = standing("amygdala_left_mm3", 0.89 * at(50)["amygdala_left_mm3"], 72, "F", BRIDGE)
    assert isinstance(small, Standing) and small.centile == pytest.approx(50)
    assert isinstance(found := medial_temporal_score(at(50), 72, "F", BRIDGE), NormScore)
    assert found.bridged and found.value < 0


def test_both_sides_together_are_ranked_by_the_mean_of_their_z():
    volumes = {**at(5), "hippocampus_mm3": 1.0, "amygdala_mm3": 1.0, "ventricles_mm3": 30000.0, "whole_brain_mm3": 1e6}
    found = standings(volumes, 72, "F", DLMUSE)
    assert set(found) == set(volumes)
    assert found["hippocampus_left_mm3"].centile == pytest.approx(5)
    # both sides at their 5th centile is rarer than one: r = 0.8 gives z = -1.645 * 2 / sqrt(3.6)
    assert found["hippocampus_mm3"].beyond and found["hippocampus_mm3"].centile == 5
    both = standings({**at(25), "hippocampus_mm3": 1.0}, 72, "F", DLMUSE)["hippocampus_mm3"]
    assert both.z == pytest.approx(-0.67449 * 2 / math.sqrt(3.6), abs=1e-4)
    assert found["whole_brain_mm3"] == NoStanding("no_norms_for_field")
    assert standings({"hippocampus_mm3": 7000.0}, 72, "F", DLMUSE)["hippocampus_mm3"] == NoStanding(
        "no_norms_for_field"
    )
    shares = share_standings({**shares_at(50), "hippocampus_mm3": 1.0}, 72, DLMUSE)
    assert shares["hippocampus_mm3"].centile == pytest.approx(50)
    assert shares["icv_mm3"] == NoStanding("no_norms_for_field")
    assert "people" in shares["hippocampus_mm3"].group


def test_every_node_of_the_shares_returns_itself():
    for row in read("dlmuse_share.csv"):
        for centile in (5, 25, 50, 75, 95):
            volume = float(row[f"centile_{centile}"]) * HEAD / 1e6
            found = share_standing(row["field"], volume, HEAD, float(row["age_years"]), DLMUSE)
            assert isinstance(found, Standing)
            assert found.centile == pytest.approx(centile, abs=1e-4)
    assert share_standing("ventricles_mm3", 30000, None, 72, DLMUSE) == NoStanding("no_icv")


def test_norms_are_positive_and_do_not_cross():
    """The published normal curves of the temporal horn are negative at their 5th centile; ours are not."""
    for name in ("dlmuse.csv", "dlmuse_share.csv"):
        for row in read(name):
            values = [float(row[f"centile_{c}"]) for c in (5, 25, 50, 75, 95)]
            assert values[0] > 0 and values == sorted(set(values))


def test_the_names_of_the_volumes_are_those_that_tables_have():
    assert set(SCORED) <= {*COLUMNS, *FURTHER_VOLUMES}
    assert not set(FURTHER_VOLUMES) & set(COLUMNS)
