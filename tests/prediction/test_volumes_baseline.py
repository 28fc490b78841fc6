"""The volumes baseline: one score of one program's volumes, never a mixture, comparable with the metadata baseline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.measured import Case, usable, volumes_of
from adclip.clinical.reports import render, traced
from adclip.clinical.tables.canonical import write_canonical
from adclip.clinical.tables.segmentations import find_segmentation
from adclip.clinical.tables.table import read_table
from adclip.domain import Visit
from adclip.errors import InputError
from adclip.evaluation.metrics import auc
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.volumes_baseline import VolumesBaseline

CLASSES = ("CN", "MCI", "AD")
OWN, OTHER = "adclip segmenter 1a2b3c4d5e6f", "DLMUSE"
# About the medians at 74 years; with disease both tissues shrink and the horn opens (Jack et al. 1997; Coupe et al. 2022).
MEDIANS = {"hippocampus_left_mm3": 3650, "hippocampus_right_mm3": 3920, "amygdala_left_mm3": 950, "amygdala_right_mm3": 915,
           "inferior_lateral_ventricle_left_mm3": 400, "inferior_lateral_ventricle_right_mm3": 460}  # fmt: skip
LOSS = {"CN": 0.0, "MCI": 0.1, "AD": 0.22}


def measure(label: str, rng: np.random.Generator, structures: str = "hai") -> dict[str, float]:
    found = {"icv_mm3": float(rng.normal(1.43e6, 1.2e5))}
    for name, median in MEDIANS.items():
        if name[0] in structures:
            change = 1 + 6 * LOSS[label] if name[0] == "i" else 1 - LOSS[label]
            found[name] = median * change * float(np.exp(rng.normal(0, 0.3 if name[0] == "i" else 0.08)))
    return found


def people(count: int = 240, source: str = OWN, seed: int = 0, structures: str = "hai") -> tuple[list[Case], list[str]]:
    rng = np.random.default_rng(seed)
    labels = [CLASSES[number % 3] for number in range(count)]
    cases = [
        Case(float(rng.normal(74, 5)), "FM"[number % 2], (BrainVolumes(source, measure(label, rng, structures)),))
        for number, label in enumerate(labels)
    ]
    return cases, labels


@pytest.fixture(scope="module")
def fitted() -> VolumesBaseline:
    found = VolumesBaseline.fit(*people(), CLASSES)
    assert found is not None
    return found


def test_it_separates_unseen_people_in_the_right_direction(fitted):
    cases, labels = people(seed=1)
    answers = [fitted.predict_case(case) for case in cases]
    assert all(list(answer) == list(CLASSES) and sum(answer.values()) == pytest.approx(1) for answer in answers)
    extreme = [(answer["AD"], label == "AD") for answer, label in zip(answers, labels, strict=True) if label != "MCI"]
    assert auc([truth for _, truth in extreme], [chance for chance, _ in extreme]) > 0.95
    volumes = cases[0].measured[0].mm3
    worse = {k: v * (1.0 if k == "icv_mm3" else 3.0 if "vent" in k else 0.7) for k, v in volumes.items()}
    assert fitted.predict(worse, 74, "F", OWN)["AD"] > fitted.predict(volumes, 74, "F", OWN)["AD"]


def test_it_is_fitted_on_one_score_with_the_metadata_baselines_rules(fitted):
    """One column, same penalty, same prior: the two answer the same question of the same number."""
    from adclip.clinical.norms.normative_score import medial_temporal_score

    cases, labels = people()
    scores = [medial_temporal_score(c.measured[0].mm3, c.age_years, c.sex, OWN).value for c in cases]
    by_table = MetadataBaseline.fit([Visit(education_years=20 + score) for score in scores], labels, CLASSES)
    for case, score in list(zip(cases, scores, strict=True))[:20]:
        wanted = by_table.predict(Visit(education_years=20 + score))
        assert fitted.predict_case(case) == pytest.approx(wanted, abs=1e-9)


def test_a_common_class_is_no_answer_by_itself():
    cases, labels = people(600)
    kept = [place for place, label in enumerate(labels) if label != "AD" or place % 5 == 0]
    rare = VolumesBaseline.fit([cases[place] for place in kept], [labels[place] for place in kept], CLASSES)
    unseen, truth = people(300, seed=5)
    answers = [max(found, key=found.get) for found in map(rare.predict_case, unseen)]
    found = [a == "AD" for a, t in zip(answers, truth, strict=True) if t == "AD"]
    assert np.mean(found) > 0.6


def test_programs_are_never_mixed(fitted):
    """Who has volumes by two programs is judged by the one of training; volumes of the other get no answer."""
    case = people(3, seed=2)[0][2]
    own = case.measured[0]
    foreign = BrainVolumes(OTHER, {k: v / 2 if "hippo" in k else v for k, v in own.mm3.items()})
    assert fitted.program == "adclip segmenter"
    assert fitted.predict_case(replace(case, measured=(foreign, own))) == fitted.predict_case(case)
    assert fitted.predict_case(replace(case, measured=(foreign,))) is None
    assert fitted.predict(own.mm3, case.age_years, case.sex, "FreeSurfer") is None
    assert fitted.predict(own.mm3, case.age_years, case.sex, None) is None
    # nor are half of one program's structures completed by the other's
    half = {name: volume for name, volume in own.mm3.items() if not name.startswith("amygdala")}
    rest = {name: volume for name, volume in own.mm3.items() if name.startswith("amygdala")}
    assert fitted.predict_case(replace(case, measured=(BrainVolumes(OWN, half), BrainVolumes(OTHER, rest)))) is None


def test_what_most_training_scans_have_decides(fitted):
    some, names = people(60, OTHER, structures="h")
    cases, labels = people()
    both = VolumesBaseline.fit([*cases, *some], [*labels, *names], CLASSES)
    assert both == fitted and both.scans == 240
    few = VolumesBaseline.fit([*cases[:30], *some], [*labels[:30], *names], CLASSES)
    assert (few.program, few.structures, few.basis) == ("DLMUSE", ("hippocampus",), "share of icv")
    bare = [replace(c, measured=(BrainVolumes(OWN, {k: v for k, v in c.measured[0].mm3.items() if k != "icv_mm3"}),))
            for c in cases]  # fmt: skip
    as_measured = VolumesBaseline.fit(bare, labels, CLASSES)
    assert as_measured.basis == "as measured"
    assert as_measured.predict(bare[0].measured[0].mm3, 74, None, OWN) is None  # those norms are by sex
    assert fitted.predict(cases[0].measured[0].mm3, 74, None, OWN) is not None


@pytest.mark.parametrize("age", [None, 30.0, 95.0])
def test_no_age_among_the_norms_no_answer(fitted, age):
    assert fitted.predict(people(1)[0][0].measured[0].mm3, age, "F", OWN) is None


def test_nothing_to_fit_on_gives_none():
    cases, labels = people(30, "FreeSurfer")
    assert VolumesBaseline.fit(cases, labels, CLASSES) is None
    assert VolumesBaseline.fit([], [], CLASSES) is None
    cases, labels = people(30)
    without = [replace(c, measured=()) if label == "MCI" else c for c, label in zip(cases, labels, strict=True)]
    assert VolumesBaseline.fit(without, labels, CLASSES) is None  # a class of which nothing is known
    assert VolumesBaseline.fit([cases[0]] * 6, ["CN", "MCI", "AD"] * 2, CLASSES) is None  # all the same


def test_json_there_and_back(fitted):
    again = VolumesBaseline.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
    case = people(1)[0][0]
    assert again.predict_case(case) == fitted.predict_case(case)


@pytest.mark.parametrize(
    "damage",
    [{"coefficients": [1.0]}, {"intercepts": None}, {"scale": 0}, {"mean": "x"}, {"basis": "guess"}, {"score": "other"},
     {"structures": ["amygdala"]}, {"structures": ["hippocampus", "brain"]}, {"mean": float("nan")}],
)  # fmt: skip
def test_damaged_json_is_refused(fitted, damage):
    with pytest.raises(InputError, match="damaged"):
        VolumesBaseline.from_dict(fitted.to_dict() | damage)
    with pytest.raises(InputError, match="damaged"):
        VolumesBaseline.from_dict({})


def test_a_row_and_a_sidecar_of_one_program_are_not_merged():
    visit = Visit(age_years=74, sex="F", hippocampus_left_mm3=3000.0, hippocampus_right_mm3=3100.0, volumes_source=OWN)
    beside = BrainVolumes.from_dict(
        {"source": OWN, "volumes": {name: float(v) for name, v in MEDIANS.items()}, "measured_error": {}}
    )
    assert Case.of(visit, beside).measured == (beside,)
    listed = volumes_of(replace(visit, volumes_source=OTHER))
    assert Case.of(replace(visit, volumes_source=OTHER), beside).measured == (listed, beside)
    assert Case.of(replace(visit, volumes_source=None), None).measured == ()  # nobody knows who measured them


@pytest.mark.parametrize(
    "found", [None, {}, [], {"source": 1}, {"source": OWN, "volumes": None}, {"source": OWN, "volumes": {"a_mm3": "x"}}]
)
def test_a_sidecar_that_somebody_edited_has_no_volumes(found):
    assert usable(BrainVolumes.from_dict(found)) is None


# ----------------------------------------------------------------------------------------------- files


def test_a_dlmuse_table_gives_all_structures_and_the_clean_table_keeps_them(tmp_path):
    cells = {"MRID": "p1", "DL_MUSE_Volume_702": 1.4e6, "DL_MUSE_Volume_47": 3800, "DL_MUSE_Volume_48": 3600,
             "DL_MUSE_Volume_31": 1000, "DL_MUSE_Volume_32": 1050, "DL_MUSE_Volume_49": 500, "DL_MUSE_Volume_50": 0}  # fmt: skip
    path = tmp_path / "dlmuse.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in (cells, cells.values())) + "\n")
    table = read_table(path)
    measured = volumes_of(table.rows[0])
    assert measured.source == "DLMUSE"
    assert measured.mm3["amygdala_left_mm3"] == 1050  # MUSE 32 is the left one
    assert measured.mm3["inferior_lateral_ventricle_right_mm3"] == 500
    assert measured.mm3["inferior_lateral_ventricle_left_mm3"] == 0  # a closed horn is known, and has no volume
    write_canonical(tmp_path / "clean.csv", table)
    assert read_table(tmp_path / "clean.csv").rows == table.rows
    assert json.loads((tmp_path / "clean.json").read_text())["amygdala_left_mm3"]["Units"] == "mm3"
    (tmp_path / "p1_T1w.nii.gz").touch()
    found = find_segmentation(tmp_path / "p1_T1w.nii.gz")
    assert found is not None and found.volumes["amygdala_right_mm3"] == 1000


def test_a_table_of_adclips_own_volumes_reads_back(tmp_path):
    path = tmp_path / "measured.tsv"
    columns = ("subject_id", "age_years", "sex", *MEDIANS, "volumes_source")
    path.write_text("\t".join(columns) + "\n" + "\t".join(["a", "74", "F", *map(str, MEDIANS.values()), OWN]) + "\n")
    (visit,) = read_table(path).rows
    assert volumes_of(visit) == BrainVolumes(OWN, {name: float(volume) for name, volume in MEDIANS.items()})


def test_reports_say_which_standings_stand_over_the_bridge(tmp_path: Path):
    visit = Visit(age_years=74, sex="F", hippocampus_left_mm3=3300.0, hippocampus_right_mm3=3500.0, ventricles_mm3=3e4)
    own = replace(visit, volumes_source=OTHER)
    over = replace(visit, volumes_source=OWN)
    assert render(over, "clinical", None).text == render(own, "clinical", None).text
    assert render(own, "clinical", None).flags == ()
    report, spans = traced(over, "clinical", None)
    assert report.flags == ("bridged_norms", "estimated_volumes")
    rules = [span.rule for span in spans if "norms" in span.rule]
    assert rules and all(rule.endswith(", bridged") for rule in rules)
    assert render(replace(visit, volumes_source="adclip segmenter 968d0ae78409"), "clinical", None).flags == (
        "no_norms_for_software", "estimated_volumes",
    )  # fmt: skip


def test_further_volumes_change_no_report():
    visit = Visit(
        age_years=74, sex="F", hippocampus_left_mm3=3300.0, hippocampus_right_mm3=3500.0, volumes_source=OTHER
    )
    more = replace(visit, further_volumes=(("amygdala_left_mm3", 700.0), ("amygdala_right_mm3", 700.0)))
    for style in ("paper4", "paper6", "clinical", "knowledge"):
        assert render(more, style, "AD") == render(visit, style, "AD")
