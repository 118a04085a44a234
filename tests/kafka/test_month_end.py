"""A month is closed on the real broker: a barrier over all partitions, whoever dies on the way."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.infra.cluster import Installation
from tests.infra.processes import wait_until
from tests.months.builders import FINAL, a_document, final_rows
from unitrate.store import open_store

pytestmark = pytest.mark.kafka

THIS_MONTH = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
LAST_MONTH = (THIS_MONTH - timedelta(days=1)).replace(day=1)
PERIOD = f"{LAST_MONTH:%Y-%m}"
ACCOUNTS = [f"customer-{n}" for n in range(8)]
CATALOG = f"""
catalog: first
effective: {PERIOD}-01T00:00:00Z
currency: EUR
timezone: UTC
costs: {{models: [{{provider: p, model: "*", page: 0.10}}]}}
meters:
  review: {{unit: document, workflow: review, key: document_id, settle: 1h}}
plans:
  growth:
    version: 1
    charges:
      - {{name: Reviews, meter: review, price: {{model: unit, rate: 10.00}}}}
    top_ups: [{{name: Pack, amount: 5.00, grants: {{credit: 6.00}}}}]
accounts:
""" + "".join(f"  {name}: {{plan: growth, from: {PERIOD}-01}}\n" for name in ACCOUNTS)


def begin(installation: Installation, folder: Path) -> None:
    """Four partitions, eight customers, one document each of last month."""
    path = folder / "catalog.yaml"
    path.write_text(CATALOG)
    installation.ok("init", "--partitions", "4")
    installation.publish(path)
    events = [line for name in ACCOUNTS for line in a_document(f"d-{name}", f"{PERIOD}-05", account=name)]
    installation.ok("send", "-", stdin="".join(f"{line}\n" for line in events).encode())


def closed(installation: Installation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(installation.ok("close", "--period", PERIOD, "--format", "json"))
    return found


def rows(installation: Installation) -> dict[str, Any]:
    with open_store(installation.store) as store:
        return final_rows(store)


def test_every_partition_acknowledges_before_invoices_are_made(
    installation: Installation, tmp_path: Path
) -> None:
    """A worker is killed before it acknowledges: the close waits for the next ones, which come one after
    the other, so that partitions move while it waits. Again: no change."""
    begin(installation, tmp_path)
    worker = installation.worker()
    worker.start()
    installation.wait_for_no_lag()
    worker.kill()
    code, output, errors = installation.run("close", "--period", PERIOD, "--brokers", "")
    assert (code, output) == (2, "")
    assert "is filled from Kafka: give --brokers" in errors
    outcome: list[dict[str, Any]] = []
    closer = threading.Thread(target=lambda: outcome.append(closed(installation)))
    closer.start()

    def lag() -> bool:
        return int(installation.status()["lag"]) > 0

    wait_until("the close record is in the log", lag, 60)
    time.sleep(2)
    assert closer.is_alive()
    assert all(found == [] for found in rows(installation).values())
    installation.worker().start()
    installation.worker().start()
    closer.join(120)
    assert [one["number"] for one in outcome[0]["invoices"]] == [f"{n:06d}" for n in range(1, 9)]
    assert {one["total"] for one in outcome[0]["invoices"]} == {"10.00"}
    assert [one["account"] for one in outcome[0]["invoices"]] == ACCOUNTS
    before = rows(installation)
    # Nothing is left to be written into the log, so nobody needs to know where that is.
    installation.environment["UNITRATE_BROKERS"] = ""
    assert closed(installation)["invoices"] == []
    assert rows(installation) == before


def test_two_closers_and_a_top_up_on_kafka(installation: Installation, tmp_path: Path) -> None:
    """Both closers end well, or one is fenced and says so; there is one set of invoices."""
    begin(installation, tmp_path)
    installation.worker().start()
    installation.wait_for_no_lag()
    codes: list[tuple[int, str, str]] = []
    closers = [
        threading.Thread(target=lambda: codes.append(installation.run("close", "--period", PERIOD)))
        for _ in range(2)
    ]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(120)
    assert all(code == 0 or "run this one again" in errors for code, _, errors in codes), codes
    assert any(code == 0 for code, _, _ in codes)
    closed(installation)
    with open_store(installation.store) as store:
        found = store.query("SELECT count(), uniqExact(number), max(sequence) FROM invoices FINAL").rows
        assert found == [(8, 8, 8)]
        assert len(FINAL) == 4
    installation.ok("top-up", "--account", ACCOUNTS[0], "--name", "Pack", "--reference", "1")
    installation.ok("top-up", "--account", ACCOUNTS[0], "--name", "Pack", "--reference", "1")
    balance = json.loads(installation.ok("balance", "--account", ACCOUNTS[0], "--format", "json"))
    assert balance["balances"] == [{"account": ACCOUNTS[0], "balance": "6.00"}]
