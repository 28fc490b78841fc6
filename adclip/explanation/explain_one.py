"""One scan explained: heatmaps on its own grid and in MNI space, tables, a picture, and what the page says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import Prediction, ReadOptions
from adclip.explanation.faithfulness.record import Faithfulness
from adclip.explanation.mosaic import Caption, draw_mosaic
from adclip.explanation.page.content import PageContent
from adclip.explanation.page.index import PAGE_KIND
from adclip.explanation.page.render import write_page
from adclip.explanation.record import Explanation
from adclip.explanation.region_table import region_table, to_tsv
from adclip.explanation.region_words import to_sentences
from adclip.prediction.answer import with_flags
from adclip.prediction.jobs import Job
from adclip.runtime.paths import write_bytes, write_text

if TYPE_CHECKING:
    from adclip.explanation.target import Target
    from adclip.imaging.prepare import PreparedScan
    from adclip.prediction.predictor import Predictor


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
    what_if : bool
        Whether the hippocampi are shrunk in the image and in the table.
    """

    target: Target | None
    method: str
    faithfulness: str
    finer: str
    seed: int
    what_if: bool = False

    @property
    def asked(self) -> dict[str, str]:
        """What was asked for, in words: for whoever wants to make the same map again."""
        return {
            "target asked for": "the predicted class" if self.target is None else self.target.name,
            "measured": self.faithfulness,
            "finer": self.finer,
            "seed": str(self.seed),
        }


