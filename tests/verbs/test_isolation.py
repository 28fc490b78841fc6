"""Nothing that was learned knows the people it is judged by: noise in their files leaves every other number as it was, to the bit.

One cohort is fine-tuned on, then again with the scans, rows, volumes and answers of one group of people replaced by noise. Whatever a
group has no part in - weights, scaling, gate, baselines, epochs, temperatures, thresholds - must come out the same.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import CONTRACT, LABELS, finetune_config, make_visit, paint, write_table

from adclip.brain_volumes import BrainVolumes
from adclip.domain import Diagnosis, ScanItem, Visit
from adclip.imaging.derivatives.files import PreparedScan, quantise, write_dataset_description, write_derivative
from adclip.imaging.records.quality import Quality
from adclip.imaging.volumes.measure import measured_by
from adclip.model.calibration import ROADS, SCAN, TABLE_WITH_VOLUMES, Road
from adclip.model.record import RECORD_HASH
from adclip.verbs.finetune import finetune

# Three people a triplet, one of each class; nine people of each are the fewest that thresholds of 90 % can be had from.
TRIPLETS = {"train": range(5), "validation": range(5, 7), "calibration": range(7, 16), "test": range(16, 18)}
FAILED = range(18, 20)  # would train, but for the quality of their scans
PARTS = {
    f"p{3 * triplet + one:02d}": part
    for part, triplets in (*TRIPLETS.items(), ("failed", FAILED))
    for triplet in triplets
    for one in range(3)
}
# What says which files were read: it has to follow them. The certificate compares people, the settings name folders.
OF_THE_FILES = {"private/scans.tsv", "private/leak_certificate.json", "private/config.toml"}
OF_THE_TEST = {
    "adapter.json", "baseline.json", "README.md", "private/predictions_test.tsv",
    *(f"private/plots/{name}.png" for name in ("roc", "confusion", "reliability", "mmse")),
}  # fmt: skip
OF_THE_EPOCHS = {"private/metrics.jsonl", "private/metrics.csv", "private/plots/loss.png"}


def write_people(folder: Path, noisy: str = "") -> Path:
    """Write a cohort of derivatives, table and split; the people of the part `noisy` are noise in all that is said of them.

    Into a folder that holds the cohort already nothing but that noise is written.
    """
    again, visits = folder.exists(), []
    for number, part in enumerate(PARTS.values()):
        rng, label = np.random.default_rng([7, number]), number % 3
        visit, volumes = make_visit(number, label, rng), volumes_of(1 - 0.12 * label, rng)
        if number in (4, 27):  # a training and a calibration person of whom less is known
            visit = replace(visit, mmse=None, education_years=None)
        if part == noisy:
            rng = np.random.default_rng([99, number])
            visit, volumes = make_noise(visit, label, rng), volumes_of(rng.uniform(0.4, 1.3), rng)
        for session in ("01", "02") if number % 4 == 0 else ("01",):
            visits.append(replace(visit, session_id=session))
            if not again or part == noisy:
                write_scan(folder, visits[-1], part, label, volumes, rng, noise=part == noisy)
    write_dataset_description(folder)
    write_table(folder / "table.csv", visits)
    rows = [f"{subject}\t{'train' if part == 'failed' else part}\n" for subject, part in PARTS.items()]
    (folder / "splits.tsv").write_text("subject_id\tpart\n" + "".join(rows))
    return folder


def write_scan(
    folder: Path,
    visit: Visit,
    part: str,
    label: int,
    volumes: dict[str, float],
    rng: np.random.Generator,
    *,
    noise: bool,
) -> None:
    """Write one derivative, of the person's class or of noise in the place of the brain."""
    image = paint(label, rng)
    if noise:
        image = np.clip(rng.random(image.shape, np.float32), 0.01, 1) * (image > 0)
    flags, verdict = (("qc_fail",), "fail") if part == "failed" else ((), "pass")
    prepared = PreparedScan(
        quantise(image), image > 0, np.eye(4), qc=Quality(verdict=verdict), flags=flags,
        volumes=BrainVolumes(measured_by(), volumes),
    )  # fmt: skip
    write_derivative(prepared, ScanItem(Path(), visit.subject_id, visit.session_id), folder, CONTRACT)


