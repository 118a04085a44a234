"""Which account months a payout covers: each once, also where an account turns up late."""

from __future__ import annotations

from pathlib import Path

from tests.months.builders import Books, a_document
from unitrate.billing.paying import payouts


def test_a_month_before_all_that_are_paid_is_paid_with_the_next_and_once(tmp_path: Path) -> None:
    """October is paid; then a customer's first document comes, of September: November's payout has it."""
    books = Books(tmp_path)
    books.run(a_document("d1", "2025-10-05"))
    books.tick("2025-11-02T12:00:00Z")
    books.close(202510)
    books.run(a_document("n1", "2025-09-29", account="new"))
    books.tick("2025-12-02T12:00:00Z")
    books.close(202511)
    with books.opened() as store:
        units = {month: payouts(store, month).total.units for month in (202509, 202510, 202511)}
        paid = store.query("SELECT period FROM payouts FINAL WHERE kind = 'period' ORDER BY period").rows
        booked = store.query("SELECT sum(units) FROM cost_lines FINAL").rows
    assert (units, paid) == ({202509: 0, 202510: 1, 202511: 1}, [(202510,), (202511,)])
    assert booked == [(2,)]
