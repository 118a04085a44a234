"""Files given together are merged by event time, each in its own order, whatever the ranges."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.embedded.builders import an_event, append, ids, run, write
from unitrate.runtime import files, ranges
from unitrate.runtime.ranges import Range, Reading


def names(found: list[Range]) -> list[bytes]:
    return [raw for part in found for raw in part.raws]


def read(*paths: str) -> list[Range]:
    return list(Reading(files.match(files.find(paths), {})).ranges())


def test_events_come_by_time(tmp_path: Path) -> None:
    one = write(tmp_path / "1.jsonl", [an_event("a", 0), an_event("d", 3)])
    two = write(tmp_path / "2.jsonl", [an_event("b", 1), an_event("c", 2), an_event("e", 4)])
    run(tmp_path / "store", one, two)
    assert ids(tmp_path / "store") == ["a", "b", "c", "d", "e"]


def test_of_equal_times_the_file_given_first_comes_first(tmp_path: Path) -> None:
    one, two = an_event("one", 5), an_event("two", 5)
    first, second = write(tmp_path / "1.jsonl", [one]), write(tmp_path / "2.jsonl", [two])
    assert names(read(first, second)) == [one, two]
    assert names(read(second, first)) == [two, one]


def test_each_file_keeps_its_own_order(tmp_path: Path) -> None:
    """An early event behind a late one waits for it; a line without a time stays behind its neighbour."""
    late, early, other = an_event("late", 9), an_event("early", 1), an_event("other", 5)
    one = write(tmp_path / "1.jsonl", [late, early, b"broken"])
    two = write(tmp_path / "2.jsonl", [other])
    assert names(read(one, two)) == [other, late, early, b"broken"]


def test_what_grew_is_merged_too(tmp_path: Path) -> None:
    one = write(tmp_path / "1.jsonl", [an_event("a", 0)])
    two = write(tmp_path / "2.jsonl", [an_event("b", 1)])
    run(tmp_path / "store", one, two)
    append(tmp_path / "1.jsonl", [an_event("d", 9)])
    append(tmp_path / "2.jsonl", [an_event("c", 8)])
    run(tmp_path / "store", one, two)
    assert ids(tmp_path / "store") == ["a", "b", "c", "d"]


@pytest.mark.parametrize("seed", range(12))
def test_the_order_does_not_depend_on_where_ranges_end(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut anywhere, and read again from its slices, each range gives the same records and places."""
    chance = random.Random(seed)
    paths = []
    for number in range(chance.randint(1, 5)):
        lines = [
            chance.choice([b"", b"broken", an_event(f"{number}-{at}", at + chance.choice([0, 0, 3, -3]))])
            for at in range(chance.randint(0, 60))
        ]
        paths.append(write(tmp_path / f"{number}.jsonl", lines))
    whole = read(*paths)
    monkeypatch.setattr(ranges, "RANGE_RECORDS", chance.randint(1, 9))
    monkeypatch.setattr(ranges, "RANGE_BYTES", chance.choice([700, 1 << 20]))
    monkeypatch.setattr(ranges, "_LEAST_BLOCK", chance.choice([100, 900]))
    monkeypatch.setattr(ranges, "_MERGE_BYTES", 1000)
    pieces = read(*paths)
    assert names(pieces) == names(whole)
    for piece in pieces:
        again = ranges.read_again(piece.slices, {}, lambda part: Path(part.path))
        assert again.raws == piece.raws
        places = [piece.place(at) for at in range(len(piece.raws))]
        assert [again.place(at) for at in range(len(piece.raws))] == places
        for place, raw in zip(places, piece.raws, strict=True):
            name, _, line = place.rpartition(":")
            assert Path(name).read_bytes().split(b"\n")[int(line) - 1] == raw
