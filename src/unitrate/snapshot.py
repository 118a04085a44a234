"""A unit as a row of the `units` table, and as a state body and back.

Owns these two shapes only.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from unitrate.catalog.compiled import Meter
from unitrate.pricing import PICO
from unitrate.rating import Share
from unitrate.rows import USAGE
from unitrate.units import FINAL, OPEN, STATES, Booking, EndEvent, Pin, Unit, Verdict

_json = msgspec.json.Encoder()
_ZEROS = (0,) * len(USAGE)


def _text(value: Any) -> str:
    return _json.encode(value).decode()


_conditions = lru_cache(maxsize=4096)(_text)


def unit_row(unit: Unit, partition: int, period: int) -> tuple[Any, ...]:
    """The unit as it stands, as `rows.UNITS` has it.

    `period`: its own, or while it is open the month of its latest event.
    """
    is_open = unit.state == OPEN
    verdict = unit.verdict()
    booked, pin = unit.booked, unit.pin
    return (
        unit.account,
        unit.opened_month,
        unit.unit_id,
        unit.version,
        partition,
        unit.opened_offset,
        unit.meter.name,
        unit.meter.kind,
        unit.name,
        0 if unit.meter.each is not None else unit.ordinal,
        unit.workspace,
        unit.workflow,
        STATES[unit.state],
        "held" if is_open else unit.disposition,
        "open" if is_open else unit.reason,
        unit.size,
        unit.count_units() * PICO,
        unit.billable_pico,
        pin.month if pin is not None else period,
        unit.started,
        unit.last_any,
        None if is_open else unit.ended,
        "" if is_open else unit.ended_by,
        unit.requests,
        unit.background_requests,
        unit.attempts,
        *map(unit.usage.get, USAGE, _ZEROS),
        unit.cost,
        len(unit.unpriced),
        unit.revenue,
        0 if booked is None else booked.cost_pico,
        0 if booked is None else booked.requests,
        _text(unit.attribute_texts()) if unit.attributes else "{}",
        _conditions(unit.conditions) if unit.conditions else "[]",
        "" if verdict is None else "accepted" if verdict.accepted else "rejected",
        None if verdict is None else verdict.time,
        "" if pin is None else pin.plan,
        0 if pin is None else pin.plan_version,
        unit.catalog_id,
        _text(list(unit.runs)) if unit.runs else "[]",
        unit.revision,
    )


# Order of a unit's state body; what can be derived (window_end, queued, dirty) is not in it.
PLAIN = (
    "opened_offset", "opened_month", "workspace", "workflow", "state", "started", "last_any", "last",
    "opening", "idle_at", "age_at", "ended", "ended_by", "sealed_at", "seal_end", "awaited", "requests",
    "background_requests", "attempts", "usage", "cost", "unpriced", "late_costs", "test", "internal",
    "retry", "escalated", "started_seen", "revision", "disposition", "reason", "size", "billable_pico",
    "revenue", "period", "catalog_id", "conditions", "waived",
    "moved_on",
)  # fmt: skip
_plain = attrgetter(*PLAIN)


def unit_body(unit: Unit) -> list[Any]:
    """State body: with the catalog's meter, all that the unit is."""
    unit.settle_attributes()
    return [
        unit.account,
        unit.meter.name,
        unit.meter_catalog,
        unit.key,
        unit.ordinal,
        _plain(unit),
        unit.end,
        unit.end_since,
        list(unit.attributes.items()),
        unit.verdicts,
        list(unit.runs),
        list(unit.retry_runs),
        unit.booked,
        list(unit.shares.items()),
        unit.pin,
        unit.original,
    ]


def unit_from_body(unit_id: str, body: list[Any], meter: Meter, version: int) -> Unit:
    """The unit again."""
    account, _, meter_catalog, key, ordinal, plain = body[:6]
    end, end_since, attributes, verdicts, runs, retry_runs, booked, shares, pin, original = body[6:]
    unit = Unit(unit_id, account, meter, meter_catalog, key, ordinal)
    for name, value in zip(PLAIN, plain, strict=True):
        setattr(unit, name, value)
    unit.conditions = tuple(unit.conditions)
    unit.end = EndEvent(*end) if end else None
    unit.end_since = EndEvent(*end_since) if end_since else None
    unit.attributes = {name: tuple(value) for name, value in attributes}
    unit.verdicts = [Verdict(*v) for v in verdicts]
    unit.runs = dict.fromkeys(runs)
    unit.retry_runs = dict.fromkeys(retry_runs)
    unit.booked = Booking(*booked) if booked else None
    unit.shares = {name: Share(tuple(s[0]), *s[1:]) for name, s in shares}
    unit.pin = Pin(*pin) if pin else None
    unit.original = _original(original)
    unit.version = version
    unit.window_end = min(unit.last + meter.idle_us, unit.opening + meter.max_age_us)
    return unit


def _original(body: list[Any] | None) -> tuple[Any, ...] | None:
    if body is None:
        return None
    ended, keys = body
    return ended, tuple((original_key(key), within) for key, within in keys)


def original_key(key: list[Any]) -> tuple[Any, ...]:
    """Key of an original: (account, meter, names, values)."""
    account, meter, names, values = key
    return account, meter, tuple(names), tuple(values)


def is_live(unit: Unit) -> bool:
    """Whether the engine still has to keep it: not final, or held until a catalog decides."""
    return unit.state != FINAL or unit.disposition == "held"
