"""Which price applies: aliases, own prices and globs, currencies, what is unpriced, and the rounding."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from unitrate.costs import OWN_ITEM_PRICES, OWN_TOKEN_PRICES, CostBook, Rates
from unitrate.errors import InvariantError
from unitrate.rows import USAGE

PICO = 10**12
JUNE = 1_780_000_000_000_000


def micros(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def a_model(name: str = "m", *entries: list[Any], match: Any = None, **prices: Any) -> list[Any]:
    return [name, match or f"={name}", list(entries) or [[None, prices]]]


def a_book(*models: list[Any], provider: str = "p", **more: Any) -> dict[str, Any]:
    listed = {"id": provider, "models": list(models), **more}
    return {"name": "a-book", "version": "1", "currency": "USD", "providers": [listed]}


def a_cost_book(
    *own: Mapping[str, Any],
    currency: str = "USD",
    aliases: list[dict[str, str]] | None = None,
    fx: dict[str, Decimal | str] | None = None,
    book: dict[str, Any] | None = None,
) -> CostBook:
    return CostBook.build(currency, own, aliases or [], fx or {}, book)


def cost(costs: CostBook, usage: dict[str, int], provider: str | None = "p", model: str = "m") -> int | None:
    rates = costs.rates(provider, model, JUNE)
    return None if rates is None else rates.cost_pico(usage)


def book_rates(**prices: Any) -> Rates:
    rates = a_cost_book(book=a_book(a_model(**prices))).rates("p", "m", JUNE)
    assert rates is not None
    return rates


# own prices


def test_tokens_are_priced_per_million_and_items_each() -> None:
    """2.00 a million input tokens; 0.004 an image."""
    own = {"provider": "p", "model": "m", "input": Decimal("2.00"), "image": Decimal("0.004")}
    assert cost(a_cost_book(own), {"input_tokens": 3, "images": 5}) == 6_000_000 + 20_000_000_000


@pytest.mark.parametrize(("name", "usage"), OWN_TOKEN_PRICES.items())
def test_each_token_price_is_named_like_its_usage(name: str, usage: str) -> None:
    """input is the price of input_tokens, and so on, a million tokens cost it."""
    assert usage == f"{name}_tokens"
    assert (
        cost(a_cost_book({"provider": "p", "model": "m", name: "1.25"}), {usage: 1_000_000})
        == 125 * PICO // 100
    )


@pytest.mark.parametrize(("name", "usage"), OWN_ITEM_PRICES.items())
def test_each_item_price_is_named_in_the_singular(name: str, usage: str) -> None:
    """page prices pages, search prices searches; one item costs it."""
    assert usage in (f"{name}s", f"{name}es")
    assert cost(a_cost_book({"provider": "p", "model": "m", name: "0.0015"}), {usage: 2}) == 3 * PICO // 1000


def test_every_usage_class_but_reasoning_can_have_an_own_price() -> None:
    """No class is forgotten."""
    priced = {*OWN_TOKEN_PRICES.values(), *OWN_ITEM_PRICES.values()}
    assert priced | {"reasoning_tokens"} == set(USAGE)


@pytest.mark.parametrize(
    "usage", [name for name in USAGE if name not in ("input_tokens", "reasoning_tokens")]
)
def test_a_counted_class_without_an_own_price_is_unpriced(usage: str) -> None:
    """Never zero, never the price of another class, never the book's."""
    book = a_book(a_model(input_mtok="1", output_mtok="1", cache_read_mtok="1", web_searches_kcount="1"))
    costs = a_cost_book({"provider": "p", "model": "m", "input": "2"}, book=book)
    assert cost(costs, {"input_tokens": 1, usage: 1}) is None


def test_a_class_counted_zero_times_needs_no_price() -> None:
    """Gateways send zeros for classes that a model does not have."""
    costs = a_cost_book({"provider": "p", "model": "m", "input": "2"})
    assert cost(costs, {"input_tokens": 1, "cache_read_tokens": 0, "images": 0}) == 2_000_000


def test_a_price_of_zero_is_a_price() -> None:
    """Zero must be written to be meant."""
    assert cost(a_cost_book({"provider": "p", "model": "m", "input": "0"}), {"input_tokens": 9}) == 0


