"""Invoice lines from rated usage and plans: one rounding, minimums, fees, part months."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest

from unitrate.billing.invoice import (
    Invoice,
    UsagePart,
    derived_invoice_id,
    document,
    draft,
    first_month,
    segments,
)
from unitrate.catalog.compiled import DAY_US, Account, Catalog, Charge, Fee, Plan, Price, Subscription, Zone
from unitrate.timeline import Timeline, first_day, month_days

UTC = Zone("UTC", (-(2**62),), (0,))
NOVEMBER = first_day(202511)  # 30 days


def a_charge(name: str = "Runs", minimum: str = "0", included: str = "0") -> Charge:
    price = Price("unit", rate=Decimal("0.10"))
    return Charge(
        name=name, meter="runs", of=None, included=Decimal(included), by=(), prices={(): price},
        per=Decimal(1), round="none", minimum=Decimal(minimum), maximum=None, stop_on_maximum=False, rules=(),
    )  # fmt: skip


def a_plan(*charges: Charge, fees: tuple[Fee, ...] = (), minimum: str = "0", version: int = 1) -> Plan:
    return Plan("growth", version, fees, charges, Decimal(minimum))


def a_catalog(
    plan: Plan,
    days: Iterable[tuple[int, int | None]] = ((NOVEMBER, None),),
    *,
    effective_day: int = NOVEMBER,
    currency: str = "USD",
    digits: int = 2,
    name: str = "2025-11",
) -> Catalog:
    subscriptions = tuple(Subscription(plan.name, first, last) for first, last in days)
    account = Account("acme", "Acme", UTC, subscriptions, {}, frozenset())
    return Catalog(
        id=name, effective_us=effective_day * DAY_US, currency=currency, minor_digits=digits, zone=UTC,
        dedupe_us=0, unknown_is_zero=False, costs=cast("Any", None), meters=(), plans={plan.name: plan},
        accounts={"acme": account}, sha256="", book_version="",
    )  # fmt: skip


def a_timeline(*catalogs: Catalog) -> Timeline:
    timeline = Timeline()
    for catalog in catalogs:
        timeline.add(catalog)
    return timeline


def used(
    amount: str, *, charge: str = "Runs", value: str = "", version: int = 1, quantity: int = 1
) -> UsagePart:
    pico = int(Decimal(amount).scaleb(12))
    return UsagePart("growth", version, charge, "runs", value, quantity * 10**12, pico, "2025-11")


def lines(invoice: Invoice) -> list[tuple[str, str, str]]:
    return [(line["kind"], line["name"], line["amount"]) for line in document(invoice)["lines"]]


def total(invoice: Invoice) -> str:
    return str(document(invoice)["total"])


def test_an_account_with_a_plan_and_nothing_to_pay_has_a_total_of_zero() -> None:
    """No usage, no fee, no minimum: the invoice is there, and empty."""
    invoice = document(draft(a_timeline(a_catalog(a_plan(a_charge()))), "acme", 202511, []))
    assert invoice == {
        "invoice_id": derived_invoice_id("acme", 202511),
        "account": "acme",
        "period": "2025-11",
        "currency": "USD",
        "status": "draft",
        "lines": [],
        "subtotal": "0.00",
        "credits": "0.00",
        "total": "0.00",
    }


def test_a_usage_line_says_what_was_used_what_was_included_and_which_catalog_priced_it() -> None:
    """The keys of a line are those of the contract, in its order."""
    timeline = a_timeline(a_catalog(a_plan(a_charge(included="4"))))
    invoice = document(draft(timeline, "acme", 202511, [used("3.6", quantity=10)]))
    assert invoice["lines"] == [
        {
            "kind": "usage",
            "name": "Runs",
            "meter": "runs",
            "quantity": "10",
            "included": "4",
            "amount": "3.60",
            "catalog": "2025-11",
            "late_from": None,
        }
    ]


def test_a_charge_is_rounded_once_over_all_its_prices() -> None:
    """Two prices of 0.004 each are 0.01 together; rounded one by one they would be 0.00."""
    timeline = a_timeline(a_catalog(a_plan(a_charge())))
    invoice = draft(timeline, "acme", 202511, [used("0.004", value="light"), used("0.004", value="heavy")])
    assert lines(invoice) == [("usage", "Runs", "0.01")]


@pytest.mark.parametrize(
    ("currency", "digits", "amount", "rounded"),
    [("USD", 2, "0.005", "0.01"), ("USD", 2, "0.004999999999", "0.00"), ("JPY", 0, "10.5", "11"),
     ("JPY", 0, "10.499", "10"), ("KWD", 3, "0.0005", "0.001"), ("KWD", 3, "0.0004", "0.000")],
)  # fmt: skip
def test_amounts_are_rounded_half_up_to_the_minor_unit(
    currency: str, digits: int, amount: str, rounded: str
) -> None:
    """Yen have no minor unit, Kuwaiti dinars have three digits."""
    catalog = a_catalog(a_plan(a_charge()), currency=currency, digits=digits)
    assert total(draft(a_timeline(catalog), "acme", 202511, [used(amount)])) == rounded


def test_a_minimum_tops_up_the_rounded_usage() -> None:
    """200.00 − 12.35 (12.345 rounded) = 187.65, so that the customer's own sum agrees."""
    timeline = a_timeline(a_catalog(a_plan(a_charge(minimum="200"))))
    invoice = draft(timeline, "acme", 202511, [used("12.345")])
    assert lines(invoice) == [("usage", "Runs", "12.35"), ("minimum", "Runs", "187.65")]
    assert total(invoice) == "200.00"


