"""Amounts stay exact from the YAML text to the compiled catalog."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalog.builders import problems
from unitrate.catalog.publication import compile_publication, publication
from unitrate.catalog.resolve import decimal_text
from unitrate.catalog.source import load_text

PLAN = """\
catalog: a
effective: 2026-10-01T00:00:00Z
currency: USD
plans: {{p: {{version: 1, minimum: {amount}}}}}
"""
amounts = st.decimals(0, Decimal(999999999999999), places=12) | st.decimals(0, 10, places=2)


@settings(max_examples=40)
@given(amounts)
def test_an_amount_is_the_same_after_publishing(amount: Decimal) -> None:
    """Up to 15 digits before the point and 12 after it."""
    text = PLAN.format(amount=format(amount, "f"))
    assert compile_publication(publication(load_text(text)[0])).plans["p"].minimum == amount


@settings(max_examples=200)
@given(amounts)
def test_a_decimal_has_one_text(amount: Decimal) -> None:
    """The text gives the value back, and trailing zeros do not matter."""
    text = decimal_text(amount)
    assert Decimal(text) == amount
    assert text == decimal_text(amount + Decimal("0.0000000000000"))
    assert "E" not in text


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("0.1234567890123", "has more than 12 decimals; round it"),
        ("1e-13", "has more than 12 decimals; round it"),
        ("1e-999", "has more than 12 decimals; round it"),
        ("1000000000000000", "must be less than 1000000000000000"),
        ("1e999", "must be less than 1000000000000000"),
        ("9" * 60 + "." + "1" * 60, "must be less than 1000000000000000"),
        ("1e9999", 'must be a number, not "1e9999"'),
    ],
)
def test_an_amount_that_no_row_can_hold_is_an_error(written: str, message: str) -> None:
    """More digits than money has in storage."""
    assert problems(PLAN.format(amount=written)) == [f"catalog.yaml:4:34  plans.p.minimum   {message}"]


def test_zeros_beyond_the_last_decimal_are_no_decimals() -> None:
    """0.5 written with twenty zeros is 0.5."""
    text = PLAN.format(amount="0.5" + "0" * 20)
    assert load_text(text)[0].model.plans["p"].minimum == Decimal("0.5")
