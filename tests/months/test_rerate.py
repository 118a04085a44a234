"""`unitrate rerate`: which file corrects what and from when, what is refused, what comes after it."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.months.builders import CATALOG, Books, a_document, lines
from unitrate.catalog.repricing import Period
from unitrate.catalog.source import load_text
from unitrate.cli import main
from unitrate.errors import CatalogError, InputError
from unitrate.replay.rerate import Effect, Order, rerate
from unitrate.replay.verify import verify
from unitrate.runtime import embedded

RIGHT = CATALOG.replace("rate: 10.00", "rate: 12.50")
DEARER = CATALOG.replace("amount: 50.00, when: monthly", "amount: 55.00, when: monthly")
NOVEMBER = "2025-11-02T00:00:00Z"


def rerated(
    books: Books, catalog: str = RIGHT, *, dry_run: bool = False, since: Period | None = None
) -> Effect:
    order = Order(since or Period(), "mia", "oops")
    with books.opened() as store:
        return rerate(store, load_text(catalog), order, dry_run=dry_run)


def told(effect: Effect) -> list[tuple[Any, ...]]:
    """Account, month, invoice, before and after in cents."""
    return [(c.account, c.period, c.bill_month, c.before_minor, c.after_minor) for c in effect.changes]


def differing(books: Books) -> dict[str, int]:
    with books.opened() as store:
        return verify(store).differing


@pytest.fixture(scope="module")
def october(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """October of two customers, three documents and one; the log's time is 2 November. For copies."""
    made = Books(tmp_path_factory.mktemp("october"))
    made.run(
        a_document("d1", "2025-10-05"),
        a_document("d2", "2025-10-06"),
        a_document("d3", "2025-10-07"),
        a_document("l1", "2025-10-08", account="late"),
    )
    made.tick(NOVEMBER)
    made.shut()
    return made.path


@pytest.fixture
def books(october: Path, tmp_path: Path) -> Books:
    """Books of one's own."""
    shutil.copytree(october, tmp_path / "books", symlinks=True)
    return Books(tmp_path, None)


def test_a_fee_alone_is_corrected_without_a_line(books: Books) -> None:
    """In place where the month is open, as an adjustment where it is closed; final invoices stay."""
    books.close(202510)
    before = books.final_rows()
    made = rerated(books, DEARER)
    assert told(made) == [
        ("acme", 202510, 202511, 7000, 7500),
        ("acme", 202511, 202511, 6500, 7000),
        ("late", 202510, 202511, 6500, 7000),
        ("late", 202511, 202511, 6500, 7000),
    ]
    assert lines(books.invoice(202511)) == [
        ("minimum", "Reviews", "15.00"),
        ("fee", "Platform", "55.00"),
        ("adjustment", "Platform (fee)", "5.00"),
    ]
    assert books.final_rows() == before
    assert differing(books) == {}


def test_what_was_adjusted_once_is_not_adjusted_again(books: Books) -> None:
    """The next invoice counts what the one before it billed for October."""
    books.close(202510)
    rerated(books, DEARER)
    books.tick("2025-12-02T00:00:00Z")
    books.close(202511)
    assert ("adjustment", "Platform (fee)", "5.00") in lines(books.invoice(202511))
    assert lines(books.invoice(202512)) == [("minimum", "Reviews", "15.00"), ("fee", "Platform", "55.00")]
    rerated(books, CATALOG)
    assert lines(books.invoice(202512))[2:] == [
        ("adjustment", "Platform (fee)", "-5.00"),
        ("adjustment", "Platform (fee)", "-5.00"),
    ]
    assert differing(books) == {}


def test_from_a_month_on_the_months_before_keep_their_price(books: Books) -> None:
    """Also in drafts that are made later."""
    made = rerated(books, DEARER, since=Period(from_month=202511))
    assert told(made) == [
        ("acme", 202511, 202511, 6500, 7000),
        ("late", 202511, 202511, 6500, 7000),
    ]
    assert ("fee", "Platform", "50.00") in lines(books.invoice(202510))


def test_a_dry_run_writes_nothing_and_says_the_same(books: Books) -> None:
    planned = rerated(books, dry_run=True)
    assert books.rows("SELECT count() FROM rerates") == [(0,)]
    assert books.rows("SELECT count() FROM lines WHERE reason = 'rerate'") == [(0,)]
    assert rerated(books) == planned


def test_a_correction_can_be_corrected(books: Books) -> None:
    """Each is a record of its own; the last one holds."""
    rerated(books)
    assert rerated(books, CATALOG).number == 2
    assert lines(books.invoice(202510))[0] == ("usage", "Reviews", "20.00")
    assert books.rows("SELECT number, who FROM rerates ORDER BY number") == [(1, "mia"), (2, "mia")]
    assert differing(books) == {}


def test_a_run_goes_on_with_either_file_and_a_later_catalog_has_the_corrected_prices(books: Books) -> None:
    rerated(books)
    later = RIGHT.replace("catalog: 2025-10", "catalog: 2025-12").replace("e: 2025-10-01T", "e: 2025-12-01T")
    with books.opened() as store:
        for text in (RIGHT, CATALOG):
            assert embedded.publish(store, load_text(text)) == []
        with pytest.raises(CatalogError, match="has other content"):
            embedded.publish(store, load_text(later.replace("12.50", "10.00")))
        embedded.publish(store, load_text(later))
    books.run(a_document("d4", "2025-12-05"), a_document("d5", "2025-12-06"))
    assert lines(books.invoice(202512))[0] == ("usage", "Reviews", "12.50")
    assert differing(books) == {}


