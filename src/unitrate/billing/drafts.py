"""Draft invoices of a store: its rated lines and its published plans, put through `billing.invoice`.

Owns the query that sums a month's lines (exactly, in Decimal256) and the question who gets an invoice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitrate.billing.invoice import Invoice, UsagePart, draft, segments
from unitrate.pricing import to_pico
from unitrate.published import check_account

if TYPE_CHECKING:
    from unitrate.store import Store
    from unitrate.timeline import Timeline

USAGE = """
SELECT account, plan, plan_version, charge, any(meter), price_value,
       sum(toDecimal256(quantity, 12)), sum(toDecimal256(amount, 12)), argMax(catalog, version)
FROM lines FINAL
WHERE bill_month = {period:UInt32} AND usage_month = {period:UInt32}
  AND ({account:String} = '' OR account = {account:String})
GROUP BY account, plan, plan_version, charge, price_value
ORDER BY account, plan, plan_version, charge, price_value
"""


def drafts(store: Store, timeline: Timeline, period: int, account: str | None = None) -> list[Invoice]:
    """Invoices of a month by account: of every account that has a plan in it, or was rated in it."""
    if account is not None:
        check_account(store, account, timeline)
    usage = _usage(store, period, account)
    named = {name for catalog in timeline.catalogs for name in catalog.accounts}
    if account is not None:
        named &= {account}
    holders = {name for name in named if segments(timeline, name, period)}
    return [draft(timeline, name, period, usage.get(name, [])) for name in sorted(holders | usage.keys())]


def _usage(store: Store, period: int, account: str | None) -> dict[str, list[UsagePart]]:
    found: dict[str, list[UsagePart]] = {}
    for name, *row in store.query(USAGE, {"period": period, "account": account or ""}).rows:
        plan, version, charge, meter, value, quantity, amount, catalog = row
        part = UsagePart(
            plan=plan,
            plan_version=version,
            charge=charge,
            meter=meter,
            price_value=value,
            quantity_pico=to_pico(quantity),
            amount_pico=to_pico(amount),
            catalog=catalog,
        )
        found.setdefault(name, []).append(part)
    return found
