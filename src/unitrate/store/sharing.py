"""Reports by provider, model, operation, day or tag: a unit's figures shared over its requests (ruling 33).

Owns the one query that does it. Money is shared by cost, by requests where that is zero, by events where
there are no requests; rounded half up to 10^-12, and the last value in order takes the remainder, so the
shares of a unit always add up to what it has.
"""

from __future__ import annotations

from collections.abc import Sequence

from unitrate.store.booked import ACCOUNT, ANY, BOOKED_LINES, FATE, OPEN_UNITS, SUMS, UNIT_COLUMNS, pico

# A column of the request -> its expression over `events`. A day is one of UTC.
REQUEST_COLUMNS = {
    "provider": "provider",
    "model": "model",
    "operation": "operation",
    "day": "toDate(time, 'UTC')",
}
TAG = "tag:"
_FOREVER = "9223372036854775807"
_PART = f"{FATE}, units, billable_quantity, requests, revenue, cost, key"

# Units whose requests are not all of one part: some were booked in a later month than others, or not yet.
_SPLIT = f"""
SELECT unit_id FROM cost_lines
WHERE usage_month < bill_month AND {{period:UInt32}} IN (bill_month, usage_month) AND {ACCOUNT}
UNION DISTINCT
SELECT unit_id FROM units FINAL WHERE state = 'open' AND revision > 0 AND {ACCOUNT}
"""

# Events that the month can be about: those of its units, and those without a unit by their own time.
_FIRST_MONTH = """
(SELECT if(count() = 0, {period:UInt32}, least(min(usage_month), {period:UInt32})) FROM cost_lines
 WHERE bill_month = {period:UInt32})
"""
_SPAN = f"""
(SELECT (if(count() = 0, toDateTime64('2099-12-31', 6, 'UTC'), min(started)), max(last_event)) FROM units
 WHERE period BETWEEN {_FIRST_MONTH} AND {{period:UInt32}})
"""
_FIRST_DAY = f"toDateTime64(YYYYMMDDToDate({_FIRST_MONTH} * 100 + 1), 6, 'UTC')"
_LAST_DAY = "toDateTime64(addMonths(YYYYMMDDToDate({period:UInt32} * 100 + 1), 1), 6, 'UTC')"
_HAPPENED = f"""
SELECT if(unit_id = '', concat(toString(partition), '@', toString(offset)), unit_id) AS key, offset,
       $value AS value, cost, toUInt64(type = 'ai.request') AS asked
FROM events FINAL
WHERE time >= least({_SPAN}.1, subtractDays({_FIRST_DAY}, 2))
  AND time < greatest(addSeconds({_SPAN}.2, 1), addDays({_LAST_DAY}, 2)) AND {ACCOUNT}
"""
# value -> cost, requests, events, by value in order
_SLICES = "sumMap([value], [cost], [asked], [toUInt64(1)]) AS slices"

# Parts: what one unit, or one request without a unit, has under one fate. Its key finds its events.
_WHOLE_PARTS = f"""
SELECT {FATE}, {SUMS},
       if(meter = '', concat(toString(any(partition)), '@', toString(max(version))), unit_id) AS key
FROM ({BOOKED_LINES}) WHERE unit_id NOT IN ({_SPLIT}) GROUP BY {FATE}, unit_id HAVING {ANY}
UNION ALL
SELECT {FATE}, units, toInt256(0), requests, toInt256(0), {pico("toDecimal256(cost, 12)")}, unit_id
FROM ({OPEN_UNITS}) WHERE revision = 0
"""

# The same of split units, with the log offsets [since, upto] of the events that the part is about. In a month
# after a closed one that is what came after the last line of the closed months; a pure reversal brings no
# request and is about all of them.
_SPLIT_PARTS = f"""
SELECT {_PART}, if(sum(requests) OVER whole > 0, next_offset, 0) AS since,
       max(last_version) OVER whole AS upto
FROM (
    SELECT {FATE}, {SUMS}, unit_id AS key, max(version) AS last_version
    FROM ({BOOKED_LINES}) WHERE unit_id IN ({_SPLIT}) GROUP BY {FATE}, unit_id HAVING {ANY}
) AS booked LEFT JOIN (
    SELECT unit_id AS key, max(version) + 1 AS next_offset FROM cost_lines FINAL
    WHERE bill_month < {{period:UInt32}} AND {ACCOUNT}
      AND unit_id IN (SELECT unit_id FROM ({BOOKED_LINES}) WHERE late)
    GROUP BY unit_id
) AS earlier USING (key)
WINDOW whole AS (PARTITION BY key)
UNION ALL
SELECT {FATE}, units, toInt256(0), requests, toInt256(0), {pico("toDecimal256(cost, 12)")}, key,
       next_offset, {_FOREVER}
FROM (SELECT *, unit_id AS key FROM ({OPEN_UNITS}) WHERE revision > 0) AS reopened LEFT JOIN (
    SELECT unit_id AS key, max(version) + 1 AS next_offset FROM cost_lines FINAL
    WHERE unit_id IN ({_SPLIT}) AND {ACCOUNT}
    GROUP BY unit_id
) AS booked USING (key)
"""


