"""Every method of `adclip finetune --method`, from a cohort in memory to answers for all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adclip.evaluation.calibrate import Answers, answer
from adclip.model.base_model import BaseModel
from adclip.model.bases import BaseWeights
from adclip.model.build import build_network, load_network
from adclip.model.checkpoint import with_class_texts
from adclip.model.device import choose_device, choose_dtype
from adclip.model.network import Network
from adclip.model.prompts import adapter_state, count_trainable, freeze_base
from adclip.model.settings import PromptConfig
from adclip.prediction.dataset import Cohort
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.scoring import Reader
from adclip.runtime.events import OnEvent, Step
from adclip.task import Task
from adclip.training.augment import Augment
from adclip.training.baselines import Answering, CnnLearner, metadata_answers, probe_answers
from adclip.training.fit_gate import fit_gate, read_outs
from adclip.training.history import History
from adclip.training.loop import Learner, Loop, LoopConfig
from adclip.training.objective import Objective, ObjectiveConfig
from adclip.training.resume import Progress
from adclip.training.settings import FinetuneConfig

LORA_RANK = 8  # of --method lora, unless --lora-rank says another


@dataclass(frozen=True)
class Material:
    """What every method learns from.

    Parameters
    ----------
    config : FinetuneConfig
    base : BaseWeights
    task : Task
        Classes and score.
    cohort : Cohort
    parts : dict
        Part -> places in the cohort.
    mmse_stats : tuple of float
        Mean and standard deviation in points that the MMSE is scored by.
    fingerprint : str
        Of everything that decides the result.
    """

    config: FinetuneConfig
    base: BaseWeights
    task: Task
    cohort: Cohort
    parts: dict[str, list[int]]
    mmse_stats: tuple[float, float]
    fingerprint: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Class order."""
        return self.task.classes

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        return choose_device(self.config.device)


@dataclass(frozen=True)
class Fitted:
    """What a method has learned.

    Parameters
    ----------
    answers : callable
        Places in the cohort -> Answers.
    distances : callable
        Places in the cohort -> distances from the training scans (N,); of none for methods that cannot predict.
    state, last : dict or None
        Tensors of the RUN: of the best epoch, and of the last one; None for methods that cannot predict.
    progress : Progress
    prompts : PromptConfig
        The parts that were trained.
    trained, total : int
        Parameters.
    read_outs : Tensor (N, E) or None
        Of the training scans, by the tuned network, before L2; None for methods that cannot predict.
    """

    answers: Answering
    distances: Callable[[Sequence[int]], NDArray[np.float64]] = lambda places: np.zeros(0)
    state: dict[str, Tensor] | None = None
    last: dict[str, Tensor] | None = None
    progress: Progress = field(default_factory=Progress)
    prompts: PromptConfig = field(default_factory=PromptConfig)
    trained: int = 0
    total: int = 0
    read_outs: Tensor | None = None


def fit(material: Material, resume_file: Path, on_event: OnEvent) -> Fitted:
    """Train by the method that the config names."""
    methods: dict[str, Callable[[Material, Path, OnEvent], Fitted]] = {
        "linear-probe": _fit_probe,
        "cnn": _fit_cnn,
        "metadata": _fit_metadata,
    }
    return methods.get(material.config.method, _fit_network)(material, resume_file, on_event)


def parts_of(config: FinetuneConfig) -> PromptConfig:
    """Return the parts that a method trains: LoRA and full fine-tuning keep the tokens that are no prompts."""
    prompts = config.prompts
    if config.method == "lora":
        return replace(prompts, visual_prompts=0, text_prompts=0, lora_rank=prompts.lora_rank or LORA_RANK)
    if config.method == "full":
        return replace(prompts, visual_prompts=0, text_prompts=0, whole=True)
    return prompts


def learner_of(material: Material) -> Learner | None:
    """Build what the loop trains; None for methods that need no loop."""
    config, device = material.config, material.device
    torch.manual_seed(config.seed)
    if config.method == "cnn":
        return CnnLearner.build(
            material.cohort, material.parts["train"], len(material.labels), material.mmse_stats, config.alpha, device
        )
    return None if config.method in ("linear-probe", "metadata") else _objective(material)


