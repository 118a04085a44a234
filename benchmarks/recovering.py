"""How long a worker takes to come back after kill -9, with many open units and identities, and on what.

`measure` fills a log with units that stay open, kills the worker and starts it again. The parts come from the
worker's own log (process and group, loading, catching up), and loading is done once more in this process, to
tell units from identities.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from unittest import mock

from benchmarks.working import INSTANCE, Progress, wait_for_end
from tests.infra.cluster import Installation
from tests.infra.processes import Child
from unitrate.store import checkpoint, open_store, recovery

ACCOUNTS = 200
LINES_A_WRITE = 2_000


class Recovery(NamedTuple):
    """Seconds, from the start of the process on."""

    assigned_s: float  # the process started, and Kafka gave it its partitions
    loaded_s: float  # the last partition was loaded
    caught_up_s: float  # lag zero
    units: int
    identities: int
    units_s: float  # of loading, all partitions one after another, in this process
    identities_s: float


def measure(installation: Installation, units: int, identities: int, partitions: int) -> Recovery:
    """Fill, kill, start again."""
    worker = installation.worker("--instance", INSTANCE)
    worker.start()
    _send(installation, units, identities)
    progress = Progress([worker])
    wait_for_end(installation, progress)
    worker.kill()
    _send(installation, 1, 100)  # something to catch up with
    back = installation.worker("--instance", INSTANCE)
    back.start()
    began = time.time()
    wait_for_end(installation, Progress([back]))
    caught_up_s = time.time() - began
    assigned_s, loaded_s = _moments(back, began)
    back.terminate()
    units_s, identities_s = _loading(installation, partitions)
    return Recovery(assigned_s, loaded_s, caught_up_s, units, identities, units_s, identities_s)


def _send(installation: Installation, units: int, identities: int) -> None:
    command = [sys.executable, "-m", "unitrate.cli", "send", "-"]
    environment = {**os.environ, **installation.environment}
    sender = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
    assert sender.stdin is not None
    for chunk in _lines(units, identities):
        sender.stdin.write(chunk)
    sender.stdin.close()
    if sender.wait():
        raise RuntimeError("the events were not sent")


def _lines(units: int, identities: int) -> Iterator[bytes]:
    """Requests of units that nobody ends, woven into each other."""
    batch: list[bytes] = []
    stamp = time.time_ns()
    for number in range(identities):
        unit = number % units
        event = (
            f'{{"specversion":"1.0","id":"{stamp}-{number}","source":"recovery","type":"ai.request",'
            f'"subject":"customer-{unit % ACCOUNTS:03}","time":"2025-11-20T00:00:00Z","data":{{"workflow":'
            f'"triage","run_id":"open-{unit}","provider":"openai","model":"gpt-4o-mini","usage":'
            '{"input_tokens":1000,"output_tokens":100}}}\n'
        )
        batch.append(event.encode())
        if len(batch) == LINES_A_WRITE:
            yield b"".join(batch)
            batch = []
    yield b"".join(batch)


def _moments(worker: Child, began: float) -> tuple[float, float]:
    """When the first partition was assigned, and the last one loaded, by the worker's log."""
    assigned = loaded = 0.0
    for line in worker.tail(100_000).splitlines():
        if " INFO " in line and ("assigned partitions" in line or "recovered in" in line):
            at = datetime.fromisoformat(line[:23].replace(",", ".")).timestamp() - began
            if "assigned partitions" in line:
                assigned = assigned or at
            else:
                loaded = max(loaded, at)
    return assigned, loaded


def _loading(installation: Installation, partitions: int) -> tuple[float, float]:
    """Seconds that units (with all that is no identity) and identities of all partitions take to load."""
    units_s = whole_s = 0.0
    with open_store(installation.store) as store:
        for number in range(partitions):
            began = time.perf_counter()
            recovery.read(store, number)
            whole_s += time.perf_counter() - began
            with mock.patch.object(checkpoint, "read_identities", return_value=iter(())):
                began = time.perf_counter()
                recovery.read(store, number)
                units_s += time.perf_counter() - began
    return units_s, whole_s - units_s
