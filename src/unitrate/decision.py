"""Does a unit bill, and what does it contribute: policy, plan, and what is held for want of something.

Owns the decision on one ended unit, from its facts alone (rulings 18–31, D22–D28). Changes nothing but the
unit's size and conditions, which are findings of the decision.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from unitrate.catalog.compiled import Catalog, Charge, Plan
from unitrate.originals import Originals
from unitrate.policy import FULL, Facts, Rules, decide, merged
from unitrate.pricing import PICO, half_up, to_pico
from unitrate.rating import Share, price_value, share_pico
from unitrate.timeline import Timeline
from unitrate.units import Unit, positive

MOST_QUANTITY = 10**15
BROUGHT_LATER = frozenset({"no_plan", "unpriced", "no_price"})  # what a later catalog may bring


class Where(NamedTuple):
    """Where a unit belongs, before anything is decided."""

    month: int
    catalog: Catalog
    plan: Plan | None


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


class Judge:
    """Decides on units of one partition."""

    def __init__(self, timeline: Timeline, originals: Originals) -> None:
        self.timeline = timeline
        self._originals = originals
        self._rules: dict[tuple[Any, ...], Rules] = {}

    def decide(self, unit: Unit) -> Decision:
        """Policy first, then held (ruling 23), under its day's plan and what later catalogs bring."""
        timeline = self.timeline
        billing_us = self.billing_instant(unit)
        zone = timeline.zone(unit.account)
        day = zone.local_day(billing_us)
        if unit.pin is not None:
            pin = unit.pin
            catalog = timeline.named(pin.catalog)
            plan: Plan | None = timeline.plan(pin.plan, pin.plan_version, unit.account, pin.month)
            where = Where(pin.month, catalog, plan)
        else:
            where = Where(timeline.month_of(zone, day), *timeline.plan_on(unit.account, day))
        decision = self._under(unit, where, where.catalog)
        if decision.reason in BROUGHT_LATER or unit.late_costs:
            decision = self._with_later(unit, where, day, decision)
        return decision

    def _with_later(self, unit: Unit, where: Where, day: int, first: Decision) -> Decision:
        """The first later catalog that brings what is missing decides; its name stands on the lines."""
        timeline = self.timeline
        for brought in timeline.later(where.catalog):
            found = self._under(unit, where, brought)
            if found.reason == "no_price" and unit.pin is None:
                other = timeline.subscribed(brought, unit.account, day)
                if other is not None and not _same(other, where.plan):
                    found = self._under(unit, Where(where.month, brought, other), brought)
            if found.reason not in BROUGHT_LATER:
                return found if unit.pin is not None else found._replace(catalog=brought)
        return first

    def price_late(self, unit: Unit) -> None:
        """Requests that nobody had priced take the cost of the first later catalog that prices them."""
        left = []
        for request in unit.unpriced:
            for catalog in self.timeline.later(self.timeline.catalog_at(request[2])):
                cost = priced(request, catalog)
                if cost is not None:
                    unit.cost += cost
                    unit.late_costs.append([catalog.effective_us, cost])
                    break
            else:
                left.append(request)
        unit.unpriced = left

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

    def _under(self, unit: Unit, where: Where, brought: Catalog) -> Decision:
        """The decision under one plan, with the costs that catalogs up to `brought` know."""
        facts = self._facts(unit, where.catalog, brought)
        unit.size = facts.size
        unit.conditions = tuple(sorted(facts.conditions)) if facts.conditions else ()
        plan = where.plan
        if unit.waived:
            return Decision("not_billed", "waived", *where, 0, {})
        meter = unit.meter.name
        charges = [c for c in plan.charges if c.meter == meter] if plan is not None else []
        if plan is None or not charges:
            ruling = decide(self._merged(unit, None, None), facts)
            if ruling.share == 0:
                return Decision("not_billed", ruling.reason, *where, 0, {})
            fate = ("held", "no_plan") if plan is None else ("not_billed", "not_in_plan")
            return Decision(fate[0], fate[1], *where, 0, {})
        cost = unit.cost
        if unit.late_costs:
            cost -= sum(c for effective, c in unit.late_costs if effective > brought.effective_us)
        outcomes = [(c, self._outcome(unit, c, plan, cost, facts)) for c in charges]
        return _together(unit, outcomes, where)

    def _outcome(self, unit: Unit, charge: Charge, plan: Plan, known_cost: int, facts: Facts) -> Outcome:
        rules = self._merged(unit, plan, charge)
        ruling = decide(rules, facts)
        if ruling.share == 0:
            return Outcome("not_billed", ruling.reason, None, ruling.share)
        quantity = self._quantity(unit, charge)
        if quantity is None:
            return Outcome("not_billed", "no_quantity", None, ruling.share)
        if "awaiting_acceptance" in facts.conditions:
            return Outcome("held", "awaiting_acceptance", None, ruling.share)
        value = price_value(charge, tuple([_by_value(unit, name) for name in charge.by]))
        plus = value is not None and charge.prices[value].model == "cost_plus"
        if "unpriced" in facts.conditions and (plus or not rules.mentions_unpriced):
            return Outcome("held", "unpriced", None, ruling.share)
        if value is None:
            return Outcome("held", "no_price", None, ruling.share)
        cost = share_pico(known_cost, ruling.share) if plus else 0
        units = share_pico(unit.count_units() * PICO, ruling.share)
        share = Share(value, share_pico(quantity, ruling.share), cost, units)
        return Outcome("billable", ruling.reason, share, ruling.share)

    def _facts(self, unit: Unit, catalog: Catalog, brought: Catalog) -> Facts:
        meter, end = unit.meter, unit.end
        account = catalog.accounts.get(unit.account)
        conditions = _plain_conditions(unit)
        if account is not None and unit.workspace in account.internal_workspaces:
            conditions.add("internal")
        if unit.unpriced or (unit.late_costs and any(e > brought.effective_us for e, _ in unit.late_costs)):
            conditions.add("unpriced")
        if meter.terms_required:
            agreement = account.terms.get(meter.name) if account is not None else None
            zone = self.timeline.zone(unit.account)
            if agreement is None or unit.ended < zone.day_start_us(agreement.on_day):
                conditions.add("terms")
        attributes = unit.attribute_texts()
        if unit.pin is None and self._originals.is_duplicate(unit, attributes):
            conditions.add("duplicate")
        completion = (
            FULL if end is None or end.completion_pico == PICO else Decimal(end.completion_pico).scaleb(-12)
        )
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
        value = positive(unit.attribute(charge.of) or "")
        if value is None or value > MOST_QUANTITY:
            return None
        numerator, denominator = value.as_integer_ratio()
        return half_up(numerator * PICO, denominator)


