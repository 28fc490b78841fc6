"""`adclip weights` against a hub on loopback, as a user at a shell has it: each line a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_hub import COMMIT, Hub, read_files, serve
from originals import shard, write_original

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 792000000\n"


@dataclass
class Shell:
    """A user at a shell with a home of his own and a hub."""

    hub: Hub
    home: Path
    folder: Path

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {
            k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith(("ADCLIP_", "HF_"))
        }
        own = {
            "ADCLIP_HOME": str(self.home), "HF_HOME": str(self.home / "hf"), "OMP_NUM_THREADS": "1",
            "HF_ENDPOINT": f"http://127.0.0.1:{self.hub.port}", "NO_COLOR": "1",
        }  # fmt: skip
        return kept | own | extra

    def __call__(self, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.line(*words), env=self.environment(**extra), cwd=self.folder, text=True,
                              capture_output=True, timeout=600)  # fmt: skip

    def line(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "adclip", "weights", *words]

    @property
    def stored(self) -> Path:
        return self.home / "weights" / "m3d-clip"

    @property
    def parts(self) -> list[Path]:
        return sorted((self.home / "weights").glob(".*.part/*.safetensors"))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    hub = Hub(read_files(write_original(tmp_path / "original")))
    server = serve(hub)
    (tmp_path / "here").mkdir()
    yield Shell(hub, tmp_path / "home", tmp_path / "here")
    server.shutdown()
    server.server_close()


def is_refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "hint: " in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_fetched_verified_and_recorded(shell):
    done = shell("fetch", "m3d-clip", "--json")
    assert done.returncode == 0, done.stderr
    assert "Apache-2.0" in done.stderr and "apache-2.0" in done.stderr
    assert "fetched and verified" in done.stderr
    told = json.loads(done.stdout)
    assert (told["name"], told["state"], told["revision"]) == ("m3d-clip", "installed", COMMIT)
    assert {path.name for path in shell.stored.iterdir()} == {
        "model.safetensors", "vocab.txt", "config.json", "base.json",
    }  # fmt: skip
    for name, data in shell.hub.files.items():
        assert (shell.stored / name).read_bytes() == data
    record = json.loads((shell.stored / "base.json").read_text())
    assert record["sha256"] == told["sha256"] == shell.hub.metadata()["siblings"][1]["lfs"]["sha256"]
    assert not shell.parts

    assert all("GoodBaiBai88/M3D-CLIP" in path for _, path, _ in shell.hub.requests)  # and nothing else is talked about

    asked = len(shell.hub.requests)
    again = shell("fetch")
    assert again.returncode == 0 and "was here already" in again.stderr
    assert len(shell.hub.requests) == asked  # nothing is asked of the network for what is here
    assert shell("path", "m3d-clip").stdout.strip() == str(shell.stored)
    assert shell("verify").returncode == 0

    code = "import adclip, torch; print(adclip.load_base('m3d-clip').encode_image(torch.rand(1, 1, 16, 64, 32)).shape)"
    used = subprocess.run([sys.executable, "-c", code], env=shell.environment(), capture_output=True, text=True)
    assert "[1, 40]" in used.stdout, used.stderr


@pytest.fixture
def large(shell: Shell, tmp_path: Path) -> Shell:
    """Weights of 38 MB: the hub's client writes in blocks of 10."""
    shell.hub.files = read_files(write_original(tmp_path / "large", positions=300_000))
    return shell


def test_a_killed_fetch_continues_where_it_was(large):
    shell = large
    shell.hub.slow = 0.01
    running = subprocess.Popen(shell.line("fetch"), env=shell.environment(), stderr=subprocess.PIPE)
    wait_for(lambda: any(part.stat().st_size > 0 for part in shell.parts))
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stderr.close()
    assert not shell.stored.exists()
    (part,) = shell.parts
    have, shell.hub.slow = part.stat().st_size, 0.0
    done = shell("fetch")
    assert done.returncode == 0, done.stderr
    ranges = [asked for kind, path, asked in shell.hub.requests if path.endswith("model.safetensors") and asked]
    assert ranges == [f"bytes={have}-"]
    assert (shell.stored / "model.safetensors").read_bytes() == shell.hub.files["model.safetensors"]


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_a_connection_that_breaks_is_taken_up_again(large):
    shell = large
    shell.hub.cut_after = 25_000_000
    done = shell("fetch")
    assert done.returncode == 0, done.stderr
    assert any(asked for _, path, asked in shell.hub.requests if path.endswith("model.safetensors"))
    assert (shell.stored / "model.safetensors").read_bytes() == shell.hub.files["model.safetensors"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("changed", "its hash differs"),
        ("page", "a web page came instead"),
        ("pointer", "a git-lfs pointer came instead"),
        ("long page", "a web page came instead"),
    ],
)
def test_what_is_not_the_file_is_refused_and_deleted(shell, content, words):
    data = bytearray(shell.hub.files["model.safetensors"])
    data[-1] ^= 1
    page = b"<!DOCTYPE html><html>log in</html>"
    shell.hub.served["model.safetensors"] = {
        "changed": bytes(data), "page": page, "pointer": LFS_POINTER, "long page": page.ljust(len(data)),
    }[content]  # fmt: skip
    is_refused(shell("fetch"), 4, "model.safetensors", words)
    assert not shell.stored.exists() and not shell.parts
    shell.hub.served.clear()
    assert shell("fetch").returncode == 0


