"""The log as a partition's thread sees it while it recovers: blocking questions to one shared reader."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from unitrate.errors import LogError
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
        return asyncio.run_coroutine_threadsafe(question, self._loop).result(ANSWER_TIMEOUT_S)

    async def _bounds(self, partition: int) -> tuple[int, int]:
        async with self._lock:
            reader = await self._opened()
            return (await reader.bounds([partition]))[partition]

    async def _first_at(self, partition: int, offset: int) -> Record | None:
        async with self._lock:
            reader = await self._opened()
            return await reader.first_at(partition, offset)

    async def _opened(self) -> LogReader:
        if self._reader is None:
            self._reader = await LogReader(self._connection).__aenter__()
        return self._reader


async def log_partitions(connection: KafkaConnection) -> int:
    """Number of partitions of the log; LogError where there is none."""
    async with Topics(connection) as topics:
        count = await topics.partitions_of(LOG_TOPIC)
    if count is None:
        raise LogError(f"there is no topic {LOG_TOPIC} at {connection.label}: unitrate init makes it")
    return count
