"""The arithmetic of a rated line in words, for every price model."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from unitrate.catalog.compiled import Charge, Price, Tier
from unitrate.explain.price import LineExplanation, explain_line
from unitrate.pricing import charge_pico
from unitrate.rating import Counter, Share

PICO = 10**12
GRADUATED = (
    Tier(Decimal(20), Decimal("3.10")),
    Tier(Decimal(60), Decimal("2.80")),
    Tier(None, Decimal("2.50")),
)


def a_charge(price: Price, **fields: Any) -> Charge:
    named: dict[str, Any] = {
        "name": "Issues", "meter": "issue", "of": None, "included": Decimal(0), "by": (),
        "prices": {(): price}, "per": Decimal(1), "round": "none", "minimum": Decimal(0), "maximum": None,
        "stop_on_maximum": False, "rules": (),
    }  # fmt: skip
    return Charge(**(named | fields))


def the_line(
    charge: Charge, before: int, quantity: int = 1, value: tuple[str, ...] = (), cost: str = "0"
) -> dict[str, Any]:
    """The row that the rating makes when `quantity` is added after `before` units, each with a cost."""
    counter = Counter(("acme", 202511, "growth", 1, charge.name), charge, 30, 30)
    cost_pico = int(Decimal(cost) * PICO)
    if before:
        counter.change(None, Share(value, before * PICO, before * cost_pico, before * PICO))
    move = counter.change(None, Share(value, quantity * PICO, quantity * cost_pico, quantity * PICO))[0]
    figures = {
        "quantity": move.quantity_pico, "units": move.units_pico,
        "total_before": move.total[0], "total_after": move.total[1],
        "included_before": move.included[0], "included_after": move.included[1],
        "cost_before": move.cost[0], "cost_after": move.cost[1],
        "rated_before": move.rated[0], "rated_after": move.rated[1], "amount": move.rated[1] - move.rated[0],
    }  # fmt: skip
    return {
        "line_id": "x.1.0", "charge": charge.name, "meter": "issue", "plan": "growth", "plan_version": 1,
        "catalog": "2025-11", "price_value": "/".join(value), "reason": "ok", "revision": 1,
        "bill_month": 202511, "usage_month": 202511,
        **{name: Decimal(pico).scaleb(-12) for name, pico in figures.items()},
    }  # fmt: skip


def explained(charge: Charge, before: int, quantity: int = 1, cost: str = "0") -> LineExplanation:
    return explain_line(the_line(charge, before, quantity, cost=cost), charge, 2)


UNIT = Price("unit", rate=Decimal("0.40"))
CENT = Price("unit", rate=Decimal("0.01"))
STEPS = (Tier(Decimal(10), flat=Decimal(50)), Tier(None, flat=Decimal(90)))
PLUS = Price("cost_plus", markup=Decimal("0.40"), per_unit=Decimal("0.10"))
BY_THOUSAND = a_charge(Price("unit", rate=Decimal(2)), of="pages", per=Decimal(1000), round="up")

# charge, quantity before, quantity, then the three sentences
MODELS = [
    (a_charge(UNIT), 4, 1, "5th unit of the month", "0.40 each", "f(5) − f(4) = 2.00 − 1.60 = 0.40"),
    (
        a_charge(Price("graduated", tiers=GRADUATED), included=Decimal(5)),
        14,
        1,
        "15th unit of the month, 5 included → 10th paid",
        "tier up to 20 at 3.10",
        "f(10) − f(9) = 31.00 − 27.90 = 3.10",
    ),
    (
        a_charge(Price("graduated", tiers=GRADUATED), included=Decimal(5)),
        2,
        1,
        "3rd unit of the month, one of 3 included so far",
        "tier up to 20 at 3.10",
        "f(0) − f(0) = 0.00 − 0.00 = 0.00",
    ),
    (
        a_charge(Price("graduated", tiers=GRADUATED)),
        60,
        1,
        "61st unit of the month",
        "last tier at 2.50",
        "f(61) − f(60) = 176.50 − 174.00 = 2.50",
    ),
    (
        a_charge(Price("volume", tiers=GRADUATED)),
        20,
        1,
        "21st unit of the month",
        "all of it in the tier up to 60 at 2.80",
        "f(21) − f(20) = 58.80 − 62.00 = -3.20",
    ),
    (
        a_charge(Price("package", package_size=Decimal(10), package_price=Decimal(7))),
        10,
        1,
        "11th unit of the month",
        "2 packages of 10 at 7.00",
        "f(11) − f(10) = 14.00 − 7.00 = 7.00",
    ),
    (
        a_charge(Price("stairstep", tiers=STEPS)),
        10,
        1,
        "11th unit of the month",
        "last tier flat 90.00",
        "f(11) − f(10) = 90.00 − 50.00 = 40.00",
    ),
    (
        a_charge(PLUS),
        1,
        1,
        "2nd unit of the month",
        "cost × (1 + 0.4) + 0.10 a unit",
        "f(cost 1.00) − f(cost 0.50) = 1.60 − 0.80 = 0.80",
    ),
    (
        a_charge(Price("cost_plus", margin=Decimal("0.5"))),
        1,
        1,
        "2nd unit of the month",
        "cost ÷ (1 − 0.5)",
        "f(cost 1.00) − f(cost 0.50) = 2.00 − 1.00 = 1.00",
    ),
    (
        BY_THOUSAND,
        1500,
        700,
        "pages of the month: 1,500 → 2,200",
        "2.00 each per 1,000, rounded up",
        "f(2,200) − f(1,500) = 6.00 − 4.00 = 2.00",
    ),
    (
        a_charge(CENT, of="pages", included=Decimal(1000)),
        900,
        300,
        "pages of the month: 900 → 1,200, of these included 900 → 1,000, paid 0 → 200",
        "0.01 each",
        "f(200) − f(0) = 2.00 − 0.00 = 2.00",
    ),
]


@pytest.mark.parametrize(
    ("charge", "before", "quantity", "counting", "price", "arithmetic"),
    MODELS,
    ids=[f"{next(iter(case[0].prices.values())).model}-{case[1]}" for case in MODELS],
)
def test_a_line_says_where_it_stands_which_price_applies_and_the_difference(
    charge: Charge, before: int, quantity: int, counting: str, price: str, arithmetic: str
) -> None:
    """The unit's place in the month, the tier, and f(after) − f(before)."""
    found = explained(charge, before, quantity, cost="0.50")
    assert (found.counting, found.price, found.arithmetic) == (counting, price, arithmetic)
    assert found.adds_up


