"""Write docs/reference/cli.md and settings.schema.json from the commands themselves:  python docs/make_cli_page.py."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from adclip.cli.catalog import COMMANDS
from adclip.cli.commands import LazyCommand
from adclip.cli.from_settings import settings_of
from adclip.cli.main import PROLOGUE
from adclip.settings.schema import file_schema
from adclip.settings.setting import fields_of, parts_of

PAGE = Path(__file__).parent / "reference" / "cli.md"
SCHEMA = PAGE.with_name("settings.schema.json")
HEAD = """# Command line

<!-- Written by docs/make_cli_page.py from the commands; edit their docstrings and options instead. -->

{prologue}

| command | does |
|---|---|
{index}

## Rules for every command

**Where a setting comes from.** A flag wins over an environment variable, that over the settings file, that over the
default. The variable of an option is `ADCLIP_` and its name, `ADCLIP_BATCH_SIZE=4` for `--batch-size 4`. The settings
file is what `--config` names, else `adclip.toml` in the current folder. Its keys are option names: at the top they
speak to every command that has such an option, in a table such as `[finetune]` to that command alone. A key that no
command knows is an error. Paths count from the current folder.

**Where output goes.** Results go to stdout, everything else to stderr. With `--json`, stdout holds JSON lines and nothing
else. Progress is a bar on a terminal and plain lines elsewhere; `NO_COLOR` is respected.

**Errors** are one line `error: WHICH FILE OR ROW: what is wrong` and one line `hint: what to do next`, and the exit code
is one of these:

| code | meaning |
|---|---|
| 0 | all done; predictions with status `caution` or `refer` are done |
| 1 | a defect in adclip |
| 2 | wrong input or usage: every input was wrong, or the only one, or a model folder |
| 3 | some inputs failed, the others are done |
| 4 | something is missing: weights, a device, disk space, a package; the hint says how to get it |
| 130 | interrupted; run the same command again |
| 141 | the reader of stdout stopped early, as `head` does |
| 143 | terminated, as batch systems do; run the same command again |
"""


def page() -> str:
    """Return the whole page as Markdown."""
    index = "\n".join(f"| [`adclip {name}`](#adclip-{name}) | {entry.summary} |" for name, entry in COMMANDS.items())
    sections = [section(name) for name in COMMANDS]
    return HEAD.format(prologue=PROLOGUE, index=index) + "\n" + "\n".join(sections)


def schema() -> str:
    """Return the JSON Schema of a settings file."""
    return (
        json.dumps(file_schema({name: settings_of(LazyCommand(name).function()) for name in COMMANDS}), indent=1) + "\n"
    )


def section(name: str) -> str:
    """Return the description, example and options of one command."""
    command = LazyCommand(name).load()
    context: Any = command.make_context(name, [], resilient_parsing=True)
    usage = f"adclip {name} " + " ".join(command.collect_usage_pieces(context))
    kind = settings_of(LazyCommand(name).function())
    groups = (kind, *parts_of(kind).values())
    sentences = {field.name: field.setting.sentences for group in groups for field in fields_of(group)}
    rows = [row(parameter, sentences.get(parameter.name, parameter.help)) for parameter in command.params]
    return "\n".join(
        [
            f"## adclip {name}\n",
            inspect.cleandoc(command.help or "") + "\n",
            f"```\n{usage}\n```\n",
            f"For example `{COMMANDS[name].example}`\n",
            "| option | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def row(parameter: Any, meaning: str) -> str:
    """Return one line of the option table."""
    value = "" if isinstance(parameter.default, bool) else f" {parameter.metavar or kind_of(parameter)}"
    names = [*sorted(parameter.opts, key=len), *parameter.secondary_opts]
    shown = f"`{parameter.metavar}`" if parameter.param_type_name == "argument" else f"`{', '.join(names)}{value}`"
    return f"| {cell(shown)} | {default_of(parameter)} | {cell(meaning)} |"


def kind_of(parameter: Any) -> str:
    """Return `PATH`, `INT`, ... for an option without a metavar of its own."""
    return str(parameter.bare_type()).removeprefix("<").removesuffix(">").upper()


def default_of(parameter: Any) -> str:
    """Return the default, `required`, or nothing."""
    if parameter.required:
        return "required"
    if isinstance(parameter.default, bool):
        return "on" if parameter.default else "off"
    return "" if parameter.default is None else f"`{parameter.default}`"


def cell(text: str) -> str:
    """Return text that cannot end a table cell."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    SCHEMA.write_text(schema(), encoding="utf-8")
