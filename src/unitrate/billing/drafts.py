"""Draft invoices of a store: months that are open, put through `billing.assembling`.

Owns the question who gets an invoice, and which credits earlier open months use up first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from unitrate.billing.assembling import assemble, held_credits
from unitrate.billing.invoice import Invoice, segments
from unitrate.billing.month import MonthFigures, Scope, figures
from unitrate.published import check_account
from unitrate.timeline import civil_month, next_month

if TYPE_CHECKING:
    from unitrate.store import Store
    from unitrate.timeline import Timeline

CLOSED = "SELECT DISTINCT account FROM closings FINAL WHERE period = {period:UInt32}"
LAST_CLOSED = "SELECT account, max(period) FROM closings FINAL GROUP BY account"
MARKERS = "SELECT meta FROM checkpoints ORDER BY partition, last_offset DESC LIMIT 1 BY partition"


def log_time_us(store: Store) -> int:
    """The log's time: the latest of its partitions."""
    clocks = [int(json.loads(meta)["clock_us"]) for (meta,) in store.query(MARKERS).rows]
    return max([*clocks, 0])


def drafts(store: Store, timeline: Timeline, period: int, account: str | None = None) -> list[Invoice]:
    """Drafts of a month by account: of every account that has a plan in it, or something to pay or to get.

    Accounts that have closed the month have none: theirs are final.
    """
    if account is not None:
        check_account(store, account, timeline)
    now_us = log_time_us(store)
    found = figures(store, timeline, Scope(period, None, account or ""))
    named = {name for catalog in timeline.catalogs for name in catalog.accounts}
    if account is not None:
        named &= {account}
    closed = {name for (name,) in store.query(CLOSED, {"period": period}).rows}
    holders = {name for name in named - closed if segments(timeline, name, period)}
    payers = holders | payers_of(found, period)
    _use_earlier(store, timeline, period, payers, found, now_us)
    made = [assemble(timeline, name, period, found, now_us) for name in sorted(payers)]
    return [invoice for invoice in made if invoice.says_something or invoice.account in holders]


def payers_of(found: MonthFigures, period: int) -> set[str]:
    """Accounts with something on an invoice of the month beside a plan's fees and minimums."""
    grants = [grant for several in found.grants.values() for grant in several]
    bought = {grant.account for grant in grants if grant.bill_month == period}
    return found.usage.keys() | found.late.keys() | bought


def _use_earlier(
    store: Store, timeline: Timeline, period: int, payers: set[str], found: MonthFigures, now_us: int
) -> None:
    """What drafts of earlier open months use of credits is not there for this one."""
    last = dict(store.query(LAST_CLOSED).rows)
    for name in sorted(payers):
        held = held_credits(timeline, name, found.grants.get(name, []))
        if not held:
            continue
        first = civil_month(min(credit.from_day for credit in held))
        month = max(first, next_month(last[name])) if name in last else first
        while month < period:
            earlier = figures(store, timeline, Scope(month, None, name))
            for key, used in found.uses_pico.items():
                if key[0] == name:
                    earlier.uses_pico[key] = used
            invoice = assemble(timeline, name, month, earlier, now_us)
            for line in invoice.lines:
                if line.kind == "credit":
                    key = name, line.of_name
                    used = -line.amount_minor * 10 ** (12 - invoice.minor_digits)
                    found.uses_pico[key] = found.uses_pico.get(key, 0) + used
            month = next_month(month)
