"""What a unit's facts mean for money: its disposition, and the lines that bring the ledgers up to it.

Owns the step from facts to rows: `Books.book(unit)` decides (policy, plan, held), moves the counters and
appends lines and cost lines for the difference to what was booked before. Never looks at events.
"""

from __future__ import annotations

from decimal import Decimal
from heapq import heappop, heappush
from typing import Any, NamedTuple

from unitrate.accounts import AccountState
from unitrate.catalog.compiled import Catalog, Charge, Meter, Plan
from unitrate.errors import InvariantError
from unitrate.policy import FULL, Facts, Rules, decide, duplicate_rules, merged
from unitrate.pricing import PICO, half_up, to_pico
from unitrate.rating import Counter, Move, Share, share_pico
from unitrate.rows import Output
from unitrate.state import derived_id
from unitrate.timeline import Timeline, month_days, subscribed
from unitrate.units import Booking, Pin, Unit, positive

MOST_QUANTITY = 10**15


class Decision(NamedTuple):
    """What a unit's facts mean now."""

    disposition: str
    reason: str
    month: int
    catalog: Catalog
    plan: Plan | None
    billable_pico: int
    shares: dict[str, Share]  # charge name -> what it contributes


class Outcome(NamedTuple):
    """One charge's answer."""

    disposition: str
    reason: str
    share: Share | None
    fraction: Decimal


