"""The page of an invoice: its words and totals, its pages, and the same bytes every time."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from unitrate.billing import pdf
from unitrate.billing.statement import invoice_of

PNG_HEAD = b"\x89PNG"
ISSUED_S = 1_764_547_200


def content(lines: int = 1, **values: Any) -> dict[str, Any]:
    """The document of a final invoice with a usage line, a credit and tax."""
    usage = {
        "kind": "usage", "name": "Documents", "meter": "review", "quantity": "1010", "included": "3",
        "amount": "1060.00", "catalog": "2025-10", "late_from": None,
    }  # fmt: skip
    plain = {"meter": None, "quantity": None, "included": None, "catalog": "2025-10", "late_from": None}
    late = {**usage, "kind": "adjustment", "quantity": "-1", "amount": "-25.00", "late_from": "2025-10"}
    credit = {**plain, "kind": "credit", "name": "Welcome", "amount": "-35.00"}
    tax = {**plain, "kind": "tax", "name": "VAT 19 %", "amount": "190.00"}
    sums = {"price": "", "quantity": "1010", "included": "3", "amount": "1060.00", "sum": "1,007 × 1.0526"}
    return {
        "invoice_id": "inv-202511-0123456789abcdef", "account": "studio", "period": "2025-11",
        "currency": "EUR", "status": "final",
        "lines": [usage] * lines + [late, credit, tax if lines else late],
        "subtotal": "1035.00", "credits": "35.00", "tax": "190.00", "total": "1190.00", "number": "A-000004",
        "issued_at": "2025-12-01T00:00:00Z", "issued_on": "2025-12-01", "due_on": "2025-12-15",
        "issuer": {"name": "Kontor", "address": ["Hafen 1"], "email": "r@kontor.example", "tax_id": "DE1"},
        "customer": {"name": "Studio Ålster & Søn", "address": ["Ufer 1"], "email": None, "tax_id": "FR2"},
        "details": [
            {"line": 1, "parts": [sums]},
            {"line": lines + 3, "note": "Reverse charge: the recipient owes the tax."},
        ],
        "not_billed": {"failed": 2, "test": 7}, "catalogs": ["2025-10"], "engine_version": 1,
    } | values  # fmt: skip


def a_page(**values: Any) -> dict[str, Any]:
    return pdf.invoice_page(invoice_of(content(**values), 2, "ab" * 32))


def test_the_page_says_who_owes_whom_what_and_until_when() -> None:
    """Parties, number, dates, lines with thousands separators, sums and the total."""
    page = a_page()
    assert (page["title"], page["from"], page["to"]) == (
        "Invoice", ["Kontor", "Hafen 1"], ["Studio Ålster & Søn", "Ufer 1", "VAT ID FR2"],
    )  # fmt: skip
    assert page["facts"] == [["Number", "A-000004"], ["Date", "2025-12-01"], ["Due", "2025-12-15"]]
    assert page["rows"][0] == {
        "cells": ["Documents", "1,010", "3", "1,060.00"],
        "notes": ["3 included, 1,007 × 1.0526 = 1,060.00"],
    }
    assert page["sums"] == [["Subtotal", "1,035.00"], ["Welcome (credit)", "−35.00"], ["VAT 19 %", "190.00"]]
    assert page["total"] == ["Total", "1,190.00 EUR"]


def test_an_adjustment_names_its_month() -> None:
    """A true minus sign, and October in words."""
    assert a_page()["rows"][1] == {
        "cells": ["Documents", "−1", "3", "−25.00"],
        "notes": ["October 2025: the difference to what was billed for it"],
    }


def test_notes_tell_what_was_free_and_the_tax_note() -> None:
    """The customer sees what they were not charged for."""
    assert a_page()["notes"] == [
        "Reverse charge: the recipient owes the tax.",
        "Not charged: 2 failed, 7 tests.",
        "Please pay by 2025-12-15, and name A-000004.",
        "Questions: r@kontor.example",
    ]


def test_a_negative_total_is_a_credit_note() -> None:
    """It asks nobody to pay."""
    page = a_page(lines=0, details=[])
    assert (page["title"], page["total"]) == ("Credit note", ["In your favour", "−85.00 EUR"])
    assert not any("Please pay" in note for note in page["notes"])


def test_no_page_counts_tokens() -> None:
    """Customers buy work."""
    assert "token" not in json.dumps(a_page())


def test_a_page_made_again_is_the_same_byte_for_byte() -> None:
    """Also after the other pages were made."""
    first = pdf.render(a_page(), ISSUED_S)
    pdf.render(a_page(lines=3), ISSUED_S)
    assert pdf.render(a_page(), ISSUED_S) == first
    assert first.startswith(b"%PDF-")


def test_the_date_in_the_file_is_the_logs() -> None:
    """1 December 2025, not today."""
    assert b"D:20251201" in pdf.render(a_page(), ISSUED_S)


@pytest.mark.parametrize(("lines", "pages"), [(1, 1), (60, 2)])
def test_long_invoices_take_more_pages(lines: int, pages: int) -> None:
    """One line fits a page; sixty take two."""
    (count,) = re.findall(rb"/Type/Pages/Count (\d+)", pdf.render(a_page(lines=lines), ISSUED_S))
    assert int(count) == pages


def test_it_can_be_looked_at() -> None:
    """As a picture of the size of a page."""
    picture = pdf.render(a_page(), ISSUED_S, "png", ppi=72)
    assert picture.startswith(PNG_HEAD)
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (595, 842)


def test_names_of_files_take_no_harm_from_accounts() -> None:
    """A slash in an account's name makes no folder."""
    assert pdf.file_name("draft-2025-11-django/django") == "draft-2025-11-django-django"
    assert pdf.file_name("../..") == "invoice"


def test_a_statement_shows_workflows_and_the_carry() -> None:
    """Earnings that are carried are named."""
    page = pdf.payout_page(
        {
            "builder": "sued", "period": "2025-11", "currency": "EUR", "revenue": "-25.00", "cost": "2.00",
            "margin": "-27.00", "platform_fee": "0.00", "earnings": "-27.00", "carried_in": "0.00",
            "payout": "0.00", "carried_out": "-27.00", "basis": "margin", "status": "final",
            "payout_id": "pay-202511-ab",
            "workflows": [
                {"workflow": "leads", "units": 0, "revenue": "-25.00", "cost": "2.00", "margin": "-27.00"}
            ],
        },
        {"name": "Kontor", "address": []},
    )  # fmt: skip
    assert page["rows"][0]["cells"] == ["leads", "0", "−25.00", "2.00", "−27.00"]
    assert page["notes"] == ["Carried to the next month: −27.00 EUR."]
    assert pdf.render(page, ISSUED_S) == pdf.render(page, ISSUED_S)
