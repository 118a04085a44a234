"""Ranges: the next records of the embedded log, from one input or from several merged by event time.

Owns the merge order: at each step the input whose next event is earliest, the first given among equals; each
input keeps its own order. The order depends on the inputs' contents only, never on where a range ends, so the
slices of a range, merged again, give the same records. Writes nothing.
"""

from __future__ import annotations

import hashlib
import heapq
from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unitrate.runtime.files import Input, Slice, changed_error
from unitrate.runtime.lines import STDIN, LineReader, Stream, line_times

RANGE_BYTES = 4 << 20  # larger ones are no faster, and stay in memory while they are folded
RANGE_RECORDS = 100_000
_LEAST_BLOCK = 16 << 10
_MERGE_BYTES = 64 << 20  # of blocks in memory while many inputs are merged
_PEEK = 1 << 16


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive event records. `kept` are the bytes of slices that no file holds, by slice."""

    raws: list[bytes]
    place: Callable[[int], str]  # index of a record -> "runs.jsonl:17"
    slices: list[Slice]
    kept: dict[int, bytes]


class _Places:
    """Names of records, made only for those that are rejected: stretches of lines of one input."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stretches: list[tuple[str, int]] = []

    def add(self, index: int, name: str, line: int) -> None:
        """From the record `index` on, records are the lines `line`, `line` + 1 … (from 0) of `name`."""
        self._starts.append(index)
        self._stretches.append((name, line))

    def __call__(self, index: int) -> str:
        at = bisect_right(self._starts, index) - 1
        name, line = self._stretches[at]
        return f"{name}:{line + index - self._starts[at] + 1}"


class _Source:
    """One input of a merge. Opened when its first line is due: folders may hold thousands of files."""

    def __init__(self, part: Input, order: int, *, timed: bool, block_bytes: int) -> None:
        self.part = part
        self.order = order
        self._timed = timed
        self._block_bytes = block_bytes
        self.reader: LineReader | None = None

    def first_time(self) -> int | None:
        """Event time of the first line that is left, None where none is."""
        if self.part.path is None:
            return self._next_time() if self.open().fill(self._block_bytes) else None
        stream = Stream(self.part.path, self.part.byte_from)
        reader = LineReader(stream, 0, self.part.after_us, timed=False, keep=False)
        try:
            if not reader.fill(_PEEK):
                return None
            return line_times(reader.lines[:1], self.part.after_us)[0]
        finally:
            stream.close()

    def open(self) -> LineReader:
        if self.reader is None:
            part = self.part
            stream = part.stream or Stream(part.path, part.byte_from)
            self.reader = LineReader(
                stream, part.line_from, part.after_us, timed=self._timed, keep=part.path is None
            )
        return self.reader

    def _next_time(self) -> int:
        reader = self.open()
        return reader.times[reader.at] if self._timed else 0

    def next_time(self) -> int | None:
        """Event time of the next line, None at the end."""
        return self._next_time() if self.open().fill(self._block_bytes) else None

    def take(self, most: int, bound: tuple[int, int] | None) -> list[bytes]:
        """The next lines, at least one, as long as they come before `bound` (time, order)."""
        reader = self.open()
        start = reader.at
        end = min(len(reader.lines), start + most)
        if bound is not None:
            times, order = reader.times, self.order
            at = start + 1
            while at < end and (times[at], order) < bound:
                at += 1
            end = at
        reader.at = end
        return reader.lines[start:end]


