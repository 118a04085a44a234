"""The streaming side, measured in one run on one topic: what the worker costs over the bare client.

    python benchmarks/streaming.py --events 300000

Prints events/s and the ratio to bare aiokafka `getmany` + msgspec decode, for: the worker with all rules,
ledger and ClickHouse writes (one and two of them); the Faust agent of its documentation (Record + Table
count); Faust's `take(500)`. Then how long an event takes from `send` to being visible in ClickHouse at a
steady rate, and how long a worker takes to come back after kill -9. Broker, ClickHouse engine and workers
share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "src")]

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import traffic
from tests.infra.cluster import Broker, ClickHouse, Installation
from tests.infra.processes import Child
from unitrate.events import Event
from unitrate.runtime.log_records import LOG_TOPIC
from unitrate.store import open_store

CATALOG = Path(__file__).with_name("catalog.yaml")
PARTITIONS = 4
FAUST_AGENT = """
import sys, time, faust
mode, broker, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = faust.App(f"bench-{mode}-{time.time()}", broker=f"kafka://{broker}", topic_partitions=4, store="memory://",
                topic_disable_leader=True, consumer_auto_offset_reset="earliest", web_enabled=False,
                datadir=sys.argv[4], table_cleanup_interval=1e9)
class Event(faust.Record, serializer="json"):
    subject: str = ""
    id: str = ""
topic = app.topic("unitrate.log", value_type=Event if mode == "table" else None, value_serializer="json")
seen, began = 0, None
def note(n):
    global seen, began
    began = began or time.perf_counter()
    seen += n
    if seen >= count:
        print("RATE", seen / (time.perf_counter() - began), flush=True)
        import os; os._exit(0)
if mode == "table":
    counts = app.Table("counts", default=int, partitions=4)
    @app.agent(topic)
    async def work(stream):
        async for event in stream:
            counts[event.subject] += 1
            note(1)
else:
    counts = {}
    @app.agent(topic)
    async def work(stream):
        async for events in stream.take(500, within=0.1):
            for event in events:
                counts[event.get("subject")] = counts.get(event.get("subject"), 0) + 1
            note(len(events))
faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()
"""


def bare(bootstrap: str) -> float:
    """The limit: aiokafka `getmany` and one msgspec decode an event; events/s of every event in the log."""

    async def run() -> float:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 << 20,
        )
        await consumer.start()
        pairs = [TopicPartition(LOG_TOPIC, n) for n in range(PARTITIONS)]
        consumer.assign(pairs)
        await consumer.seek_to_beginning(*pairs)
        ends = await consumer.end_offsets(pairs)
        decode, seen, began = msgspec.json.Decoder(Event).decode, 0, time.perf_counter()
        while any([await consumer.position(pair) < ends[pair] for pair in pairs]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    if not record.headers:
                        decode(record.value)
                        seen += 1
        seconds = time.perf_counter() - began
        await consumer.stop()
        return seen / seconds

    return asyncio.run(run())


def drained(installation: Installation, workers: list[Child], events: int) -> float:
    """Events/s of workers that start on a full log, from the first recovered partition to lag zero."""
    for worker in workers:
        worker.start()
    while not any("goes on at" in worker.tail(1000) for worker in workers):
        time.sleep(0.02)
    began = time.perf_counter()
    while installation.status()["lag"]:
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    for worker in workers:
        worker.terminate(60)
    return events / seconds


def faust_rate(bootstrap: str, mode: str, count: int) -> float:
    script = Path(tempfile.mkdtemp()) / "agent.py"
    script.write_text(FAUST_AGENT)
    command = [sys.executable, str(script), mode, bootstrap, str(count), str(script.parent)]
    done = subprocess.run(command, capture_output=True, timeout=600, check=False)
    found = [line for line in done.stdout.decode().splitlines() if line.startswith("RATE")]
    return float(found[0].split()[1]) if found else 0.0


def latency(installation: Installation, rate: int, seconds: int) -> list[float]:
    """Seconds from a line's writing into `unitrate send -` to its row in ClickHouse, at a steady rate."""
    environment = {**os.environ, **installation.environment}
    command = [sys.executable, "-m", "unitrate.cli", "send", "-"]
    sender = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
    assert sender.stdin is not None
    a_tick, written, seen = rate // 10, dict[int, float](), dict[int, float]()
    with open_store(installation.store) as store:
        began, tick = time.time() + 1, 0
        while len(seen) < seconds * 10 - 1:
            now = time.time()
            if tick < seconds * 10 and now >= began + tick / 10:
                tick += 1
                sender.stdin.write(b"".join(probe(tick, n) for n in range(a_tick)))
                sender.stdin.flush()
                written[tick] = time.time()
                continue
            rows = store.query(
                "SELECT attempt, count() FROM events WHERE source = 'latency' AND attempt > {seen:UInt32} "
                "GROUP BY attempt",
                {"seen": max(seen, default=0)},
            ).rows
            now = time.time()
            for number, count in rows:
                if count == a_tick:
                    seen.setdefault(number, now)
            time.sleep(0.05)
    sender.stdin.close()
    sender.wait()
    return [seen[number] - written[number] for number in seen]


