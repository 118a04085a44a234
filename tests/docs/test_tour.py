"""The README's tour is real: each command in it prints what the README says it prints.

In a console block the first line is a command, the rest its output. A line `…` stands for any lines; figures
that depend on the machine (seconds, events/s) are compared by shape.

    python tests/docs/test_tour.py      writes what the commands print into the README
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"```console\n\$ unitrate (?P<command>[^\n]+)\n(?P<output>.*?)```", re.DOTALL)
SIZES = ROOT / "examples" / "package_document_sizes" / "catalog.yaml"
MACHINE = re.compile(r"[\d,.]+ s\b|[\d,]+ events/s")
EXIT_NO = {"check"}


def prepare(folder: Path) -> None:
    """The folder in which a reader stands: the examples, and a catalog with two mistakes."""
    (folder / "examples").symlink_to(ROOT / "examples")
    wrong = SIZES.read_text(encoding="utf-8").replace("meter: contract_review", "meter: contract_reveiw")
    wrong = wrong.replace("up_to: 2, rate: 0.90}, {rate", "up_to: 2, rate: 0.90}, {up_to: 1, rate")
    (folder / "wrong.yaml").write_text(wrong, encoding="utf-8")


def printed(command: str) -> str:
    """What a command prints, run in this process."""
    from unitrate.cli import main

    arguments = shlex.split(command)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = main(arguments)
    assert code == (1 if arguments[0] in EXIT_NO else 0), command
    return "".join(f"{line.rstrip()}\n" for line in output.getvalue().splitlines())


def without_the_machine(text: str) -> str:
    """Seconds and speeds differ from machine to machine."""
    return MACHINE.sub("#", text)


def test_each_command_of_the_tour_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From top to bottom, as a reader would type them."""
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = list(BLOCK.finditer(README.read_text(encoding="utf-8")))
    assert len(blocks) >= 7
    for block in blocks:
        shown = without_the_machine(block["output"])
        found = without_the_machine(printed(block["command"]))
        pattern = re.escape(shown).replace(re.escape("…\n"), r"(.*\n)*")
        assert re.fullmatch(pattern, found), f"unitrate {block['command']} prints\n{found}"


def rewrite() -> None:
    """Runs the tour and writes what it printed into the README."""
    text = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        os.chdir(folder)
        for block in BLOCK.finditer(text):
            shown = f"```console\n$ unitrate {block['command']}\n{printed(block['command'])}```"
            text = text.replace(block[0], shown)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))
    rewrite()