def test_reasoning_tokens_cost_nothing_by_themselves() -> None:
    """They are a part of the output tokens, which are charged."""
    costs = a_cost_book({"provider": "p", "model": "m", "output": "3"})
    assert cost(costs, {"output_tokens": 10, "reasoning_tokens": 7}) == 30_000_000


def test_reasoning_tokens_cost_nothing_by_themselves_in_the_book_either() -> None:
    """Even where the book has a price of their own: they were counted as output."""
    rates = book_rates(input_mtok="1", output_mtok="8", output_reasoning_mtok="3")
    assert rates.cost_pico({"output_tokens": 10, "reasoning_tokens": 7}) == 80_000_000


def test_own_prices_win_over_the_book() -> None:
    """Negotiated prices are what the provider bills."""
    book = a_book(a_model(input_mtok="9"))
    assert (
        cost(a_cost_book({"provider": "p", "model": "m", "input": "2"}, book=book), {"input_tokens": 1})
        == 2_000_000
    )


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("p", "fast-1", 1),  # both exact
        ("q", "fast-1", 2),  # model exact, provider glob
        ("p", "fast-2", 3),  # provider exact, model glob
        ("r", "fast-2", 4),  # both globs
        ("p", "slow", 5),  # the first of two globs that fit equally
        ("r", "slow", None),
        ("p", "mid-1", 8),  # the model's exact name before the provider's
    ],
)
def test_exact_names_come_before_globs(provider: str, model: str, expected: int | None) -> None:
    """Whatever the order in the file; the model's name counts more than the provider's."""
    costs = a_cost_book(
        {"provider": "*", "model": "fast-*", "input": "4"},
        {"provider": "p", "model": "fast-*", "input": "3"},
        {"provider": "*", "model": "fast-1", "input": "2"},
        {"provider": "p", "model": "fast-1", "input": "1"},
        {"provider": "p", "model": "s*", "input": "5"},
        {"provider": "p", "model": "*w", "input": "6"},
        {"provider": "p", "model": "mid-*", "input": "7"},
        {"provider": "*", "model": "mid-1", "input": "8"},
    )
    assert cost(costs, {"input_tokens": 1_000_000}, provider, model) == (expected and expected * PICO)


@pytest.mark.parametrize("model", ["Fast-1", "FAST-1", "fast"])
def test_globs_and_names_are_case_sensitive(model: str) -> None:
    """fast-* is not Fast-*."""
    costs = a_cost_book({"provider": "p", "model": "fast-*", "input": "4"})
    assert cost(costs, {"input_tokens": 1}, "p", model) is None


def test_a_name_with_brackets_is_found_exactly() -> None:
    """composer-2.5[fast=true] read as a glob would take something else; as a name it is itself."""
    costs = a_cost_book({"provider": "p", "model": "composer-2.5[fast=true]", "input": "4"})
    assert cost(costs, {"input_tokens": 1}, "p", "composer-2.5[fast=true]") == 4_000_000


def test_a_request_without_a_provider_meets_own_prices_for_any() -> None:
    """`provider: "*"` is any, also none."""
    costs = a_cost_book({"provider": "*", "model": "m", "input": "4"})
    assert cost(costs, {"input_tokens": 1}, None) == cost(costs, {"input_tokens": 1}, "") == 4_000_000


def test_a_float_price_is_refused() -> None:
    """0.1 as a float is not 0.1."""
    with pytest.raises(InvariantError, match="float"):
        a_cost_book({"provider": "p", "model": "m", "input": 0.1})


def test_an_unknown_price_name_is_refused() -> None:
    """A misspelt price would leave its class unpriced and nobody would know why."""
    with pytest.raises(InvariantError, match="'inputs'"):
        a_cost_book({"provider": "p", "model": "m", "inputs": "1"})


# aliases


def an_aliased(*aliases: dict[str, str]) -> CostBook:
    return a_cost_book(
        {"provider": "google", "model": "gemini", "input": "1"},
        {"provider": "acme", "model": "gemini", "input": "2"},
        {"provider": "acme", "model": "g", "input": "3"},
        aliases=list(aliases),
    )


