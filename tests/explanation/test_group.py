"""Mean maps of a cohort: what is averaged, who counts, and that nobody can be found in what is shared."""

from __future__ import annotations

import gc
import html
import json
import re
import weakref
from itertools import combinations

import nibabel as nib
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from tiny import CONTRACT, LABELS

from adclip.errors import OutputError
from adclip.explanation.group.files import PAGE, RESULTS, TABLE, TABLE_ABOUT, GroupRun, remove_group, write_group
from adclip.explanation.group.means import INSIDE, TOP, average
from adclip.explanation.group.members import Kind, find_members
from adclip.explanation.target import class_target
from adclip.imaging.sources.files import write_nifti
from adclip.imaging.volumes.regions import region_maps, share_by_region
from adclip.verbs.schema import schema_of

RNG = np.random.default_rng(5)
AD, CN = Kind("AD", "AD"), Kind("CN", "CN")
MODEL = {"name": "a model", "adapter.json": "00ff"}


@pytest.fixture(scope="module")
def brain():
    return region_maps(CONTRACT)["brain"]


def record(subject, predicted="AD", target=None, status="ok", flags=(), name=None, faithfulness=None, labels=LABELS):
    probabilities = {label: 0.8 if label == predicted else 0.1 for label in labels}
    return {
        "scan": f"/secret/{subject}_T1w.nii.gz", "subject_id": subject, "session_id": None, "status": status, "target": target or predicted,
        "probabilities": probabilities, "flags": list(flags), "faithfulness": faithfulness or {}, "files": {"mni_signed": name or f"{subject}.nii.gz"},
    }  # fmt: skip


def failed(subject):
    return {"scan": f"/secret/{subject}", "subject_id": subject, "session_id": None, "status": "failed", "files": {}}


def noise():
    return RNG.standard_normal(CONTRACT.shape_xyz).astype(np.float32)


def scaled(values, brain):
    """Independent of the code: relevance in that of an even map."""
    return values * (brain > 0) * brain.sum() / (np.abs(values) * brain).sum()


def means_of(records, maps, labels=LABELS):
    members = find_members(records, labels)
    return {group.kind: group for group in average(members, maps.__getitem__, CONTRACT)}


# ------------------------------------------------------------------------------------------------ the mean


def test_the_mean_is_that_of_maps_of_equal_relevance_whatever_their_size(brain):
    maps = {f"{name}.nii.gz": noise() * size for name, size in (("a", 1), ("b", 100), ("c", 0.01))}
    group = means_of([record(name) for name in "abc"], maps)[AD]
    assert group.people == 3
    wanted = np.mean([scaled(np.clip(one, 0, None), brain) for one in maps.values()], 0)
    np.testing.assert_allclose(group.positive, wanted, rtol=1e-4)
    np.testing.assert_allclose(group.signed, np.mean([scaled(one, brain) for one in maps.values()], 0), atol=1e-4)
    assert (group.positive * brain).sum() / brain.sum() == pytest.approx(1, abs=1e-4)


def test_two_visits_of_one_person_count_once(brain):
    """The archive's names of the visits are two ids of one person."""
    first, second, other = noise(), noise(), noise()
    records = [record("OAS1_0061_MR1"), record("x"), record("oas1_0061_MR2")]
    group = means_of(records, {"OAS1_0061_MR1.nii.gz": first, "x.nii.gz": other, "oas1_0061_MR2.nii.gz": second})[AD]
    assert group.people == 2 and group.tally.scans == 3
    own = (scaled(first, brain) + scaled(second, brain)) / 2
    np.testing.assert_allclose(group.signed, (own + scaled(other, brain)) / 2, atol=1e-4)


def test_maps_of_different_targets_are_never_averaged():
    one, two = noise(), noise()
    maps = {"a.nii.gz": one, "b.nii.gz": one, "c.nii.gz": two, "d.nii.gz": two}
    records = [record("a"), record("b"), record("c", target="CN"), record("d", target="CN")]
    groups = means_of(records, maps)
    assert set(groups) == {AD, Kind("AD", "CN")}
    assert np.corrcoef(groups[AD].signed.ravel(), groups[Kind("AD", "CN")].signed.ravel())[0, 1] < 0.1


def test_relevance_outside_of_the_templates_brain_is_not_counted(brain):
    maps = {"a.nii.gz": noise(), "b.nii.gz": noise()}
    before = means_of([record("a"), record("b")], maps)[AD]
    after = means_of([record("a"), record("b")], {name: np.where(brain > 0, one, 50.0) for name, one in maps.items()})[
        AD
    ]
    np.testing.assert_array_equal(before.positive, after.positive)
    assert not after.positive[brain == 0].any()


