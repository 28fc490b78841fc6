"""One scan explained: heatmaps on its own grid and in MNI space, tables, a picture, and what the page says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import Prediction, ReadOptions
from adclip.explanation.faithfulness_record import Faithfulness
from adclip.explanation.figures import Bar, PageSection, PageTable
from adclip.explanation.mosaic import Caption, draw_mosaic
from adclip.explanation.region_table import RegionRow, region_table, to_tsv
from adclip.explanation.region_words import CAPTION, HEADERS, to_page_rows, to_sentences
from adclip.prediction.answer import with_flags
from adclip.prediction.jobs import Job
from adclip.runtime.paths import write_bytes, write_text
from adclip.task import Task
from adclip.told import RescanRange, to_plain

if TYPE_CHECKING:
    from adclip.explanation.attribution import Attribution
    from adclip.explanation.word_relevance import WordRelevance
    from adclip.imaging.prepare import PreparedScan
    from adclip.prediction.predictor import Predictor


NO_BETTER_THAN_CHANCE = "map_no_better_than_chance"


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
    reasons, prevalence, probabilities_equal, rescans
        As in the prediction.
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
    reasons: tuple[str, ...] = ()
    prevalence: Mapping[str, float] | None = None
    probabilities_equal: Mapping[str, float] | None = None
    rescans: RescanRange | None = None
    notice: str = ""
    error: str | None = None
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; `error` and `hint` only where status is failed."""
        record: dict[str, Any] = to_plain(asdict(self))
        if self.error is None:
            record.pop("error")
            record.pop("hint")
        return record


@dataclass(frozen=True)
class Wish:
    """What is to be explained, and how.

    Parameters
    ----------
    target : str or None
        Class or score; None the predicted class.
    seed : int
        Orders the random baseline of the faithfulness curve.
    """

    target: str | None
    seed: int


def explain_one(
    predictor: Predictor, job: Job, options: ReadOptions, wish: Wish, folder: Path
) -> tuple[Explanation, PageSection]:
    """Explain one scan and write its files into `folder`: heatmaps, regions.tsv, faithfulness.json, PNG.

    Raises
    ------
    ScanError
        If the scan cannot be used.
    """
    import torch

    from adclip.explanation.attribution import attribute, enlarge, faithfulness
    from adclip.explanation.word_relevance import attribute_words, biomarkers_to_tsv, words_to_tsv
    from adclip.imaging.sources.files import MNI, write_nifti
    from adclip.imaging.steps.grid import from_model_order, to_model_order, to_scan_brain
    from adclip.imaging.volumes.regions import template_image

    prepared = predictor.prepare(job.item, options)
    image = predictor.to_image(prepared)
    evidence = predictor.evidence(prepared, job.visit)
    attribution = attribute(predictor, image, evidence, wish.target)
    prediction = with_flags(predictor.to_prediction(job.item, prepared, evidence, attribution.answer), job.flags)
    model = predictor.record.model
    heat_dhw = enlarge(attribution.relevance, model.contract.shape)
    heat = from_model_order(heat_dhw) * prepared.mask

    stem = job.item.stem
    name = f"{stem}_desc-{attribution.target}_relevance"
    files = {"mni": f"{stem}_space-MNI152NLin2009aSym_desc-{attribution.target}_relevance.nii.gz"}
    write_nifti(folder / files["mni"], heat.astype("float32"), model.contract.affine_xyz, space_code=MNI)
    flags = [*prediction.flags, *attribution.flags]
    if prepared.volume is not None:
        files["heatmap"] = f"{name}.nii.gz"
        grid = prepared.volume.source
        on_scan = to_scan_brain(heat_dhw, model.contract, prepared.scan_to_mni, prepared.volume, prepared.scan_mask)
        write_nifti(folder / files["heatmap"], on_scan.astype("float32"), grid.affine, place=grid.place)
    else:
        # a derivative's own grid is the model's: the map above already lies on it
        files["heatmap"] = files["mni"]

    filling = torch.from_numpy(to_model_order(template_image(model.contract)).copy())[None, None].to(image.device)
    curves = faithfulness(predictor, image, evidence, attribution, filling, wish.seed)
    signed = from_model_order(enlarge(attribution.signed, model.contract.shape))
    regions = region_table(
        signed, prepared.mask, model.contract, positive=heat, structures=prepared.structures, volumes=prediction.volumes
    )
    files |= {"regions": f"{name}_regions.tsv", "faithfulness": f"{name}_faithfulness.json", "figure": f"{name}.png"}
    write_text(folder / files["regions"], to_tsv(regions))
    told = attribute_words(predictor, image, evidence, attribution.target)
    if told.words:
        files |= {"words": f"{name}_words.tsv", "biomarkers": f"{name}_biomarkers.tsv"}
        write_text(folder / files["words"], words_to_tsv(told))
        write_text(folder / files["biomarkers"], biomarkers_to_tsv(told))
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
    if min(gains.values()) <= 0:
        flags.append(NO_BETTER_THAN_CHANCE)
    explanation = Explanation(
        prediction.scan, prediction.subject_id, prediction.session_id, prediction.status, attribution.target,
        prediction.scores, prediction.probabilities, attribution.shares, gains, files, tuple(flags), prediction.reasons,
        prediction.prevalence, prediction.probabilities_equal, prediction.rescans, prediction.notice,
    )  # fmt: skip
    return explanation, _section(explanation, prediction, regions, picture, predictor.record.task, told)


