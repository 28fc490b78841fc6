"""Volumes of each program, in every form that it writes, under the program's own name; what says nothing of people is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from program_tables import (
    ASEG,
    BY_FASTSURFER,
    BY_FREESURFER,
    CORTEX,
    ETIV,
    GLOBAL,
    HEAD_ONLY,
    MUSE,
    SYNTHSEG,
    VENTRICLES,
    aseg_columns,
    measures,
    samseg_csv,
    stats,
    transposed,
    wide,
)

from adclip.clinical.settings import TableOptions
from adclip.clinical.tables.segmentations import find_segmentation
from adclip.clinical.tables.table import Table, read_tables
from adclip.errors import TableError

HIPPOCAMPI = (4000.2, 4100.0)
APARC = "# ColHeaders StructName NumVert SurfArea GrayVol\nentorhinal 548 357 {}\nfusiform 3637 2723 8000\n"
PEOPLE = ("sub-01", "sub-02")


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(*paths: Path, columns: tuple[str, ...] = ()) -> Table:
    return read_tables(paths, TableOptions(columns=columns))


def hippocampi(table: Table, row: int = 0) -> tuple[float | None, float | None]:
    return table.rows[row].hippocampus_left_mm3, table.rows[row].hippocampus_right_mm3


# ----------------------------------------------------------------------------------------------- tables of one scan


@pytest.mark.parametrize("name", ["aseg+DKT.stats", "aseg+DKT.VINN.stats", "aparc.DKTatlas+aseg.deep.volume.stats"])
@pytest.mark.parametrize("head", [BY_FASTSURFER, ""], ids=["signed", "by its name alone"])
def test_a_folder_of_fastsurfers_segmentations_is_read_as_fastsurfers(tmp_path, name, head):
    for person in PEOPLE:
        put(tmp_path / person / "stats" / name, stats({**ASEG, **CORTEX}, head))
    table = read(tmp_path)
    assert [visit.subject_id for visit in table.rows] == ["01", "02"]
    visit = table.rows[1]
    assert visit.volumes_source == "FastSurfer" and hippocampi(table) == HIPPOCAMPI
    assert visit.ventricles_mm3 == pytest.approx(VENTRICLES)
    assert (visit.entorhinal_mm3, visit.fusiform_mm3, visit.middle_temporal_mm3) == (3300.5, 18100.0, 19100.0)
    assert visit.icv_mm3 is None  # no table of a segmentation alone has it


def test_fastsurfers_full_run_is_told_from_freesurfers_by_what_lies_beside(tmp_path):
    head = BY_FREESURFER + "# subjectname 01\n" + ETIV.format(1500000.25)
    folder = tmp_path / "01" / "stats"
    put(folder / "aseg.stats", stats(ASEG, head))
    assert read(tmp_path).rows[0].volumes_source == "FreeSurfer"
    put(folder / "aseg+DKT.VINN.stats", stats({**ASEG, **CORTEX}))
    for side, gyrus in (("l", 1500), ("r", 1400)):
        put(folder / f"{side}h.aparc.DKTatlas.mapped.stats", APARC.format(gyrus))
    visit = read(tmp_path).rows[0]
    assert (visit.volumes_source, visit.icv_mm3, visit.entorhinal_mm3) == ("FastSurfer", 1500000.25, 2900)


def test_samsegs_tables_say_one_thing_in_four_forms(tmp_path):
    beside = put(tmp_path / "a" / "samseg.stats", measures(ASEG, None))
    put(tmp_path / "a" / "sbtiv.stats", measures({}, 1520000.25))
    forms = (
        beside,
        put(tmp_path / "b" / "samseg.stats", measures({**ASEG, **HEAD_ONLY}, 1520000.25)),
        put(tmp_path / "c" / "samseg.csv", samseg_csv({**ASEG, **HEAD_ONLY}, 1520000.25)),
        put(tmp_path / "d" / "samseg.fs.stats", stats({**ASEG, **HEAD_ONLY}, ETIV.format(1520000.25))),
        put(tmp_path / "e" / "anna.stats", stats({**ASEG, **HEAD_ONLY}, ETIV.format(1520000.25))),
    )
    for path in forms:
        table = read(path)
        assert (table.rows[0].volumes_source, table.rows[0].icv_mm3) == ("SAMSEG", 1520000.25), path
        assert hippocampi(table) == HIPPOCAMPI and table.rows[0].ventricles_mm3 == pytest.approx(VENTRICLES)
        assert table.definitions["icv_mm3"].startswith("sbTIV")


def test_a_folder_of_samsegs_results_names_people_by_their_folders(tmp_path):
    for person in PEOPLE:
        put(tmp_path / person / "samseg.stats", measures(ASEG, 1.5e6))
    assert [visit.subject_id for visit in read(tmp_path).rows] == ["01", "02"]


def test_a_scan_finds_the_tables_of_fastsurfer_samseg_and_hippodeep_beside_it(tmp_path):
    put(tmp_path / "f" / "mri" / "orig.mgz", "")
    put(tmp_path / "f" / "stats" / "aseg+DKT.stats", stats({**ASEG, **CORTEX}, BY_FASTSURFER))
    put(tmp_path / "s" / "anna.nii.gz", "")
    put(tmp_path / "s" / "samseg.csv", samseg_csv(ASEG, 1.5e6))
    put(tmp_path / "h" / "anna_T1.nii.gz", "")
    put(tmp_path / "h" / "anna_T1_hippoLR_volumes.csv", "eTIV,hippoL,hippoR\n1439994.0,3161.0,3344.0\n")
    put(tmp_path / "h" / "ann.nii.gz", "")
    found = [find_segmentation(tmp_path / name) for name in ("f/mri/orig.mgz", "s/anna.nii.gz", "h/anna_T1.nii.gz")]
    assert [one and one.software for one in found] == ["FastSurfer", "SAMSEG", "hippodeep"]
    assert [one and one.volumes["hippocampus_mm3"] for one in found] == [pytest.approx(8100.2)] * 2 + [6505]
    assert find_segmentation(tmp_path / "h" / "ann.nii.gz") is None


def test_a_structure_counted_as_nothing_is_unknown(tmp_path):
    path = put(tmp_path / "aseg.stats", stats({**ASEG, "Left-Hippocampus": (17, 0.0)}, ETIV.format(1.5e6)))
    assert hippocampi(read(path)) == (None, 4100.0) and read(path).rows[0].hippocampus_mm3 is None


# ----------------------------------------------------------------------------------------------- tables of many people


@pytest.mark.parametrize(
    ("program", "further"), [("FreeSurfer", {}), ("FastSurfer", CORTEX), ("SAMSEG", HEAD_ONLY)], ids=lambda value: str(value)[:10]
)  # fmt: skip
@pytest.mark.parametrize("sep", ["\t", ",", " "], ids=["tab", "comma", "space"])
def test_asegstats2table_is_of_the_program_whose_structures_it_lists(tmp_path, program, further, sep):
    columns = aseg_columns(further) | (GLOBAL if program == "FreeSurfer" else {})
    table = read(put(tmp_path / "t.tsv", wide("Measure:volume", columns, PEOPLE, sep)))
    assert [visit.volumes_source for visit in table.rows] == [program] * 2 and hippocampi(table) == HIPPOCAMPI
    assert table.rows[0].ventricles_mm3 == pytest.approx(VENTRICLES)
    assert table.rows[0].entorhinal_mm3 == (3300.5 if program == "FastSurfer" else None)


@pytest.mark.parametrize("atlas", ["aparc", "aparc.DKTatlas", "aparc.DKTatlas40", "aparc.DKTatlas.mapped"])
def test_aparcstats2table_of_any_atlas_with_these_gyri_is_read(tmp_path, atlas):
    paths = [
        put(tmp_path / f"{side}.tsv", wide(f"{side}.{atlas}.volume", {f"{side}_entorhinal_volume": volume}, PEOPLE))
        for side, volume in (("lh", 1500.0), ("rh", 1400.0))
    ]
    visit = read(*paths).rows[0]
    assert visit.entorhinal_mm3 == 2900
    assert visit.volumes_source == ("FastSurfer" if "mapped" in atlas else "FreeSurfer")


@pytest.mark.parametrize("name", ["ID", "MRID", "subject", "participant_id", "subject_id", "filename", "scan_id"])
@pytest.mark.parametrize(
    ("program", "columns", "both"),
    [
        ("SynthSeg", SYNTHSEG, 8000.5), ("hippodeep", {"eTIV": 1.44e6, "hippoL": 3161.0, "hippoR": 3344.0}, 6505),
        ("DLMUSE", {str(code): volume for code, volume in MUSE.items()}, 8100),
        ("DLMUSE", {f"DL_MUSE_Volume_{code}": volume for code, volume in MUSE.items()}, 8100),
    ],
)  # fmt: skip
def test_another_name_of_the_id_column_costs_nobody_their_volumes(tmp_path, name, program, columns, both):
    people = ("sub-01_ses-m0_T1w.nii.gz", "sub-02_ses-m0_T1w.nii.gz") if name != "participant_id" else PEOPLE
    table = read(put(tmp_path / "t.csv", wide(name, columns, people, ",")))
    assert [visit.subject_id for visit in table.rows] == ["01", "02"]
    assert [(visit.volumes_source, visit.hippocampus_mm3) for visit in table.rows] == [(program, both)] * 2


@pytest.mark.parametrize(
    ("program", "columns"),
    [
        ("SynthSeg", SYNTHSEG), ("hippodeep", {"eTIV": 1.44e6, "hippoL": 3161.0, "hippoR": 3344.0}),
        ("DLMUSE", {f"DL_MUSE_Volume_{code}": volume for code, volume in MUSE.items()}), ("FreeSurfer", aseg_columns() | GLOBAL),
        ("FastSurfer", aseg_columns(CORTEX)), ("SAMSEG", aseg_columns() | {"Intra-Cranial": 1.5e6}),
    ],
)  # fmt: skip
def test_volumes_merged_into_participants_stand_beside_age_and_sex(tmp_path, program, columns):
    text = wide("participant_id\tage\tsex", columns, [f"{person}\t71\tF" for person in PEOPLE])
    visit = read(put(tmp_path / "participants.tsv", text)).rows[0]
    assert (visit.subject_id, visit.age_years, visit.sex, visit.volumes_source) == ("01", 71, "F", program)
    assert visit.hippocampus_mm3 and visit.hippocampus_left_mm3


def test_adnis_own_volumes_are_not_mixed_with_another_programs(tmp_path):
    text = wide("PTID,VISCODE,Hippocampus", SYNTHSEG, ["002_S_0001,bl,7000"], ",")
    visit = read(put(tmp_path / "t.csv", text)).rows[0]
    assert (visit.hippocampus_mm3, visit.hippocampus_left_mm3) == (7000, None)
    assert visit.volumes_source == "FreeSurfer (UCSF)"


# ----------------------------------------------------------------------------------------------- what is refused, and how


@pytest.mark.parametrize(
    "text",
    [
        transposed("Measure:volume", aseg_columns() | GLOBAL, PEOPLE),
        transposed("lh.aparc.DKTatlas.volume", {"lh_entorhinal_volume": 1500.0, "lh_fusiform_volume": 8000.0}, PEOPLE),
        transposed("structure", SYNTHSEG, PEOPLE, ","),
        "subject_id,structure,volume\n" + "".join(f"a,{name},{volume}\n" for name, (_, volume) in ASEG.items()),
    ],
    ids=["asegstats2table", "aparcstats2table", "SynthSeg", "long"],
)
def test_rows_that_are_structures_are_nobody(tmp_path, text):
    with pytest.raises(TableError, match="its rows are structures") as caught:
        read(put(tmp_path / "t.csv", text))
    cure = caught.value.remedy.split("`")[-2]
    assert cure.startswith('python3 -c "') and cure.endswith('"')
    subprocess.run([sys.executable, "-c", cure[12:-1]], cwd=tmp_path, check=True)
    turned = read(tmp_path / "turned.csv")
    assert {visit.subject_id for visit in turned.rows} <= {"01", "02", "a"}
    if "aparc" not in text and not text.startswith(
        "subject_id"
    ):  # half of a gyrus is no volume, and nobody says whose the others are
        assert all(visit.hippocampus_mm3 for visit in turned.rows)


def test_row_numbers_are_nobodys_names_until_somebody_says_whose(tmp_path):
    path = put(tmp_path / "t.tsv", wide("Measure:volume", aseg_columns() | GLOBAL, ("0", "1")))
    with pytest.raises(TableError, match="called 0 to 1, as `asegstats2table --inputs`") as caught:
        read(path)
    cure = caught.value.remedy.split("`")[1].removeprefix("--column ").replace("0=ID,1=ID", "0=anna,1=bert")
    assert [visit.subject_id for visit in read(path, columns=(cure,)).rows] == ["anna", "bert"]
    one = read(put(tmp_path / "one.tsv", wide("Measure:volume", aseg_columns() | GLOBAL, ("0",))))
    assert one.rows[0].subject_id == "" and hippocampi(one) == HIPPOCAMPI
    named = read(put(tmp_path / "named.tsv", wide("Measure:volume", aseg_columns() | GLOBAL, ("1", "2"))))
    assert [visit.subject_id for visit in named.rows] == ["1", "2"]


def test_percent_of_the_intracranial_volume_is_no_volume(tmp_path):
    columns = {name: 100 * volume / 1500000.25 for name, volume in (aseg_columns() | GLOBAL).items()}
    with pytest.raises(TableError, match="percent of the intracranial volume") as caught:
        read(put(tmp_path / "t.tsv", wide("Measure:volume", columns, PEOPLE)))
    assert "--etiv" in caught.value.remedy


def test_the_cure_for_a_sum_in_another_unit_is_no_column(tmp_path):
    columns = {name: volume / 1000 for name, volume in aseg_columns().items()}
    with pytest.raises(TableError, match="looks like cm3") as caught:
        read(put(tmp_path / "t.tsv", wide("Measure:volume", columns, PEOPLE)))
    assert "--column" not in caught.value.remedy or "+" not in caught.value.remedy


# ----------------------------------------------------------------------------------------------- failed segmentations


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("Measure:volume", aseg_columns() | GLOBAL), ("subject", SYNTHSEG), ("MRID", {str(code): volume for code, volume in MUSE.items()}),
        ("filename", {"eTIV": 1.44e6, "hippoL": 3161.0, "hippoR": 3344.0}),
        ("subject_id", {"icv_mm3": 1.5e6, "hippocampus_left_mm3": 4000.0, "hippocampus_right_mm3": 4100.0}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_icv", [False, True], ids=["all 0", "all but the intracranial volume 0"])
def test_a_row_of_zeros_is_told_and_does_not_stop_the_others(tmp_path, first, columns, with_icv):
    spared = {"EstimatedTotalIntraCranialVol", "total intracranial", "702", "eTIV", "icv_mm3"} if with_icv else set()
    zeros = {name: 0.0 for name in columns if name not in spared}
    table = read(put(tmp_path / "t.csv", wide(first, columns, ("a", "b", "c"), ",", b=zeros)))
    assert [visit.subject_id for visit in table.rows] == ["a", "b", "c"]
    assert all(hippocampi(table, row) != (None, None) for row in (0, 2)) and hippocampi(table, 1) == (None, None)
    assert (table.rows[1].icv_mm3 is not None) == with_icv
    assert "one segmentation in t.csv failed: volumes of 0 count as unknown (line 3)" in table.notes


def test_a_single_zero_of_a_table_of_nobodys_program_is_still_a_slip(tmp_path):
    path = put(tmp_path / "t.csv", "subject_id,age_years,hippocampus_mm3\na,71,7000\nb,72,0\n")
    with pytest.raises(TableError, match="line 3, column `hippocampus_mm3`"):
        read(path)


def test_a_failed_result_among_the_stats_of_a_folder_is_told(tmp_path):
    put(tmp_path / "sub-01" / "stats" / "aseg.stats", stats(ASEG, ETIV.format(1.5e6)))
    nothing = {name: (code, 0.0) for name, (code, _) in ASEG.items()}
    put(tmp_path / "sub-02" / "stats" / "aseg.stats", stats(nothing, ETIV.format(0)))
    table = read(tmp_path)
    assert hippocampi(table) == HIPPOCAMPI and hippocampi(table, 1) == (None, None)
    assert table.rows[1].volumes_source is None and any("failed" in note for note in table.notes)


def test_the_real_dkt_atlas_of_freesurfer_7_is_read(real_data):
    folder = real_data / "tables" / "freesurfer_soichi"
    visit = read(folder / "lh.aparc.DKTatlas.stats").rows[0]
    lines = [(folder / f"{side}h.aparc.DKTatlas.stats").read_text().splitlines() for side in "lr"]
    grey = [int(line.split()[3]) for half in lines for line in half if line.startswith("entorhinal ")]
    assert visit.entorhinal_mm3 == sum(grey) and visit.volumes_source == "FreeSurfer"