# ---------------------------------------------------------------- what is refused


def test_what_changes_nothing_or_more_than_prices_is_refused(books: Books) -> None:
    """The file as it was published, one that never was, one with other meters."""
    with pytest.raises(InputError, match="nothing to re-rate"):
        rerated(books, CATALOG)
    with pytest.raises(InputError, match="catalog 2025-09 was never published"):
        rerated(books, RIGHT.replace("catalog: 2025-10", "catalog: 2025-09"))
    with pytest.raises(CatalogError, match=r"meters\.review   differs from what was published"):
        rerated(books, RIGHT.replace("settle: 1h", "settle: 2h"))


@pytest.mark.parametrize(("instant_us", "refused"), [
    (1_761_955_200_000_000, "late has plan growth v1 on 2025-10-01 already"),  # not yet November in New York
    (1_762_300_800_000_000, "acme has plan growth v1 on 2025-11-01 already"),  # 5 November
])  # fmt: skip
def test_a_price_cannot_change_inside_of_a_month(books: Books, instant_us: int, refused: str) -> None:
    """A counter covers a month; the line says which month to give."""
    with pytest.raises(InputError, match=refused) as raised:
        rerated(books, since=Period(from_us=instant_us))
    assert "(--from 2025-1" in str(raised.value)


def test_an_instant_where_the_plan_begins_is_taken(tmp_path: Path) -> None:
    """There is no day before it in its month."""
    text = CATALOG.replace("late: {name: Late, plan: growth, from: 2025-10-01", "late: {name: Late")
    text = text.replace("late: {name: Late", "late: {name: Late, plan: growth, from: 2025-10-15")
    text = text.replace("acme: {name: Acme, plan: growth, from: 2025-10-01", "acme: {name: Acme")
    books = Books(tmp_path, text)
    books.run(a_document("l1", "2025-10-18", account="late"), a_document("l2", "2025-10-19", account="late"))
    found = rerated(
        books, text.replace("rate: 10.00", "rate: 12.50"), since=Period(from_us=1_760_500_800_000_000)
    )
    assert [row[:2] for row in told(found)] == [("late", 202510)]


def test_two_operators_at_once_the_second_is_told(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it looked at is not what it would change."""
    with books.opened() as store:
        from unitrate.runtime import month_end

        write = month_end.write

        def overtaken(*given: Any) -> None:
            monkeypatch.setattr(month_end, "write", write)
            rerate(store, load_text(DEARER), Order(Period(), "ann", "first"))
            write(*given)

        monkeypatch.setattr(month_end, "write", overtaken)
        with pytest.raises(InputError, match=r"at the same moment: ann was first \(first\)"):
            rerate(store, load_text(RIGHT), Order(Period(), "mia", "oops"))


# ---------------------------------------------------------------- the command


def test_the_command_shows_who_is_affected(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a table with a total, and as JSON and CSV for programs."""
    (tmp_path / "right.yaml").write_text(RIGHT)
    books.close(202510)
    books.shut()
    command = ["rerate", str(tmp_path / "right.yaml"), "--store", str(books.path), "--who", "mia"]
    command += ["--why", "oops", "--from", "2025-10"]
    capsys.readouterr()
    assert main([*command, "--dry-run"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["catalog 2025-10 · growth v1 · from 2025-10 on", "would be re-rated by mia: oops"]
    assert out[4].split() == ["acme", "2025-10", "closed", "70.00", "75.00", "5.00", "2025-11"]
    assert out[5].split() == ["total", "70.00", "75.00", "5.00"]
    assert "nothing was written" in out
    assert main([*command, "--dry-run", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "acme,2025-10,closed,70.00,75.00,5.00,2025-11"
    assert main([*command, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plans"] == [{"plan": "growth", "plan_version": 1}]
    assert (found["number"], found["from"], found["written"], found["accounts"]) == (1, "2025-10", True, 2)


@pytest.mark.parametrize("options", [["--why", "x"], ["--who", "mia", "--why", "x", "--from", "November"]])
def test_the_command_is_used_right_or_says_how(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rerate", "right.yaml", "--store", str(tmp_path), *options]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_months_that_no_close_and_no_invoice_knows_are_neither_listed_nor_adjusted(tmp_path: Path) -> None:
    """A customer who is entered late, with a plan that began before the first month that closed for it."""
    alone = CATALOG.replace(next(line for line in CATALOG.splitlines() if line.startswith("  late:")), "")
    books = Books(tmp_path, alone)
    books.run(a_document("d1", "2025-10-05"), a_document("l1", "2025-11-08", account="late"))
    books.tick("2025-12-02T00:00:00Z")
    books.close(202511)
    books.publish(
        CATALOG.replace("catalog: 2025-10", "catalog: 2025-12").replace("e: 2025-10-01T", "e: 2025-12-03T")
    )
    before = books.invoice(202512, "late")
    right = alone.replace("amount: 50.00, when: monthly", "amount: 55.00, when: monthly")
    found = [
        (c.period, c.after_minor - c.before_minor)
        for c in rerated(books, right).changes
        if c.account == "late"
    ]
    assert found == [(202511, 500), (202512, 500)]
    after = books.invoice(202512, "late")
    assert (
        Decimal(after["total"]) - Decimal(before["total"]) == Decimal(sum(cents for _, cents in found)) / 100
    )
