"""The embedded log: an ordered list of what its offsets stand for, kept in the store's manifest.

Owns the manifest's rows: files' ranges, publications, ticks, retries, control records. A row is durable
before anything that follows from it is; what no file holds (standard input, retries) waits in `spool` until
it is processed. Must never change a row that was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from unitrate.errors import StoreError
from unitrate.runtime.files import Slice

if TYPE_CHECKING:
    import pyarrow as pa

    from unitrate.store import Store

Kind = Literal["files", "publication", "tick", "retry", "control"]
RETRY_RECORDS = 50_000
_BLOB_BYTES = 64 << 20  # of spooled bytes that one insert carries


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a manifest row says beyond its columns; which fields are set depends on the kind."""

    slices: list[Slice] = []  # files
    catalog: str = ""  # publication: its version
    until_us: int = 0  # tick
    retried: list[int] = []  # retry: offsets of the rejected events, in order
    places: list[str] = []  # and where each came from
    control: str = ""  # control: its kind (close, correction …); the payload is its body
    control_id: str = ""  # and what makes two of them the same record


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Body).decode


@dataclass(frozen=True, slots=True)
class Entry:
    """One manifest row: records [base_offset, base_offset + count). Blank lines alone make a row of none."""

    seq: int
    base_offset: int
    count: int
    kind: Kind
    entered_us: int  # the machine's clock when the records entered the log
    body: Body
    payload: bytes = b""  # a publication, or a control record's body
    spool: dict[int, bytes] = field(default_factory=dict)  # raw bytes by slice (files) or record (retry)

    @property
    def end_offset(self) -> int:
        return self.base_offset + self.count


def read_entries(store: Store) -> list[Entry]:
    """All rows in log order, without payloads and spools. Raises StoreError where one is missing."""
    found = store.query(
        "SELECT seq, base_offset, count, kind, toUnixTimestamp64Micro(entered), body FROM manifest FINAL "
        "ORDER BY seq"
    )
    entries = []
    end = 0
    for position, (seq, base, count, kind, entered_us, body) in enumerate(found.rows):
        if (seq, base) != (position, end):
            raise StoreError(
                f"the log in {store.label} lacks record {end}: the store is damaged; restore a backup"
            )
        entries.append(Entry(seq, base, count, kind, entered_us, _decode(body)))
        end = base + count
    return entries


def publications_of(store: Store) -> list[bytes]:
    """All publications, in log order."""
    found = store.query_arrow("SELECT payload FROM manifest FINAL WHERE kind = 'publication' ORDER BY seq")
    payloads: list[bytes] = found.column("payload").to_pylist()
    return payloads


def rerates_of(store: Store) -> list[bytes]:
    """All re-rates, in log order."""
    found = store.query_arrow(
        "SELECT payload FROM manifest FINAL "
        "WHERE kind = 'control' AND JSONExtractString(body, 'control') = 'rerate' ORDER BY seq"
    )
    payloads: list[bytes] = found.column("payload").to_pylist()
    return payloads


def with_payload(store: Store, entry: Entry) -> Entry:
    """The row with what it takes to process it."""
    key = {"seq": entry.seq}
    found = store.query_arrow("SELECT payload FROM manifest FINAL WHERE seq = {seq:Int64}", key)
    pieces = store.query_arrow(
        "SELECT part, body FROM spool FINAL WHERE seq = {seq:Int64} ORDER BY part", key
    )
    spool = dict(zip(pieces.column("part").to_pylist(), pieces.column("body").to_pylist(), strict=True))
    return replace(entry, payload=found.column("payload")[0].as_py(), spool=spool)


def append(store: Store, entries: Sequence[Entry]) -> None:
    """Write rows, all or none, durably. What is spooled comes first: a row promises it."""
    import pyarrow as pa

    for entry in entries:
        for table in _spool_tables(entry):
            store.insert("spool", table)
    if not entries:
        return
    rows: dict[str, Any] = {
        "seq": pa.array([entry.seq for entry in entries], pa.int64()),
        "base_offset": pa.array([entry.base_offset for entry in entries], pa.int64()),
        "count": pa.array([entry.count for entry in entries], pa.int64()),
        "kind": pa.array([entry.kind for entry in entries]),
        "entered": pa.array([e.entered_us for e in entries], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
        "body": pa.array([_encode(entry.body).decode() for entry in entries]),
        "payload": pa.array([entry.payload for entry in entries], pa.binary()),
    }
    store.insert("manifest", pa.table(rows))


def _spool_tables(entry: Entry) -> Iterator[pa.Table]:
    import pyarrow as pa

    batch: dict[int, bytes] = {}
    for part, body in entry.spool.items():
        batch[part] = body
        if sum(map(len, batch.values())) >= _BLOB_BYTES or part == max(entry.spool):
            columns = {
                "seq": pa.array([entry.seq] * len(batch), pa.int64()),
                "part": pa.array(list(batch), pa.int64()),
                "body": pa.array(list(batch.values()), pa.binary()),
            }
            yield pa.table(columns)
            batch = {}


def note_retried(store: Store, entry: Entry) -> None:
    """Take the retried events off the list of rejected ones."""
    import pyarrow as pa

    offsets = entry.body.retried
    columns = {
        "partition": pa.array([0] * len(offsets), pa.uint32()),
        "offset": pa.array(offsets, pa.int64()),
        "retried_offset": pa.array(range(entry.base_offset, entry.end_offset), pa.int64()),
    }
    store.insert("retried_events", pa.table(columns))


def drop_spool(store: Store, seqs: Iterable[int]) -> None:
    """Forget the raw bytes of rows that a checkpoint covers: they may hold what must not be kept."""
    for seq in seqs:
        store.command(f"ALTER TABLE `{store.database}`.spool DROP PARTITION {seq:d}")


def drop_leftovers(store: Store, waiting: Iterable[int]) -> None:
    """Forget what a process spooled that died just before or just after it mattered."""
    spooled = {seq for (seq,) in store.query("SELECT DISTINCT seq FROM spool").rows}
    drop_spool(store, sorted(spooled - set(waiting)))
