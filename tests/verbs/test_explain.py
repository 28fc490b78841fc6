"""`explain` as a function: maps on the scan's own voxels, beside the numbers that predict gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import FakeStripper, make_head, save, turn
from tiny import CONFIG, CONTRACT, LABELS

from adclip import Predictor
from adclip.config import ExplainConfig, PredictConfig
from adclip.domain import SourceGrid, Volume
from adclip.errors import ConfigError, OutputError
from adclip.explanation import finer
from adclip.explanation.methods import METHODS
from adclip.explanation.relevance import enlarge_patches
from adclip.explanation.settings import DEFAULT_METHOD
from adclip.imaging.volumes.regions import mask_ratio, region_maps, share_by_region, template_image
from adclip.verbs.explain import explain
from adclip.verbs.predict import predict

NAME = "sub-{0}/ses-01/anat/sub-{0}_ses-01_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz"


@pytest.fixture(scope="module")
def config(tiny_cohort, tiny_run, tmp_path_factory):
    scans = tuple(tiny_cohort / NAME.format(name) for name in ("p01", "p02"))
    return ExplainConfig(
        scans, tmp_path_factory.mktemp("explain") / "out", tiny_cohort / "table.csv", str(tiny_run), device="cpu"
    )


@pytest.fixture(scope="module")
def result(config):
    return explain(config)


def test_the_scores_are_those_of_predict(config, result):
    wanted = predict(PredictConfig(config.inputs, config.meta, config.model, device="cpu")).predictions
    for one, two in zip(result.explanations, wanted, strict=True):
        assert one.scores == pytest.approx(two.scores, abs=1e-5)
        assert one.probabilities == pytest.approx(two.probabilities, abs=1e-6)
        assert one.target == two.diagnosis and one.notice == two.notice
        json.dumps(one.to_dict(), allow_nan=False)


def test_every_file_is_there_and_says_what_it_is(config, result):
    for one in result.explanations:
        assert set(one.files) == {
            "mni", "mni_signed", "heatmap", "signed", "regions", "faithfulness", "figure", "page", "words", "biomarkers",
        }  # fmt: skip
        assert all((config.out / name).is_file() for name in one.files.values())
        heat = nib.load(config.out / one.files["mni"])
        assert heat.shape == CONTRACT.shape_xyz
        np.testing.assert_allclose(heat.affine, CONTRACT.affine_xyz)
        values = heat.get_fdata()
        assert values.min() >= 0 and 0 < values.max() <= 1.0001
        told = json.loads((config.out / one.files["faithfulness"]).read_text())
        assert told["level"] == "quick" and told["method"] == one.method == DEFAULT_METHOD
        assert len(told["curves"]) == 2 and told["curves"][0]["reference"] != told["curves"][1]["reference"]
        for curves in told["curves"]:
            assert len(curves["deletion"]) == len(curves["insertion"]) == len(curves["fractions"]) == 1
            assert (
                len(curves["deletion_random"]) == len(curves["insertion_random"]) == curves["deletion_gain"]["of"] == 8
            )
        assert one.faithfulness == {
            name: told["curves"][0][name]["estimate"] for name in ("deletion_gain", "insertion_gain")
        }
        assert told["target"] == one.target and told["notice"] == one.notice
        assert set(told["flags"]) <= set(one.flags)
        rows = (config.out / one.files["regions"]).read_text().splitlines()
        assert rows[0].split("\t")[:4] == ["region", "relevance_share", "volume_share", "ratio_to_chance"]
        assert sum(float(row.split("\t")[1]) for row in rows[1:] if row.split("\t")[1] != "n/a") == pytest.approx(
            1, abs=1e-9
        )
        assert (config.out / one.files["figure"]).read_bytes()[:4] == b"\x89PNG"
        words = (config.out / one.files["words"]).read_text().splitlines()
        assert len(words) > 10 and {line.count("\t") for line in words} == {4}
        page = (config.out / one.files["page"]).read_text()
        gains = [curves[name]["estimate"] for curves in told["curves"] for name in ("deletion_gain", "insertion_gain")]
        doubtful = {"map_no_better_than_chance", "references_disagree", "map_better_than_chance_one_way_alone"} & set(
            one.flags
        )
        assert bool(doubtful) is (min(gains) <= 0) and (told["verdict"]["believed"] is False or not doubtful)
        assert told["verdict"]["words"] in page
        assert "The report, by word" in page and "The report, by biomarker" in page


def brain_of(derivative: Path) -> np.ndarray:
    """Read the mask beside a derivative."""
    return nib.load(str(derivative).replace("desc-preproc_T1w", "desc-brain_mask")).get_fdata() > 0


def test_there_is_no_relevance_outside_of_the_brain(config, result):
    """A patch reaches over the edge of the brain, and a map drawn there would point at nothing."""
    for one, scan in zip(result.explanations, config.inputs, strict=True):
        brain = brain_of(scan)
        assert not brain.all()
        for name in {one.files["mni"], one.files["heatmap"]}:
            heat = nib.load(config.out / name).get_fdata()
            assert heat.shape == brain.shape and heat[~brain].max() == 0 < heat[brain].max()


def test_the_index_leads_to_a_page_of_each_scan_and_none_loads_anything_from_elsewhere(config, result):
    index = result.page.read_text()
    assert index.count("data:image/webp;base64,") == 2 and "2 scans" in index
    for one in result.explanations:
        assert f'href="{one.files["page"]}"' in index
        page = (config.out / one.files["page"]).read_text()
        assert page.count("data:image/png;base64,") == 1 and len(page) < 8_000_000
        for text in (index, page):
            assert "http://" not in text and "https://" not in text and "<script src" not in text
            assert one.notice in text and "default-src &#39;none&#39;; script-src &#39;sha256-" in text


def test_the_page_of_a_lone_scan_is_all_of_it(config, tmp_path):
    (one,) = explain(replace(config, inputs=config.inputs[:1], out=tmp_path / "out")).explanations
    assert (tmp_path / "out" / "explain.html").read_bytes() == (tmp_path / "out" / one.files["page"]).read_bytes()


def test_a_page_that_was_lost_is_made_again(config, result, tmp_path):
    out = tmp_path / "out"
    (one,) = explain(replace(config, inputs=config.inputs[:1], out=out)).explanations
    page = out / one.files["page"]
    told = page.read_bytes()
    page.unlink()
    explain(replace(config, inputs=config.inputs[:1], out=out))
    assert page.read_bytes() == told == (config.out / one.files["page"]).read_bytes()


def files_of(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*"))
            if path.is_file() and ".adclip" not in path.parts}  # fmt: skip


def test_an_earlier_result_is_kept(config, result, monkeypatch):
    """The same command tells it again without a model; another target would replace it."""
    before = files_of(config.out)
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "from_checkpoint", None)
        again = explain(config)
    assert again.explanations == result.explanations and files_of(config.out) == before
    with pytest.raises(OutputError, match="another --target") as told:
        explain(replace(config, target="AD"))
    assert "--overwrite" in told.value.remedy


def test_what_is_lost_is_made_again_and_shards_are_one_run(config, result, tmp_path):
    """Whatever a stopped run left, and whoever does the rest: the same files, and one page of all scans."""
    out = tmp_path / "out"
    first = explain(replace(config, out=out, shard="1/2"))
    assert len(first.explanations) == 1 and (out / "explain.html").read_text().count("data:image/webp") == 1
    (out / first.explanations[0].files["figure"]).unlink()
    explain(replace(config, out=out))
    assert files_of(out) == files_of(config.out)


def test_the_maps_of_a_replaced_run_are_not_left_beside_those_of_the_next(config, result, tmp_path):
    """A map of another target, or of a scan that is not asked for now, would be taken for one of this run."""
    out = tmp_path / "out"
    explain(replace(config, out=out))
    mine = out / "notes.txt"
    mine.write_text("of a person")
    other = next(name for name in ("CN", "AD") if name != result.explanations[0].target)
    (one,) = explain(replace(config, inputs=config.inputs[:1], target=other, out=out, overwrite=True)).explanations
    images = {path.name for path in out.rglob("*") if path.suffix in (".png", ".gz", ".json", ".tsv", ".html")}
    assert set(one.files.values()) <= images and one.target == other
    assert {name for name in images if "relevance" in name} == {
        name for name in one.files.values() if "relevance" in name
    }
    assert mine.read_text() == "of a person"


@pytest.mark.parametrize("target", ["DLB", "ad", "AD-", "AD-DLB"])
def test_an_unknown_target_is_told_at_once(config, tmp_path, target):
    with pytest.raises(ConfigError, match="--target"):
        explain(replace(config, target=target, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("target", "text"), [("AD", "Ventricular size"), (None, ""), (None, "...")])
def test_a_text_that_cannot_be_explained_is_told_at_once(config, tmp_path, target, text):
    with pytest.raises(ConfigError, match="--text"):
        explain(replace(config, target=target, text=text, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("asked", "label", "words"),
    [
        ({"target": "AD-CN", "method": "grad-eclip"}, "ADminusCN", True),
        ({"target": "mmse", "method": "gradient-x-input"}, "mmse", False),
        ({"text": "Ventricular size", "method": "grad-eclip"}, "textVentricularSize", False),
        ({"target": "MCI", "finer": "occlusion", "method": "occlusion"}, "MCI", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_is_explained_the_numbers_are_those_of_predict(config, result, tmp_path, asked, label, words):
    (one,) = explain(
        replace(config, inputs=config.inputs[:1], out=tmp_path / "out", faithfulness="off", **asked)
    ).explanations
    first = result.explanations[0]
    assert one.scores == pytest.approx(first.scores, abs=1e-6)
    assert one.probabilities == pytest.approx(first.probabilities, abs=1e-6)
    assert one.target == asked.get("text", asked.get("target")) and one.method == asked["method"]
    for kind, name in one.files.items():
        assert f"_desc-{label}{'signed' if kind.endswith('signed') else ''}_relevance" in name
    assert ("words" in one.files) is words and one.faithfulness == {}
    told = json.loads((tmp_path / "out" / one.files["faithfulness"]).read_text())
    assert told["level"] == "off" and told["curves"] == [] and told["verdict"]["believed"] is None
    assert nib.load(tmp_path / "out" / one.files["mni"]).get_fdata().max() > 0


def test_full_measures_rivals_weights_and_rescans_and_leaves_the_model_as_it_was(config, result, tmp_path):
    """The second scan is explained after the weights were drawn anew for the first, and has the scores that it had."""
    asked = replace(config, out=tmp_path / "out", faithfulness="full", method="grad-eclip")
    for one, before in zip(explain(asked).explanations, result.explanations, strict=True):
        assert one.scores == pytest.approx(before.scores, abs=1e-6)
        told = json.loads((asked.out / one.files["faithfulness"]).read_text())
        assert {rival["method"] for rival in told["rivals"]} == set(METHODS) - {"grad-eclip"}
        assert len(told["curves"][0]["deletion"]) == 10 and told["randomised"] and told["rescans"]["of"] == 8


@pytest.mark.parametrize(
    "changed", [{"method": "occlusion"}, {"faithfulness": "off"}, {"finer": "shifts"}, {"text": "a phrase"}]
)
def test_other_settings_do_not_go_on_in_the_folder(config, result, changed):
    with pytest.raises(OutputError, match=f"another --{next(iter(changed))}"):
        explain(replace(config, **changed))


# ------------------------------------------------------------------------------------------------ on a raw scan


@pytest.mark.parametrize("codes", ["RAS", "PSR"])
def test_the_map_lies_on_the_scan_and_left_stays_left(tmp_path, monkeypatch, tiny_run, codes):
    """Relevance planted in one patch of the MNI box lands at its place in the tilted head, whatever the axis order."""
    scan_to_mni = turn(8, 0) @ np.diag([1.05, 1.05, 1.05, 1.0])
    scan_to_mni[:3, 3] = (6, -10, 12)
    array, affine, _ = make_head(scan_to_mni, spacing=3.0)
    scan = save(tmp_path / "sub-x_T1w.nii.gz", array, affine, codes, np.int16)
    monkeypatch.setattr("adclip.imaging.steps.brain.DeepbetStripper", lambda _device: FakeStripper())
    planted = np.zeros(CONFIG.token_grid)
    planted[1, 2, 2] = 1.0  # a patch left of the middle: x from -40 to 0
    signed = enlarge_patches(planted, CONTRACT.shape)
    real = finer.attribute_finer
    monkeypatch.setattr(finer, "attribute_finer", lambda *args: replace(real(*args), per_patch=planted, signed=signed))
    (one,) = explain(ExplainConfig((scan,), tmp_path / "out", model=str(tiny_run), device="cpu")).explanations
    heat, source = nib.load(tmp_path / "out" / one.files["heatmap"]), nib.load(scan)
    assert heat.shape == source.shape
    np.testing.assert_allclose(heat.affine, source.affine, atol=1e-4)
    values = heat.get_fdata()
    place = nib.affines.apply_affine(heat.affine, np.argwhere(values > 0.9 * values.max()).mean(0))
    found = nib.affines.apply_affine(scan_to_mni, place)
    low = np.array([-40.0, -37.0, -35.0])  # the patch: W index 2 of 4, H index 2 of 5, D index 1 of 4
    assert ((found > low + 5) & (found < low + 35)).all(), found
    in_mni = nib.load(tmp_path / "out" / one.files["mni"])
    values = in_mni.get_fdata()
    found = nib.affines.apply_affine(in_mni.affine, np.argwhere(values > 0.9 * values.max()).mean(0))
    assert ((found > low + 5) & (found < low + 35)).all(), found
    assert one.scores is not None and list(one.scores) == list(LABELS)


@pytest.fixture(scope="module")
def tilted_head():
    """A head whose true alignment is known, as (array, affine)."""
    scan_to_mni = turn(8, 0) @ np.diag([1.05, 1.05, 1.05, 1.0])
    scan_to_mni[:3, 3] = (6, -10, 12)
    array, affine, _ = make_head(scan_to_mni, spacing=3.0)
    return array, affine


@pytest.mark.parametrize("codes", ["LAS", "PIR"])
def test_storage_changes_neither_the_map_nor_its_place(tmp_path, monkeypatch, tiny_run, tilted_head, codes):
    """One head, stored in two ways: the same map in MNI space, and on each file's own voxels the same values at the same mm."""
    monkeypatch.setattr("adclip.imaging.steps.brain.DeepbetStripper", lambda _device: FakeStripper())
    found = []
    for name in ("RAS", codes):
        scan = save(tmp_path / name / "sub-x_T1w.nii.gz", *tilted_head, name, np.int16, (2, 1))
        out = tmp_path / name / "out"
        settings = ExplainConfig((scan,), out, model=str(tiny_run), target="AD", device="cpu")
        (one,) = explain(settings).explanations
        source, heat = nib.load(scan), nib.load(out / one.files["heatmap"])
        assert heat.shape == source.shape and nib.aff2axcodes(heat.affine) == tuple(name)
        for field in (
            "sform_code",
            "qform_code",
            "srow_x",
            "srow_y",
            "srow_z",
            "quatern_b",
            "quatern_c",
            "quatern_d",
            "qoffset_x",
        ):
            np.testing.assert_array_equal(heat.header[field], source.header[field])
        found.append((one, nib.load(out / one.files["mni"]).get_fdata(), nib.as_closest_canonical(heat)))
    (one, map_one, heat_one), (two, map_two, heat_two) = found
    assert one.scores == pytest.approx(two.scores, abs=1e-4) and map_one.max() > 0.5
    np.testing.assert_allclose(map_one, map_two, atol=2e-3)
    np.testing.assert_allclose(heat_one.affine, heat_two.affine, atol=1e-4)
    np.testing.assert_allclose(heat_one.get_fdata(), heat_two.get_fdata(), atol=2e-3)


