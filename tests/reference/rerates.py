"""Re-rates in the reference rater: plans that were published wrong, corrected from a month on (D66–D70).

Owns which counters are rated anew, and who shares what that changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from tests.reference.calendar_view import Correction
from tests.reference.catalog_view import Charge, catalog_of
from tests.reference.counter import Change, Counter, Value
from tests.reference.month_records import Rerate
from tests.reference.own_costs import twelve
from tests.reference.own_pricing import converted, price_of
from tests.reference.walk import Segment, Walk

ZERO = Fraction(0)


def rerate(walk: Walk, record: Rerate) -> Correction:
    """Correct the plans that differ from what they are now; what was corrected."""
    calendar = walk.calendar
    read = catalog_of(record.document).plans.values()
    plans = {plan.id: plan for plan in read if plan != calendar.latest(plan.id)}
    correction = Correction(plans, record.from_us, record.from_month)
    calendar.correct(correction)
    for (segment, name), counter in list(walk.counters.items()):
        account, month, plan_id = segment
        if plan_id in plans and calendar.corrects(correction, account, month):
            charge = next(c for c in plans[plan_id].charges if c.name == name)
            _rate_anew(walk, segment, counter, charge)
    return correction


def _rate_anew(walk: Walk, segment: Segment, counter: Counter, charge: Charge) -> None:
    account, month, _ = segment
    before, old, amount = _worth(counter), counter.charge, counter.amount()
    capped = counter.terms.maximum is not None
    counter.charge = charge
    counter.changes.append(Change(terms=walk.terms(segment, charge)))
    capped = capped or counter.terms.maximum is not None
    if counter.amount() != amount:
        walk.books.line(account, month)
    pieces: list[tuple[Value | None, Fraction]]
    if capped and old.by:
        pieces = [(None, counter.amount() - amount)]
    elif capped:
        pieces = [((), counter.amount() - amount)]
    else:
        pieces = list(_by_price(before, _worth(counter)))
    for value, piece in pieces:
        if piece:
            walk.books.line(account, month)
            _share_out(walk, segment, charge.name, value, piece)


def _worth(counter: Counter) -> dict[Value, Fraction]:
    """What each price is worth, exactly."""
    now = counter.figures()
    prices = counter.charge.prices
    return {v: price_of(p, converted(counter.charge, now.paid(v)), now.cost[v]) for v, p in prices.items()}


def _by_price(
    before: dict[Value, Fraction], after: dict[Value, Fraction]
) -> Iterator[tuple[Value | None, Fraction]]:
    """One price after the other takes its new worth, in the catalog's order."""
    worth = dict(before)
    for value in worth:
        rated = twelve(sum(worth.values(), ZERO))
        worth[value] = after[value]
        yield value, twelve(sum(worth.values(), ZERO)) - rated


def _share_out(walk: Walk, segment: Segment, charge: str, value: Value | None, amount: Fraction) -> None:
    """Workflows share it by what they have at the price (None: at any), for cost_plus by cost (D70)."""
    account, month, _ = segment
    quantities: dict[str, Fraction] = defaultdict(Fraction)
    costs: dict[str, Fraction] = defaultdict(Fraction)
    for unit in walk.units:
        share = unit.booked.get(charge)
        at_home = unit.pin is not None and (unit.account, unit.pin.month, unit.pin.plan.id) == segment
        if share is not None and at_home and value in (None, share.value):
            quantities[unit.events[0].workflow] += share.quantity
            costs[unit.events[0].workflow] += share.cost
    weights = costs if sum(costs.values()) else quantities
    names = sorted(name for name, weight in weights.items() if weight)
    whole, left = sum(weights.values()), amount
    for name in names[:-1]:
        part = twelve(amount * weights[name] / whole)
        walk.books.rerate(account, month, name, part)
        left -= part
    walk.books.rerate(account, month, names[-1] if names else "", left)