def _objective(material: Material) -> Objective:
    config, base = material.config, material.base
    network = _network(material, parts_of(config)).to(material.device)
    if config.checkpointing:
        network.checkpoint_activations()
    if config.compile:
        network.compile_blocks()
    return Objective(
        Reader(network, base.tokenizer, material.labels, config.style, None, config.reports, material.task),
        material.cohort,
        material.parts["train"],
        material.mmse_stats,
        ObjectiveConfig(
            config.objective,
            config.alpha,
            config.bare_weight,
            config.contrast_weight,
            config.report_dropout,
            config.field_dropout,
            config.memory,
            sides=not (config.augment and config.flip),  # a mirrored scan would contradict them
        ),
    )


def _fit_network(material: Material, resume_file: Path, on_event: OnEvent) -> Fitted:
    torch.manual_seed(material.config.seed)
    objective = _objective(material)
    reader, network = objective.reader, objective.network
    trainable, total = count_trainable(network)
    loop = _run(objective, material, resume_file, on_event, trainable, total)
    with torch.inference_mode():
        texts = reader.bare()
    at_once = loop.at_once  # what fitted into memory while training does so now

    def embed(places: Sequence[int]) -> Tensor:
        return read_outs(network, material.cohort, places, material.device, at_once)

    of_training = embed(material.parts["train"])
    gate = fit_gate(of_training)

    def answers(places: Sequence[int], *, in_part: bool = False) -> Answers:
        return answer(reader, material.cohort, places, material.mmse_stats, at_once, in_part=in_part)

    return Fitted(
        answers,
        lambda places: gate.distance(embed(places)).double().numpy(),
        with_class_texts(adapter_state(network), texts) | gate.tensors(),
        loop.last,
        loop.progress,
        parts_of(material.config),
        trainable,
        total,
        of_training,
    )


def _network(material: Material, prompts: PromptConfig) -> Network:
    config = material.config
    if config.from_scratch:
        network = build_network(material.base.config, prompts)
        freeze_base(network)
        return network
    # what is trained whole is trained in float32
    dtype = torch.float32 if prompts.whole else choose_dtype(config.precision, material.device)
    return load_network(material.base, prompts, dtype=dtype)


def _fit_cnn(material: Material, resume_file: Path, on_event: OnEvent) -> Fitted:
    config = material.config
    torch.manual_seed(config.seed)
    learner = CnnLearner.build(
        material.cohort,
        material.parts["train"],
        len(material.labels),
        material.mmse_stats,
        config.alpha,
        material.device,
    )
    trainable, total = count_trainable(learner.network)
    loop = _run(learner, material, resume_file, on_event, trainable, total)
    answers = learner.answers(material.mmse_stats, loop.at_once, material.task.score_range)
    return Fitted(answers, progress=loop.progress, trained=trainable, total=total)


def _fit_probe(material: Material, resume_file: Path, on_event: OnEvent) -> Fitted:
    config = material.config
    on_event(Step(f"embedding {len(material.cohort.visits)} scans with the frozen base ({material.device.type})"))
    base = BaseModel(material.base, config.device, config.precision)
    answers = probe_answers(base, material.cohort, material.parts, material.task.score_range, config.batch_size)
    return Fitted(answers, trained=(base.base.config.embedding + 1) * len(material.labels))


def _fit_metadata(material: Material, resume_file: Path, on_event: OnEvent) -> Fitted:
    visits = [material.cohort.visits[place] for place in material.parts["train"]]
    truth = [str(visit.diagnosis) for visit in visits]
    baseline = MetadataBaseline.fit(visits, truth, material.labels, material.task.columns)
    return Fitted(metadata_answers(material.cohort, baseline, material.labels))


def _run(
    learner: Learner, material: Material, resume_file: Path, on_event: OnEvent, trainable: int, total: int
) -> Loop:
    config, parts = material.config, material.parts
    scans = len(parts["train"])
    on_event(Step(f"training {trainable:,} of {total:,} parameters on {scans} scans ({learner.device.type})"))
    settings = LoopConfig(
        config.epochs,
        config.batch_size,
        config.learning_rate,
        config.weight_decay,
        config.seed,
        config.patience,
        Augment(material.base.config.contract, config.flip) if config.augment else None,
        config.pretrained_rate,
    )
    history = History(config.out / "private", tensorboard=config.tensorboard)
    loop = Loop(
        learner, material.cohort, parts["train"], parts["validation"], settings, material.fingerprint, history.write
    )
    loop.run(resume_file, on_event)
    return loop
