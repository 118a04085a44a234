"""A worker on the real broker and the real ClickHouse engine: what is sent is rated, exactly."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.infra.cluster import Installation
from tests.infra.processes import Child
from tests.kafka.oracle import assert_exact
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
