"""What a request cost us: from usage to money, exactly, in the catalog's currency.

Owns the order of prices (aliases, then own prices, then the price book), the conversion of currencies and
the one rounding of a request's cost. Must never read a file, a clock or the genai-prices package: the book
arrives as the snapshot that a publication carries, and the request's time as an argument.

Rates are integers of 10⁻¹⁸ currency units per item (`ATTO`), or finer where a price does not end there (a
price per hour, divided by 3,600 seconds), so a cost is one sum of integer products and one rounding, half
up, to 10⁻¹² ("pico").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any, Final, TypeVar

from unitrate.errors import InvariantError
from unitrate.price_book import (
    ALWAYS_FROM_US,
    ALWAYS_UNTIL_US,
    NO_THRESHOLD,
    PROMPT_TOKENS,
    BookModel,
    PriceBook,
)
from unitrate.pricing import PICO, half_up

ATTO: Final = 10**18
TOKENS_PER_PRICE: Final = 1_000_000
INFORMATIVE: Final = "reasoning_tokens"  # a part of the output tokens, which are charged already

# Names of own prices -> usage names. Tokens are priced per million, everything else per item.
OWN_TOKEN_PRICES: Final[Mapping[str, str]] = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "output": "output_tokens",
    "input_audio": "input_audio_tokens",
    "output_audio": "output_audio_tokens",
    "cache_read_audio": "cache_read_audio_tokens",
}
OWN_ITEM_PRICES: Final[Mapping[str, str]] = {
    "image": "images",
    "page": "pages",
    "second": "seconds",
    "character": "characters",
    "search": "searches",
    "tool_call": "tool_calls",
}

# Names arrive from outside: what is remembered about them must not grow without bound.
_MOST_REMEMBERED = 20_000
# Decimal(38, 12) ends at 26 digits before the point; a cost beyond is no cost.
_MOST_DIGITS = 26


@dataclass(frozen=True, slots=True)
class Rates:
    """What one (provider, model) costs per item, for requests in [valid_from_us, valid_until_us).

    `flat` is usage name → 10⁻¹⁸ per item where that is all there is to it: a caller may sum
    `flat[name] * count` itself, a counted name that is missing being unpriced. `tiers` is the same for
    prices by context length: pairs of (threshold, rates) from the highest threshold down; the first whose
    threshold is less than the sum of the request's PROMPT_TOKENS holds, for all of its usage. Exactly one
    of the two is filled, or neither (finer rates, a price per request, a least duration): then only
    `cost_pico` knows. It gives the right answer in every case.
    """

    valid_from_us: int
    valid_until_us: int
    flat: dict[str, int] | None
    tiers: tuple[tuple[int, dict[str, int]], ...]
    scale: int  # parts of a currency unit that `steps` and `per_request` count in; a multiple of ATTO
    steps: tuple[tuple[int, dict[str, int]], ...]  # as tiers, always filled
    per_request: int
    least_seconds: int

    def cost_pico(self, usage: Mapping[str, int]) -> int | None:
        """Cost of one request in 10⁻¹² currency units, rounded half up; None where a class is unpriced."""
        rates = self.steps[-1][1]
        if len(self.steps) > 1:
            prompt = sum([usage.get(name, 0) for name in PROMPT_TOKENS])
            for threshold, step in self.steps:
                if threshold < prompt:
                    rates = step
                    break
        total = self.per_request
        for name, count in usage.items():
            if not count:
                continue
            rate = rates.get(name)
            if rate is None:
                return None
            if name == "seconds" and count < self.least_seconds:
                count = self.least_seconds
            total += rate * count
        return half_up(total * PICO, self.scale)


class CostBook:
    """Prices of one catalog version. Its answers depend on nothing but what it was built from."""

    def __init__(
        self,
        currency: str,
        own_prices: Sequence[_OwnPrice],
        aliases: Sequence[_Alias],
        fx: Mapping[str, Fraction],
        book: PriceBook | None,
    ) -> None:
        self.currency = currency
        self._own_prices = own_prices
        self._aliases = aliases
        self._fx = {**fx, currency: Fraction(1)}
        self._book = book
        self._remembered: dict[tuple[str | None, str], _Schedule | None] = {}

    @classmethod
    def build(
        cls,
        currency: str,
        own_prices: Iterable[Mapping[str, Any]],
        aliases: Iterable[Mapping[str, Any]],
        fx: Mapping[str, Decimal | str],
        book: Mapping[str, Any] | None,
    ) -> CostBook:
        """From a catalog's `costs` section, entries as it writes them, and a price-book snapshot.

        `own_prices`: {"provider", "model", "input": Decimal or its text, ...}; `aliases`: {"provider"
        and/or "model", "as"}; `book`: `catalog.book.snapshot()`, or None for own prices alone.
        """
        return cls(
            currency,
            tuple(_OwnPrice.read(entry) for entry in own_prices),
            tuple(_Alias(entry.get("provider"), entry.get("model"), entry["as"]) for entry in aliases),
            {code: exact(rate) for code, rate in fx.items()},
            None if book is None else PriceBook(book),
        )

    def rates(self, provider: str | None, model: str, time_us: int) -> Rates | None:
        """Rates for a request's names at its time; None, at any time, where nobody has priced the model."""
        key = (provider, model)
        try:
            schedule = self._remembered[key]
        except KeyError:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            schedule = self._remembered[key] = self._schedule(provider or None, model)
        return None if schedule is None else schedule.at(time_us)

    def converted_pico(self, amount: Decimal, currency: str) -> int | None:
        """An amount in 10⁻¹² of the catalog's currency, rounded half up; None without an exchange rate.

        None, too, for an amount that no row could hold.
        """
        rate = self._fx.get(currency)
        if rate is None or not amount.is_finite() or amount.adjusted() >= _MOST_DIGITS:
            return None
        if amount.adjusted() < -2 * _MOST_DIGITS:  # nothing, at any rate; its exact ratio could be huge
            return 0
        converted = Fraction(amount) * rate
        return half_up(converted.numerator * PICO, converted.denominator)

    def names(self, provider: str | None, model: str) -> tuple[str | None, str]:
        """Provider and model as prices know them: after the aliases.

        An alias renames a provider, or a model (of one provider only, where it names both: `as` is the
        model then). Both kinds apply to one request, each to the name as the gateway wrote it, never to
        another alias's answer; but the provider beside a model is taken by its old and its new name.
        """
        renamed = _best(
            (alias, _rank(alias.provider, provider)) for alias in self._aliases if alias.model is None
        )
        named = provider if renamed is None else renamed.name
        known_as = _best(
            (alias, _both(_rank(alias.model, model), _either(alias.provider, provider, named)))
            for alias in self._aliases
            if alias.model is not None
        )
        return named, model if known_as is None else known_as.name

    def _schedule(self, provider: str | None, model: str) -> _Schedule | None:
        provider, model = self.names(provider, model)
        own = _best(
            (price, _both(_rank(price.model, model), _rank(price.provider, provider)))
            for price in self._own_prices
        )
        if own is not None:
            return _Fixed(own.rates)
        if self._book is None or (rate := self._fx.get(self._book.currency)) is None:
            return None
        found = self._book.find(provider, model)
        return None if found is None else _Dated(found, rate)


