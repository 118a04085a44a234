"""Writing control records: one Kafka transaction over all partitions, so all have the same ones in one order.

Owns the one `transactional.id` that every publisher uses: a second publisher fences the first, so there are
never two half-written broadcasts. Also reads what the fold needs to trust a log: its genesis, its ends, and
the record that a checkpoint's marker names.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from unitrate.errors import LogError, LogUnavailable
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.log_records import (
    ENGINE,
    GENESIS,
    LOG_TOPIC,
    Genesis,
    Record,
    control_headers,
    engine_body,
    genesis_body,
    genesis_of,
    kind_of,
)

TRANSACTIONAL_ID = "unitrate.control"
CONTROL_GROUP = "unitrate.control"  # its committed note says where the control records are
MAX_NOTED = 40  # offsets a kind in the note; brokers take 4 KiB. The store knows older ones by then
# A publisher that dies in a transaction stalls every partition for this long.
TRANSACTION_TIMEOUT_MS = 10_000
MAX_CONTROL_BYTES = 8 << 20  # before compression; the topic's limit counts compressed bytes
READ_TIMEOUT_S = 15.0


class Control(NamedTuple):
    """A control record to broadcast; two with one id are the same, and the fold takes the first."""

    kind: str
    control_id: str
    body: bytes


def engine_control(version: int) -> Control:
    """The record that switches every fold to a version of its rules."""
    return Control(ENGINE, f"engine:{version}", engine_body(version))


@asynccontextmanager
async def publisher(connection: KafkaConnection) -> AsyncIterator[AIOKafkaProducer]:
    """The one publisher of control records: from here on any earlier one is fenced."""
    producer = AIOKafkaProducer(
        **connection.options(),
        client_id="unitrate-control",
        transactional_id=TRANSACTIONAL_ID,
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        enable_idempotence=True,
        acks="all",
        max_request_size=MAX_CONTROL_BYTES,
        compression_type="zstd",
    )
    try:
        await producer.start()
    except KafkaError as error:
        raise LogUnavailable(f"Kafka at {connection.label} does not answer: {_words(error)}") from None
    try:
        yield producer
    finally:
        await producer.stop()


Noted = dict[str, list[int]]  # kind -> offsets in partition 0


async def write_controls(
    connection: KafkaConnection,
    partitions: int,
    decide: Callable[[list[Record]], list[Control]],
    kinds: Collection[str] = (),
) -> list[int]:
    """Write what `decide` makes of the control records of those kinds so far; offsets by partition.

    From its first step on no other publisher can commit, so what `decide` sees is what there is.
    """
    async with publisher(connection) as producer:
        await producer.begin_transaction()
        await producer.abort_transaction()
        noted = await _noted(connection)
        controls = decide(await _records_of(connection, noted, kinds))
        return await _broadcast(producer, controls, partitions, noted) if controls else []


async def control_records(connection: KafkaConnection, kinds: Collection[str]) -> list[Record]:
    """The control records so far, as partition 0 has them; without those that expired."""
    return await _records_of(connection, await _noted(connection), kinds)


async def _broadcast(
    producer: AIOKafkaProducer, controls: Sequence[Control], partitions: int, noted: Noted
) -> list[int]:
    """Write each control record into every partition, all or nothing, and note where; the first's offsets."""
    try:
        async with producer.transaction():
            sent = [
                await producer.send(
                    LOG_TOPIC,
                    value=control.body,
                    partition=partition,
                    headers=control_headers(control.kind, control.control_id),
                )
                for control in controls
                for partition in range(partitions)
            ]
            acknowledged = await asyncio.gather(*sent)
            offsets = [record.offset for record in acknowledged[::partitions]]
            note = OffsetAndMetadata(offsets[-1], _with(noted, controls, offsets))
            await producer.send_offsets_to_transaction({TopicPartition(LOG_TOPIC, 0): note}, CONTROL_GROUP)
    except ProducerFenced:
        raise LogError("another command that writes the log took over; run this one again") from None
    except KafkaError as error:
        raise LogError(f"the log did not take the record: {_words(error)}") from None
    return [record.offset for record in acknowledged[:partitions]]


def _with(noted: Noted, controls: Sequence[Control], offsets: Sequence[int]) -> str:
    """The note with new records in it: the latest of each kind, no more than a broker keeps."""
    more = {kind: list(known) for kind, known in noted.items()}
    for control, offset in zip(controls, offsets, strict=True):
        more.setdefault(control.kind, []).append(offset)
    return json.dumps({kind: known[-MAX_NOTED:] for kind, known in more.items()}, separators=(",", ":"))


async def _noted(connection: KafkaConnection) -> Noted:
    """Where control records are: each publisher commits this note with its records."""
    admin = AIOKafkaAdminClient(**connection.options())
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(CONTROL_GROUP)
    finally:
        await admin.close()
    note = found.get(TopicPartition(LOG_TOPIC, 0))
    return dict(json.loads(note.metadata)) if note is not None and note.metadata else {}


