"""Replays of examples/agency_three_months: closes, top-ups, late events, a reversal, final invoices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.months.test_agency import EXAMPLE, STEPS, done
from tests.replay.builders import opened, update
from unitrate.catalog.source import load
from unitrate.cli import main
from unitrate.replay.simulate import simulate
from unitrate.replay.verify import verify
from unitrate.store import Store


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The store after everything that the operator does in three months."""
    path = tmp_path_factory.mktemp("agency") / "books"
    assert main(["run", "--store", str(path), "--catalog", str(EXAMPLE / "catalog.yaml")]) == 0
    for step in STEPS:
        assert main(done(step, str(path))) == 0
    with opened(path) as store:
        yield store


def test_everything_that_was_closed_and_invoiced_verifies(books: Store) -> None:
    """And the six invoices would come out the same today."""
    answer = verify(books)
    assert answer.differing == {}
    assert [answer.rows[name] for name in ("invoices", "closings", "grants")] == [6, 6, 1]
    assert verify(books, 202511).rows["invoices"] == 2


@pytest.mark.parametrize("period", [202510, 202511, 202512])
def test_a_closed_month_under_its_own_catalog_comes_out_as_it_is(books: Store, period: int) -> None:
    """A month is what belongs to it by its usage, wherever it was billed."""
    found = simulate(books, load([EXAMPLE / "catalog.yaml"])[0], period)
    assert (found.now, found.fates) == (found.next, ())
    assert found.now.invoiced_minor > 0


def test_an_invoice_or_a_line_that_was_changed_is_found_in_its_month(books: Store) -> None:
    """A document that does not fit its hash; a line that does not fit the invoice. It comes last."""
    update(books, "invoices", "document = replace(document, '47.50', '47.51')", "period = 202511")
    assert verify(books, 202510).holds
    assert verify(books, 202511).differing == {"invoices": 1}
    update(books, "lines", "amount = amount + 1", "bill_month = 202510 AND account = 'shop'")
    assert set(verify(books, 202510).differing) == {"lines", "invoices"}
