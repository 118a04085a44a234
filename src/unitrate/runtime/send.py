"""`unitrate send`: events from files or standard input into the log, each in its account's partition.

Owns the way from lines to acknowledged records. A line with a readable `subject` is sent whatever else is
wrong with it (the worker rejects it with a reason); one without, or over 2 MiB, is left out and listed. Must
never send a line twice by itself: the producer is idempotent.
"""

from __future__ import annotations

import asyncio
import gzip
import queue
import re
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from unitrate.errors import InputError, LogError, LogUnavailable
from unitrate.placement import partition_of
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.log_records import LOG_TOPIC
from unitrate.runtime.topics import MAX_MESSAGE_BYTES

BATCH_BYTES = 256 << 10
IN_FLIGHT = 32  # batches that wait for their acknowledgement: bounds memory
BLOCK_BYTES = 256 << 10
BLOCKS_AHEAD = 8
LINGER_S = 0.05  # how long a line waits for others while nothing more comes
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
        raise LogUnavailable(f"Kafka at {connection.label} does not answer: {error}") from None
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
    """A thread reads, so that a pipe that is quiet holds nothing up: what came is sent within `LINGER_S`."""
    home = lru_cache(maxsize=100_000)(lambda account: (account.encode(), partition_of(account, partitions)))
    outbox, blocks = Outbox(producer, result), Blocks(sources)
    blocks.start()
    try:
        while True:
            block = await blocks.next(LINGER_S)
            if block is None:
                break
            for place, line in block:
                await _send_line(outbox, home, place, line)
            if not block:
                await outbox.post_all()
        await outbox.finish()
    finally:
        blocks.stop()


async def _send_line(
    outbox: Outbox, home: Callable[[str], tuple[bytes, int]], place: str, line: bytes
) -> None:
    account = subject_of(line)
    if account is None:
        outbox.left_out(place, "no readable subject")
    elif len(line) > MAX_MESSAGE_BYTES - FRAME_BYTES:
        outbox.left_out(place, f"{len(line):,} bytes; the log takes 2 MiB")
    else:
        key, partition = home(account)
        if not outbox.add(partition, key, line):
            await outbox.post(partition)
            if not outbox.add(partition, key, line):  # larger than a batch
                await outbox.post_alone(partition, key, line)


class Blocks:
    """Lines as a thread reads them, in blocks of what was there; bounded."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = sources
        self._queue: queue.Queue[list[tuple[str, bytes]] | Exception | None] = queue.Queue(BLOCKS_AHEAD)
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._stopped = False

    def start(self) -> None:
        threading.Thread(target=self._read, name="send-reader", daemon=True).start()

    def stop(self) -> None:
        self._stopped = True

    async def next(self, timeout_s: float) -> list[tuple[str, bytes]] | None:
        """The next block; an empty one where none came in time; None at the end."""
        while True:
            try:
                found = self._queue.get_nowait()
            except queue.Empty:
                self._ready.clear()
                if self._queue.empty():
                    try:
                        await asyncio.wait_for(self._ready.wait(), timeout_s)
                    except TimeoutError:
                        return []
                continue
            if isinstance(found, Exception):
                raise found
            return found

    def _read(self) -> None:
        try:
            for block in blocks_of(self._sources):
                self._put(block)
                if self._stopped:
                    return
            self._put(None)
        except Exception as error:  # noqa: BLE001 - raised where the lines are taken
            self._put(error)

    def _put(self, block: list[tuple[str, bytes]] | Exception | None) -> None:
        while not self._stopped:
            try:
                self._queue.put(block, timeout=0.5)
            except queue.Full:
                continue
            self._loop.call_soon_threadsafe(self._ready.set)
            return


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

    def left_out(self, place: str, reason: str) -> None:
        self._result.left_out.append((place, reason))

    async def post_all(self) -> None:
        for partition in list(self._batches):
            await self.post(partition)

    async def finish(self) -> None:
        await self.post_all()
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


def blocks_of(sources: Sequence[str]) -> Iterator[list[tuple[str, bytes]]]:
    """Lines that are not blank, with their places (`file:number`), file after file in the order given."""
    for name in _files(sources):
        label = "-" if name is None else str(name)
        with _opened(name) as stream:
            rest, number = b"", 0
            while data := _read(stream, label):
                *whole, rest = (rest + data).split(b"\n")
                yield _placed(label, number, whole)
                number += len(whole)
            yield _placed(label, number, [rest])


def _read(stream: BufferedReader, label: str) -> bytes:
    try:
        return stream.read1(BLOCK_BYTES)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{label} cannot be read on: {error}; what came before was sent") from None


def _placed(label: str, before: int, lines: list[bytes]) -> list[tuple[str, bytes]]:
    stripped = ((number, line.strip()) for number, line in enumerate(lines, before + 1))
    return [(f"{label}:{number}", line) for number, line in stripped if line]


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


def _opened(path: Path | None) -> AbstractContextManager[BufferedReader]:
    if path is None:
        return nullcontext(cast("BufferedReader", sys.stdin.buffer))
    if path.name.endswith(".gz"):
        return cast("AbstractContextManager[BufferedReader]", gzip.open(path, "rb"))
    return path.open("rb")
