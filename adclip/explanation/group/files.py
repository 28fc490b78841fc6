"""The files of a cohort's mean maps: NIfTI with their sidecars, pictures, one table and one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import RESEARCH_NOTICE, TEMPLATE_SPACE, FloatArray, InputContract
from adclip.errors import OutputError, ScanError
from adclip.explanation.group.means import FEWEST, SHOWN_FROM, TOP, Group, average
from adclip.explanation.group.members import Kind, Members
from adclip.explanation.group.page import GroupSection, write_group_page
from adclip.explanation.mosaic import Caption, draw_mosaic
from adclip.explanation.target import Target, class_target
from adclip.imaging.derivatives.labels import to_label
from adclip.imaging.sources.files import MNI, read_voxels, write_nifti
from adclip.imaging.volumes.anatomy import read_anatomy
from adclip.runtime.paths import write_bytes, write_text
from adclip.runtime.spreadsheets import escape_cell
from adclip.told import to_plain

PAGE, TABLE, TABLE_ABOUT = "group.html", "group.tsv", "group.json"
RESULTS = (PAGE, TABLE, TABLE_ABOUT)
STATISTICS = {
    "mean": "what speaks for the target",
    "signedmean": "what speaks for the target less what speaks against it",
}
UNITS = {
    "mean": "relevance, in that of a map that is even over the brain",
    "signedmean": "signed relevance; each scan's mean absolute value over the brain is 1",
}
_MAPS = f"group_space-{TEMPLATE_SPACE}_predicted-*_stat-*_desc-*_relevance.*"
_NOT_KNOWN = "n/a"


@dataclass(frozen=True)
class GroupMap:
    """The JSON beside a mean map.

    Parameters
    ----------
    predicted : str
        The class that these scans were given.
    target : str
        What their maps explain.
    statistic : str
        What was averaged.
    unit : str
    people : int
        Each counted once, the mean of several visits.
    scans : int
    too_few : bool
        Whether the people are too few to say anything of others.
    space : str
        Template.
    method : str
        How the maps of scans were made.
    model : mapping
        Name and hashes.
    notice : str
    """

    predicted: str
    target: str
    statistic: str
    unit: str
    people: int
    scans: int
    too_few: bool
    space: str
    method: str
    model: Mapping[str, str]
    notice: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        record: dict[str, Any] = to_plain(asdict(self))
        return record


@dataclass(frozen=True)
class GroupRun:
    """The run whose maps are averaged.

    Parameters
    ----------
    contract : InputContract
        Grid of the maps.
    target : Target or None
        What was asked for; None for each scan's own predicted class.
    method : str
    model : mapping
        Name and hashes.
    notice : str
    """

    contract: InputContract
    target: Target | None
    method: str
    model: Mapping[str, str]
    notice: str


def remove_group(out: Path) -> None:
    """Take away what an earlier run told of a group."""
    _remove_maps(out, set())
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)


def write_group(out: Path, members: Members, run: GroupRun) -> Path:
    """Write what the maps below `out` have in common.

    Parameters
    ----------
    out : Path
        Folder that the maps are in.
    members : Members
        Who counts.
    run : GroupRun

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If a map is damaged or gone.
    OSError
        If the disk is full.
    """
    groups = average(members, lambda name: _read_map(out / name, run.contract), run.contract)
    kept: set[str] = set()
    sections = []
    for group in groups:
        pictures = {}
        for statistic, values in (("mean", group.positive), ("signedmean", group.signed)):
            if values is None:
                continue
            stem = _stem(group.kind, statistic, run.target)
            pictures[statistic] = _draw(group, statistic, values, run)
            write_nifti(out / f"{stem}.nii.gz", values, run.contract.affine_xyz, space_code=MNI)
            write_bytes(out / f"{stem}.png", pictures[statistic])
            write_text(out / f"{stem}.json", json.dumps(_describe(group, statistic, run).to_dict(), indent=2) + "\n")
            kept |= {f"{stem}{suffix}" for suffix in (".nii.gz", ".png", ".json")}
        sections.append(GroupSection(group, pictures.get("mean"), pictures.get("signedmean")))
    _remove_maps(out, kept)
    write_text(out / TABLE, _to_tsv(groups, members.failed))
    write_text(out / TABLE_ABOUT, json.dumps(ABOUT, indent=2) + "\n")
    made = {
        "model": run.model["name"],
        **{f"SHA-256 of {name}": text for name, text in run.model.items() if name != "name"},
        "method": run.method,
        "explained": "each scan's predicted class" if run.target is None else run.target.described,
        "scans": str(members.explained + members.failed),
        "space": TEMPLATE_SPACE,
    }
    write_group_page(out / PAGE, run.notice, sections, members, made)
    return out / PAGE


def _read_map(path: Path, contract: InputContract) -> NDArray[Any]:
    """Return the map of one scan, checked for its grid: another's would be averaged at the wrong place."""
    try:
        values, affine = read_voxels(path)
    except ScanError as error:
        raise _unusable(error.problem) from error
    if values.shape != contract.shape_xyz or not np.allclose(affine, contract.affine_xyz, atol=1e-3):
        raise _unusable(f"{path}: does not lie on the model's grid")
    if not np.isfinite(values).all():
        raise _unusable(f"{path}: holds values that are no numbers")
    return values


