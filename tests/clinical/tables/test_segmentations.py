"""Volume tables of other programs are read as what they are, and never as another person's."""

from __future__ import annotations

from pathlib import Path

import pytest

from adclip.clinical.tables.segmentations import find_segmentation, read_segmentation
from adclip.errors import TableError

ROWS = (
    (4, 10000.5, "Left-Lateral-Ventricle"), (5, 300, "Left-Inf-Lat-Vent"), (14, 900, "3rd-Ventricle"),
    (15, 1600, "4th-Ventricle"), (17, 4000.2, "Left-Hippocampus"), (31, 500, "Left-choroid-plexus"),
    (43, 9000, "Right-Lateral-Ventricle"), (44, 250, "Right-Inf-Lat-Vent"), (53, 4100, "Right-Hippocampus"),
    (63, 450, "Right-choroid-plexus"),
)  # fmt: skip
VENTRICLES = 10000.5 + 300 + 900 + 1600 + 500 + 9000 + 250 + 450


def aseg_text(icv: str = "EstimatedTotalIntraCranialVol, eTIV", unit: str = "mm^3", rows=ROWS) -> str:
    lines = [
        "# Title Segmentation Statistics",
        "# subjectname 01",
        "# Measure BrainSegNotVent, BrainSegVolNotVent, Brain Segmentation Volume Without Ventricles, 1100000.5, mm^3",
        f"# Measure {icv}, Estimated Total Intracranial Volume, 1500000.25, {unit}",
        "# ColHeaders Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange",
    ]
    lines += [f"{n}  {code}  {int(v)}  {v}  {name}  50.0 9.0 20 80 60" for n, (code, v, name) in enumerate(rows, 1)]
    return "\n".join(lines) + "\n"


def aparc_text(entorhinal: int, fusiform: int, middle: int) -> str:
    return (
        "# Table of FreeSurfer cortical parcellation anatomical statistics\n"
        "# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd\n"
        f"entorhinal 548 357 {entorhinal} 3.0 0.8 0.08 0.01 3 0.3\n"
        f"fusiform 3637 2723 {fusiform} 2.3 0.6 0.14 0.03 50 5.9\n"
        f"middletemporal 3466 2711 {middle} 2.1 0.6 0.14 0.04 47 5.8\n"
    )


@pytest.fixture
def subject(tmp_path: Path) -> Path:
    """A FreeSurfer subject with its scan."""
    (tmp_path / "01" / "mri").mkdir(parents=True)
    (tmp_path / "01" / "stats").mkdir()
    (tmp_path / "01" / "mri" / "T1.mgz").touch()
    (tmp_path / "01" / "stats" / "aseg.stats").write_text(aseg_text())
    (tmp_path / "01" / "stats" / "lh.aparc.stats").write_text(aparc_text(1600, 9000, 9500))
    (tmp_path / "01" / "stats" / "rh.aparc.stats").write_text(aparc_text(1700, 9100, 9600))
    return tmp_path / "01"


def test_freesurfer_is_found_from_its_own_mri_folder(subject: Path) -> None:
    found = find_segmentation(subject / "mri" / "T1.mgz")
    assert found is not None
    assert found.software == "FreeSurfer"
    assert found.volumes == {
        "hippocampus_left_mm3": 4000.2, "hippocampus_right_mm3": 4100.0, "hippocampus_mm3": pytest.approx(8100.2),
        "ventricles_mm3": pytest.approx(VENTRICLES), "icv_mm3": 1500000.25, "whole_brain_mm3": 1100000.5,
        "entorhinal_mm3": 3300.0, "fusiform_mm3": 18100.0, "middle_temporal_mm3": 19100.0,
    }  # fmt: skip
    assert "choroid plexus" in found.definitions["ventricles_mm3"]


def test_old_freesurfer_names_the_intracranial_volume_differently(tmp_path: Path) -> None:
    path = tmp_path / "aseg.stats"
    path.write_text(aseg_text(icv="IntraCranialVol, ICV"))
    assert read_segmentation(path)["icv_mm3"] == 1500000.25


def test_one_hemisphere_is_not_taken_for_both(subject: Path) -> None:
    (subject / "stats" / "rh.aparc.stats").unlink()
    assert "entorhinal_mm3" not in read_segmentation(subject / "stats" / "aseg.stats")


