"""One invoice explained: each usage line down to the units that make it, and its one rounding.

Owns the list of units behind a line. The invoice itself is `billing`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from unitrate.billing.final import invoices
from unitrate.billing.invoice import Invoice, InvoiceLine, document
from unitrate.errors import InputError
from unitrate.explain.cost import sum_of
from unitrate.figures import money_text, plain

if TYPE_CHECKING:
    from unitrate.store import Store
    from unitrate.timeline import Timeline

FIRST = 5  # units of a line that are shown unless all are asked for
UNITS_OF_MONTH = """
SELECT usage_month, plan, plan_version, charge, unit_id, any(key) AS key, argMax(reason, version) AS reason,
       sum(toDecimal256(quantity, 12)) AS quantity, sum(toDecimal256(amount, 12)) AS amount,
       min(version) AS first
FROM lines FINAL
WHERE account = {account:String} AND bill_month = {period:UInt32}
GROUP BY usage_month, plan, plan_version, charge, unit_id
ORDER BY first, unit_id
"""


@dataclass(frozen=True, slots=True)
class LineUnits:
    """A line of the invoice, and the units whose exact amounts it rounds (an adjustment: that changed it).

    Empty for fees and minimums.
    """

    line: InvoiceLine
    units: tuple[Mapping[str, Any], ...]
    exact: Decimal


@dataclass(frozen=True, slots=True)
class InvoiceExplanation:
    invoice: Invoice
    lines: tuple[LineUnits, ...]

    def document(self, every: bool) -> dict[str, Any]:
        """The explanation for programs."""
        digits = self.invoice.minor_digits
        written = document(self.invoice)
        for entry, explained in zip(written["lines"], self.lines, strict=True):
            shown = explained.units if every else explained.units[:FIRST]
            entry["exact"] = money_text(explained.exact, digits)
            entry["units_in_all"] = len(explained.units)
            entry["units"] = [
                {
                    "unit_id": unit["unit_id"],
                    "key": unit["key"],
                    "reason": unit["reason"],
                    "quantity": plain(unit["quantity"]),
                    "amount": money_text(unit["amount"], digits),
                }
                for unit in shown
            ]
        return {"kind": "invoice", **written}


def explain_invoice(store: Store, timeline: Timeline, account: str, period: int) -> InvoiceExplanation:
    """Explain an account's invoice of a month."""
    found = invoices(store, timeline, period, account)
    if not found:
        raise InputError(f"{account} has no invoice of that month: it had no plan, and nothing was rated")
    rows: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in store.query(UNITS_OF_MONTH, {"account": account, "period": period}).dicts():
        key = row["usage_month"], row["plan"], row["plan_version"], row["charge"]
        rows.setdefault(key, []).append(row)
    lines = []
    for line in found[0].lines:
        units: list[Mapping[str, Any]] = []
        if line.key.kind == "usage":
            month = line.late_from or period
            units = rows.get((month, line.plan, line.plan_version, line.key.name), [])
        exact = sum_of(unit["amount"] for unit in units) if units else _exact(line, found[0].minor_digits)
        lines.append(LineUnits(line, tuple(units), exact))
    return InvoiceExplanation(found[0], tuple(lines))


def _exact(line: InvoiceLine, digits: int) -> Decimal:
    return Decimal(line.amount_minor).scaleb(-digits)
