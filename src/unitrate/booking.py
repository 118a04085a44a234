"""From decisions to rows: the lines that bring the ledgers up to what a unit's facts mean now.

Owns the counters and both ledgers: `Books.book(unit)` has the unit decided, moves the counters and appends
lines and cost lines for the difference to what was booked before. Never looks at events.
"""

from __future__ import annotations

from typing import Any

from unitrate.accounts import AccountState
from unitrate.catalog.compiled import Catalog, Charge, Plan, Rerate
from unitrate.decision import Decision, Judge
from unitrate.errors import InvariantError
from unitrate.originals import Originals
from unitrate.rating import Counter, Move, Share
from unitrate.rows import Output
from unitrate.state import derived_id
from unitrate.timeline import Timeline, month_days
from unitrate.units import Booking, Pin, Unit


class Books:
    """Counters and ledgers of one partition."""

    def __init__(self, partition: int, timeline: Timeline, out: Output) -> None:
        self.partition = partition
        self.timeline = timeline
        self.out = out
        self.accounts: dict[str, AccountState] = {}
        self.counters: dict[tuple[Any, ...], Counter] = {}
        self.account_count = 0  # of those that a record has touched
        self.dirty_accounts: list[AccountState] = []
        self.dirty_counters: list[Counter] = []
        self.originals = Originals(timeline, self.accounts)
        self.judge = Judge(timeline, self.originals)
        self.line_totals: dict[int, list[int]] = {}  # bill month -> [lines, Σ amounts]

    # ------------------------------------------------------------ booking

    def book(self, unit: Unit, version: int) -> None:
        """Decide, and append what the ledgers lack (D32). `version` is the record's offset."""
        unit.version = version
        account = self.accounts[unit.account]
        if account.expiries:
            self.originals.forget(account, version)
        if unit.unpriced:
            self.judge.price_late(unit)
        decision = self.judge.decide(unit)
        self.originals.note(unit, bills=decision.disposition == "billable")
        self._apply(unit, decision, version)

    def rebook(self, unit: Unit, shares: dict[str, Share], billable_pico: int, version: int) -> None:
        """Bring the ledgers up to shares that an operator decided on, for a unit that the fold had let go."""
        assert unit.booked is not None
        unit.version = version
        pin, timeline = unit.pin, self.timeline
        plan = None if pin is None else timeline.plan(pin.plan, pin.plan_version, unit.account, pin.month)
        catalog = timeline.named(pin.catalog) if pin is not None else timeline.catalogs[0]
        self.originals.take_up(unit)
        self.originals.note(unit, bills=bool(shares))
        disposition, reason = ("not_billed", "waived") if unit.waived else ("billable", "restored")
        decision = Decision(
            disposition, reason, unit.booked.usage_month, catalog, plan, billable_pico, shares
        )
        self._apply(unit, decision, version)

    def touch_account(self, account: AccountState, version: int) -> None:
        """Note that the record changed the account."""
        if account.version < 0:
            self.account_count += 1
        account.version = version
        if not account.dirty:
            account.dirty = True
            self.dirty_accounts.append(account)

    def _begin(self, account: AccountState, month: int, version: int) -> None:
        """The account's first month, for the close of a month to begin with."""
        if not account.first_month or month < account.first_month:
            account.first_month = month
            self.touch_account(account, version)

    def _apply(self, unit: Unit, decision: Decision, version: int) -> None:
        self._begin(self.accounts[unit.account], decision.month, version)
        lines = len(self.out.lines)
        revenue = self._lines(unit, decision, version)
        unit.disposition, unit.reason = decision.disposition, decision.reason
        unit.billable_pico, unit.period = decision.billable_pico, decision.month
        unit.catalog_id = decision.catalog.id
        # Lines may add up to nothing, as where included usage changes: their keys are by the revision, too.
        if self._cost_lines(unit, decision, revenue, version) or len(self.out.lines) > lines:
            unit.revision += 1

    def _lines(self, unit: Unit, decision: Decision, version: int) -> int:
        """Lines for the difference to what was billed; the sum of their amounts."""
        if not unit.shares and not decision.shares:
            return 0
        plan = decision.plan
        if plan is None:
            raise InvariantError(f"unit {unit.unit_id} has lines but no plan")
        if unit.pin is None:
            unit.pin = Pin(decision.month, decision.catalog.id, plan.name, plan.version)
        total, number = 0, 0
        for charge in plan.charges:
            old = unit.shares.get(charge.name)
            new = decision.shares.get(charge.name)
            if old is None and new is None:
                continue
            counter = self._counter(unit.account, unit.pin.month, plan, charge)
            for move in counter.change(None if old is None else Share(*old), new):
                self._line(unit, counter, move, decision, version, number)
                total += move.rated[1] - move.rated[0]
                number += 1
            self._touch(counter, version)
        unit.shares = dict(decision.shares)
        unit.revenue += total
        return total

    def _line(
        self, unit: Unit, counter: Counter, move: Move, decision: Decision, version: int, number: int
    ) -> None:
        assert unit.pin is not None
        account, month, plan, plan_version, charge = counter.key
        self._append_line(
            account, month, unit.unit_id, charge, move, unit.revision + 1, version,
            f"{unit.unit_id}.{unit.revision + 1}.{number}", unit.meter.name, unit.name, unit.workspace,
            unit.workflow, unit.size, plan, plan_version, unit.pin.catalog, decision.reason,
        )  # fmt: skip

    def _append_line(
        self, account: str, month: int, unit_id: str, charge: str, move: Move, revision: int, version: int,
        line_id: str, meter: str, key: str, workspace: str, workflow: str, size: str, plan: str,
        plan_version: int, catalog: str, reason: str,
    ) -> None:  # fmt: skip
        amount = move.rated[1] - move.rated[0]
        bill_month = self.accounts[account].bill_month(month)
        self.out.lines.append((
            account, bill_month, unit_id, charge, "/".join(move.value), revision, version, self.partition,
            line_id, month, meter, key, workspace, workflow, size, plan, plan_version, catalog, reason,
            move.quantity_pico, move.units_pico, *move.total, *move.included, *move.cost, *move.rated, amount,
        ))  # fmt: skip
        totals = self.line_totals.setdefault(bill_month, [0, 0])
        totals[0] += 1
        totals[1] += amount

    def _cost_lines(self, unit: Unit, decision: Decision, revenue: int, version: int) -> bool:
        """Take the former figures off and put the new ones on; False if nothing changed."""
        month = decision.month
        new = Booking(
            month, self.accounts[unit.account].bill_month(month), unit.workspace, unit.size,
            decision.disposition, decision.reason, decision.billable_pico, unit.requests, unit.revenue,
            unit.cost,
        )  # fmt: skip
        old, unit.booked = unit.booked, new
        if old is not None and old[6:] == new[6:] and old[:1] + old[2:6] == new[:1] + new[2:6]:
            unit.booked = old
            return revenue != 0
        where = new[:6]
        if old is not None and old[:1] + old[2:6] != new[:1] + new[2:6]:
            bill_month = self.accounts[unit.account].bill_month(old.usage_month)
            minus = (-1, *(-figure for figure in old[6:]))
            self._cost_line(unit, 0, (old[0], bill_month, *old[2:6]), minus, version)
            old = None
        before = (1, *old[6:]) if old is not None else (0, 0, 0, 0, 0)
        figures = tuple(n - o for n, o in zip((1, *new[6:]), before, strict=True))
        self._cost_line(unit, 1, where, figures, version)
        return True

    def _cost_line(
        self, unit: Unit, side: int, where: tuple[Any, ...], figures: tuple[int, ...], version: int
    ) -> None:
        usage_month, bill_month, workspace, size, disposition, reason = where
        units, billable, requests, revenue, cost = figures
        self.out.cost_lines.append((
            unit.account, bill_month, unit.unit_id, unit.revision + 1, side, version, self.partition,
            usage_month, unit.meter.name, workspace, unit.workflow, size, disposition, reason,
            units, billable, requests, revenue, cost,
        ))  # fmt: skip

    def cost_only(
        self, account: AccountState, identity: str, workspace: str, workflow: str, reason: str, month: int,
        cost: int, version: int,
    ) -> None:  # fmt: skip
        """A request that belongs to no unit still costs."""
        self._begin(account, month, version)
        self.out.cost_lines.append((
            account.id, account.bill_month(month), identity, 0, 1, version, self.partition, month, "",
            workspace, workflow, "", "not_billed", reason, 0, 0, 1, 0, cost,
        ))  # fmt: skip

    # ------------------------------------------------------------ counters

    def _counter(self, account: str, month: int, plan: Plan, charge: Charge) -> Counter:
        key = (account, month, plan.name, plan.version, charge.name)
        counter = self.counters.get(key)
        if counter is None:
            days = self.timeline.segment_days(account, month, plan.name, plan.version)
            counter = self.counters[key] = Counter(key, charge, days, len(month_days(month)))
        return counter

    def _touch(self, counter: Counter, version: int) -> None:
        counter.version = version
        if not counter.dirty:
            counter.dirty = True
            self.dirty_counters.append(counter)

    def change_plans(self, catalog: Catalog, version: int) -> None:
        """After a publication: segments whose days changed are rated anew, by unit-less lines (ruling 32)."""
        for key in sorted(self.counters):
            counter = self.counters[key]
            account, month, plan, plan_version, _ = key
            days = self.timeline.segment_days(account, month, plan, plan_version)
            move = counter.reprorate(days, len(month_days(month)))
            if move is None:
                continue
            self._touch(counter, version)
            if move.rated[0] != move.rated[1]:
                identity = derived_id("plan_change", catalog.id, catalog.effective_us, *counter.key)
                self._unit_less(counter, [move], identity, catalog.id, "plan_change", version)

    def rerate(self, rerate: Rerate, version: int) -> None:
        """Counters of the corrected plans are rated anew, by unit-less lines (D67)."""
        timeline = self.timeline
        for key in sorted(k for k in self.counters if k[2:4] in rerate.plans):
            counter = self.counters[key]
            account, month, plan, plan_version, charge = key
            if month < timeline.rerated_from(account, rerate):
                continue
            days = timeline.segment_days(account, month, plan, plan_version)
            corrected = next(c for c in rerate.plans[plan, plan_version].charges if c.name == charge)
            moves = counter.recharge(corrected, days, len(month_days(month)))
            self._touch(counter, version)
            if moves:
                identity = derived_id("rerate", version, *key)
                self._unit_less(counter, moves, identity, rerate.catalog, "rerate", version)

    def _unit_less(
        self, counter: Counter, moves: list[Move], identity: str, catalog: str, reason: str, version: int
    ) -> None:
        """Lines of a control record, which no unit made, and the revenue of all of them."""
        account, month, plan, plan_version, charge = counter.key
        meter = counter.charge.meter
        for number, move in enumerate(moves):
            self._append_line(
                account, month, identity, charge, move, 0, version, f"{identity}.0.{number}", meter, "", "",
                "", "", plan, plan_version, catalog, reason,
            )  # fmt: skip
        amount = sum(move.rated[1] - move.rated[0] for move in moves)
        self.out.cost_lines.append((
            account, self.accounts[account].bill_month(month), identity, 0, 1, version, self.partition, month,
            meter, "", "", "", "billable", reason, 0, 0, 0, amount, 0,
        ))  # fmt: skip
