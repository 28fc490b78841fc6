"""Volumes that are read once, and what happens to a cache that is no longer what it was."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest

from adclip.domain import InputContract
from adclip.prediction.volume_cache import UNUSED_DAYS, read_volumes
from adclip.runtime.paths import cache_folder

CONTRACT = InputContract((4, 6, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
KEYS = ["a" * 64, "b" * 64, "c" * 64]


class Reader:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, place: int) -> np.ndarray:
        self.asked.append(place)
        return np.full(CONTRACT.shape, place + 1, dtype=np.int16)


@pytest.fixture
def reader() -> Reader:
    return Reader()


def cache_files() -> list:
    return sorted((cache_folder() / "volumes").glob("*.npy"))


def test_scans_are_read_once(reader):
    first, cached = read_volumes(KEYS, CONTRACT, reader)
    assert not cached and reader.asked == [0, 1, 2]
    second, cached = read_volumes(KEYS, CONTRACT, reader)
    assert cached and reader.asked == [0, 1, 2]
    for found in (first, second):
        assert [int(volume[0, 0, 0]) for volume in found] == [1, 2, 3]
    second[0] = 9  # what is done to it in memory never reaches the disk
    third, _ = read_volumes(KEYS, CONTRACT, reader)
    assert int(third[0, 0, 0, 0]) == 1


@pytest.mark.parametrize("keys", [KEYS[::-1], KEYS[:2], [*KEYS, "d" * 64]])
def test_other_scans_have_a_cache_of_their_own(reader, keys):
    read_volumes(KEYS, CONTRACT, reader)
    found, cached = read_volumes(keys, CONTRACT, reader)
    assert not cached and len(found) == len(keys)
    assert not read_volumes(KEYS, InputContract((4, 6, 8), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0)), reader)[1]


@pytest.mark.parametrize("damage", ["flipped", "cut", "no checksum", "nonsense"])
def test_a_damaged_cache_is_made_again(reader, damage):
    read_volumes(KEYS, CONTRACT, reader)
    (path,) = cache_files()
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-1] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-10])
    elif damage == "no checksum":
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_text("[")
    found, cached = read_volumes(KEYS, CONTRACT, reader)
    assert not cached and reader.asked == [0, 1, 2] * 2
    assert [int(volume[-1, -1, -1]) for volume in found] == [1, 2, 3]
    assert read_volumes(KEYS, CONTRACT, reader)[1]


def test_without_a_place_to_write_they_stay_in_memory(reader, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADCLIP_HOME", str(tmp_path / "file"))
    found, cached = read_volumes(KEYS, CONTRACT, reader)
    assert not cached and [int(volume[0, 0, 0]) for volume in found] == [1, 2, 3]


def test_what_nobody_used_for_long_goes(reader):
    read_volumes(KEYS, CONTRACT, reader)
    (old,) = cache_files()
    then = time.time() - (UNUSED_DAYS + 1) * 86_400
    os.utime(old, (then, then))
    read_volumes(KEYS[:1], CONTRACT, reader)
    (left,) = cache_files()
    assert left != old and not old.with_suffix(".json").exists()
    assert set(json.loads(left.with_suffix(".json").read_text())) == {"sha256"}
