"""A worker on the real broker and the real ClickHouse engine: what is sent is rated, exactly."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tests.infra.cluster import Installation
from tests.infra.processes import Child, wait_until
from tests.kafka.oracle import assert_exact, read_log
from tests.kafka.test_commands import make_topic
from tests.kafka.traffic import Traffic, write_catalog

pytestmark = pytest.mark.kafka


def begin(installation: Installation, folder: Path, partitions: int = 4) -> None:
    """Topics, tables and prices."""
    installation.ok("init", "--partitions", str(partitions))
    installation.publish(write_catalog(folder))


def shown(worker: Child) -> list[tuple[int, str]]:
    """Partitions and their states, as the worker's own pages tell, which have to agree."""
    port = worker.command[worker.command.index("--web-port") + 1]
    pages = []
    for page in ("partitions", "metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10) as answer:
            pages.append(answer.read().decode())
    states = [(entry["partition"], entry["state"]) for entry in json.loads(pages[0])["partitions"]]
    for partition, state in states:
        assert f'unitrate_state{{partition="{partition}",state="{state}"}} 1.0' in pages[1]
    return states


def test_every_row_is_what_the_log_says(installation: Installation, tmp_path: Path) -> None:
    """Traffic of every kind through one worker equals an undisturbed fold and the reference rater."""
    begin(installation, tmp_path)
    worker = installation.worker()
    worker.start()
    traffic = Traffic(1)
    for _ in range(3):
        installation.ok("send", "-", stdin=traffic.lines(400))
    installation.wait_for_no_lag()
    assert {state for _, state in shown(worker)} == {"running"}
    assert worker.terminate() == 0
    installation.wait_for_no_lag()
    assert assert_exact(installation.bootstrap, installation.store) > 1200


def test_a_topic_that_brokers_did_not_know_is_assigned_once_they_do(installation: Installation) -> None:
    """As after a broker's restart: who leads the group saw no such topic; it must not take minutes."""
    installation.ok("init", "--partitions", "1")
    worker = installation.worker("--rekey", "unitrate.test.late")
    worker.start()
    wait_until("it has the log", lambda: "goes on at" in worker.tail(), 40)
    make_topic(installation.bootstrap, "unitrate.test.late", 1)

    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=installation.bootstrap)
        await producer.start()
        await producer.send_and_wait("unitrate.test.late", value=b'{"subject": "a"}')
        await producer.stop()

    asyncio.run(produce())

    def forwarded() -> bool:
        return any(record.key == b"a" for record in read_log(installation.bootstrap)[0])

    wait_until("it is forwarded", forwarded, 30)
    assert worker.terminate() == 0


def test_no_signal_prints_a_password(installation: Installation) -> None:
    """Faust would answer SIGUSR1 with every local variable, and SIGUSR2 with a debugger that stops it."""
    installation.ok("init", "--partitions", "1")
    worker = installation.worker()
    worker.start()
    wait_until("it runs", lambda: "goes on at" in worker.tail(), 40)
    worker.signal(signal.SIGUSR1)
    worker.signal(signal.SIGUSR2)
    wait_until("it says so", lambda: "SIGUSR1 does nothing" in worker.tail(), 10)
    assert worker.terminate() == 0
    password = installation.store.partition("@")[0].rpartition(":")[2]
    assert password not in worker.tail(10_000)


def test_a_worker_that_cannot_leave_in_order_leaves_in_time() -> None:
    """Clients that wait for each other cannot hold up a process that was told to end."""
    code = "import time; from unitrate.runtime import leaving; leaving.end_within(0.1); time.sleep(60)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0
    assert b"folded again" in done.stderr
