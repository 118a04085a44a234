"""The streaming side, measured in one run on one topic: what the worker costs over the bare client.

    python -m benchmarks.streaming                      # small numbers: does it work? Two minutes
    python -m benchmarks.streaming --whole --quix       # what the bars are set for; a quarter of an hour

Prints events/s, processor time an event, and both against bare aiokafka `getmany` + msgspec decode, for: the
worker with all rules, ledger and ClickHouse writes (one and two of them); the Faust agent that Faust's
documentation shows (Record + Table count); its `take(500)`; Quix Streams' stateful count (`--quix` installs
it into a venv of its own). Then how long an event takes from `send` to being visible in ClickHouse at a
steady rate, and how long a worker takes to come back after kill -9. Broker, ClickHouse engine and workers
share the machine: where it is busy, compare processor time. Small numbers tell little of two workers, who
share the log out only when the second has come up.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import recovering, traffic, working
from tests.infra.cluster import Broker, ClickHouse, Installation
from unitrate.store import open_store

HERE = Path(__file__).resolve().parent
CATALOG = HERE / "catalog.yaml"
QUIX_VENV = HERE.parent / "bench-data" / "quix"
QUIX = "quixstreams==3.28.1"
PARTITIONS = 4
OTHERS = {
    "table": "Faust agent, Record + Table",
    "take": "Faust agent, take(500)",
    "quix": "Quix Streams, stateful count",
}


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    events: int
    faust_events: int
    latency_s: int
    units: int
    identities: int


SMALL = Sizes(events=300_000, faust_events=5_000, latency_s=5, units=2_000, identities=20_000)
WHOLE = Sizes(events=2_000_000, faust_events=50_000, latency_s=60, units=200_000, identities=10_000_000)


@dataclass(frozen=True)
class Rate:
    """What one of them did."""

    events: int
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.events / self.wall_s

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.events * 1e6


def say(name: str, rate: Rate, limit: Rate, note: str = "") -> None:
    speed, cpu = rate.per_s / limit.per_s, rate.cpu_us / limit.cpu_us
    figures = f"{rate.per_s:>9,.0f} events/s  {speed:6.3f}   {rate.cpu_us:7.2f} µs CPU  {cpu:6.2f}"
    print(f"{name:30} {figures}   {note}", flush=True)


def contender(name: str, bootstrap: str, events: int) -> Rate | None:
    """One of the others, in a process of its own; None where it did not come to an end."""
    python = str(QUIX_VENV / "bin" / "python") if name == "quix" else sys.executable
    command = [python, "-m", "benchmarks.contenders", name, bootstrap, str(events)]
    done = subprocess.run(command, capture_output=True, timeout=1200, check=False, cwd=HERE.parent)
    found = [line for line in done.stdout.decode().splitlines() if '"wall_s"' in line]
    if not found:
        print(f"{name} did not run: {done.stderr.decode()[-300:]}", file=sys.stderr)
        return None
    return Rate(**json.loads(found[0][found[0].index("{") :]))


def install_quix() -> None:
    """A venv of its own: its dependencies are not ours."""
    if not (QUIX_VENV / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(QUIX_VENV)], check=True)
    pip = [str(QUIX_VENV / "bin" / "python"), "-m", "pip", "install", "-q", QUIX]
    subprocess.run(pip, check=True)


# ---------------------------------------------------------------- latency


def latency(installation: Installation, rate: int, seconds: int) -> list[float]:
    """Seconds from a line's writing into `unitrate send -` to its row in ClickHouse, at a steady rate."""
    environment = {**os.environ, **installation.environment}
    command = [sys.executable, "-m", "unitrate.cli", "send", "-"]
    sender = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
    assert sender.stdin is not None
    a_tick, written, seen = rate // 10, dict[int, float](), dict[int, float]()
    with open_store(installation.store) as store:
        began, tick = time.time() + 2, 0
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
    return sorted(seen[number] - written[number] for number in seen)


def probe(tick: int, number: int) -> bytes:
    """A line of one of a hundred accounts; `attempt` says when it was written."""
    event = {
        "specversion": "1.0",
        "id": f"{tick}-{number}",
        "source": "latency",
        "type": "ai.request",
        "subject": f"customer-{number % 100:03}",
        "time": "2025-11-20T00:00:00Z",
        "data": {
            "workflow": "triage",
            "run_id": f"latency-{tick // 20}-{number % 500}",
            "attempt": tick,
            "provider": "openai",
            "model": "gpt-4o-mini",
            "usage": {"input_tokens": 900, "output_tokens": 50},
        },
    }
    return json.dumps(event).encode() + b"\n"


