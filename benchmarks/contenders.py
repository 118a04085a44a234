"""Who else reads the log, each in a process of its own: `python -m benchmarks.contenders NAME BROKER EVENTS`.

bare: aiokafka `getmany` and one msgspec decode an event, the limit. table: the Faust agent of Faust's own
documentation, a Record and a Table that counts. take: Faust's `take(500)` and a dict. quix: Quix Streams'
stateful count; it needs the interpreter of a venv that has `quixstreams` (streaming.py makes one).
Prints one JSON line: events, wall and CPU seconds from the first record on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

LOG_TOPIC = "unitrate.log"
PARTITIONS = 4


class Clock:
    """Counts events; prints the figures and ends the process when all have been seen."""

    def __init__(self, events: int) -> None:
        self._events, self._seen = events, 0
        self._wall = self._cpu = 0.0

    def start(self) -> None:
        """From now on; without it, from the first event."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def note(self, count: int) -> None:
        """So many more were handled."""
        if not self._wall:
            self.start()
        self._seen += count
        if self._seen >= self._events:
            wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
            print(json.dumps({"events": self._seen, "wall_s": wall, "cpu_s": cpu}), flush=True)
            os._exit(0)


def bare(broker: str, clock: Clock) -> None:
    import msgspec
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from benchmarks.limit import Event

    async def run() -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=broker,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 << 20,
        )
        await consumer.start()
        pairs = [TopicPartition(LOG_TOPIC, number) for number in range(PARTITIONS)]
        consumer.assign(pairs)
        await consumer.seek_to_beginning(*pairs)
        decode = msgspec.json.Decoder(Event).decode
        clock.start()
        while True:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                count = 0
                for record in records:
                    if not record.headers:  # control records are no events
                        decode(record.value)
                        count += 1
                clock.note(count)

    asyncio.run(run())


def _faust(broker: str, declare: Callable[[Any, Any], None]) -> None:
    import faust

    app = faust.App(
        f"bench-{os.getpid()}",
        broker=f"kafka://{broker}",
        topic_partitions=PARTITIONS,
        store="memory://",
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        datadir=tempfile.mkdtemp(),
    )
    declare(app, faust)
    faust.Worker(app, loglevel="CRITICAL", quiet=True, redirect_stdouts=False).execute_from_commandline()


def table(broker: str, clock: Clock) -> None:
    def declare(app: Any, faust: Any) -> None:
        class Event(faust.Record, serializer="json"):  # type: ignore[call-arg,misc]
            subject: str = ""
            id: str = ""

        counts = app.Table("counts", default=int, partitions=PARTITIONS)

        @app.agent(app.topic(LOG_TOPIC, value_type=Event))  # type: ignore[untyped-decorator]
        async def work(stream: Any) -> None:
            async for event in stream:
                counts[event.subject] += 1
                clock.note(1)

    _faust(broker, declare)


def take(broker: str, clock: Clock) -> None:
    counts: dict[str, int] = {}

    def declare(app: Any, faust: Any) -> None:
        @app.agent(app.topic(LOG_TOPIC, value_serializer="json"))  # type: ignore[untyped-decorator]
        async def work(stream: Any) -> None:
            async for events in stream.take(500, within=0.1):
                for event in events:
                    account = event.get("subject", "")
                    counts[account] = counts.get(account, 0) + 1
                clock.note(len(events))

    _faust(broker, declare)


def quix(broker: str, clock: Clock) -> None:
    from quixstreams import Application  # type: ignore[import-not-found]

    def skip(*_: Any) -> bool:
        return True  # control records have no key, and ticks no value

    app = Application(
        broker_address=broker,
        consumer_group=f"bench-{os.getpid()}",
        auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(),
        loglevel="CRITICAL",
        on_consumer_error=skip,
        on_processing_error=skip,
    )

    def count(value: Any, state: Any) -> int:
        total = int(state.get("count", 0)) + 1
        state.set("count", total)
        clock.note(1)
        return total

    frame = app.dataframe(app.topic(LOG_TOPIC, value_deserializer="json"))
    frame.apply(count, stateful=True)
    app.run()


def main() -> None:
    """Measures one of them once."""
    runs = {"bare": bare, "table": table, "take": take, "quix": quix}
    runs[sys.argv[1]](sys.argv[2], Clock(int(sys.argv[3])))


if __name__ == "__main__":
    main()
