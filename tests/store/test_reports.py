"""Report rows: whose figures, in which month, shared how. Figures are worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.store.builders import PICO, a_checkpoint, a_cost_line, a_unit, an_event, events
from unitrate import rows
from unitrate.errors import InputError
from unitrate.store import Store
from unitrate.store.queries import report_rows

ONE, TWO = "01" * 16, "02" * 16


def fill(store: Store, *, ledger: list[dict[str, Any]] | None = None, **output: Any) -> None:
    store.write_checkpoint(
        a_checkpoint(last_offset=999, output=rows.Output(events(*(ledger or [])), **output))
    )


def figures(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row["units"], row["billable_quantity"], row["requests"], row["revenue"], row["cost"])


def d(text: str) -> Decimal:
    return Decimal(text)


def test_an_empty_month_has_a_total_of_zero(store: Store) -> None:
    """Without columns there is always one row."""
    assert [figures(row) for row in report_rows(store, 202511)] == [(0, 0, 0, 0, 0)]
    assert report_rows(store, 202511, by=["account"]) == []


def test_signed_lines_add_up_by_column(store: Store) -> None:
    """A unit that changed its fate counts once, where it is now; a fate that is empty has no row."""
    put = {"units": 1, "requests": 3, "cost": 3 * PICO}
    fill(
        store,
        cost_lines=[
            a_cost_line(unit_id=ONE, **put, billable_quantity=PICO, revenue=9 * PICO),
            a_cost_line(unit_id=TWO, **put, disposition="billable", revenue=5 * PICO, billable_quantity=PICO),
            a_cost_line(unit_id=TWO, revision=2, side=0, units=-1, requests=-3, cost=-3 * PICO,
                        revenue=-5 * PICO, billable_quantity=-PICO),
            a_cost_line(unit_id=TWO, revision=2, **put, disposition="not_billed", reason="rejected"),
        ],
    )  # fmt: skip
    found = report_rows(store, 202511, by=["account", "disposition", "reason"])
    assert [(r["account"], r["disposition"], r["reason"], *figures(r)) for r in found] == [
        ("acme", "billable", "ok", 1, d("1"), 3, d("9"), d("3")),
        ("acme", "not_billed", "rejected", 1, d("0"), 3, d("0"), d("3")),
    ]


def test_open_units_cost_in_the_month_of_their_latest_event(store: Store) -> None:
    """What cost lines do not have yet is added: all of a new unit, the rest of a re-opened one."""
    fill(
        store,
        units=[
            a_unit(unit_id=ONE, requests=2, cost=5 * PICO),
            a_unit(
                unit_id=TWO, requests=9, cost=7 * PICO, booked_requests=8, booked_cost=6 * PICO, revision=1
            ),
        ],
    )
    assert [figures(r) for r in report_rows(store, 202511, by=["reason"])] == [(1, 0, 3, 0, d("6"))]


def test_large_sums_have_all_their_digits(store: Store) -> None:
    """Twenty digits before the point and twelve behind it."""
    amount = 98_765_432_109_876_543_210 * PICO + 123_456_789_012
    fill(store, cost_lines=[a_cost_line(unit_id=ONE, cost=amount), a_cost_line(unit_id=TWO, cost=amount)])
    ((row),) = report_rows(store, 202511)
    assert str(row["cost"]) == "197530864219753086420.246913578024"


def test_other_months_and_accounts_stay_out(store: Store) -> None:
    fill(
        store,
        cost_lines=[
            a_cost_line(unit_id=ONE, cost=1),
            a_cost_line(unit_id=TWO, cost=2, bill_month=202510),
            a_cost_line(unit_id=TWO, cost=4, account="other"),
        ],
    )
    assert report_rows(store, 202511, "acme")[0]["cost"] == d("0.000000000001")


def test_revenue_is_shared_by_cost_and_the_last_row_takes_the_remainder(store: Store) -> None:
    """1.00 over costs of 1, 1 and 1: a third each, to twelve decimals, and the last in order a bit more."""
    fill(
        store,
        ledger=[
            an_event(name, offset, unit_id=ONE, provider=name, model="m", cost=PICO)
            for offset, name in enumerate(("a", "b", "c"), 1)
        ],
        cost_lines=[
            a_cost_line(unit_id=ONE, version=9, units=1, requests=3, cost=3 * PICO, revenue=PICO,
                        billable_quantity=PICO)
        ],
    )  # fmt: skip
    found = report_rows(store, 202511, by=["provider"])
    assert [(r["provider"], *figures(r)) for r in found] == [
        ("a", 1, d("1"), 1, d("0.333333333333"), d("1")),
        ("b", 1, d("1"), 1, d("0.333333333333"), d("1")),
        ("c", 1, d("1"), 1, d("0.333333333334"), d("1")),
    ]


def test_where_cost_is_zero_revenue_is_shared_by_requests(store: Store) -> None:
    fill(
        store,
        ledger=[an_event(f"e{i}", i, unit_id=ONE, model="x" if i < 3 else "y") for i in range(4)],
        cost_lines=[a_cost_line(unit_id=ONE, version=9, units=1, requests=4, revenue=-8 * PICO)],
    )
    assert [(r["model"], r["requests"], r["revenue"]) for r in report_rows(store, 202511, by=["model"])] == [
        ("x", 3, d("-6")),
        ("y", 1, d("-2")),
    ]


def test_a_request_without_a_unit_has_its_own_provider(store: Store) -> None:
    """Unmetered requests are found through the log offset of their cost line."""
    fill(
        store,
        ledger=[an_event("e1", 7, reason="unmetered", provider="p", cost=2)],
        cost_lines=[
            a_cost_line(unit_id="ff" * 16, version=7, revision=0, meter="", requests=1, cost=2,
                        reason="unmetered")
        ],
    )  # fmt: skip
    found = report_rows(store, 202511, by=["provider", "reason"])
    assert [(r["provider"], r["reason"], r["requests"]) for r in found] == [("p", "unmetered", 1)]


def test_revenue_without_requests_stands_under_an_empty_provider(store: Store) -> None:
    """A plan change bills without a unit; a unit may consist of work events only."""
    fill(
        store,
        ledger=[an_event("w", 1, type="work.completed", unit_id=ONE, tags='{"team": "blue"}')],
        cost_lines=[
            a_cost_line(unit_id=ONE, version=1, meter="m", units=1, revenue=2 * PICO),
            a_cost_line(
                unit_id="ee" * 16, version=1, revision=0, meter="m", revenue=PICO, reason="plan_change"
            ),
        ],
    )
    found = report_rows(store, 202511, by=["tag:team", "provider"])
    assert [(r["tag:team"], r["provider"], r["revenue"]) for r in found] == [
        ("", "", d("1")),
        ("blue", "", d("2")),
    ]


def test_a_closed_month_does_not_see_later_requests(store: Store) -> None:
    """October's figures by model stay, and November's adjustment is about the late request alone."""
    fill(
        store,
        ledger=[
            an_event("early", 1, unit_id=ONE, meter="m", model="x", cost=PICO),
            an_event("late", 5, unit_id=ONE, meter="m", model="y", cost=3 * PICO),
        ],
        cost_lines=[
            a_cost_line(unit_id=ONE, meter="m", bill_month=202510, usage_month=202510, version=2, units=1,
                        requests=1, cost=PICO, revenue=8 * PICO),
            a_cost_line(unit_id=ONE, meter="m", usage_month=202510, revision=2, version=5, requests=1,
                        cost=3 * PICO),
        ],
    )  # fmt: skip
    october = report_rows(store, 202510, by=["model"])
    november = report_rows(store, 202511, by=["model"])
    assert [(r["model"], r["cost"], r["revenue"]) for r in october] == [("x", d("1"), d("8"))]
    assert [(r["model"], r["cost"]) for r in november] == [("y", d("3"))]


def test_an_open_unit_is_shared_over_its_unbooked_requests(store: Store) -> None:
    """A re-opened unit's new request shows under its own model only."""
    fill(
        store,
        ledger=[
            an_event("a", 1, unit_id=ONE, meter="m", model="x", cost=PICO),
            an_event("b", 8, unit_id=ONE, meter="m", model="y", cost=PICO),
        ],
        units=[
            a_unit(
                unit_id=ONE,
                meter="m",
                requests=2,
                cost=2 * PICO,
                booked_requests=1,
                booked_cost=PICO,
                revision=1,
            )
        ],
        cost_lines=[
            a_cost_line(unit_id=ONE, meter="m", version=2, units=1, requests=1, cost=PICO, revenue=PICO)
        ],
    )
    found = report_rows(store, 202511, by=["model", "disposition"])
    assert [(r["model"], r["disposition"], r["requests"], r["cost"]) for r in found] == [
        ("x", "billable", 1, d("1")),
        ("y", "held", 1, d("1")),
    ]


def test_days_are_those_of_the_requests_in_utc(store: Store) -> None:
    day_us = 86_400_000_000
    fill(
        store,
        ledger=[an_event(f"e{i}", i, unit_id=ONE, time=i * day_us, cost=1) for i in (1, 2)],
        units=[a_unit(unit_id=ONE, state="sealed", started=day_us, last_event=2 * day_us)],
        cost_lines=[a_cost_line(unit_id=ONE, version=9, requests=2, cost=2)],
    )
    assert [(r["day"], r["requests"]) for r in report_rows(store, 202511, by=["day"])] == [
        ("1970-01-02", 1),
        ("1970-01-03", 1),
    ]


def test_an_unknown_column_is_refused_with_those_there_are(store: Store) -> None:
    with pytest.raises(InputError, match="no column 'customer'; they have account, workspace"):
        report_rows(store, 202511, by=["customer"])
