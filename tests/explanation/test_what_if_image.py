"""A smaller hippocampus in the image, in the table and in both: each curve is the answer to exactly that, and its words say what it shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONTRACT, LABELS, make_cohort

from adclip.domain import Visit
from adclip.explanation.shrink import shrink
from adclip.explanation.smaller_scans import smaller_scans
from adclip.explanation.what_if_image import (
    FACTORS,
    ImageWhatIf,
    image_curve,
    table_curve,
    told_by,
    what_if_image,
)
from adclip.explanation.what_if_words import tell, what_if_to_tsv
from adclip.imaging.derivatives.files import PreparedScan
from adclip.imaging.steps.grid import from_model_order
from adclip.imaging.volumes.own_structures import OF_TEMPLATE, OwnStructure
from adclip.model.calibration import SCAN, TABLE_WITH_VOLUMES, Road
from adclip.prediction import beside
from adclip.prediction.predictor import Predictor
from adclip.prediction.what_if import alter
from adclip.told import Curve, CurvePoint

FEW = (1.0, 0.85, 0.7)


@pytest.fixture
def predictor(tiny_run):
    found = Predictor.from_checkpoint(tiny_run, "cpu")
    with torch.no_grad():  # after three epochs the cross-attention is still nearly silent
        torch.nn.init.xavier_uniform_(found.reader.network.cross_attention.out_proj.weight)
    weigh_by(found, Road(scan=7.0, metadata=0.5, both=0.8))  # a tiny tower sees little of a small change
    return found


def weigh_by(predictor, road: Road) -> None:
    roads = {SCAN: predictor.record.calibration.road(SCAN), TABLE_WITH_VOLUMES: road}
    predictor.record = replace(predictor.record, calibration=replace(predictor.record.calibration, roads=roads))


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(6)


@pytest.fixture(scope="module")
def prepared(cohort):
    image = from_model_order(cohort.image_batch([2], torch.device("cpu"))[0, 0].numpy())
    return PreparedScan(image, image > 0, np.eye(4))


def blob(x_mm: float):
    index = np.indices(CONTRACT.shape_xyz).reshape(3, -1)
    mm = CONTRACT.affine_xyz[:3, :3] @ index + CONTRACT.affine_xyz[:3, 3:]
    away = np.linalg.norm((mm - np.array([[x_mm], [-20.0], [0.0]])) / np.array([[15.0], [25.0], [15.0]]), axis=0)
    return (away < 1).reshape(CONTRACT.shape_xyz).astype(np.float32)


@pytest.fixture(scope="module")
def hippocampi():
    return OwnStructure(blob(-30.0), blob(30.0))


@pytest.fixture
def evidence(predictor, cohort, prepared):
    found = predictor.evidence(prepared, cohort.visits[2])
    assert found.road == TABLE_WITH_VOLUMES
    return found


def by_hand(predictor, prepared, evidence):
    return told_by(predictor)(predictor.answer(prepared, evidence))


def with_image(prepared, hippocampi, factor):
    found = shrink(prepared.image, list(hippocampi.sides), CONTRACT.spacing_xyz_mm, factor, brain=prepared.mask)
    return replace(prepared, image=found.image)


def at(curve: Curve, factor: float):
    (point,) = (point for point in curve.points if point.value == factor)
    return point.probabilities


def test_each_curve_answers_exactly_its_question(predictor, prepared, evidence, hippocampi, cohort):
    found = what_if_image(predictor, prepared, evidence, FEW, hippocampi=hippocampi)
    present = by_hand(predictor, prepared, evidence)
    for curve, name in zip(found.curves, ("image", "table", "both"), strict=True):
        assert curve.column == name and curve.present == 1
        assert [(point.value, point.is_present) for point in curve.points] == [(0.7, False), (0.85, False), (1.0, True)]
        assert at(curve, 1.0) == present
    row = cohort.visits[2]
    for factor in (0.7, 0.85):
        smaller = with_image(prepared, hippocampi, factor)
        altered = predictor.evidence(prepared, alter(row, "hippocampus_mm3", factor * row.hippocampus_mm3))
        wanted = {
            "image": by_hand(predictor, smaller, evidence),
            "table": by_hand(predictor, prepared, altered),
            "both": by_hand(predictor, smaller, altered),
        }
        for curve in found.curves:
            assert at(curve, factor) == pytest.approx(wanted[curve.column], abs=1e-5)
            assert max(abs(wanted[curve.column][label] - present[label]) for label in LABELS) > 3e-4
        answers = list(wanted.values())
        for place, one in enumerate(answers):  # the tolerance tells them apart
            assert all(max(abs(one[label] - other[label]) for label in LABELS) > 1e-4 for other in answers[:place])
    assert found.obtained == pytest.approx((0.7, 0.85, 1.0), rel=0.01) and found.obtained[-1] == 1.0
    assert found.region_mm3 == pytest.approx((hippocampi.left.sum() * 125, hippocampi.right.sum() * 125))


def test_the_curves_alone_are_those_of_all_three(predictor, prepared, evidence, hippocampi):
    every = what_if_image(predictor, prepared, evidence, FEW, hippocampi=hippocampi)
    assert image_curve(predictor, prepared, evidence, FEW, hippocampi=hippocampi) == every.image
    assert table_curve(predictor, prepared, evidence, FEW) == every.table


@pytest.mark.parametrize("row", [None, Visit(age_years=70.0, sex="F"), Visit(ventricles_mm3=4e4, icv_mm3=1.4e6)])
def test_an_answer_that_reads_no_hippocampus_has_no_curve_of_the_table(predictor, prepared, hippocampi, row):
    evidence = predictor.evidence(prepared, row)
    assert table_curve(predictor, prepared, evidence, FEW) is None
    found = what_if_image(predictor, prepared, evidence, FEW, hippocampi=hippocampi)
    assert found.table is None and found.both is None and found.curves == (found.image,)
    present = by_hand(predictor, prepared, evidence)
    assert max(abs(at(found.image, 0.7)[label] - present[label]) for label in LABELS) > 1e-4


def test_volumes_found_for_the_scan_are_multiplied_where_they_stand(predictor, prepared, cohort):
    """The row has none: what was measured is multiplied, in the report alone, and the row stays."""
    row = replace(cohort.visits[2], icv_mm3=None, hippocampus_mm3=None, ventricles_mm3=None, whole_brain_mm3=None)
    completed = replace(row, hippocampus_mm3=6000.0, icv_mm3=1.4e6, volumes_source="adclip segmenter test")
    evidence = predictor.evidence_of(row, completed)
    curve = table_curve(predictor, prepared, evidence, FEW)
    other = replace(evidence, completed=replace(completed, hippocampus_mm3=0.7 * 6000.0))
    assert other.row is row and other.metadata_only == evidence.metadata_only
    assert at(curve, 0.7) == pytest.approx(by_hand(predictor, prepared, other), abs=1e-5)


def test_an_answer_by_the_row_alone_does_not_follow_the_image(predictor, prepared, evidence, hippocampi):
    weigh_by(predictor, Road(metadata=1.0, both=0.0))
    found = what_if_image(predictor, prepared, evidence, FEW, hippocampi=hippocampi)
    for factor in FEW:
        assert at(found.image, factor) == pytest.approx(at(found.image, 1.0), abs=1e-6)
        assert at(found.both, factor) == pytest.approx(at(found.table, factor), abs=1e-6)
    assert abs(at(found.table, 0.7)["AD"] - at(found.table, 1.0)["AD"]) > 0.01
    words = " ".join(tell(found))
    assert "hardly moves AD" in words and "the table moves the answer more" in words


def test_an_answer_by_the_scan_alone_does_not_follow_the_table(predictor, prepared, evidence, hippocampi):
    weigh_by(predictor, Road(scan=1.0, metadata=0.0, both=0.0))
    found = what_if_image(predictor, prepared, evidence, FEW, hippocampi=hippocampi)
    for factor in FEW:
        assert at(found.table, factor) == pytest.approx(at(found.table, 1.0), abs=1e-6)
        assert at(found.both, factor) == pytest.approx(at(found.image, factor), abs=1e-6)
    assert at(found.image, 0.7) != pytest.approx(at(found.image, 1.0), abs=1e-4)


def test_many_factors_are_several_passes_and_the_same_answers(predictor, prepared, evidence, hippocampi, monkeypatch):
    passes = []
    real = predictor.reader.network.image_tokens
    monkeypatch.setattr(predictor.reader.network, "image_tokens", lambda images, *rest: passes.append(len(images)) or real(images, *rest))  # fmt: skip
    many = tuple(np.linspace(0.7, 1.0, 11))
    answer = predictor.answer(prepared, evidence)
    passes.clear()
    found = what_if_image(predictor, prepared, evidence, many, hippocampi=hippocampi, answer=answer)
    assert passes == [beside.AT_ONCE, 2, 1]  # ten scans, and the scan itself for the table
    few = what_if_image(predictor, prepared, evidence, (0.7, 1.0), hippocampi=hippocampi)
    for one, other in zip(found.curves, few.curves, strict=True):
        assert at(one, 0.7) == pytest.approx(at(other, 0.7), abs=1e-5)
    assert [point.value for point in found.image.points] == sorted(many)


def test_present_is_the_answer_that_was_printed(predictor, prepared, evidence, hippocampi):
    answer = predictor.answer(prepared, evidence)
    chances = {"CN": 0.5, "MCI": 0.25, "AD": 0.25}
    found = what_if_image(
        predictor, prepared, evidence, (0.9,), answer=answer, chances=lambda one: chances if one is answer else {"CN": 0.0, "MCI": 0.0, "AD": 1.0}, hippocampi=hippocampi
    )  # fmt: skip
    assert at(found.image, 1.0) == at(found.table, 1.0) == at(found.both, 1.0) == chances
    assert at(found.both, 0.9)["AD"] == 1.0


def test_probabilities_are_told_for_the_shares_of_the_predictor(predictor, prepared, evidence, hippocampi):
    equal = image_curve(predictor, prepared, evidence, FEW, hippocampi=hippocampi)
    predictor.prevalence = {"CN": 0.6, "MCI": 0.3, "AD": 0.1}
    shifted = image_curve(predictor, prepared, evidence, FEW, hippocampi=hippocampi)
    for factor in FEW:
        weights = {label: at(equal, factor)[label] * share for label, share in predictor.prevalence.items()}
        wanted = {label: weight / sum(weights.values()) for label, weight in weights.items()}
        assert at(shifted, factor) == pytest.approx(wanted, abs=1e-6)


def test_a_smaller_scan_differs_only_where_something_moved(prepared, hippocampi):
    before = prepared.image.copy()
    (one,) = smaller_scans(prepared, hippocampi, CONTRACT.spacing_xyz_mm, [0.8])
    np.testing.assert_array_equal(prepared.image, before)
    changed = one.prepared.image != prepared.image
    assert changed.any() and not (changed & ~one.moved).any() and one.moved.mean() < 0.2
    assert not one.prepared.image[~one.prepared.mask].any()
    np.testing.assert_array_equal(one.prepared.mask[~one.moved], prepared.mask[~one.moved])
    assert one.obtained == pytest.approx(0.8, rel=0.01) and one.prepared.volumes is prepared.volumes


# ------------------------------------------------------------------------------------------------ in words


def curve(name: str, *values: float) -> Curve:
    """AD over the factors, from present down; the rest is CN's."""
    factors = np.linspace(1.0, 0.7, len(values))
    points = [CurvePoint(float(f), f == 1, {"CN": 1 - v, "AD": v}) for f, v in zip(factors, values, strict=True)]
    return Curve(name, 1.0, tuple(reversed(points)))


