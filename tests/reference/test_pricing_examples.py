"""Price models against worked examples that are not ours: figures from the documentation of billing systems.

Each example is one unit that measures the example's quantity (`of: pages`), taken through the whole engine
and through the reference rater. The source is named by its page's title; the figures are all that was taken.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import pytest

from tests.reference.builders import a_catalog, a_plan, an_event, raw
from tests.reference.engine_view import Run
from tests.reference.invoicing import invoice
from tests.reference.own_pricing import price_of
from tests.reference.rater import EventRecord, Figures, Publication, Record, rate


class Example(NamedTuple):
    """What a page says a quantity (or, for cost_plus, a cost) comes to."""

    source: str
    charge: dict[str, Any]
    quantity: str
    amount: str
    cost: str = "0"


def unit(rate_: str, **more: str) -> dict[str, Any]:
    return {"price": {"model": "unit", "rate": rate_}, **more}


def tiers(model: str, *rows: dict[str, str], **more: str) -> dict[str, Any]:
    return {"price": {"model": model, "tiers": list(rows)}, **more}


def package(size: str, price: str, **more: str) -> dict[str, Any]:
    return {"price": {"model": "package", "size": size, "price": price}, **more}


def cost_plus(**share: str) -> dict[str, Any]:
    return {"price": {"model": "cost_plus", **share}}


STRIPE = "Stripe: Set up tiered pricing"
FONTS = ({"up_to": "5", "rate": "7"}, {"up_to": "10", "rate": "6.5"}, {"rate": "6"})
ZUPLO = "Zuplo: Pricing models"
ZUPLO_TIERS = ({"up_to": "1000", "rate": "0.10"}, {"up_to": "10000", "rate": "0.05"}, {"rate": "0.01"})
AUTUMN = "Autumn: Graduated pricing"
AUTUMN_TIERS = ({"up_to": "1000", "rate": "0.01"}, {"up_to": "10000", "rate": "0.008"}, {"rate": "0.005"})
LAGO = "Lago: Charge models, "
LAGO_TIERS = (
    {"up_to": "10000", "rate": "0.0010", "flat": "10"},
    {"up_to": "50000", "rate": "0.0008", "flat": "10"},
    {"up_to": "100000", "rate": "0.0006", "flat": "10"},
    {"rate": "0.0004", "flat": "10"},
)
LAGO_GRADUATED = ({"up_to": "100", "rate": "1"}, {"up_to": "200", "rate": "0.50"}, {"rate": "0.10"})
RECURLY = "Recurly: Tiered, volume and stairstep pricing"
SEATS = ({"up_to": "10", "flat": "50"}, {"up_to": "20", "flat": "100"}, {"flat": "150"})
ORACLE = "Oracle Banking Liquidity Management: Examples for tier based amount"
SLABS = ("250", "10", "1"), ("500", "20", "2"), (None, "30", "3")
SLAB_FLATS = [{**({"up_to": top} if top else {}), "flat": flat} for top, flat, _ in SLABS]
SLAB_RATES = [{**({"up_to": top} if top else {}), "rate": one} for top, _, one in SLABS]
CHARGEBEE = "Chargebee: Package pricing"
ZUORA_FLATS = (
    {"up_to": "5", "flat": "0"},
    {"up_to": "7", "flat": "200"},
    {"up_to": "9", "flat": "100"},
    {"rate": "75"},
)

EXAMPLES = [
    Example(STRIPE, tiers("volume", *FONTS), "1", "7"),
    Example(STRIPE, tiers("volume", *FONTS), "5", "35"),
    Example(STRIPE, tiers("volume", *FONTS), "6", "39"),
    Example(STRIPE, tiers("volume", *FONTS), "20", "120"),
    Example(STRIPE, tiers("volume", *FONTS), "25", "150"),
    Example(STRIPE, tiers("graduated", *FONTS), "5", "35"),
    Example(ZUPLO, unit("0.001"), "100000", "100"),
    Example(ZUPLO, tiers("graduated", *ZUPLO_TIERS), "15000", "600"),
    Example(ZUPLO, tiers("volume", *ZUPLO_TIERS), "15000", "150"),
    Example(AUTUMN, tiers("graduated", *AUTUMN_TIERS), "15000", "107"),
    Example("Autumn: Spend limits", unit("1", per="1000", included="1000"), "6000", "5"),
    Example(LAGO + "volume", tiers("volume", *LAGO_TIERS), "65000", "49"),
    Example(LAGO + "graduated", tiers("graduated", *LAGO_GRADUATED), "100", "100"),
    Example(LAGO + "graduated", tiers("graduated", *LAGO_GRADUATED), "200", "150"),
    Example(LAGO + "package", package("100", "5", included="100"), "201", "10"),
    Example("Lago: Spending minimums", unit("0.010"), "5000", "50"),
    Example(RECURLY, tiers("graduated", {"up_to": "100", "rate": "1"}, {"rate": "0.50"}), "100", "100"),
    Example(RECURLY, tiers("volume", {"up_to": "19", "rate": "10"}, {"rate": "9"}), "21", "189"),
    Example(RECURLY, tiers("stairstep", *SEATS), "10", "50"),
    Example(RECURLY, tiers("stairstep", *SEATS), "11", "100"),
    Example(RECURLY, tiers("stairstep", *SEATS), "25", "150"),
    Example(RECURLY, tiers("stairstep", *SEATS), "100", "150"),
    Example(ORACLE, tiers("graduated", *SLAB_FLATS), "1000", "60"),
    Example(ORACLE, tiers("graduated", *SLAB_RATES), "1000", "2250"),
    Example(ORACLE, tiers("stairstep", *SLAB_FLATS), "1000", "30"),
    Example(ORACLE, tiers("volume", *SLAB_RATES), "1000", "3000"),
    Example("Zuora: Tiered pricing", tiers("graduated", *ZUORA_FLATS), "8.5", "300"),
    Example(
        "Solvimon: Stairstep pricing",
        tiers("graduated", {"up_to": "100", "flat": "25"}, {"flat": "20"}),
        "200",
        "45",
    ),
    Example("Flexprice: Tiered", unit("0.0006"), "65000", "39"),
    Example("Flexprice: Tiered, package size in a tier", package("1000", "1.00"), "4500", "5"),
    Example("Flexprice: Tiered, package size in a tier", unit("1.00", per="1000", round="up"), "4500", "5"),
    Example(CHARGEBEE, package("1000000", "1.25"), "10", "1.25"),
    Example(CHARGEBEE, package("1000000", "1.25"), "1000000", "1.25"),
    Example(CHARGEBEE, package("1000000", "1.25"), "1500000", "2.50"),
    Example("CalcReal: Markup calculator", cost_plus(markup="0.50"), "1", "60", cost="40"),
    Example(
        "Math On Demand: Selling price after a 20 % margin", cost_plus(margin="0.20"), "1", "125", cost="100"
    ),
    Example(
        "Math On Demand: Selling price after a 25 % margin", cost_plus(margin="0.25"), "1", "100", cost="75"
    ),
]


def named(example: Example) -> str:
    return f"{example.source}: {example.quantity} at {example.charge['price']['model']}"


def log(charge: dict[str, Any], *quantities: str, cost: str = "0", **plan: Any) -> list[Record]:
    """A catalog with the charge, and one unit for each quantity."""
    price = charge["price"]
    own = {key: value for key, value in charge.items() if key != "price"}
    document = a_catalog(plans={"basic": a_plan(price, of="pages", **own, **plan)})
    events = []
    for i, quantity in enumerate(quantities):
        run: dict[str, Any] = {"run": f"r{i}", "attributes": {"pages": quantity}}
        events.append(an_event(id=f"a{i}", cost={"amount": cost, "currency": "USD"}, **run))
        events.append(an_event("work.completed", id=f"b{i}", **run))
    return [Publication(0, document), *(EventRecord(i + 1, raw(e)) for i, e in enumerate(events))]


def reference(records: list[Record]) -> Figures:
    return rate(records, kafka=False)


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_the_engine_bills_what_the_page_says(example: Example) -> None:
    """From the event to the line."""
    store = Run(kafka=False).all(log(example.charge, example.quantity, cost=example.cost))
    assert sum(line["amount"] for line in store.lines) == Fraction(example.amount) * 10**12


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_the_reference_rater_bills_what_the_page_says(example: Example) -> None:
    """The reference may be wrong too."""
    figures = reference(log(example.charge, example.quantity, cost=example.cost))
    assert [c.amount for c in figures.charges.values()] == [Fraction(example.amount)]


def test_included_usage_is_used_up_over_several_quantities() -> None:
    """OpenMeter, Discounts and commitment: 500 free of 300, 250 and 100 leave 0, 50 and 100 to pay."""
    records = log(unit("1", included="500"), "300", "250", "100")
    amounts = [line["amount"] // 10**12 for line in Run(kafka=False).all(records).lines]
    assert amounts == [0, 50, 100]
    assert [u.revenue for u in reference(records).units.values()] == [Fraction(a) for a in amounts]


@pytest.mark.parametrize(
    ("source", "rate_", "quantity", "minimum", "missing"),
    [
        ("Lago: Spending minimums", "0.010", "5000", "100", "50"),
        ("Lago: Negotiated contract billing", "1", "800", "1000", "200"),
        ("Lago: Negotiated contract billing", "1", "1300", "1000", "0"),
    ],
)
def test_a_minimum_is_trued_up_by_a_line_of_its_own(
    source: str, rate_: str, quantity: str, minimum: str, missing: str
) -> None:
    """The difference between the minimum and the usage, if usage is below."""
    figures = reference(log(unit(rate_, minimum=minimum), quantity))
    lines = invoice(figures.walk, "acme", 202610)
    assert lines is not None
    assert sum((line.amount for line in lines if line.kind == "minimum"), Fraction(0)) == Fraction(missing), (
        source
    )


def test_markup_and_margin_meet_where_a_page_says_that_they_do() -> None:
    """EdgeIMS, Margin and markup formulas: 205 sold at 300 is a margin of .31667, a markup of .46341."""
    cost = Fraction(205)
    by_margin = price_of({"model": "cost_plus", "margin": "0.31667"}, Fraction(1), cost)
    by_markup = price_of({"model": "cost_plus", "markup": "0.46341"}, Fraction(1), cost)
    assert [str(round(amount, 2)) for amount in (by_margin, by_markup)] == ["300", "300"]
