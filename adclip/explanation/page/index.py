"""The page of a run: that of its scan where there is one, else an index with a row for each of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from adclip.explanation.page.content import PageContent
from adclip.explanation.page.render import generate, write_parts
from adclip.runtime.paths import atomic_path

PAGE_KIND = "page"  # among the `files` of a record
SECTION = "section"  # of a record: what its page says, see `PageContent`


def write_run_page(
    target: Path,
    title: str,
    notice: str,
    records: Iterable[Mapping[str, Any]],
    total: int,
    *,
    group: str | None = None,
) -> None:
    """Write the page that is opened first.

    Parameters
    ----------
    target : Path
        In the folder where the scans' own pages are.
    title, notice : str
        Of an index.
    records : iterable of mapping
        As the folder keeps them, looked at one at a time.
    total : int
        Scans of the run, those of other shards and those still to be done included.
    group : str, optional
        Name of the page of mean maps, where there is one.

    Raises
    ------
    OSError
        If the disk is full.
    """
    if total == 1:
        for record in records:
            if (page := _page_of(record)) is not None:
                with atomic_path(target) as temporary:
                    shutil.copyfile(target.parent / page, temporary)
                return
    values = {"title": title, "notice": notice, "rows": _rows(records), "total": total, "group": group}
    write_parts(target, generate("index.html", ["theme.js"], values))


def _rows(records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what the index says of each scan; one that failed has no page, and its error in the verdict's place."""
    for record in records:
        page = _page_of(record)
        if page is not None:
            content = PageContent.from_dict(record[SECTION])
            answer = content.answer or ""
            share = content.probabilities.get(answer)
            yield {
                "title": content.title, "scan": content.scan, "link": quote(page), "answer": answer,
                "share": "" if share is None else f"{share:.0%}", "target": content.target, "status": content.status,
                "verdict": content.verdict, "doubtful": content.doubtful, "thumbnail": content.thumbnail,
            }  # fmt: skip
        elif record.get("status") == "failed":
            yield {
                "title": f"sub-{record.get('subject_id')}", "scan": Path(str(record.get("scan"))).name, "link": "", "answer": "",
                "share": "", "target": "", "status": "failed", "verdict": record.get("error") or "", "doubtful": False, "thumbnail": "",
            }  # fmt: skip


def _page_of(record: Mapping[str, Any]) -> str | None:
    """Return the name of a scan's own page; None where it failed, or was told by a version that made none."""
    page = (record.get("files") or {}).get(PAGE_KIND)
    return page if page and SECTION in record else None
