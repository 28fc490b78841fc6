"""What `--target` and `--text` may say, what they are called in files, and which number they mean."""

from __future__ import annotations

import pytest
import torch

from adclip.errors import ConfigError
from adclip.explanation.explained import number_of_classes
from adclip.explanation.target import Target, class_target, parse_target

LABELS = ("CN", "MCI", "AD")
HYPHENS = ("CN-early", "CN", "AD-late", "AD")


@pytest.mark.parametrize(
    ("text", "labels", "score", "wanted"),
    [
        (None, LABELS, "mmse", None),
        ("AD", LABELS, "mmse", Target("AD", "AD")),
        ("mmse", LABELS, "mmse", Target("mmse", score="mmse")),
        ("AD-CN", LABELS, None, Target("AD-CN", "AD", "CN")),
        ("CN-MCI", LABELS, "mmse", Target("CN-MCI", "CN", "MCI")),
        ("PD-Control", ("Control", "PD"), "moca", Target("PD-Control", "PD", "Control")),
        ("moca", ("Control", "PD"), "moca", Target("moca", score="moca")),
        ("AD-late", HYPHENS, None, Target("AD-late", "AD-late")),
        ("AD-late-CN", HYPHENS, None, Target("AD-late-CN", "AD-late", "CN")),
        ("AD-late-CN-early", HYPHENS, None, Target("AD-late-CN-early", "AD-late", "CN-early")),
        ("CN-AD-late", HYPHENS, None, Target("CN-AD-late", "CN", "AD-late")),
        # a class of that very name is meant before two classes
        ("A-B", ("A", "B", "A-B"), None, Target("A-B", "A-B")),
    ],
)
def test_what_is_explained_is_found(text, labels, score, wanted):
    assert parse_target(text, None, labels, score) == wanted


@pytest.mark.parametrize(
    ("text", "phrase", "labels", "score", "words"),
    [
        ("DLB", None, LABELS, "mmse", "`DLB` is not one of CN, MCI, AD, mmse, or two classes such as AD-CN"),
        ("ad", None, LABELS, "mmse", "`ad` is not one of"),
        ("", None, LABELS, "mmse", "`` is not one of"),
        ("AD-AD", None, LABELS, "mmse", "is not one of"),
        ("AD-", None, LABELS, "mmse", "is not one of"),
        ("AD-mmse", None, LABELS, "mmse", "is not one of"),
        ("AD - CN", None, LABELS, "mmse", "is not one of"),
        ("mmse", None, LABELS, None, "is not one of CN, MCI, AD, or"),
        ("mmse", None, ("Control", "PD"), "moca", "is not one of Control, PD, moca, or two classes such as PD-Control"),
        ("A-B-C", None, ("A", "A-B", "B-C", "C"), None, "A against B-C and A-B against C"),
        ("AD", "Ventricular size", LABELS, "mmse", "--text.*cannot stand beside --target"),
        (None, "", LABELS, "mmse", "--text.*holds no word"),
        (None, " .-", LABELS, "mmse", "--text.*holds no word"),
    ],
)
def test_anything_else_is_refused(text, phrase, labels, score, words):
    with pytest.raises(ConfigError, match=words):
        parse_target(text, phrase, labels, score)


@pytest.mark.parametrize(
    ("target", "label"),
    [
        (class_target("AD"), "AD"),
        (class_target("AD-late_x"), "AD" + "latex"),
        (Target("AD-CN", "AD", "CN"), "ADminusCN"),
        (Target("mmse"), "mmse"),
        (Target("gds_15"), "gds15"),
        (Target("x", phrase="Ventricular size"), "textVentricularSize"),
        (Target("x", phrase="../../etc: a <b>LARGE</b> one"), "textEtcABLargeBOne"),
        (Target("x", phrase="one two three four five six seven"), "textOneTwoThreeFourFiveSix"),
    ],
)
def test_a_file_is_called_by_letters_and_digits_alone(target, label):
    assert target.file_label == label and label.isalnum() and label.isascii()


def test_a_long_word_makes_no_name_that_a_disk_refuses():
    assert len(Target("x", phrase="a" * 5000).file_label) <= 64


def test_each_kind_says_what_it_is():
    assert class_target("AD").described == "score of AD minus the mean of the other classes"
    assert Target("AD-CN", "AD", "CN").described == "score of AD minus score of CN"
    assert parse_target("mmse", None, LABELS, "mmse", "MMSE").described.startswith(
        "estimated MMSE, in standard deviations"
    )
    assert "`a phrase`" in Target("a phrase", phrase="a phrase").described
    kinds = (class_target("AD"), Target("AD-CN", "AD", "CN"), Target("mmse"), Target("p", phrase="p"))
    assert [kind.reads_classes for kind in kinds] == [True, True, False, False]


def test_the_explained_number():
    scores = torch.tensor([[1.0, 2.0, 6.0], [1.0, -1.0, 0.0]])
    assert number_of_classes(class_target("AD"), scores, LABELS).tolist() == [4.5, 0.0]
    assert number_of_classes(Target("AD-CN", "AD", "CN"), scores, LABELS).tolist() == [5.0, -1.0]
    assert number_of_classes(Target("CN-AD", "CN", "AD"), scores, LABELS).tolist() == [-5.0, 1.0]
    assert number_of_classes(class_target("a"), torch.tensor([[1.0, 2.0]]), ("a", "b")).tolist() == [-1.0]
    with pytest.raises(ValueError, match="mmse is no class"):
        number_of_classes(Target("mmse"), scores, LABELS)
