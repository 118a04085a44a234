"""f(Q) as the reference rater computes it: the price models of contract §2, in Fractions, from scratch.

Owns the arithmetic of one price and of a charge's prices together; never imports unitrate.pricing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from tests.reference.catalog_view import Charge, number
from tests.reference.own_costs import twelve


def price_of(price: Mapping[str, Any], quantity: Fraction, cost: Fraction = Fraction(0)) -> Fraction:
    """What a quantity costs the customer under one price; exact."""
    model = price["model"]
    if model == "cost_plus":
        return _cost_plus(price, quantity, cost)
    if quantity == 0:
        return Fraction(0)
    if model == "unit":
        return number(price["rate"]) * quantity
    if model == "package":
        return math.ceil(quantity / number(price["size"])) * number(price["price"])
    if model == "graduated":
        return _graduated(price["tiers"], quantity)
    tier = next(t for t in price["tiers"] if _top(t) is None or quantity <= _top(t))  # type: ignore[operator]
    flat = number(tier.get("flat") or 0)
    return flat if model == "stairstep" else flat + number(tier["rate"]) * quantity


def _top(tier: Mapping[str, Any]) -> Fraction | None:
    return None if tier.get("up_to") is None else number(tier["up_to"])


def _graduated(tiers: Iterable[Mapping[str, Any]], quantity: Fraction) -> Fraction:
    total, floor = Fraction(0), Fraction(0)
    for tier in tiers:
        if quantity > floor:
            top = _top(tier)
            inside = (quantity if top is None else min(quantity, top)) - floor
            total += number(tier.get("rate") or 0) * inside + number(tier.get("flat") or 0)
            floor = quantity if top is None else top
    return total


def _cost_plus(price: Mapping[str, Any], quantity: Fraction, cost: Fraction) -> Fraction:
    if price.get("markup") is not None:
        on_cost = cost * (1 + number(price["markup"]))
    else:
        on_cost = cost / (1 - number(price["margin"]))
    return on_cost + number(price.get("per_unit") or 0) * quantity


def converted(charge: Charge, paid: Fraction) -> Fraction:
    """Paid quantity after `per` and `round` (ruling 24)."""
    quantity = paid / charge.per
    if charge.round == "up":
        return Fraction(math.ceil(quantity))
    return Fraction(math.floor(quantity)) if charge.round == "down" else quantity


def f(
    charge: Charge, paid: Mapping[tuple[str, ...], tuple[Fraction, Fraction]], maximum: Fraction | None
) -> Fraction:
    """f of a charge by its prices' paid quantities and cost bases, capped, rounded half up to 12 decimals."""
    total = sum(
        (price_of(charge.prices[v], converted(charge, q), c) for v, (q, c) in paid.items()), Fraction(0)
    )
    amount = twelve(total)
    return amount if maximum is None else min(amount, maximum)
