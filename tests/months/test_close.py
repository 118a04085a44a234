"""Closing a month: whom it closes, and that it comes out the same however it is interrupted."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.months.builders import CATALOG, FINAL, Books, a_document, an_event, final_rows, lines
from unitrate.billing import final
from unitrate.cli import main
from unitrate.errors import FinalConflict, InputError
from unitrate.explain import explain_invoice
from unitrate.published import timeline
from unitrate.runtime import month_end
from unitrate.store import Store

CREDITS = CATALOG.replace(
    "acme: {name: Acme, plan: growth, from: 2025-10-01}",
    "acme: {name: Acme, plan: growth, from: 2025-10-01, "
    "credits: [{name: Hello, amount: 12.00, from: 2025-10-01}]}",
)


@pytest.fixture(scope="module")
def october(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """October of two customers, one with a credit; the log's time is 2 November. For copies."""
    books = Books(tmp_path_factory.mktemp("october"), CREDITS)
    books.run(
        a_document("d1", "2025-10-05"),
        a_document("d2", "2025-10-06"),
        a_document("d3", "2025-10-07", end="work.failed"),
        a_document("l1", "2025-10-08", account="late"),
    )
    books.tick("2025-11-02T00:00:00Z")
    books.shut()
    return books.path


def a_copy(folder: Path, of: Path) -> Books:
    """Books of one's own that begin as `of`."""
    shutil.copytree(of, folder / "books", symlinks=True)
    return Books(folder, None)


def all_rows(books: Books) -> dict[str, Any]:
    """What is final, and the closings."""
    with books.opened() as store:
        closings = store.query("SELECT * FROM closings FINAL ORDER BY ALL").rows
        return {**final_rows(store), "closings": closings}


@pytest.fixture(scope="module")
def undisturbed(october: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a close that nobody disturbs leaves."""
    books = a_copy(tmp_path_factory.mktemp("undisturbed"), october)
    books.close(202510)
    rows = all_rows(books)
    books.shut()
    return rows


class Stop(Exception):
    """The closer is gone."""


def stopped_at(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], int]:
    """Lets `at` inserts pass and stops the next; returns how many there were."""
    insert, count = Store.insert, 0

    def counted(store: Store, table: str, data: pa.Table) -> None:
        nonlocal count
        if count >= at:
            raise Stop
        count += 1
        insert(store, table, data)

    monkeypatch.setattr(Store, "insert", counted)
    return lambda: count


def stop(books: Books, at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A close that stops before its insert number `at`; False if it came to its end."""
    with monkeypatch.context() as patched:
        stopped_at(patched, at)
        try:
            books.close(202510)
        except Stop:
            return True
    return False


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_closer_that_stops_at_the_record_is_finished_by_the_next(
    october: Path, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The record is in the log and not yet folded; folded, its rows or its state are missing; no marker."""
    books = a_copy(tmp_path, october)
    assert stop(books, at, monkeypatch)
    books.close(202510)
    assert all_rows(books) == undisturbed


def test_a_closer_that_stops_at_any_write_of_what_is_final_is_finished_by_the_next(
    october: Path, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines, uses of credits, invoices, payouts, the month of payouts: from the first to the last."""
    books = a_copy(tmp_path, october)
    books.close(202510)
    for at in range(10):
        with books.opened() as store:
            for table in FINAL:
                store.command(f"TRUNCATE TABLE unitrate.{table}")
        stopped = stop(books, at, monkeypatch)
        books.close(202510)
        assert all_rows(books) == undisturbed, f"stopped before write {at}"
        if not stopped:
            assert at == 5
            return
    raise AssertionError("the close never came to its end")


KILLED = """
import os, signal, sys
from unitrate.store import Store, open_store
from unitrate.runtime import month_end
insert, left = Store.insert, [int(sys.argv[2])]
def counted(store, table, data):
    insert(store, table, data)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
Store.insert = counted
month_end.close(open_store(sys.argv[1]), month_end.Order(202510))
"""


@pytest.mark.parametrize("writes", [2, 6, 8])
def test_a_closer_that_is_killed_leaves_one_set_of_invoices(
    october: Path, undisturbed: dict[str, Any], tmp_path: Path, writes: int
) -> None:
    """kill -9 right after a write; the next close goes on."""
    books = a_copy(tmp_path, october)
    books.shut()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(books.path), str(writes)], check=False)
    assert killed.returncode == -signal.SIGKILL
    books.close(202510)
    assert all_rows(books) == undisturbed


