"""Every error a user can meet, each with its remedy.

An error carries two texts, `problem` and `remedy`, and its exit code. Wording lives in named constructors next to the
class, so that raising reads well and tests are stable. Exactly two positional arguments are used throughout, so the
errors survive pickling into and out of worker processes.
"""

from __future__ import annotations

import difflib
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

EXIT_OK = 0
EXIT_DEFECT = 1
EXIT_INPUT = 2
EXIT_PARTIAL = 3
EXIT_MISSING = 4
EXIT_INTERRUPTED = 130


def _some(paths: Sequence[Path | str]) -> str:
    """Return the first paths of many, and how many more there are."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(map(str, paths[:3])) + more


class AdclipError(Exception):
    """Base of all expected failures.

    Parameters
    ----------
    problem : str
        Which file, row or flag, and what is wrong with it. Never a clinical value.
    remedy : str
        What the user can do next.
    """

    exit_code: int = EXIT_DEFECT

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return self.problem


class InputError(AdclipError, ValueError):
    """Something the user gave is wrong (exit code 2)."""

    exit_code = EXIT_INPUT


class ConfigError(InputError):
    """A setting has an impossible value."""

    @classmethod
    def bad_value(cls, flag: str, why: str, remedy: str = "") -> ConfigError:
        return cls(f"{flag}: {why}", remedy or "see `--help` of the command for the accepted values")


class ScanError(InputError):
    """A file is not a usable T1 scan."""

    @classmethod
    def missing(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: no such file or folder", "check the path; quote it if it contains spaces")

    @classmethod
    def unreadable(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: may not be read", "ask for permission to read it (`ls -l` shows who has it)")

    @classmethod
    def bad_path(cls, path: Path | str, why: str) -> ScanError:
        text = str(path)
        return cls(f"{text if len(text) < 100 else text[:96] + '...'}: cannot be looked at ({why})", "correct the path")

    @classmethod
    def unknown_kind(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: not the name of a scan that adclip reads",
            "give .nii, .nii.gz, .mgz, .mgh, .img/.hdr, or a folder of DICOM files",
        )

    @classmethod
    def is_folder(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: a folder with the name of a file", "give the file inside it, or rename the folder")

    @classmethod
    def empty_file(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: the file is empty", "copy or download it again")

    @classmethod
    def not_gzip(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: named .gz, but its content is not gzip",
            "if it is an uncompressed NIfTI, rename it to .nii; otherwise get the file again",
        )

    @classmethod
    def damaged_gzip(cls, path: Path | str, why: str) -> ScanError:
        return cls(f"{path}: the gzip stream is damaged ({why})", "copy or download it again; it cannot be repaired")

    @classmethod
    def not_nifti(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: no NIfTI header found", "convert the scan to NIfTI, e.g. with dcm2niix")

    @classmethod
    def not_mgh(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: no MGH header found", "copy it again, or convert it: `mri_convert IN OUT.nii.gz`")

    @classmethod
    def half_a_pair(cls, path: Path | str, other: str) -> ScanError:
        return cls(f"{path}: one file of a pair, and {other} is missing", "put the .hdr and the .img side by side")

    @classmethod
    def truncated(cls, path: Path | str, expected: int, found: int) -> ScanError:
        return cls(
            f"{path}: the header promises {expected} bytes of voxels, the file holds {found}",
            "copy or download it again; it was cut short",
        )

    @classmethod
    def too_large(cls, path: Path | str, voxels: int, cap: int) -> ScanError:
        return cls(
            f"{path}: the header asks for {voxels:,} voxels, the cap is {cap:,}",
            "a T1 head needs far fewer; check that the header is not damaged",
        )

    @classmethod
    def not_3d(cls, path: Path | str, shape: tuple[int, ...]) -> ScanError:
        return cls(
            f"{path}: expected a 3D image, found shape {shape}",
            "give one 3D T1 volume; from a series take one, e.g. `fslroi IN OUT 0 1`",
        )

    @classmethod
    def bad_type(cls, path: Path | str, kind: str) -> ScanError:
        return cls(f"{path}: voxels are {kind}, not plain numbers", "export the scan with one real value per voxel")

    @classmethod
    def not_finite(cls, path: Path | str, count: int) -> ScanError:
        return cls(
            f"{path}: {count} voxels are NaN or infinite", "replace them (e.g. `fslmaths IN -nan OUT`) or export again"
        )

    @classmethod
    def constant(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: all voxels have the same value", "the file holds no image; export the scan again")

    @classmethod
    def label_map(cls, path: Path | str, values: int) -> ScanError:
        return cls(
            f"{path}: this looks like a label map ({values} values in large even areas)",
            "give the T1 scan itself, not its segmentation",
        )

    @classmethod
    def mask(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: only two values, this is a mask", "give the T1 scan itself, not its mask")

    @classmethod
    def noise(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: neighbouring voxels have nothing in common, this is noise",
            "check how the file was made: a wrong data type or byte order looks like this",
        )

    @classmethod
    def overflow(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: voxel values are too large for 32-bit numbers",
            "check the header's scl_slope and scl_inter, or export the scan again",
        )

    @classmethod
    def wrapped(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: integer overflow, values jump between -32768 and 32767",
            "export the scan again with a type that holds its values, such as float32",
        )

    @classmethod
    def ct_like(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: intensities look like CT (Hounsfield units)", "adclip reads T1-weighted MRI only")

    @classmethod
    def bad_affine(cls, path: Path | str, why: str) -> ScanError:
        return cls(f"{path}: the affine is unusable ({why})", "export the scan again with a valid sform or qform")

    @classmethod
    def no_orientation(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: the header has no orientation, so left and right are unknown",
            "if you know for certain where its axes point, say so, for example `--orientation LAS`",
        )

    @classmethod
    def bad_voxel_size(cls, path: Path | str, sizes: tuple[float, ...], hint: str = "") -> ScanError:
        shown = " x ".join(f"{size:.3g}" for size in sizes)
        return cls(
            f"{path}: voxel size {shown} mm is impossible for a head scan",
            "check the header's pixdim and units" + (f": {hint}, adclip reads millimetres" if hint else ""),
        )

    @classmethod
    def too_small(cls, path: Path | str, shape: tuple[int, ...], extent_mm: tuple[float, ...]) -> ScanError:
        shown = " x ".join(f"{size:.0f}" for size in extent_mm)
        return cls(
            f"{path}: shape {shape} covers only {shown} mm, too little for a head",
            "give the full 3D T1 scan, not a localiser or a slab",
        )

    @classmethod
    def no_brain(cls, path: Path | str, why: str) -> ScanError:
        return cls(f"{path}: no brain found ({why})", "check that this is a T1-weighted head scan")

    @classmethod
    def not_t1(cls, path: Path | str, what: str) -> ScanError:
        return cls(
            f"{path}: not a T1-weighted scan; this looks like {what}",
            "give the T1 scan; if you are sure that this is one, let it through: `--override SUBJECT=pass`",
        )

    @classmethod
    def not_a_head(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: nothing of a brain is found again in it; this looks like a phantom or another part of the body",
            "check that this is a T1-weighted head scan; if you are sure, let it through: `--override SUBJECT=pass`",
        )

    @classmethod
    def registration_failed(cls, path: Path | str, why: str) -> ScanError:
        return cls(
            f"{path}: alignment to the MNI template failed ({why})", "check the field of view and the orientation"
        )

    @classmethod
    def no_scans(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: no scans in this folder (.nii, .nii.gz, .mgz, .mgh, .img/.hdr or DICOM)",
            "give the folder that holds the scans",
        )

    @classmethod
    def only_left_out(cls, path: Path | str, why: str) -> ScanError:
        return cls(
            f"{path}: no scans in this folder; {why}", "give the folder that holds the scans, or name a file itself"
        )

    @classmethod
    def no_dicom(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: no DICOM images directly in this folder", "give the folder that holds the files of one series"
        )

    @classmethod
    def damaged_dicom(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: no readable DICOM header", "copy the file again, or remove it if it is no image")

    @classmethod
    def single_dicom(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: one DICOM slice", "give the folder that holds all slices of the series")

    @classmethod
    def several_patients(cls, path: Path | str, count: int) -> ScanError:
        return cls(f"{path}: DICOM files of {count} patients", "put each patient's files into a folder of their own")

    @classmethod
    def several_series(cls, path: Path | str, listing: str) -> ScanError:
        first = listing.split(" ")[0]
        return cls(
            f"{path}: several DICOM series: {listing}",
            f"choose the T1 scan by the word it is listed under, such as `--series {first}`",
        )

    @classmethod
    def no_such_series(cls, path: Path | str, wanted: str, listing: str) -> ScanError:
        first = listing.split(" ")[0]
        return cls(
            f"{path}: no DICOM series {wanted}; there are: {listing}",
            f"choose by the word a series is listed under, such as `--series {first}`",
        )

    @classmethod
    def same_series_number(cls, path: Path | str, wanted: str, listing: str) -> ScanError:
        return cls(
            f"{path}: more than one DICOM series has the number {wanted}: {listing}",
            f"choose one by the word it is listed under, such as `--series {listing.split(' ')[0]}`",
        )

    @classmethod
    def not_mr(cls, path: Path | str, modality: str) -> ScanError:
        return cls(f"{path}: the DICOM modality is {modality}, not MR", "adclip reads T1-weighted MRI only")

    @classmethod
    def few_slices(cls, path: Path | str, count: int) -> ScanError:
        return cls(
            f"{path}: the DICOM series has only {count} slice{'s' * (count != 1)}, like a localiser",
            "give the folder of the full 3D T1 series",
        )

    @classmethod
    def mixed_slices(cls, path: Path | str, what: str) -> ScanError:
        return cls(
            f"{path}: the DICOM slices differ in their {what}",
            "give the folder of one 3D series; localisers and reformatted images do not belong to it",
        )

    @classmethod
    def no_position(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: DICOM slices without position, orientation or pixel size", "export the original series")

    @classmethod
    def repeated_slices(cls, path: Path | str, count: int) -> ScanError:
        return cls(
            f"{path}: {count} DICOM slices lie where another one lies (copies, echoes or repetitions)",
            "keep one file for each position",
        )

    @classmethod
    def missing_slices(cls, path: Path | str, count: int) -> ScanError:
        return cls(
            f"{path}: {count} DICOM slice{'s' * (count != 1)} missing in between", "export the series again, complete"
        )

    @classmethod
    def uneven_slices(cls, path: Path | str, low: float, high: float) -> ScanError:
        return cls(
            f"{path}: DICOM slices are unevenly spaced ({low:.2f} to {high:.2f} mm)",
            "export the series again, complete; resampled or mixed slices do not make a volume",
        )

    @classmethod
    def conversion_failed(cls, path: Path | str, why: str) -> ScanError:
        return cls(
            f"{path}: the DICOM series could not be converted ({why})",
            "convert it with another program to NIfTI and give that file",
        )

    @classmethod
    def all_failed_quality(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: every scan has the quality verdict `fail`",
            "look at qc.html; `adclip preprocess ... --override SUBJECT=pass` accepts a scan",
        )

    @classmethod
    def not_preprocessed(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: not an adclip derivative", "run `adclip preprocess INPUT --out DIR` first and give DIR")

    @classmethod
    def wrong_grid(cls, path: Path | str, found: tuple[int, ...], wanted: tuple[int, ...]) -> ScanError:
        return cls(
            f"{path}: preprocessed on a grid of {found}, the model needs {wanted}",
            "preprocess the raw scan again for this model: `adclip preprocess SCANS --out DIR --model NAME`",
        )

    @classmethod
    def wrong_contract(cls, path: Path | str) -> ScanError:
        return cls(
            f"{path}: preprocessed by other intensity rules than the model needs",
            "preprocess the raw scan again for this model: `adclip preprocess INPUT --model RUN --out DIR`",
        )

    @classmethod
    def contradicting_names(cls, path: Path | str, said: Sequence[str]) -> ScanError:
        return cls(
            f"{path}: its names say different people or sessions: {', '.join(said)}",
            "rename the file or its folder, or name the scan in a `scan` column of the table",
        )

    @classmethod
    def changed(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: the file changed while it was read", "wait until it is written, then run again")


class TableError(InputError):
    """A metadata table is unusable."""

    @classmethod
    def missing_file(cls, path: Path | str) -> TableError:
        return cls(f"{path}: no such table", "check the path")

    @classmethod
    def unreadable(cls, path: Path | str, why: str) -> TableError:
        return cls(f"{path}: not a readable table ({why})", "give a CSV, TSV or JSON table in UTF-8")

    @classmethod
    def no_column(cls, path: Path | str, column: str, present: Iterable[str], likely: str | None = None) -> TableError:
        likely = likely or next(iter(difflib.get_close_matches(column, list(present), n=1)), None)
        meant = f"did you mean `{likely}`? " if likely else ""
        yours = likely or "YOURS"
        return cls(
            f"{path}: no column `{column}`", f'{meant}rename the column or map it: `--column "{column}={yours}"`'
        )

    @classmethod
    def no_mapped_column(cls, path: Path | str, column: str, theirs: str, present: Iterable[str]) -> TableError:
        names = list(present)
        close = difflib.get_close_matches(theirs, names, n=1)
        remedy = f"did you mean `{close[0]}`?" if close else f"its columns are: {', '.join(names[:20])}"
        return cls(f"{path}: no column `{theirs}`, which `--column {column}={theirs}` asks for", remedy)

    @classmethod
    def bad_cell(cls, path: Path | str, line: int, column: str, why: str, remedy: str = "") -> TableError:
        return cls(
            f"{path} line {line}, column `{column}`: {why}", remedy or "correct the cell, or leave it empty if unknown"
        )

    @classmethod
    def bad_row(cls, path: Path | str, line: int, why: str) -> TableError:
        return cls(f"{path} line {line}: {why}", "check quotes and separators of that row; save the table again")

    @classmethod
    def named_twice(cls, path: Path | str, column: str) -> TableError:
        return cls(f"{path}: the header names column `{column}` more than once", "give every column its own name")

    @classmethod
    def same_column(cls, path: Path | str, column: str, names: Iterable[str]) -> TableError:
        shown = ", ".join(f"`{name}`" for name in names)
        return cls(f"{path}: columns {shown} all mean `{column}`", f"keep one, or choose: `--column {column}=YOURS`")

    @classmethod
    def no_header(cls, path: Path | str) -> TableError:
        return cls(
            f"{path}: the first row holds values, not names of columns",
            "add a header line such as `subject_id,age_years,sex,icv_mm3`",
        )

    @classmethod
    def no_known_column(cls, path: Path | str, hints: Iterable[str]) -> TableError:
        return cls(
            f"{path}: no column name is known to adclip",
            "; ".join(list(hints)[:3])
            or "name the columns as in the documentation, or map them: `--column age_years=YOURS`",
        )

    @classmethod
    def ambiguous(cls, path: Path | str, who: str, lines: Iterable[int]) -> TableError:
        shown = ", ".join(str(line) for line in lines)
        return cls(
            f"{path}: lines {shown} all match {who}",
            "keep one row, name the scan in a `scan` column, or add a `session_id` column that tells them apart",
        )

    @classmethod
    def bare_name(cls, path: Path | str, line: int, name: str, scans: Sequence[Path | str]) -> TableError:
        return cls(
            f"{path} line {line}: `{name}` is the name of {len(scans)} scans of this run: {_some(scans)}",
            "write the path of the scan, from the folder of the table, in place of its bare name: `./T1.nii` for one beside the table",
        )

    @classmethod
    def subject_of_several(cls, path: Path | str, subject: str, scans: Sequence[Path | str]) -> TableError:
        return cls(
            f"--subject {subject}: {len(scans)} scans have no row in {path}, and one id cannot be all of them: {_some(scans)}",
            "give one scan at a time, or name each scan in a `scan` column of the table",
        )

    @classmethod
    def same_scan(cls, path: Path | str, line: int, other: Path | str, other_line: int) -> TableError:
        where = f"lines {other_line} and {line}" if path == other else f"line {line} and {other} line {other_line}"
        return cls(
            f"{path} {where}: one scan under two subjects or sessions", "correct the path or the id in one of the rows"
        )

    @classmethod
    def blank_id(cls, path: Path | str, line: int) -> TableError:
        return cls(
            f"{path} line {line}: no subject id, and other rows have one",
            "fill in whose row it is, or take the row out; nobody's row would count as one more person",
        )

    @classmethod
    def no_rows(cls, path: Path | str, why: str) -> TableError:
        return cls(f"{path}: {why}", "check that the table and the scans belong together")

    @classmethod
    def no_class(cls, path: Path | str, absent: list[str]) -> TableError:
        return cls(
            f"{path}: no scan has a row with diagnosis {', '.join(absent)}",
            "add subjects of that group, or train for the classes that are there: `--task FILE.toml`",
        )

    @classmethod
    def conflict(cls, path: Path | str, line: int, other: Path | str, other_line: int, column: str) -> TableError:
        column = column.lstrip("_")
        if path == other:
            return cls(
                f"{path} lines {line} and {other_line}: the same visit with different `{column}`",
                "keep the right one of the two rows, or tell them apart by `session_id` or `visit_date`",
            )
        return cls(
            f"{path} line {line} and {other} line {other_line}: the same visit with different `{column}`",
            f"correct one of them, or leave `{column}` out of one table",
        )

    @classmethod
    def same_subject(cls, path: Path | str, line: int, other_line: int) -> TableError:
        return cls(
            f"{path} lines {line} and {other_line}: the same subject twice, and nothing tells the visits apart",
            "add a `session_id` or `visit_date` column, or keep one of the rows",
        )

    @classmethod
    def which_visit(cls, path: Path | str, line: int, column: str, visits: int) -> TableError:
        return cls(
            f"{path} line {line}: `{column}` of a subject with {visits} visits, and no session or date says of which",
            "add a `session_id` or `visit_date` column to that table",
        )

    @classmethod
    def equally_near(cls, path: Path | str, line: int, other_line: int) -> TableError:
        return cls(
            f"{path} lines {line} and {other_line}: equally near in time to one visit, with different values",
            "keep the right one of the two rows, or name the session in both tables",
        )

    @classmethod
    def no_diagnosis_but_cdr(cls, path: Path | str) -> TableError:
        return cls(
            f"{path}: no column `diagnosis`",
            "to read CDR 0, 0.5 and >= 1 as CN, MCI and AD, add `--diagnosis-policy cdr`",
        )

    @classmethod
    def similar_ids(cls, path: Path | str, line: int, other: Path | str, other_line: int) -> TableError:
        where = (
            f"{path} lines {line} and {other_line}"
            if path == other
            else f"{path} line {line} and {other} line {other_line}"
        )
        return cls(
            f"{where}: subject ids that differ only in upper and lower case or leading zeros",
            "write the id of one person in one way; give two people ids that differ in more than that",
        )

    @classmethod
    def nothing_joins(cls, path: Path | str, other: Path | str, similar: tuple[int, int] | None = None) -> TableError:
        seen = f" (line {similar[0]} and line {similar[1]} look alike)" if similar else ""
        return cls(
            f"{path} and {other}: no subject stands in both{seen}",
            "write the ids in the same way in both tables, or name the id column: `--column subject_id=YOURS`",
        )


class ReportError(InputError):
    """A text is not a report of adclip's templates."""

    @classmethod
    def not_a_report(cls, position: int) -> ReportError:
        return cls(
            f"report text leaves the template at character {position}",
            "give the text as `adclip synthesize-reports` wrote it",
        )