def test_shares_of_regions_are_means_over_people_and_those_of_the_mean_map():
    maps = {f"{name}.nii.gz": noise() + 3 * region_maps(CONTRACT)[f"hippocampus_{side}"]
            for name, side in (("a", "left"), ("b", "left"), ("c", "right"))}  # fmt: skip
    group = means_of([record(name) for name in "abc"], maps)[AD]
    people = [share_by_region(np.clip(one, 0, None), CONTRACT) for one in maps.values()]
    of_mean = {one.region: one for one in share_by_region(group.positive, CONTRACT)}
    for mean in group.regions:
        shares = [one.relevance_share for rows in people for one in rows if one.region == mean.region]
        tops = [mean.region in {one.region for one in rows[:TOP]} for rows in people]
        assert mean.share == pytest.approx(np.mean(shares), rel=1e-6)
        assert mean.share == pytest.approx(of_mean[mean.region].relevance_share, rel=1e-4)
        assert mean.share_sd == pytest.approx(np.std(shares, ddof=1), rel=1e-4)
        assert mean.top == pytest.approx(np.mean(tops))
        assert mean.volume_share == pytest.approx(of_mean[mean.region].volume_share, rel=1e-5)
    assert [one.ratio for one in group.regions] == sorted((one.ratio for one in group.regions), reverse=True)
    assert group.regions[0].region == "hippocampus_left" and group.regions[0].top >= 2 / 3


# ------------------------------------------------------------------------------------------------ how alike


def test_likeness_is_the_mean_correlation_of_pairs(brain):
    """Against every pair computed by itself; one person is in both groups and never compared with himself."""
    common = noise()
    maps = {f"{name}.nii.gz": common + noise() for name in ("a", "b", "c", "both-AD")}
    maps |= {f"{name}.nii.gz": noise() - common for name in ("d", "e", "both-CN")}
    records = [record(name) for name in "abc"] + [record("both", name="both-AD.nii.gz")]
    records += [record(name, "CN") for name in "de"] + [record("both", "CN", name="both-CN.nii.gz")]
    groups = means_of(records, maps)

    def correlation(one, two):
        inside = brain > INSIDE
        return np.corrcoef(maps[f"{one}.nii.gz"][inside], maps[f"{two}.nii.gz"][inside])[0, 1]

    ad, cn = ("a", "b", "c", "both-AD"), ("d", "e", "both-CN")
    assert groups[AD].alike == pytest.approx(np.mean([correlation(*pair) for pair in combinations(ad, 2)]), abs=1e-5)
    assert groups[CN].alike == pytest.approx(np.mean([correlation(*pair) for pair in combinations(cn, 2)]), abs=1e-5)
    across = [correlation(one, two) for one in ad for two in cn if (one, two) != ("both-AD", "both-CN")]
    assert groups[AD].alike_others == pytest.approx(np.mean(across), abs=1e-5)
    assert groups[CN].alike_others == pytest.approx(groups[AD].alike_others, abs=1e-9)
    assert groups[AD].alike > 0.3 > -0.3 > groups[AD].alike_others


def test_one_other_person_is_no_group_to_be_like():
    maps = {f"{name}.nii.gz": noise() for name in "abc"}
    groups = means_of([record("a"), record("b"), record("c", "CN")], maps)
    assert groups[AD].alike is not None and groups[AD].alike_others is None


def test_even_maps_have_no_pattern_to_compare():
    maps = {f"{name}.nii.gz": np.full(CONTRACT.shape_xyz, 0.3, np.float32) for name in "ab"}
    group = means_of([record("a"), record("b")], maps)[AD]
    assert group.people == 2 and group.alike is None


# ------------------------------------------------------------------------------------------------ who counts


def test_refer_flat_and_failed_scans_are_left_out_and_counted(brain):
    records = [
        record("a"), record("b", faithfulness={"deletion_gain": -1.0}, flags=["map_no_better_than_chance"]), record("c", status="refer"),
        record("d", flags=["flat_map"]), record("e", status="caution"), failed("f"), record("outside"), record("g", "CN", status="refer"),
    ]  # fmt: skip
    maps = {f"{name}.nii.gz": noise() for name in "abe"}
    maps["d.nii.gz"] = np.zeros(CONTRACT.shape_xyz)
    maps["outside.nii.gz"] = np.where(brain > 0, -1.0, 1.0)
    members = find_members(records, LABELS)
    groups = {group.kind: group for group in average(members, maps.__getitem__, CONTRACT)}
    tally = groups[AD].tally
    assert groups[AD].people == 3 and members.failed == 1 and members.explained == 7
    assert (tally.scans, tally.refer, tally.flat, tally.checked, tally.doubtful) == (3, 1, 2, 1, 1)
    assert groups[CN].people == 0 and groups[CN].positive is None and groups[CN].tally.refer == 1
    np.testing.assert_allclose(groups[AD].signed, np.mean([scaled(maps[f"{one}.nii.gz"], brain) for one in "abe"], 0),
                               atol=1e-4)  # fmt: skip


