"""The questions that reports ask, one set for folder and server.

Owns what a report's row is: whose figures, which month, how a unit's figures are shared over its requests
(ruling 33). Sums are exact (Decimal256 or integers of 10^-12), rows are deduplicated (FINAL); must never
read money from `units`, except the cost that no cost line has booked yet because its unit is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from unitrate.errors import InputError

if TYPE_CHECKING:
    from unitrate.store.client import Store

UNIT_COLUMNS = ("account", "workspace", "workflow", "meter", "size", "disposition", "reason")
# A column of the request → its expression over `events`. A day is one of UTC.
REQUEST_COLUMNS = {
    "provider": "provider",
    "model": "model",
    "operation": "operation",
    "day": "toString(toDate(time, 'UTC'))",
}
TAG = "tag:"
FIGURES = ("units", "billable_quantity", "requests", "revenue", "cost")
_COUNTS = ("units", "requests")
_EVERY_MONTH = 0


def report_rows(
    store: Store, period: int, account: str | None = None, by: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Figures of a month (`202511`), a dict a row, ordered by the `by` columns; one row where `by` is empty.

    Money and quantities are Decimals. By a column of requests (provider, model, operation, day, tag:NAME) a
    unit's money is shared over its requests, while the unit itself counts in every row that it has a part in.
    Raises InputError for a column that there is not.
    """
    check_columns(by)
    parameters: dict[str, Any] = {"period": period, "account": account or ""}
    parameters |= {f"tag{at}": name.removeprefix(TAG) for at, name in enumerate(_requested(by))}
    return [_figures(row) for row in store.query(report_sql(by), parameters).dicts()]


def report_sql(by: Sequence[str]) -> str:
    """The report's query; amounts come as integers of 10^-12.

    Its parameters are `period`, `account` ('' for all), and `tagN` for a tag that is the Nth request column.
    """
    return _shared(by, _requested(by)) if _requested(by) else _summed(by)


def _requested(by: Sequence[str]) -> list[str]:
    """The columns that are of requests, not of units."""
    return [name for name in by if name not in UNIT_COLUMNS]


@dataclass(frozen=True, slots=True)
class Totals:
    """What a store holds in all: units by disposition, and the figures of every month."""

    units: dict[str, int]
    requests: int
    revenue: Decimal
    cost: Decimal


def totals(store: Store) -> Totals:
    """Sums over all months and accounts."""
    found = store.query(_summed(["disposition"]), {"period": _EVERY_MONTH, "account": ""})
    rows = [_figures(row) for row in found.dicts()]
    return Totals(
        units={row["disposition"]: row["units"] for row in rows},
        requests=sum(row["requests"] for row in rows),
        revenue=sum((row["revenue"] for row in rows), Decimal(0)),
        cost=sum((row["cost"] for row in rows), Decimal(0)),
    )


def check_columns(by: Sequence[str]) -> None:
    """Raises InputError naming a column that reports do not have, with those that they do."""
    for name in by:
        if name in UNIT_COLUMNS or name in REQUEST_COLUMNS or (name.startswith(TAG) and name != TAG):
            continue
        known = ", ".join((*UNIT_COLUMNS, *REQUEST_COLUMNS, "tag:NAME"))
        raise InputError(f"reports have no column {name!r}; they have {known}")


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    for name in FIGURES:
        value = row[name]
        row[name] = int(value) if name in _COUNTS else Decimal(value).scaleb(-12)
    return row


_ACCOUNT = "({account:String} = '' OR account = {account:String})"
_FATE = ", ".join(UNIT_COLUMNS)


def _pico(expression: str) -> str:
    """A decimal expression as an integer of 10^-12; 256 bits, as 128 would wrap silently."""
    return f"toInt256(({expression}) * toDecimal256(1000000000000, 0))"


def _sum_pico(column: str) -> str:
    return _pico(f"sum(toDecimal256({column}, 12))")