class LeakError(InputError):
    """The answer would leak into the input, or subjects straddle a split."""

    @classmethod
    def subject_in_two_parts(cls, subjects: Sequence[str], parts: Iterable[str]) -> LeakError:
        shown = " and ".join(f"`{subject}`" for subject in subjects)
        who = f"subjects {shown} are one person, who" if len(subjects) > 1 else f"subject {shown}"
        return cls(
            f"{who} stands in more than one part of the split: {', '.join(sorted(parts))}",
            "keep all visits of a subject in one part; delete the split file to draw a new one",
        )

    @classmethod
    def near_duplicates(cls, first: str, second: str, correlation: float) -> LeakError:
        return cls(
            f"subjects `{first}` and `{second}`: nearly the same image (correlation {correlation:.4f})",
            "if they are one person, give both rows one `subject_id`; else leave one of them out",
        )

    @classmethod
    def perhaps_one_person(cls, first: str, second: str) -> LeakError:
        return cls(
            f"scans `{first}` and `{second}`: one person twice, or two people? No table names subjects, and their names do not say",
            "add a `subject_id` column to the table, with one id for each person",
        )

    @classmethod
    def answer_in_report(cls, subject: str) -> LeakError:
        return cls(f"the report of subject `{subject}` changes with the diagnosis or a score", "report this: a defect")

    @classmethod
    def same_image(cls, first: Path | str, second: Path | str) -> LeakError:
        return cls(
            f"{first} and {second}: the same image under two subject ids",
            "remove one of them, or give both rows the same `subject_id`",
        )


