"""Which workflows earned what a re-rate changed: its lines belong to no unit, builders are paid by workflow.

Owns the sharing (D70): by the quantities that the line's price had from each workflow until then, for
cost_plus by their cost. Reads only what stood before the re-rate, so it is the same whenever it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from unitrate.pricing import shared_pico, to_pico

if TYPE_CHECKING:
    from unitrate.store import Store

# A line over all prices of a charge (price_value is empty) shares over the quantities of all of them.
RATED = """
SELECT rerated.line_id, rerated.amount, rerated.account, rerated.usage_month, rerated.plan,
       rerated.plan_version, rerated.charge, rerated.price_value, rated.workflow, sum(rated.quantity),
       sum(rated.cost)
FROM (
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
GROUP BY ALL ORDER BY rerated.line_id, rated.workflow
"""


class PriceMonth(NamedTuple):
    """The price of an account's month that a line is of; of a whole charge, `price_value` is empty."""

    account: str
    usage_month: int
    plan: str
    plan_version: int
    charge: str
    price_value: str


def rerated(
    store: Store, months: str, parameters: Mapping[str, Any]
) -> Iterator[tuple[PriceMonth, dict[str, int]]]:
    """Each line of a re-rate in some account months, and its amount by workflow in 10⁻¹².

    `months` is a condition on columns of `lines`. A line that no workflow can share is left out.
    """
    rows = store.query(RATED.replace("{months}", months), parameters).rows
    for _, group in groupby(rows, key=lambda row: row[0]):
        line = list(group)
        quantities, costs = ({row[8]: to_pico(row[at]) for row in line} for at in (9, 10))
        every = costs if sum(costs.values()) else quantities
        weights = {workflow: weight for workflow, weight in every.items() if weight}
        if weights:
            parts = shared_pico(to_pico(line[0][1]), [*weights.values()])
            yield PriceMonth(*line[0][2:8]), dict(zip(weights, parts, strict=True))


def rerated_revenue(store: Store, months: str, parameters: Mapping[str, Any]) -> dict[str, int]:
    """Revenue by workflow, in 10⁻¹², of these re-rates; '' takes it off what has no workflow."""
    found: dict[str, int] = {}
    for _, parts in rerated(store, months, parameters):
        for workflow, part in parts.items():
            found[workflow] = found.get(workflow, 0) + part
        found[""] = found.get("", 0) - sum(parts.values())
    return found
