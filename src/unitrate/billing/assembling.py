"""One account's invoice from its month's figures: own lines, adjustments, top-ups, credits, tax.

Owns which catalog tells what: prices and plans by the day (the timeline does), credits by all catalogs
published so far, address, tax and issuer by the last catalog in force when the invoice is made. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from unitrate.billing.invoice import Invoice, InvoiceLine, draft, minor
from unitrate.billing.settling import (
    TOP_UP_PRIORITY,
    Credit,
    Tax,
    adjustments,
    credit_lines,
    tax_line,
)
from unitrate.pricing import to_pico
from unitrate.timeline import Timeline, month_days

if TYPE_CHECKING:
    from unitrate.billing.month import Grant, MonthFigures

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def assemble(timeline: Timeline, account: str, period: int, figures: MonthFigures, now_us: int) -> Invoice:
    """The invoice as it stands at `now_us`, the log's time."""
    own = draft(timeline, account, period, figures.usage.get(account, ()))
    catalog, digits = timeline.catalogs[-1].id, own.minor_digits
    lines = list(own.lines)
    for month, parts in sorted(figures.late.get(account, {}).items()):
        due = draft(timeline, account, month, parts).lines
        lines += adjustments(month, due, figures.billed.get((account, month), {}), catalog)
    grants = figures.grants.get(account, [])
    lines += [
        InvoiceLine("top_up", grant.name, minor(grant.amount_pico, digits), catalog, of_name=grant.grant_id)
        for grant in grants
        if grant.bill_month == period
    ]
    held = [
        (credit, credit.amount_minor - minor(figures.uses_pico.get((account, credit.id), 0), digits))
        for credit in held_credits(timeline, account, grants)
    ]
    lines += credit_lines(lines, held, month_days(period))
    tax = tax_of(timeline, account, now_us)
    if tax is not None:
        lines.append(tax_line(tax, lines, catalog))
    return replace(own, lines=tuple(lines))


def held_credits(timeline: Timeline, account: str, grants: list[Grant]) -> list[Credit]:
    """Every credit the account holds: those of catalogs (the last one that names it tells) and top-ups'."""
    digits, zone = timeline.catalogs[-1].minor_digits, timeline.zone(account)
    found: dict[str, Credit] = {}
    for catalog in timeline.catalogs:
        entry = catalog.accounts.get(account)
        for c in entry.credits if entry is not None else ():
            id_, amount = f"catalog:{c.name}", minor(to_pico(c.amount), digits)
            found[id_] = Credit(id_, c.name, amount, c.from_day, c.expires_day, c.priority, False, catalog.id)
    for grant in grants:
        expires = None if grant.expires_at is None else zone.local_day(time_us(grant.expires_at))
        found[grant.grant_id] = Credit(
            grant.grant_id,
            grant.name,
            minor(grant.credit_pico, digits),
            zone.local_day(time_us(grant.granted_at)),
            expires,
            TOP_UP_PRIORITY,
            True,
            timeline.catalogs[-1].id,
        )
    return list(found.values())


def time_us(moment: datetime) -> int:
    """Microseconds since 1970 of an instant, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def billing_of(timeline: Timeline, account: str, now_us: int) -> dict[str, Any]:
    """`billing` of the account in the last catalog in force that has one; else of the first that will."""
    given = [(c, c.extra.get("billing", {}).get(account)) for c in timeline.catalogs]
    known = [(catalog, entry) for catalog, entry in given if entry]
    if not known:
        return {}
    in_force = [entry for catalog, entry in known if catalog.effective_us <= now_us]
    return dict(in_force[-1] if in_force else known[0][1])


def issuer_of(timeline: Timeline, now_us: int) -> dict[str, Any]:
    """Who sends the invoices: of the last catalog in force that says it (D62); empty where none does."""
    in_force = timeline.catalogs[: timeline.catalogs.index(timeline.catalog_at(now_us)) + 1]
    given = (catalog.extra.get("issuer") for catalog in reversed(in_force))
    return dict(next((issuer for issuer in given if issuer), {}))


def tax_of(timeline: Timeline, account: str, now_us: int) -> Tax | None:
    """The account's tax, or None."""
    tax = billing_of(timeline, account, now_us).get("tax")
    return Tax(tax["name"], Decimal(tax["rate"]), tax.get("note") or "") if tax else None


def name_of(timeline: Timeline, account: str) -> str:
    """The name of the account in the last catalog that has it."""
    named = [c.accounts[account].name for c in timeline.catalogs if account in c.accounts]
    return named[-1] if named else account
