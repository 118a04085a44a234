"""Reads a price-book snapshot: which model a name means, and what it costs per item at an instant.

Owns finding (as genai-prices finds: provider by id, then by rule, then by the model's name) and the
translation of the book's prices to our usage names. Knows no package, clock, file or currency other than
the book's own; `unitrate.catalog.book` documents the snapshot's shape.

Our usage counts are disjoint, the book's contain one another (its input tokens include cached and audio
ones). So each of our classes costs the price of the most specific unit of the book that contains it: a
cache read of a model without a cache price costs what input costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

DAY_US = 86_400_000_000
ALWAYS_FROM_US = -(2**63)
ALWAYS_UNTIL_US = 2**63 - 1
NO_THRESHOLD = -1

# Usage that counts towards a request's context length.
PROMPT_TOKENS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cache_read_audio_tokens",
)

# Our usage name -> the book's price keys, the most specific first. Of token classes the last key is the
# whole direction; where the book has no price even for that, it calls the direction free ("output is free"
# at embeddings, ":free" models), and so do we. Items are different: one without a price is unpriced.
_TOKEN_KEYS: dict[str, tuple[str, ...]] = {
    "input_tokens": ("input_mtok",),
    "cache_read_tokens": ("cache_read_mtok", "input_mtok"),
    "cache_write_tokens": ("cache_write_mtok", "input_mtok"),
    "cache_write_1h_tokens": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "output_tokens": ("output_mtok",),
    "input_audio_tokens": ("input_audio_mtok", "input_mtok"),
    "cache_read_audio_tokens": ("cache_audio_read_mtok", "cache_read_mtok", "input_audio_mtok", "input_mtok"),
    "output_audio_tokens": ("output_audio_mtok", "output_mtok"),
}
_ITEM_KEYS: dict[str, tuple[str, ...]] = {
    "pages": ("input_document_kpages",),
    "seconds": ("input_audio_hours", "audio_hours"),
    "characters": ("input_mchars",),
    "searches": ("web_searches_kcount", "rerank_searches_kcount"),
}
_ITEMS_PER_PRICE = (
    ("_mtok", 1_000_000),
    ("_mchars", 1_000_000),
    ("_kpages", 1_000),
    ("_kcount", 1_000),
    ("_hours", 3_600),
)
_COMPACT_DATE = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


@dataclass(frozen=True, slots=True)
class BookRates:
    """Prices in the book's currency per item, from the highest threshold down to `NO_THRESHOLD`.

    A tier holds for requests of more prompt tokens than its threshold. `per_request` is due for every
    request, whatever it used.
    """

    tiers: tuple[tuple[int, Mapping[str, Fraction]], ...]
    per_request: Fraction
    least_seconds: int


@dataclass(frozen=True, slots=True)
class BookModel:
    """One model of the book: dated and time-of-day price entries, the last active one holds."""

    provider: str
    name: str
    entries: tuple[tuple[Sequence[Any] | None, Mapping[str, Any]], ...]
    least_seconds: int

    def entry_at(self, time_us: int) -> int:
        """Index of the entry that holds at an instant; where none is active, the first."""
        for index in range(len(self.entries) - 1, -1, -1):
            if _active(self.entries[index][0], time_us):
                return index
        return 0

    def window(self, time_us: int) -> tuple[int, int]:
        """[from, until) around an instant in which the same entry holds."""
        edges = sorted(set(_edges((when for when, _ in self.entries), time_us)))
        earlier = [edge for edge in edges if edge <= time_us]
        later = [edge for edge in edges if edge > time_us]
        return (earlier[-1] if earlier else ALWAYS_FROM_US, later[0] if later else ALWAYS_UNTIL_US)

    def rates(self, index: int) -> BookRates:
        """The prices of one entry, per item of our usage names."""
        return book_rates(self.entries[index][1], self.least_seconds)


class PriceBook:
    """A snapshot, ready to be asked. Finding is slow (milliseconds): keep what it answers."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self.name: str = snapshot["name"]
        self.version: str = snapshot["version"]
        self.currency: str = snapshot["currency"]
        self._providers: Sequence[Mapping[str, Any]] = snapshot["providers"]
        self._by_id: dict[str, Mapping[str, Any]] = {}
        for provider in self._providers:
            self._by_id.setdefault(provider["id"], provider)

    def find(self, provider: str | None, model: str) -> BookModel | None:
        """The book's model for a provider and model as a request names them; None where it knows none.

        Without a provider the model's name decides, as in genai-prices; with one that the book does not
        know there is no price, however well known the model.
        """
        name = model.lower()
        if provider is not None and provider.lower() == "litellm" and "/" in name:
            inner, rest = name.split("/", 1)
            if inner and self._provider(inner) is not None:
                provider, name = inner, rest
        found = self._provider(provider) if provider is not None else None
        if found is None and (provider is None or provider.lower() == "litellm"):
            found = self._provider_of_model(name)
        return None if found is None else self._model(found, name)

    def _provider(self, provider: str) -> Mapping[str, Any] | None:
        name = provider.lower().strip()
        if name in self._by_id:
            return self._by_id[name]
        return next((p for p in self._providers if matches(p.get("match"), name)), None)

    def _provider_of_model(self, model: str) -> Mapping[str, Any] | None:
        if not model:
            return None
        return next((p for p in self._providers if matches(p.get("model_match"), model)), None)

    def _model(self, provider: Mapping[str, Any], name: str) -> BookModel | None:
        dashed = _COMPACT_DATE.sub(_dashed_date, name)
        for candidate in (name,) if dashed == name else (name, dashed):
            for owner in (provider["id"], *provider.get("fallback", ())):
                found = self._by_id.get(owner)
                if found is not None and (model := _first_match(found, candidate)) is not None:
                    return _book_model(provider, owner, model)
        return None


