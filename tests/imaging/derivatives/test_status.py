"""The table and the pages of a derivatives folder: nobody's folders in them, no row lost, no run held up for long."""

from __future__ import annotations

import csv
import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from adclip.brain_volumes import BrainVolumes
from adclip.config import SMALL
from adclip.domain import RESEARCH_NOTICE, ScanItem
from adclip.imaging.derivatives import publish as publish_module
from adclip.imaging.derivatives import run_book
from adclip.imaging.derivatives.files import PreparedScan, write_dataset_description, write_derivative
from adclip.imaging.derivatives.names import sidecar_path
from adclip.imaging.derivatives.publish import PAGE, VOLUMES, publish
from adclip.imaging.derivatives.run_book import RunBook
from adclip.imaging.derivatives.status import COLUMNS, DICTIONARY_FILE, STATUS_FILE, ScanRow, StatusTable
from adclip.imaging.formats import errors
from adclip.imaging.records.quality import Quality
from adclip.runtime import locks
from adclip.runtime.locks import LOCK_FILE


def failed(who: str, scan: str = "", error: str = "bad", hint: str = "look") -> ScanRow:
    return ScanRow(scan or f"{who}.nii", who, None, "failed", error=error, hint=hint)


def test_no_folder_of_a_person_reaches_the_table_or_the_page(tmp_path: Path) -> None:
    scan = "/data/jane doe/a.hdr"
    error = "/data/jane doe/a.img: half a pair; /data/jane doe/table.csv line 3 and /home/jane/x.csv disagree"
    StatusTable(tmp_path).add(failed("a", scan, error, f"look at `{tmp_path}/private/b.nii`, not at {scan}"))
    publish(tmp_path)
    (row,) = StatusTable(tmp_path).rows()
    assert row.item.path == Path("a.hdr")
    assert row.error == "a.img: half a pair; table.csv line 3 and x.csv disagree"
    assert row.hint == "look at `b.nii`, not at a.hdr"
    for name in (STATUS_FILE, PAGE):
        text = (tmp_path / name).read_text()
        assert "jane" not in text and str(tmp_path) not in text


def test_the_table_stays_a_plain_table_and_its_dictionary_carries_the_notice(tmp_path: Path) -> None:
    qc = Quality({"snr": 40.0}, "header", "t1", "pass")
    StatusTable(tmp_path).add(ScanRow("a.nii", "a", None, "done", 3.0, qc), failed("b"))
    with (tmp_path / STATUS_FILE).open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert [(row["subject_id"], row["modality"], row["snr"]) for row in rows] == [
        ("a", "t1", "40.0"),
        ("b", "n/a", "n/a"),
    ]
    about = json.loads((tmp_path / DICTIONARY_FILE).read_text())
    assert about.pop("Notice") == RESEARCH_NOTICE
    assert sorted(about) == sorted(COLUMNS)
    assert all(entry["Description"] for entry in about.values())


def test_a_row_waits_for_the_lock_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "_PATIENCE_S", 0.05)
    lock = FileLock(tmp_path / LOCK_FILE)
    lock.acquire()
    with caplog.at_level(logging.WARNING, "adclip"):
        writing = threading.Thread(target=StatusTable(tmp_path).add, args=(failed("a"),))
        writing.start()
        deadline = time.monotonic() + 20
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not (tmp_path / STATUS_FILE).exists()
        lock.release()
        writing.join(20)
    assert "waiting for another run" in caplog.text
    assert [row.item.subject_id for row in StatusTable(tmp_path).rows()] == ["a"]


@pytest.mark.parametrize("late", [0, 1, 5])
def test_pages_are_made_without_the_lock_and_hold_rows_entered_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    table, rendered = StatusTable(tmp_path), []
    table.add(failed("first"))
    real = publish_module.render_qc_page

    def render(entries: list[Any]) -> str:
        rendered.append(len(entries))
        if len(rendered) <= min(late, publish_module._TRIES):
            with FileLock(tmp_path / LOCK_FILE, timeout=1):  # raises where the page is made with the lock held
                pass
            table.add(failed(f"late{len(rendered)}"))
        return real(entries)

    monkeypatch.setattr(publish_module, "render_qc_page", render)
    publish(tmp_path)
    page = (tmp_path / PAGE).read_text()
    assert all(row.item.subject_id in page for row in table.rows())
    assert len(rendered) == min(late, publish_module._TRIES) + 1
    assert not list(tmp_path.rglob("*.part.*"))


def test_volumes_of_a_scan_that_was_refused_later_leave_the_table(tmp_path: Path) -> None:
    write_dataset_description(tmp_path)
    image = np.zeros(SMALL.contract.shape_xyz, dtype=np.float32)
    found = BrainVolumes("x", {"icv_mm3": 1.5e6})
    prepared = PreparedScan(image, image > 0, np.eye(4), qc=Quality(verdict="pass"), volumes=found)
    target = write_derivative(prepared, ScanItem(Path("a.nii"), "a"), tmp_path, SMALL.contract)
    StatusTable(tmp_path).add(ScanRow("a.nii", "a", None, "done", qc=prepared.qc))
    publish(tmp_path)
    assert "1500000.0" in (tmp_path / VOLUMES).read_text()
    sidecar_path(target).unlink()
    StatusTable(tmp_path).add(failed("a"))
    publish(tmp_path)
    assert "1500000.0" not in (tmp_path / VOLUMES).read_text()


def test_rows_are_written_a_few_at_a_time_and_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = [0.0], []

    def add(self: StatusTable, *rows: ScanRow) -> None:
        written.append([row.subject_id for row in rows])
        now[0] += 1.0  # a long table

    monkeypatch.setattr(run_book.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(StatusTable, "add", add)
    with pytest.raises(KeyboardInterrupt), RunBook(tmp_path, lambda event: None, in_any_case=True) as book:
        for number in range(200):
            book.enter(number, ScanRow("x.nii", f"{number}", None, "kept"), None)
            now[0] += 0.5
        raise KeyboardInterrupt
    assert [who for rows in written for who in rows] == [f"{number}" for number in range(200)]
    assert len(written) <= 12


def test_failures_wait_for_something_to_keep_them_with(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with RunBook(out, lambda event: None, in_any_case=False) as book:
        book.enter(1, failed("b"), errors.constant("b.nii"))
        assert not out.exists()
        book.enter(0, ScanRow("a.nii", "a", None, "done"), None)
    assert [row.item.subject_id for row in StatusTable(out).rows()] == ["a", "b"]
    assert [row.subject_id for row in book.rows()] == ["a", "b"]
