"""A month as files: every figure exact, text as text, the file whole."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from tests.months.builders import Books, a_document
from unitrate.billing.export import What, export
from unitrate.errors import InputError
from unitrate.published import timeline


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    """October, closed: three documents of acme, one of late."""
    made = Books(tmp_path_factory.mktemp("export"))
    made.run(
        *(a_document(f"d{n}", f"2025-10-0{n}") for n in (1, 2, 3)),
        a_document("l", "2025-10-05", account="late"),
    )
    made.tick("2025-11-02T00:00:00Z")
    made.close(202510)
    made.shut()
    yield made
    made.shut()


def written(books: Books, what: What, path: Path) -> int:
    with books.opened() as store:
        return export(store, timeline(store), what, 202510, path)


def as_csv(books: Books, what: What, path: Path) -> list[dict[str, str]]:
    written(books, what, path)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def as_parquet(books: Books, what: What, path: Path) -> list[dict[str, Any]]:
    written(books, what, path)
    return list(parquet.read_table(path).to_pylist())


def test_lines_add_up_to_the_invoice(books: Books, tmp_path: Path) -> None:
    """20.00 of acme's three documents, one of them included; decimals in Parquet."""
    rows = as_parquet(books, "lines", tmp_path / "lines.parquet")
    assert sum((row["amount"] for row in rows), Decimal(0)) == Decimal("20.00")
    assert {(row["account"], row["bill_month"]) for row in rows} == {("acme", "2025-10"), ("late", "2025-10")}


def test_csv_has_no_exponent_and_no_float(books: Books, tmp_path: Path) -> None:
    """0, 10 and 0.1, never 0E-12."""
    rows = as_csv(books, "lines", tmp_path / "lines.csv")
    assert sorted({row["amount"] for row in rows}) == ["0", "10"]
    assert {row["cost"] for row in as_csv(books, "units", tmp_path / "units.csv")} == {"0.1"}


def test_units_are_those_of_the_month_with_their_margin(books: Books, tmp_path: Path) -> None:
    """Four, in the columns of `unitrate units`."""
    rows = as_parquet(books, "units", tmp_path / "units.parquet")
    assert [(row["account"], row["key"], row["margin"]) for row in rows] == [
        ("acme", "d1", Decimal("-0.1")),
        ("acme", "d2", Decimal("9.9")),
        ("acme", "d3", Decimal("9.9")),
        ("late", "l", Decimal("-0.1")),
    ]


def test_invoices_are_their_lines_with_number_and_hash(books: Books, tmp_path: Path) -> None:
    """Usage and fee of acme, usage, minimum and fee of late."""
    rows = as_csv(books, "invoices", tmp_path / "invoices.csv")
    assert [(row["number"], row["kind"], row["amount"], row["total"]) for row in rows] == [
        ("K-000001", "usage", "20.00", "70.00"),
        ("K-000001", "fee", "50.00", "70.00"),
        ("K-000002", "usage", "0.00", "65.00"),
        ("K-000002", "minimum", "15.00", "65.00"),
        ("K-000002", "fee", "50.00", "65.00"),
    ]
    assert all(len(row["hash"]) == 64 for row in rows)


def test_payouts_and_rewards_are_rows_of_one_file(books: Books, tmp_path: Path) -> None:
    """19.60 of margin: 15.68 for nord; 0.04 for the provider."""
    rows = as_parquet(books, "payouts", tmp_path / "payouts.parquet")
    assert [(row["payee"], row["payout"], row["status"]) for row in rows] == [
        ("nord", Decimal("15.68"), "final"),
        ("p", Decimal("0.04"), "final"),
    ]


def test_a_file_of_another_kind_is_wrong_use(books: Books, tmp_path: Path) -> None:
    """Nothing is written."""
    with pytest.raises(InputError, match=r"ends in \.parquet or \.csv"):
        written(books, "lines", tmp_path / "lines.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_month_without_rows_has_a_file_with_columns(books: Books, tmp_path: Path) -> None:
    """An empty month is an empty file, not none."""
    path = tmp_path / "lines.csv"
    with books.opened() as store:
        assert export(store, timeline(store), "lines", 203001, path) == 0
    assert path.read_text().startswith('"account","bill_month"')