class OutputError(InputError):
    """The output place cannot be used."""

    @classmethod
    def exists(cls, path: Path | str) -> OutputError:
        return cls(f"{path}: exists already", "choose another --out, or add --overwrite")

    @classmethod
    def not_a_run(cls, path: Path | str) -> OutputError:
        return cls(f"{path}: holds files that are not a run's", "choose a new or empty folder for --out")

    @classmethod
    def other_settings(cls, path: Path | str, changed: Sequence[str]) -> OutputError:
        why = f" ({'; '.join(changed[:3])})" if changed else ", scans or rows"
        return cls(
            f"{path}: holds an unfinished run with other settings{why}",
            "repeat its settings to resume it, choose another --out, or add --overwrite",
        )

    @classmethod
    def busy(cls, path: Path | str, lock: Path | str) -> OutputError:
        return cls(
            f"{path}: another run is writing there",
            f"wait until it has ended, or choose another --out; if none runs, on any machine, delete {lock}",
        )

    @classmethod
    def no_place(cls, path: Path | str, why: str) -> OutputError:
        return cls(f"{path}: cannot be written ({why})", "choose another place, or make its folder writable")

    @classmethod
    def is_input(cls, path: Path | str) -> OutputError:
        return cls(
            f"{path}: --out is one of the inputs; its raw scans would be mistaken for results and left out",
            "choose a folder of its own for the results, such as `--out derivatives`",
        )

    @classmethod
    def bad_id(cls, kind: str, text: str) -> OutputError:
        return cls(f"{kind} `{text[:80]}`: ids may use only letters, digits, `.`, `_`, `-`, up to 64", "rename it")


