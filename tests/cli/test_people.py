"""Who is one person in a fine-tuning: under whatever names the scans go, nobody stands on two sides of the split."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tiny import CONTRACT, LABELS, paint

from adclip.clinical.tables.people import person_of
from adclip.domain import ScanItem
from adclip.imaging.derivatives.files import PreparedScan, quantise, write_dataset_description, write_derivative
from adclip.imaging.records.quality import Quality

# fmt: off
TWINS = (
    ("20", "020"), ("A", "a"), ("OAS1_0061_MR1", "OAS1_0061_MR2"), ("OAS1_0062_MR1_mpr-1_anon", "oas1_0062_MR2_mpr-1_anon"),
    ("OAS30001_MR_d0129", "OAS30001_MR_d0757"), ("AIBL_7_MR_MPRAGE_I1", "AIBL7"),
    ("ADNI_011_S_0002_MR_MPRAGE_br_raw_2005_S1_I1", "ADNI011S0002"), ("S-007", "s-7"),
)
# fmt: on
FILLERS = tuple(f"{'qrstuvwxyz'[number % 10]}k{'abcdefgh'[number // 10]}" for number in range(22))


@pytest.fixture
def cohort(tmp_path):
    """Write derivatives of people who go by these names; return the folder and the path of each one's scan."""

    def write(names: tuple[str, ...]) -> dict[str, Path]:
        rng = np.random.default_rng(5)
        scans = {}
        for number, name in enumerate(names):
            image = quantise(paint(number % 3, rng))
            prepared = PreparedScan(image, image > 0, np.eye(4), qc=Quality(verdict="pass"))
            scans[name] = write_derivative(prepared, ScanItem(Path(), name), tmp_path / "scans", CONTRACT)
        write_dataset_description(tmp_path / "scans")
        return scans

    return write


