"""A history as a person reads it: one line a record, times relative to the first event.

Owns the text of a failure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.reference.catalog_view import SECOND, instant
from tests.reference.rater import EventRecord, Publication, Tick

if TYPE_CHECKING:
    from tests.reference.month_records import MonthHistory
    from tests.reference.strategies import History


def show(history: History | MonthHistory) -> str:
    """The records, one a line; catalogs as JSON."""
    lines = [f"{'Kafka' if history.kafka else 'files'} mode"]
    start = None
    for record in history.records:
        if isinstance(record, Publication):
            stamp = "" if record.timestamp_us is None else f" at {record.timestamp_us}"
            lines.append(f"{record.offset:3} publication{stamp} {json.dumps(record.document)}")
        elif isinstance(record, Tick):
            lines.append(f"{record.offset:3} tick {_after(record.time_us, start)}")
        elif not isinstance(record, EventRecord):
            lines.append(f"{record.offset:3} {record}")
        else:
            lines.append(f"{record.offset:3} {_event(record, start)}")
            start = start if start is not None else _time(record)
    return "\n".join(lines)


def _time(record: EventRecord) -> int | None:
    try:
        return instant(json.loads(record.raw)["time"])
    except (ValueError, KeyError, TypeError):
        return None


def _after(time: int, start: int | None) -> str:
    return str(time) if start is None else f"+{(time - start) / SECOND / 60:.9g}m"


def _event(record: EventRecord, start: int | None) -> str:
    time = _time(record)
    if time is None:
        return f"event {record.raw!r}"
    body = json.loads(record.raw)
    data = dict(body.get("data") or {})
    data.pop("provider", None)
    stamp = "" if record.timestamp_us is None else f" stamp {_after(record.timestamp_us, start)}"
    when = body["time"] if start is None else _after(time, start)
    return f"{body.get('subject')} {body.get('type')} {when}{stamp} {body.get('id')} {json.dumps(data)}"
