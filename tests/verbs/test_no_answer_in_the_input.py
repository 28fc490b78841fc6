"""Nothing of the answer is in the input: whatever a table, a name or a text says of it, the numbers stay the same."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from linked import ENDING, derivatives_of, link_scan

from adclip import Predictor
from adclip.config import PredictConfig
from adclip.verbs.predict import predict

KNOWN = {"age_years": "71.5", "sex": "F", "apoe4_count": "1", "hippocampus_mm3": "5600", "icv_mm3": "1400000"}
ANSWERS = ("scores", "probabilities", "prediction_set", "diagnosis", "scan_only", "metadata_only", "volumes_only", "report", "flags",
           "status")  # fmt: skip
WORDS = ("AD", "CN", "MCI", "dementia", "Alzheimer's disease", "NC", "mmse_3", "cdr=2", "normal", "")
SAFE = st.sampled_from(("AD-severe", "CN-control", "mci", "dementia-mmse-3", "x")) | st.from_regex(
    r"[A-Za-z]{1,12}", fullmatch=True
)
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20)
NUMBERS = st.integers(-9, 99).map(str) | st.floats(0, 30).map(str)


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> Predictor:
    return Predictor.from_checkpoint(tiny_run, "cpu")


@pytest.fixture
def answer(tiny_cohort: Path, tiny_run: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what `predict` says of one scan under a name of its own, beside a row with further cells."""
    scan = derivatives_of(tiny_cohort)[3]
    monkeypatch.setattr(Predictor, "from_checkpoint", classmethod(lambda *_args: predictor))

    def ask(subject: str, name: str, **cells: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            place = link_scan(scan, Path(folder) / f"{name}{ENDING}", subject)
            table = Path(folder) / "table.csv"
            with table.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(["subject_id", *KNOWN, *cells])
                writer.writerow([subject, *KNOWN.values(), *cells.values()])
            (found,) = predict(PredictConfig((place,), table, str(tiny_run), device="cpu")).predictions
        record = found.to_dict()
        assert record["subject_id"] == subject
        points = {key: value for key, value in record["mmse"].items() if key != "known"}
        return {key: record[key] for key in ANSWERS} | {"mmse": points}

    return ask


@given(
    subject=SAFE, name=SAFE, notes=TEXTS, diagnosis=TEXTS, mmse=NUMBERS | TEXTS, cdr_global=NUMBERS | TEXTS, faq=NUMBERS, dx_bl=TEXTS
)  # fmt: skip
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_answer_changes_a_number(answer: Any, subject: str, name: str, **cells: str) -> None:
    wanted = answer("p", "scan")
    assert wanted["report"] and "no_report" not in wanted["flags"]
    found = answer(subject, name, **cells)
    assert found == wanted
