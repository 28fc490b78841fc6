"""Who takes part in a training, and in which part of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from adclip.clinical.reports import template_version, usable_fields
from adclip.clinical.scans.manifest import Example, Manifest, TableReading, with_last_diagnosis
from adclip.clinical.scans.splits import PARTS, Split, prove_disjoint, require_every_class, split_by_subject, thin_out
from adclip.clinical.tables.people import count_people, person_of
from adclip.domain import Visit
from adclip.errors import CheckpointError, ConfigError, ScanError, TableError, name_some
from adclip.evaluation.examples import find_examples
from adclip.model.bases import BaseWeights, read_base
from adclip.model.calibration import FEW_SUBJECTS
from adclip.model.leak_record import InputsUnchanged
from adclip.model.settings import ModelConfig
from adclip.runtime.events import OnEvent, Warned
from adclip.task import Task
from adclip.training import errors
from adclip.training.history import check_tensorboard
from adclip.training.reread import prove_unchanged
from adclip.training.run_folder import hash_text, relevant
from adclip.training.settings import FinetuneConfig, parse_fold
from adclip.version import __version__

# What a run lacks without a part.
_EMPTY = {
    "validation": "the training scans choose the epoch",
    "calibration": "probabilities are not calibrated, and there are no prediction sets",
    "test": "nothing is measured",
}


@dataclass(frozen=True)
class Enrolment:
    """A cohort on paper: everything but the voxels.

    Parameters
    ----------
    base : BaseWeights
    manifest : Manifest
    split : Split
        Of everyone; who is left out of training by its size is `unused`.
    task : Task
    table_reading : TableReading
        The tables and scans that the manifest was made of.
    """

    base: BaseWeights
    manifest: Manifest
    split: Split
    task: Task
    table_reading: TableReading

    @property
    def subjects(self) -> dict[str, tuple[str, ...]]:
        """Part -> the subjects that take part in it."""
        return {part: self.split.part(part) for part in PARTS}

    def fingerprint(self, config: FinetuneConfig) -> str:
        """Return the hash of everything that decides a run's result: settings, task, people, rows, words of reports, scans, base, version."""
        rows = [asdict(replace(example.visit, scan=None)) for example in self.manifest.examples]
        vocabulary = sorted(self.base.tokenizer.get_vocab().items())
        decides = [
            __version__,
            relevant(config),
            template_version(config.style),
            self.task.to_dict(),
            self.split.to_tsv(),
            [
                [example.sha256, row, _source_and_volumes(example)]
                for example, row in zip(self.manifest.examples, rows, strict=True)
            ],
            [self.base.sha256, vocabulary],
        ]
        return hash_text(json.dumps(decides, sort_keys=True))

    def prove_unchanged(self, config: FinetuneConfig) -> InputsUnchanged:
        """Prove that nothing that a model is given changes with the answers, see `reread`.

        Raises
        ------
        LeakError
            If anything does.
        """
        from adclip.prediction.scoring import (
            report_texts,
        )  # loads torch, which whatever is wrong before should not wait for

        def write_reports(visit: Visit, wording: int) -> list[str]:
            classes = self.task.classes[:1] if wording else self.task.classes  # candidates differ in the class alone
            return report_texts(visit, classes, config.style, None, wording, reports=config.reports, task=self.task)

        return prove_unchanged(
            self.table_reading,
            self.manifest,
            config.tables,
            config.table_options,
            write_reports,
            self.task.columns,
            config.seed,
        )

    def scans_to_tsv(self) -> str:
        """Return the text of `scans.tsv`: which file was in which part, by its hash."""
        header = ("subject_id", "session_id", "part", "sha256")
        rows = [
            (example.visit.subject_id, example.visit.session_id or "n/a", self.split.assignment[example.visit.subject_id],
             example.sha256)
            for example in self.manifest.examples
        ]  # fmt: skip
        return "".join("\t".join(row) + "\n" for row in (header, *rows))

    def examples_of_parts(self) -> dict[str, list[Example]]:
        """Return the scans of each part."""
        part_of = {subject: part for part, members in self.subjects.items() for subject in members}
        examples: dict[str, list[Example]] = {part: [] for part in self.subjects}
        for example in self.manifest.examples:
            if (part := part_of.get(example.visit.subject_id)) is not None:
                examples[part].append(example)
        return examples


