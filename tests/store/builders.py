"""Hand-made checkpoints: rows with one recognisable value a column, so that a swapped column shows."""

from __future__ import annotations

from array import array
from typing import Any

from unitrate import rows
from unitrate.state import entity_hash

PICO = 10**12
NOVEMBER_US = 1_762_000_000_000_000  # 2025-11-01T12:26:40Z

_PLAIN: dict[str, Any] = {
    "str": "",
    "code": "",
    "bytes": b"",
    "id": "",
    "int": 0,
    "uint": 0,
    "small": 0,
    "flag": 0,
    "time": NOVEMBER_US,
    "time?": None,
    "month": 202511,
    "money": 0,
    "money?": None,
    "quantity": 0,
}


def a_row(columns: tuple[rows.Column, ...], **values: Any) -> tuple[Any, ...]:
    """A row with the given values and plain ones for the rest."""
    assert values.keys() <= {column.name for column in columns}, "a column of that name does not exist"
    return tuple(values.get(column.name, _PLAIN[column.kind]) for column in columns)


def a_unit(**values: Any) -> tuple[Any, ...]:
    base = {
        "account": "acme",
        "opened_month": 202511,
        "unit_id": "ab" * 16,
        "meter": "m",
        "ordinal": 1,
        "state": "open",
        "disposition": "held",
        "reason": "open",
        "period": 202511,
    }
    return a_row(rows.UNITS, **{**base, **values})


def a_line(**values: Any) -> tuple[Any, ...]:
    base = {"account": "acme", "bill_month": 202511, "unit_id": "ab" * 16, "charge": "Reviews", "revision": 1}
    return a_row(rows.LINES, **{**base, **values})


def a_cost_line(**values: Any) -> tuple[Any, ...]:
    base = {
        "account": "acme",
        "bill_month": 202511,
        "unit_id": "ab" * 16,
        "revision": 1,
        "side": 1,
        "meter": "m",
    }
    return a_row(rows.COST_LINES, **{**base, "disposition": "billable", "reason": "ok", **values})


def events(*given: dict[str, Any]) -> rows.EventColumns:
    """Accepted events as the engine's buffers."""
    columns: dict[str, Any] = {}
    codes: dict[str, dict[str, int]] = {}
    for column in rows.EVENTS:
        if column.name == "partition":
            continue
        values = [event.get(column.name, _PLAIN[column.kind]) for event in given]
        if column.kind == "code":
            known = codes.setdefault(column.name, {})
            columns[column.name] = array("i", [known.setdefault(value, len(known)) for value in values])
        elif column.kind in ("str", "id") or column.kind == "money?":
            columns[column.name] = values
        else:
            columns[column.name] = array("q", values)
    return rows.EventColumns(columns, codes, len(given))


def an_event(name: str = "e1", offset: int = 1, **values: Any) -> dict[str, Any]:
    """An accepted event with the id `name`."""
    return {"id": name, "offset": offset, "account": "acme", "source": "gw", "type": "ai.request", **values}


def a_checkpoint(
    *,
    last_offset: int = 1,
    generation: int = 0,
    state: list[rows.StateRow] | None = None,
    live: list[rows.StateRow] | None = None,
    output: rows.Output | None = None,
    partition: int = 0,
    meta: dict[str, Any] | None = None,
) -> rows.Checkpoint:
    """A checkpoint; `live` are the entities that live after it, where they are not just `state`."""
    state = state or []
    alive = [row for row in (state if live is None else live) if row.body]
    return rows.Checkpoint(
        partition=partition,
        output=output or rows.Output(events()),
        generation=generation,
        state=state,
        last_offset=last_offset,
        meta=meta or {},
        digests={"entities": len(alive), "sum": sum(entity_hash(*row) for row in alive) % 2**64},
    )
