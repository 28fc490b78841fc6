"""What can go wrong in `adclip.runtime`, each with its remedy."""

from __future__ import annotations

from adclip.errors import OutputError, WorkerError


def bad_id(kind: str, text: str) -> OutputError:
    return OutputError(f"{kind} `{text[:80]}`: ids may use only letters, digits, `.`, `_`, `-`, up to 64", "rename it")


def died(exit_code: int | None) -> WorkerError:
    how = f"killed by signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
    return WorkerError(
        f"the process working on it ended twice ({how}), often for want of memory",
        "run it alone, with --workers 1; on a cluster ask for more memory",
    )


def never_began(exit_code: int) -> WorkerError:
    return WorkerError(
        f"the processes that should share the work end before they begin (exit code {exit_code})",
        'in a script, put what calls adclip below `if __name__ == "__main__":`, because each process reads the script '
        "again; or use one process: workers=1, `--workers 1`",
    )
