"""`unitrate rejected retry` on a log in Kafka: the original bytes again, as new records at the time of now.

Owns which rejected events may be taken again. A crash in the middle sends some twice, which the fold notices:
it knows an event that it accepted. Must never retry what no fix of ours can mend (control records).
"""

from __future__ import annotations

import asyncio

import pyarrow as pa
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from unitrate.errors import LogError
from unitrate.placement import partition_of
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.log_records import LOG_TOPIC
from unitrate.runtime.topics import MAX_MESSAGE_BYTES
from unitrate.store import Store

CHUNK = 1_000
_RETRYABLE = (
    "FROM rejected_events FINAL WHERE reason NOT IN ('unit_final', 'bad_control') "
    "AND ({reason:String} = '' OR reason = {reason:String}) "
    "AND (partition, `offset`) NOT IN (SELECT partition, `offset` FROM retried_events)"
)


async def retry(
    connection: KafkaConnection, store: Store, partitions: int, reason: str | None, dry_run: bool
) -> int:
    """Send every rejected event that was not sent again yet; how many."""
    parameters = {"reason": reason or ""}
    if dry_run:
        return int(store.query(f"SELECT count() {_RETRYABLE}", parameters).rows[0][0])
    producer = AIOKafkaProducer(
        **connection.options(),
        client_id="unitrate-retry",
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_MESSAGE_BYTES,
    )
    count = 0
    try:
        await producer.start()
        while chunk := _chunk(store, parameters):
            await _send(producer, store, partitions, chunk)
            count += len(chunk)
    except KafkaError as error:
        raise LogError(f"{count} events were sent again, then the log did not answer: {error}") from None
    finally:
        await producer.stop()
    return count


def _chunk(store: Store, parameters: dict[str, str]) -> list[tuple[int, int, str, bytes]]:
    table = store.query_arrow(
        f"SELECT partition, `offset`, account, raw {_RETRYABLE} ORDER BY partition, `offset` LIMIT {CHUNK}",
        parameters,
    )
    names = ("partition", "offset", "account", "raw")
    partitions, offsets, accounts, raws = (table.column(name).to_pylist() for name in names)
    decoded = [account.decode("utf-8", "replace") for account in accounts]
    return list(zip(partitions, offsets, decoded, raws, strict=True))


async def _send(
    producer: AIOKafkaProducer, store: Store, partitions: int, chunk: list[tuple[int, int, str, bytes]]
) -> None:
    """Each to its account's home, or to where it was if no account can be read; then note it as sent."""
    sent = [
        await producer.send(
            LOG_TOPIC,
            key=account.encode() or None,
            value=raw,
            partition=partition_of(account, partitions) if account else partition,
        )
        for partition, _, account, raw in chunk
    ]
    acknowledged = await asyncio.gather(*sent)
    rows = {
        "partition": pa.array([row[0] for row in chunk], pa.uint32()),
        "offset": pa.array([row[1] for row in chunk], pa.int64()),
        "retried_offset": pa.array([record.offset for record in acknowledged], pa.int64()),
    }
    store.insert("retried_events", pa.table(rows))
