"""The event ledger's columns, gathered in compact buffers while events are folded.

Owns how accepted events become columns (`rows.EventColumns`): what repeats is kept once, as a shape or a
stream that an event points to, and spread over the rows only when a checkpoint freezes the buffer.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unitrate.rows import USAGE, EventColumns, Texts

if TYPE_CHECKING:
    from unitrate.prepare import Prepared

# What a shape of events has in common; the order of `EventBuffer.shape`'s argument.
SHAPE = (
    "type",
    "workflow",
    "workspace",
    "mode",
    "provider",
    "model",
    "operation",
    "status",
    "step",
    "background",
    "catalog",
    "price_book",
)
STREAM = ("account", "source")
FATE = ("meter", "reason")
_COMPLETE = 10**12
MOST_CODES = 50_000  # texts a column remembers between checkpoints


_INTS = ("offset", "time", "stream", "shape", "fate", "attempt", "cost", "cost_computed", "cost_billed")
_TEXTS = ("id", "run_id", "retry_of", "unit_id", "attributes", "tags")
# What is taken of columns: count, ints (int64) in the order of _INTS, ends and UTF-8 of texts in that of
# _TEXTS, usage (int64; empty: zeros) in that of USAGE, positions of what is unpriced, (position, completion).
Taken = tuple[int, list[bytes], list[bytes], list[bytes], list[bytes], list[int], list[tuple[int, int]]]


class PlainColumns:
    """The columns of accepted events that differ from event to event."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._count = 0
        self._ints = [array("q") for _ in _INTS]
        self._texts: list[list[str]] = [[] for _ in _TEXTS]
        self._usage: dict[str, array[int]] = {name: array("q") for name in USAGE}
        self._unpriced: list[int] = []
        self._partial: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return self._count

    def append(
        self, prepared: Sequence[Prepared], at: int, offset: int, stream: int, shape: int, fate: int,
        unit_id: str, /,
    ) -> None:  # fmt: skip
        """One accepted event: record `at` of its batch, and what the fold found out about it."""
        (time, _, _, _, _, completion, id_, run, retry_of, attempt, cost, computed, billed, unpriced, usage,
         attributes, tags) = prepared[at]  # fmt: skip
        ints = (offset, time, stream, shape, fate, attempt, cost, computed, billed)
        for column, value in zip(self._ints, ints, strict=True):
            column.append(value)
        for texts, text in zip(self._texts, (id_, run, retry_of, unit_id, attributes, tags), strict=True):
            texts.append(text)
        if usage:
            for name, count in usage.items():
                counts = self._usage.get(name)
                if counts is not None:
                    counts.frombytes(bytes(8 * (self._count - len(counts))))
                    counts.append(count)
        if unpriced:
            self._unpriced.append(self._count)
        if completion != _COMPLETE:
            self._partial.append((self._count, completion))
        self._count += 1

    def take(self) -> Taken:
        """All that was appended; it is empty then."""
        ends, joined = [], []
        for texts in self._texts:
            encoded = [text.encode() for text in texts]
            ends.append(array("i", accumulate(map(len, encoded))).tobytes())
            joined.append(b"".join(encoded))
        usage = [c.tobytes() + bytes(8 * (self._count - len(c))) if c else b"" for c in self._usage.values()]
        ints = [column.tobytes() for column in self._ints]
        taken = (self._count, ints, ends, joined, usage, self._unpriced, self._partial)
        self._clear()
        return taken


plain: Any = PlainColumns
try:
    from unitrate._prepare import Columns
except ImportError:
    Columns = plain  # type: ignore[misc]  # the same class to all that use it


class _Groups:
    """Combinations of texts, numbered; each text numbered within its column."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.codes: dict[tuple[Any, ...], int] = {}
        self.texts: tuple[dict[str, int], ...] = tuple({} for _ in names)
        self.columns: tuple[array[int], ...] = tuple(array("i") for _ in names)

    def code(self, values: tuple[Any, ...]) -> int:
        found = self.codes.get(values)
        if found is None:
            found = self.codes[values] = len(self.codes)
            for value, texts, column in zip(values, self.texts, self.columns, strict=True):
                column.append(value if isinstance(value, bool) else texts.setdefault(value, len(texts)))
        return found

    def spread(self, which: NDArray[np.int64], into: EventColumns) -> None:
        for name, texts, column in zip(self.names, self.texts, self.columns, strict=True):
            into.columns[name] = np.frombuffer(column, np.int32)[which] if len(which) else array("i")
            if name != "background":
                into.codes[name] = dict(texts)


class EventBuffer:
    """Accepted events since the last checkpoint."""

    def __init__(self) -> None:
        self.shapes = _Groups(SHAPE)
        self.streams = _Groups(STREAM)
        self.fates = _Groups(FATE)
        self.generation = 0  # changes when codes are numbered anew; holders of codes then ask again
        self.columns = Columns()
        self._billed: list[tuple[int, str]] = []

    def note_unpriced(self, request: list[Any]) -> None:
        """Keep what was billed for the event that is appended next: a later catalog may convert it."""
        amount, currency = request[4:]
        if amount is not None:
            self._billed.append((len(self.columns), f"{amount} {currency}"))

    def freeze(self) -> EventColumns:
        """The columns, and an empty buffer again."""
        n, ints, ends, joined, usage, unpriced, partial = self.columns.take()
        of = {name: np.frombuffer(column, np.int64) for name, column in zip(_INTS, ints, strict=True)}
        into = EventColumns({}, {}, n)
        for groups, name in ((self.shapes, "shape"), (self.streams, "stream"), (self.fates, "fate")):
            groups.spread(of[name], into)
        into.columns.update({name: of[name] for name in ("offset", "time", "attempt", "cost")})
        for name in ("cost_computed", "cost_billed"):
            into.columns[name] = np.ma.masked_less(of[name], 0)
        into.columns.update(zip(_TEXTS, map(Texts, ends, joined), strict=True))
        into.columns["unpriced"] = _marked(n, unpriced)
        completion = np.full(n, _COMPLETE, np.int64)
        for at, pico in partial:
            completion[at] = pico
        into.columns["completion"] = completion
        billed = into.columns["billed"] = [""] * n
        for at, text in self._billed:
            billed[at] = text
        self._billed = []
        for name, counts in zip(USAGE, usage, strict=True):
            into.columns[name] = np.frombuffer(counts, np.int64) if counts else np.zeros(n, np.int64)
        if len(self.shapes.codes) + len(self.streams.codes) > MOST_CODES:
            self.shapes, self.streams, self.fates = _Groups(SHAPE), _Groups(STREAM), _Groups(FATE)
            self.generation += 1
        return into


def _marked(n: int, where: list[int]) -> NDArray[np.int64]:
    column = np.zeros(n, np.int64)
    column[where] = 1
    return column
