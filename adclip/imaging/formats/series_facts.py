"""What the header of a DICOM series says of its sequence, in numbers and fixed terms: nothing that somebody wrote freely."""

from __future__ import annotations

import math
from typing import Any

from adclip.imaging.formats.contrast import names_agent

# Of DICOM's MR image module (PS3.3, C.8.3.1) and of its general image modules.
TAGS = ("MRAcquisitionType", "RepetitionTime", "EchoTime", "InversionTime", "SliceThickness", "SpacingBetweenSlices")
_TIMES = {"TR": "RepetitionTime", "TE": "EchoTime", "TI": "InversionTime"}


def say_warnings(header: Any) -> list[str]:
    """Return why a series is hardly the one to choose: a contrast agent, computed from other images; empty for nothing known."""
    agent = ["contrast agent"] if names_agent(header) else []
    kind = header.get("ImageType") or ()
    first = kind if isinstance(kind, str) else str(next(iter(kind), ""))
    return [*agent, *(["derived"] if first.strip().upper() == "DERIVED" else [])]


def say_sequence(header: Any) -> str:
    """Return voxel size, dimensions and times of a series, ``1 x 1 x 1.2 mm, 3D, TR 2300, TE 2.98, TI 900 ms``; what is not there is left out."""
    facts = []
    size = [
        *_numbers(_value(header, "PixelSpacing")),
        *(_numbers(_value(header, "SpacingBetweenSlices")) or _numbers(_value(header, "SliceThickness"))),
    ]
    if len(size) == 3:
        facts.append(" x ".join(f"{abs(length):.3g}" for length in size) + " mm")
    if (kind := str(_value(header, "MRAcquisitionType")).strip()) in ("2D", "3D"):
        facts.append(kind)
    times = [f"{name} {value[0]:.4g}" for name, tag in _TIMES.items() if (value := _numbers(_value(header, tag)))]
    if times:
        facts.append(", ".join(times) + " ms")
    return ", ".join(facts)


def _value(header: Any, tag: str) -> Any:
    """Return a value of a header, None where it cannot be read: nothing here decides whether a scan is."""
    try:
        return header.get(tag)
    except Exception:  # pydicom reads a value when it is asked for, and raises classes of every kind
        return None


def _numbers(value: Any) -> list[float]:
    """Return a value or several as numbers; none where one of them is no number, as in a damaged header."""
    if value is None:
        return []
    try:
        numbers = (
            [float(value)]
            if isinstance(value, str | int | float) or not hasattr(value, "__iter__")
            else [float(item) for item in value]
        )
    except (TypeError, ValueError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []
