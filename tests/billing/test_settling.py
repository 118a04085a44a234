"""Adjustments, credits and tax of an invoice, by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from unitrate.billing.invoice import InvoiceLine, LineKey, LineKind
from unitrate.billing.settling import Billed, Credit, Tax, adjustments, credit_lines, tax_line
from unitrate.errors import InvariantError
from unitrate.timeline import first_day, month_days

NOVEMBER = month_days(202511)
DAY = first_day(202511)


def a_line(amount: int, kind: LineKind = "usage", name: str = "Runs", **values: Any) -> InvoiceLine:
    quantity = values.pop("quantity", 1 if kind == "usage" else None)
    pico = None if quantity is None else quantity * 10**12
    return InvoiceLine(kind, name, amount, "2025-11", quantity_pico=pico, plan="p", plan_version=1, **values)


def a_credit(amount: int, name: str = "c", **values: Any) -> tuple[Credit, int]:
    given = {"from_day": DAY, "expires_day": None, "priority": 100, "is_top_up": False, **values}
    return Credit(name, name, amount, catalog="2025-11", **given), amount


def used(lines: list[InvoiceLine], *held: tuple[Credit, int]) -> list[tuple[str, int]]:
    return [(line.name, line.amount_minor) for line in credit_lines(lines, held, NOVEMBER)]


# ---------------------------------------------------------------- credits (ruling 36)


def test_a_credit_pays_fees_and_usage_alike_up_to_what_is_due() -> None:
    """15.00 of usage and fee, a credit of 20.00: 15.00 is used."""
    assert used([a_line(500), a_line(1000, "fee")], a_credit(2000)) == [("c", -1500)]


def test_credits_are_used_by_priority_then_expiry_then_name() -> None:
    """Low priority first; the earlier expiry first, none last; then by name."""
    held = [
        a_credit(100, "b"),
        a_credit(100, "a"),
        a_credit(100, "soon", expires_day=DAY + 40),
        a_credit(100, "first", priority=1),
    ]
    assert used([a_line(350)], *held) == [("first", -100), ("soon", -100), ("a", -100), ("b", -50)]


@pytest.mark.parametrize(
    ("from_day", "expires_day", "usable"),
    [(29, None, True), (30, None, False), (-60, 0, True), (-60, -1, False), (-60, 40, True)],
)
def test_a_credit_is_usable_where_its_days_overlap_the_month(
    from_day: int, expires_day: int | None, usable: bool
) -> None:
    """From 30 November still, from 1 December no more; to 1 November still, to 31 October no more."""
    expires = None if expires_day is None else DAY + expires_day
    held = a_credit(100, from_day=DAY + from_day, expires_day=expires)
    assert bool(used([a_line(100)], held)) is usable


def test_a_negative_total_uses_no_credit() -> None:
    """A credit note leaves credits alone, and so does zero."""
    assert used([a_line(100), a_line(-300, "adjustment")], a_credit(100)) == []
    assert used([a_line(100), a_line(-100, "adjustment")], a_credit(100)) == []


def test_the_credit_of_a_top_up_does_not_pay_for_a_top_up() -> None:
    """80.00 for the pack and 30.00 of usage: 30.00 of its credit is used; another credit may pay the pack."""
    lines = [a_line(3000), a_line(8000, "top_up", "Pack")]
    assert used(lines, a_credit(10000, "Pack", is_top_up=True)) == [("Pack", -3000)]
    assert used(lines, a_credit(10000, "Welcome")) == [("Welcome", -10000)]


def test_what_is_used_up_pays_nothing() -> None:
    """A credit with nothing left makes no line."""
    credit, _ = a_credit(100)
    assert used([a_line(100)], (credit, 0)) == []


# ---------------------------------------------------------------- tax


@pytest.mark.parametrize(("base", "tax"), [(10050, 1910), (-10050, -1910), (3, 1), (0, 0)])
def test_tax_is_on_what_is_left_after_credits_rounded_once(base: int, tax: int) -> None:
    """100.50 × 19 % = 19.095 → 19.10, mirrored below zero."""
    lines = [a_line(base + 500), a_line(-500, "credit")]
    assert tax_line(Tax("VAT", Decimal("0.19"), ""), lines, "c").amount_minor == tax


def test_reverse_charge_is_a_line_of_zero_with_its_note() -> None:
    """The customer sees why there is no tax."""
    line = tax_line(Tax("VAT", Decimal(0), "Reverse charge"), [a_line(100)], "c")
    assert (line.kind, line.name, line.amount_minor, line.note) == ("tax", "VAT 0 %", 0, "Reverse charge")


# ---------------------------------------------------------------- adjustments (ruling 35)


def billed(amount: int, quantity: int | None = None) -> Billed:
    return Billed(amount, None if quantity is None else quantity * 10**12, None, "2025-10")


def test_an_adjustment_is_rounded_now_less_rounded_billed_by_line() -> None:
    """Usage 30.00 instead of 20.00; the minimum that was due is no more."""
    before = {
        LineKey("usage", "p", 1, "Runs", ""): billed(2000, 2),
        LineKey("minimum", "p", 1, "Runs", ""): billed(500),
    }
    found = adjustments(202510, [a_line(3000, quantity=3)], before, "2025-11")
    assert [(line.name, line.amount_minor, line.quantity_pico, line.late_from) for line in found] == [
        ("Runs", 1000, 10**12, 202510),
        ("Runs (minimum)", -500, None, 202510),
    ]


def test_a_line_that_was_never_billed_is_adjusted_whole() -> None:
    """An account that had no invoice of that month."""
    (found,) = adjustments(202510, [a_line(700, quantity=2)], {}, "2025-11")
    assert (found.amount_minor, found.quantity_pico, found.kind) == (700, 2 * 10**12, "adjustment")


def test_what_is_as_it_was_makes_no_adjustment() -> None:
    """Same amount and quantity."""
    before = {LineKey("usage", "p", 1, "Runs", ""): billed(2000, 2)}
    assert adjustments(202510, [a_line(2000, quantity=2)], before, "2025-11") == []


def test_a_change_of_free_quantity_is_shown_at_zero() -> None:
    """A late document within what is included: one more, 0.00."""
    before = {LineKey("usage", "p", 1, "Runs", ""): billed(0, 2)}
    (found,) = adjustments(202510, [a_line(0, quantity=3)], before, "2025-11")
    assert (found.amount_minor, found.quantity_pico) == (0, 10**12)


def test_adjustments_of_one_line_find_each_other_by_its_key() -> None:
    """Name and kind of the closed month's line are the key of an adjustment of it."""
    line = a_line(500, "minimum")
    (found,) = adjustments(202510, [line], {}, "2025-11")
    assert found.key == line.key


def test_a_plans_versions_are_different_lines() -> None:
    """After a change in mid-month each version's line is adjusted by itself."""
    one = a_line(100)
    other = InvoiceLine("usage", "Runs", 100, "2025-11", quantity_pico=10**12, plan="p", plan_version=2)
    assert one.key != other.key


def test_only_lines_of_a_month_itself_are_adjusted() -> None:
    """A key of another kind is a bug of ours."""
    with pytest.raises(InvariantError):
        adjustments(202510, [], {LineKey("tax", "", 0, "VAT", ""): billed(1)}, "2025-11")