def _plain_conditions(unit: Unit) -> set[str]:
    """Conditions that the unit alone tells (D23)."""
    meter, end = unit.meter, unit.end
    conditions: set[str] = set()
    if unit.test:
        conditions.add("test")
    if unit.internal:
        conditions.add("internal")
    if unit.retry:
        conditions.add("retry")
    if unit.escalated:
        conditions.add("escalated")
    if meter.start_on_started and not unit.started_seen:
        conditions.add("not_started")
    if end is None:
        conditions.add("timed_out")
    elif end.type == "work.failed":
        conditions.add("failed")
    elif end.type == "work.cancelled":
        conditions.add("cancelled")
    elif end.type == "work.completed" and end.completion_pico < PICO:
        conditions.add("partial")
    verdict = unit.verdict()
    if verdict is not None:
        if not verdict.accepted:
            conditions.add("rejected")
    elif meter.accept is not None:
        if not unit.awaited:
            conditions.add("awaiting_acceptance")
        elif not meter.accept.otherwise_full:
            conditions.add("unaccepted")
    return conditions


def _together(unit: Unit, outcomes: list[tuple[Charge, Outcome]], where: Where) -> Decision:
    """One disposition for all charges of the meter (ruling 30, D37)."""
    bills = None
    for _, outcome in outcomes:
        if outcome.disposition == "held":
            return Decision("held", outcome.reason, *where, 0, {})
        if bills is None and outcome.disposition == "billable":
            bills = outcome
    if bills is None:
        return Decision("not_billed", outcomes[0][1].reason, *where, 0, {})
    billable = to_pico(bills.fraction) * unit.count_units()
    shares = {c.name: o.share for c, o in outcomes if o.share is not None}
    return Decision("billable", bills.reason, *where, billable, shares)


def priced(request: list[Any], catalog: Catalog) -> int | None:
    """Cost under another catalog of a request: [provider, model, time, usage, billed amount, currency]."""
    provider, model, time, usage, amount, currency = request
    if amount is not None:
        return catalog.costs.converted_pico(Decimal(amount), currency)
    rates = catalog.costs.rates(provider, model, time)
    return None if rates is None else rates.cost_pico(usage)


def _same(plan: Plan, other: Plan | None) -> bool:
    """Whether two catalogs mean the same plan: a version's content never changes (ruling 32)."""
    return other is not None and (plan.name, plan.version) == (other.name, other.version)


def _size(unit: Unit) -> str:
    sizes = unit.meter.sizes
    if sizes is None:
        return ""
    value = positive(unit.attribute(sizes.by) or "")
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
    text = unit.attribute(name)
    return "default" if text is None else text
