"""A re-rate's line in words: the same quantity at the price that was published, and at the corrected one.

Owns the words only. A line is of one price; where a maximum is over several, it is of the whole charge, and
says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from unitrate.catalog.compiled import Charge
from unitrate.explain.price import LineExplanation, applied, difference, paid_of, price_of, worth_of
from unitrate.explain.words import grouped, money
from unitrate.figures import EXACT, month_text, pico


def explain_rerate(row: Mapping[str, Any], before: Charge, after: Charge, digits: int) -> LineExplanation:
    """Words for a line of reason `rerate`; the charge as it was published, and as it was corrected."""
    adds_up = EXACT.subtract(row["rated_after"], row["rated_before"]) == row["amount"]
    old, new = price_of(before, row["price_value"]), price_of(after, row["price_value"])
    whole = difference(row["rated_after"], row["rated_before"], row["amount"], digits)
    counting = _counting(row, after)
    if old is None or new is None:
        words = f"all prices together under the maximum: {_terms(before, after, digits)}"
        return LineExplanation(row, counting, words, f"f after − f before = {whole}", adds_up)
    was = applied(before, old, paid_of(row, "before"), digits)
    now = applied(after, new, paid_of(row, "after"), digits)
    worth = worth_of(row, after, new, "after"), worth_of(row, before, old, "before")
    amount = EXACT.subtract(*worth)
    text = f"{_function(row, 'after')} corrected − {_function(row, 'before')} as published = "
    text += difference(*worth, amount, digits)
    if amount != row["amount"]:
        text += f"; the whole charge, with its maximum or other prices: {whole}"
    others = _terms(before, after, digits)
    price = f"{was} → {now}" + (f"; {others}" if others else "")
    return LineExplanation(row, counting, price, text, adds_up)


def _function(row: Mapping[str, Any], when: str) -> str:
    if row[f"cost_{when}"]:
        return f"f(cost {row[f'cost_{when}']:f})"
    return f"f({grouped(pico(paid_of(row, when)))})"


def _counting(row: Mapping[str, Any], charge: Charge) -> str:
    noun = "units" if charge.of is None else charge.of
    month = month_text(row["usage_month"])
    if charge.by and not row["price_value"]:
        return f"{month}, the whole charge"
    of_value = f" at {row['price_value']}" if row["price_value"] else ""
    text = f"{month}: {grouped(row['total_after'])} {noun}{of_value}"
    free, was = row["included_after"], row["included_before"]
    if free != was:
        return f"{text}, of these included {grouped(was)} → {grouped(free)}"
    return f"{text}, of these {grouped(free)} included" if free else text


def _terms(before: Charge, after: Charge, digits: int) -> str:
    """What differs beside the price itself: included usage and the maximum of a full month."""
    found = []
    if before.included != after.included:
        found.append(f"included {grouped(before.included)} → {grouped(after.included)}")
    if before.maximum != after.maximum:
        found.append(f"maximum {_amount(before.maximum, digits)} → {_amount(after.maximum, digits)}")
    return ", ".join(found)


def _amount(value: Decimal | None, digits: int) -> str:
    return "none" if value is None else money(value, digits)
