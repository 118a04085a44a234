"""Figures as exact text: what JSON, CSV and invoices write.

Owns the spelling of decimals and months: never an exponent, never a digit dropped.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

RATE_STEP = Decimal("0.000001")
EXACT = Context(prec=96, rounding=ROUND_HALF_UP)  # wider than any stored sum; the default context would cut


def plain(value: Decimal) -> str:
    """A decimal without an exponent and without zeros that say nothing: 94, 0.5."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def money_text(value: Decimal, minor_digits: int) -> str:
    """Money with all its digits, and at least those of the currency: 3.10, 0.017756."""
    text = plain(value)
    whole, _, fraction = text.partition(".")
    fraction = fraction.ljust(minor_digits, "0")
    return f"{whole}.{fraction}" if fraction else whole


def minor_text(amount_minor: int, minor_digits: int) -> str:
    """An amount in minor units: 12.30, or 12 where the currency has no minor unit."""
    return str(EXACT.scaleb(Decimal(amount_minor), -minor_digits))


def pico(value_pico: int) -> Decimal:
    """An integer of 10⁻¹² as the decimal it stands for."""
    return EXACT.scaleb(Decimal(value_pico), -12)


def ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    """part ÷ whole to six decimals, half up; None where there is no whole."""
    return EXACT.quantize(EXACT.divide(part, whole), RATE_STEP) if whole else None


def rounded(value: Decimal, digits: int) -> Decimal:
    """A figure rounded half up for reading; never for reckoning on."""
    return EXACT.plus(EXACT.quantize(value, EXACT.scaleb(Decimal(1), -digits)))  # plus: no "-0.00"


def month_text(period: int) -> str:
    """202511 as 2025-11."""
    return f"{period // 100:04d}-{period % 100:02d}"
