"""Re-rates in the fold: quantities stay, prices change, from a month on, whatever was rated when."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.engine.builders import a_catalog, an_event, raw
from unitrate.engine import Batch, Engine
from unitrate.errors import InputError, LogError
from unitrate.events import parse_time
from unitrate.rows import COST_LINES, LINES, RERATED_MONTHS, Column

UNIT = 10**12
FOREVER = 10**9
SIZES = {"by": "pages", "tiers": [{"name": "light", "up_to": 10}, {"name": "heavy"}]}
SIZED = {"review": {"unit": "run", "workflow": "review", "sizes": SIZES}}
TABLES: dict[str, tuple[Column, ...]] = {
    "lines": LINES, "cost_lines": COST_LINES, "rerated_months": RERATED_MONTHS,
}  # fmt: skip
Charge = dict[str, Any]


def unit(rate: str) -> dict[str, str]:
    return {"model": "unit", "rate": rate}


def a_charge(rate: str = "1.00", **changes: Any) -> Charge:
    """A charge on runs at a rate each."""
    own = {"name": "Runs", "meter": "review", "price": unit(rate), **changes}
    return {name: value for name, value in own.items() if value is not None}


def by_size(light: str, heavy: str, **changes: Any) -> Charge:
    """A charge with a price a size."""
    prices = {"light": unit(light), "heavy": unit(heavy)}
    return a_charge(price=None, by="size", prices=prices, **changes)


def plans(*charges: Charge, **plan: Any) -> dict[str, Any]:
    return {"basic": {"version": 1, "charges": list(charges), **plan}}


class Log:
    """An engine and what it gave, by table; with `restarts` it is restored after every step."""

    def __init__(self, *charges: Charge, restarts: bool = False, **catalog: Any) -> None:
        self.engine = Engine(generation_records=FOREVER)
        self.rows: dict[str, list[tuple[Any, ...]]] = {}
        self._restarts = restarts
        self._published: list[tuple[int, bytes]] = []
        self.publish(a_catalog(plans=plans(*(charges or (a_charge(),))), **catalog))

    @property
    def offset(self) -> int:
        return self.engine.last_offset + 1

    def step(self) -> dict[str, list[dict[str, Any]]]:
        """A checkpoint; its rows by column name."""
        made = self.engine.checkpoint()
        fresh = {name: getattr(made.output, name) for name in (*TABLES, "closings", "rerates", "units")}
        for name, rows in fresh.items():
            self.rows.setdefault(name, []).extend(rows)
        if self._restarts:
            rerated = [(row[1], row[-1]) for row in self.rows["rerates"]]
            finals = [(row[0], row[6], row[8], 1, row[21], "[]") for row in self.rows["units"] if row[21]]
            self.engine = Engine.restore(
                0, made.meta, self._state(made.state), self._published, [], finals, rerated, FOREVER
            )
        return {
            name: [dict(zip((c.name for c in columns), row, strict=True)) for row in fresh[name]]
            for name, columns in TABLES.items()
        }

    def _state(self, touched: list[Any]) -> list[Any]:
        self.facts = getattr(self, "facts", {}) | {(row.kind, row.entity): row for row in touched}
        return [row for row in self.facts.values() if row.body]

    def publish(self, publication: bytes) -> None:
        self._published.append((self.offset, publication))
        self.engine.publish(self.offset, publication)
        self.step()

    def runs(self, day: str, *names: str, **data: Any) -> list[dict[str, Any]]:
        """Runs of a day, each of one request that cost 1.00 and its end; the lines that they make."""
        events = []
        for run in names:
            own = {"data__run_id": run, **{f"data__{name}": value for name, value in data.items()}}
            tokens = {"data__usage": {"input_tokens": 1_000_000}}
            events.append(an_event(id=f"{run}-1", time=f"{day}T10:00:00Z", **own, **tokens))
            events.append(an_event(id=f"{run}-2", time=f"{day}T10:01:00Z", type="work.completed", **own))
        raws = [raw(event) for event in events]
        self.engine.fold(Batch(raws, range(self.offset, self.offset + len(raws)), 2**60, None, str))
        return self.step()["lines"]

    def control(self, kind: str, **content: Any) -> dict[str, list[dict[str, Any]]]:
        """A control record; the rows that it makes."""
        self.engine.control(self.offset, None, kind, f"{kind}-{self.offset}", json.dumps(content).encode())
        return self.step()

    def close(self, period: int) -> None:
        self.control("close", period=period, now=True)

    def rerate(self, *charges: Charge, **order: Any) -> list[dict[str, Any]]:
        """Correct the plan's charges; the lines that this makes."""
        return self.control("rerate", **self.order(*charges, **order))["lines"]

    def order(self, *charges: Charge, **order: Any) -> dict[str, Any]:
        meters = {"meters": SIZED} if any("by" in charge for charge in charges) else {}
        corrected = json.loads(a_catalog(plans=plans(*charges), **meters))["catalog"]["plans"]
        number = len(self.engine.timeline.rerates) + 1
        return {
            "format": 1, "number": number, "catalog": "c1", "plans": corrected, "from_us": None,
            "from_month": 0, "who": "mia", "why": "0.09 for 0.90", **order,
        }  # fmt: skip

    def rated(self) -> dict[int, int]:
        """f of each month, by the counters; it must be the sum of the month's lines."""
        f = {key[1]: counter.rated for key, counter in self.engine.books.counters.items()}
        sums = dict.fromkeys(f, 0)
        for row in self.rows["lines"]:
            sums[row[9]] += row[-1]
        assert sums == f
        return f


