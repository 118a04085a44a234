"""Invoices and payout statements as PDF, by typst.

Owns the words on the page and that a page made again is the same, byte for byte: its date is the log's,
fonts come with typst and never from the machine. It never reckons: every figure stands in the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from unitrate.billing.invoice import Invoice, document
from unitrate.errors import InputError

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
FREE = {
    "failed": "failed",
    "cancelled": "cancelled",
    "partial": "partly done",
    "test": "tests",
    "internal": "internal",
    "retry": "repeated",
    "duplicate": "duplicates",
    "timed_out": "never ended",
    "unaccepted": "not accepted",
    "rejected": "rejected",
    "waived": "waived",
    "retried_runs": "retries",
    "repeated_events": "requests that came twice",
}
KINDS = {"minimum": "to the minimum", "top_up": "top-up", "credit": "credit"}


def invoice_page(invoice: Invoice) -> dict[str, Any]:
    """What the page of an invoice says."""
    content = document(invoice)
    final = invoice.status == "final"
    credit_note = Decimal(content["total"]) < 0
    title = ("Credit note" if credit_note else "Invoice") if final else "Draft invoice"
    customer = content.get("customer") or {"name": invoice.account}
    details = {detail["line"]: detail for detail in content.get("details", ())}
    currency = content["currency"]
    rows = [
        _row(line, details.get(at, {}))
        for at, line in enumerate(content["lines"], 1)
        if line["kind"] not in ("credit", "tax")
    ]
    return {
        "title": title,
        "from": _party(content.get("issuer") or {}),
        "to": [*_party(customer), *([f"VAT ID {customer['tax_id']}"] if customer.get("tax_id") else [])],
        "facts": _facts(content, final),
        "intro": f"{month_words(content['period'])}, in {currency}",
        "columns": ["", "quantity", "included", "amount"],
        "rows": rows,
        "sums": _sums(content),
        "total": ["In your favour" if credit_note else "Total", f"{grouped(content['total'])} {currency}"],
        "notes": _notes(content),
        "footer": _footer(content),
    }


def _party(party: Mapping[str, Any]) -> list[str]:
    return [str(part) for part in (party.get("name"), *(party.get("address") or ())) if part]


def _facts(content: Mapping[str, Any], final: bool) -> list[list[str]]:
    if not final:
        return [["Month", str(content["period"])], ["Not final", ""]]
    facts = [["Number", content["number"]], ["Date", content["issued_on"]]]
    if content["due_on"]:
        facts.append(["Due", content["due_on"]])
    return [[str(name), str(value)] for name, value in facts]


def _row(line: Mapping[str, Any], detail: Mapping[str, Any]) -> dict[str, Any]:
    name = str(line["name"])
    if line["kind"] in KINDS:
        name += f" ({KINDS[line['kind']]})"
    notes = []
    if line["late_from"]:
        notes.append(f"{month_words(line['late_from'])}: the difference to what was billed for it")
    parts = detail.get("parts", [])
    for part in parts:
        several = f"{part['price']}: " if part["price"] else ""
        free = f"{grouped(part['included'])} included, " if Decimal(part["included"]) else ""
        count = f"{grouped(part['quantity'])}, " if len(parts) > 1 else ""
        equals = f" = {grouped(part['amount'])}" if part["sum"] and not detail.get("maximum") else ""
        if part["sum"] or len(parts) > 1:
            notes.append(f"{several}{count}{free}{part['sum'] or grouped(part['amount'])}{equals}")
    if detail.get("maximum"):
        notes.append(f"no more than the maximum of {grouped(detail['maximum'])}")
    notes += [
        f"{work['workflow']}: {grouped(work['quantity'])}, {grouped(work['amount'])}"
        for work in detail.get("workflows", ())
    ]
    quantity = "" if line["quantity"] is None else grouped(line["quantity"])
    included = line["included"]
    return {
        "cells": [
            name,
            quantity,
            "" if included is None or not Decimal(included) else grouped(included),
            grouped(line["amount"]),
        ],
        "notes": notes,
    }


def _sums(content: Mapping[str, Any]) -> list[list[str]]:
    sums = [["Subtotal", grouped(content["subtotal"])]]
    sums += [
        [f"{line['name']}{' (credit)' if line['kind'] == 'credit' else ''}", grouped(line["amount"])]
        for line in content["lines"]
        if line["kind"] in ("credit", "tax")
    ]
    return sums if len(sums) > 1 else []


def _notes(content: Mapping[str, Any]) -> list[str]:
    lines = content["lines"]
    taxed = [
        detail["note"]
        for detail in content.get("details", ())
        if detail.get("note") and lines[detail["line"] - 1]["kind"] == "tax"
    ]
    notes = list(dict.fromkeys(taxed))
    free = content.get("not_billed") or {}
    if free:
        words = ", ".join(f"{count:,} {FREE.get(reason, reason)}" for reason, count in free.items())
        notes.append(f"Not charged: {words}.")
    if content.get("due_on") and Decimal(content["total"]) > 0:
        notes.append(f"Please pay by {content['due_on']}, and name {content['number']}.")
    issuer = content.get("issuer") or {}
    if issuer.get("email"):
        notes.append(f"Questions: {issuer['email']}")
    return notes


def _footer(content: Mapping[str, Any]) -> str:
    issuer = content.get("issuer") or {}
    tax_id = f"VAT ID {issuer['tax_id']} · " if issuer.get("tax_id") else ""
    if "hash" not in content:
        return f"{tax_id}Draft: figures may change until the month is closed."
    return f"{tax_id}{content['invoice_id']} · SHA-256 {content['hash'][:16]}…"


def payout_page(content: Mapping[str, Any], issuer: Mapping[str, Any]) -> dict[str, Any]:
    """What the page of a builder's statement says; `content` is `payouts.payout_document`."""
    currency, carried_in = content["currency"], Decimal(content["carried_in"])
    base = content[content["basis"]]
    sums = [
        [content["basis"].capitalize(), grouped(base)],
        ["Platform", grouped(_minus(content["platform_fee"]))],
        ["Earnings", grouped(content["earnings"])],
    ]
    if carried_in:
        sums.append(["Carried in", grouped(content["carried_in"])])
    notes = []
    if Decimal(content["carried_out"]):
        notes.append(f"Carried to the next month: {grouped(content['carried_out'])} {currency}.")
    return {
        "title": "Statement" if content["status"] == "final" else "Draft statement",
        "from": _party(issuer),
        "to": [content["builder"]],
        "facts": [["Payout", content["payout_id"]], ["Month", content["period"]]],
        "intro": f"Your workflows in {month_words(content['period'])}, in {currency}",
        "columns": ["workflow", "units", "revenue", "cost", "margin"],
        "rows": [
            {
                "cells": [
                    work["workflow"],
                    f"{work['units']:,}",
                    *(grouped(work[key]) for key in ("revenue", "cost", "margin")),
                ],
                "notes": [],
            }
            for work in content["workflows"]
        ],
        "sums": sums,
        "total": ["Payout", f"{grouped(content['payout'])} {currency}"],
        "notes": notes,
        "footer": content["payout_id"],
    }


