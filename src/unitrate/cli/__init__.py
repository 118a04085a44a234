"""The command line: turns arguments into one call, and errors into one line and an exit code.

Owns exit codes: 0 done, 1 the answer is no, 2 wrong use or bad input, 70 a bug of ours, 130 interrupted. It
must import nothing heavy before it knows the command, so that `unitrate --help` answers at once.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from unitrate.errors import CatalogError, UnitrateError

DONE = 0
NO = 1
WRONG = 2
BUG = 70
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code and never raises for what a user can cause."""
    from unitrate.cli import registry

    _never_choke_on_letters()
    try:
        code = registry.dispatch(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _complain(
            "interrupted; the same command, run again, goes on where this one stopped", INTERRUPTED
        )
    except BrokenPipeError:
        _forget_stdout()
        return DONE
    except CatalogError as error:
        return _complain(_first_problem(error), WRONG)
    except UnitrateError as error:
        return _complain(str(error), WRONG)
    except OSError as error:
        return _complain(_os_reason(error), WRONG)
    except Exception as error:  # noqa: BLE001 - whatever else is a bug of ours: shown whole, with a code of its own
        sys.excepthook(type(error), error, error.__traceback__)
        return _complain("this is a bug of unitrate; please report it with the lines above", BUG)


def _never_choke_on_letters() -> None:
    """A terminal without Unicode gets escapes instead of an error in the middle of a table."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _complain(reason: str, code: int) -> int:
    line = " ".join(reason.split())
    try:
        sys.stdout.flush()
        print(f"unitrate: {line}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        _forget_stdout()
    return code


def _first_problem(error: CatalogError) -> str:
    """A catalog's problems in one line; `unitrate check` prints all of them."""
    if len(error.problems) < 2:
        return str(error)
    return f"{error.problems[0]} (and {len(error.problems) - 1} more: unitrate check lists them)"


def _os_reason(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"{error.filename}: {reason}" if error.filename else reason


def _forget_stdout() -> None:
    """The reader is gone (`| head`): nothing more is written, also not when Python exits."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no file, as under a test
        sys.stdout = io.StringIO()
    finally:
        os.close(devnull)