@pytest.mark.parametrize(
    ("aliases", "provider", "model", "expected"),
    [
        ([{"provider": "Google AI Studio", "as": "google"}], "Google AI Studio", "gemini", 1),
        ([{"model": "google/gemini", "as": "gemini"}], "google", "google/gemini", 1),
        (
            [{"provider": "Google AI Studio", "as": "google"}, {"model": "google/gemini", "as": "gemini"}],
            "Google AI Studio",
            "google/gemini",
            1,
        ),
        ([{"provider": "acme", "model": "g", "as": "gemini"}], "acme", "g", 2),
        ([{"provider": "acme", "model": "g", "as": "gemini"}], "google", "g", None),
        (
            [{"provider": "Acme", "as": "acme"}, {"provider": "acme", "model": "x", "as": "gemini"}],
            "Acme",
            "x",
            2,
        ),
        (
            [{"provider": "acme", "as": "google"}, {"provider": "acme", "model": "x", "as": "gemini"}],
            "acme",
            "x",
            1,
        ),
        ([{"model": "x", "as": "g"}, {"provider": "acme", "model": "x", "as": "gemini"}], "acme", "x", 2),
        (
            [{"model": "google/*", "as": "g"}, {"model": "google/gemini", "as": "gemini"}],
            "acme",
            "google/gemini",
            2,
        ),
        ([{"provider": "ACME", "as": "acme"}], "acme ", "g", None),
        ([{"model": "a", "as": "b"}, {"model": "b", "as": "g"}], "acme", "a", None),
    ],
)
def test_aliases(aliases: list[dict[str, str]], provider: str, model: str, expected: int | None) -> None:
    """By provider, by model, by both; exact before glob; the narrower first; no alias of an alias."""
    found = cost(an_aliased(*aliases), {"input_tokens": 1_000_000}, provider, model)
    assert found == (expected and expected * PICO)


def test_aliases_come_before_own_prices() -> None:
    """A name that is aliased away is priced under its new name only."""
    costs = an_aliased({"provider": "acme", "as": "google"})
    assert cost(costs, {"input_tokens": 1_000_000}, "acme", "gemini") == 1 * PICO


def test_aliases_lead_to_the_book() -> None:
    """The book knows m of p; the gateway writes P-Studio and p/m."""
    aliases = [{"provider": "P-Studio", "as": "p"}, {"model": "p/m", "as": "m"}]
    costs = a_cost_book(aliases=aliases, book=a_book(a_model(input_mtok="7")))
    assert cost(costs, {"input_tokens": 1}, "P-Studio", "p/m") == 7_000_000


# the book


def test_an_unknown_model_has_no_rates() -> None:
    """Neither the book nor an own price: the request is unpriced."""
    costs = a_cost_book(book=a_book(a_model(input_mtok="1")))
    assert costs.rates("p", "other", JUNE) is None
    assert costs.rates("other", "m", JUNE) is None


def test_without_a_book_only_own_prices_count() -> None:
    """A catalog may do without genai-prices."""
    assert a_cost_book().rates("p", "m", JUNE) is None


def test_token_classes_without_a_price_cost_what_contains_them() -> None:
    """A model without cache or audio prices charges those tokens as input and output, like genai-prices."""
    rates = book_rates(input_mtok="2", output_mtok="10")
    usage = {name: 1 for name in USAGE if name.endswith("_tokens") and name != "reasoning_tokens"}
    assert rates.cost_pico(usage) == (6 * 2 + 2 * 10) * 1_000_000


def test_one_hour_cache_writes_without_a_price_cost_what_cache_writes_cost() -> None:
    """The nearest containing unit, not the outermost."""
    rates = book_rates(input_mtok="2", cache_write_mtok="3", output_mtok="1")
    assert rates.cost_pico({"cache_write_1h_tokens": 1, "cache_write_tokens": 1}) == 6_000_000


def test_cached_audio_has_its_own_price() -> None:
    """Disjoint counts: cached audio is neither the cached text's nor the audio's price."""
    rates = book_rates(input_mtok="1", cache_read_mtok="2", input_audio_mtok="3", cache_audio_read_mtok="4")
    usage = {"input_tokens": 1, "cache_read_tokens": 1, "input_audio_tokens": 1, "cache_read_audio_tokens": 1}
    assert rates.cost_pico(usage) == 10_000_000


def test_cached_audio_that_the_book_leaves_open_is_unpriced() -> None:
    """Priced as cached and as audio but not as both, it could be either."""
    rates = book_rates(input_mtok="1", cache_read_mtok="2", input_audio_mtok="3")
    assert rates.cost_pico({"cache_read_audio_tokens": 1}) is None
    assert rates.cost_pico({"cache_read_tokens": 1, "input_audio_tokens": 1}) == 5_000_000