def known(image, table=None, both=None, flags=()) -> ImageWhatIf:
    curves = (None if values is None else curve(name, *values) for name, values in (("table", table), ("both", both)))
    return ImageWhatIf(curve("image", *image), *curves, (0.7,) * (len(image) - 1) + (1.0,), (4000.0, 4100.0), flags)


def test_the_larger_move_is_named():
    assert tell(known((0.32, 0.36, 0.41), (0.32, 0.40, 0.55), (0.32, 0.5, 0.6))) == (
        "Shrinking the hippocampi in the image to 70 % moves AD from 0.32 to 0.41; the same in the table moves AD from 0.32 to 0.55: the table moves the answer more.",
        "Both together end at 0.60.",
    )
    assert "the image moves the answer more" in tell(known((0.3, 0.5), (0.3, 0.35), (0.3, 0.6)))[0]
    assert "both move the answer about as much" in tell(known((0.3, 0.4), (0.3, 0.405), (0.3, 0.5)))[0]


def test_the_wrong_way_is_said_plainly():
    words = tell(known((0.4, 0.3), (0.4, 0.5), (0.4, 0.42)))
    assert "opposite directions" in words[0]
    assert words[1].startswith("In the image AD falls as the hippocampi shrink") and "opposite" in words[1]
    assert not any("In the table" in one for one in words)
    assert any(one.startswith("In the table CN rises") for one in tell(known((0.4, 0.5), (0.4, 0.3), (0.4, 0.4)), "CN"))
    healthy = tell(known((0.3, 0.5), (0.3, 0.5), (0.3, 0.6)), "CN")  # falls, as it should
    assert not any("opposite" in one for one in healthy)


