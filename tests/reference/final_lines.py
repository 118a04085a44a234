"""Lines of final invoices as the reference rater makes them: adjustments, top-ups, credits, tax (35, 36).

Owns what was billed and used so far, and what a month's invoice would say now. Works from counters and
grants, never from rated lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from tests.reference.catalog_view import number
from tests.reference.credits_view import Credit, Grant, Use, credits_of
from tests.reference.invoicing import InvoiceLine, invoice, minor
from tests.reference.walk import Walk

Key = tuple[str, tuple[str, int], str, str]  # kind, plan, name, meter
NO_PLAN = ("", 0)


@dataclass(frozen=True)
class Line:
    """A line of an invoice; `late_from`, `of_kind` and `of_name` of adjustments, `credit` of credits."""

    kind: str
    name: str
    meter: str
    plan: tuple[str, int]
    quantity: Fraction | None
    included: Fraction | None
    amount: Fraction
    late_from: int = 0
    of_kind: str = ""
    of_name: str = ""
    credit: str = ""


@dataclass
class Billing:
    """What final invoices have billed and used, and what the next ones will."""

    walk: Walk
    grants: list[Grant] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    plan_days: dict[tuple[str, int], int] = field(default_factory=dict)  # of closed months, at their close
    billed: dict[tuple[str, int], dict[Key, InvoiceLine]] = field(default_factory=dict)

    def lines(self, account: str, month: int) -> list[Line]:
        """The lines of an account's month as they would be now."""
        own = [
            Line(x.kind, x.name, x.meter, x.plan, x.quantity, x.included, x.amount)
            for x in _telling(invoice(self.walk, account, month))
        ]
        for closed in self._late_months(account, month):
            own += self._adjustments(account, closed)
        currency = self.walk.calendar.catalogs[-1].currency
        own += [
            Line("top_up", g.name, "", NO_PLAN, None, None, minor(g.amount, currency))
            for g in self.grants
            if (g.account, g.bill_month) == (account, month)
        ]
        own += self._credits(account, month, own)
        tax = self._tax(account)
        if tax:
            amount = minor(sum((x.amount for x in own), Fraction(0)) * number(tax["rate"]), currency)
            own.append(Line("tax", tax["name"], "", NO_PLAN, None, None, amount))
        return own

    def note(self, account: str, month: int, lines: list[Line], now: int) -> None:
        """Remember what a final invoice billed and used."""
        self.plan_days[account, month] = self.days_with_plan(account, month)
        for line in lines:
            if line.kind == "credit":
                self.uses.append(Use(account, line.credit, month, -line.amount, now))
            elif line.kind not in ("tax", "top_up"):
                self._bill(account, line.late_from or month, line)

    def _bill(self, account: str, month: int, line: Line) -> None:
        kind, name = line.of_kind or line.kind, line.of_name or line.name
        billed = self.billed.setdefault((account, month), {})
        empty = InvoiceLine(kind, name, line.plan, None, None, Fraction(0), line.meter)
        before = billed.get((kind, line.plan, name, line.meter), empty)
        billed[kind, line.plan, name, line.meter] = replace(
            before,
            quantity=_plus(before.quantity, line.quantity),
            included=_plus(before.included, line.included),
            amount=before.amount + line.amount,
        )

    # -- adjustments ------------------------------------------------------------------------------------

    def days_with_plan(self, account: str, month: int) -> int:
        """Days of a month on which the account has a plan, as known now."""
        calendar = self.walk.calendar
        return sum(calendar.plan_on(account, day) is not None for day in calendar.days(month))

    def _late_months(self, account: str, month: int) -> list[int]:
        """Closed months that a line of this month changes, or in which there is a plan on more days (D59)."""
        late = {of for name, bill, of in self.walk.books.late if (name, bill) == (account, month)}
        for (name, closed), days in self.plan_days.items():
            if name == account and closed < month and self.days_with_plan(account, closed) > days:
                late.add(closed)
        return sorted(late)

    def _adjustments(self, account: str, month: int) -> list[Line]:
        """Rounded now − rounded already billed, line by line (ruling 35)."""
        billed = self.billed.get((account, month), {})
        lines = _telling(invoice(self.walk, account, month))
        due = {(x.kind, x.plan, x.name, x.meter): x for x in lines}
        found = []
        for key in [*due, *(k for k in billed if k not in due)]:
            kind, plan, name, meter = key
            nothing = InvoiceLine(kind, name, plan, None, None, Fraction(0), meter)
            now, then = due.get(key, nothing), billed.get(key, nothing)
            amount, quantity = now.amount - then.amount, _minus(now.quantity, then.quantity)
            if amount or quantity:
                shown = name if kind == "usage" else f"{name} ({kind})"
                included = _minus(now.included, then.included)
                found.append(
                    Line("adjustment", shown, meter, plan, quantity, included, amount, month, kind, name)
                )
        return found

    # -- credits and tax --------------------------------------------------------------------------------

    def credits(self, account: str) -> list[Credit]:
        """Its credits in the order of use."""
        return credits_of(self.walk.calendar, account, [g for g in self.grants if g.account == account])

    def _credits(self, account: str, month: int, lines: list[Line]) -> list[Line]:
        """Credits that pay what is due; one of a top-up pays no top-up (D60)."""
        due = sum((x.amount for x in lines), Fraction(0))
        usage = sum((x.amount for x in lines if x.kind != "top_up"), Fraction(0))
        found = []
        for credit in self.credits(account):
            uses = [u.amount for u in self.uses if (u.account, u.credit) == (account, credit.id)]
            left = credit.amount - sum(uses, Fraction(0))
            used = min(left, due, usage) if credit.top_up else min(left, due)
            if used > 0 and credit.usable(self.walk.calendar.days(month)):
                due, usage = due - used, usage - used
                found.append(Line("credit", credit.name, "", NO_PLAN, None, None, -used, credit=credit.id))
        return found

    def _tax(self, account: str) -> dict[str, Any]:
        """Tax of the last catalog in force that has billing for the account, else of the first that will."""
        catalogs = [
            c
            for c in self.walk.calendar.catalogs
            if account in c.accounts and c.accounts[account].has_billing
        ]
        if not catalogs:
            return {}
        in_force = [c for c in catalogs if c.effective <= max(self.walk.clock, 0)]
        return dict((in_force[-1] if in_force else catalogs[0]).accounts[account].tax)


def _telling(lines: list[InvoiceLine] | None) -> list[InvoiceLine]:
    """Without usage lines of nothing."""
    return [x for x in lines or () if x.kind != "usage" or x.quantity or x.amount]


def _plus(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    return None if one is None and other is None else (one or Fraction(0)) + (other or Fraction(0))


def _minus(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    return None if one is None and other is None else (one or Fraction(0)) - (other or Fraction(0))