# What cost lines hold of the month, one row a line.
_BOOKED_LINES = f"""
SELECT {_FATE}, unit_id, units, {_pico("toDecimal256(billable_quantity, 12)")} AS quantity,
       requests, {_pico("toDecimal256(revenue, 12)")} AS revenue, {_pico("toDecimal256(cost, 12)")} AS cost,
       version, partition, usage_month < bill_month AS late
FROM cost_lines FINAL
WHERE ({{period:UInt32}} = 0 OR bill_month = {{period:UInt32}}) AND {_ACCOUNT}
"""

# What no cost line has yet: requests of units that are open (again). A unit counts before it is booked, too.
_OPEN_UNITS = f"""
SELECT {_FATE}, unit_id, toInt64(revision = 0) AS units, toInt256(0) AS quantity,
       toInt64(requests) - toInt64(booked_requests) AS requests, toInt256(0) AS revenue,
       {_pico("toDecimal256(cost, 12) - toDecimal256(booked_cost, 12)")} AS cost, revision
FROM units FINAL
WHERE state = 'open'
  AND ({{period:UInt32}} = 0 OR period = {{period:UInt32}} AND opened_month <= {{period:UInt32}})
  AND {_ACCOUNT}
"""

_ANY = "units != 0 OR billable_quantity != 0 OR requests != 0 OR revenue != 0 OR cost != 0"


def _summed(by: Sequence[str]) -> str:
    """Sums by columns of units alone: one pass over the month's cost lines."""
    columns = ", ".join(f"`{name}`" for name in by)
    figures = "sum(units) AS units, sum(quantity) AS billable_quantity, sum(requests) AS requests, "
    figures += "sum(revenue) AS revenue, sum(cost) AS cost"
    taken = f"{_FATE}, units, quantity, requests, revenue, cost"
    inner = f"SELECT {taken} FROM ({_BOOKED_LINES}) UNION ALL SELECT {taken} FROM ({_OPEN_UNITS})"
    if not by:
        return f"SELECT {figures} FROM ({inner})"
    return f"SELECT {columns}, {figures} FROM ({inner}) GROUP BY {columns} HAVING {_ANY} ORDER BY {columns}"


# ---------------------------------------------------------------- sharing a unit over its requests

# The parts of the month: what one unit (or one request without a unit) has under one fate, and the span of
# log offsets [since, upto] of the requests that it is about. In a month after a closed one that is what came
# after the last line of the closed months; a pure reversal brings no requests and is about all of them.
_PARTS = f"""
booked AS (
    SELECT {_FATE}, unit_id, sum(units) AS unit_count, sum(quantity) AS quantity,
           sum(requests) AS request_count, sum(revenue) AS revenue, sum(cost) AS cost,
           max(version) AS last_version, any(partition) AS in_partition, max(late) AS late
    FROM ({_BOOKED_LINES}) GROUP BY {_FATE}, unit_id
    HAVING unit_count != 0 OR quantity != 0 OR request_count != 0 OR revenue != 0 OR cost != 0
),
earlier AS (
    SELECT account, unit_id, max(version) + 1 AS next_offset FROM cost_lines FINAL
    WHERE bill_month < {{period:UInt32}} AND {_ACCOUNT}
      AND (account, unit_id) IN (SELECT account, unit_id FROM booked WHERE late)
    GROUP BY account, unit_id
),
still_open AS ({_OPEN_UNITS}),
open_booked AS (
    SELECT account, unit_id, max(version) + 1 AS next_offset FROM cost_lines FINAL
    WHERE (account, unit_id) IN (SELECT account, unit_id FROM still_open WHERE revision > 0)
    GROUP BY account, unit_id
),
parts AS (
    SELECT {_FATE},
           if(meter = '', concat(toString(in_partition), '@', toString(last_version)), unit_id) AS key,
           unit_count, quantity, request_count, revenue, cost,
           if(sum(request_count) OVER whole > 0, next_offset, 0) AS since,
           max(last_version) OVER whole AS upto
    FROM booked LEFT JOIN earlier USING (account, unit_id)
    WINDOW whole AS (PARTITION BY account, unit_id)
    UNION ALL
    SELECT {_FATE}, unit_id AS key, units AS unit_count, quantity, requests AS request_count, revenue, cost,
           next_offset AS since, 9223372036854775807 AS upto
    FROM still_open LEFT JOIN open_booked USING (account, unit_id)
)
"""