async def _records_of(connection: KafkaConnection, noted: Noted, kinds: Collection[str]) -> list[Record]:
    offsets = sorted(offset for kind in kinds for offset in noted.get(kind, []))
    if not offsets:
        return []
    async with LogReader(connection) as reader:
        start, end = (await reader.bounds([0]))[0]
        found = [await reader.first_at(0, offset) for offset in offsets if start <= offset < end]
    return [record for record in found if record is not None and kind_of(record.headers) in kinds]


class LogReader:
    """Reads single records and ends of the log, committed ones only. Use as an async context."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._consumer = AIOKafkaConsumer(
            **connection.options(),
            client_id="unitrate-reader",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=64 << 10,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
        except KafkaError as error:
            raise LogUnavailable(
                f"Kafka at {self._connection.label} does not answer: {_words(error)}"
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def bounds(self, partitions: Sequence[int]) -> dict[int, tuple[int, int]]:
        """First offset and end (one past the last) of each partition."""
        pairs = [TopicPartition(LOG_TOPIC, partition) for partition in partitions]
        starts = await self._consumer.beginning_offsets(pairs)
        ends = await self._consumer.end_offsets(pairs)
        return {pair.partition: (starts[pair], ends[pair]) for pair in pairs}

    async def first_at(self, partition: int, offset: int) -> Record | None:
        """The first committed record at or after `offset`; None where there is none up to the end."""
        found, _ = (await self.first_of({partition: offset}))[partition]
        return found

    async def first_of(self, offsets: dict[int, int]) -> dict[int, tuple[Record | None, int]]:
        """By partition: the first committed record at or after its offset, and where reading goes on from.

        Markers of transactions take offsets too: where nothing but those follows, the record is None and the
        position is the end, which is how a lag of zero is told from one of two.
        """
        pairs = {TopicPartition(LOG_TOPIC, partition): offset for partition, offset in offsets.items()}
        self._consumer.assign(list(pairs))
        for pair, offset in pairs.items():
            self._consumer.seek(pair, offset)
        ends = await self._consumer.end_offsets(list(pairs))
        found: dict[int, tuple[Record | None, int]] = {}
        deadline = asyncio.get_running_loop().time() + READ_TIMEOUT_S
        while waiting := [pair for pair in pairs if pair.partition not in found]:
            for pair, records in (
                await self._consumer.getmany(*waiting, timeout_ms=200, max_records=1)
            ).items():
                found[pair.partition] = (record_of(records[0]), records[0].offset)
                self._consumer.pause(pair)
            for pair in waiting:
                position = await self._consumer.position(pair)
                if pair.partition not in found and position >= ends[pair]:
                    found[pair.partition] = (None, position)
            if asyncio.get_running_loop().time() > deadline:
                raise LogUnavailable(f"the log does not answer for partition {waiting[0].partition}")
        self._consumer.pause(*pairs)  # else it would go on fetching for nobody
        return found


async def ensure_genesis(
    connection: KafkaConnection, partitions: int, beside: Control, known: Genesis | None = None
) -> tuple[Genesis, bool]:
    """The log's genesis, written first where the log is new; True where this call wrote it.

    `beside` is written together with it. The publisher fences any other before it looks, so two `init` at
    once cannot write two.
    """
    async with publisher(connection) as producer, LogReader(connection) as reader:
        await producer.begin_transaction()
        await producer.abort_transaction()
        found = await read_genesis(reader, partitions)
        if found is not None:
            return found, False
        if known is not None:
            raise LogError(
                f"{LOG_TOPIC} at {connection.label} is empty, but the store was filled from log "
                f"{known.log_id}; use another database, or the brokers of that log"
            )
        fresh = Genesis(str(uuid.uuid4()), partitions)
        genesis = Control(GENESIS, fresh.log_id, genesis_body(fresh.log_id, partitions))
        await _broadcast(producer, [genesis, beside], partitions, {})
        return fresh, True


async def read_genesis(reader: LogReader, partitions: int) -> Genesis | None:
    """The genesis record; None where the log is new. Raises LogError where it holds others but no genesis."""
    bounds = await reader.bounds(range(partitions))
    first = await reader.first_of({partition: start for partition, (start, _) in bounds.items()})
    seen = {partition: record for partition, (record, _) in first.items() if record is not None}
    if not seen:
        if any(start for start, _ in bounds.values()):
            raise LogError(f"every record of {LOG_TOPIC} expired: lengthen its retention.ms, start a new log")
        return None
    for partition, record in seen.items():
        genesis = genesis_of(record.value) if kind_of(record.headers) == GENESIS else None
        if genesis is not None:
            if genesis.partitions != partitions:
                raise LogError(
                    f"{LOG_TOPIC} was made with {genesis.partitions} partitions and has {partitions} now; an "
                    "account's home would change: this log cannot be used any more"
                )
            return genesis
        if bounds[partition][0] == 0:
            raise LogError(
                f"{LOG_TOPIC}[{partition}] holds records but no genesis; delete the topic, then init"
            )
    raise ExpiredGenesisError(f"the genesis of {LOG_TOPIC} expired; what the store knows of it counts")


class ExpiredGenesisError(LogError):
    """The log's first records expired, its genesis with them, as they should after a while."""


def record_of(record: ConsumerRecord[Any, Any]) -> Record:
    """A client's record as ours."""
    return Record(record.offset, record.timestamp * 1000, record.key, record.value, tuple(record.headers))


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
