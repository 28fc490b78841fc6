"""Raw heads: left is left in every orientation, and what a scan shows is what was asked for."""

from __future__ import annotations

import dataclasses
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from adclip.simulation.acquisition import Scanner, draw_scanners, in_file_order
from adclip.simulation.brains import grow_brain
from adclip.simulation.heads import RawHead, simulate_head
from adclip.simulation.paint import LOOKS, Style, draw_ct_style, draw_style
from adclip.simulation.population import Person, draw_person

SPACING_MM = 3.0
EVERY_ORDER = ["".join(axes) for order in permutations(("RL", "AP", "SI")) for axes in product(*order)]


def one_sided() -> Person:
    person = draw_person("x", np.random.default_rng(0))
    flat = dict.fromkeys(person.log_change, 0.0) | {"hippocampus_left": -0.5}
    return dataclasses.replace(person, log_change=flat, disease_change=flat)


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return dataclasses.replace(draw_scanners(0, 1, LOOKS["mild"])[0], axes="RAS", oblique=True)


def scan(scanner: Scanner, style: Style | None = None, **options: object) -> RawHead:
    person = one_sided()
    brain = grow_brain(person, None, SPACING_MM, np.random.default_rng(1))
    drawn = draw_style(np.random.default_rng(2), LOOKS["mild"])
    return simulate_head(person, brain, style or drawn, scanner, SPACING_MM, np.random.default_rng(3), **options)


def test_every_order_of_axes_is_tried() -> None:
    assert len(set(EVERY_ORDER)) == 48
    assert len({scanner.axes for scanner in draw_scanners(0, 60, LOOKS["wild"])}) > 25


def test_a_one_sided_atrophy_is_on_that_side_in_every_orientation(scanner: Scanner) -> None:
    head = scan(scanner)
    for axes in EVERY_ORDER:
        stored, affine = in_file_order(head.changed.astype(np.int16), head.affine, axes)
        assert nib.aff2axcodes(affine) == tuple(axes)
        where = nib.affines.apply_affine(affine, np.argwhere(stored > 0))
        assert len(where) > 20 and np.median(where[:, 0]) < -10  # scanner mm, RAS+: the person's left


def test_the_file_says_what_the_scanner_does(scanner: Scanner) -> None:
    for slices, axis in (("sagittal", 0), ("axial", 2)):
        own = dataclasses.replace(scanner, axes="LIA", slices=slices, oblique=False)
        head = scan(own, thickness_mm=6.0)
        zooms = nib.affines.voxel_sizes(head.affine)
        ras = nib.io_orientation(head.affine)[:, 0]
        assert zooms[list(ras).index(axis)] == pytest.approx(6.0) and np.sort(zooms)[0] == pytest.approx(SPACING_MM)
        assert head.array.dtype == np.int16 and head.array.shape == head.changed.shape


def test_the_same_head_is_in_the_same_place_in_thick_and_thin_slices(scanner: Scanner) -> None:
    centres = []
    for thickness in (3.0, 6.0):
        head = scan(scanner, thickness_mm=thickness)
        bright = head.array > np.percentile(head.array, 80)
        centres.append(nib.affines.apply_affine(head.affine, np.argwhere(bright)).mean(axis=0))
    assert np.abs(centres[0] - centres[1]).max() < 2.5


def test_defacing_takes_the_face_and_stripping_all_but_the_brain(scanner: Scanner) -> None:
    whole, defaced, stripped = scan(scanner), scan(scanner, defaced=True), scan(scanner, stripped=True)
    assert 0.03 < ((whole.array > 0) & (defaced.array == 0)).mean() < 0.4
    assert np.array_equal(whole.array[defaced.array > 0], defaced.array[defaced.array > 0])
    litres = (stripped.array > 0).sum() * np.prod(nib.affines.voxel_sizes(stripped.affine)) / 1e6
    assert 0.9 < litres < 1.9
    assert (stripped.array[stripped.changed] > 0).all()
    assert (defaced.array[defaced.changed] > 0).all()


def test_ct_is_in_hounsfield_units(scanner: Scanner) -> None:
    head = scan(scanner, draw_ct_style(np.random.default_rng(0)))
    assert head.array.min() < -950 and head.array.max() > 700
    assert 0 < np.median(head.array[head.changed]) < 70


def test_the_field_of_view_does_not_follow_the_head(scanner: Scanner) -> None:
    shapes = set()
    for icv in (1.1e6, 1.8e6):
        person = dataclasses.replace(one_sided(), icv_mm3=icv)
        brain = grow_brain(person, None, SPACING_MM, np.random.default_rng(1))
        style = draw_style(np.random.default_rng(2), LOOKS["mild"])
        shapes.add(simulate_head(person, brain, style, scanner, SPACING_MM, np.random.default_rng(3)).array.shape)
    assert len(shapes) == 1
