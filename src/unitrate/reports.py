"""Reports of a month: units, requests, revenue, cost, margin, by whatever columns one asks for.

Owns the report's shape (the contract's JSON) and its rates. The sums are the store's; it must never add
money up itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from unitrate.figures import EXACT, money_text, month_text, plain, ratio
from unitrate.published import check_account, currency
from unitrate.store.queries import report_rows

if TYPE_CHECKING:
    from unitrate.store import Store


@dataclass(frozen=True, slots=True)
class Report:
    """A report as figures: rows and total have the `by` columns and units, billable_quantity, requests,
    revenue, cost, margin, margin_rate, markup_rate (Decimals; the rates None where they have no whole).
    """

    period: int
    currency: str
    by: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    total: Mapping[str, Any]


def report(store: Store, period: int, by: Sequence[str] = (), account: str | None = None) -> Report:
    """The report of a month. Raises InputError for a column or an account that there is not."""
    if account is not None:
        check_account(store, account)
    rows = [figured(row) for row in report_rows(store, period, account, list(by))]
    total = report_rows(store, period, account, [])  # not a sum: a unit may stand in several rows
    return Report(period, currency(store), tuple(by), tuple(rows), figured(total[0]))


def figured(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its margin, its margin's share of the price, and its markup on the cost."""
    margin = EXACT.subtract(row["revenue"], row["cost"])
    rates = {"margin_rate": ratio(margin, row["revenue"]), "markup_rate": ratio(margin, row["cost"])}
    return {**row, "margin": margin, **rates}


def document(found: Report, minor_digits: int = 2) -> dict[str, Any]:
    """The report as the contract's JSON has it."""
    return {
        "period": month_text(found.period),
        "currency": found.currency,
        "rows": [_written(row, found.by, minor_digits) for row in found.rows],
        "total": _written(found.total, (), minor_digits),
    }


def _written(row: Mapping[str, Any], by: Sequence[str], digits: int) -> dict[str, Any]:
    return {
        **{name: row[name] for name in by},
        "units": int(row["units"]),
        "billable_quantity": plain(row["billable_quantity"]),
        "requests": int(row["requests"]),
        "revenue": money_text(row["revenue"], digits),
        "cost": money_text(row["cost"], digits),
        "margin": money_text(row["margin"], digits),
        "margin_rate": _rate(row["margin_rate"]),
        "markup_rate": _rate(row["markup_rate"]),
    }


def _rate(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
