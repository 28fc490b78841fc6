"""Exceptions to what the user reads: one problem, one remedy, one exit code."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import typer
import typer.core

from adclip.cli.catalog import COMMANDS, EXAMPLE
from adclip.errors import (
    EXIT_DEFECT,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_MISSING,
    AdclipError,
    DeviceMemoryError,
)
from adclip.runtime.exceptions import is_memory_error, origin

_FULL = {errno.ENOSPC, errno.EDQUOT}
_USERS_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


@dataclass(frozen=True)
class Failure:
    """What is wrong, what to do next, and the exit code of the contract."""

    problem: str
    remedy: str
    exit_code: int


def interrupted(exit_code: int = EXIT_INTERRUPTED) -> Failure:
    """Return the answer to Ctrl-C, or to a batch system that ends the program."""
    how = "interrupted" if exit_code == EXIT_INTERRUPTED else "terminated"
    return Failure(how, "run the same command again; files already written are whole", exit_code)


def describe(error: Exception) -> Failure:
    """Say what happened in the user's terms.

    Parameters
    ----------
    error : Exception
        Whatever a command let through.

    Returns
    -------
    failure : Failure
        Exit code 2 for wrong input or usage, 4 for something missing, 1 for a defect in adclip. The message of an
        unexpected exception is left out, as it might repeat a value of a person; `--debug` shows it.
    """
    if isinstance(error, AdclipError):
        return Failure(error.problem, error.remedy or "see `adclip --help`", error.exit_code)
    if isinstance(error, typer.TyperException):
        return _usage(error)
    if isinstance(error, typer.Abort):
        return interrupted()
    if isinstance(error, OSError) and error.errno in _FULL:
        return Failure(f"{_where(error)}: no space left", "free some disk space, or choose another --out", EXIT_MISSING)
    if isinstance(error, OSError) and error.errno in _USERS_PLACE:
        why = (error.strerror or "cannot be used").lower()
        return Failure(f"{_where(error)}: {why}", "choose another path, or correct its permissions", EXIT_INPUT)
    if is_memory_error(error):
        return describe(DeviceMemoryError.of("this machine"))
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("adclip"):
        return Failure(
            f"the package `{error.name.partition('.')[0]}` is not installed",
            "install adclip again with its dependencies: `pip install --force-reinstall adclip`",
            EXIT_MISSING,
        )
    return Failure(
        f"a defect in adclip ({type(error).__name__}{origin(error)})",
        "run it again with --debug and report the traceback",
        EXIT_DEFECT,
    )


def _usage(error: typer.TyperException) -> Failure:
    """Rephrase what the option parser says; its hint is the nearest name there is, and the command's own example line."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        lacking = message.endswith("requires an argument")
        remedy = "write a value behind it; `adclip COMMAND --help` says which" if lacking else "see `adclip --help`"
        return Failure(f"{message[:1].lower()}{message[1:]}", remedy, EXIT_INPUT)
    from adclip.cli.settings import file_of

    path, command = context.command_path, context.command
    leads = []
    file = file_of(context, parameter) if (parameter := getattr(error, "param", None)) is not None else None
    if message.startswith("No such option") and (option := getattr(error, "option_name", "")):
        message = f"no such option: {option}"  # the parser's own guesses are far from it
        leads.append(_near_option(option, command))
    elif message.startswith("No such command") and "Did you mean" not in message:
        leads.append(f"the commands are: {', '.join(COMMANDS)}")
    if (example := getattr(command, "epilog", None) or "").startswith(EXAMPLE):
        leads.append(f"for example `{example.removeprefix(EXAMPLE)}`")
    hint = "; ".join((*filter(None, leads), f"see `{path} --help`"))
    return Failure(f"{file or path}: {message[:1].lower()}{message[1:]}", hint, EXIT_INPUT)


def _near_option(option: str, command: typer.core.TyperCommand | typer.core.TyperGroup) -> str:
    """Say which option may have been meant, and, of one given to `adclip` itself, that it belongs behind the command."""
    own = {name for parameter in command.params for name in parameter.opts}
    if not isinstance(command, typer.core.TyperGroup):
        return _did_you_mean(option, own)
    command_options = {
        name
        for subcommand in command.commands.values()
        if (load := getattr(subcommand, "load", None)) is not None
        for p in load().params
        for name in p.opts
    }
    near = option if option in command_options else _nearest(option, own | command_options)
    if near in command_options:
        return f"write {'it' if near == option else f'`{near}`'} behind the command: `adclip COMMAND ... {near}`"
    return _did_you_mean(option, own)


def _did_you_mean(word: str, options: Iterable[str]) -> str:
    near = _nearest(word, options)
    return f"did you mean `{near}`?" if near else ""


def _nearest(word: str, options: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, sorted(options), n=1, cutoff=0.7)), None)


def _where(error: OSError) -> str:
    """Name the file without the folders above the current one, which may tell who works where."""
    if not error.filename:
        return "output"
    path = Path(str(error.filename))
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return path.name if path.is_absolute() else str(path)
