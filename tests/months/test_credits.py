"""Top-ups and credits over months: bought once, used by invoices, lapsed in the log's time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.months.builders import CATALOG, Books, a_document, an_event, lines
from unitrate.billing.balance import ledger
from unitrate.billing.drafts import log_time_us
from unitrate.cli.options import instant_us
from unitrate.errors import InputError
from unitrate.published import timeline

CREDITS = CATALOG.replace(
    "acme: {name: Acme, plan: growth, from: 2025-10-01}",
    "acme: {name: Acme, plan: growth, from: 2025-10-01, credits: "
    "[{name: Hello, amount: 100.00, from: 2025-10-01, expires: 2025-10-31}]}",
)


def moves(books: Books, at: str | None = None) -> list[tuple[str, str, int, int]]:
    """Movements of acme: kind, credit, amount and balance in cents."""
    with books.opened() as store:
        at_us = log_time_us(store) if at is None else instant_us(at)
        found = ledger(store, timeline(store), at_us, "acme")
    return [(one.kind, one.credit, one.amount_minor, one.balance_minor) for one in found.movements]


def october(tmp_path: Path, catalog: str = CREDITS) -> Books:
    books = Books(tmp_path, catalog)
    books.run(a_document("d1", "2025-10-05"))
    return books


def test_a_purchase_that_is_sent_twice_is_one(tmp_path: Path) -> None:
    """The order's number makes the record; without one, two purchases are two."""
    books = october(tmp_path, CATALOG)
    books.top_up(reference="order-1")
    books.top_up(reference="order-1")
    assert books.rows("SELECT count() FROM grants FINAL") == [(1,)]
    books.top_up()
    books.top_up()
    assert books.rows("SELECT count() FROM grants FINAL") == [(3,)]


def test_a_top_up_is_billed_in_the_month_and_pays_the_rest_of_it(tmp_path: Path) -> None:
    """65.00 of minimum and fee and 80.00 for the pack: its credit pays the 65.00."""
    books = october(tmp_path, CATALOG)
    books.top_up()
    invoice = books.invoice(202510)
    assert lines(invoice)[-2:] == [("top_up", "Pack", "80.00"), ("credit", "Pack", "-65.00")]
    assert invoice["total"] == "80.00"


def test_a_draft_leaves_to_later_drafts_what_it_does_not_use(tmp_path: Path) -> None:
    """October's draft uses 65.00 of the gift's 100.00, so November's has 35.00, although none is final."""
    books = october(tmp_path, CATALOG.replace("grants: {credit: 20.00}", "grants: {credit: 100.00}"))
    books.top_up("Gift")
    assert books.invoice(202510)["credits"] == "65.00"
    assert books.invoice(202511)["credits"] == "35.00"
    assert books.invoice(202512)["credits"] == "0.00"


def test_a_credit_lapses_when_the_last_month_that_it_may_pay_is_closed(tmp_path: Path) -> None:
    """Expired on 31 October; the close on 2 November uses 65.00, and the other 35.00 are gone."""
    books = october(tmp_path)
    books.tick("2025-11-02T00:00:00Z")
    assert moves(books) == [("grant", "Hello", 10000, 10000)]
    books.close(202510)
    assert moves(books) == [
        ("grant", "Hello", 10000, 10000),
        ("use", "Hello", -6500, 3500),
        ("expiry", "Hello", -3500, 0),
    ]


def test_the_balance_of_an_earlier_moment_is_as_it_was_then(tmp_path: Path) -> None:
    """After the close the ledger of the day before still has no use in it."""
    books = october(tmp_path)
    books.tick("2025-11-02T00:00:00Z")
    books.close(202510)
    assert moves(books, "2025-11-01T23:59:59Z") == [("grant", "Hello", 10000, 10000)]
    assert moves(books, "2025-09-30T00:00:00Z") == []


def test_a_top_up_lapses_at_its_own_instant(tmp_path: Path) -> None:
    """30 days from 5 October: what October's close leaves is usable in November too, and then gone."""
    books = october(tmp_path, CATALOG)
    books.top_up()
    books.tick("2025-11-02T00:00:00Z")
    books.close(202510)
    assert books.invoice(202511)["credits"] == "35.00"
    books.tick("2025-12-02T00:00:00Z")
    books.close(202511)
    assert moves(books) == [
        ("grant", "Pack", 10000, 10000), ("use", "Pack", -6500, 3500), ("use", "Pack", -3500, 0),
    ]  # fmt: skip
    assert books.invoice(202512)["credits"] == "0.00"


def test_used_credit_is_not_restored_by_a_reversal(tmp_path: Path) -> None:
    """The adjustment lowers the next invoice; the credit's use stays."""

    books = october(
        tmp_path, CREDITS.replace("minimum: 15.00", "minimum: 0").replace("included: 1", "included: 0")
    )
    books.tick("2025-11-02T00:00:00Z")
    books.close(202510)
    books.run([an_event("no", "2025-11-03T00:00:00Z", kind="work.rejected", document="d1")])
    assert ("adjustment", "Reviews", "-10.00") in lines(books.invoice(202511))
    assert [move for move in moves(books) if move[0] == "use"] == [("use", "Hello", -6000, 4000)]


@pytest.mark.parametrize(
    ("account", "name", "reason"),
    [
        ("acme", "Nothing", 'the plan growth offers no top-up "Nothing"; it offers "Pack", "Gift"'),
        ("acne", "Pack", 'no account "acne"'),
    ],
)
def test_what_no_plan_offers_is_not_sold(tmp_path: Path, account: str, name: str, reason: str) -> None:
    """The reason names what is offered; nothing is written."""
    books = october(tmp_path, CATALOG)
    with pytest.raises(InputError, match=reason):
        books.top_up(name, account)
    assert books.rows("SELECT count() FROM grants") == [(0,)]


def test_currencies_without_a_minor_unit_are_billed_in_whole_ones(tmp_path: Path) -> None:
    """Yen: 65 for October, tax and credit whole too."""
    catalog = CREDITS.replace("currency: EUR", "currency: JPY").replace(
        "acme: {", "acme: {billing: {tax: {name: CT, rate: 0.1}}, "
    )
    books = october(tmp_path, catalog.replace("amount: 100.00", "amount: 30"))
    books.tick("2025-11-02T00:00:00Z")
    books.close(202510)
    assert lines(books.invoice(202510)) == [
        ("usage", "Reviews", "0"), ("minimum", "Reviews", "15"), ("fee", "Platform", "50"),
        ("credit", "Hello", "-30"), ("tax", "CT 10 %", "4"),
    ]  # fmt: skip
    assert books.invoice(202510)["total"] == "39"
