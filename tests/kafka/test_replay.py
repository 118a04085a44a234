"""verify and correct on the real broker and engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.infra.cluster import Installation
from tests.kafka.traffic import Traffic, write_catalog
from unitrate.store import Store, open_store

pytestmark = pytest.mark.kafka

BILLING = """
SELECT argMin(unit_id, unit_id) FROM units FINAL
WHERE disposition = 'billable' GROUP BY state ORDER BY state
"""
TAMPER = "ALTER TABLE lines UPDATE amount = amount + 1 WHERE unit_id = '{}' SETTINGS mutations_sync = 2"
DECISION = ("--waive", "--who", "mia", "--why", "outage", "--format", "json")


def test_a_log_on_kafka_verifies_and_its_units_can_be_corrected(
    installation: Installation, tmp_path: Path
) -> None:
    """The worker's code folds every partition; a waiver reaches its partition alone; tampering shows."""
    installation.ok("init", "--partitions", "3")
    installation.publish(write_catalog(tmp_path))
    worker = installation.worker()
    worker.start()
    installation.ok("send", "-", stdin=Traffic(3).lines(600))
    installation.wait_for_no_lag()
    answer = json.loads(installation.ok("verify", "--format", "json"))
    assert (answer["holds"], answer["differing"]) == (True, {})
    assert answer["compared"]["events"] > 400

    month = f"{datetime.now(UTC):%Y-%m}"
    options = ("--catalog", str(tmp_path / "first.yaml"), "--period", month, "--format", "json")
    simulated = json.loads(installation.ok("simulate", *options))
    assert simulated["now"] == simulated["next"]
    assert simulated["fates"] == []
    assert simulated["units"]["now"] > 100

    with open_store(installation.store) as store:
        units = [unit_id for (unit_id,) in store.query(BILLING).rows]
        assert len(units) == 2  # one that is final, one that is sealed
        for made, unit_id in enumerate(units):
            planned = json.loads(installation.ok("correct", unit_id, *DECISION, "--dry-run"))
            assert len(planned["lines"]) == 1
            assert store.query("SELECT count() FROM corrections").rows == [(made,)]
            effect = json.loads(installation.ok("correct", unit_id, *DECISION))
            assert effect["after"] == {"disposition": "not_billed", "reason": "waived"}
            assert effect["lines"] == planned["lines"]
            assert store.query("SELECT count() FROM corrections").rows == [(made + 1,)]
        _re_rate(installation, tmp_path, store)
        assert json.loads(installation.ok("verify", "--format", "json"))["holds"]
        store.command(TAMPER.format(units[0]))
    code, out, _ = installation.run("verify", "--format", "json")
    assert code == 1
    assert list(json.loads(out)["differing"]) == ["lines"]
    assert worker.terminate() == 0


def _re_rate(installation: Installation, folder: Path, store: Store) -> None:
    """The record reaches every partition; each re-rates the accounts that are at home there."""
    text = write_catalog(folder).read_text().replace('"0.40"', '"0.45"').replace('"12.00"}}', '"12.50"}}')
    (folder / "first.yaml").write_text(text)
    command = ("rerate", str(folder / "first.yaml"), "--who", "mia", "--why", "typing", "--format", "json")
    planned = json.loads(installation.ok(*command, "--dry-run"))
    assert store.query("SELECT count() FROM rerates").rows == [(0,)]
    made = json.loads(installation.ok(*command))
    assert made == {**planned, "written": True}
    assert made["total"]["difference"] not in ("0.00", "0")
    rows = store.query("SELECT partition, number FROM rerates FINAL ORDER BY partition").rows
    assert rows == [(0, 1), (1, 1), (2, 1)]
    lines = store.query(
        "SELECT uniqExact(partition), uniqExact(account) FROM lines WHERE reason = 'rerate'"
    ).rows
    assert lines[0][0] > 1
    assert lines[0][1] == len({change["account"] for change in made["changes"]})
    assert "published already" in installation.ok("publish", str(folder / "first.yaml"))
