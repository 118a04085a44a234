"""What was booked in which bill month: the reference rater's ledger of units, revenue and cost.

Owns ruling 34 and what is late: a closed month's figures stand, whatever changes it goes into the first open
one. Entries are never changed; all sums are worked out from the whole list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from tests.reference.unit_view import Unit


@dataclass(frozen=True)
class Entry:
    """One booking; a change takes the former figures off and puts the new ones on."""

    account: str
    bill_month: int
    month: int  # that the unit or request belongs to
    workflow: str
    disposition: str
    reason: str
    units: int
    revenue: Fraction
    cost: Fraction


def following(month: int) -> int:
    """The month after."""
    return month + 1 if month % 100 < 12 else month + 89


@dataclass
class Books:
    """All bookings, and the last closed month by account."""

    entries: list[Entry] = field(default_factory=list)
    closed: dict[str, int] = field(default_factory=dict)
    late: set[tuple[str, int, int]] = field(default_factory=set)  # account, bill month, closed month
    _told: dict[int, Entry] = field(default_factory=dict)  # by the opening record: a unit's last figures

    def bill_month(self, account: str, month: int) -> int:
        """The month itself, or the first open one (ruling 34)."""
        closed = self.closed.get(account, 0)
        return month if month > closed else following(closed)

    def months(self, account: str) -> Iterator[int]:
        """Months that anything of the account was booked for."""
        return (entry.month for entry in self.entries if entry.account == account)

    def line(self, account: str, month: int) -> None:
        """A rated line of a month: if that is closed, the first open month's invoice adjusts it."""
        bill_month = self.bill_month(account, month)
        if bill_month != month:
            self.late.add((account, bill_month, month))

    def plan_change(self, account: str, month: int, amount: Fraction) -> None:
        """A plan change rated a segment anew, by a line without a unit."""
        self.line(account, month)
        self._add(account, month, "", "billable", "plan_change", 0, amount, Fraction(0))

    def rerate(self, account: str, month: int, workflow: str, amount: Fraction) -> None:
        """A corrected price rated a segment anew; a workflow's share of that."""
        self._add(account, month, workflow, "billable", "rerate", 0, amount, Fraction(0))

    def alone(self, account: str, month: int, workflow: str, reason: str, cost: Fraction) -> None:
        """A request without a unit costs."""
        self._add(account, month, workflow, "not_billed", reason, 0, Fraction(0), cost)

    def unit(self, unit: Unit) -> None:
        """A unit that was decided: what it was is taken off, what it is now is put on."""
        decision = unit.decision
        assert decision is not None
        old = self._told.get(unit.opened)
        if old is not None:
            self._add(
                old.account, old.month, old.workflow, old.disposition, old.reason, -1, -old.revenue, -old.cost
            )
        costs = [unit.costs[event.order] for event in unit.requests]
        cost = sum((c.amount for c in costs if c is not None), Fraction(0))
        fate = decision.disposition, decision.reason
        workflow = unit.events[0].workflow
        self._told[unit.opened] = self._add(
            unit.account, decision.month, workflow, *fate, 1, unit.revenue, cost
        )

    def _add(
        self,
        account: str,
        month: int,
        workflow: str,
        disposition: str,
        reason: str,
        units: int,
        revenue: Fraction,
        cost: Fraction,
    ) -> Entry:
        bill_month = self.bill_month(account, month)
        entry = Entry(account, bill_month, month, workflow, disposition, reason, units, revenue, cost)
        self.entries.append(entry)
        return entry