class Reading:
    """All that is left of some inputs, as ranges."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        timed = len(inputs) > 1
        block = min(RANGE_BYTES, max(_LEAST_BLOCK, _MERGE_BYTES // max(len(inputs), 1)))
        self._sources = [
            _Source(part, order, timed=timed, block_bytes=block) for order, part in enumerate(inputs)
        ]
        self._timed = timed

    def ranges(self) -> Generator[Range, None, None]:
        """Ranges in log order; each is whole when it is given out."""
        heap = self._heads()
        try:
            while heap:
                found = self._range(heap)
                if found.slices:
                    yield found
        finally:
            for source in self._sources:
                if source.reader is not None:
                    source.reader.stream.close()

    def _heads(self) -> list[tuple[int, int]]:
        heads = []
        for source in self._sources:
            time_us = source.first_time() if self._timed else source.next_time()
            if time_us is not None:
                heads.append((time_us, source.order))
            elif source.part.path is not None:
                source.next_time()  # notes an unfinished line that waits
        heapq.heapify(heads)
        return heads

    def _range(self, heap: list[tuple[int, int]]) -> Range:
        raws: list[bytes] = []
        places = _Places()
        size, touched = 0, set()
        while heap and len(raws) < RANGE_RECORDS and size < RANGE_BYTES:
            source = self._sources[heap[0][1]]
            if source.next_time() is None:  # its last line was taken, and it is seen only now
                heapq.heappop(heap)
                continue
            line = source.open().line_number
            taken = source.take(RANGE_RECORDS - len(raws), _second(heap))
            touched.add(source.order)
            size += _append(taken, raws, places, source.part.name, line)
            time_us = source.next_time() if self._timed else 0
            if time_us is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (time_us, source.order))
        return self._cut(raws, places, sorted(touched))

    def _cut(self, raws: list[bytes], places: _Places, orders: list[int]) -> Range:
        slices: list[Slice] = []
        kept: dict[int, bytes] = {}
        for order in orders:
            source = self._sources[order]
            reader = source.open()
            taken = reader.mark()
            reader.release()
            if taken is None:
                continue
            part = source.part
            if part.path is None:
                kept[len(slices)] = b"".join(taken.kept)
            path = STDIN if part.path is None else str(part.path)
            slices.append(
                Slice(
                    part.number, path, part.name, part.first_line, taken.byte_from, taken.byte_to,
                    taken.line_from, taken.line_ends, taken.sha256, taken.after_us, taken.until_us,
                )
            )  # fmt: skip
        return Range(raws, places, slices, kept)

    def read_bytes(self) -> int:
        """Bytes of the files (compressed ones as they are) that were read so far."""
        streams = [s.reader.stream for s in self._sources if s.reader is not None]
        return sum(stream.file_position() - stream.started_at for stream in streams)

    def waiting(self) -> list[str]:
        """Unfinished last lines that were left, as `runs.jsonl:8114`."""
        return [
            f"{s.part.name}:{s.reader.line_number + 1}"
            for s in self._sources
            if s.reader is not None and s.reader.waiting
        ]

    def broken(self) -> list[str]:
        """Inputs whose rest cannot be read, with the reason."""
        return [
            f"{s.part.name} {s.reader.stream.broken}"
            for s in self._sources
            if s.reader is not None and s.reader.stream.broken
        ]


def _second(heap: list[tuple[int, int]]) -> tuple[int, int] | None:
    """The head that comes after the first."""
    return min(heap[1:3], default=None)


def _append(lines: list[bytes], raws: list[bytes], places: _Places, name: str, line: int) -> int:
    """Add lines to a range, blank ones left out; returns their bytes."""
    if any(not raw or raw.isspace() for raw in lines):
        start = True
        for number, raw in enumerate(lines, line):
            if not raw or raw.isspace():
                start = True
                continue
            if start:
                places.add(len(raws), name, number)
                start = False
            raws.append(raw)
    else:
        places.add(len(raws), name, line)
        raws += lines
    return sum(map(len, lines)) + len(lines)


def read_again(slices: Sequence[Slice], kept: dict[int, bytes], locate: Callable[[Slice], Path]) -> Range:
    """A range from its slices: the same records in the same order. `locate` says where a file is now.

    Raises InputError where a file no longer holds what was read.
    """
    pieces = []
    for index, part in enumerate(slices):
        data = kept[index] if part.path == STDIN else _bytes_of(part, locate(part))
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        pieces.append(lines)
    raws: list[bytes] = []
    places = _Places()
    if len(slices) == 1:
        _append(pieces[0], raws, places, slices[0].name, slices[0].line_from)
    else:
        _merge(slices, pieces, raws, places)
    return Range(raws, places, list(slices), kept)


def _merge(slices: Sequence[Slice], pieces: list[list[bytes]], raws: list[bytes], places: _Places) -> None:
    times = [line_times(lines, part.after_us) for part, lines in zip(slices, pieces, strict=True)]
    heap = [(column[0], order) for order, column in enumerate(times) if column]
    at = [0] * len(pieces)
    heapq.heapify(heap)
    while heap:
        order = heap[0][1]
        column, start, bound = times[order], at[order], _second(heap)
        end = start + 1
        while end < len(column) and (bound is None or (column[end], order) < bound):
            end += 1
        _append(pieces[order][start:end], raws, places, slices[order].name, slices[order].line_from + start)
        at[order] = end
        if end < len(column):
            heapq.heapreplace(heap, (column[end], order))
        else:
            heapq.heappop(heap)


def _bytes_of(part: Slice, path: Path) -> bytes:
    stream = Stream(path, part.byte_from)
    try:
        data = stream.read(part.byte_to - part.byte_from)
    finally:
        stream.close()
    if len(data) != part.byte_to - part.byte_from or hashlib.sha256(data).hexdigest() != part.sha256:
        raise changed_error(part.name, part.line_from + max(part.line_ends, 1))
    return data
