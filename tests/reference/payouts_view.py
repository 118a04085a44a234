"""Payouts and rewards as the reference rater pays them, from its books and the events that it took.

Owns contract §3 `payout`, ruling 37 and D63, D64: which account months a payout covers, what carries over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

from tests.reference.calendar_view import Calendar
from tests.reference.catalog_view import CatalogView, listed, number
from tests.reference.incoming import Event
from tests.reference.invoicing import minor
from tests.reference.walk import Walk

Sums = tuple[int, Fraction, Fraction]  # units, revenue, cost
ZERO = Fraction(0)


@dataclass(frozen=True)
class Request:
    """A provider-charged request, with what it cost as it entered the log."""

    account: str
    month: int
    provider: str
    cost: Fraction


@dataclass(frozen=True)
class Closed:
    """An account month as its close record left it."""

    offset: int
    account: str
    month: int
    works: Mapping[str, Sums]
    requests: list[Request]


@dataclass(frozen=True)
class Payout:
    """A builder's month."""

    builder: str
    works: Mapping[str, Sums]
    earnings: Fraction
    carried_in: Fraction
    payout: Fraction
    platform_fee: Fraction

    @property
    def carried_out(self) -> Fraction:
        """What is left for the next month, or owed to it."""
        return self.earnings + self.carried_in - self.payout


@dataclass(frozen=True)
class Reward:
    """A provider's month."""

    provider: str
    requests: int
    cost: Fraction
    reward: Fraction


@dataclass(frozen=True)
class Statement:
    """A final month of payouts."""

    month: int
    payouts: list[Payout]
    rewards: list[Reward]
    total: Sums

    @property
    def platform(self) -> Fraction:
        """What the platform keeps of the margin."""
        paid = sum((p.earnings for p in self.payouts), ZERO) + sum((r.reward for r in self.rewards), ZERO)
        return self.total[1] - self.total[2] - paid


