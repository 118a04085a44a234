"""What differs between the final rows of the store and what the reference says is final.

Owns the comparison, line by line, and what must add up whatever the reference says. Returns sentences.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.reference.final_lines import Line
from tests.reference.invoicing import MINOR_DIGITS, minor
from tests.reference.month_end import Final, MonthEnd
from tests.reference.months_view import Production
from tests.reference.payouts_view import Statement
from unitrate.store import Store

LINES = """
SELECT account, period, kind, of_kind, name, meter, plan, plan_version, quantity, included, amount, late_from
FROM invoice_lines FINAL
"""
INVOICES = """
SELECT account, period, issuer, sequence, plan_days, subtotal, credits, tax, total, document
FROM invoices FINAL
"""
PAYOUTS = """
SELECT period, kind, payee, units, requests, revenue, cost, platform_fee, earnings, carried_in, payout,
       carried_out
FROM payouts FINAL
"""
ZERO = Fraction(0)
Row = tuple[Any, ...]


def month_differences(reference: MonthEnd, production: Production) -> list[str]:
    """All that differs; empty if both agree."""
    store = production.store
    return [
        *production.changed,
        *_lines(reference, store),
        *_invoices(reference, store),
        *_payouts(reference, store),
        *_balances(reference, production),
        *_adding_up(reference, store),
    ]


def _different(what: str, want: Iterable[Row], got: Iterable[Row]) -> list[str]:
    wanted, found = Counter(want), Counter(got)
    return [f"{what}: only the reference has {_shown(row)}" for row in (wanted - found).elements()] + [
        f"{what}: only production has {_shown(row)}" for row in (found - wanted).elements()
    ]


def _shown(row: Row) -> str:
    return " ".join(str(value) for value in row)


def _exact(value: Decimal | None) -> Fraction | None:
    return None if value is None else Fraction(value)


# ---------------------------------------------------------------- invoices


def _lines(reference: MonthEnd, store: Store) -> list[str]:
    want = [row for one in reference.finals for row in _wanted(one)]
    credits: dict[Row, Fraction] = defaultdict(Fraction)
    got = []
    for *head, quantity, included, amount, late_from in store.query(LINES).rows:
        row = (*head, _exact(quantity), _exact(included))
        if head[2] == "credit":
            credits[row] += Fraction(amount)
        else:
            row = _without_rate(row)
            got.append((*row, Fraction(amount), late_from))
    got += [(*row, amount, 0) for row, amount in credits.items()]
    return _different("invoice line", want, got)


def _without_rate(row: Row) -> Row:
    """A tax line's name without its per cent."""
    return (*row[:4], row[4].split(" ")[0], *row[5:]) if row[2] == "tax" else row


def _wanted(one: Final) -> list[Row]:
    credits: dict[str, Fraction] = defaultdict(Fraction)
    found = []
    for line in one.lines:
        if line.kind == "credit":
            credits[line.name] += line.amount
        else:
            found.append(_row(one, line))
    found += [
        (one.account, one.month, "credit", "", name, "", "", 0, None, None, amount, 0)
        for name, amount in credits.items()
    ]
    return found


def _row(one: Final, line: Line) -> Row:
    head = (one.account, one.month, line.kind, line.of_kind, line.name, line.meter, *line.plan)
    return (*head, line.quantity, line.included, line.amount, line.late_from)


def _invoices(reference: MonthEnd, store: Store) -> list[str]:
    want, got = [], []
    for one in reference.finals:
        credits = -sum((x.amount for x in one.lines if x.kind == "credit"), ZERO)
        tax = sum((x.amount for x in one.lines if x.kind == "tax"), ZERO)
        total = sum((x.amount for x in one.lines), ZERO)
        amounts = total - tax + credits, credits, tax, total
        free = tuple(sorted(one.free.items()))
        want.append((one.account, one.month, one.issuer, one.number, one.plan_days, *amounts, free))
    for *head, subtotal, credit, tax_, total_, document in store.query(INVOICES).rows:
        sums = tuple(Fraction(x) for x in (subtotal, credit, tax_, total_))
        free = tuple(sorted(json.loads(document)["not_billed"].items()))
        got.append((*head, *sums, free))
    return _different("invoice", want, got)