@dataclass(frozen=True, slots=True)
class _Alias:
    provider: str | None
    model: str | None
    name: str


@dataclass(frozen=True, slots=True)
class _OwnPrice:
    provider: str | None
    model: str | None
    rates: Rates

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> _OwnPrice:
        per_item: dict[str, Fraction] = {}
        for name, price in entry.items():
            if price is None or name in ("provider", "model"):
                continue
            if name in OWN_TOKEN_PRICES:
                per_item[OWN_TOKEN_PRICES[name]] = exact(price) / TOKENS_PER_PRICE
            elif name in OWN_ITEM_PRICES:
                per_item[OWN_ITEM_PRICES[name]] = exact(price)
            else:
                raise InvariantError(
                    f"costs.models: {name!r} names no price; `unitrate check` should have said so"
                )
        rates = make_rates(((NO_THRESHOLD, per_item),), Fraction(0), 0)
        return cls(entry.get("provider"), entry.get("model"), rates)


class _Fixed:
    """Own prices: the same at any time of their catalog version."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def at(self, time_us: int) -> Rates:
        return self._rates


class _Dated:
    """A model of the book: one set of rates for each of its dated entries, made when first asked for."""

    def __init__(self, model: BookModel, rate: Fraction) -> None:
        self._model = model
        self._rate = rate
        self._by_entry: dict[int, Rates] = {}
        self._latest: Rates | None = None

    def at(self, time_us: int) -> Rates:
        latest = self._latest
        if latest is None or not latest.valid_from_us <= time_us < latest.valid_until_us:
            start, end = self._model.window(time_us)
            rates = self._of_entry(self._model.entry_at(time_us))
            latest = self._latest = replace(rates, valid_from_us=start, valid_until_us=end)
        return latest

    def _of_entry(self, index: int) -> Rates:
        if index not in self._by_entry:
            book = self._model.rates(index)
            tiers = tuple(
                (threshold, {name: price * self._rate for name, price in prices.items()})
                for threshold, prices in book.tiers
            )
            self._by_entry[index] = make_rates(tiers, book.per_request * self._rate, book.least_seconds)
        return self._by_entry[index]


_Schedule = _Fixed | _Dated


def make_rates(
    tiers: Iterable[tuple[int, Mapping[str, Fraction]]], per_request: Fraction, least_seconds: int
) -> Rates:
    """Rates without a bound in time, in the coarsest scale from `ATTO` on that holds every price exactly."""
    tiers = tuple(tiers)
    denominators = {price.denominator for _, prices in tiers for price in prices.values()}
    scale = math.lcm(ATTO, per_request.denominator, *denominators)
    steps = tuple(
        (threshold, {**{name: int(price * scale) for name, price in prices.items()}, INFORMATIVE: 0})
        for threshold, prices in tiers
    )
    linear = (
        scale == ATTO and not per_request and not (least_seconds and any("seconds" in s for _, s in steps))
    )
    return Rates(
        valid_from_us=ALWAYS_FROM_US,
        valid_until_us=ALWAYS_UNTIL_US,
        flat=steps[0][1] if linear and len(steps) == 1 else None,
        tiers=steps if linear and len(steps) > 1 else (),
        scale=scale,
        steps=steps,
        per_request=int(per_request * scale),
        least_seconds=least_seconds,
    )


def exact(price: Decimal | str | int) -> Fraction:
    """A price or rate as it was written. A float is refused: it is not what was written."""
    if isinstance(price, float):
        raise InvariantError(f"a price came as the float {price!r}; prices are decimals or their text")
    return Fraction(price)


T = TypeVar("T")

# How well a pattern fits a name, the smaller the better; None where it does not.
_EXACT, _GLOB, _ANY = 0, 1, 2


def _rank(pattern: str | None, name: str | None) -> int | None:
    if pattern is None:
        return _ANY
    if pattern == name:
        return _EXACT
    return _GLOB if fnmatchcase(name or "", pattern) else None


def _both(first: int | None, second: int | None) -> int | None:
    """Two patterns that both must fit; the first one's fit counts more."""
    return None if first is None or second is None else first * 3 + second


def _either(pattern: str | None, name: str | None, other: str | None) -> int | None:
    return min((rank for n in (name, other) if (rank := _rank(pattern, n)) is not None), default=None)


def _best(ranked: Iterable[tuple[T, int | None]]) -> T | None:
    """The best fit; among equals the one that the catalog writes first."""
    fits = ((rank, order, entry) for order, (entry, rank) in enumerate(ranked) if rank is not None)
    best = min(fits, key=lambda fit: fit[:2], default=None)
    return None if best is None else best[2]
