"""The gateway's bill of 311 real agent runs, call by call: our cost is its cost, to the last digit."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from unitrate.catalog.book import snapshot
from unitrate.costs import CostBook

CALLS = Path(__file__).parents[2] / "examples" / "agent_runs" / "calls.jsonl.gz"

# The gateway writes the model with its maker in front, which the book does not know under Google.
ALIASES = [
    {"provider": "Google AI Studio", "as": "google"},
    {"model": "google/gemini-3-pro-preview", "as": "gemini-3-pro-preview"},
]


@cache
def calls() -> list[dict[str, Any]]:
    with gzip.open(CALLS, "rt") as lines:
        return [json.loads(line, parse_float=Decimal) for line in lines]


def billed() -> Iterator[dict[str, Any]]:
    return (call for call in calls() if "cost" in call["usage"])


def disjoint(usage: dict[str, Any]) -> dict[str, int]:
    """OpenAI's prompt tokens include the cached ones; ours do not."""
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return {
        "input_tokens": usage["prompt_tokens"] - cached,
        "cache_read_tokens": cached,
        "output_tokens": usage["completion_tokens"],
    }


def cost_pico(costs: CostBook, call: dict[str, Any]) -> int | None:
    rates = costs.rates(call["provider"], call["model"], call["created"] * 1_000_000)
    return None if rates is None else rates.cost_pico(disjoint(call["usage"]))


def test_the_book_prices_every_call_as_the_gateway_billed_it() -> None:
    """12,120 calls, 141.0587634 USD, no call differs by one unit of the twelfth decimal."""
    costs = CostBook.build("USD", [], ALIASES, {}, snapshot())
    total = count = 0
    for call in billed():
        cost = cost_pico(costs, call)
        assert cost is not None, call["id"]
        assert cost == Decimal(str(call["usage"]["cost"])) * 10**12, call["id"]
        total, count = total + cost, count + 1
    assert (count, total) == (12_120, 141_058_763_400_000)


def test_own_prices_give_the_same_bill() -> None:
    """The price list that the gateway used, written as own prices, over names before any alias."""
    own = [{"provider": "Google*", "model": "google/*", "input": "2", "cache_read": "0.2", "output": "12"}]
    costs = CostBook.build("USD", own, [], {}, None)
    assert sum(cost_pico(costs, call) or 0 for call in billed()) == 141_058_763_400_000


def test_without_aliases_the_gateways_names_are_unpriced() -> None:
    """A model name that the book does not know is no other model, and not free."""
    costs = CostBook.build("USD", [], [], {}, snapshot())
    assert {cost_pico(costs, call) for call in billed()} == {None}


def test_the_other_gateways_calls_are_priced_with_reasoning_added_to_the_output() -> None:
    """384 calls count reasoning beside the completion: output is the sum of both, once."""
    costs = CostBook.build("USD", [], ALIASES, {}, snapshot())
    others = [call for call in calls() if "cost" not in call["usage"]]
    assert len(others) == 384
    for call in others:
        usage = disjoint(call["usage"])
        reasoning = (call["usage"].get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
        usage["output_tokens"] += reasoning
        usage["reasoning_tokens"] = reasoning
        rates = costs.rates(call["provider"], call["model"], call["created"] * 1_000_000)
        assert rates is not None
        assert rates.cost_pico(usage) == (
            usage["input_tokens"] * 2_000_000
            + usage["cache_read_tokens"] * 200_000
            + usage["output_tokens"] * 12_000_000
        )
