"""Lines of an event file, in large blocks.

Owns reading: from bytes on disk or in a pipe to complete lines with their places. Knows no store and no
engine; must never give out a line that may still grow.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
import zlib
from array import array
from pathlib import Path
from typing import BinaryIO

import msgspec

from unitrate.errors import InputError
from unitrate.events import parse_time

STDIN = "-"
GZIP_MAGIC = b"\x1f\x8b"
_NO_TIME = -(1 << 63)


class _Timed(msgspec.Struct):
    time: str


_decode_time = msgspec.json.Decoder(_Timed).decode


def line_times(lines: list[bytes], after_us: int) -> array[int]:
    """Event time of each line; one that has none stays behind the line before it (`after_us`)."""
    times = array("q")
    time_us = after_us
    for line in lines:
        try:
            found = parse_time(_decode_time(line).time)
        except ValueError:  # no JSON, or no text in it
            found = None
        if found is not None:
            time_us = found
        times.append(time_us)
    return times


class Stream:
    """Uncompressed bytes of one input from a position on."""

    def __init__(self, path: Path | None, position: int = 0, pushed_back: bytes = b"") -> None:
        self.path = path
        self.position = position
        self._pushed_back = pushed_back  # of a pipe: read before, and to be read again
        self.is_gzip = path is not None and _is_gzip(path)
        self.started_at = 0 if self.is_gzip else position  # by `file_position`
        self._file: gzip.GzipFile | None = None
        self._raw: BinaryIO | None = None
        self._closed_at = 0
        self.broken = ""  # why the rest cannot be read

    @property
    def is_finished(self) -> bool:
        """True where the end is final: nobody appends to a pipe that ended or to a compressed file."""
        return self.path is None or self.is_gzip

    def read(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        if self.path is None:
            data, self._pushed_back = self._pushed_back[:size], self._pushed_back[size:]
            if len(data) < size:
                data += sys.stdin.buffer.read(size - len(data))
        elif self.is_gzip:
            data = self._read_gzip(size)
        else:  # opened for each block: a thousand files merged need no thousand descriptors
            with self.path.open("rb") as file:
                file.seek(self.position)
                data = file.read(size)
        self.position += len(data)
        return data

    def _read_gzip(self, size: int) -> bytes:
        assert self.path is not None
        pieces: list[bytes] = []
        try:
            if self._file is None:
                self._raw = self.path.open("rb")
                self._file = gzip.GzipFile(fileobj=self._raw)
                _skip(self._file, self.position)
            missing = size  # read1: what comes before the damage is given out
            while missing > 0 and (piece := self._file.read1(missing)):
                pieces.append(piece)
                missing -= len(piece)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.broken = (
                "ends in the middle of its compressed data" if isinstance(error, EOFError) else "is damaged"
            )
        return b"".join(pieces)

    def file_position(self) -> int:
        """Bytes of the file itself that were read, for a progress bar."""
        if self._raw is not None:
            return self._raw.tell()
        return self._closed_at or self.position

    def close(self) -> None:
        if self._raw is not None:
            self._closed_at = self._raw.tell()
            self._raw.close()
            self._file = self._raw = None


def _is_gzip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == GZIP_MAGIC
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error


def _skip(file: gzip.GzipFile, count: int) -> None:
    while count > 0:
        piece = file.read(min(count, 1 << 20))
        if not piece:
            return
        count -= len(piece)


class LineReader:
    """Lines of a stream, block by block, with the count of line ends before them.

    `lines[at:]` are those that were read and not taken. Taking is `at += n`; `mark` tells what was taken.
    """

    def __init__(self, stream: Stream, line_ends: int, after_us: int, *, timed: bool, keep: bool) -> None:
        self.stream = stream
        self.line_ends = line_ends  # in front of `lines[0]`
        self.lines: list[bytes] = []
        self.times: array[int] = array("q")
        self.at = 0
        self.waiting = False  # an unfinished last line was left
        self._timed = timed
        self._after_us = after_us  # of the line before `lines[0]`
        self._kept: list[bytes] | None = [] if keep else None
        self._data = b""
        self._rest = b""
        self._ended = False
        self._is_last_open = False  # the last line of the block has no line end
        self._marked = 0  # index of the first line that no mark has told of
        self._data_at = 0  # its place in the block
        self._start(stream.position)

    def _start(self, byte: int) -> None:
        self.slice_from = byte
        self.slice_line = self.line_number
        self.slice_after_us = self.before_us
        self._hash = hashlib.sha256()
        self._slice_bytes = 0

    @property
    def line_number(self) -> int:
        """Line ends before the next line, so the next line's number less one."""
        return self.line_ends + self.at - (self._is_last_open and self.at == len(self.lines))

    @property
    def before_us(self) -> int:
        """Time of the line before the next one."""
        return self.times[self.at - 1] if self._timed and self.at else self._after_us

    def fill(self, block_bytes: int) -> bool:
        """Have a line to take; False at the end (of what is finished)."""
        if self.at < len(self.lines):
            return True
        if self._ended:
            return False
        self._settle()
        self._next_block(block_bytes)
        return bool(self.lines)

    def _next_block(self, block_bytes: int) -> None:
        self._after_us = self.before_us
        self.line_ends += len(self.lines) - self._is_last_open
        self.lines, self.times, self.at, self._marked, self._data_at = [], array("q"), 0, 0, 0
        self._is_last_open = False
        data = self._rest
        while True:
            piece = self.stream.read(block_bytes)
            data = data + piece if data else piece
            end = data.rfind(b"\n") + 1
            if end or not piece:
                break
        if not piece:
            self._last_block(data, end)
            return
        self._data, self._rest = data[:end], data[end:]
        self.lines = self._data.split(b"\n")
        self.lines.pop()
        if self._timed:
            self.times = line_times(self.lines, self._after_us)

    def _last_block(self, data: bytes, end: int) -> None:
        self._ended = True
        rest = data[end:]
        if rest and not ((self.stream.is_finished and not self.stream.broken) or is_whole(rest)):
            self.waiting, data, rest = True, data[:end], b""
        self._data, self._rest = data, b""
        self.lines = data.split(b"\n") if data else []
        self._is_last_open = bool(rest)
        if data and not rest:
            self.lines.pop()
        if self._timed:
            self.times = line_times(self.lines, self._after_us)

    def _settle(self) -> None:
        """Hash (and keep) what was taken since the last time."""
        if self.at == self._marked:
            return
        count = self.at - self._marked
        size = sum(map(len, self.lines[self._marked : self.at])) + count
        if self._is_last_open and self.at == len(self.lines):
            size -= 1
        taken = memoryview(self._data)[self._data_at : self._data_at + size]
        self._hash.update(taken)
        if self._kept is not None:
            self._kept.append(bytes(taken))
        self._slice_bytes += size
        self._data_at += size
        self._marked = self.at

    def release(self) -> None:
        """Give back the memory, and the file, of an input that is used up."""
        if self._ended and self.at == len(self.lines):
            self.line_ends, self._after_us = self.line_number, self.before_us
            self.lines, self.times, self.at, self._marked = [], array("q"), 0, 0
            self._data, self._is_last_open = b"", False
            self.stream.close()

    def mark(self) -> Taken | None:
        """What was taken since the last mark; None where nothing was. The next slice begins here."""
        self._settle()
        if not self._slice_bytes:
            return None
        end = self.slice_from + self._slice_bytes
        taken = Taken(
            self.slice_from,
            end,
            self.slice_line,
            self.line_number - self.slice_line,
            self._hash.hexdigest(),
            self.slice_after_us,
            self.before_us,
            self._kept or [],
        )
        if self._kept is not None:
            self._kept = []
        self._start(end)
        return taken


class Taken(msgspec.Struct, frozen=True):
    """A span of an input: bytes, line ends before and inside, hash, times before it and at its end."""

    byte_from: int
    byte_to: int
    line_from: int
    line_ends: int
    sha256: str
    after_us: int
    until_us: int
    kept: list[bytes]  # its bytes, where they are asked for


def is_whole(line: bytes) -> bool:
    """Whether a line without an end is a whole event all the same: no part of a JSON object is one itself."""
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except ValueError:
        return False
    return True