@dataclass
class Payees:
    """Closed account months, and which of them are paid."""

    walk: Walk
    waiting: list[Request] = field(default_factory=list)  # of no closed month yet
    closed: list[Closed] = field(default_factory=list)
    covered: set[tuple[str, int]] = field(default_factory=set)
    statements: list[Statement] = field(default_factory=list)
    catalogs: dict[int, list[CatalogView]] = field(default_factory=dict)  # by close record: those before it

    def note(self, event: Event) -> None:
        """A request that was taken."""
        if event.request:
            month = self.walk.calendar.month(event.account, event.time)
            cost = self.walk.cost(event) or ZERO
            self.waiting.append(Request(event.account, month, event.provider, cost))

    def close(self, account: str, month: int, offset: int) -> None:
        """Freeze an account month: its bookings, and its requests that no earlier one has (D64)."""
        works: dict[str, Sums] = defaultdict(lambda: (0, ZERO, ZERO))
        for entry in self.walk.books.entries:
            if (entry.account, entry.bill_month) == (account, month):
                units, revenue, cost = works[entry.workflow]
                works[entry.workflow] = units + entry.units, revenue + entry.revenue, cost + entry.cost
        served = [r for r in self.waiting if r.account == account and r.month <= month]
        self.waiting = [r for r in self.waiting if not (r.account == account and r.month <= month)]
        self.closed.append(Closed(offset, account, month, dict(works), served))
        self.catalogs[offset] = list(self.walk.calendar.catalogs)

    def issue(self, upto: int, first_months: Mapping[str, int | None]) -> None:
        """Pay every month up to one that all accounts have closed, in order."""
        paid = max((s.month for s in self.statements), default=0)
        for month in sorted({c.month for c in self.closed if paid < c.month <= upto}):
            last = {name: self.walk.books.closed.get(name, 0) for name in first_months}
            if any(
                first is not None and first <= month and last[n] < month for n, first in first_months.items()
            ):
                return
            record = max(c.offset for c in self.closed if c.month == month)
            self._pay(month, record)

    def _pay(self, month: int, record: int) -> None:
        covered = [
            c
            for c in self.closed
            if c.offset <= record and c.month <= month and (c.account, c.month) not in self.covered
        ]
        self.covered |= {(c.account, c.month) for c in covered}
        works: dict[str, Sums] = defaultdict(lambda: (0, ZERO, ZERO))
        for closed in covered:
            for name, (units, revenue, cost) in closed.works.items():
                before = works[name]
                works[name] = before[0] + units, before[1] + revenue, before[2] + cost
        works = defaultdict(lambda: (0, ZERO, ZERO), {n: w for n, w in works.items() if any(w)})
        catalogs = self.catalogs[record]
        terms = _in_force(catalogs, month).payouts
        payouts = self._payouts(terms, works, catalogs[-1].currency)
        rewards = _rewards(terms, [r for c in covered for r in c.requests], catalogs[-1])
        total = (
            sum(w[0] for w in works.values()),
            sum((w[1] for w in works.values()), ZERO),
            sum((w[2] for w in works.values()), ZERO),
        )
        self.statements.append(Statement(month, payouts, rewards, total))

    def _payouts(self, terms: Mapping[str, Any], works: Mapping[str, Sums], currency: str) -> list[Payout]:
        carried = self._carried()
        entries = [dict(entry) for entry in terms.get("builders", ())]
        gone = sorted(name for name in carried if name not in {e["builder"] for e in entries})
        entries += [{"builder": name, "workflows": []} for name in gone if carried[name]]
        fee = number(terms.get("platform_fee", "0"))
        found = []
        for entry in entries:
            own = {w: sums for w, sums in works.items() if _owner(entries, w) == entry["builder"]}
            revenue = sum((sums[1] for sums in own.values()), ZERO)
            margin = revenue - sum((sums[2] for sums in own.values()), ZERO)
            by_revenue = entry.get("basis", "margin") == "revenue"
            basis = revenue if by_revenue else margin
            earnings = minor(basis * (1 - fee) if by_revenue or margin > 0 else margin, currency)
            due = earnings + carried.get(entry["builder"], ZERO)
            least = minor(number(entry.get("minimum", "0")), currency)
            payout = due if due > 0 and due >= least else ZERO
            found.append(Payout(entry["builder"], own, earnings, due - earnings, payout, basis - earnings))
        return found

    def _carried(self) -> dict[str, Fraction]:
        carried: dict[str, Fraction] = {}
        for statement in self.statements:
            carried |= {p.builder: p.carried_out for p in statement.payouts}
        return carried


def _in_force(catalogs: list[CatalogView], month: int) -> CatalogView:
    """The catalog in force at a month's last instant in the catalogs' zone."""
    calendar = Calendar()
    for catalog in catalogs:
        calendar.publish(catalog)
    first = calendar.days(month + 1 if month % 100 < 12 else month + 89)[0]
    return calendar.at(calendar.midnight_in(catalogs[-1].zone, first) - 1)


def _owner(entries: list[dict[str, Any]], workflow: str) -> str | None:
    """Whose a workflow is: a name before a pattern."""
    for entry in entries:
        if workflow in listed(entry["workflows"]):
            return str(entry["builder"])
    for entry in entries:
        if any(fnmatchcase(workflow, pattern) for pattern in listed(entry["workflows"])):
            return str(entry["builder"])
    return None


def _rewards(terms: Mapping[str, Any], requests: list[Request], catalog: CatalogView) -> list[Reward]:
    names = {a["provider"]: a["as"] for a in catalog.aliases if a.get("model") is None}
    found = []
    for entry in terms.get("providers", ()):
        served = [r for r in requests if names.get(r.provider, r.provider) == entry["provider"]]
        cost = sum((r.cost for r in served), ZERO)
        reward = minor(cost * number(entry["reward"]), catalog.currency)
        found.append(Reward(entry["provider"], len(served), cost, reward))
    return found
