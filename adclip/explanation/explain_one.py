"""One scan explained: heatmaps on its own grid and in MNI space, tables, a picture, and what the page says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import Prediction, ReadOptions
from adclip.explanation.faithfulness.record import Curves, Faithfulness
from adclip.explanation.figures import Bar, PageSection, PageTable, draw_overlay
from adclip.prediction.answer import with_flags
from adclip.prediction.jobs import Job
from adclip.runtime.paths import write_bytes, write_text
from adclip.told import RescanRange, to_plain

if TYPE_CHECKING:
    from adclip.explanation.attribution import Attribution
    from adclip.explanation.target import Target
    from adclip.explanation.word_relevance import WordRelevance
    from adclip.imaging.prepare import PreparedScan
    from adclip.imaging.volumes.regions import RegionShare
    from adclip.prediction.predictor import Predictor


@dataclass(frozen=True)
class Explanation:
    """One explained scan; `to_dict` is one JSON line of `adclip explain --json`.

    Parameters
    ----------
    scan, subject_id, session_id, status
        As in the prediction.
    target : str or None
        Class, two classes, `mmse`, or a phrase.
    method : str or None
        How the map was made.
    scores, probabilities : mapping
        Equal to those that predict gives.
    shares : mapping
        Share of the relevance by road from the patches to the score.
    faithfulness : mapping
        Gains of the deletion and insertion curves over random orders, with the mean of healthy people in place of a patch; none where that
        was not measured.
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
    method: str | None = None
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
    target : Target or None
        None the predicted class.
    method : str
        One of `adclip.explanation.methods.METHODS`.
    faithfulness : str
        One of `adclip.explanation.settings.LEVELS`.
    finer : str
        One of `adclip.explanation.settings.FINER`.
    seed : int
        Draws the random orders that a map is held against.
    """

    target: Target | None
    method: str
    faithfulness: str
    finer: str
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
    from adclip.explanation.faithfulness.measure import References, measure_map
    from adclip.explanation.finer import attribute_finer
    from adclip.explanation.phrases import flags_of_phrase
    from adclip.explanation.references import blurred
    from adclip.explanation.seen import SeenScan
    from adclip.explanation.selftest_record import read_selftest, rows_of
    from adclip.explanation.word_relevance import attribute_words, biomarkers_to_tsv, words_to_tsv
    from adclip.imaging.sources.files import write_nifti
    from adclip.imaging.steps.grid import from_model_grid, from_model_order, to_model_order
    from adclip.imaging.volumes.regions import share_by_region

    prepared = predictor.prepare(job.item, options)
    evidence = predictor.evidence(prepared, job.visit)
    seen = SeenScan(predictor, prepared, evidence)
    explained = seen.explained(wish.target)
    target = explained.target
    attribution = attribute_finer(explained, wish.method, wish.finer, lambda image: seen.explained(target, image))
    prediction = with_flags(predictor.to_prediction(job.item, prepared, evidence, explained.answer), job.flags)
    model = predictor.record.model
    heat = from_model_order(attribution.positive) * prepared.mask
    signed = from_model_order(attribution.signed) * prepared.mask

    stem = job.item.stem
    name = f"{stem}_desc-{target.file_label}_relevance"
    files = {"mni": f"{stem}_space-MNI152NLin2009aSym_desc-{target.file_label}_relevance.nii.gz"}
    files["mni_signed"] = f"{stem}_space-MNI152NLin2009aSym_stat-signed_desc-{target.file_label}_relevance.nii.gz"
    write_nifti(folder / files["mni"], heat.astype("float32"), model.contract.affine_xyz)
    write_nifti(folder / files["mni_signed"], signed.astype("float32"), model.contract.affine_xyz)
    if prepared.volume is not None:
        files["heatmap"] = f"{name}.nii.gz"
        on_scan = from_model_grid(to_model_order(heat), model.contract, prepared.scan_to_mni, prepared.volume)
        write_nifti(folder / files["heatmap"], on_scan.astype("float32"), prepared.volume.source.affine)
    else:
        # a derivative's own grid is the model's: the map above already lies on it
        files["heatmap"] = files["mni"]

    regions = share_by_region(heat, model.contract)
    files |= {"regions": f"{name}_regions.tsv", "faithfulness": f"{name}_faithfulness.json", "figure": f"{name}.png"}
    write_text(folder / files["regions"], _regions_tsv(regions))
    told = attribute_words(predictor, explained.tokens, evidence, target)
    if told.words:
        files |= {"words": f"{name}_words.tsv", "biomarkers": f"{name}_biomarkers.tsv"}
        write_text(folder / files["words"], words_to_tsv(told))
        write_text(folder / files["biomarkers"], biomarkers_to_tsv(told))
    references = References(seen.reference_described, seen.to_tensor(blurred(prepared.image, model.contract)))
    selftest = rows_of(read_selftest(predictor.folder, predictor.identity["sha256"]), wish.method)
    faithful = measure_map(
        explained, attribution, wish.faithfulness, references, wish.seed, prediction.notice, seen.rescans, selftest
    )
    write_text(folder / files["faithfulness"], json.dumps(faithful.to_dict(), indent=2) + "\n")
    picture = _picture(stem, prepared, heat, attribution, prediction, model.contract)
    write_bytes(folder / files["figure"], picture)
    flags = (*prediction.flags, *faithful.flags, *flags_of_phrase(explained, attribution, seen))
    explanation = Explanation(
        prediction.scan, prediction.subject_id, prediction.session_id, prediction.status, target.name, wish.method,
        prediction.scores, prediction.probabilities, attribution.roads, _gains(faithful), files, flags, prediction.reasons,
        prediction.prevalence, prediction.probabilities_equal, prediction.rescans, prediction.notice,
    )  # fmt: skip
    return explanation, _section(explanation, prediction, regions, picture, faithful, told)


def _gains(faithful: Faithfulness) -> dict[str, float]:
    """Return the gains with the first reference; none where nothing was measured."""
    if not faithful.curves:
        return {}
    first = faithful.curves[0]
    return {"deletion_gain": first.deletion_gain.estimate, "insertion_gain": first.insertion_gain.estimate}


def _picture(
    stem: str, prepared: PreparedScan, heat: Any, attribution: Attribution, prediction: Prediction, contract: Any
) -> bytes:
    title = f"{stem}: relevance for {attribution.target.name} (predicted {prediction.diagnosis})\n{prediction.notice}"
    return draw_overlay(prepared.image, heat, contract, title)


def _regions_tsv(regions: list[RegionShare]) -> str:
    lines = ["region\trelevance_share\tvolume_share\tratio_to_chance"]
    lines += [f"{r.region}\t{r.relevance_share:.6f}\t{r.volume_share:.6f}\t{r.ratio:.4f}" for r in regions]
    return "\n".join(lines) + "\n"


def _section(
    explanation: Explanation,
    prediction: Prediction,
    regions: list[RegionShare],
    picture: bytes,
    faithful: Faithfulness,
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
        "explained": faithful.explained,
        "method": f"{faithful.method}; told apart: {faithful.resolution_mm:.0f} mm, where finest {faithful.fine_resolution_mm:.0f} mm",
        "report it read": prediction.report or "none: the scan alone",
        "can the map be believed": faithful.verdict.words,
        **{f"replaced by {one.reference}": _curves(one) for one in faithful.curves},
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
        facts[f"estimated {prediction.score_name}"] = f"{prediction.mmse.estimate:.1f} points"
    rows = [[r.region.replace("_", " "), f"{r.relevance_share:.1%}", f"{r.volume_share:.1%}", f"{r.ratio:.2f}"]
            for r in regions]  # fmt: skip
    table = ("Relevance by region (ratio 1 is chance)", ("region", "relevance", "volume", "ratio"), rows)
    tables = [_volumes_table(prediction)] if prediction.volumes else []
    if told.biomarkers:
        tables.append(_biomarkers_table(told))
    words = [(word.text, word.relevance) for word in told.words]
    return PageSection(f"sub-{explanation.subject_id}", picture, facts, [*tables, table], words)


def _curves(curves: Curves) -> str:
    deletion, insertion = curves.deletion_gain, curves.insertion_gain
    return (
        f"deletion {deletion.estimate:+.2f} over random orders (better than {deletion.beats} of {deletion.of}), "
        f"insertion {insertion.estimate:+.2f} (better than {insertion.beats} of {insertion.of})"
    )


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
