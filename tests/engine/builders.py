"""Builders for tests of the fold: events as bytes, a catalog as a mapping, an engine that took both."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from unitrate.catalog.publication import publication
from unitrate.catalog.source import from_data
from unitrate.engine import Batch, Engine
from unitrate.rows import CLOSINGS, COST_LINES, LINES, REJECTED, UNITS, Checkpoint, Column

FOREVER_US = 2**60
PRICES = {"provider": "p", "model": "m", "input": "1.00", "output": "2.00"}


def an_event(**changes: Any) -> dict[str, Any]:
    """A well-formed ai.request; a dotted name changes something inside, None takes it away."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": "e1",
        "source": "test",
        "type": "ai.request",
        "subject": "acme",
        "time": "2026-10-05T12:00:00Z",
        "data": {"workflow": "review", "run_id": "r1", "provider": "p", "model": "m"},
    }
    for path, value in changes.items():
        *above, last = path.split("__")
        place = event
        for step in above:
            place = place.setdefault(step, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return event


def raw(event: dict[str, Any]) -> bytes:
    """The event as a line of a file."""
    return json.dumps(event).encode()


def a_catalog(**changes: Any) -> bytes:
    """A publication: one meter `review` on runs, one plan at 1.00 a unit, the account acme."""
    data: dict[str, Any] = {
        "catalog": "c1",
        "effective": "2026-01-01T00:00:00Z",
        "currency": "USD",
        "costs": {"models": [PRICES]},
        "meters": {"review": {"unit": "run", "workflow": "review"}},
        "plans": {
            "basic": {
                "version": 1,
                "charges": [{"name": "Runs", "meter": "review", "price": {"model": "unit", "rate": "1.00"}}],
            }
        },
        "accounts": {"acme": {"plan": "basic", "from": "2026-10-01"}},
    }
    return publication(from_data({**data, **changes}))


def folded(
    events: Iterable[dict[str, Any] | bytes], *publications: bytes, batch: int = 7, then_us: int | None = None
) -> tuple[Engine, Checkpoint]:
    """An engine that took the publications, the events, and a tick far ahead; and its rows."""
    engine = Engine()
    offset = 0
    for data in publications or (a_catalog(),):
        engine.publish(offset, data)
        offset += 1
    raws = [e if isinstance(e, bytes) else raw(e) for e in events]
    while raws:
        part, raws = raws[:batch], raws[batch:]
        places = Batch(part, range(offset, offset + len(part)), FOREVER_US, None, lambda i: f"test:{i + 1}")
        assert engine.fold(places) == len(part)
        offset += len(part)
    if then_us is not None:
        engine.tick(offset, engine.clock_us + then_us)
    return engine, engine.checkpoint()


def named(columns: tuple[Column, ...], rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Rows by column name."""
    return [dict(zip((c.name for c in columns), row, strict=True)) for row in rows]


def units(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Unit rows by column name."""
    return named(UNITS, checkpoint.output.units)


def lines(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Lines by column name."""
    return named(LINES, checkpoint.output.lines)


def cost_lines(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Cost lines by column name."""
    return named(COST_LINES, checkpoint.output.cost_lines)


def rejected(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Rejected rows by column name."""
    return named(REJECTED, checkpoint.output.rejected)


def closings(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Closings by column name."""
    return named(CLOSINGS, checkpoint.output.closings)