def probe(tick: int, number: int) -> bytes:
    """A line of one of a hundred accounts; `attempt` says when it was written."""
    event = {
        "specversion": "1.0",
        "id": f"{tick}-{number}",
        "source": "latency",
        "type": "ai.request",
        "subject": f"latency-{number % 100}",
        "time": "2025-11-20T00:00:00Z",
        "data": {"workflow": "w", "run_id": f"{tick}-{number % 500}", "attempt": tick, "provider": "openai"},
    }
    return json.dumps(event).encode() + b"\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--faust-events", type=int, default=20_000)
    parser.add_argument("--latency-seconds", type=int, default=10)
    parser.add_argument("--latency-rate", type=int, default=5_000)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="unitrate-bench-"))
    broker, clickhouse = Broker(folder / "kafka"), ClickHouse(folder / "clickhouse")
    broker.start()
    clickhouse.start()
    installation = Installation(folder / "i", broker.bootstrap, clickhouse.spec("bench"))
    try:
        measure(arguments, installation, clickhouse, folder)
    finally:
        installation.stop_workers()
        clickhouse.stop()
        broker.stop()


def measure(
    arguments: argparse.Namespace, installation: Installation, clickhouse: ClickHouse, folder: Path
) -> None:
    installation.ok("init", "--partitions", str(PARTITIONS))
    installation.publish(CATALOG)
    file = folder / "events.jsonl"
    subprocess.run([sys.executable, traffic.__file__, "runs", str(arguments.events), str(file)], check=True)
    began = time.perf_counter()
    installation.ok("send", str(file))
    print(f"{'send':32} {arguments.events / (time.perf_counter() - began):>10,.0f} events/s")
    limit = bare(installation.bootstrap)
    say("bare getmany + msgspec decode", limit, limit)
    one = drained(installation, [installation.worker()], arguments.events)
    say("worker, ledger on", one, limit)
    again = Installation(folder / "i2", installation.bootstrap, clickhouse.spec("bench2"))
    with open_store(again.store, create=True):
        pass
    two = drained(again, [again.worker(), again.worker()], arguments.events)
    say("two workers", two, limit, f"{two / one:.2f} × one")
    for mode, name in (("table", "Faust agent, Record + Table"), ("take", "Faust agent, take(500)")):
        rate = faust_rate(installation.bootstrap, mode, arguments.faust_events)
        say(name, rate, limit, f"worker is {one / rate:.0f} ×" if rate else "did not run")
    steady = again.worker("--instance", "bench")
    steady.start()
    again.wait_for_no_lag()
    times = sorted(latency(again, arguments.latency_rate, arguments.latency_seconds))
    p99 = times[int(len(times) * 0.99)]
    print(
        f"sent → visible at {arguments.latency_rate:,}/s: p50 {statistics.median(times):.2f} s, "
        f"p99 {p99:.2f} s"
    )
    steady.kill()
    began = time.perf_counter()
    back = again.worker("--instance", "bench")
    back.start()
    again.ok("send", "-", stdin=probe(0, 0))
    again.wait_for_no_lag()
    print(f"kill -9 → lag zero: {time.perf_counter() - began:.1f} s")
    back.terminate()


def say(name: str, rate: float, limit: float, note: str = "") -> None:
    print(f"{name:32} {rate:>10,.0f} events/s   {rate / limit:6.3f} × bare   {note}", flush=True)


if __name__ == "__main__":
    main()
