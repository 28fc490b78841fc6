"""The real OASIS tables and FreeSurfer statistics, where they are at hand."""

from __future__ import annotations

from collections import Counter

from adclip.clinical.tables.table import read_tables
from adclip.config import TableOptions


def test_oasis_1(real_data):
    table = read_tables(
        (real_data / "tables" / "oasis_cross-sectional_odd_ids.csv",), TableOptions(diagnosis_policy="cdr")
    )
    assert set(table.dialects.values()) == {"OASIS-1"}
    assert len(table.rows) == 224
    counts = Counter(str(visit.diagnosis) for visit in table.rows)
    assert counts["None"] > 80  # the young had no clinical work-up: unknown, not healthy
    assert {"CN", "MCI", "AD"} < set(counts)
    assert all(visit.education_years is None for visit in table.rows)  # Educ is a code
    assert all(1_000_000 < visit.icv_mm3 < 2_100_000 for visit in table.rows)
    assert {visit.session_id for visit in table.rows} == {"MR1", "MR2"}
    first = table.rows[0]
    assert (first.subject_id, first.session_id, first.sex, first.age_years) == ("OAS1_0001", "MR1", "F", 74)
    assert (first.icv_mm3, first.whole_brain_mm3) == (1344000, 998592)  # eTIV 1344 cm3, nWBV 0.743


def test_oasis_2(real_data):
    table = read_tables(
        (real_data / "tables" / "oasis_longitudinal_odd_ids.csv",), TableOptions(diagnosis_policy="cdr")
    )
    assert set(table.dialects.values()) == {"OASIS-2"}
    assert len(table.rows) == 187
    assert all(visit.education_years >= 6 for visit in table.rows)
    assert {str(visit.diagnosis) for visit in table.rows} == {"CN", "MCI", "AD"}
    assert len({(visit.subject_id, visit.session_id) for visit in table.rows}) == 187


def test_freesurfer_7_stats(real_data):
    folder = real_data / "tables" / "freesurfer_soichi"
    for place in (folder, folder / "aseg.stats"):
        (visit,) = read_tables((place,)).rows
        assert visit.volumes_source == "FreeSurfer"
        assert visit.hippocampus_mm3 == visit.hippocampus_left_mm3 + visit.hippocampus_right_mm3
        assert 3000 < visit.hippocampus_left_mm3 < 6000
        assert 1e6 < visit.icv_mm3 < 2e6
        assert None not in (visit.entorhinal_mm3, visit.fusiform_mm3, visit.middle_temporal_mm3, visit.ventricles_mm3)