def _minus(text: str) -> str:
    return text.removeprefix("-") if text.startswith("-") else ("-" + text if Decimal(text) else text)


def grouped(text: str) -> str:
    """Thousands separators and a true minus sign; no digit is dropped."""
    digits = len(text.partition(".")[2])
    return f"{Decimal(text):,.{digits}f}".replace("-", "−")


def month_words(period: str) -> str:
    """2025-11 as November 2025."""
    return f"{MONTHS[int(period[5:]) - 1]} {period[:4]}"


def render(
    page: Mapping[str, Any], timestamp_s: int, form: Literal["pdf", "png"] = "pdf", ppi: float | None = None
) -> bytes:
    """The page; the same page and timestamp give the same bytes. PNG shows the first page."""
    import typst

    template = resources.files("unitrate.billing").joinpath("page.typ").read_bytes()
    made: Any = typst.compile(
        template,
        format=form,
        ppi=ppi,
        sys_inputs={"data": json.dumps(page, sort_keys=True, ensure_ascii=False)},
        timestamp=timestamp_s,
        ignore_system_fonts=True,
    )
    return bytes(made[0] if isinstance(made, list) else made)


def write_all(folder: str, pages: Sequence[tuple[str, Mapping[str, Any], int]]) -> list[str]:
    """Write pages as NAME.pdf into a folder; the paths. A file that is there is written anew, the same."""
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise InputError(f"--pdf {folder} is a file; name a folder")
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, page, timestamp_s in pages:
        path = target / f"{file_name(name)}.pdf"
        path.write_bytes(render(page, timestamp_s))
        written.append(str(path))
    return written


def file_name(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "invoice"
