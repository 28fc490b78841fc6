"""`explain` of several scans also tells what their maps have in common: the same files however the work was shared."""

from __future__ import annotations

import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from adclip import Predictor
from adclip.cli.main import app
from adclip.config import ExplainConfig
from adclip.verbs.explain import explain

NAME = "sub-{0}/ses-{1}/anat/sub-{0}_ses-{1}_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz"
VISITS = (("p00", "01"), ("p00", "02"), ("p01", "01"), ("p02", "01"), ("p03", "01"))  # one person comes twice


@pytest.fixture(scope="module")
def config(tiny_cohort, tiny_run, tmp_path_factory):
    scans = tuple(tiny_cohort / NAME.format(*visit) for visit in VISITS)
    return ExplainConfig(
        scans, tmp_path_factory.mktemp("explain") / "out", tiny_cohort / "table.csv", str(tiny_run), target="AD",
        method="gradient-x-input", faithfulness="off", volumes=False, device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(config):
    return explain(config)


def rows_of(out):
    header, *lines = [line.split("\t") for line in (out / "group.tsv").read_text().splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def files_of(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*"))
            if path.is_file() and ".adclip" not in path.parts}  # fmt: skip


def test_the_group_is_made_and_linked(config, result):
    assert result.group == config.out / "group.html" and result.group.is_file()
    assert '<a href="group.html">' in result.page.read_text()
    assert result.explanations[0].notice in result.group.read_text()
    shared = (
        re.sub(r"data:image/png;base64,[^\"]+", "", result.group.read_text()) + (config.out / "group.tsv").read_text()
    )
    assert not any(name in shared for name, _ in VISITS)


def test_people_are_counted_once_by_what_the_model_says_of_them(config, result):
    """Against the records that the same run returned."""
    of_class: dict[str, set[str]] = {}
    for one in result.explanations:
        if one.status != "refer" and "flat_map" not in one.flags:
            of_class.setdefault(max(one.probabilities, key=one.probabilities.get), set()).add(one.subject_id)
    assert max(map(len, of_class.values())) > 1
    told = {row["predicted"]: row for row in rows_of(config.out)}
    assert {name: int(row["people"]) for name, row in told.items() if row["people"] != "0"} == {
        name: len(people) for name, people in of_class.items()
    }
    assert all(row["target"] == "AD" and row["too_few"] == "yes" for row in told.values())
    for name, people in of_class.items():
        maps = list(config.out.glob(f"group_*_predicted-{name}_stat-*_desc-AD_relevance.nii.gz"))
        assert len(maps) == (2 if len(people) > 1 else 0)


def test_the_signed_map_is_the_heatmap_and_what_speaks_against(config, result):
    for one in result.explanations:
        heat, signed = (nib.load(config.out / one.files[kind]) for kind in ("mni", "mni_signed"))
        np.testing.assert_allclose(heat.affine, signed.affine)
        np.testing.assert_allclose(np.clip(signed.get_fdata(), 0, None), heat.get_fdata(), atol=1e-7)
        assert signed.get_fdata().min() < 0


def test_shards_end_with_the_files_of_one_run(config, result, tmp_path):
    out = tmp_path / "out"
    for shard in ("3/3", "1/3"):
        assert explain(replace(config, out=out, shard=shard)).group is None and not list(out.glob("group*"))
        assert "group.html" not in (out / "explain.html").read_text()
    explain(replace(config, out=out, shard="2/3"))
    assert files_of(out) == files_of(config.out)


def test_the_same_command_again_needs_no_model_and_changes_no_byte(config, result, monkeypatch):
    before = files_of(config.out)
    monkeypatch.setattr(Predictor, "from_checkpoint", None)
    assert explain(config).group == result.group and files_of(config.out) == before


def test_one_scan_is_no_group_and_a_replaced_run_leaves_none(config, result, tmp_path):
    out = tmp_path / "out"
    explain(replace(config, out=out))
    alone = explain(replace(config, out=out, inputs=config.inputs[:1], overwrite=True))
    assert alone.group is None and not list(out.glob("group*"))
    assert "group.html" not in alone.page.read_text()


def test_a_failed_scan_is_counted_apart(config, result, tmp_path):
    broken = tmp_path / "sub-broken_T1w.nii.gz"
    broken.write_bytes(b"no scan")
    done = explain(replace(config, inputs=(*config.inputs, broken), out=tmp_path / "out"))
    rows = rows_of(tmp_path / "out")
    assert done.failed == 1 and rows[-1]["scans_failed"] == "1" and rows[-1]["predicted"] == "n/a"
    assert rows[:-1] == rows_of(config.out)


def test_the_command_names_the_page(config, result):
    words = [
        "explain", *config.inputs, "--meta", config.meta, "--model", config.model, "--out", config.out, "--target", "AD", "--method",
        config.method, "--faithfulness", "off", "--no-volumes", "--device", "cpu",
    ]  # fmt: skip
    told = CliRunner().invoke(app, [*map(str, words)], prog_name="adclip")
    assert told.exit_code == 0, told.stderr
    assert ["mean", "maps", "group.html"] in [line.split() for line in told.stdout.splitlines()]
    lines = CliRunner().invoke(app, [*map(str, words), "--json"], prog_name="adclip").stdout.splitlines()
    assert len(lines) == len(VISITS)
