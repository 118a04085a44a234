"""`unitrate invoice`: invoices on paper's terms, one in full or many as a list.

Owns the look of an invoice in a terminal; what it says is `billing`'s.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from unitrate.billing.assembling import time_us
from unitrate.billing.drafts import log_time_us
from unitrate.billing.final import invoices
from unitrate.billing.invoice import Invoice, InvoiceLine, document
from unitrate.cli import output
from unitrate.cli.opening import again, month_words, opened
from unitrate.cli.output import Column
from unitrate.figures import EXACT, month_text, pico
from unitrate.published import timeline

LINE_KEYS = ("kind", "name", "meter", "quantity", "included", "amount", "catalog", "late_from")
INVOICE_KEYS = ("invoice_id", "account", "period", "currency", "status")
IN_FULL = (
    Column("name", "line"),
    Column("kind", "kind"),
    Column("quantity", "quantity", "quantity"),
    Column("included", "included", "quantity"),
    Column("amount", "amount", "money"),
)
AS_LIST = (
    Column("account", "account"),
    Column("usage", "usage", "money"),
    Column("minimums", "minimums", "money"),
    Column("fees", "fees", "money"),
    Column("other", "other", "money"),
    Column("total", "total", "money"),
    Column("status", "status"),
)


def invoice(arguments: argparse.Namespace) -> int:
    """`unitrate invoice`."""
    with opened(arguments, "invoice") as store:
        found = invoices(store, timeline(store), arguments.period, arguments.account)
        now_us = log_time_us(store)
    documents = [document(one) for one in found]
    if arguments.pdf:
        _write_pdfs(arguments.pdf, found, now_us)
    if arguments.format == "json":
        output.print_json({"invoices": documents})
    elif arguments.format == "csv":
        _print_csv(documents)
    elif not found:
        print(f"nobody has an invoice for {month_words(arguments.period)}: no plan, and nothing rated")
    elif len(found) == 1:
        _print_one(arguments, found[0])
    else:
        _print_list(arguments, found)
    return 0


def _write_pdfs(folder: str, found: Sequence[Invoice], now_us: int) -> None:
    """A file an invoice: by its number, or as a draft by account."""
    from unitrate.billing import pdf

    pages = []
    for one in found:
        made_us = time_us(datetime.fromisoformat(one.final["issued_at"])) if one.final else now_us
        name = one.final["number"] if one.final else f"draft-{month_text(one.period)}-{one.account}"
        pages.append((name, pdf.invoice_page(one), max(made_us, 0) // 1_000_000))
    written = pdf.write_all(folder, pages)
    print(f"wrote {len(written):,} PDF files into {folder}", file=sys.stderr)


def _print_csv(documents: Sequence[dict[str, Any]]) -> None:
    columns = [Column(name, name) for name in (*INVOICE_KEYS, *LINE_KEYS)]
    rows = [{**{key: one[key] for key in INVOICE_KEYS}, **line} for one in documents for line in one["lines"]]
    output.print_csv(columns, rows)


def _print_one(arguments: argparse.Namespace, found: Invoice) -> None:
    digits = found.minor_digits
    number = f" {found.final['number']}" if found.final else ""
    print(
        f"{found.account} · {found.status} invoice{number} for {month_words(found.period)} · {found.currency}"
    )
    rows = [row for line in found.lines for row in _line_rows(line, digits)]
    total = {"name": "total", "amount": _amount(found.total_minor, digits)}
    output.print_table(IN_FULL, rows, total=total, digits=digits)
    print()
    month = ("--period", month_text(found.period), "--account", found.account)
    output.print_next(
        [
            (again(arguments, "explain", found.invoice_id), "the units behind each line"),
            (again(arguments, "report margin", *month), "what it leaves over"),
        ]
    )


def _line_rows(line: InvoiceLine, digits: int) -> list[dict[str, Any]]:
    """A line, and beneath it its prices where it has several (their amounts unrounded)."""
    row = {
        "name": line.name,
        "kind": line.kind.replace("_", "-"),
        "quantity": None if line.quantity_pico is None else pico(line.quantity_pico),
        "included": pico(line.included_pico) if line.included_pico else None,
        "amount": _amount(line.amount_minor, digits),
    }
    if len(line.parts) < 2:
        return [row]
    parts = [
        {"name": f"  {part.price_value}", "quantity": pico(part.quantity_pico)}
        for part in line.parts
        if part.quantity_pico
    ]
    return [row, *parts]


def _amount(amount_minor: int, digits: int) -> Decimal:
    return EXACT.scaleb(Decimal(amount_minor), -digits)


def _print_list(arguments: argparse.Namespace, found: Sequence[Invoice]) -> None:
    first = found[0]
    digits = first.minor_digits
    rows = [_summary(one) for one in found]
    print(f"{len(found):,} invoices for {month_words(first.period)} · {first.currency}")
    amounts = [column.key for column in AS_LIST if column.kind == "money"]
    total: dict[str, Any] = {"account": "total", **{key: sum(row[key] for row in rows) for key in amounts}}
    unused = {key for key in ("minimums", "fees", "other") if not any(row[key] for row in rows)}
    columns = [column for column in AS_LIST if column.key not in unused]
    output.print_table(columns, rows, total=total, digits=digits)
    print()
    period = ("--period", month_text(first.period))
    most = max(found, key=lambda one: one.total_minor)
    output.print_next(
        [
            (again(arguments, "invoice", *period, "--account", most.account), "one of them, line by line"),
            (again(arguments, "report margin", *period, "--by", "account"), "what they leave over"),
        ]
    )


def _summary(one: Invoice) -> dict[str, Any]:
    kinds = {"usage": "usage", "minimum": "minimums", "fee": "fees"}
    sums = dict.fromkeys(("usage", "minimums", "fees", "other"), 0)
    for line in one.lines:
        sums[kinds.get(line.kind, "other")] += line.amount_minor
    amounts = {key: _amount(value, one.minor_digits) for key, value in sums.items()}
    total = _amount(one.total_minor, one.minor_digits)
    return {"account": one.account, **amounts, "total": total, "status": one.status}
