"""Curves as a table on disk."""

from __future__ import annotations

from dataclasses import replace

from adclip.domain import Prediction
from adclip.prediction.curves import TABLE, write_curves
from adclip.told import Curve, CurvePoint


def test_each_value_of_each_scan_is_a_row(tmp_path):
    points = (CurvePoint(60.0, False, {"CN": 0.75, "AD": 0.25}), CurvePoint(65.5, True, {"CN": 0.5, "AD": 0.5}))
    asked = Prediction("=x.nii", "ok", "p1", what_if=(Curve("age_years", 65.5, points),))
    write_curves(
        tmp_path, [asked.to_dict(), Prediction("bad.nii", "failed").to_dict(), replace(asked, scan="y").to_dict()]
    )
    lines = (tmp_path / TABLE).read_text().splitlines()
    assert lines == [
        "scan\tsubject_id\tsession_id\tcolumn\tvalue\tis_present\tCN\tAD",
        "'=x.nii\tp1\tn/a\tage_years\t60\tfalse\t0.750000\t0.250000",
        "'=x.nii\tp1\tn/a\tage_years\t65.5\ttrue\t0.500000\t0.500000",
        "y\tp1\tn/a\tage_years\t60\tfalse\t0.750000\t0.250000",
        "y\tp1\tn/a\tage_years\t65.5\ttrue\t0.500000\t0.500000",
    ]


def test_nothing_is_written_where_nobody_asked(tmp_path):
    write_curves(tmp_path, [Prediction("x.nii", "ok").to_dict()])
    assert not list(tmp_path.iterdir())
