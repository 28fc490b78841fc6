"""The metadata baseline: learns what is there, never sees the answer, survives JSON, predicts without scikit-learn."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from adclip.domain import Diagnosis, Visit
from adclip.errors import InputError
from adclip.evaluation.metrics import auc
from adclip.prediction.metadata_baseline import MetadataBaseline


def cohort(
    count: int = 300, classes: tuple[str, ...] = ("CN", "MCI", "AD"), seed: int = 0
) -> tuple[list[Visit], list[str]]:
    """Small heads and small hippocampi look alike until the volume is divided by the head's."""
    random = np.random.default_rng(seed)
    visits, labels = [], []
    for number in range(count):
        label = classes[number % len(classes)]
        icv = random.normal(1.4e6, 1.4e5)
        share = {"CN": 5.1e-3, "MCI": 4.7e-3, "AD": 4.2e-3}[label] + random.normal(0, 2e-4)
        visits.append(
            Visit(
                subject_id=f"s{number}",
                age_years=random.normal(74, 6),
                sex="FM"[number % 2],
                icv_mm3=icv,
                hippocampus_mm3=icv * share,
                mmse=30 - 5.0 * classes.index(label),
                diagnosis=Diagnosis(label),
                ventricles_mm3=None if number % 3 else random.normal(4e4, 1e4),
            )
        )
        labels.append(label)
    return visits, labels


@pytest.fixture(scope="module")
def fitted() -> MetadataBaseline:
    return MetadataBaseline.fit(*cohort(), ("CN", "MCI", "AD"))


def test_it_separates_unseen_people(fitted):
    visits, labels = cohort(seed=1)
    scores = [fitted.predict(visit)["AD"] for visit in visits]
    assert auc([label == "AD" for label in labels], scores) > 0.9


def test_probabilities_add_up_and_keep_the_class_order(fitted):
    found = fitted.predict(Visit(age_years=74.0))
    assert list(found) == ["CN", "MCI", "AD"]
    assert sum(found.values()) == pytest.approx(1)


def test_answer_columns_change_nothing(fitted):
    visit = cohort(3, seed=2)[0][0]
    assert fitted.predict(visit) == fitted.predict(
        replace(
            visit, diagnosis=Diagnosis.AD, mmse=3.0, cdr_global=3.0, subject_id="AD", scan="AD.nii", session_id="AD"
        )
    )
    shuffled = [replace(visit, mmse=1.0, cdr_global=0.0, diagnosis=None) for visit in cohort()[0]]
    assert MetadataBaseline.fit(shuffled, cohort()[1]) == MetadataBaseline.fit(*cohort())


def test_volumes_are_relative_to_the_head_and_fall_back_on_the_median_head(fitted):
    visit = Visit(hippocampus_mm3=6000.0, icv_mm3=1.2e6)
    assert fitted.predict(visit) == pytest.approx(fitted.predict(Visit(hippocampus_mm3=7000.0, icv_mm3=1.4e6)))
    assert fitted.predict(Visit(hippocampus_mm3=6000.0)) == pytest.approx(
        fitted.predict(Visit(hippocampus_mm3=6000.0, icv_mm3=fitted.icv_mm3))
    )


def test_without_any_icv_volumes_stay_in_mm3():
    visits, labels = cohort()
    fitted = MetadataBaseline.fit([replace(visit, icv_mm3=None) for visit in visits], labels)
    assert fitted.icv_mm3 is None
    assert fitted.predict(Visit(hippocampus_mm3=6000.0)) == fitted.predict(Visit(hippocampus_mm3=6000.0, icv_mm3=1e6))


def test_a_common_class_is_no_answer_by_itself():
    """Scores of the network are for classes equally common; a baseline beside it must not gain or lose by the shares."""
    visits, labels = cohort(600)
    rare = [place for place, label in enumerate(labels) if label != "AD" or place % 5 == 0]
    fitted = MetadataBaseline.fit([visits[place] for place in rare], [labels[place] for place in rare])
    unseen, truth = cohort(300, seed=4)
    answers = [max(found, key=found.get) for found in map(fitted.predict, unseen)]
    recall = {
        name: np.mean([a == name for a, t in zip(answers, truth, strict=True) if t == name]) for name in set(truth)
    }
    assert min(recall["AD"], recall["CN"]) > 0.7, recall
    nothing = MetadataBaseline.fit([Visit()] * 10, ["CN"] * 6 + ["MCI"] * 3 + ["AD"])
    assert nothing.intercepts == pytest.approx([0, 0, 0])


def test_left_and_right_count_as_the_hippocampus(fitted):
    halves = Visit(hippocampus_left_mm3=3000.0, hippocampus_right_mm3=3000.0)
    assert fitted.predict(halves) == fitted.predict(Visit(hippocampus_mm3=6000.0))


def test_no_usable_column_gives_none(fitted):
    assert "education_years" not in fitted.columns  # nobody had it in training
    assert fitted.predict(Visit(subject_id="x", education_years=12.0, icv_mm3=1.4e6, mmse=20.0)) is None


def test_json_there_and_back(fitted):
    again = MetadataBaseline.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
    assert again.predict(Visit(age_years=80.0)) == fitted.predict(Visit(age_years=80.0))


@pytest.mark.parametrize(
    "damage", [{"means": [1.0]}, {"columns": None}, {"intercepts": []}, {"coefficients": [[1.0]]}, {"scales": "x"}]
)
def test_damaged_json_is_refused(fitted, damage):
    with pytest.raises(InputError, match="damaged"):
        MetadataBaseline.from_dict(fitted.to_dict() | damage)
    with pytest.raises(InputError, match="damaged"):
        MetadataBaseline.from_dict({})


@pytest.mark.parametrize("classes", [("CN", "MCI", "AD"), ("CN", "AD"), ("AD", "CN")])
def test_same_numbers_as_scikit_learn(classes):
    from sklearn.linear_model import LogisticRegression

    visits, labels = cohort(classes=classes)
    visits = [Visit(age_years=visit.age_years, hippocampus_mm3=visit.hippocampus_mm3) for visit in visits]
    fitted = MetadataBaseline.fit(visits, labels, classes)
    table = np.array([[visit.age_years, visit.hippocampus_mm3] for visit in visits])
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    model = LogisticRegression(max_iter=1000).fit(table, [classes.index(label) for label in labels])
    ours = [list(fitted.predict(visit).values()) for visit in visits]
    np.testing.assert_allclose(ours, model.predict_proba(table), atol=1e-9)


def test_people_of_whom_nothing_is_known_still_fit():
    fitted = MetadataBaseline.fit([Visit(), Visit(), Visit()], ["CN", "CN", "AD"], ("CN", "AD"))
    assert fitted.columns == ()
    assert fitted.predict(Visit(age_years=70.0)) is None


@pytest.mark.parametrize(("labels", "classes"), [(["CN", "CN"], ("CN", "AD")), (["CN", "CN"], ("CN",))])
def test_a_class_without_visits_is_refused(labels, classes):
    with pytest.raises(InputError):
        MetadataBaseline.fit([Visit(age_years=70.0), Visit(age_years=71.0)], labels, classes)
