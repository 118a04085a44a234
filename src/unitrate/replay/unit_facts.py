"""A unit that the fold has let go, told to it again from the store: the facts of a correction record.

Owns how the rows of a final unit (its own, its lines, cost lines and events) become what the fold knew of it.
Reads only; what the fold makes of it is `unitrate.months`'.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from unitrate.pricing import to_pico
from unitrate.rows import USAGE

if TYPE_CHECKING:
    from unitrate.catalog.compiled import Catalog, Charge, Meter
    from unitrate.store import Store
    from unitrate.timeline import Timeline

_US = "toUnixTimestamp64Micro({0}) AS {0}"
UNIT = f"""
SELECT account, unit_id, partition, opened_offset, opened_month, meter, key, ordinal, workspace, workflow,
       state, disposition, reason, size, billable_quantity, period, {_US.format("started")},
       {_US.format("last_event")},
       toUnixTimestamp64Micro(ifNull(ended, toDateTime64(0, 6, 'UTC'))) AS ended, ended_by, requests,
       background_requests, attempts, {", ".join(USAGE)}, cost, unpriced_requests, revenue, booked_cost,
       booked_requests, attributes, conditions, verdict,
       toUnixTimestamp64Micro(ifNull(verdict_time, toDateTime64(0, 6, 'UTC'))) AS verdict_time, catalog, runs,
       revision
FROM units FINAL WHERE unit_id = {{unit:String}}
"""
_OF_UNIT = "WHERE account = {account:String} AND unit_id = {unit:String}"
LINES = f"""
SELECT charge, price_value, version, usage_month, catalog, plan, plan_version, quantity, units,
       toDecimal256(cost_after, 12) - toDecimal256(cost_before, 12) AS cost
FROM lines FINAL {_OF_UNIT} ORDER BY revision, line_id
"""
BOOKED = f"""
SELECT usage_month, bill_month, workspace, size, disposition, reason
FROM cost_lines FINAL {_OF_UNIT} AND side = 1
ORDER BY revision DESC LIMIT 1
"""
EVENTS = f"""
SELECT type, {_US.format("time")}, offset, catalog, mode, completion, unpriced, provider, model, billed, cost,
       {", ".join(USAGE)}
FROM events {_OF_UNIT} ORDER BY time, offset LIMIT 1 BY offset
"""


def unit_row(store: Store, unit_id: str) -> dict[str, Any]:
    """The unit's row, times in microseconds."""
    return store.query(UNIT, {"unit": unit_id}).dicts()[0]


def is_let_go(unit: Mapping[str, Any]) -> bool:
    """Whether the fold keeps it no more."""
    return bool(unit["state"] == "final" and unit["disposition"] != "held")


def final_facts(
    store: Store, timeline: Timeline, unit: Mapping[str, Any], waived_at: int | None
) -> dict[str, Any]:
    """`months.FinalUnit` of a unit. `waived_at`: version of the waiver that holds, if one does."""
    which = {"account": unit["account"], "unit": unit["unit_id"]}
    lines = store.query(LINES, which).dicts()
    events = store.query(EVENTS, which).dicts()
    catalog = _meter_catalog(timeline, unit, events)
    meter = catalog.meter_by_name[unit["meter"]]
    first = lines[0] if lines else None
    charges: tuple[Charge, ...] = ()
    if first:
        plan, month = (first["plan"], first["plan_version"]), first["usage_month"]
        charges = timeline.plan(*plan, unit["account"], month).charges
    shares = _shares(lines, waived_at, {charge.name: charge for charge in charges})
    ordinal = unit["ordinal"] or 1
    key = unit["key"] if ordinal == 1 else unit["key"].removesuffix(f"~{ordinal}")
    return {
        "meter": meter.name,
        "catalog": catalog.id,
        "key": key,
        "ordinal": ordinal,
        "opened_offset": unit["opened_offset"],
        "opened_month": unit["opened_month"],
        "revision": unit["revision"],
        "row": _plain(unit, events, timeline, afresh=waived_at is not None and not shares),
        "attributes": json.loads(unit["attributes"]),
        "booked": [*store.query(BOOKED, which).rows[0], *_figures(unit)],
        "pin": [first[name] for name in ("usage_month", "catalog", "plan", "plan_version")]
        if first
        else None,
        "shares": shares,
        "runs": json.loads(unit["runs"]),
        "end": _end(unit, meter, events),
        "verdicts": [[unit["verdict_time"], 0, unit["verdict"] == "accepted", 0]] if unit["verdict"] else [],
    }