def test_output_of_a_model_that_prices_input_alone_is_free() -> None:
    """So the book writes 'output is free' (embeddings, decisions)."""
    assert book_rates(input_mtok="1").cost_pico({"input_tokens": 2, "output_tokens": 9}) == 2_000_000


@pytest.mark.parametrize("item", ["pages", "seconds", "characters", "searches", "images", "tool_calls"])
def test_items_that_the_model_does_not_price_are_unpriced(item: str) -> None:
    """An image is not free because the book prices tokens."""
    rates = book_rates(input_mtok="1", output_mtok="1")
    assert rates.cost_pico({"input_tokens": 1, item: 1}) is None


@pytest.mark.parametrize(
    ("key", "item", "price", "count", "expected"),
    [
        ("input_document_kpages", "pages", "2", 3, 6_000_000_000),
        ("audio_hours", "seconds", "0.36", 30, 3_000_000_000),
        ("input_audio_hours", "seconds", "0.36", 30, 3_000_000_000),
        ("input_mchars", "characters", "15", 10, 150_000_000),
        ("web_searches_kcount", "searches", "10", 2, 20_000_000_000),
        ("rerank_searches_kcount", "searches", "2", 2, 4_000_000_000),
    ],
)
def test_items_that_the_book_prices(key: str, item: str, price: str, count: int, expected: int) -> None:
    """Per thousand pages, hour, million characters, thousand searches."""
    assert book_rates(**{key: price}).cost_pico({item: count}) == expected


def test_a_price_per_request_is_due_for_every_request() -> None:
    """12 USD per thousand requests, also for one without usage; no flat table is offered."""
    rates = book_rates(input_mtok="1", requests_kcount="12")
    assert rates.flat is None
    assert rates.tiers == ()
    assert rates.cost_pico({}) == 12_000_000_000
    assert rates.cost_pico({"input_tokens": 1}) == 12_001_000_000


@pytest.mark.parametrize(("seconds", "billed"), [(0, 0), (1, 10), (10, 10), (11, 11)])
def test_a_least_duration_is_billed(seconds: int, billed: int) -> None:
    """Ten seconds at least, but nothing for nothing."""
    book = a_book(a_model(audio_hours="3.6"), least_seconds={"m": 10})
    assert cost(a_cost_book(book=book), {"seconds": seconds}) == billed * PICO // 1000


# context tiers


def a_tiered() -> Rates:
    return book_rates(
        input_mtok=["2", [200, "4"], [500, "5"]],
        cache_read_mtok=["1", [200, "3"], [500, "4"]],
        output_mtok=["10", [200, "20"]],
        input_audio_mtok="7",
        cache_audio_read_mtok="6",
    )


@pytest.mark.parametrize(
    ("prompt", "input_price", "output_price"),
    [(0, 2, 10), (200, 2, 10), (201, 4, 20), (500, 4, 20), (501, 5, 20), (10_000, 5, 20)],
)
def test_a_tier_begins_past_its_threshold_and_holds_for_all_tokens(
    prompt: int, input_price: int, output_price: int
) -> None:
    """200 tokens are the base price, 201 are all dearer, and so is the output."""
    expected = (prompt * input_price + 3 * output_price) * 1_000_000
    assert a_tiered().cost_pico({"input_tokens": prompt, "output_tokens": 3}) == expected


@pytest.mark.parametrize(
    "name",
    [
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "input_audio_tokens",
        "cache_read_audio_tokens",
    ],
)
def test_all_prompt_tokens_decide_the_tier(name: str) -> None:
    """Cached and audio tokens make the context long, too."""
    rates = a_tiered()
    short, long = (
        rates.cost_pico({name: 200, "output_tokens": 1}),
        rates.cost_pico({name: 201, "output_tokens": 1}),
    )
    assert short is not None
    assert long is not None
    token = rates.tiers[1][1][name] // 1_000_000
    assert short == 200 * rates.tiers[2][1][name] // 1_000_000 + 10_000_000
    assert long == 201 * token + 20_000_000


@pytest.mark.parametrize("name", ["output_tokens", "output_audio_tokens", "reasoning_tokens"])
def test_output_does_not_decide_the_tier(name: str) -> None:
    """A long answer to a short prompt is at the base price."""
    rates = a_tiered()
    assert rates.cost_pico({"input_tokens": 1, name: 100_000}) == 2_000_000 + (
        0 if name == "reasoning_tokens" else 100_000 * 10_000_000
    )


