"""One scan explained: heatmaps on its own grid and in MNI space, tables, a picture, and what the page says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import Prediction, ReadOptions
from adclip.explanation.faithfulness_record import Faithfulness
from adclip.explanation.figures import draw_overlay
from adclip.explanation.page.content import PageContent
from adclip.explanation.page.index import PAGE_KIND
from adclip.explanation.page.render import write_page
from adclip.prediction.answer import with_flags
from adclip.prediction.jobs import Job
from adclip.runtime.paths import write_bytes, write_text
from adclip.told import RescanRange, to_plain

if TYPE_CHECKING:
    from adclip.explanation.attribution import Attribution
    from adclip.explanation.page.volumes import ViewerImages
    from adclip.explanation.word_relevance import WordRelevance
    from adclip.imaging.prepare import PreparedScan
    from adclip.imaging.volumes.regions import RegionShare
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
) -> tuple[Explanation, PageContent]:
    """Explain one scan and write its files into `folder`: heatmaps, tables, faithfulness.json, PNG and page.

    Raises
    ------
    ScanError
        If the scan cannot be used.
    """
    import torch

    from adclip.explanation.attribution import attribute, enlarge, faithfulness
    from adclip.explanation.word_relevance import attribute_words, biomarkers_to_tsv, words_to_tsv
    from adclip.imaging.sources.files import write_nifti
    from adclip.imaging.steps.grid import from_model_grid, from_model_order, to_model_order
    from adclip.imaging.volumes.regions import share_by_region, template_image

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
    curves = faithfulness(predictor, image, evidence, attribution, filling, wish.seed)
    regions = share_by_region(heat, model.contract)
    files |= {"regions": f"{name}_regions.tsv", "faithfulness": f"{name}_faithfulness.json", "figure": f"{name}.png"}
    write_text(folder / files["regions"], _regions_tsv(regions))
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
    files[PAGE_KIND] = f"{name}.html"
    gains = {key: curves[key] for key in ("deletion_gain", "insertion_gain")}
    if min(gains.values()) <= 0:
        flags.append(NO_BETTER_THAN_CHANCE)
    explanation = Explanation(
        prediction.scan, prediction.subject_id, prediction.session_id, prediction.status, attribution.target,
        prediction.scores, prediction.probabilities, attribution.shares, gains, files, tuple(flags), prediction.reasons,
        prediction.prevalence, prediction.probabilities_equal, prediction.rescans, prediction.notice,
    )  # fmt: skip
    content, images = _page_of(predictor, prepared, prediction, attribution, told, record, regions, wish, flags)
    write_page(folder / files[PAGE_KIND], content, picture, images)
    return explanation, content


def _picture(
    stem: str, prepared: PreparedScan, heat: Any, attribution: Attribution, prediction: Prediction, contract: Any
) -> bytes:
    title = f"{stem}: relevance for {attribution.target} (predicted {prediction.diagnosis})\n{prediction.notice}"
    return draw_overlay(prepared.image, heat, contract, title)


def _regions_tsv(regions: list[RegionShare]) -> str:
    lines = ["region\trelevance_share\tvolume_share\tratio_to_chance"]
    lines += [f"{r.region}\t{r.relevance_share:.6f}\t{r.volume_share:.6f}\t{r.ratio:.4f}" for r in regions]
    return "\n".join(lines) + "\n"


def _verdict(flags: Sequence[str]) -> str:
    if NO_BETTER_THAN_CHANCE in flags:
        return "no: patches in one random order move the answer as much as those that it marks, or more"
    return "as far as one random order can tell: patches that it marks move the answer more"


def _page_of(
    predictor: Predictor,
    prepared: PreparedScan,
    prediction: Prediction,
    attribution: Attribution,
    told: WordRelevance,
    record: Faithfulness,
    regions: list[RegionShare],
    wish: Wish,
    flags: Sequence[str],
) -> tuple[PageContent, ViewerImages]:
    """Return what the page says of a scan, and the images of its viewer."""
    from adclip.explanation.attribution import enlarge
    from adclip.explanation.page.places import label_regions, peaks_mm, region_table
    from adclip.explanation.page.section import faithfulness_curves, section_of
    from adclip.explanation.page.thumbnail import draw_thumbnail
    from adclip.explanation.page.volumes import mni_from_shown, viewer_images
    from adclip.imaging.steps.grid import from_model_order
    from adclip.imaging.volumes.regions import region_maps

    contract = predictor.record.model.contract
    signed = from_model_order(enlarge(attribution.signed, contract.shape)) * prepared.mask
    labels, codes = label_regions(region_maps(contract))
    peaks = peaks_mm(signed, labels, codes, contract, mni_from_shown(prepared))
    grid = attribution.signed.shape
    patch = [n * size / count for n, size, count in zip(contract.shape, contract.spacing_mm, grid, strict=True)][::-1]
    curves, orders = faithfulness_curves(record.to_dict())
    content = section_of(
        prediction, predictor.record.task, told, target=attribution.target, flags=flags, verdict=_verdict(flags),
        doubtful=NO_BETTER_THAN_CHANCE in flags or "flat_map" in flags,
        gains={"deletion gain": record.deletion_gain, "insertion gain": record.insertion_gain},
        regions=region_table(regions, codes, peaks), curves=curves, orders=orders,
        provenance={
            "method": record.method, "resolution of the map": "patches of " + " × ".join(f"{size:g}" for size in patch) + " mm",
            "replacement of a patch": record.replacement, "target asked for": wish.target or "the predicted class", "seed": str(wish.seed),
        },
        thumbnail=draw_thumbnail(prepared.image, signed),
    )  # fmt: skip
    return content, viewer_images(prepared, contract, signed, labels)
