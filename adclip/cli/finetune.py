"""`adclip finetune`: options in, a RUN folder on disk, its measured numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.options import (
    Columns,
    Device,
    DiagnosisPolicy,
    DryRun,
    MaxDays,
    Overwrite,
    Precision,
    Seed,
    Style,
    TaskFile,
    session_of,
)
from adclip.config import LABEL_POLICIES, METHODS, OBJECTIVES, RECIPES, FinetuneConfig, PromptConfig


def finetune_command(
    ctx: typer.Context,
    scans: Annotated[
        Path, typer.Option(metavar="DIR", help="adclip derivatives folder with the scans.", show_default=False)
    ],
    table: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Metadata with subject_id, diagnosis and what the reports need; may be repeated.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN", help="Folder for the tuned model.", show_default=False)
    ],
    base: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Base model: a name of `adclip weights list`, a folder or a safetensors file."
        ),
    ] = FinetuneConfig.base,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="VOCAB.txt", help="Vocabulary, where none lies beside the base's weights.")
    ] = FinetuneConfig.tokenizer,
    style: Style = FinetuneConfig.style,
    task: TaskFile = FinetuneConfig.task,
    columns: Columns = None,
    diagnosis_policy: DiagnosisPolicy = FinetuneConfig.diagnosis_policy,
    max_days: MaxDays = FinetuneConfig.max_days,
    epochs: Annotated[int, typer.Option(help="Passes over the training scans.")] = FinetuneConfig.epochs,
    batch_size: Annotated[int, typer.Option(help="Scans per step.")] = FinetuneConfig.batch_size,
    learning_rate: Annotated[
        float, typer.Option(help="Of AdamW, at the end of the warm-up.")
    ] = FinetuneConfig.learning_rate,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = (FinetuneConfig.weight_decay),
    pretrained_rate: Annotated[
        float, typer.Option(help="Share of the learning rate for parts that the base has already taught.")
    ] = FinetuneConfig.pretrained_rate,
    alpha: Annotated[float, typer.Option(help="Weight of the MMSE loss.")] = FinetuneConfig.alpha,
    visual_prompts: Annotated[
        int, typer.Option(help="Learned tokens per block of the image tower; 0 for none.")
    ] = PromptConfig.visual_prompts,
    prompt_depth: Annotated[
        int | None,
        typer.Option(help="Number of leading blocks with visual prompts; default all."),
    ] = PromptConfig.prompt_depth,
    text_prompts: Annotated[
        int, typer.Option(help="Learned tokens before the words of a report; 0 for none.")
    ] = PromptConfig.text_prompts,
    mmse_token: Annotated[bool, typer.Option(help="An extra token that learns the MMSE.")] = PromptConfig.mmse_token,
    cross_attention: Annotated[
        bool, typer.Option(help="Let scan and report attend to each other.")
    ] = PromptConfig.cross_attention,
    prompts_before_cls: Annotated[
        bool, typer.Option(help="Text prompts before [CLS], as published, rather than behind it.")
    ] = PromptConfig.prompts_before_cls,
    new_projections: Annotated[
        bool, typer.Option(help="Projections from random numbers, as published, rather than the base's.")
    ] = PromptConfig.new_projections,
    raw_scale: Annotated[
        bool, typer.Option(help="Multiply by the logit scale itself, as published, rather than its exponential.")
    ] = PromptConfig.raw_scale,
    lora_rank: Annotated[
        int, typer.Option(help="Rank of learned updates of the image tower's attention; 0 for none.")
    ] = PromptConfig.lora_rank,
    whole: Annotated[bool, typer.Option(help="Train the base's own weights as well.")] = PromptConfig.whole,
    published_input: Annotated[
        bool, typer.Option(help="Scans as z-scored cubes on positions of another grid, as published.")
    ] = PromptConfig.published_input,
    method: Annotated[
        str,
        typer.Option(metavar="|".join(METHODS), help="Prompt tuning, or a baseline on the same split."),
    ] = FinetuneConfig.method,
    recipe: Annotated[
        str, typer.Option(metavar="|".join(RECIPES), help="adclip's settings, or what the paper does otherwise.")
    ] = FinetuneConfig.recipe,
    from_scratch: Annotated[
        bool, typer.Option(help="With --method full: random weights in place of the base's.")
    ] = FinetuneConfig.from_scratch,
    objective: Annotated[
        str, typer.Option(metavar="|".join(OBJECTIVES), help="adclip's objective, or the published one.")
    ] = FinetuneConfig.objective,
    reports: Annotated[bool, typer.Option(help="Read reports; without, class phrases alone.")] = FinetuneConfig.reports,
    bare_weight: Annotated[float, typer.Option(help="Weight of the bare-phrase term.")] = FinetuneConfig.bare_weight,
    contrast_weight: Annotated[
        float, typer.Option(help="Weight of the contrastive term.")
    ] = FinetuneConfig.contrast_weight,
    report_dropout: Annotated[
        float, typer.Option(help="Chance that a whole report is dropped for a step.")
    ] = FinetuneConfig.report_dropout,
    field_dropout: Annotated[
        float, typer.Option(help="Chance of each field of a report that is not.")
    ] = FinetuneConfig.field_dropout,
    memory: Annotated[
        int, typer.Option(help="Pairs of earlier steps that the contrastive term compares with.")
    ] = FinetuneConfig.memory,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without a better one before training stops; default: all are trained.")
    ] = FinetuneConfig.patience,
    augment: Annotated[
        bool, typer.Option(help="Move, shade and add noise to scans at random.")
    ] = FinetuneConfig.augment,
    flip: Annotated[bool, typer.Option(help="Also exchange left and right at random.")] = FinetuneConfig.flip,
    train_size: Annotated[
        int | None, typer.Option(help="Train on so many subjects of the training part.")
    ] = FinetuneConfig.train_size,
    fold: Annotated[
        str | None, typer.Option(metavar="I/N", help="Test on the I-th of N parts that together hold everyone once.")
    ] = FinetuneConfig.fold,
    splits: Annotated[
        Path | None,
        typer.Option(metavar="SPLITS.tsv", help="Take over the split of another run: its private/splits.tsv."),
    ] = FinetuneConfig.splits,
    label_policy: Annotated[
        str,
        typer.Option(
            metavar="|".join(LABEL_POLICIES),
            help="Diagnosis at the visit of the scan, or the subject's last one at every visit.",
        ),
    ] = FinetuneConfig.label_policy,
    test_fraction: Annotated[float, typer.Option(help="Share for the final numbers.")] = FinetuneConfig.test_fraction,
    validation_fraction: Annotated[
        float, typer.Option(help="Share that chooses the epoch.")
    ] = FinetuneConfig.validation_fraction,
    calibration_fraction: Annotated[
        float, typer.Option(help="Share that sets temperature and intervals.")
    ] = FinetuneConfig.calibration_fraction,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard's event files, to RUN/private.")
    ] = FinetuneConfig.tensorboard,
    device: Device = FinetuneConfig.device,
    precision: Precision = FinetuneConfig.precision,
    checkpointing: Annotated[
        bool, typer.Option(help="Compute activations twice instead of keeping them: for small cards.")
    ] = FinetuneConfig.checkpointing,
    compile: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compile the image tower's blocks: for long runs on a GPU.")
    ] = FinetuneConfig.compile,
    seed: Seed = FinetuneConfig.seed,
    overwrite: Overwrite = FinetuneConfig.overwrite,
    dry_run: DryRun = False,
) -> None:
    """Prompt-tune a base model on your own cohort.

    The base stays frozen; a few learned tokens and projections adapt it. Subjects are split once, and never straddle
    the split. RUN can be shared: individual data stay in RUN/private. An interrupted run continues.
    """
    config = FinetuneConfig(
        scans=scans,
        table=tuple(table),
        out=out,
        base=base,
        tokenizer=tokenizer,
        style=style,
        task=task,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        pretrained_rate=pretrained_rate,
        prompts=PromptConfig(
            visual_prompts,
            prompt_depth,
            text_prompts,
            mmse_token,
            cross_attention,
            prompts_before_cls,
            new_projections,
            raw_scale,
            lora_rank,
            whole,
            published_input,
        ),
        method=method,
        recipe=recipe,
        from_scratch=from_scratch,
        objective=objective,
        reports=reports,
        bare_weight=bare_weight,
        contrast_weight=contrast_weight,
        report_dropout=report_dropout,
        field_dropout=field_dropout,
        memory=memory,
        patience=patience,
        augment=augment,
        flip=flip,
        train_size=train_size,
        fold=fold,
        splits=splits,
        label_policy=label_policy,
        tensorboard=tensorboard,
        alpha=alpha,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        calibration_fraction=calibration_fraction,
        columns=tuple(columns or ()),
        diagnosis_policy=diagnosis_policy,
        max_days=max_days,
        device=device,
        precision=precision,
        checkpointing=checkpointing,
        compile=compile,
        seed=seed,
        overwrite=overwrite,
    )
    session = session_of(ctx)
    if dry_run:
        with session.working() as on_event:
            from adclip.verbs.finetune import plan

            found = plan(config, on_event)
        session.show([tables.as_record(found)], _draw_plan)
        return
    with session.working() as on_event:
        from adclip.verbs.finetune import finetune

        result = finetune(config, on_event)
    session.show([tables.as_record(result)], _draw)


def _draw_plan(records: Sequence[tables.Record]) -> None:
    (record,) = records
    pairs = [(part, f"{count} subjects, {record['scans'][part]} scans") for part, count in record["subjects"].items()]
    cost = f"about {record['minutes']:.1f} minutes ({record['seconds_per_step']:.2f} s a step)"
    tables.draw_pairs([*pairs, ("training", cost), ("memory", f"{record['memory_gb']:.1f} GB")])


def _draw(records: Sequence[tables.Record]) -> None:
    (record,) = records
    tables.draw_pairs((name, tables.text(record.get(key))) for name, key in (("out", "out"), ("epochs", "epochs_run")))
    tables.draw_metrics(record.get("metrics") or {}, record.get("baselines") or {})
    tables.draw_differences(record.get("differences") or {})
    tables.draw_notices(records)