def test_a_line_that_the_maximum_cut_says_so() -> None:
    """10 a unit, at most 25 a month: the third bills 5."""
    found = explained(a_charge(Price("unit", rate=Decimal(10)), maximum=Decimal(25)), 2)
    assert found.arithmetic == (
        "f(3) − f(2) = 30.00 − 20.00 = 10.00; "
        "the whole charge, with its maximum of 25.00 a month: 25.00 − 20.00 = 5.00"
    )


def test_a_line_that_frees_included_usage_says_that_other_prices_changed() -> None:
    """A light unit is taken back, its included place goes to a heavy one: more than its own price changes."""
    prices = {("light",): Price("unit", rate=Decimal(1)), ("heavy",): Price("unit", rate=Decimal(5))}
    charge = a_charge(Price("unit"), by=("size",), included=Decimal(1), prices=prices)
    counter = Counter(("acme", 202511, "growth", 1, charge.name), charge, 30, 30)
    light, heavy = Share(("light",), PICO, 0, PICO), Share(("heavy",), PICO, 0, PICO)
    counter.change(None, light)
    counter.change(None, heavy)
    move = counter.change(light, None)[0]
    row = the_line(charge, 0, value=("light",))
    names = ("total", "included", "cost", "rated")
    for name, pair in zip(names, (move.total, move.included, move.cost, move.rated), strict=True):
        row[f"{name}_before"], row[f"{name}_after"] = (Decimal(pico).scaleb(-12) for pico in pair)
    row["quantity"], row["amount"] = Decimal(-1), Decimal(-5)
    found = explain_line(row, charge, 2)
    assert found.arithmetic == (
        "f(0) − f(0) = 0.00 − 0.00 = 0.00; "
        "the whole charge, with the charge's other prices: 0.00 − 5.00 = -5.00"
    )
    assert charge_pico(charge, [(("heavy",), 0, 0)], None) == 0


def test_a_line_that_is_not_its_own_difference_is_found_out() -> None:
    """amount ≠ rated_after − rated_before is said, never hidden."""
    charge = a_charge(Price("unit", rate=Decimal(1)))
    row = the_line(charge, 0) | {"amount": Decimal("1.01")}
    assert not explain_line(row, charge, 2).adds_up


def test_a_late_line_names_the_month_that_it_is_late_from() -> None:
    """An adjustment is billed in December for November."""
    charge = a_charge(Price("unit", rate=Decimal(1)))
    row = the_line(charge, 0) | {"bill_month": 202512}
    heading = explain_line(row, charge, 2).heading
    assert heading == "plan growth v1, charge Issues, catalog 2025-11, late from 2025-11"