def told(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return line["usage_month"], line["bill_month"], line["price_value"], line["amount"]


def test_an_open_month_is_rated_anew_in_place() -> None:
    """One line for the counter, without a unit; what was rated stays as it was."""
    log = Log()
    log.runs("2026-10-05", "r1", "r2")
    (line,) = log.rerate(a_charge("1.25"))
    assert told(line) == (202610, 202610, "", UNIT // 2)
    assert (line["rated_before"], line["rated_after"]) == (2 * UNIT, 5 * UNIT // 2)
    assert (line["key"], line["units"], line["quantity"]) == ("", 0, 0)
    assert (line["reason"], line["catalog"], line["total_after"]) == ("rerate", "c1", 2 * UNIT)
    assert log.rated() == {202610: 5 * UNIT // 2}


def test_a_closed_month_is_rated_anew_for_the_first_open_one() -> None:
    """And its account months are told, also those whose lines do not change."""
    log = Log()
    log.runs("2026-10-05", "r1")
    log.close(202610)
    log.runs("2026-12-05", "r2")
    made = log.control("rerate", **log.order(a_charge("3.00")))
    assert [told(line) for line in made["lines"]] == [
        (202610, 202611, "", 2 * UNIT),
        (202612, 202612, "", 2 * UNIT),
    ]
    months = [(row["usage_month"], row["bill_month"]) for row in made["rerated_months"]]
    assert months == [(202610, 202611), (202611, 202611), (202612, 202612)]
    revenue = [(row["reason"], row["bill_month"], row["revenue"], row["units"]) for row in made["cost_lines"]]
    assert revenue == [("rerate", 202611, 2 * UNIT, 0), ("rerate", 202612, 2 * UNIT, 0)]


def test_what_comes_later_is_rated_at_the_corrected_price() -> None:
    """Late units of earlier months and units of new ones, in counters that are there and in new ones."""
    log = Log()
    log.runs("2026-10-31", "r1")
    log.rerate(a_charge("2.00"))
    assert told(log.runs("2026-10-31", "r2")[0]) == (202610, 202610, "", 2 * UNIT)
    assert told(log.runs("2026-11-01", "r3")[0]) == (202611, 202611, "", 2 * UNIT)


def test_earlier_months_keep_the_price_that_was_published() -> None:
    """Also where their first unit comes after the re-rate."""
    log = Log(accounts={"acme": {"plan": "basic", "from": "2026-09-01"}})
    log.runs("2026-10-31", "r1")
    assert [told(line) for line in log.rerate(a_charge("2.00"), from_month=202610)] == [
        (202610, 202610, "", UNIT)
    ]
    assert told(log.runs("2026-09-30", "r2")[0]) == (202609, 202609, "", UNIT)


@pytest.mark.parametrize(
    ("instant", "month"), [("2026-09-30T22:00:00Z", 202610), ("2026-09-30T21:59:59Z", 202609)]
)
def test_an_instant_means_the_month_that_it_is_in_where_the_account_is(instant: str, month: int) -> None:
    """At 22:00 UTC October has begun in Berlin."""
    log = Log(accounts={"acme": {"plan": "basic", "from": "2026-09-01", "timezone": "Europe/Berlin"}})
    log.runs("2026-09-15", "r1")
    log.runs("2026-10-05", "r2")
    found = log.rerate(a_charge("2.00"), from_us=parse_time(instant))
    assert min(line["usage_month"] for line in found) == month


def test_a_second_re_rate_corrects_the_first() -> None:
    """From its own month on; before that the first one holds."""
    log = Log()
    log.runs("2026-10-05", "r1")
    log.runs("2026-11-05", "r2")
    log.rerate(a_charge("2.00"))
    (line,) = log.rerate(a_charge("5.00"), from_month=202611)
    assert told(line) == (202611, 202611, "", 3 * UNIT)
    assert log.rated() == {202610: 2 * UNIT, 202611: 5 * UNIT}


def test_each_price_has_a_line_of_its_own() -> None:
    """So that a size's lines add up to what its quantity costs."""
    log = Log(by_size("1.00", "3.00"), meters=SIZED)
    log.runs("2026-10-05", "r1", "r2", attributes={"pages": 5})
    log.runs("2026-10-05", "r3", attributes={"pages": 50})
    found = log.rerate(by_size("1.50", "2.00"))
    assert [told(line) for line in found] == [
        (202610, 202610, "light", UNIT),
        (202610, 202610, "heavy", -UNIT),
    ]
    assert len({line["unit_id"] for line in found}) == 1
    assert log.rated() == {202610: 5 * UNIT}


def test_more_or_less_included_usage_is_spread_as_after_a_change_of_plan() -> None:
    """More goes to paid quantities in the catalog's order, less comes off in the reverse order."""
    log = Log(by_size("1.00", "3.00", included=1), meters=SIZED)
    log.runs("2026-10-05", "r1", attributes={"pages": 50})  # it is the included one
    log.runs("2026-10-05", "r2", "r3", attributes={"pages": 5})
    more = log.rerate(by_size("1.00", "3.00", included=2))
    assert [told(line)[2:] for line in more] == [("light", -UNIT)]
    less = log.rerate(by_size("1.00", "3.00", included=0))
    assert [told(line)[2:] for line in less] == [("light", UNIT), ("heavy", 3 * UNIT)]


def test_a_maximum_that_comes_or_goes_is_of_the_whole_charge() -> None:
    """It is over all prices together."""
    log = Log(by_size("1.00", "3.00"), meters=SIZED)
    log.runs("2026-10-05", "r1", "r2", attributes={"pages": 50})
    (line,) = log.rerate(by_size("1.00", "3.00", maximum="4.00"))
    assert told(line)[2:] == ("", -2 * UNIT)
    (line,) = log.rerate(by_size("1.00", "4.00"))
    assert told(line)[2:] == ("", 4 * UNIT)


def test_tiers_packages_and_cost_plus_are_f_of_the_same_quantities() -> None:
    """Any model but one that needs the cost may become any other; cost_plus takes another markup."""
    log = Log()
    log.runs("2026-10-05", "r1", "r2", "r3")
    tiers = [{"up_to": 2, "rate": "1.00"}, {"rate": "0.50"}]
    (line,) = log.rerate(a_charge(price={"model": "graduated", "tiers": tiers}))
    assert line["rated_after"] == 5 * UNIT // 2
    (line,) = log.rerate(a_charge(price={"model": "package", "size": 2, "price": "1.75"}))
    assert line["rated_after"] == 7 * UNIT // 2
    log = Log(a_charge(price={"model": "cost_plus", "markup": "0.40"}))
    log.runs("2026-10-05", "r1", "r2")
    (line,) = log.rerate(a_charge(price={"model": "cost_plus", "markup": "0.50"}))
    assert (line["rated_before"], line["rated_after"]) == (28 * UNIT // 10, 3 * UNIT)


def test_a_unit_that_was_rated_before_is_taken_back_at_the_corrected_price() -> None:
    """It keeps its pin; what it and the re-rate billed goes together."""
    log = Log()
    (line,) = log.runs("2026-10-05", "r1")
    log.rerate(a_charge("2.00"))
    order = {"account": "acme", "unit_id": line["unit_id"], "action": "waive", "who": "mia", "why": "x"}
    assert [told(one)[2:] for one in log.control("correction", **order)["lines"]] == [("", -2 * UNIT)]
    assert log.rated() == {202610: 0}


def test_a_catalog_that_is_published_later_does_not_bring_the_wrong_price_back() -> None:
    """Nor does it take the corrected one to months before the re-rate."""
    log = Log(accounts={"acme": {"plan": "basic", "from": "2026-09-01"}})
    log.runs("2026-09-05", "r1")
    log.rerate(a_charge("2.00"), from_month=202610)
    later = {"catalog": "c2", "effective": "2026-11-01T00:00:00Z"}
    accounts = {name: {"plan": "basic", "from": "2026-09-01"} for name in ("acme", "new")}
    log.publish(a_catalog(plans=plans(a_charge("2.00")), accounts=accounts, **later))
    assert told(log.runs("2026-09-30", "r2")[0])[-1] == UNIT
    assert told(log.runs("2026-11-05", "r3")[0])[-1] == 2 * UNIT


def a_history(log: Log) -> None:
    """Closes, late units, two re-rates and a waiver."""
    log.runs("2026-10-05", "r1", "r2", attributes={"pages": 5})
    log.runs("2026-10-06", "r3", attributes={"pages": 50})
    log.close(202610)
    (unit_line, *_) = log.runs("2026-11-05", "r4", "r5", attributes={"pages": 50})
    log.rerate(by_size("1.50", "2.00", included=1), from_month=202611)
    log.runs("2026-10-31", "late", attributes={"pages": 50})
    order = {"account": "acme", "unit_id": unit_line["unit_id"], "action": "waive", "who": "a", "why": "b"}
    log.control("correction", **order)
    log.runs("2026-12-05", "r6", "r7", attributes={"pages": 5})
    log.rerate(by_size("2.00", "2.50", included=2))
    log.runs("2026-11-30", "late2", attributes={"pages": 50})


def test_an_engine_that_is_restored_after_every_step_gives_the_same_rows() -> None:
    """The corrected prices come back with the records, from their months on."""
    found = []
    for restarts in (False, True):
        log = Log(by_size("1.00", "3.00"), meters=SIZED, restarts=restarts)
        a_history(log)
        found.append((log.rows, log.engine.meta(), log.engine.digests(), log.rated()))
    assert found[0] == found[1]


# ---------------------------------------------------------------- what cannot be used


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda order: order.update(who=""),
        lambda order: order.update(number=2),
        lambda order: order.update(catalog="c9"),
        lambda order: order.pop("format"),
        lambda order: order.update(who=1),
        lambda order: order.pop("plans"),
        lambda order: order["plans"]["basic"].update(version=2),
        lambda order: order["plans"]["basic"]["charges"].clear(),
        lambda order: order["plans"]["basic"]["charges"][0].update(meter="other"),
        lambda order: order["plans"]["basic"]["charges"][0].update(prices=[]),
    ],
)
def test_a_re_rate_that_cannot_be_used_changes_nothing(change: Change) -> None:
    """Nobody's, one that another came before, an unknown catalog or plan, other charges or prices."""
    log = Log()
    log.runs("2026-10-05", "r1")
    order = log.order(a_charge("2.00"))
    change(order)
    before = log.engine.meta()
    with pytest.raises(InputError):
        log.control("rerate", **order)
    assert log.engine.meta() == before


def test_a_re_rate_of_a_newer_format_stops_the_partition() -> None:
    """It is newer software's; guessing would change bills."""
    log = Log()
    with pytest.raises(LogError, match="upgrade unitrate"):
        log.control("rerate", **log.order(a_charge("2.00"), format=2))
