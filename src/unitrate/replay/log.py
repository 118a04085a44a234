"""The log of an embedded store, read again from its ledgers in the order of its offsets.

Owns the merge of what the store keeps apart (accepted events, duplicates, rejected ones, publications, ticks,
control records) into one sequence. Reads in one pass and keeps one block in memory; writes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
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
            before, rest = cut(rest, waiting[0].offset)
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
    """Accepted events as they stream, each block with the other records up to its end."""
    import pyarrow as pa

    parameters = {"partition": PARTITION, "since": since, "upto": upto, "currency": currency(store)}
    connection = store.writer()  # a stream needs its own
    duplicates = _Stream(store, ledger.DUPLICATES, parameters)
    rejected = _Stream(store, ledger.REJECTED, parameters)
    try:
        last = since - 1
        for batch in connection.stream_arrow(ledger.EVENTS, parameters):
            fresh = _once(pa.Table.from_batches([batch]), last)
            if fresh.num_rows:
                last = fresh.column("offset")[-1].as_py()
                yield _merged(fresh, [*duplicates.until(last), *rejected.until(last)])
        others = [*duplicates.until(upto), *rejected.until(upto)]
        if others:
            yield _merged(None, others)
    finally:
        connection.close()
        duplicates.close()
        rejected.close()


def _once(table: pa.Table, last: int) -> pa.Table:
    """Without rows of offsets up to `last`, and without a row's repetitions: an insert may be done twice."""
    import numpy as np

    offsets = table.column("offset").to_numpy()
    keep = np.diff(offsets, prepend=last) > 0
    return table if keep.all() else table.filter(keep)


_Other = tuple[int, str, int, bytes]


class _Stream:
    """The records of one of the smaller tables, in order."""

    def __init__(self, store: Store, sql: str, parameters: dict[str, object]) -> None:
        self._connection = store.writer()
        self._rows = self._read(sql, parameters)
        self._next = next(self._rows, None)

    def _read(self, sql: str, parameters: dict[str, object]) -> Iterator[_Other]:
        last = -1
        for batch in self._connection.stream_arrow(sql, parameters):
            columns = (batch.column(name).to_pylist() for name in ("offset", "kept", "time_us", "raw"))
            for offset, kept, time_us, raw in zip(*columns, strict=True):
                if offset > last:
                    last = offset
                    yield offset, kept.decode(), time_us, raw

    def until(self, offset: int) -> Iterator[_Other]:
        """Records up to the offset."""
        while self._next is not None and self._next[0] <= offset:
            yield self._next
            self._next = next(self._rows, None)

    def close(self) -> None:
        self._rows.close()  # type: ignore[attr-defined]
        self._connection.close()


def _merged(accepted: pa.Table | None, others: list[_Other]) -> Block:
    offsets: list[int] = [] if accepted is None else accepted.column("offset").to_pylist()
    raws: list[bytes] = [] if accepted is None else accepted.column("raw").to_pylist()
    asides = {offset: Aside(kept, time_us) for offset, kept, time_us, _ in others}
    if others:
        both = sorted(
            [*zip(offsets, raws, strict=True), *((offset, raw) for offset, _, _, raw in others)],
            key=lambda one: one[0],
        )
        offsets, raws = [offset for offset, _ in both], [raw for _, raw in both]
    return Block(offsets, raws, asides, _empty() if accepted is None else accepted.drop_columns(["raw"]))


def _empty() -> pa.Table:
    import pyarrow as pa

    names = ("offset", "unit_id", "meter", "reason", "cost")
    return pa.table({name: pa.array([], pa.int64()) for name in names})


def cut(block: Block, offset: int) -> tuple[Block | None, Block | None]:
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


def without_first(block: Block) -> Block | None:
    """The block without its first record, which is no accepted event."""
    if len(block.offsets) == 1:
        return None
    return Block(block.offsets[1:], block.raws[1:], block.asides, block.accepted)
