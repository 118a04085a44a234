"""The event ledger's columns, gathered in compact buffers while events are folded.

Owns how accepted events become columns (`rows.EventColumns`): what repeats is kept once, as a shape or a
stream that an event points to, and spread over the rows only when a checkpoint freezes the buffer.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unitrate.rows import USAGE, EventColumns

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


# One accepted event as the fold appends it: offset, what `prepare` made of it, codes of its stream, shape and
# fate, unit_id. A plain tuple: naming its parts would cost more than making it.
Entry = tuple[int, tuple[Any, ...], int, int, int, str]

_INTS = ("offset", "time", "stream", "shape", "fate", "attempt", "cost", "cost_computed", "cost_billed")
_TEXTS = ("id", "run_id", "retry_of", "unit_id", "attributes", "tags")


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
        self._clear()

    def _clear(self) -> None:
        self.count = 0
        self._ints = {name: array("q") for name in _INTS}
        self._texts: dict[str, list[str]] = {name: [] for name in _TEXTS}
        self._unpriced: list[int] = []
        self._partial: list[tuple[int, int]] = []
        self._billed: list[tuple[int, str]] = []
        self._usage: dict[str, tuple[array[int], array[int]]] = {n: (array("q"), array("q")) for n in USAGE}

    def extend(self, entries: list[Entry]) -> None:
        """Append the events of one micro-batch."""
        if not entries:
            return
        offset, prepared, stream, shape, fate, units = zip(*entries, strict=True)
        (time, _, _, _, _, completion, ids, runs, retries, attempt, cost, computed, billed, unpriced, usages,
         attributes, tags) = zip(*prepared, strict=True)  # fmt: skip
        ints = (offset, time, stream, shape, fate, attempt, cost, computed, billed)
        for column, values in zip(self._ints.values(), ints, strict=True):
            column.extend(values)
        for texts, part in zip(
            self._texts.values(), (ids, runs, retries, units, attributes, tags), strict=True
        ):
            texts.extend(part)
        at = self.count
        columns = self._usage
        for usage in usages:
            if usage:
                for name, count in usage.items():
                    pair = columns.get(name)
                    if pair is not None:
                        pair[0].append(at)
                        pair[1].append(count)
            at += 1
        if True in unpriced:
            self._unpriced += [self.count + i for i, flag in enumerate(unpriced) if flag]
        if completion.count(_COMPLETE) != len(completion):
            self._partial += [
                (self.count + i, pico) for i, pico in enumerate(completion) if pico != _COMPLETE
            ]
        self.count = at

    def note_unpriced(self, at: int, request: list[Any]) -> None:
        """Keep what was billed for entry `at` of the micro-batch: a later catalog may convert it."""
        amount, currency = request[4:]
        if amount is not None:
            self._billed.append((self.count + at, f"{amount} {currency}"))

    def freeze(self) -> EventColumns:
        """The columns, and an empty buffer again."""
        n, ints = self.count, self._ints
        into = EventColumns({}, {}, n)
        for groups, name in ((self.shapes, "shape"), (self.streams, "stream"), (self.fates, "fate")):
            groups.spread(np.frombuffer(ints[name], np.int64), into)
        into.columns.update({name: ints[name] for name in ("offset", "time", "attempt", "cost")})
        for name in ("cost_computed", "cost_billed"):
            into.columns[name] = np.ma.masked_less(np.frombuffer(ints[name], np.int64), 0)
        into.columns.update(self._texts)
        into.columns["unpriced"] = _scattered(n, self._unpriced, 1)
        completion = np.full(n, _COMPLETE, np.int64)
        for at, pico in self._partial:
            completion[at] = pico
        into.columns["completion"] = completion
        billed = into.columns["billed"] = [""] * n
        for at, text in self._billed:
            billed[at] = text
        for name, (where, counts) in self._usage.items():
            into.columns[name] = _scattered(n, where, np.frombuffer(counts, np.int64))
        self._clear()
        if len(self.shapes.codes) + len(self.streams.codes) > MOST_CODES:
            self.shapes, self.streams, self.fates = _Groups(SHAPE), _Groups(STREAM), _Groups(FATE)
            self.generation += 1
        return into


def _scattered(n: int, where: array[int] | list[int], values: NDArray[np.int64] | int) -> NDArray[np.int64]:
    column = np.zeros(n, np.int64)
    if len(where):
        column[np.array(where, np.int64)] = values
    return column
