"""Which events a run has to read: the files that were given against those that the log has read before.

Owns recognising an input by what is in it: growth, renaming, rotation, and a change of what was already read,
which is an error. Reads files and the manifest's notes of them; writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from unitrate.errors import InputError
from unitrate.runtime.lines import STDIN, Stream

SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
_STEP = 4 << 20


class Slice(msgspec.Struct, frozen=True):
    """The part of an input that one manifest row covers: bytes [byte_from, byte_to), uncompressed.

    Slices of a row stand in the order that decides between events of one time.
    """

    input: int  # number of the input in this log
    path: str  # absolute; "-" for standard input
    name: str  # as it was given, for messages
    first_line: str  # hash of the input's first line
    byte_from: int
    byte_to: int
    line_from: int  # line ends before it
    line_ends: int  # and inside
    sha256: str
    after_us: int  # event time of the line before it, for lines that have none
    until_us: int  # and of its last line


@dataclass(slots=True)
class Known:
    """An input that the log has read from."""

    number: int
    path: str
    first_line: str
    slices: list[Slice] = field(default_factory=list)

    @property
    def byte_end(self) -> int:
        return self.slices[-1].byte_to

    @property
    def line_end(self) -> int:
        return self.slices[-1].line_from + self.slices[-1].line_ends


@dataclass(frozen=True, slots=True)
class Input:
    """An input to read on, from where the log stands in it."""

    number: int
    path: Path | None  # None: standard input
    name: str
    first_line: str
    byte_from: int = 0
    line_from: int = 0
    after_us: int = -(1 << 63)
    stream: Stream | None = None  # of standard input, which cannot be opened again

    def left_bytes(self) -> int:
        """Bytes of the file to read: all of a compressed one, what is new of another; 0 for a pipe."""
        if self.path is None:
            return 0
        size = self.path.stat().st_size
        return size if Stream(self.path).is_gzip else max(size - self.byte_from, 0)


def known_inputs(slices: Iterable[Slice]) -> dict[int, Known]:
    """Inputs by number, from the manifest's slices in log order."""
    found: dict[int, Known] = {}
    for part in slices:
        known = found.get(part.input)
        if known is None:
            known = found[part.input] = Known(part.input, part.path, part.first_line)
        known.path = part.path  # where it was last seen
        known.slices.append(part)
    return found


def find(paths: Sequence[str]) -> list[tuple[str, Path | None]]:
    """Event files that paths name, folders opened, each once, in order; standard input is None."""
    found: dict[Path | None, str] = {}
    for given in paths:
        if given == STDIN:
            found.setdefault(None, STDIN)
            continue
        path = Path(given)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES) and p.is_file())
            if not inside:
                raise InputError(f"{given}: holds no {' or '.join(SUFFIXES[:2])} file")
            for file in inside:
                found.setdefault(file.resolve(), str(file))
        elif path.exists():
            found.setdefault(path.resolve(), given)
        else:
            raise InputError(f"{given}: there is no such file or folder")
    return [(name, path) for path, name in found.items()]


def match(given: Sequence[tuple[str, Path | None]], known: dict[int, Known]) -> list[Input]:
    """What is left to read of each given input, in the order given. Empty files are left out.

    Raises InputError where an input that was read before is no longer what it was.
    """
    chosen: dict[int, Known] = {}  # index of the given input -> what it continues
    first_lines = [None if path is None else first_line_hash(path) for _, path in given]
    for index, (_, path) in enumerate(given):
        first = first_lines[index]
        if path is None or first is None:
            continue
        taken = {one.number for one in chosen.values()}
        candidates = [k for k in known.values() if k.first_line == first and k.number not in taken]
        candidates.sort(key=lambda k: (k.path != str(path), -k.byte_end))
        continued = next((k for k in candidates if changed_line(path, k) is None), None)
        if continued is not None:
            chosen[index] = continued
    _refuse_changed(given, known, chosen)
    return _inputs(given, first_lines, known, chosen)


