"""The reference rater's walk over the log: one record after the other, every timer looked for by scanning.

Owns the order of handling (D1), routing (D5–D9), joining (D10–D16), dedupe (D3, D4) and the bookings that
decisions lead to. Slow on purpose: no index, no heap, no cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from fractions import Fraction

from tests.reference.books import Books
from tests.reference.calendar_view import Calendar, prorated_included, prorated_money
from tests.reference.catalog_view import DAY, CatalogView, Charge, Meter, Rule
from tests.reference.counter import Change, Counter, Share, Terms
from tests.reference.decide import MISSING, decide
from tests.reference.incoming import Event
from tests.reference.own_costs import cost_of
from tests.reference.unit_view import Cost, Decision, Pin, Unit

REOPENING = ("ai.request", "work.started", "work.reopened")
Segment = tuple[str, int, tuple[str, int]]  # account, month, plan


@dataclass(frozen=True)
class CostOnly:
    """An event without a unit: its cost is a row of its own."""

    account: str
    offset: int
    reason: str
    month: int
    cost: Fraction
    unpriced: bool
    request: bool


@dataclass
class Walk:
    """All that the log has said so far."""

    calendar: Calendar = field(default_factory=Calendar)
    clock: int = -(2**62)
    units: list[Unit] = field(default_factory=list)
    counters: dict[tuple[Segment, str], Counter] = field(default_factory=dict)
    taken: list[Event] = field(default_factory=list)  # accepted, and unit_final ones
    cost_only: list[CostOnly] = field(default_factory=list)
    runs: dict[tuple[str, str, str], list[Unit]] = field(default_factory=dict)  # units that a run joined
    left: set[int] = field(default_factory=set)  # ids of units whose own run another one absorbed (D72)
    books: Books = field(default_factory=Books)

    # -- time -------------------------------------------------------------------------------------------

    def move(self, time: int) -> None:
        """Move the clock on; timers whose deadline is strictly earlier fire first (ruling 2)."""
        while True:
            due = [
                (at, u.opened, u) for u in self.units if (at := self._deadline(u)) is not None and at < time
            ]
            if not due:
                break
            at, _, unit = min(due, key=lambda d: d[:2])
            self.clock = max(self.clock, at)
            if unit.sealed_at is None:
                self._seal(unit, at, unit.ended_candidate())
            else:
                unit.waited_out = True
                if unit.verdict == "":
                    self.decide(unit)
        self.clock = max(self.clock, time)

    @staticmethod
    def _deadline(unit: Unit) -> int | None:
        if unit.sealed_at is None:
            return unit.silence_deadline()
        if unit.meter.accept_within is not None and not unit.waited_out:
            return unit.sealed_at + unit.meter.accept_within
        return None

    # -- catalogs ---------------------------------------------------------------------------------------

    def publish(self, catalog: CatalogView) -> None:
        """A catalog comes into force: segments may change (D42), held units may be decided."""
        self.calendar.publish(catalog)
        for (segment, _), counter in self.counters.items():
            terms = self.terms(segment, counter.charge)
            if terms != counter.terms:
                before = counter.amount()
                counter.changes.append(Change(terms=terms))
                if counter.amount() != before:
                    self.books.plan_change(segment[0], segment[1], counter.amount() - before)
        for unit in list(self.units):
            held = (
                unit.sealed_at is not None and unit.decision is not None and unit.decision.reason in MISSING
            )
            if held and unit.decision is not None and unit.decision.disposition == "held":
                self.decide(unit)

    def terms(self, segment: Segment, charge: Charge) -> Terms:
        """Included usage and maximum of a segment, as known now (D29)."""
        account, month, plan = segment
        found = next(p for c in self.calendar.catalogs for p in c.plans.values() if p.id == plan)
        share = self.calendar.share(account, month, found)
        if share == 0:  # D45
            return Terms(Fraction(0), None)
        maximum = None if charge.maximum is None else prorated_money(charge.maximum, share)
        return Terms(prorated_included(charge.included, share), maximum)

    # -- one event --------------------------------------------------------------------------------------

    def event(self, event: Event) -> str:
        """Handle a well-formed event; the clock has moved. Returns its fate."""
        event = replace(event, arrival=self.clock)
        catalog = self.calendar.at(event.time)
        horizon = self._horizon(event.account)
        if event.time < horizon:
            return "too_old"
        if self._seen(event, horizon):
            return "duplicate"
        fate = self._route(event, catalog)
        if fate in ("accepted", "unit_final"):
            self.taken.append(event)
        return fate

    def _seen(self, event: Event, horizon: int) -> bool:
        first_day = horizon // DAY  # D3: forgotten when its UTC day is before the horizon's
        return any(e.identity == event.identity and e.time // DAY >= first_day for e in self.taken)

    def _route(self, event: Event, catalog: CatalogView) -> str:
        meter, by_run, passed_over = self._meter(event, catalog)
        if meter is None and passed_over and event.verdict:
            return "no_unit"  # D52
        if meter is None:
            return self._alone(event, "no_key" if passed_over else "unmetered")
        if meter.each is not None:
            return self._each(event, meter)
        unit = self._find(event, meter, by_run)
        if unit is None and event.verdict:
            return "no_unit"
        if unit is None and event.background:
            return self._alone(event, "background")
        if unit is None:
            self._open(event, meter, event.run if meter.key is None else event.attributes[meter.key], 1)
            return "accepted"
        return self._meet(event, unit, meter, by_run=by_run)

    def _meter(self, event: Event, catalog: CatalogView) -> tuple[Meter | None, bool, bool]:
        """The meter, whether the run decides the unit, and whether a meter was passed over (D7)."""
        passed_over = False
        for meter in catalog.meters:
            if not any(fnmatchcase(event.workflow, pattern) for pattern in meter.workflows):
                continue
            if any(event.attributes.get(name, wanted) != wanted for name, wanted in meter.match.items()):
                continue
            lacks = [
                n for n in (*meter.match, *([meter.key] if meter.key else [])) if n not in event.attributes
            ]
            if meter.each is not None:
                named = meter.each["type"] == event.type
                if named and meter.each.get("operation") in (None, event.operation) and not lacks:
                    return meter, False, False
                continue
            if not lacks:
                return meter, False, False
            if self._run_unit(event, meter) is not None:
                return meter, True, False
            passed_over = True
        return None, False, passed_over

    def _known(self, account: str, meter: Meter, run: str | None) -> Unit | None:
        """The unit through which a run is known in a meter (D8, D53)."""
        if run is None:
            return None
        if meter.key is not None:
            return self._joined(account, meter, run)
        return self._absorber(account, meter, run) or self._latest(account, meter.name, run)

    def _absorber(self, account: str, meter: Meter, run: str) -> Unit | None:
        """On a `run_id` meter: the unit that last absorbed the run as a retry."""
        unit = self._joined(account, meter, run)
        return None if unit is None or run == unit.base_key else unit

    def _joined(self, account: str, meter: Meter, run: str) -> Unit | None:
        """The last unit that a run joined; of those that were final by then, any that is not forgotten."""
        units = self.runs.get((account, meter.name, run), [])
        return next((unit for unit in reversed(units) if not self._forgotten(unit)), None)

    def let_go(self, unit: Unit) -> bool:
        """Final and decided: nothing but an operator changes it."""
        held = unit.decision is not None and unit.decision.disposition == "held"
        return unit.final(self.clock) and not held

    def _run_unit(self, event: Event, meter: Meter) -> Unit | None:
        own = self._known(event.account, meter, event.run)
        return own or self._known(event.account, meter, event.retry_of)

    def _latest(self, account: str, meter: str, key: str) -> Unit | None:
        found = [u for u in self.units if (u.account, u.meter.name, u.base_key) == (account, meter, key)]
        found = [u for u in found if u.meter.each is None]
        if not found or id(found[-1]) in self.left:
            return None
        return None if self._forgotten(found[-1]) else found[-1]

    def _forgotten(self, unit: Unit) -> bool:
        """Whether a final unit's key and runs are past the horizon (ruling 16), by the UTC day of its end."""
        return self.let_go(unit) and unit.ended // DAY < self._horizon(unit.account) // DAY

    def _horizon(self, account: str) -> int:
        """Highest event time of the account before the event at hand, less the dedupe horizon (D56)."""
        times = [e.time for e in self.taken if e.account == account]
        return max(times) - self.calendar.catalogs[-1].dedupe if times else -(2**62)

    def _find(self, event: Event, meter: Meter, by_run: bool) -> Unit | None:
        """The unit that an event belongs to (D10, D12), or None."""
        if by_run:  # ruling 8
            return self._run_unit(event, meter)
        key = event.run if meter.key is None else event.attributes.get(meter.key) or None
        by_key = None if key is None else self._latest(event.account, meter.name, key)
        if meter.key is None and (absorber := self._absorber(event.account, meter, event.run)) is not None:
            return absorber
        if event.verdict:
            return by_key or self._run_unit(event, meter)
        if event.retry_of is not None and meter.absorbs_retries:
            original = self._known(event.account, meter, event.retry_of)
            if original is not None and not original.final(self.clock):
                return original
        return by_key

    # -- a unit's life ----------------------------------------------------------------------------------

    def _open(self, event: Event, meter: Meter, key: str, number: int) -> None:
        unit = Unit(meter, event.account, key, number, event.order)
        unit.opened_as_retry = event.retry_of is not None
        self.units.append(unit)
        self._join(event, unit)

    def _meet(self, event: Event, unit: Unit, now: Meter, *, by_run: bool) -> str:
        """An event meets its unit (D13–D15); `now` is the meter at its time, for a next unit."""
        meter = unit.meter
        own_key = event.run if meter.key is None else event.attributes.get(meter.key)
        if unit.sealed_at is None and event.ordinary and event.time > unit.ended_candidate():
            self._seal(unit, self.clock, unit.ended_candidate())  # D13
        if unit.sealed_at is None:
            return self._join(event, unit)
        if self._is_new_retry(event, unit) and not unit.final(self.clock):
            return self._reopen(event, unit)
        rules = now if unit.final(self.clock) else meter  # of a final unit nothing but its end is remembered
        if rules.reopen_within is not None and event.type in REOPENING and not event.background:
            if event.time > unit.ended:
                inside = unit.inside(meter.reopen_within, event) and not unit.final(self.clock)
                if inside and meter.reopen_same:
                    return self._reopen(event, unit)
                if event.type != "work.reopened" and own_key == unit.base_key and not by_run:  # D55
                    self._open(event, now, unit.base_key, unit.number + 1)
                    return "accepted"
        if unit.inside(meter.settle, event) or unit.has_effect(event):
            return self._join(event, unit)
        return self._alone(event, "unit_final")

    def _is_new_retry(self, event: Event, unit: Unit) -> bool:
        if event.retry_of is None or not event.ordinary or not unit.meter.absorbs_retries:
            return False
        return event.run not in {e.run for e in unit.events if e.ordinary and e.retry_of is not None}

    def _reopen(self, event: Event, unit: Unit) -> str:
        unit.sealed_at = unit.silent_end = None
        unit.waited_out = False
        unit.stretch = len(unit.events)
        return self._join(event, unit)

    def _join(self, event: Event, unit: Unit) -> str:
        meter = unit.meter
        new_retry = self._is_new_retry(event, unit) and bool(unit.events)
        if new_retry:
            unit.absorbed.append(event.run)
        if new_retry or meter.key is not None:  # D53
            where = event.account, meter.name, event.run
            former = [u for u in self.runs.get(where, []) if u is not unit and self.let_go(u)]
            self.runs[where] = [*former, unit]
        if new_retry and meter.key is None and event.run != unit.base_key:  # its own unit is left, for good
            left = (event.account, meter.name, event.run)
            self.left.update(id(u) for u in self.units if (u.account, u.meter.name, u.base_key) == left)
        if unit.has_effect(event):
            unit.verdicts.append(event)
        if event.type == "work.escalated" and (unit.sealed_at is None or unit.inside(meter.settle, event)):
            unit.escalated = True
        unit.events.append(event)
        if event.request:
            cost = self.cost(event)
            unit.costs[event.order] = None if cost is None else Cost(cost)
            unit.known[event.order] = self.calendar.at(event.time).effective
        if unit.sealed_at is not None:
            self.decide(unit)
        elif event.type in meter.end_on:
            self._seal(unit, self.clock, None)
        return "accepted"

    def _seal(self, unit: Unit, at: int, silent_end: int | None) -> None:
        unit.sealed_at, unit.silent_end = at, silent_end
        unit.window_end = unit.ended
        self.decide(unit)

    def _each(self, event: Event, meter: Meter) -> str:
        if event.background:
            return self._alone(event, "background")
        unit = Unit(meter, event.account, event.id, 1, event.order, [event])
        unit.opened_as_retry = event.retry_of is not None
        if event.request:
            cost = self.cost(event)
            unit.costs[event.order] = None if cost is None else Cost(cost)
            unit.known[event.order] = self.calendar.at(event.time).effective
        self.units.append(unit)
        self._seal(unit, self.clock, event.time)
        return "accepted"

    def _alone(self, event: Event, reason: str) -> str:
        cost = self.cost(event) if event.request else Fraction(0)
        month = self.calendar.month(event.account, event.time)
        row = CostOnly(
            event.account, event.order, reason, month, cost or Fraction(0), cost is None, event.request
        )
        self.cost_only.append(row)
        if event.request:
            self.books.alone(row.account, month, event.workflow, reason, row.cost)
        return "unit_final" if reason == "unit_final" else "accepted"

    def cost(self, event: Event) -> Fraction | None:
        """What a request costs under the catalog of its time; None where nobody has priced it."""
        catalog = self.calendar.at(event.time)
        cost = cost_of(event, catalog)
        return Fraction(0) if cost is None and catalog.unknown_zero else cost

    # -- money ------------------------------------------------------------------------------------------

    def _is_copy(self, unit: Unit, rule: Rule) -> bool:
        """Whether the unit repeats an earlier billed one (D34)."""
        values = [unit.attribute(name) for name in rule.by]
        if unit.pin is not None or None in values:
            return False
        originals = [
            other
            for other in self.units
            if other is not unit
            and (other.account, other.meter.name) == (unit.account, unit.meter.name)
            and rule.by in self._repeatable(other)
            and other.decided_end + rule.within >= self._horizon(unit.account)
            and abs(other.decided_end - unit.ended) <= rule.within
        ]
        return any([o.attribute(n, o.decided_events) for n in rule.by] == values for o in originals)

    @staticmethod
    def _repeatable(unit: Unit) -> set[tuple[str, ...]]:
        """By which attributes a billed unit can be repeated: those of rules that it was decided under."""
        decision = unit.decision
        if decision is None or decision.disposition != "billable" or decision.plan is None:
            return set()
        charges = [c for c in decision.plan.charges if c.meter == unit.meter.name]
        rules = [*unit.meter.rules, *(r for c in charges for r in c.rules)]
        return {r.by for r in rules if r.when == "duplicate"}

    def decide(self, unit: Unit) -> None:
        """Decide a sealed unit and book what changed (D32)."""
        self._price(unit)
        self.apply(unit, decide(unit, self.calendar, self._is_copy))

    def apply(self, unit: Unit, decision: Decision) -> None:
        """Book what a decision changes."""
        before = unit.booked
        unit.decision, unit.quantity_then = decision, unit.quantity
        unit.decided_end, unit.decided_events = unit.ended, len(unit.events)
        names = [*before, *(n for n in decision.shares if n not in before)]
        for name in names:
            old, new = before.get(name), decision.shares.get(name)
            if old != new:
                self._book(unit, name, old, new)
        unit.booked = dict(decision.shares)
        self.books.unit(unit)

    def _price(self, unit: Unit) -> None:
        """Requests that were unpriced get the price of the first later catalog that has one."""
        for event in unit.requests:
            for catalog in self.calendar.catalogs:
                later = catalog.effective > unit.known[event.order]
                if unit.costs[event.order] is None and later:
                    cost = cost_of(event, catalog)
                    unit.costs[event.order] = None if cost is None else Cost(cost, catalog.effective)

    def _book(self, unit: Unit, charge_name: str, old: Share | None, new: Share | None) -> None:
        decision = unit.decision
        assert decision is not None
        assert decision.plan is not None
        if unit.pin is None:
            unit.pin = Pin(decision.catalog, decision.plan, decision.month)
        segment = (unit.account, unit.pin.month, unit.pin.plan.id)
        counter = self.counters.get((segment, charge_name))
        if counter is None:
            plan = self.calendar.plan(unit.pin.plan.id, unit.account, unit.pin.month)
            charge = next(c for c in plan.charges if c.name == charge_name)
            counter = Counter(charge, [Change(terms=self.terms(segment, charge))])
            self.counters[segment, charge_name] = counter
        before = counter.amount()
        counter.changes.append(Change(old, new))
        unit.revenue += counter.amount() - before
        self.books.line(unit.account, unit.pin.month)
