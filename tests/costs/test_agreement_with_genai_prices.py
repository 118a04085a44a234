"""Wherever genai-prices can price a request, our exact cost is its total, rounded once."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache

import pytest
from genai_prices import Usage
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TimeOfDateConstraint

from unitrate.catalog.book import snapshot
from unitrate.costs import CostBook, Rates
from unitrate.price_book import PROMPT_TOKENS

SEED = 20261124
CENTRE = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
THEIRS = DataSnapshot(providers=providers, from_auto_update=False)


@cache
def our_book() -> CostBook:
    return CostBook.build("USD", [], [], {}, snapshot())


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def their_usage(usage: dict[str, int]) -> Usage:
    """Our disjoint counts as genai-prices wants them: every unit includes what it contains."""
    get = usage.get
    written = get("cache_write_tokens", 0) + get("cache_write_1h_tokens", 0)
    read = get("cache_read_tokens", 0) + get("cache_read_audio_tokens", 0)
    audio_in = get("input_audio_tokens", 0) + get("cache_read_audio_tokens", 0)
    counts = {
        "input_tokens": sum(get(name, 0) for name in PROMPT_TOKENS),
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": get("cache_write_1h_tokens", 0),
        "input_audio_tokens": audio_in,
        "cache_audio_read_tokens": get("cache_read_audio_tokens", 0),
        "output_tokens": get("output_tokens", 0) + get("output_audio_tokens", 0),
        "output_audio_tokens": get("output_audio_tokens", 0),
        "input_document_pages": get("pages", 0),
        "audio_seconds": get("seconds", 0),
        "input_audio_seconds": get("seconds", 0),
        "input_characters": get("characters", 0),
        "web_searches": get("searches", 0),
    }
    return Usage(**counts)


def their_cost_pico(usage: dict[str, int], provider: str | None, model: str, moment: datetime) -> int:
    with localcontext(prec=60):
        price = THEIRS.calc(their_usage(usage), model, provider, None, moment).total_price
        return int((price * 10**12).to_integral_value(ROUND_HALF_UP))


def prices_of(model: ModelInfo) -> list[ModelPrice]:
    return (
        [model.prices] if isinstance(model.prices, ModelPrice) else [entry.prices for entry in model.prices]
    )


def thresholds(model: ModelInfo) -> set[int]:
    starts: set[int] = set()
    for price in prices_of(model):
        for value in vars(price).values():
            starts.update(tier.start for tier in getattr(value, "tiers", ()))
    return starts


ITEM_PRICES = {
    "pages": {"input_document_kpages"},
    "seconds": {"audio_hours", "input_audio_hours"},
    "characters": {"input_mchars"},
    "searches": {"web_searches_kcount"},
}


def a_usage(dice: random.Random, model: ModelInfo) -> dict[str, int]:
    """Any mix of classes; items only where every entry of the model prices them (else ours is unpriced)."""
    names = ("output_tokens", "output_audio_tokens", *PROMPT_TOKENS)
    usage = {name: dice.choice((1, 7, 999, 60_000, 300_001)) for name in names if dice.random() < 0.55}
    keys = set.intersection(*(set(vars(price)) for price in prices_of(model)))
    for name, prices in ITEM_PRICES.items():
        if keys & prices and dice.random() < 0.7:
            usage[name] = dice.choice((1, 3, 9, 10, 11, 3_601))
    if dice.random() < 0.3:
        usage["reasoning_tokens"] = dice.randint(0, usage.get("output_tokens", 0))
    starts = sorted(thresholds(model))
    if starts and dice.random() < 0.6:  # right at a tier's edge, on either side of it
        wanted = dice.choice(starts) + dice.choice((-1, 0, 1))
        usage = {name: count for name, count in usage.items() if name not in PROMPT_TOKENS}
        cached = dice.randint(0, wanted)
        usage["cache_read_tokens"], usage["input_tokens"] = cached, wanted - cached
    return usage


def moments(dice: random.Random, model: ModelInfo) -> list[datetime]:
    """Instants all over three years and right before, at and after every condition of the model."""
    found = [CENTRE, CENTRE - timedelta(seconds=dice.randint(0, 3 * 365 * 86_400))]
    for entry in [] if isinstance(model.prices, ModelPrice) else model.prices:
        if isinstance(entry.constraint, StartDateConstraint):
            start = datetime.combine(entry.constraint.start_date, datetime.min.time(), tzinfo=UTC)
            found += [start - timedelta(microseconds=1), start]
        elif isinstance(entry.constraint, TimeOfDateConstraint):
            for edge in (entry.constraint.start_time, entry.constraint.end_time):
                at = datetime.combine((CENTRE - timedelta(days=dice.randint(0, 500))).date(), edge)
                found += [at - timedelta(microseconds=1), at]
    return found


def costs(rates: Rates, usage: dict[str, int]) -> int | None:
    """The cost, computed by the public dictionaries as well where they are offered: they must agree."""
    cost = rates.cost_pico(usage)
    table = rates.flat
    if rates.tiers:
        prompt = sum(usage.get(name, 0) for name in PROMPT_TOKENS)
        table = next(step for threshold, step in rates.tiers if prompt > threshold)
    if table is not None and all(name in table for name in usage):
        atto = sum(table[name] * count for name, count in usage.items())
        assert (atto + 500_000) // 1_000_000 == cost
    return cost


@pytest.mark.parametrize("provider", providers, ids=lambda provider: str(provider.id))
def test_every_model_of_every_provider_costs_what_genai_prices_computes(provider: Provider) -> None:
    """Called by its own name, at all its dates and tiers, with mixed usage: the same to the last digit."""
    print(f"seed {SEED}/{provider.id}")
    dice = random.Random(f"{SEED}/{provider.id}")
    for model in provider.models:
        for moment in moments(dice, model):
            usage = a_usage(dice, model)
            rates = our_book().rates(provider.id, model.id, micros(moment))
            asked = (provider.id, model.id, moment, usage)
            try:
                theirs: int | None = their_cost_pico(usage, provider.id, model.id, moment)
            except LookupError:
                theirs = None
            ours = None if rates is None else costs(rates, usage)
            if (
                ours is None and theirs is not None
            ):  # a name that another model's rule takes, without that item
                items = {name: usage.pop(name) for name in ITEM_PRICES if name in usage}
                assert rates is not None, asked
                assert items, asked
                ours, theirs = costs(rates, usage), their_cost_pico(usage, provider.id, model.id, moment)
            assert ours == theirs, asked


def distorted(dice: random.Random, name: str) -> str:
    """Names as they come from gateways: prefixed, dated, cased, cut, doubled."""
    if dice.random() < 0.3:
        return name
    return dice.choice(
        [
            name.upper(),
            f"{name}-20251211",
            f"{name}-20251399",
            f"{name}-2025-12-11",
            f"openai/{name}",
            f"anthropic/{name}",
            f"google/{name}",
            f"models/{name}",
            name.split("/")[-1],
            name[: len(name) // 2],
            f"{name}-latest",
            f"{name}:free",
            f"us.{name}-v1:0",
            name.replace("-", "."),
        ]
    )


def test_names_find_the_model_that_genai_prices_finds() -> None:
    """Given, misspelt, unknown and absent providers with distorted model names lead to the same price."""
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    pairs = [(str(provider.id), model.id) for provider in providers for model in provider.models]
    ids = [str(provider.id) for provider in providers]
    odd = [None, None, "litellm", "LiteLLM", "Google AI Studio", "vertex_ai", " Groq ", "azure_openai"]
    odd += ["bedrock", "amazon-bedrock", "Together-AI", "huggingface/cerebras", "nobody", "xai", "", "gemini"]
    usage = {"input_tokens": 1_234, "cache_read_tokens": 56_789, "output_tokens": 4_321}
    found = 0
    for _ in range(6_000):
        maker, name = dice.choice(pairs)
        provider = dice.choice(
            (maker, f" {maker.upper()} ", dice.choice(odd), dice.choice(odd), dice.choice(ids))
        )
        model = distorted(dice, name)
        if provider is not None and provider.lower() == "litellm":
            model = f"{dice.choice((maker, maker, 'nobody'))}/{model}"
        try:
            theirs: int | None = their_cost_pico(usage, provider or None, model, CENTRE)
        except LookupError:
            theirs = None
        rates = our_book().rates(provider, model, micros(CENTRE))
        ours = None if rates is None else rates.cost_pico(usage)
        assert ours == theirs, (provider, model)
        found += theirs is not None
    assert 1_000 < found < 5_500  # both answers must have been exercised


@pytest.mark.parametrize(
    ("provider", "model"),
    [("azure", "claude-sonnet-4-5"), ("google", "claude-opus-4-1"), ("azure", "gpt-4o")],
)
def test_a_provider_that_sells_anothers_models_falls_back_to_their_price(provider: str, model: str) -> None:
    """Azure and Google have no entry for these; genai-prices looks at the maker's."""
    usage = {"input_tokens": 1_000, "output_tokens": 10}
    rates = our_book().rates(provider, model, micros(CENTRE))
    assert rates is not None
    assert rates.cost_pico(usage) == their_cost_pico(usage, provider, model, CENTRE)


