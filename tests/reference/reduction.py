"""Makes a failing log small: leaves out records, parts of catalogs and parts of events while it still fails.

Owns the reduction only. Deterministic; a few hundred runs of the check at most a step.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from tests.reference.month_records import MonthHistory, Rerate
from tests.reference.rater import EventRecord, Publication
from tests.reference.strategies import History

H = TypeVar("H", History, MonthHistory)
Steps = tuple[str | int, ...]


def reduced(history: H, fails: Callable[[H], bool]) -> H:
    """A smaller history for which `fails` still holds."""
    while True:
        smaller = _without_parts(_without_records(history, fails), fails)
        if smaller == history:
            return history
        history = smaller


def _without_records(history: H, fails: Callable[[H], bool]) -> H:
    records = list(history.records)
    for size in (64, 32, 16, 8, 4, 2, 1):
        at = 1  # the first catalog stays
        while at < len(records):
            fewer = records[:at] + records[at + size :]
            if fails(replace(history, records=tuple(fewer))):
                records = fewer
            else:
                at += size
    return replace(history, records=tuple(records))


def _without_parts(history: H, fails: Callable[[H], bool]) -> H:
    """Leave out what catalogs (the same part in all of them) and events can do without."""
    steps = {s for r in history.records if isinstance(r, Publication) for s in _paths(r.document)}
    for path in sorted(steps, key=lambda s: (len(s), str(s))):
        smaller = replace(history, records=tuple(_catalog_without(r, path) for r in history.records))
        if smaller != history and fails(smaller):
            history = smaller
    for i, record in enumerate(history.records):
        if not isinstance(record, EventRecord):
            continue
        for path in list(_event_paths(record)):
            records: list[Any] = list(history.records)
            body = _without(json.loads(records[i].raw), path)
            records[i] = replace(records[i], raw=json.dumps(body, separators=(",", ":")).encode())
            smaller = replace(history, records=tuple(records))
            if smaller != history and fails(smaller):
                history = smaller
    return history


def _paths(value: Any, path: Steps = ()) -> Iterator[Steps]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def _event_paths(record: EventRecord) -> Iterator[Steps]:
    try:
        body = json.loads(record.raw)
    except ValueError:
        return
    if isinstance(body, dict):
        yield from (p for p in _paths(body) if p[0] == "data" and len(p) > 1)


def _catalog_without(record: Any, path: Steps) -> Any:
    if not isinstance(record, (Publication, Rerate)):
        return record
    return replace(record, document=_without(copy.deepcopy(dict(record.document)), path))


def _without(value: Any, path: Steps) -> Any:
    place = value
    try:
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
    except (KeyError, IndexError, TypeError):
        pass
    return value
