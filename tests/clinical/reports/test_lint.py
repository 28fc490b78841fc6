"""A report that gives the answer away is found, and one that does not is left in peace."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adclip.clinical.reports import render
from adclip.clinical.reports.knowledge import BY_TEXT, KNOWLEDGE_VERSION
from adclip.clinical.reports.lint import LEAK_KINDS, Finding, find_leaks, lint_reports
from adclip.clinical.reports.report_texts import ReportText
from adclip.config import REPORT_STYLES, SynthesizeReportsConfig
from adclip.domain import Diagnosis, Visit
from adclip.errors import TableError
from adclip.verbs.synthesize_reports import synthesize_reports


def kinds(text: str, *ids: str) -> set[str]:
    return {finding.kind for finding in find_leaks(ReportText(1, text, ids))}


def write_jsonl(path: Path, *records: dict) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


# ------------------------------------------------------------------------------------------- diagnoses


@pytest.mark.parametrize(
    "text",
    [
        "MRI of a patient with Alzheimer's disease.",
        "Findings typical of ALZHEIMER dementia.",
        "A demented woman.", "A non-demented man.", "Predementia stage.",
        "He has mild cognitive impairment.", "mildly cognitively impaired", "Mild neurocognitive disorder.",
        "amnestic aMCI", "EMCI at baseline", "an LMCI case", "mci",
        "The subject is cognitively normal.", "cognitively unimpaired", "Cognition: normal cognition.", "cognitively  intact",
        "memory complaints for two years", "subjective memory concern", "decline of memory",
        "a healthy control", "Healthy elderly volunteer", "a healthy 74-year-old woman", "age-matched control", "control group",
        "an MCI converter", "nonconverter", "a slow progressor",
        "AD", "The patient has AD.", "AD's hippocampus", "AD-like atrophy", "CN", "Group NC", "diagnosis: ad", "label=cn",
        "class: nc", "a photo with diagnosis of mci", "Diagnosis: 3", "DX = 2", "DX_bl: 1",
        "Diagnosis: normal", "Group: control", "Group: HC", "Status: healthy", "major neurocognitive disorder", "senile atrophy",
        "amnestic type", "seen at the memory clinic", "DAT", "Alz.", "Alz\u00adheimer", "NINCDS-ADRDA criteria", "A.D.",
        "prodromal stage", "PPA", "primary progressive aphasia", "PCA", "posterior cortical atrophy", "She is healthy.",
        "Parkinson disease", "treated with donepezil", "Lewy bodies", "FTD", "ICD G30.1", "F00",
        "The patient lives in AD city",  # upper case: no reader can tell
    ],
)  # fmt: skip
def test_words_of_a_diagnosis_are_found(text: str) -> None:
    assert kinds(f"Hippocampal Vol: 5210.00. {text}") == {"diagnosis_word"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("\uff21lzheimer\u2019s disease", "diagnosis_word"),  # a letter of full width, as some Asian keyboards write it
        ("\uff2d\uff23\uff29", "diagnosis_word"),
        ("a photo with diagnosis of \uff21\uff24", "diagnosis_word"),
        ("\uff2d\uff2d\uff33\uff25", "score_name"),
        ("27\uff0f30", "score_value"),
    ],
)
def test_other_letters_of_the_same_look_hide_nothing(text: str, kind: str) -> None:
    assert kinds(f"Hippocampal Vol: 5210.00. {text}") == {kind}


@pytest.mark.parametrize(
    "text",
    [
        "adding a can of paint", "The scan was added to the adenoma series.", "NCBI build", "cnidarian", "ADC map", "T1 in MNI space",
        "Ad hoc protocol.", "AD HOC protocol", "CN VII is normal.", "normal hippocampus", "no mass, no control scan",
        "converted to NIfTI", "The images were converted from DICOM.", "diagnosis not given", "Diagnosis: unknown",
        "impaired gait", "mild atrophy", "healthy tissue is not seen", "cognitive reserve", "MRI at 3 T of 12/30/2020",
        "3 of 30 slices show motion", "30 of 70 people", "127/30", "age 70 of sex F", "z score 0.27, centile 30", "z scores 1.2 and 0.3",
        "frequently asked questions (faq)", "10 mms", "total of 30 ml", "Hippocampal Vol: 27.00, Ventricular size: 30.00",
        "Data unavailable: age, sex.", "The memory of the scanner is full.", "family history unknown", "",
    ],
)  # fmt: skip
def test_innocent_words_are_left_in_peace(text: str) -> None:
    assert kinds(text) == set()


@pytest.mark.parametrize("phrase", ["NC", "MCI", "AD"])
def test_the_leading_label_phrase_is_no_leak_and_a_second_one_is(phrase: str) -> None:
    assert kinds(f"A photo of {phrase}: Hippocampal Vol: 5210.00") == set()
    assert kinds(f"A photo of {phrase}") == set()
    assert kinds(f"a photo of {phrase.lower()}: hippocampal vol: 5210.00") == set()
    assert kinds(f"A photo of {phrase}: A photo of {phrase}: Hippocampal Vol: 5210.00") == {"diagnosis_word"}
    assert kinds(f"Hippocampal Vol: 5210.00. A photo of {phrase}") == {"diagnosis_word"}
    assert kinds(f"A photo of {phrase} patient: Hippocampal Vol: 5210.00") == {"diagnosis_word"}


@pytest.mark.parametrize("sentence", BY_TEXT)
def test_a_sentence_of_the_knowledge_table_is_no_leak_and_a_changed_one_is(sentence: str) -> None:
    assert kinds(f"A photo of AD: {sentence} The volume is 5210 mm3. {sentence}") == set()
    assert kinds(f"{sentence[:-1]} in this patient.") <= {"diagnosis_word"}
    if "lzheimer" in sentence or "dementia" in sentence:
        assert kinds(f"The patient shows: no, {sentence}") == {"diagnosis_word"}
        assert kinds(sentence.replace(" ", "  ", 1)) == {"diagnosis_word"}


# ------------------------------------------------------------------------------------------- scores


@pytest.mark.parametrize(
    "text",
    ["MMSE not done", "Mini-Mental State Examination", "mini mental", "CDR-SB", "cdrsb", "Clinical Dementia Rating", "sum of boxes",
     "ADAS-Cog", "ADAS13", "Alzheimer's Disease Assessment Scale", "MoCA", "Montreal Cognitive Assessment", "FAQ",
     "functional activities questionnaire", "RAVLT", "RAVLT_immediate", "logical memory", "delayed recall", "trail making", "mPACC",
     "a neuropsychological test", "MMSE27", "GDS", "Boston naming"],
)  # fmt: skip
def test_names_of_scores_are_found_and_are_no_diagnosis(text: str) -> None:
    assert kinds(f"Ventricular size: 61230.00. {text}.") == {"score_name"}


@pytest.mark.parametrize(
    "text",
    ["MMSE 27", "MMSE: 27/30", "mmse_total = 27", "MMSE score was 27", "The CDR global score is 0.5", "CDR 0", "CDR-SB of 4.5",
     "ADAS-Cog 13: 21.3", "ADAS13 = 21", "MoCA (24)", "FAQ 3", "27 on the MMSE", "27 points on the mini-mental", "0.5 CDR",
     "a MMSE of twenty-seven", "27/30 on the MMSE"],
)  # fmt: skip
def test_values_beside_a_score_are_found(text: str) -> None:
    assert {"score_name", "score_value"} <= kinds(f"A man of 71 years. {text}.")


@pytest.mark.parametrize(
    "text", ["27/30", "27 / 30", "27 out of 30", "scored 27 of 30", "She scores 27.", "a score of 21 of 70"]
)
def test_points_without_a_name_are_found(text: str) -> None:
    assert kinds(f"A man of 71 years. He has {text}") == {"score_value"}


# ------------------------------------------------------------------------------------------- the person


def test_an_id_in_its_own_report_is_found() -> None:
    assert kinds("Scan of OAS1_0001_MR1.", "OAS1_0001_MR1") == {"identity"}
    assert kinds("scan of sub-ab12: normal", "AB12") == {"identity"}
    assert kinds("scan of ab12", "sub-ab12") == {"identity"}
    assert kinds("Participant 0027, left hippocampus", "27") == {"identity"}
    assert kinds("sub-27 left hippocampus", "27") == {"identity"}


def test_a_number_or_another_word_is_no_id() -> None:
    assert kinds("A man of 71 years. Hippocampal Vol: 71.00", "71") == set()
    assert kinds("Ventricular size: 61230.00", "61230") == set()
    assert kinds("The volume is 61230 mm3", "61230") == set()
    assert kinds("Scan of OAS1_00011", "OAS1_0001") == set()
    assert kinds("a patient of 71 years", "71") == set()
    assert kinds("a left hippocampus", "a", "") == set()


# ------------------------------------------------------------------------------------------- files


def test_findings_name_lines_and_classes_and_never_what_was_found(tmp_path: Path) -> None:
    result = lint_reports(
        write_jsonl(
            tmp_path / "reports.jsonl",
            {"subject_id": "secret1", "text": "Hippocampal Vol: 5210.00"},
            {"subject_id": "secret2", "text": "secret2 has Alzheimer disease, donepezil, MMSE 23."},
        )
    )
    assert result.reports == 2
    assert {finding.line for finding in result.findings} == {2}
    assert [finding.kind for finding in result.leaks].count("diagnosis_word") == 2
    assert {finding.kind for finding in result.leaks} == set(LEAK_KINDS)
    shown = json.dumps(result.to_dict())
    assert not any(word in shown for word in ("secret", "23", "donepezil", str(tmp_path)))
    assert result.to_dict()["leaks"] == len(result.leaks) == 5
    assert result.version.endswith(f"+knowledge-{KNOWLEDGE_VERSION}")


def test_equal_reports_across_splits_are_a_warning_and_no_leak(tmp_path: Path) -> None:
    result = lint_reports(
        write_jsonl(
            tmp_path / "reports.jsonl",
            {"text": "one", "split": "train"}, {"text": "two", "split": "train"}, {"text": "one", "split": "train"},
            {"text": "one", "split": "test"}, {"text": "three", "split": "test"},
        )
    )  # fmt: skip
    assert not result.leaks
    assert result.findings == (
        Finding(3, "same_text", "2 reports repeat texts that stood before"),
        Finding(4, "same_text_across_splits", "the text of line 1, in another part of the split"),
    )


def test_equal_reports_without_a_split_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "reports.txt"
    path.write_text("one\n\none\ntwo\n")
    result = lint_reports(path)
    assert (result.reports, result.findings) == (
        3,
        (Finding(3, "same_text", "1 report repeats a text that stood before"),),
    )


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "txt"])
def test_every_kind_of_file_is_read(tmp_path: Path, ending: str) -> None:
    texts = ["A photo of AD: Hippocampal Vol: 5210.00, Ventricular size: 1.00", "This is dementia, clearly."]
    path = tmp_path / f"reports.{ending}"
    if ending in ("csv", "tsv"):
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream, delimiter="\t" if ending == "tsv" else ",")
            writer.writerows([["Subject_ID", "Report"], *([f"s{n}", text] for n, text in enumerate(texts))])
    elif ending == "txt":
        path.write_text("\n".join(texts))
    elif ending == "json":
        path.write_text(json.dumps([{"report": text} for text in texts], indent=0))
    else:
        write_jsonl(path, *({"report": text, "other": [1]} for text in texts))
    result = lint_reports(path)
    assert result.reports == 2
    assert [finding.what for finding in result.leaks] == ["a word for dementia"]


def test_records_without_a_report_are_passed_over(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "predictions.jsonl", {"scan": "a.nii", "report": None}, {"scan": "b.nii", "report": "x"}
    )
    assert lint_reports(path).reports == 1


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "line 2"),
        ("a.jsonl", b'{"text": "x"}\n[1]\n', "line 2"),
        ("a.jsonl", b'{"words": "x"}\n', "line 1"),
        ("a.jsonl", b'{"text": 5}\n', "line 1, column `text`"),
        ("a.jsonl", b'{"text": "x"}\n\xff\n', "line 2"),
        ("a.jsonl", b"\xff\xfe{", "UTF-16"),
        ("a.jsonl", b"\n \n", "empty"),
        ("a.txt", b"a\0b", "binary"),
        ("a.txt", b"", "empty"),
        ("a.csv", b"", "empty"),
        ("a.csv", b"subject,words\n1,x\n", "no column of reports"),
        ("a.csv", b"subject,text\n1,x,y\n", "line 2"),
        ("a.csv", b"text,text\n1,x\n", "more than once"),
        ("a.csv", b'text,b\n"x,1\n', "line 2"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_what_to_do(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError) as caught:
        lint_reports(tmp_path / name)
    assert problem in str(caught.value)
    assert caught.value.remedy


def test_an_absent_file_is_an_error_and_not_a_clean_one(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.csv", "a.txt"):
        with pytest.raises(TableError, match="no such"):
            lint_reports(tmp_path / name)


# ------------------------------------------------------------------------------------------- our own reports

volumes = st.floats(500, 2_000_000) | st.none()
visits = st.builds(
    Visit,
    subject_id=st.sampled_from(["OAS1_0001", "27", "sub-ad"]),
    age_years=st.floats(38, 95) | st.none(),
    sex=st.sampled_from(["F", "M", None]),
    education_years=st.sampled_from([None, 0.0, 12.0, 20.0]),
    apoe4_count=st.sampled_from([None, 0, 1, 2]),
    icv_mm3=st.floats(900_000, 2_000_000) | st.none(),
    hippocampus_mm3=volumes,
    hippocampus_left_mm3=st.floats(2000, 5000) | st.none(),
    hippocampus_right_mm3=st.floats(2000, 5000) | st.none(),
    ventricles_mm3=st.floats(5000, 150_000) | st.none(),
    whole_brain_mm3=volumes,
    entorhinal_mm3=volumes,
    fusiform_mm3=volumes,
    middle_temporal_mm3=volumes,
    volumes_source=st.sampled_from(["DLMUSE", "FreeSurfer", None]),
)


@settings(max_examples=300)
@given(visits, st.sampled_from(REPORT_STYLES), st.sampled_from([*Diagnosis, None]), st.integers(0, 50))
def test_our_own_reports_are_clean(visit: Visit, style: str, label: str | None, phrasing: int) -> None:
    report = render(visit, style, label, phrasing=phrasing)
    assert not list(find_leaks(ReportText(1, report.text, (visit.subject_id,))))


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_our_own_files_are_clean(tmp_path: Path, ending: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "subject_id,age_years,sex,diagnosis,mmse,hippocampus_mm3\nAB12,71,F,AD,21,5210\nAB13,75,M,CN,29,7210\n"
    )
    for style in REPORT_STYLES:
        out = tmp_path / f"{style}.{ending}"
        synthesize_reports(SynthesizeReportsConfig(table=table, out=out, style=style))
        result = lint_reports(out)
        assert (result.reports, result.findings) == (2, ())
