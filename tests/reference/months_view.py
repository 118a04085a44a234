"""The production engine, store and month-end jobs, run over a history of several months.

Owns how records reach the engine and the store, and how final rows are read back. Knows no figure: what is
right is the reference's to say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.reference.catalog_view import number
from tests.reference.engine_view import publication_of
from tests.reference.month_records import Close, Correct, MonthRecord, Rerate, TopUp
from tests.reference.rater import EventRecord, Publication, Tick
from tests.reference.unit_view import Unit
from unitrate.billing import final, paying
from unitrate.billing.balance import ledger
from unitrate.catalog import repricing
from unitrate.catalog.repricing import Period, corrected_catalogs, repriced
from unitrate.catalog.source import from_data
from unitrate.engine import Batch, Engine
from unitrate.published import bodies, timeline
from unitrate.replay.unit_facts import final_facts, is_let_go, unit_row
from unitrate.state import derived_id
from unitrate.store import Store, publications, recovery

FINAL = ("invoices", "invoice_lines", "credit_movements", "payouts")
FILLED = (
    *FINAL, "events", "units", "lines", "cost_lines", "rejected_events", "duplicates", "closings", "grants",
    "corrections", "rerates", "rerated_months", "state", "checkpoints", "catalogs",
)  # fmt: skip
MADE = "SELECT action, version FROM corrections FINAL WHERE unit_id = {unit:String} ORDER BY version"
Rows = dict[str, set[tuple[Any, ...]]]


def emptied(store: Store) -> Store:
    """The store, as new: to open one takes a second."""
    for table in FILLED:
        store.command(f"TRUNCATE TABLE {store.database}.{table}")
    return store


def final_rows(store: Store) -> Rows:
    """All that may never change."""
    return {table: set(store.query(f"SELECT * FROM {table} FINAL").rows) for table in FINAL}


@dataclass
class Production:
    """An engine that folds into a store, and the closer."""

    store: Store
    kafka: bool
    restarts: bool = False  # at every close, from what the store holds
    waiting: list[EventRecord] = field(default_factory=list)
    final: Rows = field(default_factory=lambda: {table: set() for table in FINAL})
    changed: list[str] = field(default_factory=list)  # final rows that were not there any more

    def __post_init__(self) -> None:
        self.engine = Engine(0)

    def take(self, record: MonthRecord, corrected: Unit | None) -> None:
        """Take one record; `corrected` is the unit that a correction is made of."""
        if isinstance(record, EventRecord):
            if self.waiting and self.waiting[0].entered_us != record.entered_us:
                self._fold()
            self.waiting.append(record)
            return
        self._fold()
        engine = self.engine
        if isinstance(record, Tick):
            engine.tick(record.offset, record.time_us)
        elif isinstance(record, Publication):
            data = publication_of(record.document)
            engine.publish(record.offset, data, record.timestamp_us)
            publications.write(self.store, 0, record.offset, data)
        elif isinstance(record, Correct):
            if corrected is not None:
                self._correct(record, corrected)
        elif isinstance(record, TopUp):
            self._control(record, "top_up", _sold(record))
        elif isinstance(record, Rerate):
            self._rerate(record)
        else:
            self._close(record)

    def _fold(self) -> None:
        records, self.waiting = self.waiting, []
        if records:
            times = [r.timestamp_us or 0 for r in records] if self.kafka else None
            raws, offsets = [r.raw for r in records], [r.offset for r in records]
            self.engine.fold(
                Batch(raws, offsets, records[0].entered_us, times, lambda i: f"test:{offsets[i]}")
            )

    def _rerate(self, record: Rerate) -> None:
        """The record as `unitrate rerate` makes it."""
        self.checkpoint()
        published, rerates = bodies(self.store)
        known = {catalog["id"]: catalog for catalog in corrected_catalogs(published, rerates)}
        version = from_data(record.document)
        plans = repriced(version, known[version.id]) if version.id in known else {}
        if not plans:
            return  # the same prices in other words: `unitrate rerate` says so
        since = Period(record.from_us, record.from_month)
        content = repricing.record(len(rerates) + 1, version.id, plans, since, "mia", "a slip")
        self._control(record, "rerate", content)

    def _control(self, record: Close | TopUp | Correct | Rerate, kind: str, body: dict[str, Any]) -> None:
        stamp = record.timestamp_us if self.kafka else None
        data = json.dumps(body, separators=(",", ":")).encode()
        self.engine.control(record.offset, stamp, kind, f"{kind}:{record.offset}", data)

    def checkpoint(self) -> None:
        """What was folded is in the store."""
        self._fold()
        self.store.write_checkpoint(self.engine.checkpoint())

    def _close(self, record: Close) -> None:
        body = {"period": record.period, "grace_us": record.grace_us, "now": record.now}
        self._control(record, "close", body)
        self.checkpoint()
        if record.issues:
            final.issue(self.store, record.period)
            paying.issue(self.store, record.period)
            self._compare_final()
        if self.restarts:
            found = recovery.read(self.store, 0)
            assert found is not None
            self.engine = found.engine

    def _compare_final(self) -> None:
        now = final_rows(self.store)
        for table, rows in now.items():
            self.changed += [f"{table}: {row}" for row in self.final[table] - rows]
        self.final = now

    # -- corrections ------------------------------------------------------------------------------------

    def _correct(self, record: Correct, unit: Unit) -> None:
        """The record as `unitrate correct` makes it."""
        self.checkpoint()
        id_ = derived_id(unit.account, unit.meter.name, unit.base_key, unit.number, 0, unit.opened)
        body: dict[str, Any] = {"account": unit.account, "unit_id": id_, "action": record.action}
        row = unit_row(self.store, id_)
        if is_let_go(row):
            made = self.store.query(MADE, {"unit": id_}).rows
            waived_at = made[-1][1] if record.action == "restore" else None
            body["final"] = final_facts(self.store, timeline(self.store), row, waived_at)
        self._control(record, "correction", body | {"who": "mia", "why": "so it is"})

    # -- questions --------------------------------------------------------------------------------------

    def balances(self) -> dict[str, int]:
        """What is left of credits by account, in minor units, at the log's time."""
        found = ledger(self.store, timeline(self.store), max(self.engine.clock_us, 0))
        return found.balances()


def _sold(record: TopUp) -> dict[str, Any]:
    return {
        "account": record.account,
        "name": record.name,
        "amount_pico": int(number(record.amount) * 10**12),
        "credit_pico": int(number(record.credit) * 10**12),
        "expires_us": record.expires_us,
    }
