"""The list of commands, and the way from arguments to the function that does the work.

Owns the help pages and the dispatch. A command is declared in `unitrate.cli.declare` (light: its options and
texts) and done in a function that is named by its path and imported only when the command runs.
To add commands: a module in `declare` with `COMMANDS`, and one line in `SECTIONS`.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from unitrate.errors import InputError

SECTIONS = (
    ("Embedded, nothing to install", "unitrate.cli.declare.embedded"),
    ("Questions", "unitrate.cli.declare.questions"),
    ("Check, try out, correct", "unitrate.cli.declare.replay"),
    ("Streaming: Kafka and a server", "unitrate.cli.declare.streaming"),
    ("Month end", "unitrate.cli.declare.months"),
)
FIRST_STEPS = """First steps:
  unitrate demo                  real agent runs become bills, in ./demo-store
  unitrate COMMAND --help        what a command does, with an example

Every command reads --store from UNITRATE_STORE and --brokers from UNITRATE_BROKERS where they are not given.
Exit codes: 0 done, 1 the answer is no, 2 wrong use or bad input."""


class Command(NamedTuple):
    """One command: what a person may type, and the path of the function that does it."""

    name: str
    summary: str  # one line, for the overview
    about: str  # what it does, for its own help page
    example: str  # one or more lines that can be typed as they are
    arguments: Callable[[argparse.ArgumentParser], None]
    run: str  # "module:function", called with the parsed arguments, returns the exit code


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def commands() -> dict[str, list[Command]]:
    """All commands by section, in the order of the overview."""
    return {title: list(importlib.import_module(module).COMMANDS) for title, module in SECTIONS}


def dispatch(argv: Sequence[str]) -> int:
    """Finds the command, parses its arguments, does it."""
    sections = commands()
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview(sections))
        return 0
    if argv[0] in ("-V", "--version"):
        from unitrate import __version__

        print(f"unitrate {__version__}")
        return 0
    known = {command.name: command for listed in sections.values() for command in listed}
    if argv[0] not in known:
        raise InputError(_unknown(argv[0], list(known)))
    command = known[argv[0]]
    try:
        arguments = parser(command).parse_args(argv[1:])
    except SystemExit as leave:  # argparse leaves that way after --help
        return int(leave.code or 0)
    module, _, function = command.run.partition(":")
    code: int = getattr(importlib.import_module(module), function)(arguments)
    return code


def parser(command: Command) -> Parser:
    """The argument parser of one command, its help page ending in the example."""
    made = Parser(
        prog=f"unitrate {command.name}",
        description=command.about,
        epilog="Example:\n" + "\n".join(f"  {line}" for line in command.example.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.arguments(made)
    return made


def overview(sections: dict[str, list[Command]]) -> str:
    """The page of `unitrate --help`."""
    lines = ["usage: unitrate COMMAND …", "", "AI requests in, bills that customers understand out."]
    for title, listed in sections.items():
        lines += ["", f"{title}:"]
        lines += [f"  {command.name:<12} {command.summary}" for command in listed]
    return "\n".join([*lines, "", FIRST_STEPS])


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    if name.startswith("-"):
        return f"{name} comes before any command; put options after it: unitrate COMMAND {name} …"
    hint = f'did you mean "{close[0]}"?' if close else "unitrate --help lists them"
    return f'"{name}" is no command; {hint}'