def test_tiers_are_offered_from_the_highest_down() -> None:
    """The first threshold below the prompt is the one that holds."""
    rates = a_tiered()
    assert rates.flat is None
    assert [threshold for threshold, _ in rates.tiers] == [500, 200, -1]


def test_flat_rates_are_offered_as_one_table_in_atto() -> None:
    """2 USD a million tokens are 2,000,000,000,000 atto a token."""
    rates = book_rates(input_mtok="2", output_mtok="3")
    assert rates.tiers == ()
    assert rates.flat is not None
    assert rates.flat["input_tokens"] == 2 * 10**12
    assert rates.flat["reasoning_tokens"] == 0
    assert "images" not in rates.flat


# dates and times of day


def a_dated() -> CostBook:
    return a_cost_book(
        book=a_book(
            a_model(
                "m",
                [None, {"input_mtok": "1"}],
                [["from", micros("2026-01-01T00:00:00+00:00")], {"input_mtok": "2"}],
                [["daily", 59_400_000_000, 1_800_000_000], {"input_mtok": "3"}],
            )
        )
    )


@pytest.mark.parametrize(
    ("at", "price"),
    [
        ("2025-12-31T12:00:00+00:00", 1),
        ("2025-12-31T16:29:59.999999+00:00", 1),
        ("2025-12-31T16:30:00+00:00", 3),
        ("2026-01-01T00:29:59.999999+00:00", 3),
        ("2026-01-01T00:30:00+00:00", 2),
        ("2026-06-01T16:30:00+00:00", 3),
    ],
)
def test_the_requests_time_decides(at: str, price: int) -> None:
    """Start dates at midnight UTC, daily hours over midnight, the last active entry of the list."""
    rates = a_dated().rates("p", "m", micros(at))
    assert rates is not None
    assert rates.cost_pico({"input_tokens": 1}) == price * 1_000_000


def test_a_daily_window_is_bounded_by_its_hours() -> None:
    """What a caller keeps may be kept from 16:30 to midnight, where the dated entry begins, no longer."""
    rates = a_dated().rates("p", "m", micros("2025-12-31T20:00:00+00:00"))
    assert rates is not None
    assert rates.valid_from_us == micros("2025-12-31T16:30:00+00:00")
    assert rates.valid_until_us == micros("2026-01-01T00:00:00+00:00")


def test_without_conditions_rates_hold_for_ever() -> None:
    """A plain price has no window."""
    rates = book_rates(input_mtok="1")
    assert rates.valid_from_us < -(10**18)
    assert rates.valid_until_us > 10**18


def test_an_entry_that_is_not_active_yet_leaves_the_first() -> None:
    """Before every start date the first entry of the list holds, as in genai-prices."""
    start = micros("2026-01-01T00:00:00+00:00")
    book = a_book(
        a_model("m", [["from", start], {"input_mtok": "1"}], [["from", start + 1], {"input_mtok": "2"}])
    )
    rates = a_cost_book(book=book).rates("p", "m", start - 1)
    assert rates is not None
    assert rates.cost_pico({"input_tokens": 1}) == 1_000_000


# currencies


def test_the_book_is_in_dollars_and_converted_to_the_catalogs_currency() -> None:
    """One dollar is 0.9234 euros: 2 USD a million tokens are 1.8468 EUR."""
    costs = a_cost_book(currency="EUR", fx={"USD": "0.9234"}, book=a_book(a_model(input_mtok="2")))
    assert cost(costs, {"input_tokens": 1_000_000}) == 1_846_800_000_000


def test_without_a_dollar_rate_the_book_is_no_price_in_another_currency() -> None:
    """Unpriced, not one to one."""
    costs = a_cost_book(currency="EUR", fx={"GBP": "1.2"}, book=a_book(a_model(input_mtok="2")))
    assert costs.rates("p", "m", JUNE) is None


def test_own_prices_are_in_the_catalogs_currency() -> None:
    """They need no exchange rate."""
    costs = a_cost_book({"provider": "p", "model": "m", "input": "2"}, currency="EUR")
    assert cost(costs, {"input_tokens": 1}) == 2_000_000


