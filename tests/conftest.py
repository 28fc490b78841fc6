"""What every test gets: a cache folder of its own, no network, and the real data where they are."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy machine is slow, and no example is wrong for that
settings.load_profile("any machine")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything loads torch: same numbers whatever the machine

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own cache and settings out of the tests."""
    for name in [name for name in os.environ if name.startswith("ADCLIP_") and name != "ADCLIP_TEST_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ADCLIP_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            refuse(address)
        real_connect(self, address)

    def refuse(host: Any, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise AssertionError(f"a test tried to reach {host}; adclip works offline")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real scans and tables (ADCLIP_TEST_DATA); tests that need it are skipped without it."""
    folder = Path(os.environ.get("ADCLIP_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data: set ADCLIP_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small base model with random weights."""
    from tiny import write_base

    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Derivatives folder of 21 painted people, with `table.csv`; read only."""
    from tiny import write_cohort

    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, tiny_cohort: Path) -> Path:
    """RUN folder of a small fine-tuning; read only."""
    from tiny import finetune_config

    from adclip.verbs.finetune import finetune

    out = tmp_path_factory.mktemp("runs") / "run"
    finetune(finetune_config(tiny_cohort, tiny_base, out))
    return out
