"""`adclip explain`: scans to heatmaps on their own grid, tables, figures and one HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import ReadOptions, ScanItem
from adclip.errors import AdclipError, ConfigError
from adclip.prediction.answer import with_flags
from adclip.prediction.faithfulness_record import Faithfulness
from adclip.prediction.jobs import Job, added_flags, check_scans, failed_prediction, find_jobs
from adclip.runtime.events import Advanced, Failed, OnEvent, Started, Warned, ignore
from adclip.runtime.paths import check_folder, legible, write_bytes, write_text
from adclip.task import Task
from adclip.verbs.settings import ExplainConfig

if TYPE_CHECKING:
    from adclip.domain import Prediction
    from adclip.imaging.prepare import PreparedScan
    from adclip.imaging.volumes.regions import RegionShare
    from adclip.prediction.attribution import Attribution
    from adclip.prediction.figures import PageSection, PageTable
    from adclip.prediction.predictor import Predictor

PAGE = "explain.html"


@dataclass(frozen=True)
class Explanation:
    """One explained scan; `to_dict` is one JSON line of `adclip explain --json`.

    Parameters
    ----------
    scan, subject_id, session_id, status
        As in the prediction.
    target : str or None
        Class or `mmse`.
    scores, probabilities : mapping
        Equal to those that predict gives.
    shares : mapping
        Share of the relevance by road from the patches to the score.
    faithfulness : mapping
        Gains of the deletion and insertion curves over a random order.
    files : mapping
        Kind -> path below `--out`.
    flags : tuple of str
    notice : str
    error, hint : str or None
        Where status is `failed`.
    """

    scan: str
    subject_id: str | None
    session_id: str | None
    status: str
    target: str | None = None
    scores: Mapping[str, float] | None = None
    probabilities: Mapping[str, float] | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    faithfulness: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    notice: str = ""
    error: str | None = None
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; `error` and `hint` only where status is failed."""
        record = {key: dict(value) if isinstance(value, Mapping) else value for key, value in vars(self).items()}
        record["flags"] = list(self.flags)
        if self.error is None:
            record.pop("error")
            record.pop("hint")
        return record


@dataclass(frozen=True)
class ExplainResult:
    """One explanation for each scan, in the order found; and the page with all of them."""

    explanations: list[Explanation]
    failed: int
    page: Path


def explain(config: ExplainConfig, on_event: OnEvent = ignore) -> ExplainResult:
    """Explain every scan; a bad scan becomes a Failed event and a failed record, the rest go on.

    Raises
    ------
    AdclipError
        If nothing can be done at all, or every scan failed (then the first error).
    """
    from adclip.model.record import model_folder, read_record

    record = read_record(model_folder(config.model))
    task = record.task
    targets = [*record.labels, *([task.score_key] if record.prompts.mmse_token else [])]
    if config.target is not None and config.target not in targets:
        raise ConfigError.bad_value("--target", f"`{config.target}` is not one of {', '.join(targets)}")
    tables = replace(config.table_options, task=task, answers=False)
    jobs = find_jobs(config.inputs, config.metas, tables, config.subject, on_event, config.name_pattern)
    check_scans(jobs, ReadOptions(config.orientation, config.series, config.modality))
    check_folder(config.out, overwrite=config.overwrite, marker=PAGE)

    from adclip.imaging.sources.in_turn import try_in_turn
    from adclip.prediction.figures import render_page
    from adclip.prediction.predictor import Predictor

    predictor = Predictor.from_checkpoint(config.model, config.device, config.precision, config.volumes)
    explanations: list[Explanation] = []
    sections: list[PageSection] = []
    errors: list[AdclipError] = []

    def say(item: ScanItem, text: str) -> None:
        on_event(Warned(str(item.path), text))

    on_event(Started("explaining", len(jobs)))
    for done, job in enumerate(jobs, 1):
        try:
            explanation, section = try_in_turn(job.item, partial(_explain_item, predictor, job, config), say)
            explanations.append(explanation)
            sections.append(section)
        except AdclipError as error:
            errors.append(error)
            on_event(Failed(legible(job.item.path), error.problem, error.remedy))
            failed = failed_prediction(job.item, error)
            explanations.append(
                Explanation(
                    failed.scan, failed.subject_id, failed.session_id, "failed", error=failed.error, hint=failed.hint
                )
            )
        on_event(Advanced("explaining", done, job.item.path.name))
    if errors and len(errors) == len(jobs):
        raise errors[0]
    write_text(config.out / PAGE, render_page("adclip explanation", record.notice, sections))
    return ExplainResult(explanations, len(errors), config.out / PAGE)


def _explain_item(
    predictor: Predictor, job: Job, config: ExplainConfig, item: ScanItem
) -> tuple[Explanation, PageSection]:
    """Explain a job by one of its files, the first or another."""
    return explain_one(predictor, replace(job, item=item, flags=(*item.flags, *added_flags(job))), config)