def test_groups_stand_in_the_order_of_the_classes():
    members = find_members([record("a", "AD"), record("b", "CN"), record("c", "MCI")], LABELS)
    assert [kind.predicted for kind in members.kinds] == ["CN", "MCI", "AD"]


def test_of_one_person_nothing_is_told_but_the_number():
    group = means_of([record("a"), record("b", "CN"), record("c", "CN")], {f"{x}.nii.gz": noise() for x in "abc"})[AD]
    assert group.people == 1 and group.is_few
    assert group.positive is None and group.signed is None and not group.regions
    assert group.alike is None and group.alike_others is None


def test_memory_holds_one_map_however_many_there_are():
    """Each map is gone before the next is read: nothing keeps it, nor a view of it."""
    alive: list[weakref.ref] = []
    most = 0

    def read(_name):
        nonlocal most
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        values = noise()
        alive.append(weakref.ref(values))
        return values

    average(find_members([record(f"{number}") for number in range(25)], LABELS), read, CONTRACT)
    assert len(alive) == 25 and most == 0


# ------------------------------------------------------------------------------------------------ files


def run_of(target=None, **changed):
    settings = {
        "contract": CONTRACT,
        "target": target,
        "method": "occlusion",
        "model": MODEL,
        "notice": "research <only>",
    }
    return GroupRun(**(settings | changed))


def put(out, records, maps, target=None, labels=LABELS):
    out.mkdir(exist_ok=True)
    for name, values in maps.items():
        write_nifti(out / name, values, CONTRACT.affine_xyz)
    return write_group(out, find_members(records, labels), run_of(target))


def rows_of(out):
    header, *lines = [line.split("\t") for line in (out / TABLE).read_text().splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


@pytest.fixture(scope="module")
def lopsided():
    """Six people with relevance in the left hippocampus, and one of another class."""
    left = region_maps(CONTRACT)["hippocampus_left"]
    records = [record(f"Jane{number}") for number in range(6)] + [record("Jane6", "CN"), failed("Jane7")]
    return records, {f"Jane{number}.nii.gz": left - 0.02 + 0.001 * noise() for number in range(7)}


def test_left_stays_left(tmp_path, lopsided):
    put(tmp_path, *lopsided)
    for statistic in ("mean", "signedmean"):
        name = f"group_space-MNI152NLin2009aSym_predicted-AD_stat-{statistic}_desc-AD_relevance.nii.gz"
        image = nib.load(tmp_path / name)
        np.testing.assert_allclose(image.affine, CONTRACT.affine_xyz)
        assert image.header["sform_code"] == image.header["qform_code"] == 4
        values = image.get_fdata()
        peak = nib.affines.apply_affine(image.affine, np.unravel_index(values.argmax(), values.shape))
        assert peak[0] < -10
    rows = [row for row in rows_of(tmp_path) if row["predicted"] == "AD"]
    assert rows[0]["region"] == "hippocampus_left" and rows[0]["top_share"] == "1.0000"
    shares = {row["region"]: float(row["relevance_share"]) for row in rows}
    assert shares["hippocampus_left"] > 5 * shares["hippocampus_right"]


def test_the_table_counts_and_its_dictionary_describes_every_column(tmp_path, lopsided):
    put(tmp_path, *lopsided)
    rows = rows_of(tmp_path)
    about = json.loads((tmp_path / TABLE_ABOUT).read_text())
    assert set(about) - {"Notice"} == set(rows[0])
    Draft202012Validator(schema_of("dictionary")).validate(about)
    ad, cn, nobody = rows[1], next(row for row in rows if row["predicted"] == "CN"), rows[-1]
    assert ad["people"] == ad["scans"] == "6" and ad["too_few"] == "no" and float(ad["correlation_within"]) > 0.9
    assert cn["people"] == "1" and cn["too_few"] == "yes" and cn["region"] == cn["correlation_within"] == "n/a"
    assert nobody["predicted"] == "n/a" and nobody["scans_failed"] == "1" and nobody["region"] == "n/a"
    assert not list(tmp_path.glob("group_*predicted-CN*"))


def test_the_json_beside_a_map_says_how_many_it_is_the_mean_of(tmp_path, lopsided):
    put(tmp_path, *lopsided)
    beside = sorted(tmp_path.glob("group_*_relevance.json"))
    assert len(beside) == 2
    for path in beside:
        told = json.loads(path.read_text())
        Draft202012Validator(schema_of("group-map")).validate(told)
        assert not Draft202012Validator(schema_of("group-map")).is_valid(told | {"people": -1})
        assert (
            told["people"] == 6 and told["predicted"] == told["target"] == "AD" and told["notice"] == "research <only>"
        )
        assert path.with_suffix("").with_suffix(".nii.gz").is_file() and path.with_suffix(".png").is_file()


def test_no_person_is_on_anything_that_may_be_shared(tmp_path, lopsided):
    page = put(tmp_path, *lopsided)
    for path in (page, tmp_path / TABLE, *tmp_path.glob("group_*.json")):
        text = re.sub(r"data:image/png;base64,[^\"]+", "", path.read_text())
        assert "Jane" not in text and "secret" not in text and str(tmp_path) not in text


def test_the_page_is_whole_without_a_network(tmp_path, lopsided):
    text = put(tmp_path, *lopsided).read_text()
    assert text.count("data:image/png;base64,") == 2 and 'lang="en"' in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text) and "://" not in text
    assert "default-src 'none'" in html.unescape(text) and "6 people" in text and "1 failed" in text
    assert "No map is shown" in text  # of the class with one person
    assert all("<caption>" in table for table in re.findall(r"<table.*?</table>", text, re.S))
    assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r"<img [^>]*>", text))


