"""One simulated person who comes twice under two ids, through `finetune`: another scanner, another year, another position."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import CONTRACT, LABELS, finetune_config

from adclip.domain import ScanItem
from adclip.errors import LeakError
from adclip.imaging.derivatives.files import PreparedScan, quantise, write_dataset_description, write_derivative
from adclip.imaging.records.quality import Quality
from adclip.simulation.acquisition import draw_scanners
from adclip.simulation.brains import grow_brain
from adclip.simulation.derivative import source_spacing_mm, to_derivative
from adclip.simulation.paint import LOOKS, draw_style
from adclip.simulation.population import draw_course
from adclip.verbs.finetune import finetune

PEOPLE = 9
AGAIN = 4  # comes twice
PARTS = ("train", "train", "calibration", "test")  # of three people each; the last is the second visit's


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """Derivatives of simulated people; the last of them is the second visit of the one `AGAIN`."""
    folder = tmp_path_factory.mktemp("simulated")
    look = LOOKS["medium"]
    scanners = draw_scanners(3, 2, look)
    for number in range(PEOPLE + 1):
        who, visit = (AGAIN, 1) if number == PEOPLE else (number, 0)
        person = draw_course(
            f"p{who}", np.random.default_rng([3, who, 1]), wide_age=False, visits=2, interval_months=12
        )[visit]
        rng = np.random.default_rng([3, who, 3, visit])
        scanner = scanners[(who + visit) % 2]
        brain = grow_brain(person, None, source_spacing_mm(CONTRACT), np.random.default_rng([3, who, 2]))
        made = to_derivative(brain, draw_style(rng, look, scanner.gray, scanner.csf), CONTRACT, rng)
        prepared = PreparedScan(quantise(made.image), made.mask, np.eye(4), qc=Quality(verdict="pass"))
        write_derivative(prepared, ScanItem(Path(), f"s{number:02d}"), folder, CONTRACT)
    write_dataset_description(folder)
    return folder


def config_of(folder: Path, tmp_path: Path, base: Path, twin_id: str):
    """Settings for a table in which the second visit goes by this id, and the two stand on two sides if that is a new one."""
    lines = [("subject_id", "scan", "age_years", "diagnosis")]
    parts = [("subject_id", "part")]
    for number in range(PEOPLE + 1):
        name = twin_id if number == PEOPLE else f"s{number:02d}"
        (scan,) = folder.glob(f"sub-s{number:02d}/**/*_T1w.nii.gz")
        lines.append((name, str(scan), str(60 + number), LABELS[AGAIN % 3 if number == PEOPLE else number % 3]))
        if name not in [row[0] for row in parts]:
            parts.append((name, PARTS[number // 3]))
    with (tmp_path / "t.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    with (tmp_path / "splits.tsv").open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(parts)
    config = finetune_config(folder, base, tmp_path / "run", epochs=1, splits=tmp_path / "splits.tsv")
    return replace(config, table=(tmp_path / "t.csv",))


def test_a_second_visit_under_another_id_is_refused(simulated, tiny_base, tmp_path):
    with pytest.raises(LeakError, match="nearly the same image") as caught:
        finetune(config_of(simulated, tmp_path, tiny_base, "stranger"))
    assert f"s{AGAIN:02d}" in caught.value.problem and "stranger" in caught.value.problem
    assert "subject_id" in caught.value.remedy
    assert not (tmp_path / "run" / "adapter.json").exists()


def test_under_one_id_it_is_a_second_visit(simulated, tiny_base, tmp_path):
    finetune(config_of(simulated, tmp_path, tiny_base, f"s{AGAIN:02d}"))
    assert (tmp_path / "run" / "adapter.json").exists()
