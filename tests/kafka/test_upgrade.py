"""The version of the fold's rules stands in the log: who folds by which is the log's decision."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.infra.cluster import Installation
from tests.infra.processes import wait_until
from tests.kafka.oracle import read_log
from tests.kafka.traffic import Traffic, write_catalog
from unitrate.runtime import upgrading
from unitrate.runtime.kafka_connection import connection
from unitrate.runtime.log_records import kind_of
from unitrate.store import open_store
from unitrate.store.checkpoint import read_marker

pytestmark = pytest.mark.kafka


def test_a_log_begins_with_its_rules(installation: Installation) -> None:
    """The record stands right behind the genesis of every partition; asked for again, nothing is written."""
    assert "rules   version 1\n" in installation.ok("init", "--partitions", "2")
    assert "rules   version 1\n" in installation.ok("init", "--upgrade")
    log = read_log(installation.bootstrap)
    kinds = {number: [kind_of(record.headers) for record in records] for number, records in log.items()}
    assert kinds == {0: ["genesis", "engine"], 1: ["genesis", "engine"]}


def test_older_workers_stop_where_newer_rules_begin(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before the record is theirs; at it they say what to do, and so does init."""
    installation.ok("init", "--partitions", "1")
    installation.publish(write_catalog(tmp_path))
    installation.ok("send", "-", stdin=Traffic(1).lines(30))
    worker = installation.worker()
    worker.start()
    installation.wait_for_no_lag()
    with open_store(installation.store) as store:
        monkeypatch.setattr(upgrading, "ENGINE_VERSION", 2)
        made = connection(installation.bootstrap, {})
        assert asyncio.run(upgrading.upgrade(made, store, 1)) == upgrading.Rules(1, 2, 2)
        assert asyncio.run(upgrading.upgrade(made, store, 1)) == upgrading.Rules(2, 2, 2)
        wait_until("it stopped", lambda: "asks for engine version 2" in worker.tail(), 30)
        assert worker.terminate() == 0
        records = read_log(installation.bootstrap)[0]
        asked = [json.loads(record.value) for record in records if kind_of(record.headers) == "engine"]
        assert asked == [{"version": 1}, {"version": 2}]
        marker = read_marker(store, 0)
        assert marker is not None
        assert marker.last_offset < records[-1].offset
        assert marker.meta["engine_version"] == 1
    code, _, errors = installation.run("init")
    assert (code, "this code has 1: update unitrate" in errors) == (2, True)
