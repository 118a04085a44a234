"""Ranges that a thread reads ahead come as they would without it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from unitrate.errors import InputError
from unitrate.runtime.ranges import Range
from unitrate.runtime.reading_ahead import read_ahead

RANGES = [Range([b"{}"] * count, str, [], {}) for count in range(4)]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "unitrate-read"]


def test_ranges_come_in_their_order() -> None:
    """All of them, each once, and no thread stays behind."""
    assert list(read_ahead(iter(RANGES))) == RANGES
    assert threads() == []


def test_an_error_is_raised_where_it_happened() -> None:
    """What was read before it is folded first."""

    def broken() -> Iterator[Range]:
        yield from RANGES[:2]
        raise InputError("runs.jsonl: cannot be read")

    ranges = read_ahead(broken())
    assert [next(ranges), next(ranges)] == RANGES[:2]
    with pytest.raises(InputError, match=r"^runs\.jsonl: cannot be read$"):
        next(ranges)
    assert threads() == []


def test_who_stops_early_stops_the_reader_too() -> None:
    """The fold failed: nothing goes on reading."""
    closed = []

    def endless() -> Iterator[Range]:
        try:
            while True:
                yield RANGES[0]
        finally:
            closed.append(True)

    ranges = read_ahead(source := endless())
    next(ranges)
    ranges.close()
    assert threads() == []
    source.close()  # type: ignore[attr-defined]
    assert closed == [True]
