"""Small builders for catalogs and events of the reference tests.

Owns how a test writes down an event or a catalog in few words. Times are microseconds since 1970.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Mapping
from typing import Any

from tests.reference.catalog_view import EPOCH, instant, span
from tests.reference.rater import EventRecord, Figures, Publication, Record, Tick, rate

START = instant("2026-10-05T12:00:00Z")
_ids = itertools.count(1)


def rfc3339(time_us: int) -> str:
    """An instant as events carry it."""
    moment = EPOCH + dt.timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def after(text: str, *more: str) -> int:
    """START plus spans such as "30m"."""
    return START + sum(span(t) for t in (text, *more))


def an_event(
    kind: str = "ai.request",
    at: int = START,
    *,
    run: str = "r1",
    account: str = "acme",
    workflow: str = "wf",
    id: str | None = None,  # noqa: A002 - the field's own name
    **data: Any,
) -> dict[str, Any]:
    """An event; ai.request has provider acme and model m1, and costs what `usage` says."""
    body: dict[str, Any] = {"workflow": workflow, "run_id": run, **data}
    if kind == "ai.request":
        body = {"provider": "acme-gpu", "model": "m1", "usage": {"input_tokens": 1000}, **body}
    return {
        "specversion": "1.0",
        "id": id if id is not None else f"e{next(_ids)}",
        "source": "test",
        "type": kind,
        "subject": account,
        "time": rfc3339(at),
        "data": body,
    }


def raw(event: Mapping[str, Any]) -> bytes:
    """An event as bytes."""
    return json.dumps(event, separators=(",", ":")).encode()


def a_catalog(**changes: Any) -> dict[str, Any]:
    """A catalog document: one meter `runs` on workflow wf, one plan at 1.00 a unit, one account acme."""
    document: dict[str, Any] = {
        "catalog": "c1",
        "effective": "2026-10-01T00:00:00Z",
        "currency": "USD",
        "timezone": "UTC",
        "costs": {"models": [{"provider": "acme-gpu", "model": "m1", "input": "2.00", "output": "12.00"}]},
        "meters": {"runs": {"unit": "run", "workflow": "wf"}},
        "plans": {"basic": a_plan()},
        "accounts": {"acme": {"plan": "basic", "from": "2026-10-01"}},
    }
    return {**document, **changes}


def a_plan(price: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A plan with one charge `Runs` on the meter `runs`."""
    charge = {"name": "Runs", "meter": "runs", "price": price or {"model": "unit", "rate": "1.00"}}
    plan_keys = ("fees", "minimum", "version")
    own = {k: v for k, v in changes.items() if k not in plan_keys}
    if "prices" in own:
        del charge["price"]
    of_plan = {k: v for k, v in changes.items() if k in plan_keys}
    return {"version": 1, "charges": [{**charge, **own}], **of_plan}


def files(*records: Any) -> Figures:
    """Rate catalogs (dicts with `catalog`), events (dicts) and ticks (ints) as an embedded log."""
    found: list[Record] = []
    for offset, record in enumerate(records):
        if isinstance(record, int):
            found.append(Tick(offset, record))
        elif isinstance(record, bytes):
            found.append(EventRecord(offset, record))
        elif "catalog" in record:
            found.append(Publication(offset, record))
        else:
            found.append(EventRecord(offset, raw(record)))
    return rate(found, kafka=False)
