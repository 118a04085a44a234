"""Every mistake of an operator gives the exact line that names place, path and fix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.builders import GOOD, problems, with_change

CASES = Path(__file__).with_name("bad_catalogs.txt")


def cases() -> Iterator[tuple[str, list[str]]]:
    """Each broken text of bad_catalogs.txt with the lines it must give."""
    for block in CASES.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        old = "\n".join(line[2:] for line in lines if line.startswith("- "))
        new_lines = [line[2:] for line in lines if line.startswith("+")]
        expected = [line for line in lines if line.startswith("catalog.yaml:")]
        if not lines:
            continue
        text = with_change(old, "\n".join(new_lines)) if new_lines else with_change(old + "\n", "")
        yield text, expected


def names() -> list[str]:
    return [expected[0].split("  ", 1)[1] for _, expected in cases()]


def test_the_catalog_that_is_broken_holds() -> None:
    """The text that all cases start from has no problem."""
    assert problems(GOOD) == []


@pytest.mark.parametrize(("text", "expected"), list(cases()), ids=names())
def test_a_mistake_gives_these_lines(text: str, expected: list[str]) -> None:
    """All problems, in the order of the file, and no others."""
    assert problems(text) == expected
