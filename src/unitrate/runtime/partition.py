"""One partition of the log: recovery, fold and checkpoint, in one thread, without a client or a clock.

Owns the engine between two assignments. Everything here is synchronous and driven from outside: the worker
gives it threads and a Kafka consumer, the simulator a scheduler and a fake log. docs/durability.md has the
protocol; each of its parts is one function with its steps numbered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from unitrate.catalog.publication import compile_publication
from unitrate.engine import Batch, Engine
from unitrate.errors import LogError, StoreError, UnitrateError
from unitrate.rows import Checkpoint
from unitrate.runtime.log_records import (
    CATALOG,
    GENESIS,
    LOG_TOPIC,
    TICK,
    Record,
    checksum,
    control_id_of,
    event_bytes,
    genesis_of,
    kind_of,
)
from unitrate.store import Store, cluster, publications, recovery
from unitrate.store import checkpoint as store_checkpoint
from unitrate.store.checkpoint import Marker

US_PER_MS = 1000
FOLD_RECORDS = 128  # so that decode and fold stay in the processor's caches


class LogView(Protocol):
    """What recovery asks the log; blocking."""

    @property
    def partitions(self) -> int:
        """Number of partitions that the topic has."""

    def bounds(self, partition: int) -> tuple[int, int]:
        """First offset, and one past the last."""

    def first_at(self, partition: int, offset: int) -> Record | None:
        """The first committed record at or after `offset`; None where none follows."""


class ConsumerRecord(Protocol):
    """A record as aiokafka gives it."""

    offset: int
    timestamp: int  # ms
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Recovered(NamedTuple):
    """A partition that is ready to fold, and where its log goes on."""

    partition: Partition
    next_offset: int


class Pending(NamedTuple):
    """What one checkpoint writes: the catalogs that were published since the last, and the engine's part."""

    catalogs: list[tuple[int, bytes]]  # offset and publication
    checkpoint: Checkpoint


class Partition:
    """The fold of one partition since its last recovery."""

    def __init__(self, number: int, engine: Engine) -> None:
        self.number = number
        self.engine = engine
        self.since_checkpoint = 0
        self._last: ConsumerRecord | None = None
        self._catalogs: list[tuple[int, bytes]] = []

    def fold(self, records: Sequence[ConsumerRecord]) -> Iterator[Pending]:
        """Fold a batch. Yields a checkpoint that is due now: the record before it started a generation.

        The caller must write each yielded checkpoint before any later one, and exhaust the iterator.
        """
        start = 0
        while start < len(records):
            start += self._fold_some(records, start)
            if self.engine.due_generation:
                yield self.checkpoint()

    def _fold_some(self, records: Sequence[ConsumerRecord], start: int) -> int:
        end, limit = start, min(len(records), start + FOLD_RECORDS)
        while end < limit and (not records[end].headers or kind_of(records[end].headers) is None):
            end += 1
        if end == start:
            self._apply(records[start])
            count = 1
        elif not self.engine.timeline.catalogs:
            self._reject_early(records[start])
            count = 1
        else:
            count = self.engine.fold(self._batch(records[start:end]))
        self.since_checkpoint += count
        self._last = records[start + count - 1]
        return count

    def _batch(self, records: Sequence[ConsumerRecord]) -> Batch:
        return Batch(
            raws=[
                event_bytes(record.headers, record.value) if record.headers else record.value or b""
                for record in records
            ],
            offsets=[record.offset for record in records],
            entered_us=0,
            timestamps_us=[record.timestamp * US_PER_MS for record in records],
            place=lambda index: self.place(records[index].offset),
        )

    def _reject_early(self, record: ConsumerRecord) -> None:
        """An event that stands before the first catalog can be retried once one is published."""
        raw = event_bytes(record.headers, record.value)
        message = "no catalog was published before it; publish one, then unitrate rejected retry"
        self._reject(record, "no_catalog", message, raw)

    def _apply(self, record: ConsumerRecord) -> None:
        """A record that is no event. A malformed one is rejected: nothing that arrives stops a partition."""
        kind = kind_of(record.headers) or ""
        time_us = record.timestamp * US_PER_MS
        if kind == TICK:
            self.engine.tick(record.offset, time_us)
            return
        body, control_id = record.value or b"", control_id_of(record.headers)
        try:
            if kind == CATALOG:
                _check_publication(body)
            known = len(self.engine.timeline.catalogs)
            self.engine.control(record.offset, time_us, kind, control_id, body)
        except LogError:
            raise
        except (UnitrateError, ValueError) as error:
            message = f"a control record of kind {kind!r} that cannot be used: {error}"
            self._reject(record, "bad_control", message, body)
            return
        if len(self.engine.timeline.catalogs) > known:
            self._catalogs.append((record.offset, body))

    def _reject(self, record: ConsumerRecord, reason: str, message: str, raw: bytes) -> None:
        time_us = record.timestamp * US_PER_MS
        self.engine.reject(record.offset, time_us, reason, message, self.place(record.offset), raw)

    def checkpoint(self) -> Pending:
        """Freeze what was folded since the last checkpoint, with the mark of the last record."""
        made = self.engine.checkpoint()
        if self._last is not None:
            made.meta["record"] = mark_of(as_record(self._last))
        self.since_checkpoint = 0
        catalogs, self._catalogs = self._catalogs, []
        return Pending(catalogs, made)

    def place(self, offset: int) -> str:
        return f"{LOG_TOPIC}[{self.number}]@{offset}"


