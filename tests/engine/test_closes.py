"""Control records of the month end in the fold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engine.builders import a_catalog, an_event, closings, cost_lines, folded, lines, raw
from unitrate.engine import Batch, Engine
from unitrate.errors import InputError, LogError
from unitrate.events import parse_time

DAY_US = 86_400_000_000


def a_run(day: str, run: str) -> list[dict[str, Any]]:
    """A request and its end."""
    return [
        an_event(
            id=f"{run}-1", time=f"{day}T10:00:00Z", data__run_id=run, data__usage={"input_tokens": 1_000_000}
        ),
        an_event(id=f"{run}-2", time=f"{day}T10:01:00Z", data__run_id=run, type="work.completed"),
    ]


def close(engine: Engine, offset: int, period: int = 202610, **body: Any) -> None:
    engine.control(offset, None, "close", f"close-{offset}", json.dumps({"period": period, **body}).encode())


def more(engine: Engine, offset: int, events: list[dict[str, Any]]) -> None:
    raws = [raw(e) for e in events]
    engine.fold(Batch(raws, range(offset, offset + len(raws)), 2**60, None, str))


def test_a_late_unit_of_a_closed_month_is_billed_in_the_first_open_one() -> None:
    """Rated against its own month's quantities; usage_month tells where it belongs."""
    engine, _ = folded([*a_run("2026-10-31", "r1"), *a_run("2026-11-01", "r2")])
    close(engine, 100)
    more(engine, 101, a_run("2026-10-31", "late"))
    checkpoint = engine.checkpoint()
    assert [(c["account"], c["period"]) for c in closings(checkpoint)] == [("acme", 202610)]
    (line,) = lines(checkpoint)
    assert (line["key"], line["usage_month"], line["bill_month"]) == ("late", 202610, 202611)
    assert line["total_before"] == 10**12
    (cost,) = cost_lines(checkpoint)
    assert (cost["usage_month"], cost["bill_month"], cost["cost"]) == (202610, 202611, 10**12)


def test_a_month_that_is_not_over_stays_open() -> None:
    """In the log's time, plus the grace; `now` closes it all the same."""
    engine, _ = folded(a_run("2026-10-31", "r1"))
    close(engine, 100)
    assert not engine.checkpoint().output.closings
    engine.tick(101, parse_time("2026-11-01T00:00:00Z") or 0)
    close(engine, 102, grace_us=1)
    assert not engine.checkpoint().output.closings
    close(engine, 103, now=True)
    assert len(engine.checkpoint().output.closings) == 1


def test_closing_again_changes_nothing() -> None:
    """One closing a month, however many records ask for it."""
    engine, _ = folded([*a_run("2026-10-31", "r1"), *a_run("2026-11-02", "r2")])
    close(engine, 100)
    close(engine, 101)
    assert len(engine.checkpoint().output.closings) == 1


def test_earlier_open_months_are_closed_first() -> None:
    """From the account's first month on, in order; an account with a plan and no event has months too."""
    accounts = {name: {"plan": "basic", "from": "2026-08-15"} for name in ("acme", "quiet")}
    engine, _ = folded([*a_run("2026-08-20", "r0"), *a_run("2026-11-02", "r2")], a_catalog(accounts=accounts))
    close(engine, 100)
    found = [(c["account"], c["period"]) for c in closings(engine.checkpoint())]
    months = [202608, 202609, 202610]
    assert found == [("acme", m) for m in months] + [("quiet", m) for m in months]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"period": "x"}', b'{"period": 202613}', b'{"period":202610,"x":1}']
)
def test_a_close_that_cannot_be_read_changes_nothing(body: bytes) -> None:
    """The worker keeps such a record as rejected; the fold is as it was."""
    engine, _ = folded(a_run("2026-10-31", "r1"))
    before = engine.meta()
    with pytest.raises(InputError):
        engine.control(100, None, "close", "c", body)
    assert engine.meta() == before


def test_a_control_record_of_an_unknown_kind_stops_the_partition() -> None:
    """It is newer software's; guessing would change bills."""
    engine, _ = folded([])
    with pytest.raises(LogError, match="does not know it"):
        engine.control(100, None, "hologram", "h", b"{}")


def test_a_waived_unit_costs_and_earns_nothing_until_it_is_restored() -> None:
    """A correction is a record like any other, with who and why in its row."""
    engine, checkpoint = folded(a_run("2026-10-05", "r1"))
    unit_id = lines(checkpoint)[0]["unit_id"]
    order = {"account": "acme", "unit_id": unit_id, "who": "ann", "why": "goodwill"}
    engine.control(100, None, "correction", "x1", json.dumps({**order, "action": "waive"}).encode())
    waived = engine.checkpoint()
    assert [line["amount"] for line in lines(waived)] == [-(10**12)]
    assert [(c["units"], c["disposition"], c["reason"], c["cost"]) for c in cost_lines(waived)] == [
        (-1, "billable", "ok", -(10**12)),
        (1, "not_billed", "waived", 10**12),
    ]
    engine.control(101, None, "correction", "x2", json.dumps({**order, "action": "restore"}).encode())
    assert [line["amount"] for line in lines(engine.checkpoint())] == [10**12]


def test_a_control_record_that_came_twice_counts_once() -> None:
    """Publishers retry; the fold knows the ids it took."""
    engine, _ = folded([])
    body = json.dumps({"account": "acme", "name": "500 more", "amount_pico": 1, "credit_pico": 2}).encode()
    engine.control(100, None, "top_up", "same", body)
    engine.control(101, None, "top_up", "same", body)
    assert len(engine.checkpoint().output.grants) == 1