def test_a_minimum_is_due_without_usage_too() -> None:
    """The minimum stands alone."""
    invoice = draft(a_timeline(a_catalog(a_plan(a_charge(minimum="200")))), "acme", 202511, [])
    assert lines(invoice) == [("minimum", "Runs", "200.00")]


def test_a_minimum_that_usage_reaches_makes_no_line() -> None:
    """Equal is enough."""
    timeline = a_timeline(a_catalog(a_plan(a_charge(minimum="12.35"))))
    assert lines(draft(timeline, "acme", 202511, [used("12.345")])) == [("usage", "Runs", "12.35")]


def test_a_minimum_of_a_part_month_is_prorated_by_days() -> None:
    """10 November to the end are 21 of 30 days: 200 × 21 / 30 = 140."""
    timeline = a_timeline(a_catalog(a_plan(a_charge(minimum="200")), [(NOVEMBER + 9, None)]))
    assert total(draft(timeline, "acme", 202511, [])) == "140.00"


def test_the_last_day_of_a_subscription_counts() -> None:
    """From the 1st to the 15th are 15 days of 30."""
    timeline = a_timeline(a_catalog(a_plan(a_charge(minimum="200")), [(NOVEMBER, NOVEMBER + 14)]))
    assert total(draft(timeline, "acme", 202511, [])) == "100.00"


def test_a_plan_minimum_looks_at_all_usage_charges_and_not_at_fees() -> None:
    """Usage 30 and a charge minimum of 20 fill 50 of 100; the fee of 499 fills nothing."""
    fee = Fee("Platform", Decimal(499), monthly=True, prorate=True)
    plan = a_plan(a_charge(), a_charge("Pages", minimum="20"), fees=(fee,), minimum="100")
    invoice = draft(a_timeline(a_catalog(plan)), "acme", 202511, [used("30")])
    assert lines(invoice) == [
        ("usage", "Runs", "30.00"),
        ("minimum", "Pages", "20.00"),
        ("minimum", "growth", "50.00"),
        ("fee", "Platform", "499.00"),
    ]


def test_a_monthly_fee_is_prorated_unless_the_catalog_says_not_to() -> None:
    """21 of 30 days: 499 × 0.7 = 349.30, and 100 whole."""
    fees = (Fee("Platform", Decimal(499), True, True), Fee("Support", Decimal(100), True, False))
    timeline = a_timeline(a_catalog(a_plan(fees=fees), [(NOVEMBER + 9, None)]))
    assert lines(draft(timeline, "acme", 202511, [])) == [
        ("fee", "Platform", "349.30"),
        ("fee", "Support", "100.00"),
    ]


def test_a_fee_that_is_due_once_falls_in_the_first_month_and_is_whole() -> None:
    """2,500 in November, nothing in December."""
    timeline = a_timeline(
        a_catalog(a_plan(fees=(Fee("Setup", Decimal(2500), False, True),)), [(NOVEMBER + 20, None)])
    )
    assert total(draft(timeline, "acme", 202511, [])) == "2500.00"
    assert lines(draft(timeline, "acme", 202512, [])) == []


