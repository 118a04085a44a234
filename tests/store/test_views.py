"""Views that a person with a SQL prompt asks: they agree with the reports, and everything is explained."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.store.builders import PICO, a_checkpoint, a_cost_line, a_line, a_row, a_unit, an_event, events
from unitrate import rows
from unitrate.store import Store
from unitrate.store.queries import report_rows

ONE = "01" * 16


@pytest.fixture
def filled(store: Store) -> Store:
    """A unit of two models, written twice, as a process that died and its successor do."""
    output = rows.Output(
        events(
            an_event("a", 1, unit_id=ONE, model="x", cost=PICO, input_tokens=5),
            an_event("b", 2, unit_id=ONE, model="y", cost=2 * PICO, input_tokens=7),
        ),
        units=[a_unit(unit_id=ONE, state="sealed", revenue=9 * PICO, cost=3 * PICO)],
        lines=[
            a_line(unit_id=ONE, version=3, amount=9 * PICO, quantity=PICO, included_after=PICO, units=PICO)
        ],
        cost_lines=[
            a_cost_line(unit_id=ONE, version=3, units=1, requests=2, cost=3 * PICO, revenue=9 * PICO)
        ],
        rejected=[a_row(rows.REJECTED, offset=4, version=4), a_row(rows.REJECTED, offset=5, version=5)],
    )
    store.write_checkpoint(a_checkpoint(output=output))
    store.write_checkpoint(a_checkpoint(output=output))
    return store


def test_margin_is_that_of_the_report(filled: Store) -> None:
    (row,) = filled.query("SELECT units, requests, revenue, cost, margin FROM margin(period = 202511)").rows
    assert row == (1, 2, Decimal(9), Decimal(3), Decimal(6))


def test_margin_by_request_is_that_of_the_report(filled: Store) -> None:
    found = filled.query(
        "SELECT model, sum(revenue), sum(cost) FROM margin_by_request(period = 202511) "
        "GROUP BY model ORDER BY model"
    ).rows
    assert found == [(r["model"], r["revenue"], r["cost"]) for r in report_rows(filled, 202511, by=["model"])]
    assert found == [("x", Decimal(3), Decimal(1)), ("y", Decimal(6), Decimal(2))]


def test_rows_that_were_written_twice_count_once(filled: Store) -> None:
    """Every view reads deduplicated rows."""
    assert filled.query("SELECT sum(requests), sum(input_tokens), sum(cost) FROM usage").rows == [
        (2, 12, Decimal(3))
    ]
    (billed,) = filled.query("SELECT billed_units, billed_quantity, included, billed_amount FROM billed").rows
    assert billed == (1, 1, 1, 9)
    assert filled.query("SELECT margin FROM unit").rows == [(Decimal(6),)]
    assert filled.query("SELECT count() FROM request").rows == [(2,)]


def test_rejected_events_that_were_taken_again_are_left_out(filled: Store) -> None:
    filled.command("INSERT INTO retried_events (partition, offset, retried_offset) VALUES (0, 4, 9)")
    assert filled.query("SELECT offset FROM rejected").rows == [(5,)]


def test_every_table_and_column_has_a_comment(store: Store) -> None:
    """A person finds the way with SELECT name, comment FROM system.columns."""
    tables = store.query("SELECT name FROM system.tables WHERE database = 'unitrate' AND comment = ''").rows
    columns = store.query(
        "SELECT table, name FROM system.columns WHERE database = 'unitrate' AND comment = '' AND table IN "
        "(SELECT name FROM system.tables WHERE database = 'unitrate' AND engine != 'View')"
    ).rows
    assert (tables, columns) == ([], [])
