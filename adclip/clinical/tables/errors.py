"""What can go wrong in `adclip.clinical.tables`, each with its remedy."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from adclip.errors import LeakError, ScanError, TableError

_HINTS = 6  # in one line


class NothingOfInterestError(TableError):
    """A table is whole and says nothing of what is read here, as some of a study's extract do."""


def no_mapped_column(
    path: Path | str, column: str, table_column: str, present: Mapping[str, str], n_tables: int
) -> TableError:
    names = list(present)
    close = difflib.get_close_matches(table_column, names, n=1)
    where = f"{path} and {n_tables - 1} more" if n_tables > 1 else str(path)
    of_file = f" of {present[close[0]]}" if close and n_tables > 1 else ""
    remedy = f"did you mean `{close[0]}`{of_file}?" if close else f"its columns are: {', '.join(names[:20])}"
    return TableError(f"{where}: no column `{table_column}`, which `--column {column}={table_column}` asks for", remedy)


def likely_column(path: Path | str, column: str, file: str | None, name: str) -> TableError:
    of_file = f" of {file}" if file else ""
    return TableError(
        f"{path}: no column `{column}`",
        f'did you mean `{name}`{of_file}? rename the column or map it: `--column "{column}={name}"`',
    )


def not_that_column(path: Path | str, column: str, file: str, name: str, why: str) -> TableError:
    return TableError(
        f"{path}: no column `{column}`",
        f"`{name}` of {file} is no such column: {why}; add the table that has it, or name its column: `--column {column}=YOURS`",
    )


def same_column(path: Path | str, column: str, names: Iterable[str]) -> TableError:
    shown = ", ".join(f"`{name}`" for name in names)
    return TableError(f"{path}: columns {shown} all mean `{column}`", f"keep one, or choose: `--column {column}=YOURS`")


def no_header(path: Path | str) -> TableError:
    return TableError(
        f"{path}: the first row holds values, not names of columns",
        "add a header line such as `subject_id,age_years,sex,icv_mm3`",
    )


def header_below(path: Path | str, line: int) -> TableError:
    copy = f"tail -n +{line} {shlex.quote(str(path))} > with-header.csv"
    is_sheet = str(path).lower().endswith(".xlsx")
    return TableError(
        f"{path}: its first line names no column; the names seem to stand in line {line}",
        "delete the rows above the names in the sheet"
        if is_sheet
        else f"take away the lines above: `{copy}`, and give with-header.csv",
    )


def no_known_column(path: Path | str, hints: Iterable[str]) -> TableError:
    return NothingOfInterestError(
        f"{path}: no column name is known to adclip",
        "; ".join(list(hints)[:_HINTS])
        or "name the columns as in the documentation, or map them: `--column age_years=YOURS`",
    )


def conflict(path: Path | str, line: int, other_path: Path | str, other_line: int, column: str) -> TableError:
    column = column.lstrip("_")
    if path == other_path:
        return TableError(
            f"{path} lines {line} and {other_line}: the same visit with different `{column}`",
            "keep the right one of the two rows, or tell them apart by `session_id` or `visit_date`",
        )
    return TableError(
        f"{path} line {line} and {other_path} line {other_line}: the same visit with different `{column}`",
        f"correct one of them, or leave `{column}` out of one table",
    )


def same_subject(path: Path | str, line: int, other_line: int) -> TableError:
    return TableError(
        f"{path} lines {line} and {other_line}: the same subject twice, and nothing tells the visits apart",
        "add a `session_id` or `visit_date` column, or keep one of the rows",
    )


def which_visit(path: Path | str, line: int, column: str, visits: int) -> TableError:
    return TableError(
        f"{path} line {line}: `{column}` of a subject with {visits} visits, and no session or date says of which",
        "add a `session_id` or `visit_date` column to that table",
    )


def equally_near(path: Path | str, line: int, other_line: int) -> TableError:
    return TableError(
        f"{path} lines {line} and {other_line}: equally near in time to one visit, with different values",
        "keep the right one of the two rows, or name the session in both tables",
    )


def no_diagnosis_but_cdr(path: Path | str) -> TableError:
    return TableError(
        f"{path}: no column `diagnosis`",
        "to read CDR 0, 0.5 and >= 1 as CN, MCI and AD, add `--diagnosis-policy cdr`",
    )


def similar_ids(path: Path | str, line: int, other_path: Path | str, other_line: int) -> TableError:
    where = (
        f"{path} lines {line} and {other_line}"
        if path == other_path
        else f"{path} line {line} and {other_path} line {other_line}"
    )
    return TableError(
        f"{where}: subject ids that differ only in upper and lower case or leading zeros",
        "write the id of one person in one way; give two people ids that differ in more than that",
    )


def nothing_joins(path: Path | str, other_path: Path | str, similar: tuple[int, int] | None = None) -> TableError:
    line_note = f" (line {similar[0]} and line {similar[1]} look alike)" if similar else ""
    return TableError(
        f"{path} and {other_path}: no subject stands in both{line_note}",
        "write the ids in the same way in both tables, or name the id column: `--column subject_id=YOURS`",
    )


def perhaps_one_person(first: str, second: str) -> LeakError:
    return LeakError(
        f"scans `{first}` and `{second}`: one person twice, or two people? No table names subjects, and their names do not say",
        "add a `subject_id` column to the table, with one id for each person",
    )


def contradicting_names(path: Path | str, shown_keys: Sequence[str]) -> ScanError:
    return ScanError(
        f"{path}: its names say different people or sessions: {', '.join(shown_keys)}",
        "rename the file or its folder, or name the scan in a `scan` column of the table",
    )


def rows_are_structures(path: Path | str, structures: Sequence[str], header: Sequence[str], place: int) -> TableError:
    shown = ", ".join(f"`{name}`" for name in structures[:3])
    read = f"import pandas; pandas.read_csv({str(path)!r}, sep=None, engine='python'"
    if place == 0:
        first = header[0] if ":" in header[0] or ".volume" in header[0] else "subject"
        turn = f"{read}, index_col=0).T.to_csv('turned.csv', index_label={first!r})"
        remedy = "make it again without `--transpose` (asegstats2table, aparcstats2table), or turn it"
    else:
        turn = (
            f"{read}).pivot(index={header[0]!r}, columns={header[place]!r}, values={header[-1]!r}).to_csv('turned.csv')"
        )
        remedy = "give each structure a column"
    return TableError(
        f"{path}: its rows are structures ({shown} ...), and adclip needs a row for each scan",
        f'{remedy}: `python3 -c "{turn}"`, and give turned.csv',
    )


def numbers_for_names(path: Path | str, rows: int) -> TableError:
    return TableError(
        f"{path}: its rows are called 0 to {rows - 1}, as `asegstats2table --inputs` numbers files; whose they are it does not say",
        "name them: `--column subject_id=Measure:volume:0=ID,1=ID` with an id for each number, or make it again with `--subjects`",
    )


def percent_of_icv(path: Path | str) -> TableError:
    return TableError(
        f"{path}: its volumes are percent of the intracranial volume (EstimatedTotalIntraCranialVol is 100 in every row)",
        "make it again with asegstats2table without `--etiv`: adclip needs mm3",
    )


def other_measure(path: Path | str, measure: str) -> TableError:
    return NothingOfInterestError(
        f"{path}: it holds `{measure}` of structures, as its first cell says, and no volumes",
        "make it again with `--meas volume`",
    )


def same_result(path: Path | str, first: Path | str, second: Path | str) -> TableError:
    return TableError(
        f"{path}: {first} and {second} are of the same subject and session",
        "name the one to read, or move the other out of the folder",
    )
