"""Draft invoices of the reference rater: usage, minimums, plan minimums, fees; one rounding a line.

Owns rulings 27 and 28 and the order of lines. Works from the counters' final figures, never from lines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.calendar_view import Calendar, prorated_money
from tests.reference.catalog_view import Charge, Plan
from tests.reference.counter import Counter
from tests.reference.walk import Segment, Walk

MINOR_DIGITS = {"JPY": 0, "KRW": 0, "CLP": 0, "VND": 0, "KWD": 3, "BHD": 3, "TND": 3}


@dataclass(frozen=True)
class InvoiceLine:
    """One line; `quantity` and `included` are None for what has none."""

    kind: str  # usage, minimum, fee
    name: str
    plan: tuple[str, int]
    quantity: Fraction | None
    included: Fraction | None
    amount: Fraction
    meter: str = ""


def minor(amount: Fraction, currency: str) -> Fraction:
    """Rounded half up to the currency's minor unit, mirrored below zero."""
    scale = 10 ** MINOR_DIGITS.get(currency, 2)
    size = math.floor(abs(amount) * scale + Fraction(1, 2))
    return Fraction(size if amount >= 0 else -size, scale)


def invoice(walk: Walk, account: str, month: int) -> list[InvoiceLine] | None:
    """Lines of one account and month; None where it has neither a plan nor usage."""
    calendar = walk.calendar
    plans = plans_of(calendar, account, month)
    used = {segment[2]: segment for segment, _ in walk.counters if segment[:2] == (account, month)}
    for plan_id in used:
        if plan_id not in plans:
            plans[plan_id] = calendar.plan(plan_id, account, month)
    if not plans:
        return None
    lines = []
    for plan in plans.values():
        lines += _usage(walk, account, month, plan)
    return lines + _fees(calendar, account, month, list(plans.values()))


def plans_of(calendar: Calendar, account: str, month: int) -> dict[tuple[str, int], Plan]:
    """Plans of the month's days, in order."""
    found: dict[tuple[str, int], Plan] = {}
    for day in calendar.days(month):
        plan = calendar.plan_on(account, day)
        if plan is not None:
            found.setdefault(plan.id, plan)
    return found


def _usage(walk: Walk, account: str, month: int, plan: Plan) -> list[InvoiceLine]:
    currency = walk.calendar.catalogs[-1].currency
    share = walk.calendar.share(account, month, plan)
    segment: Segment = (account, month, plan.id)
    lines, billed = [], Fraction(0)
    for charge in plan.charges:
        counter = walk.counters.get((segment, charge.name))
        quantity, included, amount = _figures(counter)
        usage = minor(amount, currency)
        lines.append(InvoiceLine("usage", charge.name, plan.id, quantity, included, usage, charge.meter))
        lowest = _minimum(charge, share)
        missing = minor(max(Fraction(0), lowest - usage), currency)
        if missing:
            lines.append(InvoiceLine("minimum", charge.name, plan.id, None, None, missing, charge.meter))
        billed += usage + missing
    missing = minor(max(Fraction(0), prorated_money(plan.minimum, share) - billed), currency)
    if missing:
        lines.append(InvoiceLine("minimum", plan.name, plan.id, None, None, missing))
    return lines


def _figures(counter: Counter | None) -> tuple[Fraction, Fraction, Fraction]:
    if counter is None:
        return Fraction(0), Fraction(0), Fraction(0)
    now = counter.figures()
    return sum(now.total.values(), Fraction(0)), sum(now.included.values(), Fraction(0)), counter.amount()


def _minimum(charge: Charge, share: Fraction) -> Fraction:
    return prorated_money(charge.minimum, share)


def _fees(calendar: Calendar, account: str, month: int, plans: list[Plan]) -> list[InvoiceLine]:
    """Fees by plan; one that is not prorated is due once a plan name, whatever the versions."""
    currency = calendar.catalogs[-1].currency
    lines: list[InvoiceLine] = []
    whole = set()
    for plan in plans:
        share = calendar.share(account, month, plan)
        for fee in plan.fees:
            due = share > 0 and (fee.monthly or _first_month(calendar, account, plan.name) == month)
            amount = fee.amount
            if fee.monthly and fee.prorate:
                amount = prorated_money(fee.amount, share)
            elif due:
                due = (plan.name, fee.name) not in whole
                whole.add((plan.name, fee.name))
            if due:
                lines.append(InvoiceLine("fee", fee.name, plan.id, None, None, minor(amount, currency)))
    return lines


def _first_month(calendar: Calendar, account: str, plan_name: str) -> int | None:
    """The first month in which the account has a plan of this name (ruling 27)."""
    firsts = [
        first
        for c in calendar.catalogs
        if account in c.accounts
        for name, first, _ in c.accounts[account].periods
        if name == plan_name
    ]
    for first in sorted(firsts):
        month = first.year * 100 + first.month
        for _ in range(24):
            if any((p := calendar.plan_on(account, d)) and p.name == plan_name for d in calendar.days(month)):
                return month
            month = month + 1 if month % 100 < 12 else month + 89
    return None
