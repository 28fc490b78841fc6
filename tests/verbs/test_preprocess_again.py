"""Running `preprocess` again: what still holds is kept, what does not is made anew, and no word of the user is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from phantoms import make_head, save

from adclip.config import SMALL, PreprocessConfig
from adclip.verbs.preprocess import preprocess


@pytest.fixture(autouse=True)
def _small_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adclip.model.checkpoint.read_contract", lambda model: SMALL.contract)


@pytest.fixture(scope="module")
def anna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A skull-stripped head, which needs no stripper."""
    array, affine, _ = make_head(np.eye(4), spacing=3.0, skull=False)
    return save(tmp_path_factory.mktemp("anna") / "anna.nii.gz", array, affine)


def sidecar_of(out: Path) -> dict:
    (path,) = out.rglob("*_desc-preproc_T1w.json")
    return json.loads(path.read_text())


def test_an_override_survives_when_the_scan_is_made_anew(anna: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preprocess(PreprocessConfig(inputs=(anna,), out=out, overrides=("anna=fail",)))
    (row,) = preprocess(PreprocessConfig(inputs=(anna,), out=out, overwrite=True)).rows
    assert (row.status, row.qc.verdict) == ("done", "fail")
    assert sidecar_of(out)["QC"]["override"]["to"] == "fail"


def test_an_override_is_obeyed_where_derivatives_are_the_input(anna: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    preprocess(PreprocessConfig(inputs=(anna,), out=first))
    (row,) = preprocess(PreprocessConfig(inputs=(first,), out=tmp_path / "second", overrides=("anna=fail",))).rows
    assert row.qc.verdict == "fail"
    assert sidecar_of(tmp_path / "second")["QC"]["override"]["to"] == "fail"
    assert "override" not in sidecar_of(first)["QC"]


@pytest.mark.parametrize("damage", ["image", "mask", "figure"])
def test_a_damaged_result_is_made_anew(anna: Path, tmp_path: Path, damage: str) -> None:
    out = tmp_path / "out"
    preprocess(PreprocessConfig(inputs=(anna,), out=out))
    victim = out / sidecar_of(out)["Files"][damage]["path"]
    whole = victim.read_bytes()
    if damage == "figure":
        victim.unlink()
    else:
        victim.write_bytes(b"")
    (row,) = preprocess(PreprocessConfig(inputs=(anna,), out=out)).rows
    assert row.status == "done"
    assert victim.read_bytes() == whole
    (row,) = preprocess(PreprocessConfig(inputs=(anna,), out=out)).rows
    assert row.status == "kept"


def test_an_old_recipe_is_not_renewed_by_taking_it_over(anna: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    preprocess(PreprocessConfig(inputs=(anna,), out=first))
    (path,) = first.rglob("*_desc-preproc_T1w.json")
    old = sidecar_of(first) | {"Fingerprint": "old", "GeneratedBy": [{"Name": "adclip", "Version": "0", "Recipe": 1}]}
    path.write_text(json.dumps(old))
    preprocess(PreprocessConfig(inputs=(first,), out=second))
    assert sidecar_of(second)["Fingerprint"] == "old"
    assert sidecar_of(second)["GeneratedBy"] == old["GeneratedBy"]
    (row,) = preprocess(PreprocessConfig(inputs=(anna,), out=second)).rows
    assert row.status == "done"
    assert sidecar_of(second)["Fingerprint"] != "old"


def test_a_damaged_table_beside_a_good_scan_fails_nothing(anna: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "anna.nii.gz").write_bytes(anna.read_bytes())
    (folder / "dlmuse.csv").write_text("MRID,702,47,48\nanna,many,4000,3900\n")
    (row,) = preprocess(PreprocessConfig(inputs=(folder / "anna.nii.gz",), out=tmp_path / "out", volumes=True)).rows
    assert row.status == "done"
    assert sidecar_of(tmp_path / "out")["Volumes"]["source"].startswith("adclip segmenter")
