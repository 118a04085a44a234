"""Whether a unit bills, why, and what it contributes to which charge.

Owns policy (rulings 18, 19, 22, 23, 30) and the choice of the catalog that decides (D22, D44). A decision is
worked out from the unit's list of events alone; nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from tests.reference.calendar_view import Calendar, subscribed
from tests.reference.catalog_view import DEFAULT_NONE, SPEECH, Account, CatalogView, Charge, Plan, Rule
from tests.reference.counter import Share, Value
from tests.reference.own_costs import twelve
from tests.reference.unit_view import Decision, Unit

MISSING = ("no_plan", "unpriced", "no_price")  # a later catalog may bring it
OneCharge = tuple[str, str, Fraction, Share | None]  # disposition, reason, fraction, share


def billing_instant(unit: Unit) -> int:
    """The instant whose day gives month, plan and catalog (D22)."""
    if unit.meter.accept_within is not None:
        if unit.acceptance is not None:
            return max(unit.acceptance.time, unit.ended)
        if unit.accepted:
            return unit.ended + unit.meter.accept_within
    return unit.ended


def decide(unit: Unit, calendar: Calendar, is_copy: Callable[[Unit, Rule], bool]) -> Decision:
    """Decide a sealed unit: as its day's plan says, with what later catalogs that are published bring.

    A later catalog brings a plan where there was none (D44), costs of models that nobody had priced, or a
    plan with a price where the day's plan had none.
    """
    instant = billing_instant(unit)
    day = calendar.day(unit.account, instant)
    if unit.pin is not None:
        catalog, month = unit.pin.catalog, unit.pin.month
        plan: Plan | None = unit.pin.plan
    else:
        month = day.year * 100 + day.month
        later = calendar.later(calendar.on(unit.account, day))
        catalog = next((c for c in later if subscribed(c, unit.account, day) is not None), later[0])
        plan = subscribed(catalog, unit.account, day)
    first: Decision | None = None
    for brought in calendar.later(catalog):
        found = _under(unit, catalog, plan, month, brought, calendar, is_copy)
        if found.reason == "no_price" and unit.pin is None:
            other = subscribed(brought, unit.account, day)
            if other is not None and plan is not None and other.id != plan.id:
                found = _under(unit, brought, other, month, brought, calendar, is_copy)
        first = first or found
        if found.reason not in MISSING:
            return found if unit.pin is not None else replace(found, catalog=brought)
    assert first is not None
    return first


def _under(
    unit: Unit,
    catalog: CatalogView,
    plan: Plan | None,
    month: int,
    brought: CatalogView,
    calendar: Calendar,
    is_copy: Callable[[Unit, Rule], bool],
) -> Decision:
    """The decision under one plan, its catalog's account, and the costs known up to a catalog."""
    if unit.waived:
        return Decision(catalog, plan, month, "not_billed", "waived", Fraction(0), {})
    charges = [c for c in plan.charges if c.meter == unit.meter.name] if plan is not None else []
    facts = _facts(unit, catalog, brought, calendar)
    if not charges:
        reason = "no_plan" if plan is None else "not_in_plan"
        ones = [("", _no_charge(unit, facts, reason, is_copy))]
    else:
        ones = [(c.name, _one(unit, c, facts, brought, is_copy)) for c in charges]
    disposition, reason, fraction = _together([one for _, one in ones])
    shares = {name: one[3] for name, one in ones if one[3] is not None} if disposition == "billable" else {}
    return Decision(catalog, plan, month, disposition, reason, fraction, shares)


def _together(ones: list[OneCharge]) -> tuple[str, str, Fraction]:
    """Several charges: held while any is held (D37), else billable if any bills; the first one's reason."""
    for wanted in ("held", "billable"):
        for disposition, reason, fraction, _ in ones:
            if disposition == wanted:
                return disposition, reason, fraction if wanted == "billable" else Fraction(0)
    return "not_billed", ones[0][1], Fraction(0)


def _facts(unit: Unit, catalog: CatalogView, brought: CatalogView, calendar: Calendar) -> set[str]:
    account = catalog.accounts.get(unit.account)
    facts = unit.conditions(account)
    if unit.meter.terms and _before_terms(unit, account, calendar):
        facts.add("terms")
    if unit.meter.needs_start and not any(e.type == "work.started" for e in unit.events):
        facts.add("not_started")
    if any(c is None for c in costs_under(unit, brought)):
        facts.add("unpriced")
    return facts


def _before_terms(unit: Unit, account: Account | None, calendar: Calendar) -> bool:
    if account is None or unit.meter.name not in account.terms:
        return True
    return unit.ended < calendar.midnight(unit.account, account.terms[unit.meter.name])