class TrainingError(InputError):
    """A training cannot go on with its settings."""

    @classmethod
    def diverged(cls, what: str, epoch: int, learning_rate: float) -> TrainingError:
        return cls(
            f"the {what} is no longer a number in epoch {epoch}: training has diverged at --learning-rate {learning_rate:g}",
            f"start anew with smaller steps: add `--learning-rate {learning_rate / 10:g} --overwrite`",
        )


class CheckpointError(InputError):
    """A model folder is unusable."""

    @classmethod
    def is_baseline(cls, path: Path | str) -> CheckpointError:
        return cls(
            f"{path}: a baseline for comparison; its numbers stand there, but no model to predict with",
            "use a RUN of `adclip finetune --method prompt`, `lora` or `full`",
        )

    @classmethod
    def missing(cls, path: Path | str) -> CheckpointError:
        return cls(f"{path}: not an adclip model folder", "give the RUN folder that `adclip finetune --out RUN` wrote")

    @classmethod
    def no_folder(cls, path: Path | str) -> CheckpointError:
        return cls(f"{path}: no such folder", "check the path after --model; without it the builtin model answers")

    @classmethod
    def unfinished(cls, path: Path | str) -> CheckpointError:
        return cls(f"{path}: an unfinished run", "give its `adclip finetune` line again; it goes on where it stopped")

    @classmethod
    def damaged(cls, path: Path | str, why: str) -> CheckpointError:
        return cls(f"{path}: {why}", "copy the folder again, or train again with `adclip finetune ... --overwrite`")

    @classmethod
    def newer_schema(cls, path: Path | str, found: int, known: int) -> CheckpointError:
        return cls(
            f"{path}: written by a newer adclip (schema {found}, known {known})", "upgrade: `pip install -U adclip`"
        )

    @classmethod
    def other_template(cls, style: str, found: str, known: Iterable[str]) -> CheckpointError:
        return cls(
            f"the model reads reports of style {style}, version {found}; this adclip writes version {', '.join(known)}",
            "train again with `adclip finetune`, or install the adclip version named in adapter.json",
        )

    @classmethod
    def keys_differ(cls, path: Path | str, missing: Iterable[str], unknown: Iterable[str]) -> CheckpointError:
        lack, extra = sorted(missing), sorted(unknown)
        return cls(
            f"{path}: weights do not fit the model; missing {lack[:5]}, unknown {extra[:5]}",
            "use the base model named in adapter.json, or train again",
        )

    @classmethod
    def shape_differs(
        cls, path: Path | str, name: str, found: tuple[int, ...], wanted: tuple[int, ...]
    ) -> CheckpointError:
        return cls(
            f"{path}: `{name}` has shape {found}, the model needs {wanted}",
            "use the weights and the config.json that belong together, or train again",
        )

    @classmethod
    def not_safetensors(cls, path: Path | str) -> CheckpointError:
        return cls(
            f"{path}: not a readable safetensors file (cut short, or of another format)",
            "copy it again; pickled weights have to be converted to safetensors first",
        )

    @classmethod
    def bad_base(cls, path: Path | str, why: str) -> CheckpointError:
        return cls(f"{path}: {why}", "give a folder in M3D-CLIP's layout: model.safetensors, config.json, vocab.txt")

    @classmethod
    def no_text_tower(cls) -> CheckpointError:
        return cls(
            "this base is a bare image tower: it has no text tower to read a report or a class phrase",
            "use the whole model, such as `m3d-clip`",
        )

    @classmethod
    def other_grid(cls, found: tuple[int, ...], wanted: tuple[int, ...]) -> CheckpointError:
        return cls(
            f"images of shape {found}, the model takes (B, {', '.join(map(str, wanted))})",
            "preprocess with `--model` of the same name, or load the base with `contract=`",
        )

    @classmethod
    def other_base(cls, path: Path | str, wanted: str, found: str) -> CheckpointError:
        return cls(
            f"{path}: made for base weights {wanted[:12]}, found {found[:12]}",
            "install the adclip version that wrote it",
        )


