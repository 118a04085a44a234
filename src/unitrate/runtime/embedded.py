"""The embedded runtime: events from files into a store, through the same engine that the worker runs.

Owns what `unitrate run`, `publish`, `tick` and `rejected retry` do to an embedded log, and what they tell.
Killed at any moment, the next call goes on from the last marker and writes the same rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unitrate.errors import InputError
from unitrate.runtime import files
from unitrate.runtime.ranges import Reading
from unitrate.runtime.reading_ahead import read_ahead
from unitrate.runtime.session import Session
from unitrate.store import queries

if TYPE_CHECKING:
    from unitrate.catalog.source import Version
    from unitrate.runtime.files import Input
    from unitrate.store import Store
    from unitrate.store.queries import Totals


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `total_bytes` is None where standard input has no known end."""

    events: int
    read_bytes: int
    total_bytes: int | None
    seconds: float
    note: str = ""  # what it is doing while it reads no events


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, and what the store holds after it."""

    events: int  # records that it read
    accepted: int
    duplicates: int
    rejected: int  # malformed, too old, no unit
    late: int  # kept as unit_final: their cost counts
    seconds: float
    published: tuple[str, ...]  # catalog versions
    waiting: tuple[str, ...]  # unfinished last lines, as runs.jsonl:8114
    totals: Totals

    @property
    def events_per_second(self) -> float:
        """Events by the whole run's seconds."""
        return self.events / self.seconds if self.seconds else 0.0


def run(
    store: Store,
    versions: Sequence[Version],
    event_paths: Sequence[str],
    progress: Callable[[Progress], None] = lambda _: None,
) -> Summary:
    """Publish what is new of a catalog, then read what is new of the events. Again: no change."""
    started = time.monotonic()
    given = files.find(event_paths)

    def report(note: str = "", read_bytes: int = 0, total_bytes: int | None = 0, events: int = 0) -> None:
        progress(Progress(events, read_bytes, total_bytes, time.monotonic() - started, note))

    with Session.opened(store, report) as session:
        inputs = files.match(given, session.known)
        before = dict(session.engine.counts)
        session.finish(inputs)
        published = session.publish(versions)
        if inputs and not session.has_catalog:
            raise InputError(f"the store {store.label} has no catalog yet: give one with --catalog")
        reading = Reading(inputs)
        total = _total_bytes(inputs)
        ranges = reading.ranges()
        if total is not None:  # who reads a pipe cannot be stopped
            ranges = read_ahead(ranges)
        with closing(ranges):
            for part in ranges:
                session.read(part)
                report("", reading.read_bytes(), total, session.events)
        counts = {name: count - before[name] for name, count in session.engine.counts.items()}
    if reading.broken():
        raise InputError(f"{reading.broken()[0]}; what came before that is in the store. Give the whole file")
    return Summary(
        events=session.events,
        accepted=counts["accepted"],
        duplicates=counts["duplicates"],
        rejected=counts["rejected"],
        late=counts["unit_final"],
        seconds=time.monotonic() - started,
        published=tuple(published),
        waiting=tuple(reading.waiting()),
        totals=queries.totals(store),
    )


def _total_bytes(inputs: Sequence[Input]) -> int | None:
    if any(part.path is None for part in inputs):
        return None
    return sum(part.left_bytes() for part in inputs)


def publish(store: Store, versions: Sequence[Version], *, dry_run: bool = False) -> list[str]:
    """Append the catalog versions that the log does not have; their names. Raises CatalogError."""
    with Session.opened(store) as session:
        session.finish([])
        return session.publish(versions, dry_run=dry_run)


def tick(store: Store, until_us: int) -> bool:
    """Move the log's time on; False where it is there already."""
    with Session.opened(store) as session:
        session.finish([])
        return session.tick(until_us)


def retry(store: Store, reason: str | None = None, *, dry_run: bool = False) -> int:
    """Append rejected events as new records; how many. Late ones (`unit_final`) are not to be retried."""
    with Session.opened(store) as session:
        session.finish([])
        return session.retry(reason, dry_run=dry_run)
