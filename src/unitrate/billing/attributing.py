"""Which workflows earned what a re-rate changed: its lines belong to no unit, builders are paid by workflow.

Owns the sharing (D70): by the quantities that the line's price had from each workflow until then, for
cost_plus by their cost. Reads only what stood before the re-rate, so it is the same whenever it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unitrate.pricing import shared_pico, to_pico

if TYPE_CHECKING:
    from unitrate.store import Store

# A line over all prices of a charge (price_value is empty) shares over the quantities of all of them.
RATED = """
SELECT rerated.line_id, rerated.amount, rated.workflow, sum(rated.quantity), sum(rated.cost) FROM (
    SELECT account, usage_month, plan, plan_version, charge, price_value, line_id, version, amount
    FROM lines FINAL WHERE reason = 'rerate' AND {months}
) AS rerated INNER JOIN (
    SELECT account, usage_month, plan, plan_version, charge, price_value, version, workflow,
           toDecimal256(quantity, 12) AS quantity,
           toDecimal256(cost_after, 12) - toDecimal256(cost_before, 12) AS cost
    FROM lines FINAL WHERE workflow != '' AND (account, usage_month) IN (
        SELECT account, usage_month FROM lines WHERE reason = 'rerate' AND {months}
    )
) AS rated USING (account, usage_month, plan, plan_version, charge)
WHERE rated.version < rerated.version AND rerated.price_value IN ('', rated.price_value)
GROUP BY rerated.line_id, rerated.amount, rated.workflow ORDER BY rerated.line_id, rated.workflow
"""


def rerated_revenue(store: Store, months: str, parameters: Mapping[str, Any]) -> dict[str, int]:
    """Revenue by workflow, in 10⁻¹², of the re-rates of some account months; '' takes it off what has none.

    `months` is a condition on `account` and `bill_month`.
    """
    amounts: dict[str, int] = {}
    quantities: dict[str, dict[str, int]] = {}  # line -> workflow -> quantity
    costs: dict[str, dict[str, int]] = {}
    sql = RATED.replace("{months}", months)
    for line_id, amount, workflow, quantity, cost in store.query(sql, parameters).rows:
        amounts[line_id] = to_pico(amount)
        quantities.setdefault(line_id, {})[workflow] = to_pico(quantity)
        costs.setdefault(line_id, {})[workflow] = to_pico(cost)
    found: dict[str, int] = {}
    for line_id, amount_pico in amounts.items():
        every = costs[line_id] if sum(costs[line_id].values()) else quantities[line_id]
        weights = {workflow: weight for workflow, weight in every.items() if weight}
        if not weights:
            continue
        for workflow, part in zip(weights, shared_pico(amount_pico, [*weights.values()]), strict=True):
            found[workflow] = found.get(workflow, 0) + part
        found[""] = found.get("", 0) - amount_pico
    return found