def test_the_map_on_the_scan_ends_with_the_brain(tmp_path, monkeypatch, tiny_run, tilted_head):
    monkeypatch.setattr("adclip.imaging.steps.brain.DeepbetStripper", lambda _device: FakeStripper())
    scan = save(tmp_path / "sub-x_T1w.nii.gz", *tilted_head, "LPS", np.int16)
    (one,) = explain(ExplainConfig((scan,), tmp_path / "out", model=str(tiny_run), device="cpu")).explanations
    heat = nib.load(tmp_path / "out" / one.files["heatmap"]).get_fdata()
    inside = FakeStripper()(
        Volume(np.asarray(nib.load(scan).dataobj, np.float32), np.eye(4), SourceGrid(heat.shape, np.eye(4)))
    )
    assert heat[inside].max() > 0.3 and heat[~inside].max() == 0


# ------------------------------------------------------------------------------------------------ regions


def test_relevance_in_one_region_is_found_there():
    maps = region_maps(CONTRACT)
    for name in ("hippocampus_left", "hippocampus_right", "ventricles"):
        shares = share_by_region(maps[name] * (maps[name] > 0.3), CONTRACT)
        assert shares[0].region == name and shares[0].ratio > 3
    x = nib.affines.apply_affine(CONTRACT.affine_xyz, np.argwhere(maps["hippocampus_left"] > 0.3))[:, 0]
    assert (x < 0).all()


def test_an_even_map_is_at_chance_everywhere_and_an_empty_one_has_no_share():
    maps = region_maps(CONTRACT)
    even = share_by_region(np.ones(CONTRACT.shape_xyz), CONTRACT)
    assert all(0.8 < share.ratio < 3 for share in even)  # 1 but for the brain's soft edge
    assert all(share.relevance_share == 0 for share in share_by_region(np.zeros(CONTRACT.shape_xyz), CONTRACT))
    brain = maps["brain"] > 0.5
    assert mask_ratio(np.ones(CONTRACT.shape_xyz), maps["ventricles"] > 0.5, brain) == pytest.approx(1)
    assert np.isnan(mask_ratio(np.zeros(CONTRACT.shape_xyz), brain, brain))
    assert np.isnan(mask_ratio(np.ones(CONTRACT.shape_xyz), ~brain, brain))


def test_the_average_brain_is_a_scan_of_the_contract():
    image = template_image(CONTRACT)
    assert image.shape == CONTRACT.shape_xyz and image.min() == 0 and image.max() == 1
