"""Workers, store and broker die and stall under load, and not one row differs afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.infra.cluster import Broker, ClickHouse, Installation
from tests.kafka.chaos import Chaos, run
from tests.kafka.traffic import write_catalog

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.chaos]


def test_no_row_differs_after_kills_stalls_and_faults(
    installation: Installation, broker: Broker, clickhouse: ClickHouse, tmp_path: Path
) -> None:
    """kill -9 of workers and store, SIGSTOP past the session, broker restarts, broken inserts: all exact."""
    seed = int(os.environ.get("UNITRATE_TEST_SEED", "20261124"))
    installation.ok("init", "--partitions", "4")
    installation.publish(write_catalog(tmp_path))
    chaos = Chaos(installation, broker, clickhouse, seed)
    compared = run(chaos, float(os.environ.get("UNITRATE_TEST_CHAOS_S", "25")))
    assert compared > chaos.sent, f"seed {seed}"
    assert chaos.done, "nothing was broken: this test proved nothing"