class Books:
    """Counters and ledgers of one partition."""

    def __init__(self, partition: int, timeline: Timeline, out: Output) -> None:
        self.partition = partition
        self.timeline = timeline
        self.out = out
        self.accounts: dict[str, AccountState] = {}
        self.counters: dict[tuple[Any, ...], Counter] = {}
        self.dirty_accounts: list[AccountState] = []
        self.dirty_counters: list[Counter] = []
        self.originals: dict[tuple[Any, ...], list[list[Any]]] = {}  # key -> [[ended, unit_id, until], …]
        self.dirty_originals: dict[tuple[Any, ...], int] = {}  # key -> version
        self.original_versions: dict[tuple[Any, ...], int] = {}
        self._rules: dict[tuple[Any, ...], Rules] = {}
        self.line_totals: dict[int, list[int]] = {}  # bill month -> [lines, Σ amounts]

    # ------------------------------------------------------------ deciding

    def decide(self, unit: Unit, published: Catalog | None = None) -> Decision:
        """Policy first, then held (ruling 23). `published` may bring what a held unit lacks."""
        timeline, meter = self.timeline, unit.meter
        billing_us = self.billing_instant(unit)
        day = timeline.zone(unit.account).local_day(billing_us)
        catalog, plan = timeline.plan_on(unit.account, day)
        month = timeline.month(unit.account, billing_us)
        if unit.pin is not None:
            month = unit.pin.month
            catalog = timeline.named(unit.pin.catalog)
            plan = timeline.plan(unit.pin.plan, unit.pin.plan_version)
        decision = self._under(unit, month, catalog, plan, published)
        if published is not None and decision.reason == "no_price":
            other = subscribed(published, unit.account, day)
            if other is not None and other is not plan:
                decision = self._under(unit, month, published, other, published)
        if published is not None and decision.disposition == "billable":
            decision = decision._replace(catalog=published)
        self._note(unit, meter, decision)
        return decision

    def billing_instant(self, unit: Unit) -> int:
        """When the unit became billable, in event time (D22)."""
        accept = unit.meter.accept
        if accept is None:
            return unit.ended
        accepted = unit.acceptance()
        if accepted is not None:
            return max(accepted.time, unit.ended)
        if accept.otherwise_full and unit.awaited and not unit.verdicts:
            return unit.ended + accept.within_us
        return unit.ended

    def _under(
        self, unit: Unit, month: int, catalog: Catalog, plan: Plan | None, published: Catalog | None
    ) -> Decision:
        facts = self._facts(unit, catalog, published)
        unit.size, unit.conditions = facts.size, tuple(sorted(facts.conditions))
        if unit.waived:
            return Decision("not_billed", "waived", month, catalog, plan, 0, {})
        charges = [c for c in plan.charges if c.meter == unit.meter.name] if plan is not None else []
        if not charges:
            ruling = decide(self._merged(unit, None, None), facts)
            if ruling.share == 0:
                disposition, reason = "not_billed", ruling.reason
            elif plan is None:
                disposition, reason = "held", "no_plan"
            else:
                disposition, reason = "not_billed", "not_in_plan"
            return Decision(disposition, reason, month, catalog, plan, 0, {})
        assert plan is not None
        outcomes = [(c, self._outcome(unit, c, plan, month, catalog, facts)) for c in charges]
        return _together(unit, outcomes, month, catalog, plan)

    def _outcome(
        self, unit: Unit, charge: Charge, plan: Plan, month: int, catalog: Catalog, facts: Facts
    ) -> Outcome:
        rules = self._merged(unit, plan, charge)
        ruling = decide(rules, facts)
        if ruling.share == 0:
            return Outcome("not_billed", ruling.reason, None, ruling.share)
        quantity = self._quantity(unit, charge)
        if quantity is None:
            return Outcome("not_billed", "no_quantity", None, ruling.share)
        if "awaiting_acceptance" in facts.conditions:
            return Outcome("held", "awaiting_acceptance", None, ruling.share)
        plus = any(p.model == "cost_plus" for p in charge.prices.values())
        if "unpriced" in facts.conditions and (plus or not rules.mentions_unpriced):
            return Outcome("held", "unpriced", None, ruling.share)
        counter = self._counter(unit.account, month, plan, charge)
        value = counter.price_value(tuple(_by_value(unit, name) for name in charge.by))
        if value is None:
            return Outcome("held", "no_price", None, ruling.share)
        cost = share_pico(unit.cost, ruling.share) if charge.prices[value].model == "cost_plus" else 0
        units = share_pico(unit.count_units() * PICO, ruling.share)
        share = Share(value, share_pico(quantity, ruling.share), cost, units)
        return Outcome("billable", ruling.reason, share, ruling.share)

    def _facts(self, unit: Unit, catalog: Catalog, published: Catalog | None) -> Facts:
        meter, end = unit.meter, unit.end
        account = catalog.accounts.get(unit.account)
        held = {
            "test": unit.test,
            "internal": unit.internal
            or (account is not None and unit.workspace in account.internal_workspaces),
            "retry": unit.retry,
            "not_started": meter.start_on_started and not unit.started_seen,
            "escalated": unit.escalated,
            "failed": end is not None and end.type == "work.failed",
            "cancelled": end is not None and end.type == "work.cancelled",
            "timed_out": end is None,
            "partial": end is not None and end.type == "work.completed" and end.completion_pico < PICO,
            "unpriced": bool(unit.unpriced),
        }
        verdict = unit.verdict()
        if verdict is not None:
            held["rejected"] = not verdict.accepted
        elif meter.accept is not None:
            held["unaccepted"] = unit.awaited and not meter.accept.otherwise_full
            held["awaiting_acceptance"] = not unit.awaited
        if meter.terms_required:
            agreement = account.terms.get(meter.name) if account is not None else None
            zone = self.timeline.zone(unit.account)
            held["terms"] = agreement is None or unit.ended < zone.day_start_us(agreement.on_day)
        conditions = {word for word, holds in held.items() if holds}
        attributes = unit.attribute_texts()
        if not unit.shares and self._is_duplicate(unit, attributes):
            conditions.add("duplicate")
        completion = Decimal(end.completion_pico).scaleb(-12) if end is not None else FULL
        return Facts(frozenset(conditions), _size(unit), attributes, completion)

    def _merged(self, unit: Unit, plan: Plan | None, charge: Charge | None) -> Rules:
        where = (plan.name, plan.version, charge.name) if plan is not None and charge is not None else ()
        key = (unit.meter_catalog, unit.meter.name, *where)
        rules = self._rules.get(key)
        if rules is None:
            rules = self._rules[key] = merged(unit.meter, charge)
        return rules

    def _quantity(self, unit: Unit, charge: Charge) -> int | None:
        if charge.of is None:
            return unit.count_units() * PICO
        value = positive(unit.attribute_texts().get(charge.of, ""))
        if value is None or value > MOST_QUANTITY:
            return None
        numerator, denominator = value.as_integer_ratio()
        return half_up(numerator * PICO, denominator)

    # ------------------------------------------------------------ business duplicates

    def _duplicate_keys(self, unit: Unit, attributes: dict[str, str]) -> list[tuple[tuple[Any, ...], int]]:
        keys = []
        for rule in self._duplicate_rules(unit):
            if all(name in attributes for name in rule.by):
                values = tuple(attributes[name] for name in rule.by)
                keys.append(((unit.account, unit.meter.name, rule.by, values), rule.within_us))
        return keys

    def _duplicate_rules(self, unit: Unit) -> list[Any]:
        rules = list(duplicate_rules(unit.meter.rules))
        for _, plan in (self.timeline.plan_at(unit.account, unit.ended),):
            if plan is not None:
                for charge in plan.charges:
                    if charge.meter == unit.meter.name:
                        rules += duplicate_rules(charge.rules)
        return rules

    def _is_duplicate(self, unit: Unit, attributes: dict[str, str]) -> bool:
        oldest = self.accounts[unit.account].oldest
        return any(
            original[1] != unit.unit_id and original[2] >= oldest and abs(unit.ended - original[0]) <= within
            for key, within in self._duplicate_keys(unit, attributes)
            for original in self.originals.get(key, ())
        )

    def _note(self, unit: Unit, meter: Meter, decision: Decision) -> None:
        """Keep the unit among the originals exactly while it bills (D34)."""
        if decision.disposition != "billable" and unit.original is None:
            return
        keys = (
            self._duplicate_keys(unit, unit.attribute_texts()) if decision.disposition == "billable" else []
        )
        wanted = (unit.ended, tuple(keys)) if keys else None
        if wanted == unit.original:
            return
        for key, _ in unit.original[1] if unit.original else ():
            kept = [o for o in self.originals.get(key, []) if o[1] != unit.unit_id]
            self._set_original(key, kept, unit.version)
        account = self.accounts[unit.account]
        for key, within in keys:
            until = unit.ended + within
            kept = [*self.originals.get(key, []), [unit.ended, unit.unit_id, until]]
            self._set_original(key, kept, unit.version)
            heappush(account.expiries, (until, key))
        unit.original = wanted

    def _set_original(self, key: tuple[Any, ...], entries: list[list[Any]], version: int) -> None:
        if entries:
            self.originals[key] = entries
        else:
            self.originals.pop(key, None)
        self.dirty_originals[key] = version

    def await_expiry(self, key: tuple[Any, ...], entries: list[list[Any]]) -> None:
        """Queue restored originals to be forgotten in time."""
        for _, _, until in entries:
            heappush(self.accounts[key[0]].expiries, (until, key))

    def forget_originals(self, account: AccountState, version: int) -> None:
        """Drop originals that no unit can repeat any more (D49)."""
        while account.expiries and account.expiries[0][0] < account.oldest:
            _, key = heappop(account.expiries)
            entries = self.originals.get(key)
            if entries is not None:
                kept = [o for o in entries if o[2] >= account.oldest]
                if len(kept) != len(entries):
                    self._set_original(key, kept, version)

    # ------------------------------------------------------------ booking

    def book(self, unit: Unit, version: int, published: Catalog | None = None) -> None:
        """Decide, and append what the ledgers lack (D32). `version` is the record's offset."""
        unit.version = version
        account = self.accounts[unit.account]
        if account.expiries:
            self.forget_originals(account, version)
        self._apply(unit, self.decide(unit, published), version)

    def rebook(self, unit: Unit, shares: dict[str, Share], billable_pico: int, version: int) -> None:
        """Bring the ledgers up to shares that an operator decided on, for a unit that the fold had let go."""
        assert unit.booked is not None
        unit.version = version
        plan = None if unit.pin is None else self.timeline.plan(unit.pin.plan, unit.pin.plan_version)
        catalog = self.timeline.named(unit.pin.catalog) if unit.pin is not None else self.timeline.catalogs[0]
        disposition, reason = ("not_billed", "waived") if unit.waived else ("billable", "restored")
        decision = Decision(
            disposition, reason, unit.booked.usage_month, catalog, plan, billable_pico, shares
        )
        self._apply(unit, decision, version)

    def touch_account(self, account: AccountState, version: int) -> None:
        """Note that the record changed the account."""
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
        revenue = self._lines(unit, decision, version)
        unit.disposition, unit.reason = decision.disposition, decision.reason
        unit.billable_pico, unit.period = decision.billable_pico, decision.month
        unit.catalog_id = decision.catalog.id
        if self._cost_lines(unit, decision, revenue, version):
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
                self._plan_change(counter, move, catalog, version)

    def _plan_change(self, counter: Counter, move: Move, catalog: Catalog, version: int) -> None:
        account, month, plan, plan_version, charge = counter.key
        identity = derived_id("plan_change", catalog.id, catalog.effective_us, *counter.key)
        meter = counter.charge.meter
        self._append_line(
            account, month, identity, charge, move, 0, version, f"{identity}.0.0", meter, "", "", "", "",
            plan, plan_version, catalog.id, "plan_change",
        )  # fmt: skip
        amount = move.rated[1] - move.rated[0]
        self.out.cost_lines.append((
            account, self.accounts[account].bill_month(month), identity, 0, 1, version, self.partition, month,
            meter, "", "", "", "billable", "plan_change", 0, 0, 0, amount, 0,
        ))  # fmt: skip


