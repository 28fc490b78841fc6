"""How the user's own folders name scans: a path with `{subject}`, `{session}`, `{date}` and `{image}` in it."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path

from adclip.errors import ConfigError
from adclip.imaging.formats.names import strip_ending
from adclip.imaging.sources.archives import Archived

FLAG = "--name-pattern"
_EXAMPLE = f"for example {FLAG} '{{subject}}/{{date}}/*'"
_PART = r"[^/]+?"
_FIELDS = {
    "subject": _PART,
    "session": _PART,
    "image": _PART,
    "date": r"\d{4}-?\d\d-?\d\d",
}
_HOLDER = re.compile(r"\{([^{}]*)\}|(\*)")


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern such as ``{subject}/{session}/*``.

    Parameters
    ----------
    text : str
        The end of a path: each `{...}` stands for a part of a name, `*` for anything within one name, all else for itself. The ending
        of the scan's file may be left out.

    Raises
    ------
    ConfigError
        If it has no `{subject}`, another `{...}` than subject, session, date and image, or one of them twice.

    Examples
    --------
    >>> compile_pattern("{subject}/{date}/*").search("/data/P01/20200131/t1.nii.gz")["subject"]
    'P01'
    """
    made, at, seen = "", 0, set()
    for match in _HOLDER.finditer(text):
        made += re.escape(text[at : match.start()])
        name, at = match[1], match.end()
        if match[2]:
            made += "[^/]*?"
            continue
        if name not in _FIELDS:
            raise ConfigError.bad_value(
                FLAG, f"`{{{name}}}` is none of {{subject}}, {{session}}, {{date}} and {{image}}", _EXAMPLE
            )
        if name in seen:
            raise ConfigError.bad_value(FLAG, f"`{{{name}}}` stands in it twice", "write `*` for the second one")
        seen.add(name)
        made += f"(?P<{name}>{_FIELDS[name]})"
    if "subject" not in seen:
        raise ConfigError.bad_value(FLAG, f"`{text}` has no {{subject}}", _EXAMPLE)
    return re.compile(f"(?:^|/){made + re.escape(text[at:])}$")


def read_pattern(pattern: re.Pattern[str], path: Path) -> Archived | None:
    """Return subject and session of a scan by the user's pattern, or None where its path has another form.

    The session is `{session}`, else the day and the image; a day is one of the calendar, else the path does not fit.
    """
    whole = Path(os.path.abspath(path)).as_posix()  # noqa: PTH100  unlike Path.absolute it makes away with `..`
    match = pattern.search(whole) or pattern.search(_without_ending(whole))
    if match is None:
        return None
    found = match.groupdict()
    day = found.get("date")
    if day is not None:
        try:
            day = date.fromisoformat(day).isoformat()
        except ValueError:
            return None
    session = found.get("session") or "_".join(filter(None, (day, found.get("image"))))
    return Archived(found["subject"], session)


def _without_ending(whole: str) -> str:
    folder, slash, name = whole.rpartition("/")
    return f"{folder}{slash}{strip_ending(name)}"
