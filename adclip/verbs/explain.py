"""`adclip explain`: scans to heatmaps on their own grid, tables, figures and one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adclip.explanation.explain_one import Wish
from adclip.explanation.group.members import find_members
from adclip.explanation.page.index import write_run_page
from adclip.explanation.record import Explanation
from adclip.explanation.work import ExplainWork
from adclip.prediction.record_store import check_out
from adclip.prediction.stored import Stored, to_dataclass
from adclip.runtime.events import OnEvent, ignore
from adclip.verbs.cohort import gather, model_choice, open_store, read_options, tell_rest, work_through
from adclip.verbs.settings import ExplainConfig

PAGE = "explain.html"


@dataclass(frozen=True)
class ExplainResult:
    """One explanation for each scan of this run, in the order found, read when asked for; and the page that leads to all of them.

    `group` is the page of mean maps; None where the cohort has only one explained scan, or other shards are still to do theirs.
    """

    explanations: Sequence[Explanation]
    failed: int
    page: Path
    group: Path | None = None


def explain(config: ExplainConfig, on_event: OnEvent = ignore) -> ExplainResult:
    """Explain every scan; a bad scan becomes a Failed event and a failed record, the rest go on.

    Parameters
    ----------
    config : ExplainConfig
        Scans, tables, model, target. The same command goes on where a stopped one ended, as `predict` does; then the page is made
        of all scans.
    on_event : callable
        Hears of progress, of every record as it comes (`Produced`), of failures and of files tried in turn.

    Raises
    ------
    AdclipError
        If nothing can be done at all, every scan failed (then the first error), or a map of an earlier run is damaged.
    OSError
        If the disk is full; what is done stays.
    """
    from adclip.explanation.group.files import PAGE as GROUP_PAGE
    from adclip.explanation.group.files import RESULTS, GroupRun, remove_group, write_group
    from adclip.explanation.target import parse_target
    from adclip.model.record import model_folder, read_record
    from adclip.prediction.telling import check_telling

    record = read_record(model_folder(config.model))
    check_telling(config.telling, record, config.model)
    score = record.task.score_key if record.prompts.mmse_token else None
    target = parse_target(config.target, config.text, record.labels, score, record.task.score)
    check_out(config.out)
    scans = gather(config, record, on_event)
    settings = {
        "--target": config.target, "--text": config.text, "--method": config.map_method, "--faithfulness": config.faithfulness,
        "--finer": config.finer, "--shrink": config.shrink, "--seed": config.seed,
    }  # fmt: skip
    store = open_store(config, record, scans, "explanation", (PAGE, *RESULTS), settings)
    wish = Wish(target, config.map_method, config.faithfulness, config.finer, config.seed, config.shrink)
    work = ExplainWork(model_choice(config), read_options(config), store, anew=config.overwrite, wish=wish)
    tally = work_through(work, scans, config, on_event)

    def read(place: int) -> Explanation:
        return to_dataclass(Explanation, store.read(scans.jobs[place].item) or {})

    with store.locked():
        written = sum(1 for _ in store.records(scans.items))
        page, members = config.out / PAGE, find_members(store.records(scans.items), record.labels)
        # of a part of the cohort a mean would be another number with each shard, and each would read all maps again
        has_group = members.is_several and written == len(scans.every)
        write_run_page(
            page, "adclip explanations", record.notice, store.records(scans.items), len(scans.items),
            group=GROUP_PAGE if has_group else None,
        )  # fmt: skip
        group = None
        if has_group:
            run = GroupRun(record.model.contract, target, config.map_method, store.run.model, record.notice)
            group = write_group(config.out, members, run)
        else:
            remove_group(config.out)
    tell_rest(config, written, scans.every, on_event)
    return ExplainResult(Stored(read, len(scans.jobs)), tally.failed, page, group)