def write_rows(path: Path, scans: dict[str, Path], *, named: bool = False) -> None:
    lines = ["subject_id,age_years,diagnosis" if named else "scan,age_years,diagnosis"]
    for number, (name, scan) in enumerate(scans.items()):
        lines.append(f"{name if named else scan.relative_to(path.parent)},{60 + number},{LABELS[number % 3]}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def train(run, tiny_base, tmp_path):
    def train(*words: str):
        return run(
            "finetune", "--scans", "scans", "--table", "t.csv", "--out", "run", "--base", str(tiny_base), "--device", "cpu",
            "--epochs", "1", "--batch-size", "8", "--visual-prompts", "3", "--text-prompts", "4", "--json", *words,
        )  # fmt: skip

    return train


def parts_of(out: Path) -> dict[str, str]:
    with (out / "private" / "splits.tsv").open() as stream:
        return {row["subject_id"]: row["part"] for row in csv.DictReader(stream, delimiter="\t")}


@pytest.mark.parametrize("named", [False, True])
def test_twins_stand_on_one_side_and_the_certificate_counts_them_once(cohort, train, tmp_path, named):
    twins = [pair for pair in TWINS if not named or person_of(pair[0]).startswith(("oasis", "adni", "aibl"))]
    names = (*(name for pair in twins for name in pair), *FILLERS)
    write_rows(tmp_path / "t.csv", cohort(names), named=named)
    ran = train()
    assert ran.code == 0, ran.stderr
    parts = parts_of(tmp_path / "run")
    assert set(parts) == set(names)
    assert [parts[one] for one, _ in twins] == [parts[other] for _, other in twins]
    certificate = json.loads((tmp_path / "run" / "private" / "leak_certificate.json").read_text())
    assert sum(certificate["subjects"].values()) == len(twins) + len(FILLERS)
    assert sum(certificate["scans"].values()) == len(names)
    assert ("told apart by the names of the scans" in ran.stderr) == (not named)
    for pair in twins:
        assert f"{', '.join(sorted(pair))} count as one person" in ran.stderr


def test_every_fold_and_every_seed_keeps_twins_together(cohort, tmp_path):
    names = (*(name for pair in TWINS for name in pair), *FILLERS)
    write_rows(tmp_path / "t.csv", cohort(names))
    from adclip.clinical.scans.manifest import build_manifest
    from adclip.clinical.scans.splits import split_by_subject
    from adclip.clinical.tables.table import read_table
    from adclip.imaging.sources.find import find_scans

    manifest = build_manifest(find_scans((tmp_path / "scans",)), read_table(tmp_path / "t.csv"))
    visits = [example.visit for example in manifest]
    for seed in range(20):
        for fold in (None, (1 + seed % 3, 3)):
            parts = split_by_subject(visits, {"test": 0.2, "validation": 0.2}, seed, fold).assignment
            assert all(parts[one] == parts[other] for one, other in TWINS)


def test_a_given_split_with_twins_on_two_sides_is_refused(cohort, train, tmp_path):
    names = ("20", "020", *FILLERS)
    write_rows(tmp_path / "t.csv", cohort(names))
    lines = [
        f"{name}\t{'test' if name == '020' or number % 4 == 0 else 'train'}" for number, name in enumerate(names[1:], 1)
    ]
    (tmp_path / "s.tsv").write_text("\n".join(["subject_id\tpart", "20\ttrain", *lines]) + "\n")
    ran = train("--splits", "s.tsv")
    assert ran.code == 2 and "`020` and `20` are one person" in ran.stderr
    assert not (tmp_path / "run" / "adapter.json").exists()


def test_a_given_split_knows_a_person_by_another_id(cohort, train, tmp_path):
    names = ("OAS1_0061_MR2", *FILLERS)
    write_rows(tmp_path / "t.csv", cohort(names))
    parts = [f"{name}\t{('train', 'train', 'train', 'test')[number % 4]}" for number, name in enumerate(FILLERS)]
    (tmp_path / "s.tsv").write_text("\n".join(["subject_id\tpart", "OAS1_0061\ttest", *parts]) + "\n")
    ran = train("--splits", "s.tsv", "--dry-run")
    assert ran.code == 0, ran.stderr
    assert "not in it" not in ran.stderr


@pytest.mark.parametrize(
    "pair",
    [("anna_v1", "anna_v2"), ("S01-baseline", "S01-followup"), ("S01", "S01_m12"), ("k9_ses-1", "k9_ses-2"), ("anna-scan1", "anna-scan2"),
     ("bert_1", "bert_2"), ("bert_2020-01-31", "bert_2021-02-03"), ("20200131-bert", "20210203-bert"), ("S01a", "S01b"), ("S01_A", "S01_B"),
     ("bert", "bert_2"), ("miriad_189_AD_F_01_MR_1", "miriad_189_AD_F_02_MR_1"), ("baseline-anna", "m12-anna"), ("anna.v1.brain", "anna.v2.brain"), ("anna", "anna_T2"), ("C3", "C3-Follow-up")],
)  # fmt: skip
def test_names_that_leave_open_who_is_one_person_are_refused_where_no_table_says_it(cohort, train, tmp_path, pair):
    scans = cohort((*pair, *FILLERS))
    write_rows(tmp_path / "t.csv", scans)
    ran = train()
    assert ran.code == 2 and ran.stdout == ""
    assert f"`{pair[0]}` and `{pair[1]}`" in ran.stderr and "subject_id" in ran.stderr.split("hint: ")[1]
    assert not (tmp_path / "run" / "adapter.json").exists()
    write_rows(tmp_path / "t.csv", scans, named=True)  # a table's own ids are the user's word
    assert train("--dry-run").code == 0


COHORTS = {
    "one study": [f"study_{number:02d}" for number in range(24)],
    "patients": [f"patient_{number}" for number in range(1, 31)],
    "two sites": [f"site{site}_{number:02d}" for site in "AB" for number in range(1, 13)],
    "groups": [f"{group}_{number:03d}" for group in ("NC", "MCI", "AD") for number in range(1, 9)],
    "one small site": [f"site{site}_{number:02d}" for site in "ABC" for number in range(1, 2 if site == "C" else 15)],
    "numbered sites": [f"site_{site:02d}_{number:03d}" for site in range(1, 4) for number in range(1, 9)],
    "ABIDE": [f"{site}_{50000 + 100 * number + one:07d}" for number, site in enumerate(("Pitt", "NYU", "UCLA")) for one in range(9)],
    "IXI": [f"IXI{number:03d}-{('Guys', 'HH', 'IOP')[number % 3]}-{800 + number:04d}" for number in range(2, 26)],
    "scans": [f"brain_scan_{number:03d}" for number in range(1, 25)],
    "sexes": [f"{group}_{sex}{number:02d}" for group in ("AD", "CN") for sex in "MF" for number in range(1, 8)],
}  # fmt: skip


@pytest.mark.parametrize("names", COHORTS.values(), ids=COHORTS)
def test_ordinary_names_of_people_are_no_puzzle(cohort, train, tmp_path, names):
    write_rows(tmp_path / "t.csv", cohort(tuple(names)))
    ran = train("--dry-run")
    assert ran.code == 0, ran.stderr
    assert f"{len(names)} people" in ran.stderr


def test_numbers_taken_for_people_are_spoken_of(cohort, train, tmp_path):
    write_rows(tmp_path / "t.csv", cohort(tuple(COHORTS["two sites"])))
    assert "numbers after `siteA`, `siteB` are taken for people, not for visits" in train("--dry-run").stderr


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        ([f"S{number:03d}_{visit}" for number in range(1, 13) for visit in (1, 2)], ("S001_1", "S001_2")),
        ([f"P_{number:03d}_{visit}" for number in range(1, 9) for visit in (1, 2, 3)], ("P_001_1", "P_001_2")),
        ([f"{person}_{visit}" for person in FILLERS[:6] for visit in range(1, 5)], ("qka_1", "qka_2")),
        ([*COHORTS["two sites"], "siteA_05_2"], ("siteA_05", "siteA_05_2")),
        ([f"{name}_v{visit}" for name in COHORTS["two sites"] for visit in (1, 2)], ("siteA_01_v1", "siteA_01_v2")),
    ],
)  # fmt: skip
def test_visits_are_not_taken_for_people(cohort, train, tmp_path, names, pair):
    write_rows(tmp_path / "t.csv", cohort(tuple(names)))
    ran = train("--dry-run")
    assert ran.code == 2 and f"`{pair[0]}` and `{pair[1]}`" in ran.stderr, ran.stderr


