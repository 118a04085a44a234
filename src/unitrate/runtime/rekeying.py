"""Rekeying: events from topics whose producers cannot key by account, forwarded into the log.

A second, stateless agent of the worker. It reads whole batches through the same transport, gives each event
its account's key and home partition, and acknowledges a batch, so that Kafka's offset moves, only after every
record of it was acknowledged by the log. At least once is enough: the fold knows an event that it has seen.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from unitrate.placement import partition_of
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.log_records import LOG_TOPIC, event_bytes
from unitrate.runtime.send import subject_of
from unitrate.runtime.topics import MAX_MESSAGE_BYTES

log = logging.getLogger("unitrate.worker")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 15.0


class Rekeyer:
    """Forwards batches. Use one a worker."""

    def __init__(self, connection: KafkaConnection, partitions: int) -> None:
        self._connection, self._partitions = connection, partitions
        self._producer: AIOKafkaProducer | None = None
        self.forwarded = 0

    async def forward(self, records: Sequence[Any]) -> None:
        """Send all of a batch; returns when the log has every record. Tries again for as long as it takes."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._send(records)
                return
            except KafkaError as error:
                log.warning("rekeying: the log does not answer (%r); trying again", error)
                await self.close()
                await asyncio.sleep(pause_s * (0.5 + random.random() / 2))  # noqa: S311 - jitter
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def close(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def _send(self, records: Sequence[Any]) -> None:
        producer = await self._opened()
        sent = []
        for record in records:
            key, partition, value = self.addressed(record)
            sent.append(await producer.send(LOG_TOPIC, key=key, value=value, partition=partition))
        await asyncio.gather(*sent)
        self.forwarded += len(sent)

    def addressed(self, record: Any) -> tuple[bytes, int, bytes]:
        """Key, partition and structured bytes. Without a readable account: partition 0, to be rejected."""
        value = event_bytes(record.headers, record.value)
        account = subject_of(value)
        if account is None:
            return b"", 0, value
        return account.encode("utf-8", "surrogatepass"), partition_of(account, self._partitions), value

    async def _opened(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._connection.options(),
                client_id="unitrate-rekey",
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                linger_ms=5,
                max_request_size=MAX_MESSAGE_BYTES,
            )
            await producer.start()
            self._producer = producer
        return self._producer


def declare(app: faust.App, topics: Sequence[str], rekeyer: Rekeyer) -> None:
    """The agent over the topics that are to be rekeyed."""
    topic = app.topic(*topics, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name="unitrate.rekey")
    async def rekey(stream: Any) -> None:
        # Faust acknowledges an event even when its agent raised or was cancelled: acknowledging is ours.
        async for event in stream.noack().events():
            await rekeyer.forward(event.value.records)
            event.ack()