def explain_one(
    predictor: Predictor, job: Job, options: ReadOptions, wish: Wish, folder: Path
) -> tuple[Explanation, PageContent]:
    """Explain one scan and write its files into `folder`: heatmaps, tables, faithfulness.json, PNG and page.

    Raises
    ------
    ScanError
        If the scan cannot be used.
    """
    from adclip.explanation.faithfulness.measure import References, measure_map
    from adclip.explanation.finer import attribute_finer
    from adclip.explanation.page.places import regions_of
    from adclip.explanation.page.section import section_of
    from adclip.explanation.page.thumbnail import draw_thumbnail
    from adclip.explanation.page.volumes import mni_from_shown, viewer_images
    from adclip.explanation.phrases import flags_of_phrase
    from adclip.explanation.references import blurred
    from adclip.explanation.seen import SeenScan
    from adclip.explanation.selftest_record import read_selftest, rows_of
    from adclip.explanation.what_if_image import what_if_image
    from adclip.explanation.what_if_words import what_if_to_tsv
    from adclip.explanation.word_relevance import attribute_words, biomarkers_to_tsv, words_to_tsv
    from adclip.imaging.sources.files import MNI, write_nifti
    from adclip.imaging.steps.grid import from_model_order, to_scan_brain
    from adclip.imaging.volumes.partition import partition

    prepared = predictor.prepare(job.item, options)
    evidence = predictor.evidence(prepared, job.visit)
    seen = SeenScan(predictor, prepared, evidence)
    explained = seen.explained(wish.target)
    target = explained.target
    attribution = attribute_finer(explained, wish.method, wish.finer)
    prediction = with_flags(predictor.to_prediction(job.item, prepared, evidence, explained.answer), job.flags)
    model = predictor.record.model
    heat = from_model_order(attribution.positive) * prepared.mask
    signed = from_model_order(attribution.signed) * prepared.mask

    stem = job.item.stem
    label = target.file_label
    name = f"{stem}_desc-{label}_relevance"
    in_mni = f"{stem}_space-MNI152NLin2009aSym_desc-"
    files = {"mni": f"{in_mni}{label}_relevance.nii.gz", "mni_signed": f"{in_mni}{label}signed_relevance.nii.gz"}
    for kind, values in (("mni", heat), ("mni_signed", signed)):
        write_nifti(folder / files[kind], values.astype("float32"), model.contract.affine_xyz, space_code=MNI)
    if prepared.volume is not None:
        files |= {"heatmap": f"{name}.nii.gz", "signed": f"{stem}_desc-{label}signed_relevance.nii.gz"}
        grid = prepared.volume.source
        on_scan = to_scan_brain(
            attribution.signed, model.contract, prepared.scan_to_mni, prepared.volume, prepared.scan_mask
        ).astype("float32")
        for kind, values in (("heatmap", on_scan.clip(0)), ("signed", on_scan)):
            write_nifti(folder / files[kind], values, grid.affine, place=grid.place)
    else:
        # a derivative's own grid is the model's: the maps above already lie on it
        files |= {"heatmap": files["mni"], "signed": files["mni_signed"]}

    regions = region_table(
        signed, prepared.mask, model.contract, positive=heat, structures=prepared.structures, volumes=prediction.volumes
    )
    files |= {"regions": f"{name}_regions.tsv", "faithfulness": f"{name}_faithfulness.json", "figure": f"{name}.png"}
    write_text(folder / files["regions"], to_tsv(regions))
    told = attribute_words(predictor, explained.tokens, evidence, target)
    if told.words:
        files |= {"words": f"{name}_words.tsv", "biomarkers": f"{name}_biomarkers.tsv"}
        write_text(folder / files["words"], words_to_tsv(told))
        write_text(folder / files["biomarkers"], biomarkers_to_tsv(told))
    references = References(seen.reference_described, seen.to_tensor(blurred(prepared.image, model.contract)))
    selftest = rows_of(read_selftest(predictor.folder, predictor.identity["sha256"]), wish.method)
    faithful = measure_map(
        explained, attribution, wish.faithfulness, references, wish.seed, prediction.notice, seen.rescans, selftest,
        flags_of_phrase(explained, attribution, seen),
    )  # fmt: skip
    write_text(folder / files["faithfulness"], json.dumps(faithful.to_dict(), indent=2) + "\n")
    smaller = None
    if wish.what_if:
        smaller = what_if_image(predictor, prepared, evidence, answer=explained.answer)
        files["what_if"] = f"{stem}_desc-hippocampus_whatif.tsv"
        write_text(folder / files["what_if"], what_if_to_tsv(smaller))
    picture = _picture(stem, prepared, signed, target.name, prediction, model.contract)
    write_bytes(folder / files["figure"], picture)
    files[PAGE_KIND] = f"{name}.html"
    explanation = Explanation(
        prediction.scan, prediction.subject_id, prediction.session_id, prediction.status, target.name, wish.method,
        prediction.scores, prediction.probabilities, attribution.roads, _gains(faithful), files,
        (*prediction.flags, *faithful.flags), prediction.reasons, prediction.prevalence, prediction.probabilities_equal,
        prediction.rescans, prediction.notice,
    )  # fmt: skip
    parts = partition(model.contract, prepared.structures)
    codes = {region.key: code for code, region in enumerate(parts.regions, 1)}
    content = section_of(
        prediction, predictor.record.task, told, faithful,
        regions=regions_of(regions, codes, mni_from_shown(prepared)), sentences=to_sentences(regions, prediction.volumes),
        what_if=smaller, asked=wish.asked, thumbnail=draw_thumbnail(prepared.image, heat),
    )  # fmt: skip
    images = viewer_images(prepared, model.contract, signed, parts.labels(model.contract.shape_xyz))
    write_page(folder / files[PAGE_KIND], content, picture, images)
    return explanation, content


def _gains(faithful: Faithfulness) -> dict[str, float]:
    """Return the gains with the first reference; none where nothing was measured."""
    if not faithful.curves:
        return {}
    first = faithful.curves[0]
    return {"deletion_gain": first.deletion_gain.estimate, "insertion_gain": first.insertion_gain.estimate}


def _picture(stem: str, prepared: PreparedScan, heat: Any, target: str, prediction: Prediction, contract: Any) -> bytes:
    caption = Caption(
        stem, target, "relevance, share of the largest", prediction.probabilities or {}, prediction.status,
        prediction.notice,
    )  # fmt: skip
    if prepared.volume is None:  # of a derivative there is no other picture than the one on the model's grid
        return draw_mosaic(prepared.image, contract.affine_xyz, heat, contract.affine_xyz, caption, mask=prepared.mask)
    return draw_mosaic(
        prepared.volume.array, prepared.volume.affine, heat, contract.affine_xyz, caption,
        scan_to_mni=prepared.scan_to_mni, mask=prepared.scan_mask,
    )  # fmt: skip