def test_other_units_and_broken_rows_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "aseg.stats"
    path.write_text(aseg_text(unit="cm^3"))
    with pytest.raises(TableError, match=r"aseg\.stats line 4.*mm\^3"):
        read_segmentation(path)
    path.write_text(aseg_text().replace(" 4000.2 ", " many "))
    with pytest.raises(TableError, match=r"line 10, column `Volume_mm3`: not a number"):
        read_segmentation(path)
    path.write_text(aseg_text(rows=tuple((code, value / 1000, name) for code, value, name in ROWS)))
    with pytest.raises(TableError, match=r"hippocampus_left_mm3.*"):
        read_segmentation(path)
    path.write_text("# Title Segmentation Statistics\n")
    with pytest.raises(TableError, match="no segment"):
        read_segmentation(path)
    with pytest.raises(TableError, match="no such table"):
        read_segmentation(tmp_path / "absent.stats")


def test_a_missing_ventricle_gives_no_smaller_sum(tmp_path: Path) -> None:
    path = tmp_path / "aseg.stats"
    path.write_text(aseg_text(rows=ROWS[1:]))
    assert "ventricles_mm3" not in read_segmentation(path)


def test_statistics_between_several_scans_need_the_right_name(tmp_path: Path) -> None:
    for name in ("sub-01_T1w.nii.gz", "sub-02_T1w.nii.gz"):
        (tmp_path / name).touch()
    (tmp_path / "aseg.stats").write_text(aseg_text())
    assert find_segmentation(tmp_path / "sub-01_T1w.nii.gz", "01") is not None
    assert find_segmentation(tmp_path / "sub-02_T1w.nii.gz", "02") is None


SYNTHSEG_NAMES = (
    "total intracranial", "left cerebral white matter", "left cerebral cortex", "left lateral ventricle",
    "left inferior lateral ventricle", "left cerebellum white matter", "left cerebellum cortex", "left thalamus",
    "left caudate", "left putamen", "left pallidum", "3rd ventricle", "4th ventricle", "brain-stem", "left hippocampus",
    "left amygdala", "csf", "left accumbens area", "left ventral DC", "right cerebral white matter",
    "right cerebral cortex", "right lateral ventricle", "right inferior lateral ventricle",
    "right cerebellum white matter", "right cerebellum cortex", "right thalamus", "right caudate", "right putamen",
    "right pallidum", "right hippocampus", "right amygdala", "right accumbens area", "right ventral DC",
    "ctx-lh-entorhinal", "ctx-rh-entorhinal",
)  # fmt: skip


def synthseg_row(scale: float = 1.0) -> str:
    values = []
    for name in SYNTHSEG_NAMES:
        big = {"total intracranial": 1.5e6, "csf": 3e5}.get(name, 2.2e5 if "cerebral" in name else 4000.25)
        values.append(str(big * scale))
    return ",".join(values)


def test_synthseg_row_is_chosen_by_the_scan_name(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "volumes.csv").write_text(
        "subject," + ",".join(SYNTHSEG_NAMES) + f"\nb,{synthseg_row(0.8)}\na,{synthseg_row()}\n"
    )
    found = find_segmentation(tmp_path / "a.nii.gz")
    assert found is not None
    assert found.software == "SynthSeg"
    assert found.volumes["hippocampus_mm3"] == 8000.5
    assert found.volumes["ventricles_mm3"] == 6 * 4000.25
    assert found.volumes["whole_brain_mm3"] == 4 * 2.2e5 + (2 * 10 + 1) * 4000.25
    assert found.volumes["entorhinal_mm3"] == 8000.5
    assert "fusiform_mm3" not in found.volumes
    assert find_segmentation(tmp_path / "c.nii.gz") is None


def test_synthseg_row_without_a_name_belongs_to_the_file_named_like_it(tmp_path: Path) -> None:
    path = tmp_path / "a_volumes.csv"
    path.write_text("," + ",".join(SYNTHSEG_NAMES) + f"\n,{synthseg_row()}\n")
    assert find_segmentation(tmp_path / "a.nii.gz") is not None
    assert find_segmentation(tmp_path / "z.nii.gz") is None
    assert read_segmentation(path)["icv_mm3"] == 1.5e6


