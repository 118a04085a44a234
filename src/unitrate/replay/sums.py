"""What the traffic of a month comes to: by customer, and each unit's fate, from a store or from a fold.

Owns the sums on both sides of a simulation, so that they cannot differ in what they count: everything that
belongs to the month by its usage, whenever it was or would be billed. Exact integers of 10⁻¹².
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unitrate.billing.invoice import UsagePart
from unitrate.pricing import to_pico
from unitrate.rows import COST_LINES, LINES, UNITS, Column

if TYPE_CHECKING:
    from unitrate.rows import Output
    from unitrate.store import Store

# account, plan, plan version, charge, meter, price value
PartKey = tuple[str, str, int, str, str, str]
Fate = tuple[str, str, str]  # disposition, reason, size


def _places(columns: tuple[Column, ...], *names: str) -> tuple[int, ...]:
    order = [column.name for column in columns]
    return tuple(order.index(name) for name in names)


_LINE = _places(
    LINES, "usage_month", "unit_id", "account", "plan", "plan_version", "charge", "meter", "price_value",
    "quantity", "amount", "catalog",
)  # fmt: skip
_COST_LINE = _places(COST_LINES, "usage_month", "unit_id", "account", "revenue", "cost")
_UNIT = _places(
    UNITS, "period", "unit_id", "account", "disposition", "reason", "size", "state", "cost", "booked_cost"
)


@dataclass(slots=True)
class Fates:
    """Units of the month, each with its fate, in 12 bytes a unit."""

    ids: array[int] = field(default_factory=lambda: array("Q"))  # first half of the unit's id
    codes: array[int] = field(default_factory=lambda: array("i"))
    names: dict[Fate, int] = field(default_factory=dict)

    def add(self, unit_id: str, fate: Fate) -> None:
        """One unit, once."""
        self.ids.append(int(unit_id[:16], 16))
        self.codes.append(self.names.setdefault(fate, len(self.names)))


@dataclass(slots=True)
class Month:
    """One side of a simulation."""

    period: int
    revenue: dict[str, int] = field(default_factory=dict)  # account -> usage as rated
    cost: dict[str, int] = field(default_factory=dict)
    parts: dict[PartKey, list[int]] = field(default_factory=dict)  # -> quantity, amount
    catalogs: dict[PartKey, str] = field(default_factory=dict)
    fates: Fates = field(default_factory=Fates)

    def usage(self) -> dict[str, list[UsagePart]]:
        """Rated usage by account, as invoices take it."""
        found: dict[str, list[UsagePart]] = {}
        for key, (quantity, amount) in sorted(self.parts.items()):
            account, plan, version, charge, meter, value = key
            part = UsagePart(plan, version, charge, meter, value, quantity, amount, self.catalogs[key])
            found.setdefault(account, []).append(part)
        return found

    def _cost(self, account: str, revenue: int, cost: int) -> None:
        self.revenue[account] = self.revenue.get(account, 0) + revenue
        self.cost[account] = self.cost.get(account, 0) + cost

    def _part(self, key: PartKey, quantity: int, amount: int, catalog: str) -> None:
        sums = self.parts.setdefault(key, [0, 0])
        sums[0] += quantity
        sums[1] += amount
        self.catalogs[key] = catalog

    # ------------------------------------------------------------ of a fold

    def take(self, output: Output, waived: set[str]) -> None:
        """Rows of a fold; lines of units in `waived` are left out: an operator waived them."""
        for row in output.lines:
            month, unit_id, account, plan, version, charge, meter, value, quantity, amount, catalog = (
                row[at] for at in _LINE
            )
            if month == self.period and unit_id not in waived:
                self._part((account, plan, version, charge, meter, value), quantity, amount, catalog)
        for row in output.cost_lines:
            month, unit_id, account, revenue, cost = (row[at] for at in _COST_LINE)
            if month == self.period:
                self._cost(account, 0 if unit_id in waived else revenue, cost)
        self.take_units(output.units, waived)

    def take_units(self, rows: Iterable[tuple[Any, ...]], waived: set[str]) -> None:
        """Units that were let go, or that live at the end: what an open one cost is in no cost line yet."""
        for row in rows:
            month, unit_id, account, disposition, reason, size, state, cost, booked = (
                row[at] for at in _UNIT
            )
            if month != self.period:
                continue
            fate = ("not_billed", "waived", size) if unit_id in waived else (disposition, reason, size)
            self.fates.add(unit_id, fate)
            if state == "open":
                self._cost(account, 0, cost - booked)


# ---------------------------------------------------------------- of a store

_PARTS = """
SELECT account, plan, plan_version, charge, any(meter), price_value, sum(toDecimal256(quantity, 12)),
       sum(toDecimal256(amount, 12)), argMax(catalog, version)
FROM lines FINAL WHERE usage_month = {period:UInt32}
GROUP BY account, plan, plan_version, charge, price_value
"""
_COSTS = """
SELECT account, sum(revenue), sum(cost) FROM (
    SELECT account, toDecimal256(revenue, 12) AS revenue, toDecimal256(cost, 12) AS cost
    FROM cost_lines FINAL WHERE usage_month = {period:UInt32}
    UNION ALL
    SELECT account, toDecimal256(0, 12), toDecimal256(cost, 12) - toDecimal256(booked_cost, 12)
    FROM units FINAL WHERE state = 'open' AND period = {period:UInt32}
) GROUP BY account
"""
_FATES = """
SELECT reinterpretAsUInt64(reverse(unhex(substring(unit_id, 1, 16)))) AS half,
       concat(disposition, '\\n', reason, '\\n', size) AS fate
FROM units FINAL WHERE period = {period:UInt32}
"""


def of_store(store: Store, period: int) -> Month:
    """The month as the store has it."""
    month = Month(period)
    parameters = {"period": period}
    for account, plan, version, charge, meter, value, quantity, amount, catalog in store.query(
        _PARTS, parameters
    ).rows:
        key = (account, plan, version, charge, meter, value)
        month._part(key, to_pico(quantity), to_pico(amount), catalog)
    for account, revenue, cost in store.query(_COSTS, parameters).rows:
        month._cost(account, to_pico(revenue), to_pico(cost))
    _read_fates(store, month, parameters)
    return month


def _read_fates(store: Store, month: Month, parameters: dict[str, int]) -> None:
    fates, connection = month.fates, store.writer()
    try:
        for batch in connection.stream_arrow(_FATES, parameters):
            fates.ids.extend(batch.column("half").to_pylist())
            for text in batch.column("fate").to_pylist():
                disposition, reason, size = text.decode().split("\n")
                fate = (disposition, reason, size)
                fates.codes.append(fates.names.setdefault(fate, len(fates.names)))
    finally:
        connection.close()
