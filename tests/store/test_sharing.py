"""Sharing a unit's figures over its requests, against a slow and plain version."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from tests.store.builders import a_checkpoint, a_cost_line, an_event, events
from unitrate import rows
from unitrate.store import Store
from unitrate.store.queries import report_rows

SEED = 20_251_124


def half_up(value: Fraction) -> int:
    return int((Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal(1), ROUND_HALF_UP))


def plainly_shared(revenue: int, costs: dict[str, list[int]]) -> dict[str, tuple[int, int, int]]:
    """Model -> requests, revenue, cost of one unit."""
    cost = {model: sum(each) for model, each in costs.items()}
    count = {model: len(each) for model, each in costs.items()}
    weights = cost if sum(cost.values()) else count
    names = sorted(costs)
    shares = {name: half_up(Fraction(revenue * weights[name], sum(weights.values()))) for name in names[:-1]}
    shares[names[-1]] = revenue - sum(shares.values())
    return {name: (count[name], shares[name], cost[name]) for name in names}


def test_shares_are_those_of_ruling_33_and_add_up(store: Store) -> None:
    """Three hundred units with any revenue, credits too, over up to four models of any cost, none too."""
    chance = random.Random(SEED)
    ledger: list[dict[str, Any]] = []
    cost_lines: list[tuple[Any, ...]] = []
    expected: dict[str, tuple[int, ...]] = dict.fromkeys("abcd", (0, 0, 0))
    for number in range(300):
        unit_id, revenue = f"{number:032x}", chance.choice([0, 1, -1, 7 * 10**12, chance.randrange(10**15)])
        costs: dict[str, list[int]] = {}
        for _ in range(chance.randint(1, 6)):
            cost = chance.choice([0, 1, 3, chance.randrange(10**12)])
            model = chance.choice("abcd")
            costs.setdefault(model, []).append(cost)
            name = f"e{len(ledger)}"
            ledger.append(an_event(name, len(ledger), unit_id=unit_id, model=model, cost=cost, meter="m"))
        requests, cost = sum(map(len, costs.values())), sum(map(sum, costs.values()))
        cost_lines.append(
            a_cost_line(unit_id=unit_id, version=9999, units=1, requests=requests, cost=cost, revenue=revenue)
        )
        for model, figures in plainly_shared(revenue, costs).items():
            expected[model] = tuple(a + b for a, b in zip(expected[model], figures, strict=True))
    store.write_checkpoint(a_checkpoint(output=rows.Output(events(*ledger), cost_lines=cost_lines)))
    found = report_rows(store, 202511, by=["model"])
    assert {
        row["model"]: (row["requests"], int(row["revenue"].scaleb(12)), int(row["cost"].scaleb(12)))
        for row in found
    } == expected, f"seed {SEED}"
    (total,) = report_rows(store, 202511)
    for figure in ("requests", "revenue", "cost"):
        assert sum(row[figure] for row in found) == total[figure]
