"""Price models: f(Q), what a month's paid quantity of one price is worth, and f of a whole charge.

Owns the arithmetic of prices and the one rounding of f. Order of steps, and why: included usage is taken
off first (the caller does), then `per` and `round` convert what is left, then the model prices it (so a
package or tier counts what the customer pays for), then the maximum caps the charge's prices together.

Units: quantities and money are integers of 10⁻¹² ("pico"); results of models are exact integers or
Fractions of 10⁻²⁴ ("yocto"), rounded half up to pico once, in `charge_pico`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from unitrate.catalog.compiled import Charge, Price, Tier
from unitrate.errors import InvariantError

PICO = 10**12
Exact = int | Fraction


@lru_cache(maxsize=65_536)
def to_pico(value: Decimal) -> int:
    """A decimal as an integer of 10⁻¹²; raises InvariantError if it has more digits."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise InvariantError(f"{value} is no finite number")
    number = int("".join(map(str, digits)) or "0")
    shift = exponent + 12
    if shift >= 0:
        number *= int(10**shift)
    else:
        number, rest = divmod(number, int(10**-shift))
        if rest:
            raise InvariantError(f"{value} has more than 12 decimals")
    return -number if sign else number


def half_up(value: Exact, divisor: int) -> int:
    """value ÷ divisor, rounded half up (half away from zero below zero, so that reversals mirror)."""
    if isinstance(value, Fraction):
        return half_up(value.numerator, value.denominator * divisor)
    if value < 0:
        return -half_up(-value, divisor)
    return (2 * value + divisor) // (2 * divisor)


def shared_pico(amount_pico: int, weights: Sequence[int]) -> list[int]:
    """An amount by weights that are not all 0: half up, the last taking what the others leave."""
    whole = sum(weights)
    parts = [half_up(amount_pico * weight, whole) for weight in weights[:-1]]
    return [*parts, amount_pico - sum(parts)]


def prorated_pico(amount: Decimal, days: int, of_days: int) -> int:
    """An amount of a full month for a part of it, half up to 12 decimals."""
    if days == of_days:
        return to_pico(amount)
    return half_up(to_pico(amount) * days, of_days)


def converted(paid_pico: int, charge: Charge) -> Exact:
    """Paid quantity after `per` and `round`, in pico."""
    if charge.per == 1 and charge.round == "none":
        return paid_pico
    exact = Fraction(paid_pico * PICO, to_pico(charge.per))
    if charge.round == "up":
        return -(-exact // PICO) * PICO
    if charge.round == "down":
        return exact // PICO * PICO
    return exact.numerator if exact.denominator == 1 else exact


def rated_yocto(price: Price, paid_pico: Exact, cost_pico: int = 0) -> Exact:
    """f(Q) of one price at a paid quantity Q ≥ 0 (and, for cost_plus, a cost base), in 10⁻²⁴."""
    model = price.model
    if model == "cost_plus":
        return _cost_plus(price, paid_pico, cost_pico)
    if paid_pico == 0:
        return 0
    if model == "unit":
        return to_pico(price.rate) * paid_pico
    if model == "graduated":
        return _graduated(price.tiers, paid_pico)
    if model == "package":
        packages = -(-paid_pico // to_pico(price.package_size))
        return packages * to_pico(price.package_price) * PICO
    tier = _reached(price.tiers, paid_pico)
    flat = to_pico(tier.flat) * PICO
    return flat if model == "stairstep" else flat + to_pico(tier.rate) * paid_pico


def _graduated(tiers: tuple[Tier, ...], paid_pico: Exact) -> Exact:
    total: Exact = 0
    below = 0
    for tier in tiers:
        if paid_pico <= below:
            break
        top = paid_pico if tier.up_to is None else min(paid_pico, to_pico(tier.up_to))
        total += to_pico(tier.rate) * (top - below) + to_pico(tier.flat) * PICO
        if tier.up_to is not None:
            below = to_pico(tier.up_to)
    return total


def _reached(tiers: tuple[Tier, ...], paid_pico: Exact) -> Tier:
    for tier in tiers:
        if tier.up_to is None or paid_pico <= to_pico(tier.up_to):
            return tier
    raise InvariantError("the last tier of a price is bounded; the catalog check lets none through")


def _cost_plus(price: Price, paid_pico: Exact, cost_pico: int) -> Exact:
    if price.markup is not None:
        on_cost: Exact = cost_pico * (PICO + to_pico(price.markup))
    else:
        rest = PICO - to_pico(price.margin or Decimal(0))
        on_cost = Fraction(cost_pico * PICO * PICO, rest)
    return on_cost + to_pico(price.per_unit) * paid_pico


def charge_pico(
    charge: Charge, paid: Iterable[tuple[tuple[str, ...], int, int]], maximum_pico: int | None
) -> int:
    """f of a charge: Σ over its prices, capped, rounded half up to 10⁻¹².

    `paid` has (price value, paid quantity in pico, cost base in pico) for each price in use.
    """
    total: Exact = 0
    for value, paid_pico, cost_pico in paid:
        total += rated_yocto(charge.prices[value], converted(paid_pico, charge), cost_pico)
    pico = half_up(total, PICO)
    return pico if maximum_pico is None else min(pico, maximum_pico)