def shared(by: Sequence[str], requested: Sequence[str]) -> str:
    """Sums by columns of which `requested` are of requests; parameters also `tagN` for the Nth of those."""
    happened = _HAPPENED.replace("$value", _value(requested))
    columns = ", ".join(f"`{name}`" for name in by)
    return f"""
SELECT {", ".join(_outer(name, requested) for name in by)}, sum(units) AS units,
       sum(billable_quantity) AS billable_quantity, sum(slice_requests) AS requests,
       sum(slice_revenue) AS revenue, sum(slice_cost) AS cost
FROM (
    SELECT {FATE}, units, billable_quantity, value, slice_requests, slice_revenue, slice_cost
    FROM (SELECT *, {_SHARES} FROM ({_parts_with_slices(happened)}))
    ARRAY JOIN known AS value, requests_of AS slice_requests, revenue_of AS slice_revenue,
               cost_of AS slice_cost
)
GROUP BY {columns} HAVING {ANY} ORDER BY {columns}
SETTINGS do_not_merge_across_partitions_select_final = 1, join_use_nulls = 0
"""


def _parts_with_slices(happened: str) -> str:
    return f"""
SELECT {_PART}, slices FROM ({_WHOLE_PARTS}) AS whole_parts
LEFT JOIN (SELECT key, {_SLICES} FROM ({happened}) GROUP BY key) AS of_whole USING (key)
UNION ALL
SELECT {_PART}, slices FROM ({_SPLIT_PARTS}) AS split_parts
LEFT JOIN (
    SELECT key, since, upto, {_SLICES}
    FROM (SELECT * FROM ({happened}) WHERE key IN ({_SPLIT})) AS happened
    INNER JOIN (SELECT DISTINCT key, since, upto FROM ({_SPLIT_PARTS})) AS spans USING (key)
    WHERE offset BETWEEN since AND upto
    GROUP BY key, since, upto
) AS of_split USING (key, since, upto)
"""


def _share(whole: str, weights: str) -> str:
    """An array: the whole by weights, half up, the last taking what the others leave."""
    total = f"arraySum({weights})"
    part = f"sign(toInt256({whole})) * intDiv(abs(toInt256({whole})) * w * 2 + {total}, {total} * 2)"
    parts = f"arrayMap(w -> {part}, arrayPopBack({weights}))"
    return f"arrayPushBack({parts}, toInt256({whole}) - arraySum({parts}))"


def _shares() -> str:
    """Arrays over the known values: those of requests, or of all events where there is no request."""
    filtered = "arrayFilter((v, asked) -> asked > 0 OR arraySum(slices.3) = 0, {}, slices.3)"
    one = "length(slices.1) < 2"
    counts = "if(arraySum(slices.3) > 0, slices.3, slices.4)"
    weights = f"if(arraySum(slices.2) > 0, arrayMap(c -> {pico('toDecimal256(c, 12)')}, slices.2), counts)"
    lines = [
        f"arrayMap(n -> toInt256(n), {filtered.format(counts)}) AS counts",
        f"if({one}, counts, {filtered.format(weights)}) AS weights",
        f"if(empty(slices.1), [''], {filtered.format('slices.1')}) AS known",
    ]
    for name, by in (("requests", "counts"), ("revenue", "weights"), ("cost", "weights")):
        lines.append(f"if({one}, [toInt256({name})], {_share(name, by)}) AS {name}_of")
    return ",\n           ".join(lines)


_SHARES = _shares()


def _value(requested: Sequence[str]) -> str:
    """The values of the columns as one text, in an order that is that of the columns."""
    texts = [_expression(name, at) for at, name in enumerate(requested)]
    if len(texts) == 1:
        return texts[0]
    return "concat(" + ", '\\0', ".join(f"replaceAll({text}, '\\0', '')" for text in texts) + ")"


def _expression(name: str, at: int) -> str:
    if name.startswith(TAG):
        return f"JSONExtractString(tags, {{tag{at}:String}})"
    return f"toString({REQUEST_COLUMNS[name]})"


def _outer(name: str, requested: Sequence[str]) -> str:
    if name in UNIT_COLUMNS:
        return f"`{name}`"
    if len(requested) == 1:
        return f"value AS `{name}`"
    return f"splitByChar('\\0', value)[{requested.index(name) + 1}] AS `{name}`"