@pytest.mark.parametrize("prefix", ["", "DL_MUSE_Volume_", "MUSE_"])
def test_dlmuse_total_brain_loses_its_ventricles(tmp_path: Path, prefix: str) -> None:
    codes = {702: 1.4e6, 701: 1.2e6, 47: 4100, 48: 4000, 4: 900, 11: 1600, 49: 300, 50: 250, 51: 9000, 52: 8000,
             116: 2100, 117: 2000, 122: 8000, 123: 8100, 154: 15000, 155: 15100}  # fmt: skip
    header = ",".join(f"{prefix}{code}" for code in codes)
    path = tmp_path / "DLMUSE_Volumes.csv"
    path.write_text(f"MRID,{header}\nIXI1,{','.join(map(str, codes.values()))}\n")
    found = find_segmentation(tmp_path / "IXI1_T1.nii.gz")
    assert found is not None
    assert found.software == "DLMUSE"
    assert found.volumes["hippocampus_left_mm3"] == 4000
    assert found.volumes["ventricles_mm3"] == 20050
    assert found.volumes["whole_brain_mm3"] == 1.2e6 - 20050
    assert found.volumes["middle_temporal_mm3"] == 30100


def test_a_scan_named_twice_and_a_short_row_are_refused(tmp_path: Path) -> None:
    header = "MRID,702,47,48\n"
    path = tmp_path / "v.csv"
    path.write_text(header + "a,1400000,4000,4000\na,1400000,4100,4100\n")
    with pytest.raises(TableError, match="lines 2, 3"):
        find_segmentation(tmp_path / "a.nii")
    path.write_text(header + "a,1400000,4000\n")
    with pytest.raises(TableError, match="line 2: 3 cells, the header has 4"):
        find_segmentation(tmp_path / "a.nii")
    path.write_text(header + "a,1.4,4.0,4.0\n")
    with pytest.raises(TableError, match=r"line 2, column"):
        find_segmentation(tmp_path / "a.nii")


def test_other_tables_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "subjects.csv").write_text("subject_id,age_years\na,70\n")
    assert find_segmentation(tmp_path / "a.nii.gz", "a") is None
    with pytest.raises(TableError, match="neither"):
        read_segmentation(tmp_path / "subjects.csv")


def test_real_freesurfer_7_files(real_data: Path) -> None:
    found = read_segmentation(real_data / "tables" / "freesurfer_soichi" / "aseg.stats")
    assert found["icv_mm3"] == pytest.approx(1420434.16, abs=0.01)
    assert found["whole_brain_mm3"] == 1157593
    assert set(found) == {
        "hippocampus_left_mm3", "hippocampus_right_mm3", "hippocampus_mm3", "ventricles_mm3", "icv_mm3",
        "whole_brain_mm3", "entorhinal_mm3", "fusiform_mm3", "middle_temporal_mm3",
    }  # fmt: skip
    assert 5000 < found["hippocampus_mm3"] < 11000


def test_a_row_of_the_subject_alone_is_not_given_to_each_of_two_sessions(tmp_path: Path) -> None:
    for session in ("1", "2"):
        (tmp_path / f"sub-01_ses-{session}_T1w.nii.gz").touch()
    (tmp_path / "dlmuse.csv").write_text("MRID,702,47,48\nsub-01,1500000,4000,3900\n")
    assert find_segmentation(tmp_path / "sub-01_ses-1_T1w.nii.gz", "01") is None
    (tmp_path / "sub-01_ses-2_T1w.nii.gz").unlink()
    found = find_segmentation(tmp_path / "sub-01_ses-1_T1w.nii.gz", "01")
    assert found is not None
    assert found.volumes["hippocampus_left_mm3"] == 3900


@pytest.mark.parametrize("unknown", ["NA", "n/a", "", "NaN"])
def test_an_unknown_cell_of_a_neighbour_is_unknown_and_no_error(tmp_path: Path, unknown: str) -> None:
    (tmp_path / "anna.nii.gz").touch()
    (tmp_path / "dlmuse.csv").write_text(f"MRID,702,47,48\nanna,1500000,4000,{unknown}\n")
    found = find_segmentation(tmp_path / "anna.nii.gz", "anna")
    assert found is not None
    assert dict(found.volumes) == {"icv_mm3": 1500000, "hippocampus_right_mm3": 4000}