# ---------------------------------------------------------------- payouts and credits


def _payouts(reference: MonthEnd, store: Store) -> list[str]:
    want = [row for statement in reference.payees.statements for row in _statement(statement)]
    got = [(*row[:5], *(Fraction(x) for x in row[5:])) for row in store.query(PAYOUTS).rows]
    return _different("payout", want, got)


def _statement(of: Statement) -> list[Row]:
    rows: list[Row] = []
    for one in of.payouts:
        units = sum(work[0] for work in one.works.values())
        revenue = sum((work[1] for work in one.works.values()), ZERO)
        cost = sum((work[2] for work in one.works.values()), ZERO)
        money = one.platform_fee, one.earnings, one.carried_in, one.payout, one.carried_out
        rows.append((of.month, "builder", one.builder, units, 0, revenue, cost, *money))
    for reward in of.rewards:
        figures = reward.requests, ZERO, reward.cost, ZERO, reward.reward, ZERO, reward.reward, ZERO
        rows.append((of.month, "provider", reward.provider, 0, *figures))
    rewards = sum((r.reward for r in of.rewards), ZERO)
    earned = sum((p.earnings for p in of.payouts), ZERO) + rewards
    paid = sum((p.payout for p in of.payouts), ZERO) + rewards
    units, revenue, cost = of.total
    rows.append((of.month, "period", "", units, 0, revenue, cost, of.platform, earned, ZERO, paid, ZERO))
    return rows


def _balances(reference: MonthEnd, production: Production) -> list[str]:
    scale = 10 ** MINOR_DIGITS.get(reference.walk.calendar.catalogs[-1].currency, 2)
    want = [(name, reference.balance(name)) for name in reference.accounts()]
    got = [(name, Fraction(left, scale)) for name, left in production.balances().items()]
    return _different("balance", [row for row in want if row[1]], [row for row in got if row[1]])


# ---------------------------------------------------------------- what must add up

USAGE = """
SELECT account, if(kind = 'adjustment', late_from, period) AS month, plan, plan_version,
       if(kind = 'adjustment', of_name, name) AS charge, sum(amount)
FROM invoice_lines FINAL WHERE kind = 'usage' OR kind = 'adjustment' AND of_kind = 'usage'
GROUP BY account, month, plan, plan_version, charge
"""
BOOKED = """
SELECT sum(toDecimal256(revenue, 12)) - sum(toDecimal256(cost, 12)) FROM cost_lines FINAL
WHERE (account, bill_month) IN (SELECT account, period FROM closings FINAL WHERE control_seq <= {seq:Int64})
"""
PAID = """
SELECT max(control_seq), sumIf(platform_fee, kind = 'period'), sumIf(earnings, kind != 'period'),
       sumIf(payout, kind != 'period') + sumIf(carried_out - carried_in, kind = 'builder')
FROM payouts FINAL
"""


def _adding_up(reference: MonthEnd, store: Store) -> list[str]:
    """f(Q) of closed months from their invoices, where nothing waits for one; and margin from payouts."""
    walk = reference.walk
    waiting = {
        (account, month)
        for account, bill_month, month in walk.books.late
        if bill_month > walk.books.closed.get(account, 0)
    }
    currency = walk.calendar.catalogs[-1].currency
    due = {
        (*segment, charge): minor(counter.amount(), currency)
        for (segment, charge), counter in walk.counters.items()
        if segment[1] <= walk.books.closed.get(segment[0], 0) and segment[:2] not in waiting
    }
    billed = {
        (account, month, (plan, version), charge): Fraction(amount)
        for account, month, plan, version, charge, amount in store.query(USAGE).rows
        if (account, month) not in waiting
    }
    want = [(*key, amount) for key, amount in due.items() if amount]
    found = _different("f(Q) of a closed month", want, [(*k, v) for k, v in billed.items() if v])
    seq, platform, earned, paid = store.query(PAID).rows[0]
    if seq:
        margin = store.query(BOOKED, {"seq": seq}).rows[0][0]
        if margin != platform + earned or earned != paid:
            found.append(f"margin {margin} is not platform {platform} and earnings {earned}; paid {paid}")
    return found