def test_names_of_another_task_are_escaped_everywhere(tmp_path):
    """Whoever writes a task names its classes; a page, a table and a file name must all bear it."""
    labels = ("<script>alert(1)</script>", '=HYPERLINK("x")\t"><img src=x onerror=y>')
    maps = {f"{name}.nii.gz": noise() for name in "abcd"}
    records = [record(name, labels[name in "cd"], labels=labels) for name in "abcd"]
    text = put(tmp_path, records, maps, labels=labels).read_text()
    assert "<script>alert" not in text and "<img src=x" not in text and "&lt;script&gt;alert(1)" in text
    rows = rows_of(tmp_path)
    assert {row["predicted"] for row in rows} == {labels[0], '\'=HYPERLINK("x") "><img src=x onerror=y>'}
    names = {path.name for path in tmp_path.glob("group_space-*.nii.gz")}
    assert len(names) == 4 and all(
        re.fullmatch(r"(group|[a-z]+-[A-Za-z0-9]+|relevance|_)+\.nii\.gz", name) for name in names
    )


def test_the_same_maps_give_the_same_bytes(tmp_path, lopsided):
    for name in ("one", "two"):
        put(tmp_path / name, *lopsided)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two and set(RESULTS) <= set(one)


def test_means_of_an_earlier_state_go(tmp_path, lopsided):
    records, maps = lopsided
    mine = tmp_path / "group_of_mine.nii.gz"
    put(tmp_path, records, maps)
    mine.write_bytes(b"of a person")
    changed = [record(f"Jane{number}", "MCI", "CN") for number in range(6)]
    put(tmp_path, changed, {}, class_target("CN"))
    names = {path.name for path in tmp_path.glob("group_space-*")}
    assert len(names) == 6 and all("predicted-MCI" in name and "desc-CN" in name for name in names)
    remove_group(tmp_path)
    assert [path.name for path in tmp_path.glob("group*")] == [mine.name] and not (tmp_path / PAGE).exists()


@pytest.mark.parametrize("harm", ["gone", "damaged", "another grid", "no numbers"])
def test_a_map_that_cannot_be_averaged_is_named_with_its_cure(tmp_path, lopsided, harm):
    records, maps = lopsided
    put(tmp_path, records, maps)
    path = tmp_path / "Jane3.nii.gz"
    if harm == "gone":
        path.unlink()
    elif harm == "damaged":
        path.write_bytes(path.read_bytes()[:100])
    elif harm == "another grid":
        write_nifti(path, maps[path.name], CONTRACT.affine_xyz @ np.diag([-1, 1, 1, 1]))
    else:
        write_nifti(path, np.full(CONTRACT.shape_xyz, np.nan), CONTRACT.affine_xyz)
    with pytest.raises(OutputError, match=r"Jane3\.nii\.gz") as told:
        write_group(tmp_path, find_members(records, LABELS), run_of())
    assert "delete" in told.value.remedy
