"""Workers under measurement: how far they are, by their own pages, and what processor time they took.

Asking `unitrate status` ten times a second would take a good part of the machine; a worker's page costs
little.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.infra.cluster import Installation
from tests.infra.processes import Child
from unitrate.runtime.kafka_connection import connection
from unitrate.runtime.kafka_log import LogReader
from unitrate.runtime.log_view import log_partitions

INSTANCE = "bench"
POLL_S = 0.05
PATIENCE_S = 1_800.0


class Drained(NamedTuple):
    """What workers took for a log, to the last durable row."""

    events: int
    wall_s: float
    cpu_s: float  # of the workers
    store_cpu_s: float  # of the ClickHouse engine, and of the HTTP server in front of it
    broker_cpu_s: float


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Progress:
    """How far workers are, by partition: what is durable."""

    def __init__(self, workers: Sequence[Child]) -> None:
        self._workers = workers

    def positions(self) -> dict[int, int]:
        """Next offset of each partition that a worker holds. Raises where one failed."""
        found: dict[int, int] = {}
        for worker in self._workers:
            port = worker.command[worker.command.index("--web-port") + 1]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/partitions", timeout=30) as answer:
                    document = json.load(answer)
            except OSError:
                continue  # not up yet
            for partition in document["partitions"]:
                if partition["state"] == "failed":
                    raise RuntimeError(f"a worker failed: {worker.tail()}")
                found[partition["partition"]] = partition["position"]
        return found


def wait_for_end(installation: Installation, progress: Progress) -> None:
    """Until everything that is in the log now is durable."""
    _wait(asyncio.run(_ends(installation.bootstrap)), progress)


def _wait(ends: dict[int, int], progress: Progress) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        positions = progress.positions()
        if all(positions.get(number, -1) >= end for number, end in ends.items()):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"no end in {PATIENCE_S:.0f} s: {positions} of {ends}")
        time.sleep(POLL_S)


async def _ends(bootstrap: str) -> dict[int, int]:
    """Where each partition's records end; what ends a transaction is none, and no position follows it."""
    made = connection(bootstrap, {})
    partitions = await log_partitions(made)
    async with LogReader(made) as reader:
        ends = {number: end for number, (_, end) in (await reader.bounds(range(partitions))).items()}
        last = await reader.first_of({number: end - 1 for number, end in ends.items()})
    return {number: end - (last[number][0] is None) for number, end in ends.items()}


def drained(installation: Installation, workers: list[Child], store_pid: int, broker_pid: int) -> Drained:
    """Start workers on a full log and wait until all of it is durable.

    Counted is what becomes durable after every worker has partitions: before, they are handed to and fro.
    """
    ends = asyncio.run(_ends(installation.bootstrap))
    progress = Progress(workers)
    for worker in workers:
        worker.start()
    while not all("goes on at" in worker.tail(1000) for worker in workers):
        time.sleep(0.01)
    pids = [*(worker.pid for worker in workers), store_pid, broker_pid]
    began, before = time.perf_counter(), [cpu_s(pid) for pid in pids]
    done = sum(progress.positions().values())
    _wait(ends, progress)
    wall_s = time.perf_counter() - began
    *mine, store, broker = (cpu_s(pid) - was for pid, was in zip(pids, before, strict=True))
    for worker in workers:
        worker.terminate(60)
    return Drained(max(sum(ends.values()) - done, 1), wall_s, sum(mine), store, broker)
