"""`unitrate send`: events from files or standard input into the log, each in its account's partition.

Owns the way from lines to acknowledged records. A line with a readable `subject` is sent whatever else is
wrong with it (the worker rejects it with a reason); one without, or over 2 MiB, is left out and listed. Must
never send a line twice by itself: the producer is idempotent.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from unitrate.errors import InputError, LogError
from unitrate.placement import partition_of
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.log_records import LOG_TOPIC
from unitrate.runtime.topics import MAX_MESSAGE_BYTES

BATCH_BYTES = 256 << 10
IN_FLIGHT = 32  # batches that wait for their acknowledgement: bounds memory
SUFFIXES = (".jsonl", ".jsonl.gz")
# A record's own frame (lengths, key, headers) counts against the topic's limit too.
FRAME_BYTES = 4 << 10
_SUBJECT = re.compile(rb'"subject"\s*:\s*("(?:[^"\\]|\\.)*")')


class _Subject(msgspec.Struct):
    subject: str


_decode_subject = msgspec.json.Decoder(_Subject).decode


@dataclass(slots=True)
class Sent:
    """What became of the lines. `left_out` lists (place, reason)."""

    events: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)


def subject_of(line: bytes) -> str | None:
    """The account that a line names, as far as it can be read; None where it cannot."""
    try:
        return _decode_subject(line).subject
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    found = _SUBJECT.search(line)
    if found is None:
        return None
    try:
        return str(msgspec.json.decode(found.group(1), type=str))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def send(
    connection: KafkaConnection, partitions: int, sources: Sequence[str], sent: Sent | None = None
) -> Sent:
    """Send all lines of all sources; returns when every one is acknowledged by all replicas in sync."""
    result = sent if sent is not None else Sent()
    producer = AIOKafkaProducer(
        **connection.options(),
        client_id="unitrate-send",
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=BATCH_BYTES,
        max_request_size=MAX_MESSAGE_BYTES,
    )
    try:
        await producer.start()
    except KafkaError as error:
        raise LogError(f"Kafka at {connection.label} does not answer: {error}") from None
    try:
        await _send_lines(producer, partitions, sources, result)
    except KafkaError as error:
        raise LogError(f"the log took {result.events} events, then stopped: {error}") from None
    finally:
        await producer.stop()
    return result


async def _send_lines(
    producer: AIOKafkaProducer, partitions: int, sources: Sequence[str], result: Sent
) -> None:
    home = lru_cache(maxsize=100_000)(lambda account: (account.encode(), partition_of(account, partitions)))
    outbox = Outbox(producer, result)
    for place, line in lines_of(sources):
        account = subject_of(line)
        if account is None:
            result.left_out.append((place, "no readable subject"))
        elif len(line) > MAX_MESSAGE_BYTES - FRAME_BYTES:
            result.left_out.append((place, f"{len(line):,} bytes; the log takes 2 MiB"))
        else:
            key, partition = home(account)
            if not outbox.add(partition, key, line):
                await outbox.post(partition)
                if not outbox.add(partition, key, line):  # larger than a batch
                    await outbox.post_alone(partition, key, line)
    await outbox.finish()


class Outbox:
    """Batches in the making, one a partition, and those on their way."""

    def __init__(self, producer: AIOKafkaProducer, result: Sent) -> None:
        self._producer, self._result = producer, result
        self._batches: dict[int, Any] = {}
        self._posted: set[asyncio.Future[Any]] = set()

    def add(self, partition: int, key: bytes, value: bytes) -> bool:
        """Put into the partition's batch; False where there is no room."""
        batch = self._batches.get(partition)
        if batch is None:
            batch = self._batches[partition] = self._producer.create_batch()
        return batch.append(key=key, value=value, timestamp=None) is not None

    async def post(self, partition: int) -> None:
        batch = self._batches.pop(partition, None)
        if batch is None or not batch.record_count():
            return
        count = batch.record_count()
        batch.close()
        await self._follow(await self._producer.send_batch(batch, LOG_TOPIC, partition=partition), count)

    async def post_alone(self, partition: int, key: bytes, value: bytes) -> None:
        self._batches.pop(partition, None)
        await self._follow(await self._producer.send(LOG_TOPIC, key=key, value=value, partition=partition), 1)

    async def finish(self) -> None:
        for partition in list(self._batches):
            await self.post(partition)
        await self._wait_for(0)

    async def _follow(self, future: asyncio.Future[Any], count: int) -> None:
        self._posted.add(future)
        future.add_done_callback(lambda done: self._count(done, count))
        await self._wait_for(IN_FLIGHT)

    def _count(self, done: asyncio.Future[Any], count: int) -> None:
        if not done.cancelled() and done.exception() is None:
            self._result.events += count

    async def _wait_for(self, at_most: int) -> None:
        while len(self._posted) > at_most:
            done, self._posted = await asyncio.wait(self._posted, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                future.result()  # raises what went wrong


def lines_of(sources: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Every line that is not blank, with its place (`file:number`), file after file in the order given."""
    for name in _files(sources):
        label = "-" if name is None else str(name)
        with _opened(name) as stream:
            for number, line in enumerate(stream, 1):
                stripped = line.strip()
                if stripped:
                    yield f"{label}:{number}", stripped


def _files(sources: Sequence[str]) -> Iterator[Path | None]:
    for source in sources:
        path = Path(source)
        if source == "-":
            yield None
        elif path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.name.endswith(SUFFIXES))
        elif path.is_file():
            yield path
        else:
            raise InputError(f"{source}: no such file or folder")


def _opened(path: Path | None) -> AbstractContextManager[IO[bytes]]:
    if path is None:
        return nullcontext(sys.stdin.buffer)
    if path.name.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")
