"""What an exception that nobody meant amounts to: memory ran out, or a defect in adclip, and at which line of it."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from adclip.errors import DefectError

# What torch says in plain RuntimeErrors: on Linux, on Windows, and of Apple's GPUs.
_NO_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "not enough memory", "backend out of memory")


def is_memory_error(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on a device or on the CPU."""
    torch = sys.modules.get("torch")  # never imported just to ask
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _NO_MEMORY)


def defect(error: BaseException) -> DefectError:
    """Return the defect that an exception gives away: its kind and its line, without its message.

    The message is left out, as it might repeat a value of a person.
    """
    return DefectError(
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