def test_a_new_version_of_a_plan_does_not_make_a_fee_due_again() -> None:
    """The first month is that of the plan's name: version 2 in December brings no second setup."""
    fees = (Fee("Setup", Decimal(2500), False, True),)
    later = a_catalog(a_plan(fees=fees, version=2), effective_day=first_day(202512), name="2025-12")
    timeline = a_timeline(a_catalog(a_plan(fees=fees)), later)
    assert first_month(timeline, "acme", "growth") == 202511
    assert lines(draft(timeline, "acme", 202512, [])) == []


def test_a_plan_change_in_mid_month_prorates_both_and_keeps_their_usage_apart() -> None:
    """15 days each: minimum 200 and 300 → 100 and 150; whole fees are due once."""
    fees = (Fee("Support", Decimal(100), True, False), Fee("Platform", Decimal(60), True, True))
    first = a_catalog(a_plan(a_charge(minimum="200"), fees=fees))
    second = a_catalog(
        a_plan(a_charge(minimum="300"), fees=fees, version=2), effective_day=NOVEMBER + 15, name="2025-11b"
    )
    invoice = draft(a_timeline(first, second), "acme", 202511, [used("40"), used("70", version=2)])
    assert lines(invoice) == [
        ("usage", "Runs", "40.00"),
        ("minimum", "Runs", "60.00"),
        ("usage", "Runs", "70.00"),
        ("minimum", "Runs", "80.00"),
        ("fee", "Support", "100.00"),
        ("fee", "Platform", "30.00"),
        ("fee", "Platform", "30.00"),
    ]


def test_usage_that_was_taken_back_leaves_no_line() -> None:
    """A unit that billed and was reversed in the open month sums to nothing."""
    part = replace(used("0"), quantity_pico=0)
    assert lines(draft(a_timeline(a_catalog(a_plan(a_charge()))), "acme", 202511, [part])) == []


def test_free_usage_has_a_line() -> None:
    """Included usage is shown, at 0.00."""
    assert lines(draft(a_timeline(a_catalog(a_plan(a_charge()))), "acme", 202511, [used("0")])) == [
        ("usage", "Runs", "0.00")
    ]


def test_a_month_before_the_plan_has_no_fees() -> None:
    """Nothing is due in October."""
    fees = (Fee("Platform", Decimal(499), True, True),)
    assert lines(draft(a_timeline(a_catalog(a_plan(fees=fees))), "acme", 202510, [])) == []


def test_included_usage_of_a_part_month_is_rounded_up_to_a_whole_unit() -> None:
    """100 × 20 / 30 days = 66.7: 67 of the 80 are included."""
    timeline = a_timeline(a_catalog(a_plan(a_charge(included="100")), [(NOVEMBER + 10, None)]))
    line = draft(timeline, "acme", 202511, [used("1.30", quantity=80)]).lines[0]
    assert line.included_pico == 67 * 10**12


def test_included_is_what_was_used_of_it() -> None:
    """3 units of 100 included: the line says 3."""
    timeline = a_timeline(a_catalog(a_plan(a_charge(included="100"))))
    assert draft(timeline, "acme", 202511, [used("0", quantity=3)]).lines[0].included_pico == 3 * 10**12


def test_segments_are_those_of_a_walk_over_all_days() -> None:
    """Only days on which a plan may change are looked at; the result is that of looking at each."""
    plans = [a_plan(version=1), a_plan(version=2), a_plan(version=3)]
    spans: list[list[tuple[int, int | None]]] = [
        [(NOVEMBER - 3, NOVEMBER + 4), (NOVEMBER + 9, None)],
        [(NOVEMBER + 2, NOVEMBER + 21)],
        [(NOVEMBER, None)],
    ]
    effective = [NOVEMBER - 9, NOVEMBER + 6, NOVEMBER + 15]
    catalogs = [
        a_catalog(plan, days, effective_day=day, name=f"c{day}")
        for plan, days, day in zip(plans, spans, effective, strict=True)
    ]
    for upto in range(1, 4):
        timeline = a_timeline(*catalogs[:upto])
        for month in (202510, 202511, 202512):
            walked: dict[int, tuple[int, str]] = {}
            for day in month_days(month):
                catalog, plan = timeline.plan_on("acme", day)
                if plan is not None:
                    walked[plan.version] = (walked.get(plan.version, (0, ""))[0] + 1, catalog.id)
            found = segments(timeline, "acme", month)
            assert {s.plan.version: (s.days, s.catalog) for s in found} == walked
            assert [s.plan.version for s in found] == list(walked)
