"""One unit explained: why it counts, its price with the arithmetic, its cost, margin and requests.

Owns gathering the unit's rows; `why`, `price` and `cost` put them into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from unitrate.errors import InputError
from unitrate.explain.cost import CostExplanation, explain_cost, request_cost, sum_of
from unitrate.explain.price import LineExplanation, explain_line
from unitrate.explain.repriced import explain_rerate
from unitrate.explain.why import why
from unitrate.explain.words import instant_us
from unitrate.figures import EXACT, money_text, month_text, ratio
from unitrate.rows import EVENTS, LINES, UNITS, USAGE

if TYPE_CHECKING:
    from unitrate.catalog.compiled import Charge, Meter
    from unitrate.store import Store
    from unitrate.timeline import Timeline

REQUEST = "ai.request"
FIRST = 5  # requests that are shown unless all are asked for


def _select(columns: tuple[Any, ...], table: str, where: str, order: str) -> str:
    names = ", ".join(f"`{column.name}`" for column in columns)
    return f"SELECT {names} FROM {table} FINAL WHERE {where} ORDER BY {order}"


UNIT = _select(UNITS, "units", "unit_id = {unit:String}", "version")
UNIT_LINES = _select(
    LINES, "lines", "account = {account:String} AND unit_id = {unit:String}", "revision, version, line_id"
)
ONE_LINE = _select(LINES, "lines", "line_id = {line:String}", "version")
UNIT_CORRECTIONS = (
    "SELECT corrected_at, action, who, why FROM corrections FINAL "
    "WHERE account = {account:String} AND unit_id = {unit:String} ORDER BY version"
)
RERATE = (
    "SELECT rerated_at, who, why FROM rerates FINAL "
    "WHERE partition = {partition:UInt32} AND version = {offset:Int64}"
)
UNIT_EVENTS = (
    _select(EVENTS, "events", "account = {account:String} AND unit_id = {unit:String}", "time, `offset`")
    + " SETTINGS do_not_merge_across_partitions_select_final = 1"
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as an explanation lists it."""

    id: str
    source: str
    row: Mapping[str, Any]
    cost: Decimal

    @property
    def usage(self) -> dict[str, int]:
        return {name: self.row[name] for name in USAGE if self.row[name]}

    def document(self, digits: int) -> dict[str, Any]:
        """The request for programs."""
        row = self.row
        texts = ("run_id", "provider", "model", "operation", "status", "step")
        return {
            "id": self.id,
            "source": self.source,
            "time": row["time"].isoformat().replace("+00:00", "Z"),
            **{name: row[name] for name in texts},
            "background": bool(row["background"]),
            "usage": self.usage,
            "cost": money_text(self.cost, digits),
            "cost_computed": None
            if row["cost_computed"] is None
            else money_text(row["cost_computed"], digits),
            "cost_billed": None if row["cost_billed"] is None else money_text(row["cost_billed"], digits),
        }


@dataclass(frozen=True, slots=True)
class MadeCorrection:
    """What an operator decided about the unit, or about the price of its month."""

    at: Any
    action: str  # waive | restore | rerate
    who: str
    why: str

    def document(self) -> dict[str, Any]:
        """The correction for programs."""
        return {"at": _time(self.at), "action": self.action, "who": self.who, "why": self.why}


@dataclass(frozen=True, slots=True)
class UnitExplanation:
    """A unit with everything that its bill rests on. `differences` is empty where the numbers add up."""

    unit: Mapping[str, Any]
    currency: str
    why: tuple[str, ...]
    lines: tuple[LineExplanation, ...]
    cost: CostExplanation
    requests: tuple[Request, ...]  # all of them, by time
    differences: tuple[str, ...]
    line_id: str = ""  # the line that was asked for, if one was
    corrections: tuple[MadeCorrection, ...] = ()  # by an operator, in order
    rerates: tuple[MadeCorrection, ...] = ()  # of its month's price, after its first line

    @property
    def revenue(self) -> Decimal:
        return sum_of(line.row["amount"] for line in self.lines)

    @property
    def margin(self) -> Decimal:
        return EXACT.subtract(self.revenue, self.cost.total)

    def document(self, digits: int, every: bool) -> dict[str, Any]:
        """The explanation for programs."""
        unit, listed = self.unit, self.requests if every else self.requests[:FIRST]
        texts = (
            "unit_id",
            "account",
            "meter",
            "unit",
            "key",
            "workspace",
            "workflow",
            "state",
            "disposition",
            "reason",
        )
        rates = ratio(self.margin, self.revenue), ratio(self.margin, self.cost.total)
        return {
            "kind": "unit",
            "unit": {
                **{name: unit[name] for name in texts},
                "period": month_text(unit["period"]),
                **{name: _time(unit[name]) for name in ("started", "ended", "verdict_time")},
                **{name: unit[name] for name in ("ended_by", "verdict", "size", "attempts")},
            },
            "currency": self.currency,
            "why": list(self.why),
            "corrections": [one.document() for one in self.corrections],
            "rerates": [one.document() for one in self.rerates],
            "revenue": money_text(self.revenue, digits),
            "lines": [line.document(digits) for line in self.lines],
            "cost": self.cost.document(digits),
            "margin": money_text(self.margin, digits),
            "margin_rate": None if rates[0] is None else f"{rates[0]:f}",
            "markup_rate": None if rates[1] is None else f"{rates[1]:f}",
            "requests_in_all": len(self.requests),
            "requests": [request.document(digits) for request in listed],
            "differences": list(self.differences),
        }


