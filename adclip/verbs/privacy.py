"""The commands run in a process whose sockets are blocked: whoever tries to reach anything is named, and the run fails."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from adclip.errors import DefectError
from adclip.runtime.environment import MISSING, OK, Finding
from adclip.runtime.events import OnEvent, Step
from adclip.runtime.paths import private_folder

# Audit events of Python (PEP 578) that come before anything leaves the process. Compiled code that opens sockets by itself raises none; in
# adclip's tree that is hf-xet alone, which `weights fetch` uses.
BLOCKED = frozenset(
    {
        "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr",
    }
)  # fmt: skip  # not `socket.bind`: urllib3 binds to ::1 when it is imported, to see whether there is IPv6, and sends nothing
PEOPLE = 12  # of the cohort that is tuned on; the smallest that gives every part of the split somebody of each class
_LIMIT_S = 1800
_ATTEMPTS: list[str] = []


class BlockedError(OSError):
    """Something tried to reach the network where nothing may."""


def run_blocked(on_event: OnEvent) -> list[Finding]:
    """Run simulate, preprocess, predict, explain and finetune with sockets blocked.

    Returns
    -------
    list of Finding
        One for each command that came to its end, and one that is missing where they took longer than the limit: a slow machine
        is no defect, but nothing is known of what did not run.

    Raises
    ------
    DefectError
        If one of them tried to reach anything, or failed.
    """
    on_event(Step("running the commands with sockets blocked; this takes some minutes"))
    with private_folder() as folder:
        done: subprocess.CompletedProcess[str] | None = None
        arguments = [sys.executable, "-m", "adclip.verbs.privacy", str(folder)]
        try:
            done = subprocess.run(  # noqa: S603  the program is this Python, the arguments are from here
                arguments, capture_output=True, text=True, timeout=_LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired as late:
            printed: str | bytes = late.stdout or ""  # bytes on some systems, though text was asked for
            said = printed.decode("utf-8", "replace") if isinstance(printed, bytes) else printed
        else:
            said = done.stdout
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{") and line.endswith("}")]
    attempts = [attempt for line in lines for attempt in line["attempts"]]
    if attempts:
        raise DefectError(
            f"with sockets blocked, {'; '.join(attempts)}", "please report this: adclip promises to reach nothing"
        )
    findings = [
        Finding(f"privacy: {line['command']}", OK, "ran with sockets blocked, and tried to reach nothing")
        for line in lines
    ]
    if done is None:
        late_finding = Finding(
            "privacy",
            MISSING,
            f"with sockets blocked, the commands did not come to their end within {_LIMIT_S // 60} minutes",
            "run `adclip doctor --privacy` again when the machine has less to do",
        )
        return [*findings, late_finding]
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise DefectError(
            f"the commands did not come to their end with sockets blocked: {last}",
            "run `adclip demo` to see which one fails",
        )
    return findings


def block() -> None:
    """Refuse every connection of this process from now on, and keep who tried; it cannot be undone."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in BLOCKED and not _is_local(event, arguments):
            refuse(event, arguments)

    def refuse(event: str, arguments: tuple[Any, ...]) -> NoReturn:
        where = next((str(part) for part in arguments if isinstance(part, tuple | str)), "?")
        callers = [frame.filename for frame in traceback.extract_stack() if "site-packages" in frame.filename]
        by = f" ({Path(callers[-1]).parent.name}/{Path(callers[-1]).name})" if callers else ""
        _ATTEMPTS.append(f"{event} to {where}{by}")
        raise BlockedError(f"{event} to {where} is blocked")

    sys.addaudithook(hook)


def _is_local(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether it is a socket of this machine's file system, by which Python's own processes talk."""
    return event == "socket.connect" and isinstance(arguments[1], str | bytes)


def run_all(folder: Path) -> None:
    """Run the commands one after the other below `folder`, and write one JSON line for each."""
    from adclip.prediction.settings import PreprocessConfig
    from adclip.simulation.settings import SimulateConfig
    from adclip.training.settings import FinetuneConfig
    from adclip.verbs.explain import explain
    from adclip.verbs.finetune import finetune
    from adclip.verbs.predict import predict
    from adclip.verbs.preprocess import preprocess
    from adclip.verbs.settings import ExplainConfig, PredictConfig
    from adclip.verbs.simulate import simulate

    head, prepared, cohort = folder / "head", folder / "prepared", folder / "cohort"
    steps = {
        "simulate": lambda: [
            simulate(SimulateConfig(head, subjects=1, spacing_mm=2.0, workers=1)),
            simulate(SimulateConfig(cohort, subjects=PEOPLE, preprocessed=True, workers=1)),
        ],
        "preprocess": lambda: preprocess(PreprocessConfig((head,), prepared, workers=1, device="cpu")),
        "predict": lambda: predict(PredictConfig((prepared,), device="cpu")),
        "explain": lambda: explain(ExplainConfig((prepared,), folder / "explained", device="cpu")),
        "finetune": lambda: finetune(
            FinetuneConfig(cohort, cohort / "table.csv", folder / "run", epochs=1, device="cpu")
        ),
    }
    for command, step in steps.items():
        before = len(_ATTEMPTS)
        try:
            step()
        finally:
            line = {"command": command, "attempts": _ATTEMPTS[before:]}
            sys.__stdout__.write(json.dumps(line) + "\n")  # type: ignore[union-attr]  # a child of ours always has one
            sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    block()
    run_all(Path(sys.argv[1]))
