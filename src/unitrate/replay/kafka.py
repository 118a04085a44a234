"""`unitrate verify` against Kafka: each partition's log read from its start, folded by the worker's code.

Owns reading a partition from end to end at the pace of the fold. Reads committed records only, in no group,
so no worker notices; writes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from unitrate.errors import InputError, LogError
from unitrate.replay import feed
from unitrate.replay.differences import Found
from unitrate.replay.verify import Comparison, Verified, compare_counts, compare_invoices
from unitrate.runtime.log_records import LOG_TOPIC, kind_of
from unitrate.runtime.partition import US_PER_MS, Partition
from unitrate.store import checkpoint

if TYPE_CHECKING:
    from unitrate.engine import Engine
    from unitrate.runtime.kafka_connection import KafkaConnection
    from unitrate.store import Store
    from unitrate.store.checkpoint import Marker

READ_TIMEOUT_S = 60.0
MOST_RECORDS = 20_000
Progress = Callable[[int, int], None]


def verify(
    store: Store,
    connection: KafkaConnection,
    period: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Verified:
    """Replay every partition up to its checkpoint and compare; with a period, the rows of that month alone.

    Workers may go on meanwhile: what they change after the checkpoint is left out. Raises LogError where the
    log's first records have expired.
    """
    started = time.monotonic()
    markers = markers_of(store)
    if not markers:
        raise InputError(f"nothing was rated into {store.label} yet")
    found = Found()
    records = asyncio.run(_verify(store, connection, period, markers, found, progress))
    compare_invoices(found, store, period)
    return Verified(records, found.rows, found.counts, tuple(found.first), time.monotonic() - started)


def markers_of(store: Store) -> list[Marker]:
    """The checkpoint of every partition."""
    rows = store.query("SELECT DISTINCT partition FROM checkpoints ORDER BY partition").rows
    found = (checkpoint.read_marker(store, partition) for (partition,) in rows)
    return [marker for marker in found if marker is not None]


async def _verify(
    store: Store, connection: KafkaConnection, period: int | None, markers: Sequence[Marker], found: Found,
    progress: Progress,
) -> int:  # fmt: skip
    total = sum(marker.last_offset + 1 for marker in markers)
    records = passed = 0
    for marker in markers:
        comparison = Comparison(store, marker.partition, period, found, upto=marker.last_offset)
        engine = feed.an_engine(marker.partition)
        partition = Partition(marker.partition, engine)
        with feed.uncollected():
            async for batch in _read(connection, marker, 0):
                for _ in partition.fold(batch):
                    raise LogError("a replay came to a generation")  # it asks for none
                records += len(batch)
                output = engine.drain()
                comparison.take_events(output.events)
                comparison.take(output, engine.last_offset)
                progress(passed + engine.last_offset + 1, total)
            comparison.compare(marker.last_offset)
            comparison.compare_live(engine)
        compare_counts(found, engine, marker)
        passed += marker.last_offset + 1
    return records


async def fold_month(
    connection: KafkaConnection, marker: Marker, engine: Engine, first: int, drained: Callable[[int], bool]
) -> int:
    """Fold a partition's events from an offset on; catalogs, closes and corrections only move the log's time.

    `drained` is called after each batch with the records so far; True ends it. Returns their number.
    """
    partition, records = Partition(marker.partition, engine), 0
    async for batch in _read(connection, marker, first):
        for is_event, found in groupby(batch, key=lambda record: kind_of(record.headers) is None):
            if is_event:
                for _ in partition.fold(list(found)):
                    raise LogError("a replay came to a generation")  # it asks for none
                continue
            for record in found:
                engine.tick(record.offset, record.timestamp * US_PER_MS)
        records += len(batch)
        if drained(records):
            break
    return records


async def _read(connection: KafkaConnection, marker: Marker, first: int) -> AsyncIterator[list[Any]]:
    """Committed records of a partition from an offset up to its checkpoint."""
    consumer = AIOKafkaConsumer(
        **connection.options(), client_id="unitrate-verify", isolation_level="read_committed",
        enable_auto_commit=False, auto_offset_reset="none", max_partition_fetch_bytes=4 << 20,
    )  # fmt: skip
    try:
        await consumer.start()
    except KafkaError as error:
        raise LogError(f"Kafka at {connection.label} does not answer: {type(error).__name__}") from None
    pair = TopicPartition(LOG_TOPIC, marker.partition)
    try:
        consumer.assign([pair])
        start = (await consumer.beginning_offsets([pair]))[pair]
        if start > first:
            raise LogError(
                f"{LOG_TOPIC}[{marker.partition}] begins at {start:,}: records from {first:,} on have "
                "expired, and the replay needs them"
            )
        consumer.seek(pair, first)
        async for batch in _batches(consumer, pair, marker.last_offset):
            yield batch
    finally:
        await consumer.stop()


async def _batches(consumer: Any, pair: TopicPartition, last_offset: int) -> AsyncIterator[list[Any]]:
    waited_from = time.monotonic()
    while await consumer.position(pair) <= last_offset:
        got = await consumer.getmany(pair, timeout_ms=500, max_records=MOST_RECORDS)
        batch = [record for record in got.get(pair, ()) if record.offset <= last_offset]
        if batch:
            yield batch
            waited_from = time.monotonic()
        elif time.monotonic() - waited_from > READ_TIMEOUT_S:
            raise LogError(f"{LOG_TOPIC}[{pair.partition}] gives no more records before {last_offset:,}")