class WeightsError(AdclipError):
    """Base weights are absent or not the ones expected (exit code 4)."""

    exit_code = EXIT_MISSING

    @classmethod
    def unknown_base(cls, name: str, known: Iterable[str]) -> WeightsError:
        return cls(f"no base model `{name}`", f"choose one of: {', '.join(known)}")

    @classmethod
    def hash_differs(cls, path: Path | str) -> WeightsError:
        return cls(
            f"{path}: SHA-256 differs from the recorded one",
            "fetch or import it again with --overwrite (`adclip weights verify` checks it); if it came with adclip, "
            "reinstall adclip",
        )

    @classmethod
    def not_fetched(cls, name: str) -> WeightsError:
        return cls(f"no weights for {name} on this machine", f"`adclip weights fetch {name}`")

    @classmethod
    def no_weights(cls, path: Path | str) -> WeightsError:
        return cls(f"{path}: no safetensors file there", "give the folder that holds model.safetensors, or the file")

    @classmethod
    def several_files(cls, path: Path | str, names: Sequence[str]) -> WeightsError:
        return cls(f"{path}: holds several safetensors files ({', '.join(names[:4])})", "name the one to use")

    @classmethod
    def pickled(cls, path: Path | str) -> WeightsError:
        return cls(
            f"{path}: not a safetensors file; pickled weights can run code when they are opened, so adclip never does",
            "convert it to safetensors where you trust it, and give that file",
        )

    @classmethod
    def no_tokenizer(cls, path: Path | str) -> WeightsError:
        return cls(f"{path}: no vocab.txt for its text tower", "give it with `--tokenizer vocab.txt`")

    @classmethod
    def other_vocabulary(cls, path: Path | str, found: int, wanted: int) -> WeightsError:
        return cls(
            f"{path}: {found} entries, the text tower knows {wanted}",
            "give the vocab.txt that belongs to the weights, with `--tokenizer`",
        )

    @classmethod
    def offline(cls, repository: str) -> WeightsError:
        return cls(
            f"{repository}: HF_HUB_OFFLINE forbids the network",
            "unset it; or on another machine `adclip weights fetch` and `adclip weights export m3d-clip`, and here "
            "`adclip weights import m3d-clip.adclip.zip`",
        )

    @classmethod
    def connection_broke(cls, repository: str, why: str) -> WeightsError:
        return cls(
            f"{repository}: the hub cannot be reached, or the connection broke off ({why})",
            "run the same command again, it continues where it stopped; behind a proxy set HTTPS_PROXY, for a mirror "
            "HF_ENDPOINT; without any network, `adclip weights import`",
        )

    @classmethod
    def hub_refuses(cls, repository: str, why: str) -> WeightsError:
        return cls(f"{repository}: the hub refuses ({why})", "check HF_ENDPOINT, HF_TOKEN and --revision")

    @classmethod
    def hub_nonsense(cls, repository: str, why: str) -> WeightsError:
        return cls(f"{repository}: the hub's record is of no use ({why})", "check HF_ENDPOINT, or try later")

    @classmethod
    def wrong_content(cls, repository: str, file: str, why: str) -> WeightsError:
        return cls(
            f"{repository}: {file} is not what the hub's record says ({why}); it was deleted",
            "run the same command again; if it happens again, check HF_ENDPOINT and the proxy",
        )

    @classmethod
    def other_revision(cls, name: str, pinned: str, asked: str) -> WeightsError:
        return cls(
            f"{name}: revision {pinned[:12]} is here, {asked[:12]} was asked for; adapters are tied to the first",
            "add --overwrite to replace it",
        )

    @classmethod
    def changed_upstream(cls, name: str, pinned: str, found: str) -> WeightsError:
        return cls(
            f"{name}: the hub now has other weights (SHA-256 {found[:12]}) under the recorded revision ({pinned[:12]})",
            "do not use them; if you trust the change, delete the folder that `adclip weights path` names, and fetch again",
        )

    @classmethod
    def other_weights(cls, name: str, there: str, given: str) -> WeightsError:
        return cls(
            f"{name}: other weights of that name are here (SHA-256 {there[:12]}, given {given[:12]})",
            "choose another --name, or add --overwrite",
        )

    @classmethod
    def not_an_archive(cls, path: Path | str) -> WeightsError:
        return cls(f"{path}: not a whole archive of `adclip weights export`", "copy it again, or export it again")

    @classmethod
    def is_a_run(cls, path: Path | str) -> WeightsError:
        return cls(f"{path}: holds a tuned model, not a base", "unzip it into a folder and give that to --model")

    @classmethod
    def not_in_store(cls, name: str) -> WeightsError:
        return cls(f"{name}: not in the store yet", f"`adclip weights import {name}` first")

    @classmethod
    def base_of_adapter(cls, name: str, sha256: str) -> WeightsError:
        return cls(
            f"the base model `{name}` (SHA-256 {sha256[:12]}...) that this adapter was made for is not on this machine",
            f"`adclip weights import FOLDER --name {name}` with the folder or file that holds it",
        )


