"""A small model, a small cohort of painted derivatives, and what was trained on them: everything in seconds."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.ndimage import zoom

from adclip.config import FinetuneConfig, ModelConfig, PromptConfig
from adclip.domain import Diagnosis, InputContract, ScanItem, Visit
from adclip.model.bases import BUILTIN_FOLDER, read_base
from adclip.model.build import build_network
from adclip.model.network import Network
from adclip.prediction.dataset import QUANTUM, Cohort
from adclip.prediction.scoring import Reader

if TYPE_CHECKING:
    from adclip.brain_volumes import BrainVolumes
    from adclip.prediction.evidence import Evidence
    from adclip.prediction.predictor import Predictor

LABELS = ("CN", "MCI", "AD")
CONTRACT = InputContract(shape=(32, 40, 32), spacing_mm=(5.0, 5.0, 5.0), center_mm=(0.0, -17.0, 5.0))
CONFIG = ModelConfig(
    contract=CONTRACT, patch=(8, 8, 8), width=32, depth=2, heads=4, mlp_width=64, text_width=32, text_depth=2,
    text_heads=4, text_mlp_width=64, vocabulary=363, text_positions=512, embedding=32, fusion_heads=4,
)  # fmt: skip
PROMPTS = PromptConfig(visual_prompts=3, text_prompts=4)


def write_base(folder: Path, config: ModelConfig = CONFIG, seed: int = 0) -> Path:
    """Write a base model with random weights, as the road that loads a real one reads it."""
    from safetensors.torch import save

    torch.manual_seed(seed)
    state = {
        name: (value * _gain(name)).detach().contiguous()
        for name, value in build_network(config, None).named_parameters()
    }
    data = save(state)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "base.safetensors").write_bytes(data)
    record = {
        "name": str(folder), "revision": "test", "sha256": hashlib.sha256(data).hexdigest(), "model": config.to_dict(),
    }  # fmt: skip
    (folder / "base.json").write_text(json.dumps(record))
    shutil.copy(BUILTIN_FOLDER / "vocab.txt", folder / "vocab.txt")
    return folder


def _gain(name: str) -> float:
    """At their usual start two layers say nearly the same of every text and scan: there would be nothing to learn from."""
    if not name.endswith("weight") or "norm" in name.lower():
        return 1.0
    return {"language_encoder": 8.0, "vision_encoder": 3.0}.get(name.split(".")[0], 1.0)


def fresh_network(prompts: PromptConfig | None = PROMPTS, seed: int = 0) -> Network:
    """Return a random network none of whose parts is silent: the cross-attention speaks from the start."""
    torch.manual_seed(seed)
    network = build_network(CONFIG, prompts)
    if network.cross_attention is not None:
        torch.nn.init.xavier_uniform_(network.cross_attention.out_proj.weight)
    return network


def make_reader(network: Network | None = None, style: str = "paper6") -> Reader:
    """Return a reader of a random network."""
    from adclip.model.text import read_tokenizer

    return Reader(network or fresh_network(), read_tokenizer(BUILTIN_FOLDER / "vocab.txt"), LABELS, style)


def paint(label: int, rng: np.random.Generator) -> np.ndarray:
    """Return an ellipsoid (X, Y, Z) in [0, 1] whose dark middle and bright left side grow with the class.

    Shades of its own make it somebody: no two people may look alike, or the leak certificate takes them for one.
    """
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in CONTRACT.shape_xyz), indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    nodes = rng.standard_normal([max(size // 2, 2) for size in radius.shape])
    shades = zoom(nodes, [size / n for size, n in zip(radius.shape, nodes.shape, strict=True)], order=1)
    image = np.where(radius < 0.85, 0.5, 0.0)
    image[radius < 0.15 + 0.15 * label] = 0.2
    image += (radius < 0.85) * (0.16 * shades + 0.03 * rng.standard_normal(radius.shape))
    image[(radius < 0.85) & (x < -0.4)] += 0.15 * label
    return np.clip(image, 0, 1).astype(np.float32)


def make_visit(number: int, label: int, rng: np.random.Generator) -> Visit:
    """Return a row whose volumes and MMSE follow the class."""
    return Visit(
        subject_id=f"p{number:02d}", session_id="01", age_years=round(70 + rng.normal(0, 5), 1), sex="FM"[number % 2],
        education_years=16.0, apoe4_count=number % 3, mmse=float(min(30, round(29 - 3 * label + rng.normal(0, 1)))),
        diagnosis=Diagnosis(LABELS[label]), icv_mm3=1.4e6, hippocampus_mm3=round(7000 - 700 * label + rng.normal(0, 200)),
        ventricles_mm3=round(30000 + 9000 * label + rng.normal(0, 2000)), whole_brain_mm3=1.1e6,
    )  # fmt: skip


def make_cohort(count: int = 12) -> Cohort:
    """Return a cohort in memory; the classes take turns and the last MMSE is unknown."""
    from adclip.imaging.steps.grid import to_model_order

    rng = np.random.default_rng(0)
    visits, images = [], []
    for number in range(count):
        visits.append(make_visit(number, number % 3, rng))
        images.append(np.round(to_model_order(paint(number % 3, rng)) * QUANTUM).astype(np.int16))
    visits[-1] = replace(visits[-1], mmse=None)
    mmse = torch.tensor([float("nan") if visit.mmse is None else visit.mmse for visit in visits])
    labels = torch.tensor([number % 3 for number in range(count)])
    return Cohort(tuple(visits), torch.from_numpy(np.stack(images))[:, None], labels, mmse)


COLUMNS = (
    "subject_id", "session_id", "age_years", "sex", "education_years", "apoe4_count", "mmse", "diagnosis", "icv_mm3",
    "hippocampus_mm3", "ventricles_mm3", "whole_brain_mm3",
)  # fmt: skip


def write_table(path: Path, visits: Sequence[Visit], **changed: str) -> Path:
    """Write visits as a table; `changed` puts one text into every cell of a column."""
    lines = [",".join(COLUMNS)]
    for visit in visits:
        cells = {name: "" if getattr(visit, name) is None else str(getattr(visit, name)) for name in COLUMNS} | changed
        lines.append(",".join(cells[name] for name in COLUMNS))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_cohort(folder: Path, subjects: int = 21) -> list[Visit]:
    """Write derivatives and `table.csv`; every fifth person comes twice."""
    from adclip.imaging.derivatives.files import PreparedScan, quantise, write_dataset_description, write_derivative
    from adclip.imaging.records.quality import Quality

    rng = np.random.default_rng(1)
    visits: list[Visit] = []
    for number in range(subjects):
        first = make_visit(number, number % 3, rng)
        for session in ("01", "02") if number % 5 == 0 else ("01",):
            visit = replace(first, session_id=session)
            image = quantise(paint(number % 3, rng))
            prepared = PreparedScan(image, image > 0, np.eye(4), qc=Quality(verdict="pass"))
            write_derivative(prepared, ScanItem(Path(), visit.subject_id, session), folder, CONTRACT)
            visits.append(visit)
    write_dataset_description(folder)
    write_table(folder / "table.csv", visits)
    return visits


def finetune_config(cohort: Path, base: Path, out: Path, **changed: Any) -> FinetuneConfig:
    """Return settings for a fine-tuning of seconds."""
    settings: dict[str, Any] = {
        "epochs": 3, "batch_size": 8, "prompts": PROMPTS, "device": "cpu", "test_fraction": 0.25,
        "validation_fraction": 0.15, "calibration_fraction": 0.2,
    }  # fmt: skip
    return FinetuneConfig(cohort, cohort / "table.csv", out, base=str(base), **(settings | changed))


def known_of(predictor: Predictor, visit: Visit | None, volumes: BrainVolumes | None = None) -> Evidence:
    """Return what an answer can rest on where a scan comes with this row, and with these volumes found for it."""
    from adclip.imaging.derivatives.files import PreparedScan

    nothing = np.zeros(CONTRACT.shape_xyz, np.float32)
    return predictor.evidence(PreparedScan(nothing, nothing > 0, np.eye(4), volumes=volumes), visit)


def base_network(folder: Path, prompts: PromptConfig = PROMPTS) -> Network:
    """Load the base from disk with a fresh adapter of a fixed seed."""
    from adclip.model.build import load_network

    torch.manual_seed(3)
    return load_network(read_base(str(folder)), prompts)


def write_template_derivative(folder: Path) -> Path:
    """Write the template's brain as a derivative on the builtin model's grid."""
    from adclip.config import SMALL
    from adclip.imaging.derivatives.files import PreparedScan, quantise, write_derivative
    from adclip.imaging.records.quality import Quality
    from adclip.imaging.steps.grid import to_grid
    from adclip.imaging.steps.templates import read_template

    t1, affine = read_template()
    image = to_grid(t1, affine, np.eye(4), SMALL.contract)
    image = quantise(image / image.max())
    prepared = PreparedScan(image, image > 0, np.eye(4), qc=Quality(verdict="pass"))
    return write_derivative(prepared, ScanItem(Path(), "template"), folder, SMALL.contract)