def as_record(record: ConsumerRecord) -> Record:
    """A client's record as ours."""
    headers = tuple((name, value) for name, value in record.headers)
    return Record(record.offset, record.timestamp * US_PER_MS, record.key, record.value, headers)


def mark_of(record: Record) -> dict[str, int]:
    """What a marker keeps of its last record, to know the log again."""
    return {"offset": record.offset, "timestamp_us": record.timestamp_us, "crc": checksum(record)}


@lru_cache(maxsize=2)  # the same stands in every partition
def _check_publication(publication: bytes) -> None:
    try:
        compile_publication(publication)
    except Exception as error:  # whatever garbage does to it, nothing is changed yet
        raise ValueError(f"it is no publication ({type(error).__name__}: {error})") from error


def write(store: Store, number: int, pending: Pending) -> None:
    """Write one checkpoint; again changes nothing. The marker comes last of what recovery reads."""
    for offset, publication in pending.catalogs:
        publications.write(store, number, offset, publication)  # 3: rows
    store.write_checkpoint(pending.checkpoint)  # 3: rows, 4: state, 5: marker, 7: collection


def recover(number: int, store: Store, log: LogView) -> Recovered:
    """Bring a partition back to its last checkpoint, or to the log's beginning where it has none."""
    cluster.sync_replicas(store)  # 1
    marker = store_checkpoint.read_marker(store, number)  # 2
    if marker is None:
        return Recovered(Partition(number, Engine(number)), check_new_log(number, log))
    recovery.check_version(marker)
    check_log(marker, log)  # 3
    found = recovery.read(store, number)  # 2, 4, 5: what is read is consistent, by its digest
    if found is None or found.marker.last_offset < marker.last_offset:
        raise StoreError(f"the checkpoint of partition {number} in {store.label} vanished while it was read")
    return Recovered(Partition(number, found.engine), found.marker.last_offset + 1)  # 6


def check_new_log(number: int, log: LogView) -> int:
    """The store knows nothing of this partition: its log must be whole and begin with its genesis."""
    start, _ = log.bounds(number)
    record = log.first_at(number, start)
    genesis = genesis_of(record.value) if record and kind_of(record.headers) == GENESIS else None
    if genesis is None or record is None:
        lost = f"its first {start:,} records expired" if start else "there is no genesis record"
        raise LogError(
            f"{LOG_TOPIC}[{number}] cannot be folded from its beginning: {lost}. Was `unitrate init` run, "
            "and does --store name the store that it was run with?"
        )
    if genesis.partitions != log.partitions:
        raise _changed_partitions(genesis.partitions, log.partitions)
    return record.offset


def check_log(marker: Marker, log: LogView) -> None:
    """The log must be the one that the checkpoint was made from, and still hold all that comes after it."""
    number, last = marker.partition, marker.last_offset
    if marker.meta["partitions"] != log.partitions:
        raise _changed_partitions(marker.meta["partitions"], log.partitions)
    start, end = log.bounds(number)
    where = f"{LOG_TOPIC}[{number}]"
    if start > last + 1:
        raise LogError(
            f"{where} begins at {start}, but the store ends at {last}: records expired before they were "
            "read. Restore the log from a backup, or begin a new one (docs/scaling.md)"
        )
    if last >= end:
        raise LogError(f"{where} ends at {end}, but the store has read {last}: it was truncated or made anew")
    if start > last:
        return  # the record itself expired, as it may
    record = log.first_at(number, last)
    expected: dict[str, Any] = marker.meta.get("record", {})
    if record is None or (expected and mark_of(record) != expected):
        raise LogError(
            f"{where} holds another record at {last} than the store has read: the log was made anew"
        )


def _changed_partitions(was: int, now: int) -> LogError:
    return LogError(
        f"{LOG_TOPIC} has {now} partitions, but was begun with {was}; accounts would change their home. "
        "docs/scaling.md says how to outgrow a log"
    )