def test_a_changed_vocabulary_is_refused(shell):
    shell.hub.served["vocab.txt"] = shell.hub.files["vocab.txt"].replace(b"brain", b"brian")
    is_refused(shell("fetch"), 4, "vocab.txt", "its hash differs")


def test_a_portal_that_answers_everything_with_a_page(shell):
    shell.hub.page = b"<html>welcome to our wifi</html>"
    is_refused(shell("fetch"), 4, "M3D-CLIP")


def test_metadata_without_hashes_are_refused(shell):
    shell.hub.hashes = False
    is_refused(shell("fetch"), 4, "no hash")


def test_a_repository_or_revision_that_is_not_there(shell):
    is_refused(shell("fetch", "--revision", "b" * 40), 4, "no such revision")
    shell.hub.known = False
    is_refused(shell("fetch"), 4, "no such repository")


def test_a_model_in_several_files_is_fetched_whole(shell, tmp_path):
    folder = write_original(tmp_path / "parts")
    shard(folder)
    shell.hub.files = read_files(folder)
    done = shell("fetch")
    assert done.returncode == 0, done.stderr
    for name, data in shell.hub.files.items():
        assert (shell.stored / name).read_bytes() == data
    assert len(list(shell.stored.glob("*.safetensors"))) == 3 and shell("verify", "m3d-clip").returncode == 0
    del shell.hub.files["model-00002-of-00003.safetensors"]
    shell.hub.commit = "c" * 40
    is_refused(
        shell("fetch", "--overwrite", "--revision", "c" * 40), 4, "model-00002-of-00003.safetensors", "not beside it"
    )
    assert shell("verify", "m3d-clip").returncode == 0  # the earlier one is whole


def test_files_that_are_no_model_never_reach_the_store(shell, tmp_path):
    from safetensors.torch import load, save

    state = load(shell.hub.files["model.safetensors"])
    state.pop("mm_vision_proj.bias")
    shell.hub.files["model.safetensors"] = save(state)
    is_refused(shell("fetch"), 2, "mm_vision_proj.bias")
    assert not shell.stored.exists()


def test_offline_is_respected_and_the_way_around_is_told(shell):
    is_refused(shell("fetch", HF_HUB_OFFLINE="1"), 4, "HF_HUB_OFFLINE", "adclip weights import")
    assert not shell.hub.requests


def test_a_hub_that_is_not_there(shell):
    is_refused(shell("fetch", HF_ENDPOINT="http://127.0.0.1:9"), 4, "cannot be reached", "HTTPS_PROXY")


def test_the_proxy_of_the_environment_is_used(shell):
    proxy = f"http://127.0.0.1:{shell.hub.port}"
    done = shell("fetch", HF_ENDPOINT="http://hub.invalid", HTTP_PROXY=proxy, http_proxy=proxy)
    assert done.returncode == 0, done.stderr
    assert shell.hub.requests and all(path.startswith("http://hub.invalid/") for _, path, _ in shell.hub.requests)


def test_what_is_recorded_stays(shell):
    assert shell("fetch").returncode == 0
    before = read_files(shell.stored)
    is_refused(shell("fetch", "--revision", "b" * 40), 4, COMMIT[:12], "--overwrite")
    # the weights under the recorded revision change: even --overwrite does not take them
    shell.hub.files["model.safetensors"] = read_files(write_original(shell.home / "other", seed=5))["model.safetensors"]
    is_refused(shell("fetch", "--overwrite"), 4, "other weights", "recorded revision")
    assert read_files(shell.stored) == before
    # another revision, asked for by name, is another matter
    shell.hub.commit = "c" * 40
    assert shell("fetch", "--overwrite", "--revision", "c" * 40).returncode == 0
    assert json.loads((shell.stored / "base.json").read_text())["revision"] == "c" * 40


