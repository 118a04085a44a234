"""The price book as a value: the installed genai-prices data, copied into plain JSON.

Owns the snapshot's format, which `unitrate.costs` reads. A publication carries the snapshot, so a replay
years later prices with the same figures and needs no package of the past. Must never use the package's
auto-update or a custom snapshot that somebody set: a bill follows the pinned version alone.

Shape (JSON types only, order of lists is meaning: the first match wins, the last active price wins):

    {"name": "genai-prices", "version": "0.2.3", "currency": "USD", "providers": [
        {"id": "google", "match": CLAUSE, "model_match": CLAUSE, "fallback": ["anthropic"],
         "least_seconds": {"MODEL": 10}, "models": [["MODEL", CLAUSE, [[WHEN, PRICES], ...]], ...]}]}

    CLAUSE  null | "=text" equals | "*text" contains | "^text" starts with | "$text" ends with
            | "~pattern" regular expression | ["or", CLAUSE, ...] | ["and", CLAUSE, ...]
    WHEN    null | ["from", microseconds since 1970] | ["daily", start, end] in microseconds of the UTC day
    PRICES  {"input_mtok": "2", "output_mtok": ["12", [200000, "18"]]}: USD per the key's unit; in a list
            the first is the base and each pair holds for requests of more prompt tokens than its number
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, ModelPrice, Provider

NAME = "genai-prices"
SECOND_US = 1_000_000

# Minimum durations that genai-prices keeps in its code (`ModelInfo.calc_price`), not in its data.
_LEAST_SECONDS = {"groq": {"whisper-large-v3": 10, "whisper-large-v3-turbo": 10}}

_CLAUSES = {
    "ClauseEquals": ("=", "equals"),
    "ClauseContains": ("*", "contains"),
    "ClauseStartsWith": ("^", "starts_with"),
    "ClauseEndsWith": ("$", "ends_with"),
}


def snapshot() -> dict[str, Any]:
    """The installed price book as JSON-able data; the same package version gives the same value."""
    from genai_prices.data import providers  # slow to import, and only publishing needs it

    return {
        "name": NAME,
        "version": version(NAME),
        "currency": "USD",
        "providers": [_provider(provider) for provider in providers],
    }


def _provider(provider: Provider) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": provider.id}
    if provider.provider_match is not None:
        entry["match"] = _clause(provider.provider_match)
    if provider.model_match is not None:
        entry["model_match"] = _clause(provider.model_match)
    if provider.fallback_model_providers:
        entry["fallback"] = list(provider.fallback_model_providers)
    if provider.id in _LEAST_SECONDS:
        entry["least_seconds"] = dict(_LEAST_SECONDS[provider.id])
    entry["models"] = [[model.id, _clause(model.match), _prices(model)] for model in provider.models]
    return entry


def _clause(clause: MatchLogic) -> str | list[Any]:
    kind, fields = type(clause).__name__, vars(clause)
    if kind in _CLAUSES:
        mark, field = _CLAUSES[kind]
        return mark + str(fields[field]).lower()  # these compare without regard to case
    if kind == "ClauseRegex":
        return "~" + str(fields["regex"])
    if kind in ("ClauseOr", "ClauseAnd"):
        word = kind.removeprefix("Clause").lower()
        return [word, *(_clause(part) for part in fields[word + "_"])]
    raise TypeError(f"genai-prices brings a match rule that this version does not know: {kind}")


def _prices(model: ModelInfo) -> list[list[Any]]:
    if isinstance(model.prices, list):
        return [[_condition(entry.constraint), _price_items(entry.prices)] for entry in model.prices]
    return [[None, _price_items(model.prices)]]


def _condition(constraint: object) -> list[Any] | None:
    if constraint is None:
        return None
    kind, fields = type(constraint).__name__, vars(constraint)
    if kind == "StartDateConstraint":
        midnight = datetime.combine(fields["start_date"], time(), tzinfo=UTC)
        return ["from", int(midnight.timestamp()) * SECOND_US]
    if kind == "TimeOfDateConstraint":
        return ["daily", _of_utc_day_us(fields["start_time"]), _of_utc_day_us(fields["end_time"])]
    raise TypeError(f"genai-prices brings a price condition that this version does not know: {kind}")


def _of_utc_day_us(moment: time) -> int:
    """Microseconds of the UTC day; a time without a zone is UTC, as genai-prices reads it."""
    if moment.tzinfo is not None:
        moment = datetime.combine(date(1970, 1, 2), moment).astimezone(UTC).time()
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return seconds * SECOND_US + moment.microsecond


def _price_items(prices: ModelPrice) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for key, price in sorted(vars(prices).items()):
        if price is None or key.startswith("_"):
            continue
        if isinstance(price, Decimal):
            items[key] = format(price, "f")
        else:
            tiers = [[tier.start, format(tier.price, "f")] for tier in price.tiers]
            items[key] = [format(price.base, "f"), *tiers]
    return items
