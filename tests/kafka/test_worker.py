"""A worker on the real broker and the real ClickHouse engine: what is sent is rated, exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.infra.cluster import Installation
from tests.kafka.oracle import assert_exact
from tests.kafka.traffic import Traffic, write_catalog

pytestmark = pytest.mark.kafka


def begin(installation: Installation, folder: Path, partitions: int = 4) -> None:
    """Topics, tables and prices."""
    installation.ok("init", "--partitions", str(partitions))
    installation.publish(write_catalog(folder))


def test_every_row_is_what_the_log_says(installation: Installation, tmp_path: Path) -> None:
    """Traffic of every kind through one worker equals an undisturbed fold and the reference rater."""
    begin(installation, tmp_path)
    worker = installation.worker()
    worker.start()
    traffic = Traffic(1)
    for _ in range(3):
        installation.ok("send", "-", stdin=traffic.lines(400))
    installation.wait_for_no_lag()
    assert worker.terminate() == 0
    installation.wait_for_no_lag()
    assert assert_exact(installation.bootstrap, installation.store) > 1200
