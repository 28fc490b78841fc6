"""A refusal says what was measured, and the command it tells exists with the options it names."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import make_head
from typer.main import get_command

from adclip.domain import ReadOptions, SourceGrid, Volume
from adclip.errors import ScanError
from adclip.imaging.quality.misfit import Findings, describe, looks_like_t1_map
from adclip.imaging.quality.verdict import Quality, refuse_other_than_t1
from adclip.imaging.sources.files import read_volume

SCAN = "folder of/anna.nii.gz"
ADULT = Findings((200.0, 240.0, 240.0), (1.0, 1.0, 1.0), (160.0, 200.0, 220.0), 1400.0)


def found(**changes: object) -> Findings:
    return Findings(**{**vars(ADULT), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        (found(extent_mm=(200.0, 240.0, 64.0)), "a slab: it covers 64 mm from top to bottom"),
        (found(extent_mm=(70.0, 240.0, 240.0)), "a slab: it covers 70 mm from right to left"),
        (found(head_mm=(110.0, 140.0, 150.0), brain_ml=520.0), "an infant's or a child's head, or a wrong voxel size: the head would be 110 mm"),
        (found(head_mm=(40.0, 50.0, 55.0), brain_ml=20.0), "a wrong voxel size, or no human head: the head would be 40 mm wide and 50 mm"),
        (found(head_mm=(320.0, 400.0, 230.0), brain_ml=9000.0), "a wrong voxel size, or no human head"),
        (found(values=(780.0, 1300.0, 2900.0)), "a map of T1 times"),
        (found(values=(0.78, 1.3, 2.9)), "a map of T1 times"),
        (found(brain_ml=610.0), "a brain of 610 mL, where adults have 900 to 2100"),
        (found(turned_deg=77.0), "a head turned by 77 degrees"),
        (found(), "a phantom or another part of the body"),
    ],
)  # fmt: skip
def test_what_stands_out_is_said_with_all_that_was_measured(findings: Findings, words: str) -> None:
    what, remedy = describe(SCAN, findings, "anna")
    assert words in what
    for part in ("field of view", "voxels 1 x 1 x 1 mm", "head", f"brain {findings.brain_ml:.0f} mL"):
        assert part in what.split("measured: ")[1]
    assert "`" in remedy


def test_the_command_of_a_refusal_has_the_options_it_names() -> None:
    from adclip.cli.main import app

    for findings in (ADULT, found(extent_mm=(200.0, 240.0, 64.0))):
        _, remedy = describe(SCAN, findings, "anna")
        line = shlex.split(remedy.split("`")[1])
        assert line[:3] == ["adclip", "preprocess", SCAN]
        assert line[-1] == "anna=pass"
        group = get_command(app)
        command = group.commands[line[1]]  # type: ignore[attr-defined]
        options = {name for parameter in command.load().params for name in parameter.opts}
        assert {word for word in line if word.startswith("--")} <= options


def test_nothing_is_let_through_where_no_brain_was_found() -> None:
    _, remedy = describe(SCAN, ADULT, let_through=False)
    assert "--override" not in remedy


def test_sizes_are_measured_and_the_line_mends_them(tmp_path: Path, run_line: Callable[..., None]) -> None:
    array, affine, brain = make_head()
    small = affine.copy()
    small[:3] *= 0.5  # the header says 1 mm, and 2 mm is true
    findings = Findings.of(Volume(array, small, SourceGrid(array.shape, small)), brain)
    assert findings.brain_ml == pytest.approx(brain.sum() / 1000)
    path = tmp_path / "small.nii.gz"
    nib.save(nib.Nifti1Image(array, small), path)
    what, remedy = describe(path, findings, let_through=False)
    assert "wrong voxel size" in what
    assert "voxels 1 x 1 x 1 mm" in what
    run_line(remedy)
    written = nib.load(tmp_path / "resized.nii.gz")
    assert written.header.get_zooms()[0] == pytest.approx(2, rel=0.25), "guessed from the size of the head"
    np.testing.assert_array_equal(np.asarray(written.dataobj), array)


def test_a_map_of_t1_times_is_named_beside_what_it_resembles() -> None:
    quality = Quality({}, "header", "t2_like", "fail", ())
    with pytest.raises(ScanError, match=r"a map of T1 times .* or a T2-weighted head") as caught:
        refuse_other_than_t1(SCAN, quality, found(values=(780.0, 1300.0, 2900.0)), "anna")
    assert "--override anna=pass" in caught.value.remedy
    assert not looks_like_t1_map((80.0, 130.0, 160.0))
    assert not looks_like_t1_map(())


def test_a_header_that_turns_the_head_can_be_dropped_and_replaced(
    tmp_path: Path, run_line: Callable[..., None]
) -> None:
    array, affine, _ = make_head()
    path = tmp_path / "turned.nii.gz"
    nib.save(nib.Nifti1Image(array, affine), path)
    _, remedy = describe(path, found(turned_deg=77.0))
    run_line(remedy)
    assert "`--orientation RAS`" in remedy
    with pytest.raises(ScanError, match="no orientation"):
        read_volume(tmp_path / "no-directions.nii.gz")
    volume = read_volume(tmp_path / "no-directions.nii.gz", ReadOptions(orientation="RAS"))
    assert volume.flags == ("orientation_declared",)
    np.testing.assert_array_equal(volume.array, array)
