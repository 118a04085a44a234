"""Credits of an account as the reference rater reads them: from catalogs and from top-ups (ruling 36).

Owns which credits there are (D61), their order, and what is left of them at a moment (D65). Amounts are
Fractions in minor units of the currency already.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.calendar_view import Calendar
from tests.reference.catalog_view import day, number
from tests.reference.invoicing import minor

FOR_EVER = dt.date.max


@dataclass(frozen=True)
class Grant:
    """A top-up that was sold."""

    offset: int
    account: str
    name: str
    bill_month: int
    amount: Fraction
    credit: Fraction
    granted: int
    expires: int | None


@dataclass(frozen=True)
class Credit:
    """A credit with its days; `begins` and `ends` are instants, `ends` that from which it cannot be used."""

    id: str
    name: str
    amount: Fraction
    first: dt.date
    last: dt.date
    priority: int
    begins: int
    ends: int | None
    top_up: bool

    def usable(self, days: list[dt.date]) -> bool:
        """Whether its days overlap a month's."""
        return self.first <= days[-1] and self.last >= days[0]


@dataclass(frozen=True)
class Use:
    """What a final invoice used of a credit."""

    account: str
    credit: str
    month: int
    amount: Fraction
    at: int


def credits_of(calendar: Calendar, account: str, grants: Iterable[Grant]) -> list[Credit]:
    """All credits that an account has, in the order in which invoices use them."""
    currency = calendar.catalogs[-1].currency
    found: dict[str, Credit] = {}
    for catalog in calendar.catalogs:
        for item in catalog.accounts[account].credits if account in catalog.accounts else ():
            first = day(item["from"])
            last = FOR_EVER if item.get("expires") is None else day(item["expires"])
            ends = None if last is FOR_EVER else calendar.midnight(account, last + dt.timedelta(days=1))
            amount, priority = minor(number(item["amount"]), currency), int(item.get("priority", 100))
            id_, begins = "catalog:" + item["name"], calendar.midnight(account, first)
            found[id_] = Credit(id_, item["name"], amount, first, last, priority, begins, ends, top_up=False)
    for one in grants:
        first = calendar.day(account, one.granted)
        last = FOR_EVER if one.expires is None else calendar.day(account, one.expires)
        id_, amount = f"grant:{one.offset}", minor(one.credit, currency)
        found[id_] = Credit(id_, one.name, amount, first, last, 100, one.granted, one.expires, top_up=True)
    return sorted(found.values(), key=lambda c: (c.priority, c.last, c.name))


def balance(
    calendar: Calendar,
    account: str,
    grants: Iterable[Grant],
    uses: Iterable[Use],
    closings: dict[int, int],
    now: int,
) -> Fraction:
    """What is left of an account's credits at an instant. `closings`: month → log time of its close."""
    left = Fraction(0)
    for credit in credits_of(calendar, account, grants):
        used = sum((u.amount for u in uses if (u.account, u.credit) == (account, credit.id)), Fraction(0))
        rest = max(Fraction(0), credit.amount - used)
        if credit.ends is not None:
            last = credit.last.year * 100 + credit.last.month
            closed = [at for month, at in closings.items() if month >= last]
            if closed and max(min(closed), credit.ends) <= now:  # D65
                rest = Fraction(0)
        if credit.begins <= now:
            left += rest
    return left