def test_a_damaged_file_is_found_and_mended(shell):
    assert shell("fetch").returncode == 0
    weights = shell.stored / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    for words in (("verify",), ("fetch",), ("export", "m3d-clip")):
        is_refused(shell(*words), 4, "model.safetensors", "SHA-256 differs", "--overwrite")
    assert shell("fetch", "--overwrite").returncode == 0
    assert shell("verify", "m3d-clip").returncode == 0


# ------------------------------------------------------------------------------------------------ without a network


def test_exported_here_and_imported_there(shell, tmp_path):
    assert shell("fetch").returncode == 0
    done = shell("export", "m3d-clip", "--out", "m3d.zip")
    assert done.returncode == 0 and done.stdout.strip() == "m3d.zip"
    is_refused(shell("export", "m3d-clip", "--out", "m3d.zip"), 2, "exists already")
    there = Shell(shell.hub, tmp_path / "there", shell.folder)
    asked = len(shell.hub.requests)
    done = there("import", "m3d.zip", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert read_files(there.stored) == read_files(shell.stored)
    assert len(shell.hub.requests) == asked
    assert there("import", "m3d.zip").returncode == 0  # the same again is no contradiction


def test_a_folder_and_a_lone_file_are_imported(shell, tmp_path):
    folder = write_original(tmp_path / "ours", seed=2)
    assert shell("import", str(folder)).returncode == 0
    assert "ours" in shell("list").stdout
    lone = write_original(tmp_path / "lone", seed=3, vocabulary=False, config=False) / "model.safetensors"
    is_refused(shell("import", str(lone), "--name", "lone"), 2, "config.json")
    (lone.parent / "config.json").write_bytes((folder / "config.json").read_bytes())
    is_refused(shell("import", str(lone), "--name", "lone"), 4, "--tokenizer")
    done = shell("import", str(lone), "--name", "lone", "--tokenizer", str(folder / "vocab.txt"))
    assert done.returncode == 0, done.stderr
    is_refused(shell("import", str(folder), "--name", "lone"), 4, "--overwrite")
    is_refused(shell("import", str(folder), "--name", "../up"), 2, "../up")
    is_refused(shell("import", str(folder), "--name", "builtin"), 2, "builtin")


def test_a_base_with_a_record_keeps_it(shell, tmp_path):
    """The builtin's scale and grid stand in its record, in no weight."""
    from adclip.model.bases import BUILTIN_FOLDER, read_recorded

    done = shell("import", str(BUILTIN_FOLDER), "--name", "copy")
    assert done.returncode == 0, done.stderr
    copy, wanted = read_recorded(shell.home / "weights" / "copy"), read_recorded(BUILTIN_FOLDER)
    assert (copy.config, copy.sha256, copy.raw_scale) == (wanted.config, wanted.sha256, False)


@pytest.mark.parametrize("damage", ["cut", "flipped", "climbing", "foreign", "no record", "not a zip"])
def test_a_bad_archive_is_refused_and_leaves_nothing(shell, damage):
    good = shell.folder / "good.zip"
    folder = write_original(shell.folder / "base")
    assert shell("import", str(folder), "--name", "base").returncode == 0
    assert shell("export", "base", "--out", str(good)).returncode == 0
    bad = shell.folder / "bad.zip"
    data = bytearray(good.read_bytes())
    if damage == "cut":
        bad.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
        bad.write_bytes(data)
    elif damage == "not a zip":
        bad.write_text("hello")
    else:
        name = {"climbing": "../../up.safetensors", "foreign": "run.py", "no record": "x.safetensors"}[damage]
        with zipfile.ZipFile(bad, "w") as archive:
            if damage != "no record":
                archive.write(folder.parent.parent / "home" / "weights" / "base" / "base.json", "base.json")
            archive.writestr(name, b"x")
    done = shell("import", str(bad), "--name", "other")
    assert done.returncode in (2, 4) and "hint: " in done.stderr and "Traceback" not in done.stderr
    assert not (shell.home / "weights" / "other").exists() and not list(shell.folder.parent.glob("up*"))


def test_nonsense_is_told(shell):
    is_refused(shell("fetch", "m4d"), 4, "m3d-clip")
    is_refused(shell("frobnicate"), 2, "list, fetch")
    is_refused(shell("import"), 2, "say what")
    is_refused(shell("path", "m3d-clip"), 4, "adclip weights fetch m3d-clip")
    is_refused(shell("import", "nowhere"), 4, "nowhere")


def test_a_tuned_model_is_exported_without_private_files(shell, tiny_run):
    done = shell("export", str(tiny_run), "--out", "run.zip")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(shell.folder / "run.zip") as archive:
        assert sorted(archive.namelist()) == ["README.md", "adapter.json", "adapter.safetensors"]
    is_refused(shell("import", "run.zip"), 4, "not a base")