def _together(
    unit: Unit, outcomes: list[tuple[Charge, Outcome]], month: int, catalog: Catalog, plan: Plan
) -> Decision:
    """One disposition for all charges of the meter (ruling 30, D37)."""
    held = next((o for _, o in outcomes if o.disposition == "held"), None)
    if held is not None:
        return Decision("held", held.reason, month, catalog, plan, 0, {})
    bills = next((o for _, o in outcomes if o.disposition == "billable"), None)
    if bills is None:
        return Decision("not_billed", outcomes[0][1].reason, month, catalog, plan, 0, {})
    billable = to_pico(bills.fraction) * unit.count_units()
    shares = {c.name: o.share for c, o in outcomes if o.share is not None}
    return Decision("billable", bills.reason, month, catalog, plan, billable, shares)


def _size(unit: Unit) -> str:
    sizes = unit.meter.sizes
    if sizes is None:
        return ""
    value = positive(unit.attribute_texts().get(sizes.by, ""))
    if value is None:
        return ""
    return next((name for name, up_to in sizes.tiers if up_to is None or value <= up_to), "")


def _by_value(unit: Unit, name: str) -> str:
    if name == "size":
        return unit.size or "default"
    if name == "workspace":
        return unit.workspace or "default"
    if name == "workflow":
        return unit.workflow
    return unit.attribute_texts().get(name, "default")
