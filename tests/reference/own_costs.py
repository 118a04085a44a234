"""What a request cost, as the reference rater computes it: the provider's bill, else own prices (ruling 29).

Owns a naive reading of `costs:`; knows no price book (the comparisons use catalogs with own prices only).
Amounts are Fractions in the catalog's currency, rounded half up to 12 decimals once a request; None unpriced.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

from tests.reference.catalog_view import CatalogView, number
from tests.reference.incoming import Event

# Usage class -> (name of its own price, how many of it the price is for).
PRICED = {
    "input_tokens": ("input", 1_000_000),
    "cache_read_tokens": ("cache_read", 1_000_000),
    "cache_write_tokens": ("cache_write", 1_000_000),
    "cache_write_1h_tokens": ("cache_write_1h", 1_000_000),
    "output_tokens": ("output", 1_000_000),
    "input_audio_tokens": ("input_audio", 1_000_000),
    "cache_read_audio_tokens": ("cache_read_audio", 1_000_000),
    "output_audio_tokens": ("output_audio", 1_000_000),
    "images": ("image", 1),
    "pages": ("page", 1),
    "seconds": ("second", 1),
    "characters": ("character", 1),
    "searches": ("search", 1),
    "tool_calls": ("tool_call", 1),
}
TWELVE = 10**12


def twelve(amount: Fraction) -> Fraction:
    """Rounded half up (away from zero below zero) to 12 decimals."""
    size = math.floor(abs(amount) * TWELVE + Fraction(1, 2))
    return Fraction(size if amount >= 0 else -size, TWELVE)


def cost_of(event: Event, catalog: CatalogView) -> Fraction | None:
    """Cost of one request under one catalog; None where it is not known."""
    if event.billed is not None:
        amount, currency = event.billed
        if currency == catalog.currency:
            return twelve(amount)
        return twelve(amount * catalog.fx[currency]) if currency in catalog.fx else None
    if not any(count for name, count in event.usage.items() if name in PRICED):
        return Fraction(0)  # D48
    prices = _prices(event, catalog)
    if prices is None:
        return None
    total = Fraction(0)
    for usage_class, (name, per) in PRICED.items():
        count = event.usage.get(usage_class, 0)
        if count and prices.get(name) is None:
            return None
        if count:
            total += number(prices[name]) * count / per
    return twelve(total)


def _prices(event: Event, catalog: CatalogView) -> Mapping[str, Any] | None:
    provider, model = event.provider, event.model
    for alias in catalog.aliases:
        new = alias.get("as", alias.get("as_"))
        if alias.get("provider") == provider and alias.get("model") is None:
            provider = new
        elif alias.get("model") == model and alias.get("provider") in (None, provider):
            model = new
    for item in catalog.models:  # exact before glob
        if (item["provider"], item["model"]) == (provider, model):
            return item
    for item in catalog.models:
        if fnmatchcase(provider, item["provider"]) and fnmatchcase(model, item["model"]):
            return item
    return None