def _shared(by: Sequence[str], requested: Sequence[str]) -> str:
    """Sums by columns of requests: each part is shared over the slices of its requests, exactly.

    A slice is the unit's requests with the same values. Money is shared by cost (by requests where that is
    zero; by events where there are none), rounded half up; the last slice in order takes the remainder.
    """
    texts = [_request_expression(name, at) for at, name in enumerate(requested)]
    values = ", ".join(texts)
    outer = []
    for name in by:
        value = f"slice.1.{requested.index(name) + 1}" if name in requested else f"`{name}`"
        outer.append(f"{value} AS `{name}`")
    columns = ", ".join(f"`{name}`" for name in by)
    nothing = "tuple(" + ", ".join("''" for _ in requested) + ")"
    return f"""
WITH {_PARTS},
slices AS (
    SELECT account, key, since, upto, tuple({values}) AS value, {_sum_pico("cost")} AS slice_cost,
           toInt256(countIf(type = 'ai.request')) AS slice_requests, toInt256(count()) AS slice_events
    FROM (
        SELECT *, if(unit_id = '', concat(toString(partition), '@', toString(offset)), unit_id) AS key
        FROM events FINAL WHERE {_ACCOUNT}
    ) AS happened
    INNER JOIN (SELECT DISTINCT account, key, since, upto FROM parts) AS spans USING (account, key)
    WHERE offset >= since AND offset <= upto
    GROUP BY account, key, since, upto, value
),
sliced AS (
    SELECT account, key, since, upto,
           arraySort(groupArray((value, slice_cost, slice_requests, slice_events))) AS every,
           if(arraySum(s -> s.3, every) > 0, arrayFilter(s -> s.3 > 0, every), every) AS known
    FROM slices GROUP BY account, key, since, upto
),
weighed AS (
    SELECT parts.*, if(empty(known), [({nothing}, toInt256(0), toInt256(0), toInt256(1))], known) AS kept,
           arrayMap(s -> if(arraySum(k -> k.3, kept) > 0, s.3, s.4), kept) AS counts,
           if(arraySum(k -> k.2, kept) > 0, arrayMap(s -> s.2, kept), counts) AS weights,
           {_share("request_count", "counts")} AS requests_of,
           {_share("revenue", "weights")} AS revenue_of,
           {_share("cost", "weights")} AS cost_of
    FROM parts LEFT JOIN sliced USING (account, key, since, upto)
)
SELECT {", ".join(outer)}, sum(unit_count) AS units, sum(quantity) AS billable_quantity,
       sum(slice_requests) AS requests, sum(slice_revenue) AS revenue, sum(slice_cost) AS cost
FROM (
    SELECT {_FATE}, unit_count, quantity, slice, slice_requests, slice_revenue, slice_cost FROM weighed
    ARRAY JOIN kept AS slice, requests_of AS slice_requests, revenue_of AS slice_revenue,
               cost_of AS slice_cost
)
GROUP BY {columns} HAVING {_ANY} ORDER BY {columns}
SETTINGS do_not_merge_across_partitions_select_final = 1, join_use_nulls = 0
"""


def _share(whole: str, weights: str) -> str:
    """An array: the whole by weights, half up, the last taking what the others leave."""
    total = f"arraySum({weights})"
    part = f"sign(toInt256({whole})) * intDiv(abs(toInt256({whole})) * w * 2 + {total}, {total} * 2)"
    parts = f"arrayMap(w -> {part}, arrayPopBack({weights}))"
    return f"arrayPushBack({parts}, toInt256({whole}) - arraySum({parts}))"


def _request_expression(name: str, at: int) -> str:
    if name.startswith(TAG):
        return f"JSONExtractString(tags, {{tag{at}:String}})"
    return f"toString({REQUEST_COLUMNS[name]})"
