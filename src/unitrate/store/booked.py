"""What a month holds, in SQL: the lines that were booked, and what is not booked yet.

Owns whose figures are in which month. Rows are deduplicated (FINAL) and sums have 256 bits, as 128 would wrap
silently. Must never read money from `units`, except the cost that no cost line has because its unit is open.
Parameters of every query: `period` (0 for all) and `account` ('' for all).
"""

from __future__ import annotations

UNIT_COLUMNS = ("account", "workspace", "workflow", "meter", "size", "disposition", "reason")
FATE = ", ".join(UNIT_COLUMNS)
ACCOUNT = "({account:String} = '' OR account = {account:String})"
TAKEN = f"{FATE}, units, billable_quantity, requests, revenue, cost"


def pico(expression: str) -> str:
    """A decimal expression as an integer of 10^-12."""
    return f"toInt256(({expression}) * toDecimal256(1000000000000, 0))"


def sum_pico(column: str) -> str:
    return pico(f"sum(toDecimal256({column}, 12))")


SUMS = (
    f"sum(units) AS units, {sum_pico('billable_quantity')} AS billable_quantity, "
    f"sum(requests) AS requests, {sum_pico('revenue')} AS revenue, {sum_pico('cost')} AS cost"
)
ANY = "units != 0 OR billable_quantity != 0 OR requests != 0 OR revenue != 0 OR cost != 0"

# What cost lines hold of the month, one row a line.
BOOKED_LINES = f"""
SELECT {TAKEN}, unit_id, version, partition, usage_month < bill_month AS late
FROM cost_lines FINAL
WHERE ({{period:UInt32}} = 0 OR bill_month = {{period:UInt32}}) AND {ACCOUNT}
"""

# What no cost line has yet: requests of units that are open (again). A unit counts before it is booked, too.
OPEN_UNITS = f"""
SELECT {FATE}, toInt64(revision = 0) AS units, toDecimal128(0, 12) AS billable_quantity,
       toInt64(units.requests) - toInt64(booked_requests) AS requests, toDecimal128(0, 12) AS revenue,
       units.cost - booked_cost AS cost, unit_id, revision
FROM units FINAL
WHERE state = 'open'
  AND ({{period:UInt32}} = 0 OR period = {{period:UInt32}} AND opened_month <= {{period:UInt32}})
  AND {ACCOUNT}
"""
