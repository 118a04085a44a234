"""Tiers as arithmetic that a customer can follow.

Owns the words. It shows a sum only where it gives the line's amount to the last digit: with included usage
that moved between prices, or under a maximum, it says so instead of showing a sum that does not add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from unitrate.billing.invoice import InvoiceLine, UsagePart
from unitrate.catalog.compiled import Charge, Price
from unitrate.figures import EXACT, pico, plain
from unitrate.pricing import PICO, Exact, converted, half_up, prorated_pico, rated_yocto


def part_sums(
    line: InvoiceLine, charge: Charge, days: int, of_days: int, digits: int
) -> list[tuple[UsagePart, int, str]]:
    """Each price of a usage line: its included quantity and its sum as text (empty if not known)."""
    included = _included(line)
    rated = [_rated(part, free, charge) for part, free in zip(line.parts, included, strict=True)]
    total = half_up(sum(rated), PICO) if rated else 0
    exact = sum(part.amount_pico for part in line.parts)
    maximum = None if charge.maximum is None or not days else prorated_pico(charge.maximum, days, of_days)
    holds = total == exact or (maximum is not None and min(total, maximum) == exact)
    return [
        (part, free, _text(part, free, charge, digits) if holds else "")
        for part, free in zip(line.parts, included, strict=True)
    ]


def capped_at(line: InvoiceLine, charge: Charge, days: int, of_days: int) -> int | None:
    """The maximum in pico, where the line reached it."""
    if charge.maximum is None or not days:
        return None
    maximum = prorated_pico(charge.maximum, days, of_days)
    return maximum if sum(part.amount_pico for part in line.parts) == maximum else None


def _included(line: InvoiceLine) -> list[int]:
    if len(line.parts) == 1:
        return [line.included_pico or 0]
    return [min(max(part.included_pico, 0), part.quantity_pico) for part in line.parts]


def _price(part: UsagePart, charge: Charge) -> Price | None:
    return charge.prices.get(tuple(part.price_value.split("/")) if part.price_value else ())


def _rated(part: UsagePart, free: int, charge: Charge) -> Exact:
    price = _price(part, charge)
    if price is None:
        return 0
    return rated_yocto(price, converted(max(part.quantity_pico - free, 0), charge), part.cost_pico)


def _text(part: UsagePart, free: int, charge: Charge, digits: int) -> str:
    price = _price(part, charge)
    paid = max(part.quantity_pico - free, 0)
    if price is None or (paid == 0 and price.model != "cost_plus"):
        return ""
    quantity = converted(paid, charge)
    decimal = EXACT.divide(Decimal(quantity.numerator), Decimal(quantity.denominator * PICO))
    return _MODELS[price.model](price, decimal, part, digits)


def amount(value: Decimal, digits: int) -> str:
    """Money with thousands separators, at least the currency's decimals."""
    text = plain(value)
    return f"{Decimal(text):,.{max(len(text.partition('.')[2]), digits)}f}"


def quantity(value: Decimal) -> str:
    """A quantity with thousands separators, six decimals at most."""
    shown = EXACT.quantize(value, Decimal("0.000001"))
    return f"{Decimal(plain(shown)):,f}"


def _unit(price: Price, paid: Decimal, part: UsagePart, digits: int) -> str:
    return f"{quantity(paid)} × {amount(price.rate, digits)}"


def _graduated(price: Price, paid: Decimal, part: UsagePart, digits: int) -> str:
    terms, below = [], Decimal(0)
    for tier in price.tiers:
        if paid <= below:
            break
        top = paid if tier.up_to is None else min(paid, tier.up_to)
        terms.append(f"{quantity(top - below)} × {amount(tier.rate, digits)}")
        if tier.flat:
            terms.append(amount(tier.flat, digits))
        below = tier.up_to if tier.up_to is not None else below
    return " + ".join(terms)


def _reached(price: Price, paid: Decimal, part: UsagePart, digits: int) -> str:
    tier = next(tier for tier in price.tiers if tier.up_to is None or paid <= tier.up_to)
    terms = [] if price.model == "stairstep" else [f"{quantity(paid)} × {amount(tier.rate, digits)}"]
    terms += [amount(tier.flat, digits)] if tier.flat or not terms else []
    return " + ".join(terms)


def _package(price: Price, paid: Decimal, part: UsagePart, digits: int) -> str:
    packages = -(-paid // price.package_size)
    return f"{packages:,f} packages of {quantity(price.package_size)} × {amount(price.package_price, digits)}"


def _cost_plus(price: Price, paid: Decimal, part: UsagePart, digits: int) -> str:
    cost = amount(pico(part.cost_pico), digits)
    text = f"{cost} × {plain(1 + price.markup)}" if price.markup is not None else ""
    if price.markup is None:
        text = f"{cost} ÷ {plain(1 - (price.margin or Decimal(0)))}"
    return text + (f" + {quantity(paid)} × {amount(price.per_unit, digits)}" if price.per_unit else "")


_MODELS = {
    "unit": _unit,
    "graduated": _graduated,
    "volume": _reached,
    "stairstep": _reached,
    "package": _package,
    "cost_plus": _cost_plus,
}


def workflows(parts: Sequence[UsagePart]) -> list[tuple[str, int, int]]:
    """Quantity and amount by workflow, where there is more than one."""
    found: dict[str, list[int]] = {}
    for part in parts:
        for name, quantity_pico, amount_pico in part.workflows:
            sums = found.setdefault(name, [0, 0])
            sums[0] += quantity_pico
            sums[1] += amount_pico
    rows = [(name, q, a) for name, (q, a) in sorted(found.items()) if q or a]
    return rows if len(rows) > 1 else []


def exact_pico(line: InvoiceLine) -> int:
    """What the line was before its one rounding."""
    return sum(part.amount_pico for part in line.parts)


__all__ = ["amount", "capped_at", "exact_pico", "part_sums", "quantity", "workflows"]
