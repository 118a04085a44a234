"""The log of an embedded store, read again from its ledgers in the order of its offsets.

Owns the merge of what the store keeps apart (accepted events, duplicates, rejected ones, publications, ticks,
control records) into one sequence. Keeps two stretches in memory. Writes nothing but a sorted copy of the
events beside the store's tables, which it drops again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple

from unitrate.errors import InputError
from unitrate.published import currency
from unitrate.replay import ledger
from unitrate.runtime import embedded_log

if TYPE_CHECKING:
    import pyarrow as pa

    from unitrate.runtime.embedded_log import Entry
    from unitrate.store import Store

PARTITION = 0
STRETCH_RECORDS = 50_000


class Aside(NamedTuple):
    """What became of a record that is no accepted event: "duplicate" or a reason; and its time, if known."""

    kept: str
    time_us: int


@dataclass(frozen=True, slots=True)
class Block:
    """Records in the order of the log. `accepted` has the ledger's columns of those that were accepted."""

    offsets: list[int]
    raws: list[bytes]
    asides: dict[int, Aside]  # by offset
    accepted: pa.Table


class Record(NamedTuple):
    """A record that is no event: a catalog's publication, a tick, or another control record."""

    offset: int
    kind: str
    control_id: str
    body: bytes
    time_us: int  # of a tick


def read(store: Store, since: int, upto: int) -> Iterator[Block | Record]:
    """Every record with an offset in [since, upto]."""
    waiting = _controls(store, since, upto)
    for block in _blocks(store, since, upto):
        rest: Block | None = block
        while waiting and rest is not None and waiting[0].offset < rest.offsets[-1]:
            before, rest = _cut(rest, waiting[0].offset)
            if before is not None:
                yield before
            yield _record(store, waiting.pop(0))
        if rest is not None:
            yield rest
    for entry in waiting:
        yield _record(store, entry)


class _Control(NamedTuple):
    offset: int
    entry: Entry


def _controls(store: Store, since: int, upto: int) -> list[_Control]:
    return [
        _Control(entry.base_offset, entry)
        for entry in embedded_log.read_entries(store)
        if entry.kind in ("publication", "tick", "control") and since <= entry.base_offset <= upto
    ]


def _record(store: Store, control: _Control) -> Record:
    entry = control.entry
    if entry.kind == "tick":
        return Record(control.offset, "tick", "", b"", entry.body.until_us)
    payload = embedded_log.with_payload(store, entry).payload
    if entry.kind == "publication":
        return Record(control.offset, "catalog", f"catalog:{control.offset}", payload, 0)
    return Record(control.offset, entry.body.control, entry.body.control_id, payload, 0)


def check_finished(store: Store, last_offset: int) -> None:
    """Raises InputError where the log goes on past the last checkpoint: a run was killed inside it."""
    entries = embedded_log.read_entries(store)
    if entries and entries[-1].end_offset > last_offset + 1:
        raise InputError(
            f"the last run on {store.label} was stopped before its end; "
            f"`unitrate run --store {store.label}` goes on with it first"
        )


# ---------------------------------------------------------------- blocks


def _blocks(store: Store, since: int, upto: int) -> Iterator[Block]:
    """All records but those that are no events, stretch by stretch; the next is read while one is folded."""
    reader = _Reader(store, since, upto)
    try:
        while (block := reader.next()) is not None:
            if block.offsets:
                yield block
    finally:
        reader.close()


class _Reader:
    """A thread with a connection of its own, one stretch ahead."""

    def __init__(self, store: Store, since: int, upto: int) -> None:
        self._connection = store.writer()
        self._span = {"partition": PARTITION, "since": since, "upto": upto}
        self._currency = currency(store)
        self._ready: Queue[Block | BaseException | None] = Queue(maxsize=1)
        self._stopped = Event()
        self._thread = Thread(target=self._main, name="replay-reader", daemon=True)
        self._thread.start()

    def next(self) -> Block | None:
        """The next stretch; None at the end."""
        found = self._ready.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """Stop reading; the copy of the events is dropped."""
        self._stopped.set()
        while self._thread.is_alive():
            with suppress(Empty):
                self._ready.get(timeout=0.05)
        self._connection.command(ledger.DROP)
        self._connection.close()

    def _main(self) -> None:
        try:
            connection, span = self._connection, self._span
            for statement in (ledger.DROP, ledger.CREATE):
                connection.command(statement)
            connection.query(ledger.COPY, span)
            for start in range(span["since"], span["upto"] + 1, STRETCH_RECORDS):
                if self._stopped.is_set():
                    return
                end = min(start + STRETCH_RECORDS - 1, span["upto"])
                self._ready.put(self._read(start, end))
            self._ready.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the stretch is asked for
            self._ready.put(error)

    def _read(self, start: int, end: int) -> Block:
        parameters = {**self._span, "since": start, "upto": end, "currency": self._currency}
        accepted = _once(self._connection.query_arrow(ledger.EVENTS, parameters))
        others = []
        for sql in (ledger.DUPLICATES, ledger.REJECTED):
            table = self._connection.query_arrow(sql, parameters)
            columns = (table.column(name).to_pylist() for name in ("offset", "kept", "time_us", "raw"))
            others += [
                (offset, kept.decode(), time_us, raw)
                for offset, kept, time_us, raw in zip(*columns, strict=True)
            ]
        return _merged(accepted, others)


def _once(table: pa.Table) -> pa.Table:
    """Without a row's repetitions: an insert may be done twice."""
    import numpy as np

    keep = np.diff(table.column("offset").to_numpy(), prepend=-1) > 0
    return table if keep.all() else table.filter(keep)


_Other = tuple[int, str, int, bytes]


def _merged(accepted: pa.Table, others: list[_Other]) -> Block:
    offsets: list[int] = accepted.column("offset").to_pylist()
    raws: list[bytes] = accepted.column("raw").to_pylist()
    asides = {offset: Aside(kept, time_us) for offset, kept, time_us, _ in others}
    if others:
        both = sorted(
            [*zip(offsets, raws, strict=True), *((offset, raw) for offset, _, _, raw in others)],
            key=lambda one: one[0],
        )
        offsets, raws = [offset for offset, _ in both], [raw for _, raw in both]
    return Block(offsets, raws, asides, accepted.drop_columns(["raw"]))


def _cut(block: Block, offset: int) -> tuple[Block | None, Block | None]:
    """The records before an offset, and those after."""
    at = bisect_left(block.offsets, offset)
    if at == 0:
        return None, block
    if at == len(block.offsets):
        return block, None
    rows = int(block.accepted.column("offset").to_numpy().searchsorted(offset))
    return (
        Block(block.offsets[:at], block.raws[:at], block.asides, block.accepted.slice(0, rows)),
        Block(block.offsets[at:], block.raws[at:], block.asides, block.accepted.slice(rows)),
    )
