"""The log as a partition's thread sees it while it recovers: blocking questions to one shared reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from unitrate.errors import LogError, LogUnavailable
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.kafka_log import LogReader
from unitrate.runtime.log_records import LOG_TOPIC, Record
from unitrate.runtime.topics import Topics

ANSWER_TIMEOUT_S = 60.0
T = TypeVar("T")


class SharedLogView:
    """`partition.LogView` over the worker's event loop: threads ask, the loop answers, one by one."""

    def __init__(self, connection: KafkaConnection, partitions: int) -> None:
        self.partitions = partitions
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._reader: LogReader | None = None

    def bounds(self, partition: int) -> tuple[int, int]:
        return self._ask(self._bounds(partition))

    def first_at(self, partition: int, offset: int) -> Record | None:
        return self._ask(self._first_at(partition, offset))

    async def close(self) -> None:
        async with self._lock:
            if self._reader is not None:
                await self._reader.__aexit__(None, None, None)
                self._reader = None

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        asked = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return asked.result(ANSWER_TIMEOUT_S)
        except TimeoutError:
            asked.cancel()
            raise LogUnavailable(f"Kafka at {self._connection.label} did not answer in time") from None

    async def _bounds(self, partition: int) -> tuple[int, int]:
        return (await self._answer(lambda reader: reader.bounds([partition])))[partition]

    async def _first_at(self, partition: int, offset: int) -> Record | None:
        return await self._answer(lambda reader: reader.first_at(partition, offset))

    async def _answer(self, ask: Callable[[LogReader], Coroutine[Any, Any, T]]) -> T:
        """One question at a time; after a failure the next one gets a new reader."""
        async with self._lock:
            try:
                if self._reader is None:
                    self._reader = await LogReader(self._connection).__aenter__()
                return await ask(self._reader)
            except (KafkaError, LogUnavailable) as error:
                reader, self._reader = self._reader, None
                if reader is not None:
                    await reader.__aexit__(None, None, None)
                raise LogUnavailable(f"Kafka at {self._connection.label} does not answer: {error}") from None


async def log_partitions(connection: KafkaConnection) -> int:
    """Number of partitions of the log; LogError where there is none."""
    async with Topics(connection) as topics:
        count = await topics.partitions_of(LOG_TOPIC)
    if count is None:
        raise LogError(f"there is no topic {LOG_TOPIC} at {connection.label}: unitrate init makes it")
    return count