# ---------------------------------------------------------------- all of it


class Bench:
    """One broker, one engine, one log; a database for each that reads it."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self.folder, self.sizes = folder, sizes
        self.broker, self.clickhouse = Broker(folder / "kafka"), ClickHouse(folder / "clickhouse")
        self.installations: list[Installation] = []

    def installation(self, name: str) -> Installation:
        """A database of its own over the same log."""
        made = Installation(self.folder / name, self.broker.bootstrap, self.clickhouse.spec(name))
        self.installations.append(made)
        with open_store(made.store, create=True):
            pass
        return made

    def fill(self) -> None:
        first = self.installation("first")
        first.ok("init", "--partitions", str(PARTITIONS))
        first.publish(CATALOG)
        file = self.folder / "events.jsonl"
        script = [sys.executable, traffic.__file__, "runs", str(self.sizes.events), str(file)]
        subprocess.run(script, check=True)
        began = time.perf_counter()
        first.ok("send", str(file))
        print(f"{'send':30} {self.sizes.events / (time.perf_counter() - began):>9,.0f} events/s")
        file.unlink()

    def throughput(self, quix: bool) -> None:
        limit = contender("bare", self.broker.bootstrap, self.sizes.events)
        if limit is None:
            raise RuntimeError("the limit could not be measured")
        say("bare getmany + msgspec decode", limit, limit)
        one = self.workers("one", 1, limit)
        two = self.workers("two", 2, limit)
        print(f"{'two workers ÷ one':30} {two.per_s / one.per_s:9.2f}")
        for name in ("table", "take", *(["quix"] if quix else [])):
            rate = contender(name, self.broker.bootstrap, self.sizes.faust_events)
            if rate is not None:
                say(OTHERS[name], rate, limit, f"worker ÷ this: {one.per_s / rate.per_s:.1f}")

    def workers(self, database: str, number: int, limit: Rate) -> Rate:
        made = self.installation(database)
        workers = [made.worker() for _ in range(number)]
        found = working.drained(made, workers, self.clickhouse.pid, self.broker.pid)
        rate = Rate(found.events, found.wall_s, found.cpu_s)
        store_us, broker_us = (s / found.events * 1e6 for s in (found.store_cpu_s, found.broker_cpu_s))
        note = f"ClickHouse {store_us:.2f} µs, broker {broker_us:.2f} µs CPU an event"
        say(f"{number} worker{'s' if number > 1 else ''}, ledger on", rate, limit, note)
        return rate

    def latency(self, rate: int) -> None:
        made = self.installations[-1]
        steady = made.worker("--instance", working.INSTANCE)
        steady.start()
        working.wait_for_end(made, working.Progress([steady]))
        times = latency(made, rate, self.sizes.latency_s)
        steady.terminate(60)
        p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
        print(f"sent → visible at {rate:,}/s: p50 {p50:.2f} s, p99 {p99:.2f} s, most {times[-1]:.2f} s")

    def recovery(self) -> None:
        found = recovering.measure(
            self.installations[-1], self.sizes.units, self.sizes.identities, PARTITIONS
        )
        print(
            f"kill -9 with {found.units:,} open units and {found.identities:,} identities more: partitions "
            f"assigned after {found.assigned_s:.1f} s, loaded after {found.loaded_s:.1f} s, lag zero after "
            f"{found.caught_up_s:.1f} s\nloading, one partition after another: units {found.units_s:.1f} s, "
            f"identities {found.identities_s:.1f} s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--whole", action="store_true", help="the numbers that the bars are set for")
    parser.add_argument("--quix", action="store_true", help=f"Quix Streams too ({QUIX}, installed beside)")
    parser.add_argument("--latency-rate", type=int, default=5_000)
    parser.add_argument(
        "--only", choices=("throughput", "latency", "recovery"), help="one part instead of all"
    )
    arguments = parser.parse_args()
    if arguments.quix:
        install_quix()
    folder = Path(tempfile.mkdtemp(prefix="unitrate-bench-"))
    bench = Bench(folder, WHOLE if arguments.whole else SMALL)
    bench.broker.start()
    bench.clickhouse.start()
    try:
        bench.fill()
        if arguments.only in (None, "throughput"):
            bench.throughput(arguments.quix)
        if arguments.only in (None, "latency"):
            bench.latency(arguments.latency_rate)
        if arguments.only in (None, "recovery"):
            bench.recovery()
    finally:
        for installation in bench.installations:
            installation.stop_workers()
        bench.clickhouse.stop()
        bench.broker.stop()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
