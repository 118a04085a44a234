"""A rated line's arithmetic, written out: f(after) − f(before), the tier that applied, and the maximum.

Owns the words only: the amount is the line's own. f of the line's price is computed again from its totals;
where that difference is not the amount (a maximum, or other prices of the charge) the line says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from unitrate.catalog.compiled import Charge, Price, Tier
from unitrate.explain.words import grouped, money, ordinal
from unitrate.figures import EXACT, money_text, month_text, pico, plain
from unitrate.pricing import PICO, converted, half_up, rated_yocto, to_pico

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class LineExplanation:
    """One line: what it changed, and the sentences that lead to its amount."""

    row: Mapping[str, Any]
    counting: str
    price: str
    arithmetic: str
    adds_up: bool  # rated_after − rated_before is the amount

    @property
    def heading(self) -> str:
        row = self.row
        late = (
            f", late from {month_text(row['usage_month'])}" if row["usage_month"] != row["bill_month"] else ""
        )
        plan = f"plan {row['plan']} v{row['plan_version']}"
        return f"{plan}, charge {row['charge']}, catalog {row['catalog']}{late}"

    def document(self, digits: int) -> dict[str, Any]:
        """The line for programs."""
        row = self.row
        texts = (
            "line_id",
            "charge",
            "meter",
            "plan",
            "plan_version",
            "catalog",
            "price_value",
            "reason",
            "revision",
        )
        quantities = ("quantity", "units", "total_before", "total_after", "included_before", "included_after")
        amounts = ("cost_before", "cost_after", "rated_before", "rated_after", "amount")
        return {
            **{name: row[name] for name in texts},
            "bill_month": month_text(row["bill_month"]),
            "usage_month": month_text(row["usage_month"]),
            **{name: plain(row[name]) for name in quantities},
            **{name: money_text(row[name], digits) for name in amounts},
            "counting": self.counting,
            "price": self.price,
            "arithmetic": self.arithmetic,
        }


def explain_line(row: Mapping[str, Any], charge: Charge | None, digits: int) -> LineExplanation:
    """Words for a row of `lines`; `charge` is that of its catalog, None where a catalog lost it."""
    adds_up = EXACT.subtract(row["rated_after"], row["rated_before"]) == row["amount"]
    price = None if charge is None else price_of(charge, row["price_value"])
    if charge is None or price is None:  # a plan change: the whole charge under other days
        arithmetic = difference(row["rated_after"], row["rated_before"], row["amount"], digits)
        return LineExplanation(row, _plan_change(row), "", f"f after − f before = {arithmetic}", adds_up)
    before, after = paid_of(row, "before"), paid_of(row, "after")
    return LineExplanation(
        row,
        _counting(row, charge),
        applied(charge, price, max(before, after), digits),
        _arithmetic(row, charge, price, digits),
        adds_up,
    )


def price_of(charge: Charge, value: str) -> Price | None:
    return next((price for key, price in charge.prices.items() if "/".join(key) == value), None)


def paid_of(row: Mapping[str, Any], when: str) -> int:
    return to_pico(EXACT.subtract(row[f"total_{when}"], row[f"included_{when}"]))


def _plan_change(row: Mapping[str, Any]) -> str:
    return (
        f"the plan's days in {month_text(row['usage_month'])} changed: "
        f"included {grouped(row['included_before'])} → {grouped(row['included_after'])}"
    )


def _counting(row: Mapping[str, Any], charge: Charge) -> str:
    """Where in the month the quantity stands, before and after included usage."""
    noun = "unit" if charge.of is None else charge.of
    of_value = f" at {row['price_value']}" if row["price_value"] else ""
    before, after = row["total_before"], row["total_after"]
    included = row["included_after"]
    paid_before, paid_after = pico(paid_of(row, "before")), pico(paid_of(row, "after"))
    if charge.of is None and row["quantity"] == ONE and after == after.to_integral_value():
        text = f"{ordinal(int(after))} unit of the month{of_value}"
        if not included:
            return text
        if paid_after == paid_before:
            return f"{text}, one of {grouped(included)} included so far"
        if paid_after == paid_after.to_integral_value():
            return f"{text}, {grouped(included)} included → {ordinal(int(paid_after))} paid"
    text = f"{noun} of the month{of_value}: {grouped(before)} → {grouped(after)}"
    if included or row["included_before"]:
        text += f", of these included {grouped(row['included_before'])} → {grouped(included)}"
        text += f", paid {grouped(paid_before)} → {grouped(paid_after)}"
    return text


def applied(charge: Charge, price: Price, paid_pico: int, digits: int) -> str:
    """The price that holds at a paid quantity."""
    quantity = converted(paid_pico, charge)
    conversion = ""
    if charge.per != 1 or charge.round != "none":
        rounding = "" if charge.round == "none" else f", rounded {charge.round}"
        conversion = f" per {grouped(charge.per)}{rounding}"
    return _PRICED[price.model](price, Fraction(quantity, PICO), digits) + conversion


def _tier(price: Price, quantity: Fraction) -> Tier:
    return next(tier for tier in price.tiers if tier.up_to is None or quantity <= Fraction(tier.up_to))


def _tier_words(tier: Tier, digits: int) -> str:
    reach = "last tier" if tier.up_to is None else f"tier up to {grouped(tier.up_to)}"
    parts = [f"at {money(tier.rate, digits)}"] if tier.rate or not tier.flat else []
    parts += [f"flat {money(tier.flat, digits)}"] if tier.flat else []
    return f"{reach} {' and '.join(parts)}"


def _package(price: Price, quantity: Fraction, digits: int) -> str:
    packages = -(-quantity // Fraction(price.package_size))
    size, amount = grouped(price.package_size), money(price.package_price, digits)
    return f"{packages:,} package{'' if packages == 1 else 's'} of {size} at {amount}"


def _cost_plus(price: Price, quantity: Fraction, digits: int) -> str:
    per_unit = f" + {money(price.per_unit, digits)} a unit" if price.per_unit else ""
    if price.markup is not None:
        return f"cost × (1 + {plain(price.markup)}){per_unit}"
    return f"cost ÷ (1 − {plain(price.margin or Decimal(0))}){per_unit}"


_PRICED = {
    "unit": lambda price, quantity, digits: f"{money(price.rate, digits)} each",
    "graduated": lambda price, quantity, digits: _tier_words(_tier(price, quantity), digits),
    "volume": lambda price, quantity, digits: (
        f"all of it in the {_tier_words(_tier(price, quantity), digits)}"
    ),
    "stairstep": lambda price, quantity, digits: _tier_words(_tier(price, quantity), digits),
    "package": _package,
    "cost_plus": _cost_plus,
}


def _arithmetic(row: Mapping[str, Any], charge: Charge, price: Price, digits: int) -> str:
    """f(after) − f(before) = amount; for cost_plus with the costs, with the maximum where it cut."""
    before, after = worth_of(row, charge, price, "before"), worth_of(row, charge, price, "after")
    own = EXACT.subtract(after, before)
    head = "f after − f before"
    if price.model != "cost_plus":
        head = f"f({grouped(pico(paid_of(row, 'after')))}) − f({grouped(pico(paid_of(row, 'before')))})"
    else:
        head = f"f(cost {money(row['cost_after'], digits)}) − f(cost {money(row['cost_before'], digits)})"
    text = f"{head} = {difference(after, before, own, digits)}"
    if own == row["amount"]:
        return text
    whole = difference(row["rated_after"], row["rated_before"], row["amount"], digits)
    cause = "the charge's other prices"
    if charge.maximum is not None and row["rated_after"] != row["rated_before"] + own:
        cause = (
            f"its maximum of {money(charge.maximum, digits)} a month"
            if len(charge.prices) == 1
            else (f"its other prices and its maximum of {money(charge.maximum, digits)} a month")
        )
    return f"{text}; the whole charge, with {cause}: {whole}"


def worth_of(row: Mapping[str, Any], charge: Charge, price: Price, when: str) -> Decimal:
    paid = paid_of(row, when)
    return pico(half_up(rated_yocto(price, converted(paid, charge), to_pico(row[f"cost_{when}"])), PICO))


def difference(after: Decimal, before: Decimal, amount: Decimal, digits: int) -> str:
    return f"{money(after, digits)} − {money(before, digits)} = {money(amount, digits)}"
