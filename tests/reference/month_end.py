"""Months as the reference rater closes them: which accounts a record closes, and the invoices that it makes.

Owns what a close record does, at that record (ruling 34, D57, D58, D62), and the numbers of invoices. What is
final is never looked at again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction

from tests.reference.books import following
from tests.reference.catalog_view import number
from tests.reference.corrections import correct
from tests.reference.credits_view import Grant, balance
from tests.reference.final_lines import Billing, Line
from tests.reference.incoming import Event, read
from tests.reference.invoicing import plans_of
from tests.reference.month_records import Close, Correct, MonthRecord, Rerate, TopUp
from tests.reference.payouts_view import Payees
from tests.reference.rater import EventRecord, take
from tests.reference.rerates import rerate
from tests.reference.unit_view import Unit
from tests.reference.walk import Walk


@dataclass(frozen=True)
class Final:
    """A final invoice. `free`: what was not billed, by reason; repeated events and retried runs too."""

    offset: int  # of the close record
    account: str
    month: int
    issuer: str
    number: int
    lines: list[Line]
    plan_days: int
    free: dict[str, int]


@dataclass
class MonthEnd:
    """The walk, and all that is final."""

    kafka: bool
    walk: Walk = field(default_factory=Walk)
    fates: dict[int, str] = field(default_factory=dict)
    finals: list[Final] = field(default_factory=list)
    closings: dict[str, dict[int, int]] = field(default_factory=dict)  # account → month → log time
    numbers: Counter[str] = field(default_factory=Counter)  # by issuer
    corrected: dict[int, Unit | None] = field(default_factory=dict)  # by offset
    repeats: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.billing = Billing(self.walk)
        self.payees = Payees(self.walk)

    @property
    def now(self) -> int:
        """The log's time."""
        return max(self.walk.clock, 0)

    # -- records ----------------------------------------------------------------------------------------

    def take(self, record: MonthRecord) -> None:
        """Take one record of the log."""
        if not isinstance(record, (Close, TopUp, Correct, Rerate)):
            take(self.walk, record, self.fates, kafka=self.kafka)
            if isinstance(record, EventRecord):
                self._taken(record)
            return
        if isinstance(record, Correct):
            self.corrected[record.offset] = correct(self.walk, record)
            return
        if self.kafka:
            assert record.timestamp_us is not None
            self.walk.move(max(self.walk.clock, record.timestamp_us))
        if isinstance(record, Close):
            self._close(record)
        elif isinstance(record, TopUp):
            self._top_up(record)
        else:
            self._rerate(record)

    def _taken(self, record: EventRecord) -> None:
        fate = self.fates[record.offset]
        if fate == "duplicate":
            self.repeats.append(replace(read(record.raw), order=record.offset))
        elif fate in ("accepted", "unit_final"):
            self.payees.note(self.walk.taken[-1])

    def _rerate(self, record: Rerate) -> None:
        """Months that were closed or billed and have the plan are adjusted, with or without lines."""
        walk, correction = self.walk, rerate(self.walk, record)
        counted = {segment for segment, _ in walk.counters}
        for account, month in {*self.billing.plan_days, *self.billing.billed}:
            if not walk.calendar.corrects(correction, account, month):
                continue
            held = set(plans_of(walk.calendar, account, month))
            if any(plan in held or (account, month, plan) in counted for plan in correction.plans):
                walk.books.line(account, month)

    def _top_up(self, record: TopUp) -> None:
        walk = self.walk
        month = walk.books.bill_month(record.account, walk.calendar.month(record.account, self.now))
        expires = None if record.expires_us is None else self.now + record.expires_us
        amounts = number(record.amount), number(record.credit)
        grant = Grant(record.offset, record.account, record.name, month, *amounts, self.now, expires)
        self.billing.grants.append(grant)

    # -- closing ----------------------------------------------------------------------------------------

    def _close(self, record: Close) -> None:
        closing = [
            (month, account)
            for account in self.accounts()
            if record.now or self._is_past(account, record)
            for month in self._open_months(account, record.period)
        ]
        for month, account in sorted(closing):
            self._make(record.offset, account, month)
            self.closings.setdefault(account, {})[month] = self.now
            self.payees.close(account, month, record.offset)
        for month, account in sorted(closing):
            self.walk.books.closed[account] = month
        if record.issues:
            self.payees.issue(record.period, {name: self.first_month(name) for name in self.accounts()})

    def _is_past(self, account: str, record: Close) -> bool:
        calendar = self.walk.calendar
        first = calendar.days(following(record.period))[0]
        return self.walk.clock >= calendar.midnight(account, first) + record.grace_us

    def _open_months(self, account: str, upto: int) -> list[int]:
        closed = self.walk.books.closed.get(account)
        month = self.first_month(account) if closed is None else following(closed)
        found = []
        while month is not None and month <= upto:
            found.append(month)
            month = following(month)
        return found

    def accounts(self) -> list[str]:
        """All that a catalog names or that anything was booked for."""
        named = {name for catalog in self.walk.calendar.catalogs for name in catalog.accounts}
        booked = {entry.account for entry in self.walk.books.entries}
        return sorted(named | booked | {grant.account for grant in self.billing.grants})

    def first_month(self, account: str) -> int | None:
        """The first month of an account: of a booking, a top-up or a plan."""
        calendar = self.walk.calendar
        months = list(self.walk.books.months(account))
        months += [grant.bill_month for grant in self.billing.grants if grant.account == account]
        for catalog in calendar.catalogs:
            for _, first, _ in catalog.accounts[account].periods if account in catalog.accounts else ():
                begins = max(calendar.midnight(account, first), calendar.catalogs[0].effective)
                months.append(calendar.month(account, begins))
        return min(months, default=None)

    # -- invoices ---------------------------------------------------------------------------------------

    def _make(self, offset: int, account: str, month: int) -> None:
        has_plan = bool(plans_of(self.walk.calendar, account, month))
        lines = self.billing.lines(account, month)
        days = self.billing.days_with_plan(account, month)
        if not has_plan and all(line.kind == "tax" for line in lines):
            self.billing.note(account, month, [], self.now)
            return
        self.billing.note(account, month, lines, self.now)
        issuer = self._issuer()
        self.numbers[issuer] += 1
        free = self._free(account, month)
        self.finals.append(Final(offset, account, month, issuer, self.numbers[issuer], lines, days, free))

    def _issuer(self) -> str:
        """Of the last catalog in force that names one (D62)."""
        catalogs = self.walk.calendar.catalogs
        in_force = [c for c in catalogs if c.effective <= self.now or c is catalogs[0]]
        return next((c.issuer for c in reversed(in_force) if c.issuer), "")

    def _free(self, account: str, month: int) -> dict[str, int]:
        """What the customer is not charged for."""
        walk = self.walk
        found: Counter[str] = Counter()
        for entry in walk.books.entries:
            if (entry.account, entry.bill_month, entry.disposition) == (account, month, "not_billed"):
                found[entry.reason] += entry.units
        of_units = {event.order for unit in walk.units for event in unit.events}
        retried = {
            (event.workflow, event.run)
            for event in walk.taken
            if event.account == account and event.retry_of is not None and event.order in of_units
            if walk.calendar.month(account, event.time) == month
        }
        repeated = [
            event
            for event in self.repeats
            if event.account == account and walk.calendar.month(account, event.time) == month
        ]
        found.update(retried_runs=len(retried), repeated_events=len(repeated))
        return {reason: count for reason, count in found.items() if count}

    def balance(self, account: str) -> Fraction:
        """What is left of its credits at the log's time."""
        grants = [grant for grant in self.billing.grants if grant.account == account]
        closings = self.closings.get(account, {})
        return balance(self.walk.calendar, account, grants, self.billing.uses, closings, self.now)