def make_noise(visit: Visit, label: int, noise: np.random.Generator) -> Visit:
    """Return a row of the same person that says something else in every column, the answers included."""
    return replace(
        visit, age_years=round(noise.uniform(55, 95), 1), sex="MF"[visit.sex == "M"], education_years=float(noise.integers(4, 24)),
        apoe4_count=int(noise.integers(3)), mmse=float(noise.integers(3, 15)), diagnosis=Diagnosis(LABELS[(label + 1) % 3]),
        icv_mm3=float(noise.integers(1_150_000, 1_900_000)), hippocampus_mm3=float(noise.integers(3000, 11_000)),
        ventricles_mm3=float(noise.integers(12_000, 120_000)), whole_brain_mm3=float(noise.integers(850_000, 1_140_000)),
    )  # fmt: skip


def volumes_of(share: float, rng: np.random.Generator) -> dict[str, float]:
    left, right = (float(share * size + rng.normal(0, 60)) for size in (3600, 3900))
    return {"icv_mm3": 1.43e6, "hippocampus_left_mm3": left, "hippocampus_right_mm3": right}


def train(cohort: Path, base: Path, out: Path, **changed: Any) -> dict[str, bytes]:
    """Return the files of a RUN folder."""
    config = replace(finetune_config(cohort, base, out, **{"epochs": 2} | changed), splits=cohort / "splits.tsv")
    finetune(config)
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {path.relative_to(out).as_posix(): content_of(path) for path in files}


def content_of(path: Path) -> bytes:
    """Return the bytes of a file; of stored cases without the hash of all that was read, which tells of everybody."""
    if path.suffix != ".npz":
        return path.read_bytes()
    with np.load(path) as stored:
        return b"".join(stored[name].tobytes() for name in sorted(stored.files) if name != "fingerprint")


def record_of(run: dict[str, bytes], *left_out: str) -> dict[str, Any]:
    """Return what a RUN says of itself without the numbers of the test people and the hash of all that was read."""
    record = json.loads(run.get("adapter.json") or run["baseline.json"])
    for name in left_out:
        del record[name]
    del record["training"]["fingerprint"]
    del record[RECORD_HASH]  # of all of it, and so of what is left out here as well
    del record["files"]["README.md"]  # the card has the numbers of the test people
    del record["training"]["certificate"]  # tells of everybody's scans, as the file under `private` does
    return record


def said_of_the_test(run: dict[str, bytes], *kinds: str) -> list[list[str]]:
    """Return the columns of the test predictions that begin with one of `kinds`."""
    rows = csv.DictReader(run["private/predictions_test.tsv"].decode().splitlines(), delimiter="\t")
    found = [[cell for name, cell in row.items() if name.startswith(kinds)] for row in rows]
    assert found and all(found)
    return found


def assert_same(one: dict[str, bytes], two: dict[str, bytes], but: set[str] = frozenset()) -> None:
    assert set(one) == set(two)
    assert [name for name in one if one[name] != two[name] and name not in OF_THE_FILES | but] == []