def test_a_download_tree_of_any_project_says_who_is_one_person(cohort, train, tmp_path):
    names = [
        f"PPMI_{3000 + number}_201{year}-01-31_12_00_00.0_I{number}{year}" for number in range(12) for year in (1, 2)
    ]
    write_rows(tmp_path / "t.csv", cohort(tuple(names)))
    ran = train("--dry-run")
    assert ran.code == 0 and "12 people" in ran.stderr, ran.stderr


def test_the_names_of_a_study_say_who_is_who(cohort, train, tmp_path):
    names = tuple(f"ADNI_{site:03d}_S_{number:04d}_MR_MPRAGE_I{number}" for site in (11, 12) for number in range(1, 13))
    write_rows(tmp_path / "t.csv", cohort(names))
    ran = train("--dry-run")
    assert ran.code == 0, ran.stderr
    assert "24 people" in ran.stderr


def test_a_download_tree_learns_from_the_rows_of_its_days(cohort, train, tmp_path):
    visits = [(number, month) for number in range(1, 19) for month in ((0, 6) if number < 4 else (0,))]
    names = tuple(
        f"ADNI_011_S_{number:04d}_200{5 + month // 6}-08-26_06_36_14.0_I{number}{month}" for number, month in visits
    )
    cohort(names)
    lines = ["PTID,VISCODE,EXAMDATE,AGE,Years_bl,PTGENDER,DX"]
    for number, month in visits:
        state = ("CN", "MCI", "Dementia")[(number + (month > 0)) % 3]
        lines.append(
            f"011_S_{number:04d},{'m06' if month else 'bl'},200{5 + month // 6}-09-01,70,{month / 12},Male,{state}"
        )
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    ran = train()
    assert ran.code == 0, ran.stderr
    assert "left out" not in ran.stderr
    parts = parts_of(tmp_path / "run")
    assert set(parts) == {f"011_S_{number:04d}" for number, _ in visits}
    with (tmp_path / "run" / "private" / "scans.tsv").open() as stream:
        sessions = [row["session_id"] for row in csv.DictReader(stream, delimiter="\t")]
    assert sorted(sessions) == ["bl"] * 18 + ["m06"] * 3


def test_ids_of_a_table_that_differ_in_zeros_are_still_refused(cohort, train, tmp_path):
    write_rows(tmp_path / "t.csv", cohort(("20", "020", *FILLERS)), named=True)
    ran = train()
    assert ran.code == 2 and "leading zeros" in ran.stderr


def test_the_same_scan_twice_of_one_person_is_no_leak(cohort, train, tmp_path):
    scans = cohort(("OAS1_0061_MR1", "OAS1_0061_MR2", *FILLERS))
    scans["OAS1_0061_MR2"].write_bytes(scans["OAS1_0061_MR1"].read_bytes())
    write_rows(tmp_path / "t.csv", scans)
    assert train("--dry-run").code == 0


def test_blank_ids_among_named_ones_stop_a_training(cohort, train, tmp_path):
    write_rows(tmp_path / "t.csv", cohort(FILLERS), named=True)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    lines[4] = lines[4].replace(FILLERS[3], "")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    ran = train()
    assert ran.code == 2 and "t.csv line 5: no subject id" in ran.stderr


def test_two_sessions_of_a_study_do_not_share_a_row_without_session(cohort, train, tmp_path):
    scans = cohort(("OAS1_0061_MR1", "OAS1_0061_MR2", *FILLERS))
    lines = ["subject_id,age_years,diagnosis", "OAS1_0061,70,AD"]
    lines += [f"{name},{60 + number},{LABELS[number % 3]}" for number, name in enumerate(list(scans)[2:])]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    ran = train("--dry-run")
    assert ran.code == 0, ran.stderr
    assert "2 left out: one row without session_id for several sessions" in ran.stderr


def test_a_scan_cell_settles_names_that_contradict_each_other(cohort, train, tmp_path):
    scans = cohort(FILLERS)
    for number, odd in enumerate(("OAS1_0061_MR1/OAS1_0062_MR1", "OAS1_0063_MR1/OAS1_0063_MR2")):
        ending = scans[FILLERS[number]].name.partition("_space-")[2]
        moved = tmp_path / "scans" / f"{odd}_space-{ending}"
        moved.parent.mkdir()
        for old, new in ((".nii.gz", ".nii.gz"), (".nii.gz", ".json")):
            Path(str(scans[FILLERS[number]]).replace(old, new)).rename(str(moved).replace(old, new))
        scans[FILLERS[number]] = moved
    write_rows(tmp_path / "t.csv", scans)
    ran = train("--dry-run")
    assert ran.code == 0 and "left out" not in ran.stderr, ran.stderr
