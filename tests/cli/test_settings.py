"""Flag, then environment, then settings file, then default."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

ASKED = ("finetune", "--scans", "s", "--table", "t.csv", "--out", "run1")


@pytest.fixture
def finetune(stub):
    return stub("finetune", SimpleNamespace(to_dict=lambda: {"out": "run1", "epochs_run": 1}))


def test_default(run, finetune):
    assert run(*ASKED).code == 0
    assert finetune[0].epochs == 10
    assert finetune[0].out == Path("run1")


def test_file_beats_default_and_environment_beats_file_and_flag_beats_all(run, finetune, monkeypatch):
    Path("adclip.toml").write_text("epochs = 3\n")
    run(*ASKED)
    monkeypatch.setenv("ADCLIP_EPOCHS", "4")
    run(*ASKED)
    run(*ASKED, "--epochs", "5")
    assert [config.epochs for config in finetune] == [3, 4, 5]


def test_a_plain_finetune_works_where_adclip_toml_says_all(run, finetune):
    Path("adclip.toml").write_text(
        '[finetune]\nscans = "s"\ntable = "t.csv"\nout = "run1"\nlearning-rate = 0.01\n'
        'column = ["mmse=MMSCORE"]\nmmse_token = false\n'
    )
    assert run("finetune").code == 0
    assert finetune[0].learning_rate == 0.01
    assert finetune[0].columns == ("mmse=MMSCORE",)
    assert not finetune[0].prompts.mmse_token


def test_a_flag_takes_back_what_the_file_switched_on(run, finetune):
    Path("adclip.toml").write_text("overwrite = true\n")
    run(*ASKED)
    run(*ASKED, "--no-overwrite")
    assert [config.overwrite for config in finetune] == [True, False]


def test_own_table_beats_the_top_and_other_tables_are_left_alone(run, finetune):
    Path("adclip.toml").write_text("epochs = 3\nseed = 7\nsubjects = 9\n[finetune]\nepochs = 4\n[demo]\nepochs = 5\n")
    run(*ASKED)
    assert (finetune[0].epochs, finetune[0].seed) == (4, 7)


def test_config_replaces_adclip_toml(run, finetune):
    Path("adclip.toml").write_text("epochs = 3\n")
    Path("other.toml").write_text("seed = 1\n")
    run(*ASKED, "--config", "other.toml")
    assert (finetune[0].epochs, finetune[0].seed) == (10, 1)


def test_inputs_can_stand_in_the_file(run, stub):
    calls = stub("predict", SimpleNamespace(predictions=[], failed=0))
    Path("adclip.toml").write_text('[predict]\ninputs = ["a.nii", "b.nii"]\n')
    assert run("predict").code == 0
    assert calls[0].inputs == (Path("a.nii"), Path("b.nii"))


def test_one_value_may_stand_for_a_list(run, finetune):
    Path("adclip.toml").write_text('column = "mmse=MMSCORE"\n')
    run(*ASKED)
    assert finetune[0].columns == ("mmse=MMSCORE",)


def test_every_option_has_a_variable_of_its_name(run, stub, monkeypatch):
    calls = stub("simulate", SimpleNamespace(to_dict=lambda: {"out": "c"}))
    monkeypatch.setenv("ADCLIP_SPACING", "2")
    assert run("simulate", "--out", "c").code == 0
    assert calls[0].spacing_mm == 2


def test_json_from_the_environment(run, finetune, monkeypatch):
    monkeypatch.setenv("ADCLIP_JSON", "1")
    assert run(*ASKED).stdout.startswith("{")


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("epoch = 3\n", "unknown key `epoch`", "did you mean `epochs`?"),
        ("[finetune]\nepoch = 3\n", "unknown key `epoch` in [finetune]", "did you mean `epochs`?"),
        ("[predict]\nepochs = 3\n", "unknown key `epochs` in [predict]", "see `--help`"),
        ("finetune = 3\n", "must be a table", ""),
        ("epochs = \n", "not valid TOML", "correct that line"),
        ('epochs = "ten"\n', "--epochs", "adclip finetune"),
        ("epochs = 0\n", "--epochs: must be at least 1", ""),
        ("config = 'x'\n", "unknown key `config`", ""),
    ],
)
def test_a_wrong_file_is_2(run, finetune, text, problem, hint):
    Path("adclip.toml").write_text(text)
    ran = run(*ASKED)
    assert ran.code == 2
    error, told = ran.stderr.splitlines()
    assert problem in error and hint in told


def test_missing_file(run, finetune):
    ran = run(*ASKED, "--config", "none.toml")
    assert ran.code == 2
    assert ran.stderr.startswith("error: none.toml: no such settings file")


def test_a_folder_as_file(run, finetune):
    Path("folder.toml").mkdir()
    ran = run(*ASKED, "--config", "folder.toml")
    assert ran.code == 2
    assert ran.stderr.startswith("error: folder.toml: is a directory")


@pytest.mark.parametrize(
    ("command", "result"), [("predict", {"predictions": []}), ("explain", {"explanations": []})], ids=str
)
def test_volumes_are_measured_unless_flag_environment_or_file_say_otherwise(run, stub, monkeypatch, command, result):
    calls = stub(command, SimpleNamespace(**result, failed=0))
    line = (command, "a.nii", *(("--out", "x") if command == "explain" else ()))
    run(*line)
    run(*line, "--no-volumes")
    Path("adclip.toml").write_text(f"[{command}]\nvolumes = false\n")
    run(*line)
    monkeypatch.setenv("ADCLIP_VOLUMES", "1")
    run(*line)
    assert [config.volumes for config in calls] == [True, False, False, True]