class Cohorts:
    """The cohort as it is, and with noise in the place of one part; each is written when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, noisy: str) -> Path:
        out = self.folder / (noisy or "as-it-is")
        if noisy and not out.exists():
            shutil.copytree(self[""], out)
            return write_people(out, noisy)
        return out if out.exists() else write_people(out)


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory) -> Cohorts:
    return Cohorts(tmp_path_factory.mktemp("isolation"))


@pytest.fixture(scope="module")
def clean(cohorts, tiny_base, tmp_path_factory) -> dict[str, bytes]:
    return train(cohorts[""], tiny_base, tmp_path_factory.mktemp("run") / "run")


def test_the_people_of_the_test_change_nothing_but_their_own_numbers(cohorts, clean, tiny_base, tmp_path):
    noisy = train(cohorts["test"], tiny_base, tmp_path / "run")
    assert_same(clean, noisy, OF_THE_TEST)
    assert record_of(clean, "metrics") == record_of(noisy, "metrics")
    # the noise did reach what it may reach
    assert said_of_the_test(clean, "probability_") != said_of_the_test(noisy, "probability_")
    assert record_of(clean)["volumes_baseline"]
    roads = record_of(clean)["calibration"]["roads"]
    assert set(roads) == set(ROADS) and all(road["thresholds"] for road in roads.values())


def test_the_people_of_the_calibration_set_thresholds_and_nothing_else(cohorts, clean, tiny_base, tmp_path):
    noisy = train(cohorts["calibration"], tiny_base, tmp_path / "run")
    assert_same(clean, noisy, OF_THE_TEST)
    assert record_of(clean, "metrics", "calibration") == record_of(noisy, "metrics", "calibration")
    kinds = ("subject_id", "diagnosis", "metadata_only_", "volumes_only_", "mmse")
    assert said_of_the_test(clean, *kinds) == said_of_the_test(noisy, *kinds)
    # a person who came twice counts once
    assert record_of(noisy)["calibration"]["subjects"] == 3 * len(TRIPLETS["calibration"])
    one, two = (record_of(run)["calibration"] for run in (clean, noisy))
    assert all(one[name] != two[name] for name in ("mmse_half_width", "gate_limit"))
    for name in ROADS:
        own, other = one["roads"][name], two["roads"][name]
        for number in ("temperature", "study_temperature", "thresholds"):
            assert own[number] != other[number], (name, number)
        weights, others = ([road[source] for source in ("scan", "metadata", "both")] for road in (own, other))
        assert (weights == others) == (name == SCAN), name


def test_the_people_of_the_validation_choose_the_epoch_and_nothing_else(cohorts, tiny_base, tmp_path):
    """With a single epoch there is nothing to choose: all but their own losses is the same, calibration and test included."""
    one, two = (train(cohorts[part], tiny_base, tmp_path / f"run{part}", epochs=1) for part in ("", "validation"))
    assert_same(one, two, OF_THE_EPOCHS | {"adapter.json"})
    assert record_of(one) == record_of(two)
    (first,), (second,) = (
        [json.loads(line) for line in run["private/metrics.jsonl"].splitlines()] for run in (one, two)
    )
    assert {name for name in first if first[name] == second[name]} >= {"epoch", "train_loss"}
    assert first["validation_loss"] != second["validation_loss"]


def test_scans_that_failed_their_quality_check_teach_nothing(cohorts, clean, tiny_base, tmp_path):
    noisy = train(cohorts["failed"], tiny_base, tmp_path / "run")
    assert_same(clean, noisy, {"adapter.json"})
    assert record_of(clean) == record_of(noisy)
    for name in ("private/scans.tsv",):  # the certificate reads the rows of those too that take no part
        assert clean[name] == noisy[name]
    scans = clean["private/scans.tsv"].decode()
    failed = [subject for subject, part in PARTS.items() if part == "failed"]
    assert not any(subject in scans for subject in failed) and "p00" in scans
    counts = json.loads(clean["adapter.json"])["training"]["counts"]["train"]
    assert counts == dict.fromkeys(LABELS, len(TRIPLETS["train"]))


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=pytest.mark.slow) for name in ("linear-probe", "cnn")] + ["metadata"]
)
@pytest.mark.parametrize("part", ["test", "calibration"])
def test_what_stands_beside_the_model_knows_no_more_than_it(cohorts, tiny_base, tmp_path, method, part):
    one, two = (train(cohorts[who], tiny_base, tmp_path / f"run{who}", method=method, epochs=1) for who in ("", part))
    assert_same(one, two, OF_THE_TEST)
    left_out = ("metrics",) if part == "test" else ("metrics", "calibration")
    assert record_of(one, *left_out) == record_of(two, *left_out)
    shares, noisy = (np.array(said_of_the_test(run, "probability_"), dtype=float) for run in (one, two))
    if part == "test":
        assert not np.allclose(shares, noisy, atol=0.01)
    else:  # the same scores, whatever they were divided by
        roads = [record_of(run)["calibration"]["roads"][TABLE_WITH_VOLUMES] for run in (one, two)]
        assert [road["both"] for road in roads] == [1, 1]
        own, other = (road["temperature"] for road in roads)
        least = Road(**roads[0]).least_probability  # of as many people in either run
        shares, noisy = ((table - least) / (1 - 3 * least) for table in (shares, noisy))
        again = noisy ** (other / own)
        np.testing.assert_allclose(again / again.sum(1, keepdims=True), shares, atol=1e-3)