def _refuse_changed(
    given: Sequence[tuple[str, Path | None]], known: dict[int, Known], chosen: dict[int, Known]
) -> None:
    """A file whose name the log knows must hold what the log read, unless that stands in another file now."""
    found_elsewhere = {one.number for one in chosen.values()}
    for index, (name, path) in enumerate(given):
        if path is None or index in chosen:
            continue
        one = max((k for k in known.values() if k.path == str(path)), key=lambda k: k.number, default=None)
        if one is None or one.number in found_elsewhere or first_line_hash(path) is None:
            continue
        line = changed_line(path, one)
        if line is not None and not _was_rotated(path, one):
            raise changed_error(name, line)


def changed_error(name: str, line: int) -> InputError:
    """What is said of an input that is no longer what was read."""
    return InputError(
        f"{name} changed before line {line:,}, which was already read; append to files, or give a new name."
    )


def _was_rotated(path: Path, known: Known) -> bool:
    """Whether a neighbour like `runs.jsonl.1` holds what the file held."""
    return any(
        neighbour != path
        and neighbour.is_file()
        and first_line_hash(neighbour) == known.first_line
        and changed_line(neighbour, known) is None
        for neighbour in sorted(path.parent.glob(f"{path.name.split('.')[0]}*"))
    )


def _inputs(
    given: Sequence[tuple[str, Path | None]],
    first_lines: Sequence[str | None],
    known: dict[int, Known],
    chosen: dict[int, Known],
) -> list[Input]:
    number = max(known, default=-1) + 1
    inputs = []
    for index, (name, path) in enumerate(given):
        one, first = chosen.get(index), first_lines[index]
        if one is not None:
            last = one.slices[-1]
            inputs.append(
                Input(one.number, path, name, one.first_line, one.byte_end, one.line_end, last.until_us)
            )
        elif path is None:
            inputs.append(_standard_input(number, known))
            number += 1
        elif first is not None:
            inputs.append(Input(number, path, name, first or ""))
            number += 1
    return inputs


def _standard_input(number: int, known: dict[int, Known]) -> Input:
    """Standard input without what was piped in before, span by span, as long as it is the same.

    A pipe that differs is no error: it has no name that could promise anything.
    """
    before = [part for one in known.values() if one.path == STDIN for part in one.slices]
    stream, line_ends, after_us = Stream(None), 0, -(1 << 63)
    position, data = 0, b""
    while True:
        spans = sorted((p for p in before if p.byte_from == position), key=lambda p: p.byte_to)
        for part in spans:
            size = part.byte_to - part.byte_from
            data += stream.read(size - len(data))
            if len(data) == size and hashlib.sha256(data).hexdigest() == part.sha256:
                position, data = part.byte_to, b""
                line_ends, after_us = part.line_from + part.line_ends, part.until_us
                break
        else:
            rest = Stream(None, position, data)
            return Input(number, None, STDIN, "", position, line_ends, after_us, rest)


def first_line_hash(path: Path) -> str | None:
    """Hash of the first line without its end; None for an empty file."""
    stream = Stream(path)
    try:
        data = b""
        while b"\n" not in data and (piece := stream.read(1 << 16)):
            data += piece
        if stream.broken and not data:
            raise InputError(f"{path} {stream.broken}: give the whole file")
        return hashlib.sha256(data.split(b"\n", 1)[0]).hexdigest() if data else None
    finally:
        stream.close()


def changed_line(path: Path, known: Known) -> int | None:
    """Number of the line up to which the file is not what was read; None if all of that is still there."""
    stream = Stream(path)
    try:
        for part in known.slices:
            if _hash_of(stream, part.byte_to - part.byte_from) != part.sha256:
                return part.line_from + max(part.line_ends, 1)
        return None
    finally:
        stream.close()


def _hash_of(stream: Stream, size: int) -> str | None:
    """Hash of the next bytes, None where there are fewer."""
    hashed = hashlib.sha256()
    while size > 0:
        piece = stream.read(min(size, _STEP))
        if not piece:
            return None
        hashed.update(piece)
        size -= len(piece)
    return hashed.hexdigest()