def _picture(
    stem: str, prepared: PreparedScan, heat: Any, attribution: Attribution, prediction: Prediction, contract: Any
) -> bytes:
    caption = Caption(
        stem, attribution.target, "relevance, share of the most relevant patch", prediction.probabilities or {}, prediction.status,
        prediction.notice,
    )  # fmt: skip
    if prepared.volume is None:  # of a derivative there is no other picture than the one on the model's grid
        return draw_mosaic(prepared.image, contract.affine_xyz, heat, contract.affine_xyz, caption, mask=prepared.mask)
    return draw_mosaic(
        prepared.volume.array, prepared.volume.affine, heat, contract.affine_xyz, caption,
        scan_to_mni=prepared.scan_to_mni, mask=prepared.scan_mask,
    )  # fmt: skip


def _section(
    explanation: Explanation,
    prediction: Prediction,
    regions: list[RegionRow],
    picture: bytes,
    task: Task,
    told: WordRelevance,
) -> PageSection:
    from adclip.prediction.answer_lines import rescan_line
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
        "can the map be believed": _verdict(explanation.flags),
        "flags": ", ".join(explanation.flags) or "none",
    }
    if explanation.reasons:
        facts[f"why {explanation.status}"] = " ".join(explanation.reasons)
    if range_of_rescans := rescan_line(prediction.to_dict()):
        facts["when the scan is changed a little"] = range_of_rescans
    if prediction.prevalence is not None:
        facts["prediction, classes equally common"] = _shares(prediction.probabilities_equal)
        facts["shares of the classes, as given"] = _shares(prediction.prevalence)
    if prediction.volumes:
        facts["volumes"] = "; ".join(notes(prediction.volumes, prediction.volumes_source, prediction.flags))
    if prediction.mmse is not None:
        facts[f"estimated {task.score}"] = f"{prediction.mmse.estimate:.1f} points"
    facts["where, and how large"] = " ".join(to_sentences(regions, prediction.volumes))
    table = (CAPTION, HEADERS, to_page_rows(regions))
    tables = [_volumes_table(prediction)] if prediction.volumes else []
    if told.biomarkers:
        tables.append(_biomarkers_table(told))
    words = [(word.text, word.relevance) for word in told.words]
    return PageSection(f"sub-{explanation.subject_id}", picture, facts, [*tables, table], words)


def _verdict(flags: Sequence[str]) -> str:
    if NO_BETTER_THAN_CHANCE in flags:
        return "no: patches in one random order move the answer as much as those that it marks, or more"
    return "as far as one random order can tell: patches that it marks move the answer more"


def _shares(probabilities: Mapping[str, float] | None) -> str:
    return ", ".join(f"{label} {value:.0%}" for label, value in (probabilities or {}).items()) or "none"


def _biomarkers_table(told: WordRelevance) -> PageTable:
    """Lay out what the report is worth: by its words, and with each biomarker left out."""
    rows = [
        [one.name.replace("_", " "), f"{one.relevance:+.3f}", f"{one.left_out:+.3f}"]
        for one in sorted(told.biomarkers, key=lambda one: -abs(one.left_out))
    ]
    header = ("biomarker", "its words", "score with its sentences less score without")
    return f"The report, by biomarker (all words together {told.together:+.3f})", header, rows


def _volumes_table(prediction: Prediction) -> PageTable:
    """Lay out the volumes with a bar where each stands among healthy people."""
    from adclip.prediction.volume_lines import CENTILE, HEADERS, rows

    table: list[list[str | Bar]] = []
    for row in rows(prediction.volumes or {}):
        cells: list[str | Bar] = [*row.cells]
        if row.centile is not None:
            cells[CENTILE] = Bar(row.centile, row.cells[CENTILE])
        table.append(cells)
    return "Volumes of brain structures", HEADERS, table
