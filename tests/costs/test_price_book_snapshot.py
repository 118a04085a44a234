"""The price-book snapshot: what it carries, how small it is, and that nothing but the package decides it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta, timezone
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from genai_prices import data_snapshot
from genai_prices.data import providers
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEquals,
    ClauseRegex,
    ClauseStartsWith,
    StartDateConstraint,
    TimeOfDateConstraint,
)
from genai_prices.units import _get_registry

from unitrate.catalog import book
from unitrate.costs import CostBook
from unitrate.price_book import _ITEM_KEYS, _ITEMS_PER_PRICE, _TOKEN_KEYS, PriceBook, matches


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_the_snapshot_names_the_installed_package_and_its_version() -> None:
    """The version on the rows is that of the data, not a guess."""
    snapshot = book.snapshot()
    assert (snapshot["name"], snapshot["version"]) == ("genai-prices", version("genai-prices"))


def test_the_snapshot_is_the_same_every_time_and_survives_json() -> None:
    """Two publications of one package carry equal bytes, and JSON loses nothing."""
    first = book.snapshot()
    assert canonical(first) == canonical(book.snapshot())
    assert json.loads(canonical(first)) == first


def test_the_snapshot_is_a_small_part_of_a_message() -> None:
    """A publication must fit a 2 MiB record with room for the catalog."""
    assert len(canonical(book.snapshot())) < 512 * 1024


def test_the_snapshot_has_every_provider_and_model_in_the_books_order() -> None:
    """The first match wins, so order is part of the data."""
    taken = [(p["id"], [model[0] for model in p["models"]]) for p in book.snapshot()["providers"]]
    assert taken == [(p.id, [model.id for model in p.models]) for p in providers]


def test_a_snapshot_set_at_run_time_does_not_reach_the_book() -> None:
    """Updated prices of a running process must not change a bill."""
    before = canonical(book.snapshot())
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert canonical(book.snapshot()) == before
    finally:
        data_snapshot.set_custom_snapshot(None)


def test_prices_keep_every_digit_as_plain_text() -> None:
    """No price went through a float: all are strings, and none is in scientific notation."""
    texts: list[str] = []
    for provider in book.snapshot()["providers"]:
        for _, _, entries in provider["models"]:
            for _, prices in entries:
                for price in prices.values():
                    values = (
                        [price] if isinstance(price, str) else [price[0], *(tier[1] for tier in price[1:])]
                    )
                    texts.extend(values)
    assert len(texts) > 5_000
    assert all(isinstance(text, str) and set(text) <= set("0123456789.") for text in texts)


@pytest.mark.parametrize(
    ("rule", "encoded"),
    [
        (ClauseEquals(equals="GPT-5"), "=gpt-5"),
        (ClauseRegex(regex=r"^o[13]\d$"), r"~^o[13]\d$"),
        (
            ClauseAnd(and_=[ClauseStartsWith(starts_with="a"), ClauseContains(contains="B")]),
            ["and", "^a", "*b"],
        ),
    ],
)
def test_match_rules_are_encoded_by_a_mark(rule: Any, encoded: Any) -> None:
    """Comparisons without regard to case are lowered once; patterns stay as they are."""
    assert book._clause(rule) == encoded


def test_an_unknown_match_rule_is_an_error_and_not_dropped() -> None:
    """A newer package with a new kind of rule must not publish a book that misses models."""
    rule: Any = SimpleNamespace(sounds_like="gpt")
    with pytest.raises(TypeError, match="match rule"):
        book._clause(rule)


def test_an_unknown_price_condition_is_an_error_and_not_dropped() -> None:
    """A price whose condition nobody reads would hold always."""
    with pytest.raises(TypeError, match="price condition"):
        book._condition(SimpleNamespace(weekday="Sunday"))


def test_times_of_day_are_taken_to_utc() -> None:
    """00:30 at +08:00 is 16:30 UTC of the day before: the daily interval lies there."""
    constraint = TimeOfDateConstraint(
        start_time=time(0, 30, tzinfo=timezone(timedelta(hours=8))), end_time=time(1, 0, tzinfo=UTC)
    )
    hour = 3_600_000_000
    assert book._condition(constraint) == ["daily", 16 * hour + hour // 2, hour]


def test_start_dates_are_midnight_utc() -> None:
    """A dated price begins with the UTC day."""
    constraint = StartDateConstraint(start_date=datetime(2026, 1, 5, tzinfo=UTC).date())
    midnight = datetime(2026, 1, 5, tzinfo=UTC)
    assert book._condition(constraint) == ["from", int(midnight.timestamp()) * 1_000_000]


def test_our_units_are_the_packages_units() -> None:
    """Per how many items a price is, and which keys exist, is what the package's registry says."""
    by_key = {unit.price_key: unit.per for unit in _get_registry().units.values()}
    ours = {key for keys in (*_TOKEN_KEYS.values(), *_ITEM_KEYS.values()) for key in keys}
    for key in ours | {"requests_kcount"}:
        assert dict(_ITEMS_PER_PRICE)["_" + key.rsplit("_", 1)[1]] == by_key[key], key


def test_each_usage_class_falls_back_to_the_units_that_contain_it() -> None:
    """A class without its own price takes that of an enclosing unit, never of a sibling."""
    registry = _get_registry()
    for keys in _TOKEN_KEYS.values():
        units = [registry.unit_for_price_key(key) for key in keys]
        assert all(unit.dimensions.items() <= units[0].dimensions.items() for unit in units)
        enclosing = registry.ancestor_usage_keys(units[0].usage_key)
        untyped = {u for u in enclosing if "text" not in u}
        assert untyped == {unit.usage_key for unit in units[1:]}


@pytest.mark.parametrize(
    ("clause", "name", "answer"),
    [
        ("=a", "a", True),
        ("=a", "ab", False),
        ("*b", "abc", True),
        ("^ab", "abc", True),
        ("^b", "abc", False),
        ("$bc", "abc", True),
        ("$b", "abc", False),
        (r"~^o\d", "o3", True),
        (r"~^o\d", "go3", False),
        (["or", "=x", "=a"], "a", True),
        (["or", "=x", "=y"], "a", False),
        (["and", "^a", "$c"], "abc", True),
        (["and", "^a", "$x"], "abc", False),
        (None, "a", False),
    ],
)
def test_match_rules(clause: Any, name: str, answer: bool) -> None:
    """Each kind of rule takes what genai-prices' rule of that name takes."""
    assert matches(clause, name) is answer


def test_the_book_is_not_imported_by_the_core() -> None:
    """A replay prices from the publication alone: costs works on a snapshot that went through JSON."""
    snapshot = json.loads(canonical(book.snapshot()))
    rates = CostBook.build("USD", [], [], {}, snapshot).rates("google", "gemini-3-pro-preview", 0)
    assert rates is not None
    assert rates.cost_pico({"input_tokens": 1_000_000}) == 4 * 10**12
    assert PriceBook(snapshot).version == version("genai-prices")
