"""How the command line is used: help, wrong use, exit codes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.builders import CATALOG
from unitrate.cli import main, registry

NAMES = [command.name for listed in registry.commands().values() for command in listed]
PROGRAM = [sys.executable, "-m", "unitrate.cli"]


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    capsys.readouterr()
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`unitrate --help` is one page with each command and what it is for."""
    code, out, _ = answer(capsys, "--help")
    assert code == 0
    assert [name for name in NAMES if f"\n  {name} " not in out] == []
    assert max(map(len, out.splitlines())) <= 110


def test_no_command_is_a_request_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    """A bare `unitrate` answers with the overview."""
    assert answer(capsys) == answer(capsys, "--help")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_help_page_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The example is a command line that names the command."""
    code, out, err = answer(capsys, name, "--help")
    assert (code, err) == (0, "")
    example = out.partition("Example:\n")[2]
    assert f"unitrate {name}" in example


@pytest.mark.parametrize("name", NAMES)
def test_every_example_can_be_parsed(name: str) -> None:
    """What a help page shows is accepted by its parser."""
    command = next(c for listed in registry.commands().values() for c in listed if c.name == name)
    for line in command.example.splitlines():
        _, _, call = line.rpartition("| ")
        words = shlex.split(call.partition(" > ")[0])
        assert words[:2] == ["unitrate", name]
        registry.parser(command).parse_args(words[2:])


WRONG = [
    (["reprot"], '"reprot" is no command; did you mean "report"?'),
    (["xyzzy"], '"xyzzy" is no command; unitrate --help lists them'),
    (
        ["--store", "x", "report"],
        "--store comes before any command; put options after it: unitrate COMMAND --store …",
    ),
    (["report"], "the following arguments are required: kind, --period; see unitrate report --help"),
    (
        ["report", "income", "--period", "2025-11"],
        "argument kind: invalid choice: 'income' (choose from 'usage', 'margin'); see unitrate report --help",
    ),
    (
        ["report", "usage", "--period", "2025-13"],
        'argument --period: "2025-13" is no month; write it as 2025-11; see unitrate report --help',
    ),
    (
        ["report", "usage", "--period", "2025-11", "--by", "account,"],
        'argument --by: "account," has an empty name; write it as account,meter; see unitrate report --help',
    ),
    (
        ["report", "usage", "--period", "2025-11", "--by", "meter,meter"],
        'argument --by: "meter,meter" names a column twice; see unitrate report --help',
    ),
    (["report", "usage", "--period", "2025-11"], "which store? Give --store FOLDER, or set UNITRATE_STORE"),
    (
        ["report", "usage", "--period", "2025-11", "--store", "nowhere"],
        "there is no store at nowhere: `unitrate run --catalog CATALOG --store nowhere EVENTS` makes one",
    ),
    (
        ["units", "--store", "x", "--disposition", "free"],
        (
            "argument --disposition: invalid choice: 'free' (choose from 'billable', 'not_billed', 'held')"
            "; see unitrate units --help"
        ),
    ),
    (
        ["tick", "--store", "x", "--until", "tomorrow"],
        'argument --until: "tomorrow" is no time; write it as 2025-12-01T00:00:00Z; see unitrate tick --help',
    ),
    (
        ["tick", "--store", "x", "--until", "2025-12-01T00:00:00"],
        (
            'argument --until: "2025-12-01T00:00:00" has no zone; write it as 2025-12-01T00:00:00Z for UTC'
            "; see unitrate tick --help"
        ),
    ),
    (["units", "--stroe", "x"], "unrecognized arguments: --stroe x; see unitrate units --help"),
    (["units", "--sto", "x"], "unrecognized arguments: --sto x; see unitrate units --help"),
    (
        ["sql", "--store", "http://localhost", "SELECT 1"],
        "store scheme 'http' is unknown: use a folder, or clickhouse://user:password@host:port/database",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_use_is_one_line_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    """No usage page, no traceback: what is wrong, and what to do."""
    monkeypatch.delenv("UNITRATE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert answer(capsys, *arguments) == (2, "", f"unitrate: {message}\n")


def test_the_store_comes_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """UNITRATE_STORE stands for --store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNITRATE_STORE", "elsewhere")
    code, _, err = answer(capsys, "units")
    assert code == 2
    assert err.startswith("unitrate: there is no store at elsewhere")


def test_help_comes_at_once() -> None:
    """Nothing heavy is imported for a help page: under 0.3 s, and under 12 times a bare interpreter.

    A ratio, as the machine is shared; chDB or pydantic alone would take more than twenty times.
    """

    def least_s(arguments: list[str]) -> float:
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run(arguments, check=True, capture_output=True)
            taken.append(time.perf_counter() - began)
        return min(taken)

    bare = least_s([sys.executable, "-c", "pass"])
    for arguments in (["--help"], ["report", "--help"]):
        assert least_s([*PROGRAM, *arguments]) < 12 * bare + 0.05


def test_help_imports_nothing_heavy() -> None:
    """The modules that make commands slow to start are not there after a help page."""
    code = (
        "import sys; from unitrate.cli import main; main(['explain', '--help']);"
        "print([m for m in ('pydantic', 'chdb', 'clickhouse_connect', 'rich', 'pyarrow', 'numpy', 'msgspec')"
        " if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_bug_of_ours_is_shown_whole_and_has_a_code_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback for the report, and neither the code of a no nor that of wrong use."""
    monkeypatch.setattr(registry, "dispatch", lambda _: 1 // 0)
    code, _, err = answer(capsys, "units")
    assert code == 70
    assert "ZeroDivisionError" in err
    assert err.endswith("unitrate: this is a bug of unitrate; please report it with the lines above\n")


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """`unitrate --help | true`: exit 0 and nothing on stderr."""
    process = subprocess.Popen(
        [*PROGRAM, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 0


def test_an_interrupt_is_one_line_and_exit_130(tmp_path: Path) -> None:
    """Ctrl-C while events are awaited on stdin."""
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG, encoding="utf-8")
    process = subprocess.Popen(
        [*PROGRAM, "run", "--catalog", str(catalog), "--store", str(tmp_path / "books"), "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "books").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)  # until it reads; an interrupt before that has the same answer
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "unitrate: interrupted; the same command, run again, goes on where this one stopped\n"