class MissingPackageError(AdclipError):
    """An optional package is needed (exit code 4)."""

    exit_code = EXIT_MISSING

    @classmethod
    def needed(cls, package: str, extra: str) -> MissingPackageError:
        return cls(f"the package `{package}` is not installed", f"pip install 'adclip[{extra}]'")

    @classmethod
    def broken(cls, package: str) -> MissingPackageError:
        return cls(
            f"the package `{package}` is not installed or cannot run", f"pip install --force-reinstall {package}"
        )


class DeviceError(AdclipError):
    """The requested device is not there, or is too small (exit code 4)."""

    exit_code = EXIT_MISSING

    @classmethod
    def absent(cls, device: str) -> DeviceError:
        return cls(f"--device {device}: not available on this machine", "use --device cpu, or --device auto")

    @classmethod
    def no_precision(cls, precision: str, device: str) -> DeviceError:
        return cls(f"--precision {precision}: not on {device}", "use --precision bf16 or fp32")


class DeviceMemoryError(DeviceError):
    """Memory ran out on one item; a smaller one may still fit."""

    @classmethod
    def of(cls, device: str) -> DeviceMemoryError:
        return cls(
            f"{device} ran out of memory",
            "use fewer --workers, a smaller --batch-size where there is one, or --device cpu",
        )