def _meter_catalog(timeline: Timeline, unit: Mapping[str, Any], events: list[dict[str, Any]]) -> Catalog:
    """The catalog in force at the event that opened it: it keeps that one's meter."""
    opened = next((e["catalog"] for e in events if e["offset"] == unit["opened_offset"]), None)
    return timeline.named(opened) if opened is not None else timeline.catalog_at(unit["started"])


def _figures(unit: Mapping[str, Any]) -> list[int]:
    return [
        to_pico(unit["billable_quantity"]), unit["booked_requests"], to_pico(unit["revenue"]),
        to_pico(unit["booked_cost"]),
    ]  # fmt: skip


def _plain(
    unit: Mapping[str, Any], events: list[dict[str, Any]], timeline: Timeline, *, afresh: bool
) -> dict[str, Any]:
    """Facts by the name that the fold has for them (snapshot.PLAIN)."""
    conditions = json.loads(unit["conditions"])
    waiting = [e for e in events if e["unpriced"] and not timeline.named(e["catalog"]).unknown_is_zero]
    unpriced = [_unpriced(event) for event in waiting]
    cost, missing = to_pico(unit["cost"]), unpriced[: unit["unpriced_requests"]]
    if afresh:  # what a later catalog priced is priced again
        cost, missing = sum(to_pico(event["cost"]) for event in events), unpriced
    return {
        **{name: unit[name] for name in _SAME},
        "last_any": unit["last_event"],
        "last": unit["last_event"],
        "seal_end": unit["ended"],
        "usage": {name: unit[name] for name in USAGE if unit[name]},
        "cost": cost,
        "unpriced": missing,
        "awaited": True,  # every window is past
        "started_seen": "not_started" not in conditions,
        **{name: name in conditions for name in ("test", "retry", "escalated")},
        "internal": any(event["mode"] == "internal" for event in events),  # a workspace may be so, too
        "billable_pico": to_pico(unit["billable_quantity"]),
        "revenue": to_pico(unit["revenue"]),
        "catalog_id": unit["catalog"],
        "conditions": conditions,
    }


_SAME = (
    "workspace", "workflow", "started", "ended", "ended_by", "requests", "background_requests", "attempts",
    "disposition", "reason", "size", "period",
)  # fmt: skip


def _unpriced(event: Mapping[str, Any]) -> list[Any]:
    """A request that nobody had priced, as the fold keeps it (Item.remember_unpriced)."""
    usage = {name: event[name] for name in USAGE if event[name]}
    amount, _, currency = event["billed"].partition(" ")
    return [event["provider"], event["model"], event["time"], usage, amount or None, currency or None]


def _end(unit: Mapping[str, Any], meter: Meter, events: list[dict[str, Any]]) -> list[Any] | None:
    """The last end event; of a unit that is one event, that one."""
    if meter.each is not None:
        event = events[0] if events else {"time": unit["ended"], "offset": 0, "completion": Decimal(1)}
        return [event["time"], event["offset"], unit["ended_by"], to_pico(event["completion"])]
    ends = [event for event in events if event["type"] in meter.end_on]
    if not ends:
        return None
    return [ends[-1]["time"], ends[-1]["offset"], ends[-1]["type"], to_pico(ends[-1]["completion"])]


def _shares(
    lines: Iterable[Mapping[str, Any]], waived_at: int | None, charges: Mapping[str, Charge]
) -> dict[str, list[Any]]:
    """What the unit bills now; of a waived one, what it billed before: the reverse of the waiver's lines."""
    sums: dict[tuple[str, str], list[int]] = {}
    for line in lines:
        if waived_at is not None and line["version"] != waived_at:
            continue
        sign = 1 if waived_at is None else -1
        found = sums.setdefault((line["charge"], line["price_value"]), [0, 0, 0])
        for at, name in enumerate(("quantity", "cost", "units")):
            found[at] += sign * to_pico(line[name])
    return {
        charge: [_value(charges[charge], value), *figures]
        for (charge, value), figures in sums.items()
        if any(figures)
    }


def _value(charge: Charge, text: str) -> list[str]:
    """The price that a line names, as its parts: they may have slashes themselves."""
    return list(next(value for value in charge.prices if "/".join(value) == text))