def costs_under(unit: Unit, brought: CatalogView) -> list[Fraction | None]:
    """Costs of its requests as far as catalogs up to the given one know them."""
    costs = [unit.costs[event.order] for event in unit.requests]
    return [c.amount if c is not None and c.effective <= brought.effective else None for c in costs]


def _matches(unit: Unit, rule: Rule, facts: set[str], is_copy: Callable[[Unit, Rule], bool]) -> bool:
    if rule.when == "size":
        return unit.size == rule.wanted["size"]
    if rule.when == "attribute":
        return all(unit.attribute(name) == value for name, value in rule.wanted.items())
    if rule.when == "duplicate":
        return is_copy(unit, rule)
    return rule.when in facts


def merged(meter_rules: list[Rule], charge_rules: list[Rule]) -> list[Rule]:
    """Ruling 19: a charge's rule takes the place of the meter's of that condition; its others come last."""
    own = {(r.when, tuple(sorted(r.wanted.items()))): r for r in charge_rules}
    merged_rules = []
    for rule in meter_rules:
        merged_rules.append(own.pop((rule.when, tuple(sorted(rule.wanted.items()))), rule))
    return merged_rules + list(own.values())


def policy(
    unit: Unit, rules: list[Rule], facts: set[str], is_copy: Callable[[Unit, Rule], bool]
) -> tuple[str, Fraction]:
    """Reason and fraction: first match wins, but not over a default `none` that no rule mentions."""
    match = next((r for r in rules if _matches(unit, r, facts, is_copy)), None)
    reason, fraction = ("ok", Fraction(1)) if match is None else (match.reason, _fraction(unit, match))
    if fraction == 0:
        return reason, fraction
    mentioned = {r.when for r in rules}
    for condition in (*DEFAULT_NONE[:4], "not_started", *DEFAULT_NONE[4:]):
        spoken_kind = condition == "timed_out" and unit.meter.kind in SPEECH
        if condition in facts and condition not in mentioned and not spoken_kind:
            return condition, Fraction(0)
    return reason, fraction


def _fraction(unit: Unit, rule: Rule) -> Fraction:
    """What a rule charges; prorata is the completion of the last end event (D26)."""
    if rule.charge != "prorata":
        return Fraction(rule.charge)
    end = unit.last_end if unit.meter.each is None else unit.events[0]
    return end.completion if end is not None else Fraction(1)


def _no_charge(unit: Unit, facts: set[str], reason: str, is_copy: Callable[[Unit, Rule], bool]) -> OneCharge:
    word, fraction = policy(unit, unit.meter.rules, facts, is_copy)
    if fraction == 0:
        return "not_billed", word, Fraction(0), None
    return ("held" if reason == "no_plan" else "not_billed"), reason, Fraction(0), None


def _one(
    unit: Unit, charge: Charge, facts: set[str], catalog: CatalogView, is_copy: Callable[[Unit, Rule], bool]
) -> OneCharge:
    rules = merged(unit.meter.rules, charge.rules)
    reason, fraction = policy(unit, rules, facts, is_copy)
    quantity = Fraction(unit.quantity) if charge.of is None else _measured(unit, charge.of)
    if fraction == 0:
        return "not_billed", reason, Fraction(0), None
    if quantity is None:
        return "not_billed", "no_quantity", Fraction(0), None
    if unit.meter.accept_within is not None and not unit.accepted:
        if unit.verdict == "" and not unit.waited_out:
            return "held", "awaiting_acceptance", Fraction(0), None
    value = price_value(unit, charge)
    cost_plus = value is not None and charge.prices[value]["model"] == "cost_plus"
    if "unpriced" in facts and (cost_plus or all(r.when != "unpriced" for r in rules)):
        return "held", "unpriced", Fraction(0), None
    if value is None:
        return "held", "no_price", Fraction(0), None
    base = Fraction(0)
    if cost_plus:
        base = twelve(fraction * sum((c or Fraction(0) for c in costs_under(unit, catalog)), Fraction(0)))
    return "billable", reason, fraction, Share(value, twelve(quantity * fraction), base)


def _measured(unit: Unit, name: str) -> Fraction | None:
    value = unit.amount(name)
    return None if value is None or value > 10**15 else twelve(value)  # D50


def price_value(unit: Unit, charge: Charge) -> Value | None:
    """Which of the charge's prices holds for the unit: its own value's, else `default`, level by level."""
    wanted = [_by_value(unit, name) for name in charge.by]

    def descend(found: Value) -> Value | None:
        if len(found) == len(wanted):
            return found if found in charge.prices else None
        for step in (wanted[len(found)], "default"):
            below = descend((*found, step))
            if below is not None:
                return below
        return None

    return descend(())


def _by_value(unit: Unit, name: str) -> str:
    if name == "size":
        return unit.size or "default"
    if name in ("workspace", "workflow"):
        return getattr(unit.events[0], name) or "default"
    value = unit.attribute(name)
    return "default" if value is None else value