def test_converting_rates_rounds_a_request_once() -> None:
    """A rate finer than 10⁻¹⁸ keeps its digits until the request's sum is rounded."""
    costs = a_cost_book(
        currency="EUR", fx={"USD": "0.92345678912345"}, book=a_book(a_model(input_mtok="0.0375"))
    )
    exact = Decimal("0.92345678912345") * Decimal("0.0375") * 1_000_003 / 1_000_000
    assert cost(costs, {"input_tokens": 1_000_003}) == int((exact * PICO).to_integral_value("ROUND_HALF_UP"))
    rates = costs.rates("p", "m", JUNE)
    assert rates is not None
    assert rates.flat is None


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("0.004596", "USD", 4_596_000_000),
        ("1.0000000000004", "USD", 1_000_000_000_000),
        ("1.0000000000005", "USD", 1_000_000_000_001),
        ("0.0000000000005", "USD", 1),
        ("0.00000000000049999999", "USD", 0),
        ("1", "EUR", 1_083_200_000_000),
        ("0.000000000001", "EUR", 1),
        ("2E+3", "USD", 2_000 * PICO),
        ("0", "EUR", 0),
        ("1E-999999999", "USD", 0),
        ("1", "GBP", None),
        ("1", "usd", None),
        ("1E+26", "USD", None),
        ("1E+999999999", "USD", None),
        ("NaN", "USD", None),
        ("Infinity", "USD", None),
    ],
)
def test_billed_amounts_are_converted_exactly_and_rounded_half_up(
    amount: str, currency: str, expected: int | None
) -> None:
    """To 12 decimals; a currency without a rate, or an amount beyond any row, is unpriced."""
    assert a_cost_book(fx={"EUR": Decimal("1.0832")}).converted_pico(Decimal(amount), currency) == expected


def test_the_catalogs_own_currency_is_never_converted() -> None:
    """A rate for it, if somebody writes one, changes nothing."""
    assert a_cost_book(fx={"USD": "2"}).converted_pico(Decimal(1), "USD") == PICO


# rounding


@pytest.mark.parametrize(("tokens", "expected"), [(1, 0), (2, 1), (3, 1), (5, 2), (6, 2), (7, 3)])
def test_a_request_is_rounded_once_half_up_at_twelve_decimals(tokens: int, expected: int) -> None:
    """0.00000035 a million is 0.35 pico a token: 0.35, 0.70, 1.05, 1.75, 2.1, 2.45 → but 2.5 rounds up."""
    costs = a_cost_book({"provider": "p", "model": "m", "input": "0.00000035", "output": "0.00000005"})
    usage = {"input_tokens": tokens, "output_tokens": 1 if tokens == 7 else 0}  # 2.45 + 0.05 = 2.5 exactly
    assert cost(costs, usage) == expected


def test_classes_are_summed_before_rounding() -> None:
    """Two halves of a pico are one, not two and not none."""
    costs = a_cost_book({"provider": "p", "model": "m", "input": "0.0000005", "output": "0.0000004"})
    assert cost(costs, {"input_tokens": 1, "output_tokens": 1}) == 1
    assert cost(costs, {"input_tokens": 1}) == 1
    assert cost(costs, {"output_tokens": 1}) == 0


def test_large_counts_stay_exact() -> None:
    """No float on the way: nineteen digits come out as they went in."""
    costs = a_cost_book({"provider": "p", "model": "m", "input": "0.000001"})
    assert cost(costs, {"input_tokens": 1_234_567_890_123_456_789}) == 1_234_567_890_123_456_789


# what is remembered


def test_many_names_do_not_grow_the_memory_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names come from outside; a flood of them forgets, and answers stay right."""
    monkeypatch.setattr("unitrate.costs._MOST_REMEMBERED", 100)
    costs = a_cost_book({"provider": "p", "model": "m", "input": "2"})
    for number in range(1_000):
        assert costs.rates("p", f"m{number}", JUNE) is None
    assert len(costs._remembered) <= 100
    assert cost(costs, {"input_tokens": 1}) == 2_000_000


def test_rates_are_the_same_object_while_they_hold() -> None:
    """The engine may compare by identity and asks often."""
    costs = a_dated()
    time_us = micros("2026-06-01T12:00:00+00:00")
    assert costs.rates("p", "m", time_us) is costs.rates("p", "m", time_us + 1)