def enrol(config: FinetuneConfig, on_event: OnEvent) -> Enrolment:
    """Read everything but the scans' voxels, and divide the subjects.

    Raises
    ------
    InputError
        If base, scans or table cannot be used, or a class has nobody.
    """
    if config.tensorboard:
        check_tensorboard()
    if not config.scans.exists():
        raise ScanError.missing(config.scans)
    base = read_base(config.base, config.tokenizer)
    if not base.config.text_depth:
        raise CheckpointError.no_text_tower()
    check_parts(config, base.config)
    _ = base.tokenizer  # a missing vocabulary is told before an hour of training
    manifest, table_reading = _gather(config, on_event)
    visits = [example.visit for example in manifest.examples]
    task = config.read_task()
    absent = set(task.classes) - {str(visit.diagnosis) for visit in visits}
    if absent:
        raise errors.no_class(config.tables[0], [name for name in task.classes if name in absent])
    split = _divide(visits, config, on_event)
    subjects = {part: split.part(part) for part in PARTS}
    prove_disjoint(subjects)
    for part, what in _EMPTY.items():
        if not subjects[part]:
            why = "too few subjects for a" if config.splits is None and _shares(config)[part] > 0 else "no"
            on_event(Warned(str(config.tables[0]), f"{why} {part} part: {what}"))
    if 0 < (calibrating := count_people(subjects["calibration"])) < FEW_SUBJECTS:
        few = f"{calibrating} calibration subjects are few: thresholds are cross-fitted"
        on_event(Warned(str(config.tables[0]), f"{few}, read probabilities with care"))
    if config.train_size is not None:
        split = split.without(subjects["train"], thin_out(split, visits, config.train_size, config.seed))
    return Enrolment(base, manifest, split, task, table_reading)


def check_parts(config: FinetuneConfig, model: ModelConfig) -> None:
    """Raise ConfigError if parts are larger than the base that they are added to."""
    prompts = config.prompts
    for flag, size, most, why in (
        ("--prompt-depth", prompts.prompt_depth or 0, model.depth, "blocks"),
        ("--lora-rank", prompts.lora_rank, model.width, "numbers in a token"),
        ("--visual-prompts", prompts.visual_prompts, model.patches, "patches"),
        ("--text-prompts", prompts.text_prompts, model.text_positions - 1, "places for text, and words need some"),
    ):
        if size > most:
            raise ConfigError.bad_value(
                flag, f"{size} are too many: {config.base} has {most} {why}", f"give at most {most}"
            )


def _divide(visits: Sequence[Visit], config: FinetuneConfig, on_event: OnEvent) -> Split:
    """Draw a division of the subjects, or take over the one that was given."""
    if config.splits is None:
        return split_by_subject(visits, _shares(config), config.seed, parse_fold(config.fold) if config.fold else None)
    if not config.splits.is_file():
        raise TableError.missing_file(config.splits)
    try:
        text = config.splits.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise TableError.unreadable(config.splits, "not UTF-8 text") from None
    file_split, subjects = Split.from_tsv(text, config.splits), {visit.subject_id for visit in visits}
    split = file_split.over(subjects)
    assigned = {person_of(subject) for subject in file_split.assignment}
    if absent := sum(person_of(subject) not in assigned for subject in subjects):
        on_event(Warned(str(config.splits), f"{absent} subjects of the table are not in it, and not used"))
    of_table = {person_of(subject) for subject in subjects}
    if strangers := sorted(subject for subject in file_split.assignment if person_of(subject) not in of_table):
        some = name_some([f"`{subject}`" for subject in strangers])
        on_event(
            Warned(
                str(config.splits),
                f"{len(strangers)} of its subjects have no scan with a diagnosis in this run: {some}",
            )
        )
    require_every_class(visits, split, "choose another --splits, or leave it out to have one drawn")
    return split


def _shares(config: FinetuneConfig) -> dict[str, float]:
    return {
        "test": config.test_fraction,
        "validation": config.validation_fraction,
        "calibration": config.calibration_fraction,
    }


def _gather(config: FinetuneConfig, on_event: OnEvent) -> tuple[Manifest, TableReading]:
    """Find the scans, join them with their rows, and say what was left out."""
    manifest, table_reading = find_examples(config.scans, config.tables, config.table_options, on_event)
    table = table_reading.table
    usable_columns = config.read_task().usable
    if config.reports and not any(
        usable_columns(usable_fields(example.visit, config.style)) for example in manifest.examples
    ):
        on_event(Warned(str(table.path), f"no column that the style {config.style} reports; training on scans alone"))
    if config.label_policy == "subject-last":
        manifest, changed = with_last_diagnosis(manifest, table)
        on_event(Warned(str(table.path), f"{changed} scans count as their subject's last diagnosis (subject-last)"))
    return manifest, table_reading


def _source_and_volumes(example: Example) -> dict[str, object] | None:
    volumes = example.measured
    return None if volumes is None else {"source": volumes.source, "volumes": dict(volumes.mm3)}