# What torch says in plain RuntimeErrors: on Linux, on Windows, and of Apple's GPUs.
_NO_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "not enough memory", "backend out of memory")


def is_memory_error(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on a device or on the CPU."""
    torch = sys.modules.get("torch")  # never imported just to ask
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


class WorkerError(AdclipError):
    """A process of adclip's own was ended from outside (exit code 4: most often memory is missing)."""

    exit_code = EXIT_MISSING

    @classmethod
    def died(cls, exit_code: int | None) -> WorkerError:
        how = f"killed by signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
        return cls(
            f"the process working on it ended twice ({how}), often for want of memory",
            "run it alone, with --workers 1; on a cluster ask for more memory",
        )

    @classmethod
    def never_began(cls, exit_code: int) -> WorkerError:
        return cls(
            f"the processes that should share the work end before they begin (exit code {exit_code})",
            'in a script, put what calls adclip below `if __name__ == "__main__":`, because each process reads the script '
            "again; or use one process: workers=1, `--workers 1`",
        )


class DefectError(AdclipError):
    """Something adclip did not foresee, on one item of many (exit code 1)."""

    @classmethod
    def of(cls, error: BaseException) -> DefectError:
        # The message is left out, as it might repeat a value of a person.
        return cls(
            f"a defect in adclip ({type(error).__name__}{origin(error)})",
            "run this one alone with --debug and report the traceback",
        )


def origin(error: BaseException) -> str:
    """Name the last line of adclip's own code that was running, as ` in adclip/file.py, line N`, or nothing."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        parts = Path(frame.filename).parts
        if "adclip" in parts:
            start = len(parts) - 1 - parts[::-1].index("adclip")
            return f" in {'/'.join(parts[start:])}, line {frame.lineno}"
    return ""
