"""Draft invoices of the production code and of the reference rater, side by side.

Owns how the engine's lines become the parts that `billing.invoice.draft` takes, and what is compared.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from tests.reference.engine_view import Row, Store
from tests.reference.invoicing import invoice
from tests.reference.rater import Figures
from unitrate.billing.invoice import UsagePart, draft
from unitrate.catalog.compiling import compile_publication
from unitrate.timeline import Timeline, next_month

# kind, name, plan, version, quantity, included, amount
Line = tuple[str, str, str, int, Fraction | None, Fraction | None, Fraction]


def draft_differences(figures: Figures, store: Store) -> list[str]:
    """What differs between the drafts of every account and month that has a unit, and the months after."""
    timeline = Timeline()
    for _, data in store.publications:
        timeline.add(compile_publication(data))
    months = {u["period"] for u in store.units.values()}
    months |= {next_month(month) for month in months}
    accounts = {u["account"] for u in store.units.values()} | set(timeline.catalogs[-1].accounts)
    found = []
    for account in sorted(accounts):
        for month in sorted(months):
            want, got = _reference(figures, account, month), _production(timeline, store, account, month)
            if want != got:
                found.append(
                    f"draft of {account} {month}: reference {_shown(want)}, production {_shown(got)}"
                )
    return found


def _reference(figures: Figures, account: str, month: int) -> list[Line]:
    lines = invoice(figures.walk, account, month) or []
    rows = [(x.kind, x.name, *x.plan, x.quantity, x.included, x.amount) for x in lines]
    return _telling(rows)


def _production(timeline: Timeline, store: Store, account: str, month: int) -> list[Line]:
    made = draft(timeline, account, month, _parts(store.lines, account, month))
    scale, pico = 10**made.minor_digits, 10**12

    def quantity(value: int | None) -> Fraction | None:
        return None if value is None else Fraction(value, pico)

    rows: list[Line] = [
        (
            x.kind,
            x.name,
            x.plan,
            x.plan_version,
            quantity(x.quantity_pico),
            quantity(x.included_pico),
            Fraction(x.amount_minor, scale),
        )
        for x in made.lines
    ]
    return _telling(rows)


def _telling(rows: list[Line]) -> list[Line]:
    """Without usage lines of nothing, in one order."""
    return sorted((row for row in rows if row[0] != "usage" or row[4] or row[6]), key=str)


def _parts(lines: list[Row], account: str, month: int) -> list[UsagePart]:
    sums: dict[tuple[str, int, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for line in lines:
        if (line["account"], line["bill_month"]) == (account, month):
            key = (line["plan"], line["plan_version"], line["charge"], line["meter"], line["price_value"])
            sums[key][0] += line["quantity"]
            sums[key][1] += line["amount"]
    return [UsagePart(*key, quantity, amount, "") for key, (quantity, amount) in sums.items()]


def _shown(lines: list[Line]) -> str:
    return "; ".join(" ".join(str(x) for x in line) for line in lines)