def explain_unit(store: Store, timeline: Timeline, unit_id: str, line_id: str = "") -> UnitExplanation:
    """Explain a unit by its id."""
    found = store.query(UNIT, {"unit": unit_id}).dicts()
    if not found:
        raise InputError(f"no unit {unit_id} in {store.label}")
    unit = found[-1]
    which = {"account": unit["account"], "unit": unit_id}
    digits = timeline.catalogs[-1].minor_digits
    lines = tuple(
        explain_line(row, charge_of(timeline, row), digits) for row in store.query(UNIT_LINES, which).dicts()
    )
    rows = [row for row in store.query(UNIT_EVENTS, which).dicts() if row["type"] == REQUEST]
    cost = explain_cost(rows, timeline, unit)
    requests = tuple(Request(row["id"], row["source"], row, request_cost(row, timeline)) for row in rows)
    meter = _meter(timeline, unit)
    words = (
        tuple(why(unit, meter, _deciding_charge(timeline, unit))) if meter is not None else (unit["reason"],)
    )
    found_differences = tuple(_differences(unit, lines, cost))
    made = tuple(MadeCorrection(*row) for row in store.query(UNIT_CORRECTIONS, which).rows)
    return UnitExplanation(
        unit, timeline.catalogs[-1].currency, words, lines, cost, requests, found_differences, line_id,
        made, _rerates(store, timeline, lines),
    )  # fmt: skip


def _rerates(
    store: Store, timeline: Timeline, lines: tuple[LineExplanation, ...]
) -> tuple[MadeCorrection, ...]:
    """What corrected the price of the unit's month once it was rated."""
    if not lines or not timeline.rerates:
        return ()
    row = lines[0].row
    since = timeline.rerates_of(row["plan"], row["plan_version"], row["account"], row["usage_month"])
    offsets = [one.offsets.get(row["partition"], -1) for one in since]
    found = (rerate_at(store, row["partition"], offset) for offset in offsets if offset > row["version"])
    return tuple(one for one in found if one is not None)


def rerate_at(store: Store, partition: int, offset: int) -> MadeCorrection | None:
    """The re-rate at an offset, or None."""
    rows = store.query(RERATE, {"partition": partition, "offset": offset}).rows
    return MadeCorrection(rows[0][0], "rerate", *rows[0][1:]) if rows else None


def explain_one_line(
    store: Store, timeline: Timeline, line_id: str
) -> tuple[LineExplanation, MadeCorrection | None]:
    """Explain a line that belongs to no unit (a plan change, a re-rate); with who re-rated and why."""
    row = store.query(ONE_LINE, {"line": line_id}).dicts()[-1]
    digits = timeline.catalogs[-1].minor_digits
    before, made = charge_of(timeline, row), None
    after = charge_before(timeline, row, row["version"] + 1)
    if row["reason"] == "rerate":
        made = rerate_at(store, row["partition"], row["version"])
    if made is None or before is None or after is None:
        return explain_line(row, before, digits), made
    return explain_rerate(row, before, after, digits), made


def charge_of(timeline: Timeline, row: Mapping[str, Any]) -> Charge | None:
    """The charge that a line was rated by."""
    return charge_before(timeline, row, row["version"])


def charge_before(timeline: Timeline, row: Mapping[str, Any], offset: int) -> Charge | None:
    """The line's charge as it was before the record at an offset of its partition."""
    plan, where = (row["plan"], row["plan_version"]), (row["account"], row["usage_month"])
    charges = timeline.plan(*plan, *where, before=(row["partition"], offset)).charges
    return next((charge for charge in charges if charge.name == row["charge"]), None)


def _deciding_charge(timeline: Timeline, unit: Mapping[str, Any]) -> Charge | None:
    """The first charge on the unit's meter: its policy gave the reason."""
    if unit["plan"]:
        plan = timeline.plan(unit["plan"], unit["plan_version"], unit["account"], unit["period"])
    else:
        moment = unit["ended"] or unit["last_event"]
        found = timeline.plan_at(unit["account"], instant_us(moment))[1]
        if found is None:
            return None
        plan = found
    return next((charge for charge in plan.charges if charge.meter == unit["meter"]), None)


def _meter(timeline: Timeline, unit: Mapping[str, Any]) -> Meter | None:
    """The meter it opened with: that of the catalog in force then."""
    catalog = timeline.catalog_at(instant_us(unit["started"]))
    for candidate in (catalog, *timeline.catalogs):
        for meter in candidate.meters:
            if meter.name == unit["meter"]:
                return meter
    return None


def _differences(
    unit: Mapping[str, Any], lines: tuple[LineExplanation, ...], cost: CostExplanation
) -> list[str]:
    """What does not add up (I8): nothing, unless the store or this program is broken."""
    found = []
    billed = sum_of(line.row["amount"] for line in lines)
    if billed != unit["revenue"]:
        found.append(f"the lines add up to {billed}, the unit says {unit['revenue']}")
    if cost.total != unit["cost"]:
        found.append(f"the requests add up to {cost.total}, the unit says {unit['cost']}")
    if cost.requests != unit["requests"]:
        found.append(f"{cost.requests} requests are in the ledger, the unit says {unit['requests']}")
    found += [f"line {line.row['line_id']} is not its own difference" for line in lines if not line.adds_up]
    return found


def _time(value: Any) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")
