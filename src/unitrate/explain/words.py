"""Figures and spans of time as words of an explanation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from unitrate.figures import plain

_SPANS = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"))


def span(microseconds: int) -> str:
    """14 d, 36 h, 30 min."""
    for size, name in _SPANS:
        if microseconds and microseconds % size == 0:
            return f"{microseconds // size:,} {name}"
    return f"{microseconds / 1_000_000:,} s"


def moment(time: datetime) -> str:
    """2025-11-18 23:41:07; the explanation says once that times are UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S}"


def grouped(value: Decimal) -> str:
    """A quantity with thousands separators: 5,120,440 or 0.5."""
    return f"{Decimal(plain(value)):,f}"


def money(value: Decimal, digits: int) -> str:
    """An amount with all its digits, at least the currency's, and thousands separators."""
    text = plain(value)
    decimals = len(text.partition(".")[2])
    return f"{Decimal(text):,.{max(decimals, digits)}f}"


def instant_us(time: datetime) -> int:
    """Microseconds since 1970 of an instant, exactly."""
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def plural(count: int, noun: str) -> str:
    """1 request, 2 requests."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
