"""What the doctor finds, what it advises, and that nothing reaches out where it says so."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

import pytest
from originals import write_original
from typer.testing import CliRunner

from adclip.cli.catalog import COMMANDS
from adclip.cli.commands import LazyCommand
from adclip.cli.main import app
from adclip.errors import DefectError
from adclip.model import tensor_files
from adclip.model.bases import read_base
from adclip.model.readiness import RAW_HEAD_GB, find_model, needed_gb
from adclip.model.store import adopt
from adclip.runtime import environment
from adclip.runtime.environment import (
    MISSING,
    OK,
    WARN,
    Finding,
    look_at_folders,
    look_at_optional,
    look_at_python,
    look_at_variables,
)
from adclip.runtime.events import ignore
from adclip.verbs import privacy
from adclip.verbs.doctor import OPTIONAL, _known_variables, doctor
from adclip.verbs.settings import DoctorConfig

ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")


def found(name: str, **settings) -> Finding:
    return next(one for one in doctor(DoctorConfig(**settings)).findings if one.name == name)


def told(*words: str) -> tuple[int, list[dict]]:
    result = CliRunner().invoke(app, ["doctor", *words, "--json"], prog_name="adclip")
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_a_machine_on_which_the_tests_run_lacks_nothing():
    code, lines = told()
    assert code == 0
    assert {line["status"] for line in lines} <= {OK, WARN}
    names = [line["name"] for line in lines]
    for name in ("python", "packages", "torch", "gpu", "memory", "cache", "store", "weights: builtin", "model: builtin", "isal", "dcm2niix",
                 "network", "OMP_NUM_THREADS", "telemetry: adclip", "telemetry: huggingface_hub"):  # fmt: skip
        assert name in names
    assert all(line["fix"] for line in lines if line["status"] != OK), "whatever could be better comes with a command"
    assert not [line for line in lines if str(Path.home()) in line["what"]], "no name of a user"


def test_optional_packages_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        extra: wanted for extra, wanted in project["optional-dependencies"].items() if extra not in ("test", "dev")
    }
    packages = {re.split("[<>=]", one)[0]: extra for extra, wanted in extras.items() for one in wanted}
    assert {package: extra for package, (extra, _) in OPTIONAL.items()} == packages
    names = [finding.name for finding in look_at_optional(OPTIONAL)]
    assert names == list(OPTIONAL), "each is told of"


def test_what_needs_no_torch_imports_nothing_heavy():
    code = (
        "import sys; from adclip.verbs.doctor import doctor; from adclip.verbs.settings import DoctorConfig; doctor(DoctorConfig())\n"
        "print(sorted({'torch', 'monai', 'scipy', 'pandas', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_package_that_is_not_there_or_too_old_is_missing():
    (_, packages) = look_at_python(["numpy>=2.0", "no-such-package>=1", "torch>=99"])
    assert packages.status == MISSING and "no-such-package>=1" in packages.what and "numpy" not in packages.what
    assert packages.fix == "pip install --upgrade 'no-such-package>=1' 'torch>=99'"
    (_, packages) = look_at_python(["numpy>=2.0"])
    assert packages.status == OK


def test_too_little_memory_is_missing_and_the_exit_code_says_so(monkeypatch):
    monkeypatch.setattr(environment, "usable_memory_gb", lambda: 2.0)

    def memory(*words: str) -> tuple[int, dict[str, str], list[str]]:
        code, lines = told(*words)
        found = [line for line in lines if line["name"] == "memory"]
        return code, {line["what"].split()[0]: line["status"] for line in found}, [line["fix"] for line in found]

    assert memory("--model", "m3d-clip")[:2] == (4, {"builtin": OK, "m3d-clip": MISSING})
    code, statuses, fixes = memory()
    assert (code, statuses) == (0, {"builtin": OK, "m3d-clip": WARN}), "nobody asked for the other one"
    needed = {name: needed_gb(find_model(name)) or 0 for name in ("builtin", "m3d-clip")}
    assert needed["builtin"] < 2 < needed["m3d-clip"]
    (granted,) = re.findall(r"sbatch --mem=(\d+)G", " ".join(filter(None, fixes)))
    assert needed["m3d-clip"] + 1 <= int(granted) < needed["m3d-clip"] + 2, "enough, whatever the model"
    monkeypatch.setattr(environment, "usable_memory_gb", lambda: 1.0)
    assert memory()[:2] == (4, {"builtin": MISSING, "m3d-clip": WARN})


def test_the_need_of_a_run_follows_its_base(tiny_run, tiny_base):
    size = (tiny_base / "base.safetensors").stat().st_size
    assert needed_gb(find_model(str(tiny_run))) == pytest.approx(RAW_HEAD_GB + size / 1e9)


@pytest.mark.parametrize(("free_gb", "status"), [(0.1, MISSING), (3.0, WARN), (100.0, OK)])
def test_a_full_disk_is_told(monkeypatch, free_gb, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: Usage(1, 1, free_gb * 1e9))
    findings = {finding.name: finding for finding in look_at_folders()}
    assert set(findings) == {"cache", "store", "temporary", "here"}
    assert {finding.status for finding in findings.values()} == {status}
    assert (findings["cache"].fix == "export ADCLIP_HOME=/a/folder/of/yours") is (status != OK)


def test_a_folder_that_cannot_be_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADCLIP_HOME", str(tmp_path / "file" / "home"))
    findings = {finding.name: finding.status for finding in look_at_folders()}
    assert findings["cache"] == MISSING and findings["here"] != MISSING


def test_variables_that_nobody_reads_are_told_with_what_was_meant(monkeypatch):
    monkeypatch.setenv("ADCLIP_BATCHSIZE", "4")
    monkeypatch.setenv("ADCLIP_BATCH_SIZE", "4")
    monkeypatch.setenv("OMP_NUM_THREADS", "512")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    findings = {finding.name: finding for finding in doctor(DoctorConfig()).findings}
    assert findings["ADCLIP_BATCHSIZE"].status == WARN and "ADCLIP_BATCH_SIZE" in findings["ADCLIP_BATCHSIZE"].what
    assert findings["ADCLIP_BATCHSIZE"].fix == "unset ADCLIP_BATCHSIZE"
    assert findings["ADCLIP_BATCH_SIZE"].status == OK
    assert findings["OMP_NUM_THREADS"].status == WARN and "export OMP_NUM_THREADS=" in (
        findings["OMP_NUM_THREADS"].fix or ""
    )
    assert findings["network"].fix == "unset HF_HUB_OFFLINE"
    assert "ADCLIP_HOME" in findings and "wins over" not in findings["ADCLIP_HOME"].what
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert "HF_HUB_OFFLINE" not in next(one for one in look_at_variables(()) if one.name == "network").what


def test_the_variables_it_knows_are_those_that_the_commands_read():
    read = {
        str(parameter.envvar).removeprefix("ADCLIP_")
        for name in COMMANDS
        for parameter in LazyCommand(name).load().params
        if parameter.envvar
    }
    assert _known_variables() == read


def test_no_finding_names_a_folder(tiny_run, tmp_path, monkeypatch):
    """Neither of the model asked for, nor of its base, nor of one in the store; a blank in it ends no path."""
    run = Path(shutil.copytree(tiny_run, tmp_path / "jane doe" / "my run"))
    base = Path(
        shutil.copytree(
            read_base(json.loads((run / "adapter.json").read_text())["base"]["name"]).folder,
            tmp_path / "jane doe" / "base",
        )
    )
    adopt(write_original(tmp_path / "original"), "kept", None, ignore, overwrite=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))  # so that nothing is told as below it

    def is_private(code: int, *names: str, model: Path) -> list[dict]:
        found_code, lines = told("--model", str(model))
        shown = json.dumps([line for line in lines if line["name"].startswith(("weights", "model", "memory"))])
        assert found_code == code and all(name in shown for name in names), shown
        assert str(tmp_path) not in shown and "jane" not in shown and os.environ["ADCLIP_HOME"] not in shown
        return lines

    is_private(0, "model: my run", "whole", model=run)
    is_private(0, "weights: base", "whole", model=base)
    (run / "README.md").write_text("other words\n")
    is_private(4, "my run/README.md: SHA-256 differs", model=run)
    (Path(os.environ["ADCLIP_HOME"]) / "weights" / "kept" / "model.safetensors").write_bytes(b"short")
    (base / "base.safetensors").unlink()
    lines = is_private(4, "model.safetensors: SHA-256 differs", "base.safetensors: no safetensors file", model=base)
    assert {line["name"]: line["fix"] for line in lines}["weights: kept"].startswith("adclip weights import FOLDER")
    record = json.loads((run / "adapter.json").read_text())
    del record["files"], record["canary"]
    (run / "adapter.json").write_text(json.dumps(record))
    lines = is_private(4, "names no hashes", model=run)  # for the damaged one
    assert {line["name"]: line["fix"] for line in lines}["model: my run"] == "adclip weights verify 'my run'"


def test_a_model_that_could_not_be_loaded_is_not_whole(tiny_run, tiny_base, tmp_path):
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    record = json.loads((run / "adapter.json").read_text())
    record["base"]["name"] = str(base)
    (run / "adapter.json").write_text(json.dumps(record))
    assert found("model: run", model=str(run)).status == OK
    words = (base / "vocab.txt").read_text()
    (base / "vocab.txt").write_text(words + "another\n")
    broken = found("model: run", model=str(run))
    assert broken.status == MISSING and "vocab.txt" in broken.what and broken.fix
    (base / "vocab.txt").write_text(words)
    data = bytearray((base / "base.safetensors").read_bytes())
    data[-1] ^= 1
    (base / "base.safetensors").write_bytes(data)
    broken = found("model: run", model=str(run))
    assert broken.status == MISSING and "base.safetensors: SHA-256 differs" in broken.what
    shutil.copyfile(tiny_base / "base.safetensors", base / "base.safetensors")
    other = json.loads((base / "base.json").read_text())
    other["model"]["heads"] = 2
    (base / "base.json").write_text(json.dumps(other))
    broken = found("model: run", model=str(run))
    assert broken.status == MISSING and "model sizes are not those of its base" in broken.what


def test_a_base_asked_for_is_told_once(tmp_path):
    code, lines = told("--model", "m3d-clip")
    (line,) = [line for line in lines if line["name"] == "weights: m3d-clip"]
    assert code == 4 and line["status"] == MISSING and line["fix"] == "adclip weights fetch m3d-clip"
    (line,) = [line for line in told()[1] if line["name"] == "weights: m3d-clip"]
    assert line["status"] == WARN
    adopt(write_original(tmp_path / "base"), "m3d-clip", None, ignore, overwrite=False)
    (line,) = [line for line in told("--model", "m3d-clip")[1] if line["name"] == "weights: m3d-clip"]
    assert line["status"] == OK and line["what"].startswith("whole")
    (Path(os.environ["ADCLIP_HOME"]) / "weights" / "m3d-clip" / "model.safetensors").write_bytes(b"short")
    (line,) = [line for line in told("--model", "m3d-clip")[1] if line["name"] == "weights: m3d-clip"]
    assert line["status"] == MISSING and line["fix"] == "adclip weights fetch m3d-clip --overwrite"


def test_a_base_without_a_record_is_hashed_once(tiny_run, tmp_path, monkeypatch):
    """Its hash is nowhere but in its bytes, so it is needed; but large weights take seconds each time."""
    original = write_original(tmp_path / "original")
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    record = json.loads((run / "adapter.json").read_text())
    record["base"] |= {"name": str(original), "sha256": read_base(str(original)).sha256}
    (run / "adapter.json").write_text(json.dumps(record))
    hashed: list[Path] = []
    whole = tensor_files.file_sha256
    monkeypatch.setattr(tensor_files, "file_sha256", lambda path: hashed.append(path) or whole(path))
    doctor(DoctorConfig(model=str(run)))
    assert hashed.count(original / "model.safetensors") == 1


def test_a_damaged_run_is_missing_by_its_file(tiny_run, tmp_path):
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    assert found("model: run", model=str(run)).status == OK
    (run / "README.md").write_text("other words\n")
    broken = found("model: run", model=str(run))
    assert broken.status == MISSING and "README.md" in broken.what and broken.fix
    assert told("--model", str(run))[0] == 4


def test_a_run_without_its_base_is_missing(tiny_run, tmp_path):
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    record = json.loads((run / "adapter.json").read_text())
    record["base"] |= {"name": "gone", "sha256": "0" * 64}
    (run / "adapter.json").write_text(json.dumps(record))
    broken = found("model: run", model=str(run))
    assert broken.status == MISSING and "adclip weights import" in (broken.fix or "")


def test_full_asks_torch_and_loads_the_model(tiny_run):
    findings = {finding.name: finding for finding in doctor(DoctorConfig(model=str(tiny_run), full=True)).findings}
    assert "threads" in findings and findings["model: run"].status == OK


# ------------------------------------------------------------------------------------------------ privacy


def blocked(code: str) -> subprocess.CompletedProcess[str]:
    start = "from adclip.verbs import privacy; privacy.block(); import socket\n"
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True)


@pytest.mark.parametrize(
    "call",
    ["socket.create_connection(('192.0.2.1', 80), 1)", "socket.getaddrinfo('example.org', 80)", "socket.gethostbyname('example.org')",
     "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
     "__import__('urllib.request').request.urlopen('http://192.0.2.1/')"],
)  # fmt: skip
def test_whoever_reaches_out_is_refused_and_named(call):
    done = blocked(f"try:\n    {call}\nexcept OSError as error:\n    print('refused', error)\nprint(privacy._ATTEMPTS)")
    assert done.stdout.startswith("refused") and "socket." in done.stdout.splitlines()[-1], done.stdout + done.stderr
    assert "192.0.2.1" in done.stdout or "example.org" in done.stdout


def test_sockets_of_this_machine_s_file_system_are_let_be(tmp_path):
    code = f"s = socket.socket(socket.AF_UNIX); s.bind({str(tmp_path / 's')!r}); s.listen(); c = socket.socket(socket.AF_UNIX); "
    done = blocked(code + f"c.connect({str(tmp_path / 's')!r}); print(privacy._ATTEMPTS)")
    assert done.stdout.strip() == "[]", done.stderr
    done = blocked(
        "socket.socket().bind(('127.0.0.1', 0)); print(privacy._ATTEMPTS)"
    )  # as urllib3 does to see what there is
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("stdout", "code", "words"),
    [
        (
            '{"command": "predict", "attempts": ["socket.connect to (\'192.0.2.1\', 80) (nosy/send.py)"]}\n',
            0,
            "nosy/send.py",
        ),
        ('{"command": "predict", "attempts": []}\n', 1, "did not come to their end"),
        ("", 0, "did not come to their end"),
    ],
)
def test_an_attempt_fails_loudly(monkeypatch, stdout, code, words):
    done = subprocess.CompletedProcess([], code, stdout, "Traceback\nOSError: gone\n")
    monkeypatch.setattr(privacy.subprocess, "run", lambda *_args, **_options: done)
    with pytest.raises(DefectError, match=words):
        privacy.run_blocked(ignore)


def ended_late(monkeypatch: pytest.MonkeyPatch, printed: str | bytes | None) -> None:
    def run(*_args: object, **options: float) -> None:
        raise subprocess.TimeoutExpired([], options["timeout"], output=printed)

    monkeypatch.setattr(privacy.subprocess, "run", run)


@pytest.mark.parametrize("kind", [str, bytes])
def test_a_machine_too_slow_for_it_is_told_so_with_the_limit(monkeypatch, kind):
    printed = '{"command": "simulate", "attempts": []}\n{"command": "preproc'
    ended_late(monkeypatch, printed if kind is str else printed.encode())
    findings = privacy.run_blocked(ignore)
    assert [(one.name, one.status) for one in findings] == [("privacy: simulate", OK), ("privacy", MISSING)]
    assert "30 minutes" in findings[1].what and findings[1].fix
    ended_late(monkeypatch, None)
    assert [one.status for one in privacy.run_blocked(ignore)] == [MISSING]


def test_who_reached_out_before_the_limit_is_still_named(monkeypatch):
    ended_late(monkeypatch, b'{"command": "predict", "attempts": ["socket.connect to x (nosy/send.py)"]}\n')
    with pytest.raises(DefectError, match=r"nosy/send\.py"):
        privacy.run_blocked(ignore)


@pytest.mark.slow
def test_the_commands_reach_nothing():
    code, lines = told("--privacy")
    assert code == 0
    ran = [line["name"] for line in lines if line["name"].startswith("privacy: ")]
    assert ran == [f"privacy: {name}" for name in ("simulate", "preprocess", "predict", "explain", "finetune")]