def _unusable(problem: str) -> OutputError:
    return OutputError(problem, "delete that file and give the same command again: the scan's map is made anew")


def _stem(kind: Kind, statistic: str, wished: Target | None) -> str:
    label = (wished or class_target(kind.target)).file_label or to_label(kind.target)
    return f"group_space-{TEMPLATE_SPACE}_predicted-{to_label(kind.predicted)}_stat-{statistic}_desc-{label}_relevance"


def _remove_maps(out: Path, kept: set[str]) -> None:
    """Remove mean maps of an earlier state of the folder: a class that nobody is given now has none."""
    for path in out.glob(_MAPS):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def _describe(group: Group, statistic: str, run: GroupRun) -> GroupMap:
    return GroupMap(
        group.kind.predicted, group.kind.target, f"mean over people of {STATISTICS[statistic]}", UNITS[statistic], group.people,
        group.tally.scans, group.is_few, TEMPLATE_SPACE, run.method, dict(run.model), run.notice,
    )  # fmt: skip


def _draw(group: Group, statistic: str, values: FloatArray, run: GroupRun) -> bytes:
    """Draw a mean map over the template: the one place that knows how pictures are drawn."""
    anatomy = read_anatomy()
    few = ", too few to say anything of others" if group.is_few else ""
    subject = f"Mean of {group.people} people predicted {group.kind.predicted}{few}"
    caption = Caption(subject, group.kind.target, UNITS[statistic], {}, "", run.notice)
    affine = run.contract.affine_xyz
    return draw_mosaic(anatomy.t1, anatomy.affine, values, affine, caption, mask=anatomy.brain)


# ------------------------------------------------------------------------------------------------ the table

_REGION_COLUMNS: dict[str, str] = {
    "region": "region of the template; n/a where a row tells of a group without a mean map, or of failed scans",
    "relevance_share": "part of the positive relevance in the brain, 0 to 1: mean over people, and share of the mean map",
    "relevance_share_sd": "standard deviation of that over people (n - 1)",
    "volume_share": "the region's part of the template's brain, 0 to 1",
    "ratio_to_chance": "relevance_share over volume_share: 1 is chance",
    "top_share": f"part of the people in whom the region is one of the {TOP} with the highest ratio, 0 to 1",
}
_GROUP_COLUMNS: dict[str, str] = {
    "predicted": "class that the scans were given",
    "target": "what their maps explain; maps of different targets are never averaged",
    "people": "people in the mean, each counted once: several visits are averaged first",
    "too_few": f"yes where they are fewer than {FEWEST}: too few to say anything of others; with fewer than {SHOWN_FROM} nothing is told of them",
    "scans": "scans in the mean",
    "scans_refer": "scans left out because their status is refer",
    "scans_flat": "scans left out because their map is flat, or has nothing inside the template's brain",
    "scans_failed": "scans that failed; they have no class, and a row of their own",
    "scans_checked": "scans in the mean whose map was held against random orders",
    "scans_no_better_than_chance": "scans among those whose own page says not to believe the map; they are in the mean",
    "correlation_within": "mean correlation of the signed maps of two people of the group, over voxels of the template's brain",
    "correlation_with_others": "the same of one person of the group and another of any other group",
}
ABOUT: dict[str, Any] = {
    "Notice": RESEARCH_NOTICE,
    **{name: {"Description": text} for name, text in (_GROUP_COLUMNS | _REGION_COLUMNS).items()},
}


def _to_tsv(groups: list[Group], failed: int) -> str:
    lines = ["\t".join((*_GROUP_COLUMNS, *_REGION_COLUMNS))]
    nothing = [_NOT_KNOWN] * len(_REGION_COLUMNS)
    for group in groups:
        tally = group.tally
        own = [
            _text(group.kind.predicted), _text(group.kind.target), group.people, "yes" if group.is_few else "no", tally.scans,
            tally.refer, tally.flat, 0, tally.checked, tally.doubtful if tally.checked else _NOT_KNOWN,
            _number(group.alike), _number(group.alike_others),
        ]  # fmt: skip
        rows = [
            [
                one.region, f"{one.share:.6f}", f"{one.share_sd:.6f}", f"{one.volume_share:.6f}", f"{one.ratio:.4f}",
                f"{one.top:.4f}",
            ]
            for one in group.regions
        ]  # fmt: skip
        lines += ["\t".join(map(str, [*own, *row])) for row in rows or [nothing]]
    if failed:
        own = [_NOT_KNOWN, _NOT_KNOWN, 0, "yes", 0, 0, 0, failed, 0, _NOT_KNOWN, _NOT_KNOWN, _NOT_KNOWN]
        lines.append("\t".join(map(str, [*own, *nothing])))
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """Return a cell of a table that has no quotes: on one line, and never empty."""
    return " ".join(str(escape_cell(value)).split()) or _NOT_KNOWN


def _number(value: float | None) -> str:
    return _NOT_KNOWN if value is None else f"{value:.4f}"