def test_that_nothing_moves_is_said_plainly():
    words = tell(known((0.30, 0.305), (0.30, 0.299), (0.30, 0.301)))
    assert len(words) == 1 and "hardly moves AD from 0.30" in words[0]
    assert words[0].endswith("neither makes AD hang on the size of the hippocampi.")
    alone = tell(known((0.30, 0.302)))
    assert "reads no hippocampal volume" in alone[1] and "does not make AD hang" in alone[2]
    assert len(tell(known((0.30, 0.40)))) == 2


def test_a_curve_that_turns_is_told():
    (turn,) = (one for one in tell(known((0.30, 0.45, 0.32), (0.3, 0.4, 0.5), (0.3, 0.4, 0.5))) if "turns" in one)
    assert turn == "In the image the way there turns: it leads over 0.45."
    (turn,) = (one for one in tell(known((0.3, 0.4, 0.5), (0.30, 0.2, 0.32), (0.3, 0.4, 0.5))) if "turns" in one)
    assert turn == "In the table the way there turns: it leads over 0.20."


def test_a_template_in_place_of_the_own_hippocampi_is_told():
    assert "No hippocampi were found" in tell(known((0.3, 0.4), flags=(OF_TEMPLATE,)))[-1]


def test_the_table_has_a_row_for_each_curve_and_factor():
    rows = [line.split("\t") for line in what_if_to_tsv(known((0.3, 0.4), (0.3, 0.5), (0.3, 0.6))).splitlines()]
    assert rows[0] == ["multiplied", "factor", "obtained", "is_present", "CN", "AD"]
    assert rows[1] == ["image", "0.7", "0.7000", "false", "0.600000", "0.400000"]
    assert rows[2] == ["image", "1", "1.0000", "true", "0.700000", "0.300000"]
    assert rows[3] == ["table", "0.7", "n/a", "false", "0.500000", "0.500000"]
    assert rows[5][:3] == ["both", "0.7", "0.7000"] and len(rows) == 7
    alone = what_if_to_tsv(known((0.3, 0.4)))
    assert alone.count("\n") == 3 and alone.endswith("\n")


def test_the_factors_are_those_of_the_question():
    assert FACTORS == (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