def test_two_closers_at_once_write_the_same_rows(
    october: Path, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second closer makes the invoices between the first one's reckoning and its writing."""
    books = a_copy(tmp_path, october)
    write, others = final._write, []

    def meanwhile(store: Store, made: list[final.Made]) -> None:
        monkeypatch.setattr(final, "_write", write)
        other = store.writer()
        others.append(final.issue(other, 202510))
        other.close()
        write(store, made)

    monkeypatch.setattr(final, "_write", meanwhile)
    mine = books.close(202510).invoices
    assert [one.hash for one in mine] == [one.hash for one in others[0]]
    assert all_rows(books) == undisturbed


def test_a_second_close_record_closes_nothing_again(
    october: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """Two closers that both saw an open month write two records; the fold takes the first."""
    books = a_copy(tmp_path, october)
    body: dict[str, object] = {"period": 202510, "grace_us": 0, "now": False}
    with books.opened() as store:
        for _ in range(2):
            month_end.write(store, "close", "close:202510:0:False:1", body, None)
        month_end.write(store, "close", "close:another", body, None)
    books.close(202510)
    assert all_rows(books) == undisturbed


def test_what_comes_between_a_close_record_and_its_invoices_is_not_on_them(
    october: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """A closer comes back days later, after a new catalog, a top-up and new events: the same invoices."""
    books = a_copy(tmp_path, october)
    with books.opened() as store:
        body: dict[str, object] = {"period": 202510, "grace_us": 0, "now": False}
        month_end.write(store, "close", "c", body, None)
    later = CREDITS.replace("catalog: 2025-10", "catalog: 2025-12").replace("amount: 12.00", "amount: 99.00")
    books.publish(later.replace("2025-10-01T00:00:00Z", "2025-12-01T00:00:00Z").replace("Kontor", "Other"))
    books.top_up()
    books.run(
        a_document("d9", "2025-10-20"),
        [an_event("no", "2025-11-03T00:00:00Z", kind="work.rejected", document="d1")],
    )
    books.tick("2025-12-03T00:00:00Z")
    books.close(202510)
    found = all_rows(books)
    names = ("invoices", "invoice_lines", "credit_movements", "closings")
    assert {name: found[name] for name in names} == {name: undisturbed[name] for name in names}


def test_an_invoice_that_would_come_out_otherwise_is_never_overwritten(
    october: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, with both hashes named; the row stays as it is."""
    books = a_copy(tmp_path, october)
    books.close(202510)
    with books.opened() as store:
        store.command(  # of two rows of one invoice the last is read
            "INSERT INTO unitrate.invoices SELECT * REPLACE ('0' AS hash) FROM unitrate.invoices FINAL "
            "WHERE account = 'acme'"
        )
        before = final_rows(store)
        with pytest.raises(FinalConflict, match=r"K-\d+ of acme for 2025-10 is final"):
            final.issue(store, 202510)
    books.shut()
    assert main(["close", "--store", str(books.path), "--period", "2025-10"]) == 1
    assert "not overwritten" in capsys.readouterr().err
    assert books.final_rows() == before


# ---------------------------------------------------------------- whom it closes


def test_a_month_ends_in_each_accounts_zone(october: Path, tmp_path: Path) -> None:
    """At 2 November 00:00 UTC New York's October is over; at 1 November 02:00 it is not, and stays open."""
    books = Books(tmp_path)
    books.run(a_document("d1", "2025-10-05"), a_document("l1", "2025-10-06", account="late"))
    books.tick("2025-11-01T02:00:00Z")
    first = books.close(202510)
    assert first.outlook.closing == ("acme",)
    assert [(one.account, one.ends_us) for one in first.outlook.left_open] == [
        ("late", 1_761_969_600_000_000)
    ]
    assert first.payouts_final is False
    books.tick("2025-11-01T04:00:00Z")
    second = books.close(202510)
    assert second.outlook.closing == ("late",)
    assert second.payouts_final is True
    assert [one.content["number"] for one in (*first.invoices, *second.invoices)] == ["K-000001", "K-000002"]


def test_grace_leaves_time_for_late_events(tmp_path: Path) -> None:
    """24 h after the month's end it is closed, not before; a late event in between bills in its own month."""
    books = Books(tmp_path)
    books.run(a_document("d1", "2025-10-05"))
    books.tick("2025-11-01T12:00:00Z")
    day = 86_400_000_000
    assert books.close(202510, grace_us=day).outlook.closing == ()
    books.run(a_document("d2", "2025-10-31"))
    books.tick("2025-11-02T05:00:00Z")
    assert books.close(202510, grace_us=day).outlook.closing == ("acme", "late")
    assert lines(books.invoice(202510))[0] == ("usage", "Reviews", "10.00")


def test_now_closes_a_month_that_goes_on(tmp_path: Path) -> None:
    """What still comes in that month is an adjustment of the next; no timer fires."""
    books = Books(tmp_path)
    books.run(a_document("d1", "2025-10-05"), a_document("d2", "2025-10-06"))
    books.close(202510, now=True)
    books.run(a_document("d3", "2025-10-20"), a_document("d4", "2025-10-21"))
    assert lines(books.invoice(202510)) == [
        ("usage", "Reviews", "10.00"), ("minimum", "Reviews", "5.00"), ("fee", "Platform", "50.00"),
    ]  # fmt: skip
    assert lines(books.invoice(202511)) == [
        ("minimum", "Reviews", "15.00"),
        ("fee", "Platform", "50.00"),
        ("adjustment", "Reviews", "20.00"),
        ("adjustment", "Reviews (minimum)", "-5.00"),
    ]


def test_a_month_far_ahead_is_a_slip_of_the_pen(tmp_path: Path) -> None:
    """--now does not close years that have not begun."""
    books = Books(tmp_path)
    books.run(a_document("d1", "2025-10-05"))
    with pytest.raises(InputError, match="2031-01 lies ahead of the log, whose time is in 2025-10"):
        books.close(203101, now=True)
    assert books.rows("SELECT count() FROM closings") == [(0,)]


def test_a_dry_run_names_all_and_writes_nothing(october: Path, tmp_path: Path) -> None:
    """Neither a record nor an invoice."""
    books = a_copy(tmp_path, october)
    before = books.rows("SELECT count() FROM manifest FINAL")
    done = books.close(202510, dry_run=True)
    assert (done.outlook.closing, done.invoices) == (("acme", "late"), ())
    assert books.rows("SELECT count() FROM manifest FINAL") == before
    assert all(rows == [] for rows in books.final_rows().values())


def test_held_and_unsettled_units_are_told_with_what_they_may_be_worth(tmp_path: Path) -> None:
    """One bills 0.00 and one 10.00, 5.00 on average; the open and the unpriced one are worth that."""
    books = Books(tmp_path)
    unpriced = an_event("u1", "2025-10-08T10:00:00Z", document="u").replace(
        '"provider": "p"', '"provider": "zz"'
    )
    books.run(
        a_document("d1", "2025-10-05"),
        a_document("d2", "2025-10-06"),
        [unpriced, an_event("u2", "2025-10-08T10:01:00Z", kind="work.completed", document="u")],
        [an_event("o1", "2025-10-08T11:00:00Z", document="open")],
    )
    waiting = books.close(202510, dry_run=True).outlook.waiting
    pico = 10**12
    assert [(one.what, one.reason, one.units, one.worth_pico) for one in waiting] == [
        ("held", "unpriced", 1, 5 * pico),
        ("unsettled", "may still change", 2, 10 * pico),
        ("unsettled", "open", 1, 5 * pico),
    ]


def test_closing_a_month_closes_earlier_open_ones_first(tmp_path: Path) -> None:
    """October and November at one stroke, numbered by month and then account."""
    books = Books(tmp_path)
    books.run(a_document("d1", "2025-10-05"), a_document("d2", "2025-11-05"))
    books.tick("2025-12-02T00:00:00Z")
    made = books.close(202511).invoices
    assert [(one.content["number"], one.content["period"], one.invoice.account) for one in made] == [
        ("K-000001", "2025-10", "acme"),
        ("K-000002", "2025-10", "late"),
        ("K-000003", "2025-11", "acme"),
        ("K-000004", "2025-11", "late"),
    ]


# ---------------------------------------------------------------- what comes later


def test_an_adjustment_is_the_difference_of_rounded_lines_minimum_included(tmp_path: Path) -> None:
    """October billed 10.00 + 5.00 to the minimum; a late document makes it 20.00: +10.00 and −5.00."""
    books = Books(tmp_path)
    books.run(a_document("d1", "2025-10-05"), a_document("d2", "2025-10-06"))
    books.tick("2025-11-02T00:00:00Z")
    books.close(202510)
    books.run(a_document("d3", "2025-10-25"))
    books.tick("2025-12-02T00:00:00Z")
    books.close(202511)
    found = [line for line in books.invoice(202511)["lines"] if line["kind"] == "adjustment"]
    assert [(one["name"], one["amount"], one["quantity"], one["late_from"]) for one in found] == [
        ("Reviews", "10.00", "1", "2025-10"),
        ("Reviews (minimum)", "-5.00", None, "2025-10"),
    ]


def test_a_second_adjustment_counts_the_first(tmp_path: Path) -> None:
    """A reversal in December of what a late document brought in November: rounded now − rounded billed."""
    books = Books(tmp_path)
    books.run(a_document("d1", "2025-10-05"), a_document("d2", "2025-10-06"), a_document("d3", "2025-10-07"))
    books.tick("2025-11-02T00:00:00Z")
    books.close(202510)
    books.run(a_document("d4", "2025-10-25"))
    books.tick("2025-12-02T00:00:00Z")
    books.close(202511)
    books.run([an_event("no", "2025-12-03T00:00:00Z", kind="work.rejected", document="d4")])
    adjustments = [line for line in books.invoice(202512)["lines"] if line["kind"] == "adjustment"]
    assert [(one["name"], one["amount"], one["late_from"]) for one in adjustments] == [
        ("Reviews", "-10.00", "2025-10")
    ]


def test_a_negative_total_is_a_credit_note_that_uses_no_credit(tmp_path: Path) -> None:
    """Two documents are taken back after the close and no plan is left: −20.00, the credit untouched."""
    catalog = CREDITS.replace("minimum: 15.00", "minimum: 0.00").replace(
        "plan: growth, from: 2025-10-01, credits", "plan: growth, from: 2025-10-01, to: 2025-10-31, credits"
    )
    books = Books(tmp_path, catalog)
    books.run(a_document("d1", "2025-10-05"), a_document("d2", "2025-10-06"), a_document("d3", "2025-10-07"))
    books.tick("2025-11-02T00:00:00Z")
    books.close(202510)
    assert books.invoice(202510)["credits"] == "12.00"
    books.top_up("Gift", "late")  # a credit of another account changes nothing here
    rejections = [
        an_event(f"no{name}", "2025-11-05T00:00:00Z", kind="work.rejected", document=name)
        for name in ("d1", "d2")
    ]
    books.run(rejections)
    books.tick("2025-12-02T00:00:00Z")
    books.close(202511)
    note = books.invoice(202511)
    assert (lines(note), note["total"], note["credits"]) == (
        [("adjustment", "Reviews", "-20.00")], "-20.00", "0.00",
    )  # fmt: skip


def test_an_account_that_is_entered_late_is_billed_from_its_first_day(tmp_path: Path) -> None:
    """Its plan is published in November from October on: October's fee and usage are adjustments."""
    without = CATALOG.replace("  acme: {name: Acme, plan: growth, from: 2025-10-01}\n", "")
    books = Books(tmp_path, without)
    books.run(a_document("d1", "2025-10-05"), a_document("d2", "2025-10-06"))
    books.tick("2025-11-02T00:00:00Z")
    assert [one.invoice.account for one in books.close(202510).invoices] == ["late"]
    named = CATALOG.replace("catalog: 2025-10", "catalog: 2025-11")
    books.publish(named.replace("effective: 2025-10-01", "effective: 2025-11-03"))
    books.tick("2025-12-02T00:00:00Z")
    books.close(202511)
    assert lines(books.invoice(202511)) == [
        ("minimum", "Reviews", "15.00"),
        ("fee", "Platform", "50.00"),
        ("adjustment", "Reviews", "10.00"),
        ("adjustment", "Reviews (minimum)", "5.00"),
        ("adjustment", "Platform (fee)", "50.00"),
    ]


def test_an_adjustment_is_explained_down_to_the_units_that_changed_it(tmp_path: Path) -> None:
    """The late document of October is named under November's adjustment."""
    books = Books(tmp_path)
    books.run(a_document("d1", "2025-10-05"), a_document("d2", "2025-10-06"))
    books.tick("2025-11-02T00:00:00Z")
    books.close(202510)
    books.run(a_document("d3", "2025-10-25"))
    books.tick("2025-12-02T00:00:00Z")
    books.close(202511)
    with books.opened() as store:
        found = explain_invoice(store, timeline(store), "acme", 202511)
    (late,) = [entry for entry in found.lines if entry.line.kind == "adjustment" and entry.units]
    assert [(unit["key"], unit["amount"]) for unit in late.units] == [("d3", 10)]
