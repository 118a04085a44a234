"""The document of a final invoice, and an invoice from its document.

Owns what is hashed: canonical JSON of everything that the customer is told. Pure. Never a token count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from unitrate.billing import arithmetic
from unitrate.billing.assembling import billing_of, issuer_of, name_of
from unitrate.billing.invoice import Invoice, InvoiceLine, UsagePart, document, segments
from unitrate.figures import EXACT, minor_text, pico, plain
from unitrate.pricing import to_pico

if TYPE_CHECKING:
    from unitrate.timeline import Timeline

PARTY = ("name", "address", "email", "tax_id")
_EPOCH_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Closing:
    """One closed month of one account, as the fold tells it."""

    control_seq: int
    account: str
    period: int
    version: int  # offset of the close record
    partition: int
    closed_us: int


def final_document(
    invoice: Invoice,
    timeline: Timeline,
    closing: Closing,
    sequence: int,
    engine_version: int,
    not_billed: Mapping[str, int],
) -> dict[str, Any]:
    """Everything that the invoice says; its JSON is hashed."""
    issuer = issuer_of(timeline, closing.closed_us)
    billing = billing_of(timeline, invoice.account, closing.closed_us)
    issued_day = timeline.zone(invoice.account).local_day(closing.closed_us)
    due_days = billing.get("due_days")
    due_days = issuer.get("due_days") if due_days is None else due_days
    digits = invoice.minor_digits
    written = document(invoice)
    return written | {
        "status": "final",
        "number": number(issuer, sequence),
        "issued_at": instant_text(closing.closed_us),
        "issued_on": day_text(issued_day),
        "due_on": None if due_days is None else day_text(issued_day + int(due_days)),
        "issuer": {key: issuer.get(key) for key in ("name", "address", "email", "tax_id")}
        if issuer
        else None,
        "customer": {key: billing.get(key) for key in PARTY} | {"name": name_of(timeline, invoice.account)},
        "tax": minor_text(invoice.tax_minor, digits),
        "details": _details(invoice, timeline),
        "not_billed": dict(sorted(not_billed.items())),
        "catalogs": [catalog.id for catalog in timeline.catalogs],
        "engine_version": engine_version,
    }


def number(issuer: Mapping[str, Any], sequence: int) -> str:
    """Number on the invoice: the issuer's prefix, and a sequence without gaps."""
    return f"{issuer.get('number_prefix') or ''}{sequence:06d}"


def canonical(content: Mapping[str, Any]) -> str:
    """One text for one document."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical document."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def day_text(day: int) -> str:
    """A day since 1970 as 2025-12-01."""
    return (_EPOCH_DAY + timedelta(days=day)).isoformat()


def instant_text(instant_us: int) -> str:
    """An instant as RFC 3339 in UTC."""
    return (_EPOCH + timedelta(microseconds=instant_us)).isoformat().replace("+00:00", "Z")


# ---------------------------------------------------------------- details of lines


def _details(invoice: Invoice, timeline: Timeline) -> list[dict[str, Any]]:
    """By line: what a customer needs to follow it. `line` counts from 1."""
    days = {(s.plan.name, s.plan.version): s for s in segments(timeline, invoice.account, invoice.period)}
    found = []
    for at, line in enumerate(invoice.lines, 1):
        detail: dict[str, Any] = {"line": at, "plan": line.plan, "plan_version": line.plan_version}
        detail |= {"of_kind": line.of_kind, "of_name": line.of_name, "note": line.note}
        if line.parts and line.kind == "usage":
            segment = days.get((line.plan, line.plan_version))
            of_days = segment.of_days if segment else 1
            detail |= _usage_detail(invoice, line, timeline, segment.days if segment else 0, of_days)
        found.append({key: value for key, value in detail.items() if value not in ("", None, 0, [])})
    return found


def _usage_detail(
    invoice: Invoice, line: InvoiceLine, timeline: Timeline, days: int, of_days: int
) -> dict[str, Any]:
    digits = invoice.minor_digits
    plan = timeline.plan(line.plan, line.plan_version, invoice.account, invoice.period)
    charge = next((c for c in plan.charges if c.name == line.name), None)
    workflows = arithmetic.workflows(line.parts)
    detail: dict[str, Any] = {
        "workflows": [
            {"workflow": name, "quantity": plain(pico(quantity)), "amount": _money(amount, digits)}
            for name, quantity, amount in workflows
        ]
    }
    if charge is None:
        return detail
    sums = arithmetic.part_sums(line, charge, days, of_days, digits)
    detail["parts"] = [
        {
            "price": part.price_value,
            "quantity": plain(pico(part.quantity_pico)),
            "included": plain(pico(included)),
            "amount": _money(part.amount_pico, digits),
            "sum": text,
        }
        for part, included, text in sums
        if part.quantity_pico or part.amount_pico
    ]
    maximum = arithmetic.capped_at(line, charge, days, of_days)
    if maximum is not None:
        detail["maximum"] = _money(maximum, digits)
    return detail


def _money(amount_pico: int, digits: int) -> str:
    text = plain(pico(amount_pico))
    whole, _, fraction = text.partition(".")
    fraction = fraction.ljust(digits, "0")
    return f"{whole}.{fraction}" if fraction else whole


# ---------------------------------------------------------------- and back


def invoice_of(content: Mapping[str, Any], minor_digits: int, hash_: str) -> Invoice:
    """The invoice that a final document is of."""
    details = {detail["line"]: detail for detail in content["details"]}
    lines = tuple(
        _line(line, details.get(at, {}), minor_digits) for at, line in enumerate(content["lines"], 1)
    )
    year, month = content["period"].split("-")
    return Invoice(
        account=content["account"],
        period=int(year) * 100 + int(month),
        currency=content["currency"],
        minor_digits=minor_digits,
        lines=lines,
        status="final",
        final={**content, "hash": hash_},
    )


def _line(line: Mapping[str, Any], detail: Mapping[str, Any], digits: int) -> InvoiceLine:
    late = line["late_from"]
    plan, version = detail.get("plan", ""), detail.get("plan_version", 0)
    parts = tuple(
        UsagePart(
            plan=plan,
            plan_version=version,
            charge=line["name"],
            meter=line["meter"] or "",
            price_value=part["price"],
            quantity_pico=to_pico(Decimal(part["quantity"])),
            amount_pico=to_pico(Decimal(part["amount"])),
            catalog=line["catalog"],
            included_pico=to_pico(Decimal(part["included"])),
        )
        for part in detail.get("parts", ())
    )
    return InvoiceLine(
        kind=line["kind"],
        name=line["name"],
        amount_minor=int(EXACT.scaleb(Decimal(line["amount"]), digits)),
        catalog=line["catalog"],
        meter=line["meter"],
        quantity_pico=None if line["quantity"] is None else to_pico(Decimal(line["quantity"])),
        included_pico=None if line["included"] is None else to_pico(Decimal(line["included"])),
        late_from=None if late is None else int(late[:4]) * 100 + int(late[5:]),
        parts=parts,
        plan=plan,
        plan_version=version,
        of_kind=detail.get("of_kind"),
        of_name=detail.get("of_name", ""),
        note=detail.get("note", ""),
    )