def test_rates_hold_in_their_whole_window_and_change_at_its_end() -> None:
    """For every dated model, any instant inside valid_from..valid_until prices alike."""
    dice = random.Random(SEED)
    usage = {"input_tokens": 1_000_003, "cache_read_tokens": 17, "output_tokens": 1_000_033}
    checked = 0
    dated = [(p.id, m) for p in providers for m in p.models if not isinstance(m.prices, ModelPrice)]
    assert len(dated) > 200
    for provider, model in dated:
        for moment in moments(dice, model):
            time_us = micros(moment)
            rates = our_book().rates(provider, model.id, time_us)
            if rates is None:  # a model whose own name its rule does not take
                continue
            assert rates.valid_from_us <= time_us < rates.valid_until_us
            low = max(rates.valid_from_us, micros(CENTRE - timedelta(days=2_000)))
            high = min(rates.valid_until_us, micros(CENTRE + timedelta(days=500)))
            for inside in (low, high - 1, dice.randint(low, high - 1)):
                at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=inside)
                expected = their_cost_pico(usage, provider, model.id, at)
                assert rates.cost_pico(usage) == expected, (provider, model.id, at)
                checked += 1
    assert checked > 2_000


def test_decimal_totals_of_a_second_priced_model_do_not_end_and_still_agree() -> None:
    """0.111 USD an hour is no finite decimal a second: the sum is exact, the rounding once."""
    rates = our_book().rates("groq", "whisper-large-v3", 0)
    assert rates is not None
    assert rates.flat is None
    assert rates.scale % 10**18 == 0
    exact = Decimal("0.111") * 3_599 / 3_600
    assert rates.cost_pico({"seconds": 3_599}) == int((exact * 10**12).to_integral_value(ROUND_HALF_UP))
