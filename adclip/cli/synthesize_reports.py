"""`adclip synthesize-reports`: tables in; reports, a clean table, or what is wrong with either out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from adclip.cli import tables
from adclip.cli.from_settings import Before
from adclip.cli.options import session_of
from adclip.cli.session import Session
from adclip.clinical.settings import SynthesizeReportsConfig
from adclip.errors import EXIT_INPUT, ConfigError

_SHOWN_FINDINGS = 20


def synthesize_reports_command(
    ctx: typer.Context,
    make_config: Callable[[], SynthesizeReportsConfig],
    check: Annotated[
        bool, typer.Option("--check", help="Only read the tables and say what they hold."), Before("canonical")
    ] = False,
    explain_columns: Annotated[
        bool,
        typer.Option("--explain-columns", help="Only say what each column is taken for, in which unit, and why."),
        Before("canonical"),
    ] = False,
    lint: Annotated[
        Path | None,
        typer.Option(
            "--lint",
            metavar="FILE",
            help="Look for leaks in reports of any origin; exit code 2 if any.",
            show_default=False,
        ),
        Before("overwrite"),
    ] = None,
) -> None:
    """Turn metadata tables into synthetic reports.

    ADNIMERGE, AIBL, OASIS, BIDS, FreeSurfer, SynthSeg and DLMUSE tables are known by their columns. A report says only
    what its row knows, and never a score that defines the diagnosis; the diagnosis itself stands only in the label
    phrase. Every value can be traced to its column.
    """
    session = session_of(ctx)
    table, out, canonical = (ctx.params[name] for name in ("table", "out", "canonical"))
    if lint is not None:
        if table or out or canonical:
            raise ConfigError.bad_value("--lint", "looks at one file of reports and takes no table and no --out")
        _lint(session, lint, ctx.params["task"])
        return
    only_looks = check or explain_columns
    if not table:
        raise ConfigError.bad_value(
            "TABLE", "no table is given", "for example `adclip synthesize-reports clinical.csv --check`"
        )
    if only_looks and (out or canonical):
        raise ConfigError.bad_value("--check", "writes nothing", "leave out --out and --write-canonical")
    if not only_looks and out is None and canonical is None:
        raise ConfigError.bad_value(
            "--out", "is missing", "add `--out reports.jsonl`, `--write-canonical clean.csv` or `--check`"
        )
    config = make_config()
    with session.working() as on_event:
        from adclip.verbs.synthesize_reports import synthesize_reports

        result = synthesize_reports(config, on_event)
    if explain_columns:
        session.show([meaning.to_dict() for meaning in result.table.meanings], _draw_meanings)
        return
    session.show([tables.as_record(result)], lambda records: _draw(records, result.rows))


def _draw(records: Sequence[tables.Record], first: Sequence[tables.Record]) -> None:
    """Print what was read and written, column by column, and the first reports to look at."""
    (record,) = records
    gaps = {column: count for column, count in (record.get("missing") or {}).items() if count}
    visits = record["visits"]
    tables.draw_pairs(
        [
            *(("table", f"{name}: {kind}") for name, kind in record["tables"].items()),
            ("visits", f"{visits} of {record['subjects']} subjects" if record["subjects"] else tables.text(visits)),
            ("classes", tables.counted(record.get("by_diagnosis"))),
            ("out", tables.text(record["out"])),
            ("reports", tables.text(record["reports"] or None)),
            ("clean table", tables.text(record["canonical"])),
            ("unavailable", tables.counted(gaps)),
            ("left out of texts", tables.counted(record.get("flagged"))),
            ("rows left out", tables.text(record.get("skipped") or None)),
        ]
    )
    tables.draw_table(
        ["column", "known", "missing", "from"],
        [
            [
                summary["column"],
                tables.text(summary["known"]),
                f"{100 * summary['missing'] / visits:.0f} %",
                tables.text(summary["origin"]),
            ]
            for summary in record["columns"]
        ],
    )
    tables.draw_pairs(
        [
            *((f"{column} is", text) for column, text in record["definitions"].items()),
            *((f"report {index}", tables.text(row["text"])) for index, row in enumerate(first, start=1)),
        ]
    )
    tables.draw_notices(records)


def _draw_meanings(records: Sequence[tables.Record]) -> None:
    several = len({record["table"] for record in records}) > 1
    tables.draw_table(
        [*(["table"] if several else []), "column", "is", "unit", "why"],
        (
            [
                *([tables.text(record["table"])] if several else []),
                tables.text(record["source"]),
                tables.text((record["column"] or "not used").lstrip("_")),
                tables.text(record["unit"]),
                tables.text(record["why"]),
            ]
            for record in records
        ),
    )


def _lint(session: Session, path: Path, task: Path | None) -> None:
    with session.working():
        from adclip.clinical.reports.lint import lint_reports
        from adclip.task import read_task

        result = lint_reports(path, read_task(task))
    session.show([result.to_dict()], _draw_findings)
    if result.leaks:
        raise typer.Exit(EXIT_INPUT)


def _draw_findings(records: Sequence[tables.Record]) -> None:
    (record,) = records
    findings: Sequence[Any] = record["findings"]
    tables.draw_pairs([("reports", tables.text(record["reports"])), ("leaks", tables.text(str(record["leaks"])))])
    if findings:
        tables.draw_table(
            ["line", "kind", "what"],
            (
                [tables.text(finding["line"]), tables.text(finding["kind"]), tables.text(finding["what"])]
                for finding in findings[:_SHOWN_FINDINGS]
            ),
        )
    if len(findings) > _SHOWN_FINDINGS:
        tables.draw_pairs([("and", f"{len(findings) - _SHOWN_FINDINGS} more; all of them with --json")])