def explain_one(predictor: Predictor, job: Job, config: ExplainConfig) -> tuple[Explanation, PageSection]:
    """Explain one scan and write its files: heatmaps, regions.tsv, faithfulness.json, PNG."""
    import torch

    from adclip.imaging.sources.files import write_nifti
    from adclip.imaging.steps.grid import from_model_grid, from_model_order, to_model_order
    from adclip.imaging.volumes.regions import share_by_region, template_image
    from adclip.prediction.attribution import attribute, enlarge, faithfulness

    prepared = predictor.prepare(job.item, ReadOptions(config.orientation, config.series, config.modality))
    image = predictor.to_image(prepared)
    completed_visit = predictor.complete(prepared, job.visit)
    attribution = attribute(predictor, image, completed_visit, config.target)
    prediction = with_flags(predictor.to_prediction(job.item, prepared, job.visit, attribution.answer), job.flags)
    model = predictor.record.model
    heat_dhw = enlarge(attribution.relevance, model.contract.shape)
    heat = from_model_order(heat_dhw) * prepared.mask

    stem, folder = job.item.stem, config.out
    name = f"{stem}_desc-{attribution.target}_relevance"
    files = {"mni": f"{stem}_space-MNI152NLin2009aSym_desc-{attribution.target}_relevance.nii.gz"}
    write_nifti(folder / files["mni"], heat.astype("float32"), model.contract.affine_xyz)
    flags = [*prediction.flags, *attribution.flags]
    if prepared.volume is not None:
        files["heatmap"] = f"{name}.nii.gz"
        on_scan = from_model_grid(to_model_order(heat), model.contract, prepared.scan_to_mni, prepared.volume)
        write_nifti(folder / files["heatmap"], on_scan.astype("float32"), prepared.volume.source.affine)
    else:
        # a derivative's own grid is the model's: the map above already lies on it
        files["heatmap"] = files["mni"]

    filling = torch.from_numpy(to_model_order(template_image(model.contract)).copy())[None, None].to(image.device)
    curves = faithfulness(predictor, image, completed_visit, attribution, filling, config.seed)
    regions = share_by_region(heat, model.contract)
    files |= {"regions": f"{name}_regions.tsv", "faithfulness": f"{name}_faithfulness.json", "figure": f"{name}.png"}
    write_text(folder / files["regions"], _regions_tsv(regions))
    record = Faithfulness(
        level="deletion and insertion against one random order of patches",
        method="grad-eclip",
        target=attribution.target,
        replacement="the MNI152NLin2009aSym average brain on the model grid",
        roads=attribution.shares,
        flags=attribution.flags,
        notice=prediction.notice,
        **curves,
    )
    write_text(folder / files["faithfulness"], json.dumps(record.to_dict(), indent=2) + "\n")
    picture = _picture(stem, prepared, heat, attribution, prediction, model.contract)
    write_bytes(folder / files["figure"], picture)
    gains = {key: curves[key] for key in ("deletion_gain", "insertion_gain")}
    explanation = Explanation(
        prediction.scan, prediction.subject_id, prediction.session_id, prediction.status, attribution.target,
        prediction.scores, prediction.probabilities, attribution.shares, gains, files, tuple(flags), prediction.notice,
    )  # fmt: skip
    return explanation, _section(explanation, prediction, regions, picture, predictor.record.task)


def _picture(
    stem: str, prepared: PreparedScan, heat: Any, attribution: Attribution, prediction: Prediction, contract: Any
) -> bytes:
    from adclip.prediction.figures import draw_overlay

    title = f"{stem}: relevance for {attribution.target} (predicted {prediction.diagnosis})\n{prediction.notice}"
    return draw_overlay(prepared.image, heat, contract, title)


def _regions_tsv(regions: list[RegionShare]) -> str:
    lines = ["region\trelevance_share\tvolume_share\tratio_to_chance"]
    lines += [f"{r.region}\t{r.relevance_share:.6f}\t{r.volume_share:.6f}\t{r.ratio:.4f}" for r in regions]
    return "\n".join(lines) + "\n"


def _section(
    explanation: Explanation, prediction: Prediction, regions: list[RegionShare], picture: bytes, task: Task
) -> PageSection:
    from adclip.prediction.figures import PageSection
    from adclip.prediction.volume_lines import notes

    facts = {
        "scan": Path(explanation.scan).name,
        "status": explanation.status,
        "prediction": _shares(prediction.probabilities),
        "scan only": _shares(prediction.scan_only),
        "metadata only": _shares(prediction.metadata_only),
        "volumes only": _shares(prediction.volumes_only),
        "explained": f"score of {explanation.target}"
        + ("" if explanation.target == task.score_key else " minus the mean of the other classes"),
        "report it read": prediction.report or "none: the scan alone",
        "deletion, insertion gain over random": ", ".join(f"{v:+.3f}" for v in explanation.faithfulness.values()),
        "flags": ", ".join(explanation.flags) or "none",
    }
    if prediction.volumes:
        facts["volumes"] = "; ".join(notes(prediction.volumes, prediction.volumes_source, prediction.flags))
    if prediction.mmse is not None:
        facts[f"estimated {task.score}"] = f"{prediction.mmse.estimate:.1f} points"
    rows = [[r.region.replace("_", " "), f"{r.relevance_share:.1%}", f"{r.volume_share:.1%}", f"{r.ratio:.2f}"]
            for r in regions]  # fmt: skip
    table = ("Relevance by region (ratio 1 is chance)", ("region", "relevance", "volume", "ratio"), rows)
    volumes = [_volumes_table(prediction)] if prediction.volumes else []
    return PageSection(f"sub-{explanation.subject_id}", picture, facts, [*volumes, table])


def _shares(probabilities: Mapping[str, float] | None) -> str:
    return ", ".join(f"{label} {value:.0%}" for label, value in (probabilities or {}).items()) or "none"


def _volumes_table(prediction: Prediction) -> PageTable:
    """Lay out the volumes with a bar where each stands among healthy people."""
    from adclip.prediction.figures import Bar
    from adclip.prediction.volume_lines import CENTILE, HEADERS, rows

    table: list[list[str | Bar]] = []
    for row in rows(prediction.volumes or {}):
        cells: list[str | Bar] = [*row.cells]
        if row.centile is not None:
            cells[CENTILE] = Bar(row.centile, row.cells[CENTILE])
        table.append(cells)
    return "Volumes of brain structures", HEADERS, table
