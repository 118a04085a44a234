"""The questions that reports ask, one set for folder and server.

Owns what a report's rows are; `booked` and `sharing` have the SQL. Amounts are exact: summed in 256 bits,
handed over as integers of 10^-12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

from unitrate.errors import InputError
from unitrate.figures import EXACT, pico
from unitrate.store.booked import ANY, BOOKED_LINES, OPEN_UNITS, SUMS, TAKEN, UNIT_COLUMNS
from unitrate.store.sharing import REQUEST_COLUMNS, TAG, shared

if TYPE_CHECKING:
    from unitrate.store.client import Store

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
    return shared(by, _requested(by)) if _requested(by) else _summed(by)


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
        revenue=reduce(EXACT.add, (row["revenue"] for row in rows), Decimal(0)),
        cost=reduce(EXACT.add, (row["cost"] for row in rows), Decimal(0)),
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
        row[name] = int(value) if name in _COUNTS else pico(value)
    return row


def _summed(by: Sequence[str]) -> str:
    """Sums by columns of units alone: one pass over the month's cost lines."""
    columns = ", ".join(f"`{name}`" for name in by)
    inner = f"SELECT {TAKEN} FROM ({BOOKED_LINES}) UNION ALL SELECT {TAKEN} FROM ({OPEN_UNITS})"
    if not by:
        return f"SELECT {SUMS} FROM ({inner})"
    return f"SELECT {columns}, {SUMS} FROM ({inner}) GROUP BY {columns} HAVING {ANY} ORDER BY {columns}"
