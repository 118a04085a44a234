"""Draft invoices of accounts' first open months, of the store and of the reference rater, side by side.

Owns what is compared before a month is closed: adjustments, credits and tax as they would be now.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

from tests.reference.books import following
from tests.reference.invoicing import plans_of
from tests.reference.month_end import MonthEnd
from tests.reference.months_view import Production
from unitrate.billing.drafts import drafts
from unitrate.published import timeline

Row = tuple[Any, ...]


def open_differences(reference: MonthEnd, production: Production) -> list[str]:
    """What differs; the production's engine is checkpointed for it."""
    production.checkpoint()
    months = {name: _first_open(reference, name) for name in reference.accounts()}
    want = Counter(row for name, month in months.items() if month for row in _wanted(reference, name, month))
    got: Counter[Row] = Counter()
    for month in sorted({month for month in months.values() if month}):
        for invoice in drafts(production.store, timeline(production.store), month):
            if months[invoice.account] == month:
                got.update(_rows(invoice))
    return [f"draft: only the reference has {row}" for row in want - got] + [
        f"draft: only production has {row}" for row in got - want
    ]


def _first_open(reference: MonthEnd, account: str) -> int | None:
    closed = reference.walk.books.closed.get(account)
    return reference.first_month(account) if closed is None else following(closed)


def _wanted(reference: MonthEnd, account: str, month: int) -> list[Row]:
    lines = reference.billing.lines(account, month)
    if not plans_of(reference.walk.calendar, account, month) and all(x.kind == "tax" for x in lines):
        return []
    rows: list[Row] = [(account, month)]
    for x in lines:
        name = "" if x.kind in ("tax", "credit") else x.name
        rows.append((account, month, x.kind, name, x.meter, *x.plan, x.quantity, x.included, x.amount))
    return _together(rows)


def _rows(invoice: Any) -> list[Row]:
    scale = 10**invoice.minor_digits
    rows: list[Row] = [(invoice.account, invoice.period)]
    for x in invoice.lines:
        quantities = (None if q is None else Fraction(q, 10**12) for q in (x.quantity_pico, x.included_pico))
        name = "" if x.kind in ("tax", "credit") else x.name
        what = (x.kind, name, x.meter or "", x.plan, x.plan_version)
        rows.append((invoice.account, invoice.period, *what, *quantities, Fraction(x.amount_minor, scale)))
    return _together(rows)


def _together(rows: list[Row]) -> list[Row]:
    """Credits as one sum: of two alike either may be used first."""
    credits = sum((row[-1] for row in rows if row[2:3] == ("credit",)), Fraction(0))
    return [row for row in rows if row[2:3] != ("credit",)] + [(*rows[0], "credits", credits)]