def _first_match(provider: Mapping[str, Any], name: str) -> Sequence[Any] | None:
    models: Sequence[Sequence[Any]] = provider["models"]
    return next((model for model in models if matches(model[1], name)), None)


def _book_model(asked: Mapping[str, Any], owner: str, model: Sequence[Any]) -> BookModel:
    name, _, prices = model
    entries = tuple((when, items) for when, items in prices)
    return BookModel(owner, name, entries, asked.get("least_seconds", {}).get(name, 0))


def _dashed_date(found: re.Match[str]) -> str:
    """Gateways write model-20251211 where the book has model-2025-12-11."""
    year, month, day = (int(found.group(group)) for group in (2, 3, 4))
    try:
        date(year, month, day)
    except ValueError:
        return found.group(0)
    return f"{found.group(1)}{year:04d}-{month:02d}-{day:02d}"


def matches(clause: str | Sequence[Any] | None, name: str) -> bool:
    """Whether a match rule of the snapshot takes a name, which must be in lower case."""
    if clause is None:
        return False
    if not isinstance(clause, str):
        parts = clause[1:]
        if clause[0] == "or":
            return any(matches(part, name) for part in parts)
        return all(matches(part, name) for part in parts)
    mark, text = clause[0], clause[1:]
    if mark == "=":
        return name == text
    if mark == "*":
        return text in name
    if mark == "^":
        return name.startswith(text)
    if mark == "$":
        return name.endswith(text)
    return re.search(text, name) is not None


def _active(when: Sequence[Any] | None, time_us: int) -> bool:
    if when is None:
        return True
    if when[0] == "from":
        return bool(time_us >= when[1])
    _, start, end = when
    moment = time_us % DAY_US
    if end < start:  # over midnight
        return bool(moment >= start or moment < end)
    return bool(start <= moment < end)


def _edges(conditions: Iterable[Sequence[Any] | None], time_us: int) -> Iterable[int]:
    """The instants nearest to `time_us`, before and after it, at which a condition may change."""
    midnight = time_us - time_us % DAY_US
    for when in conditions:
        if when is None:
            continue
        if when[0] == "from":
            yield when[1]
        else:
            for moment in when[1:]:
                yield from (midnight + moment - DAY_US, midnight + moment, midnight + moment + DAY_US)


def book_rates(prices: Mapping[str, Any], least_seconds: int) -> BookRates:
    """One entry's prices by our usage names, one mapping a context tier.

    A tier of one price key changes only what that key prices; crossing it applies to all tokens of the
    request, not to those past it, because that is how providers bill and genai-prices computes.
    """
    starts = {tier[0] for price in prices.values() if not isinstance(price, str) for tier in price[1:]}
    thresholds = sorted(starts | {NO_THRESHOLD}, reverse=True)
    tiers = tuple((threshold, _per_item(_in_tier(prices, threshold))) for threshold in thresholds)
    per_request = _in_tier(prices, NO_THRESHOLD).get("requests_kcount", Fraction(0)) / 1_000
    return BookRates(tiers, per_request, least_seconds)


def _in_tier(prices: Mapping[str, Any], threshold: int) -> dict[str, Fraction]:
    return {
        key: Fraction(price if isinstance(price, str) else _tier_price(price, threshold))
        for key, price in prices.items()
    }


def _tier_price(price: Sequence[Any], threshold: int) -> str:
    reached: str = price[0]
    for start, tier_price in price[1:]:
        if start <= threshold:
            reached = tier_price
    return reached


def _per_item(prices: Mapping[str, Fraction]) -> dict[str, Fraction]:
    rates: dict[str, Fraction] = {}
    for name, keys in _TOKEN_KEYS.items():
        if name == "cache_read_audio_tokens" and _join_is_missing(prices):
            continue
        rates[name] = _first_price(prices, keys) or Fraction(0)
    for name, keys in _ITEM_KEYS.items():
        if (rate := _first_price(prices, keys)) is not None:
            rates[name] = rate
    return rates


def _join_is_missing(prices: Mapping[str, Fraction]) -> bool:
    """Cached audio priced as cached and as audio but not as both: genai-prices refuses to guess, so do we."""
    return (
        "cache_read_mtok" in prices and "input_audio_mtok" in prices and "cache_audio_read_mtok" not in prices
    )


def _first_price(prices: Mapping[str, Fraction], keys: Iterable[str]) -> Fraction | None:
    for key in keys:
        if key in prices:
            return prices[key] / next(items for suffix, items in _ITEMS_PER_PRICE if key.endswith(suffix))
    return None
