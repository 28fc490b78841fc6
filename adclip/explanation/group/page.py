"""The page of a cohort's mean maps: self-contained, escaped, and without anybody's id, as it may be shared."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from adclip.explanation.group.means import FEWEST, SHOWN_FROM, TOP, Group
from adclip.explanation.group.members import Members
from adclip.runtime.paths import atomic_path


@dataclass(frozen=True)
class GroupSection:
    """A group with its pictures as PNG; None where there is no mean map."""

    group: Group
    positive: bytes | None
    signed: bytes | None


@dataclass(frozen=True)
class Cell:
    """A cell of a table; `place`, 0 to 100, draws a bar."""

    text: str
    place: float | None = None


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first cell of a row says what the row is of."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def write_group_page(
    target: Path, notice: str, sections: Sequence[GroupSection], members: Members, made: Mapping[str, str]
) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    target : Path
    notice : str
    sections : sequence of GroupSection
        Every text of them is escaped.
    members : Members
        How many scans were explained, and how many failed.
    made : mapping
        Name -> text: by what the page can be made again.

    Raises
    ------
    OSError
        If the disk is full.
    """
    values = {
        "title": "adclip explanation of a group",
        "notice": notice,
        "explained": members.explained,
        "failed": members.failed,
        "overview": _overview([one.group for one in sections]),
        "sections": [_section(one) for one in sections],
        "made": made,
        "fewest": FEWEST,
        "shown_from": SHOWN_FROM,
        "top": TOP,
    }
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(_generate("group.html", ["theme.js"], values))


def _overview(groups: Sequence[Group]) -> Table:
    rows = [
        tuple(
            Cell(text)
            for text in (
                group.kind.predicted, group.kind.target, str(group.people), _said_of(group), str(group.tally.scans),
                str(group.tally.refer), str(group.tally.flat),
                f"{group.tally.doubtful} of {group.tally.checked}" if group.tally.checked else "not measured",
                _correlation(group.alike), _correlation(group.alike_others),
            )
        )
        for group in groups
    ]  # fmt: skip
    header = (
        "predicted", "explained", "people", "enough to speak of?", "scans", "left out: refer", "left out: flat map",
        "no better than chance", "alike within the group", "alike with other groups",
    )  # fmt: skip
    return Table("Groups by predicted class and what is explained", header, tuple(rows))


def _said_of(group: Group) -> str:
    return f"no: fewer than {FEWEST}" if group.is_few else "yes"


def _correlation(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.2f}"


def _section(one: GroupSection) -> dict[str, Any]:
    """Return what the template says of one group."""
    group = one.group
    rows = tuple(
        (
            Cell(mean.region.replace("_", " ")), Cell(f"{mean.ratio:.2f}"),
            Cell(f"{mean.share:.1%} ± {mean.share_sd:.1%}"), Cell(f"{mean.volume_share:.1%}"),
            Cell(f"{mean.top:.0%}", 100 * mean.top),
        )
        for mean in group.regions
    )  # fmt: skip
    header = (
        "region",
        "ratio to chance",
        "relevance, mean ± SD",
        "volume",
        f"people in whom it is among the top {TOP}",
    )
    return {
        "predicted": group.kind.predicted,
        "target": group.kind.target,
        "people": group.people,
        "scans": group.tally.scans,
        "is_few": group.is_few,
        "positive": None if one.positive is None else _base64(one.positive),
        "signed": None if one.signed is None else _base64(one.signed),
        "regions": Table("Relevance by region of the mean map (ratio 1 is chance)", header, rows),
    }


def _generate(template: str, scripts: Sequence[str], values: Mapping[str, Any]) -> Iterator[str]:
    """Fill a template of `assets/explain`, and name in it the only scripts that may run."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_read_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    code = [_read_asset(name) for name in scripts]
    allowed = " ".join(f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'" for text in code)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )  # fmt: skip
    own = {"policy": policy, "scripts": [Markup(text) for text in code], "style": Markup(_read_asset("page.css"))}  # noqa: S704  files of adclip
    yield from environment.get_template(template).generate(**own, **values)


@lru_cache(maxsize=8)
def _read_asset(name: str) -> str:
    return (files("adclip") / "assets" / "explain" / name).read_text(encoding="utf-8")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
