"""Stores of a few months: events, ticks, closes and top-ups in an order, and the rows that are final."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unitrate.billing.final import invoices
from unitrate.billing.invoice import document
from unitrate.catalog.source import load_text
from unitrate.cli.options import instant_us
from unitrate.published import timeline
from unitrate.runtime import embedded, month_end
from unitrate.runtime.month_end import Closed, Order
from unitrate.store import Store, open_store

CATALOG = """
catalog: 2025-10
effective: 2025-10-01T00:00:00Z
currency: EUR
timezone: UTC
issuer: {name: Kontor, number_prefix: K-, due_days: 14}
costs: {models: [{provider: p, model: "*", page: 0.10}]}
meters:
  review:
    unit: document
    workflow: [review, deep]
    key: document_id
    settle: 1h
    reverse: {on: [work.rejected], within: 60d}
plans:
  growth:
    version: 1
    fees: [{name: Platform, amount: 50.00, when: monthly}]
    charges:
      - {name: Reviews, meter: review, included: 1, price: {model: unit, rate: 10.00}, minimum: 15.00}
    top_ups:
      - {name: Pack, amount: 80.00, grants: {credit: 100.00}, expires: 30d}
      - {name: Gift, amount: 0, grants: {credit: 20.00}}
accounts:
  acme: {name: Acme, plan: growth, from: 2025-10-01}
  late: {name: Late, plan: growth, from: 2025-10-01, timezone: America/New_York}
payouts:
  platform_fee: 0.20
  builders: [{builder: nord, workflows: [review]}]
  providers: [{provider: p, reward: 0.10}]
"""
FINAL = ("invoices", "invoice_lines", "credit_movements", "payouts")


def an_event(name: str, time: str, *, kind: str = "ai.request", document: str = "d1", **data: Any) -> str:
    """One event of account acme, workflow review; one page of cost 0.10."""
    account = data.pop("account", "acme")
    content: dict[str, Any] = {
        "workflow": "review",
        "run_id": document,
        "attributes": {"document_id": document},
        **data,
    }
    if kind == "ai.request":
        content |= {"provider": "p", "model": "m", "usage": {"pages": 1}}
    return json.dumps(
        {
            "specversion": "1.0",
            "id": name,
            "source": "t",
            "type": kind,
            "subject": account,
            "time": time,
            "data": content,
        }
    )


def a_document(name: str, day: str, *, end: str = "work.completed", **data: Any) -> list[str]:
    """A document of a day (2025-10-05): one request, and its end five minutes later."""
    return [
        an_event(f"{name}.1", f"{day}T10:00:00Z", document=name, **data),
        an_event(f"{name}.2", f"{day}T10:05:00Z", kind=end, document=name, **data),
    ]


OPEN: list[Books] = []


class Books:
    """A folder store and what is done to it, one process at a time. Shut it before another one opens."""

    def __init__(self, folder: Path, catalog: str | None = CATALOG) -> None:
        self.path = folder / "books"
        self._folder = folder
        self._files = 0
        self._store: Store | None = None
        OPEN.append(self)
        if catalog is not None:
            self._store = open_store(str(self.path), create=True)
            embedded.run(self._store, load_text(catalog), [])

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """The store; it stays open until `shut`."""
        if self._store is None:
            self._store = open_store(str(self.path))
        yield self._store

    def shut(self) -> None:
        """Give the folder back, for another process or a copy."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def run(self, *events: Iterable[str]) -> None:
        self._files += 1
        path = self._folder / f"events-{self._files}.jsonl"
        path.write_text("".join(f"{line}\n" for group in events for line in group))
        with self.opened() as store:
            embedded.run(store, [], [str(path)])

    def publish(self, catalog: str) -> None:
        with self.opened() as store:
            embedded.publish(store, load_text(catalog))

    def tick(self, until: str) -> None:
        with self.opened() as store:
            embedded.tick(store, instant_us(until))

    def close(self, period: int, **order: Any) -> Closed:
        with self.opened() as store:
            return month_end.close(store, Order(period, **order))

    def top_up(self, name: str = "Pack", account: str = "acme", reference: str | None = None) -> None:
        with self.opened() as store:
            month_end.top_up(store, account, name, reference=reference)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.opened() as store:
            return store.query(sql).rows

    def final_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that may never change."""
        with self.opened() as store:
            return final_rows(store)

    def invoice(self, period: int, account: str = "acme") -> dict[str, Any]:
        """The invoice's document."""
        with self.opened() as store:
            (found,) = invoices(store, timeline(store), period, account)
        return document(found)


def final_rows(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    return {table: store.query(f"SELECT * FROM {table} FINAL ORDER BY ALL").rows for table in FINAL}


def lines(invoice: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Kind, name and amount of an invoice's lines."""
    return [(line["kind"], line["name"], line["amount"]) for line in invoice["lines"]]
