"""The production engine, run over the same records, and its rows read back by column name.

Owns how a history is cut into batches, checkpoints and restarts, and what a store would hold of it. Never
looks into the engine: only its API and `rows.py`'s column order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tests.reference.incoming import USAGE
from tests.reference.rater import EventRecord, Publication, Record, Tick
from unitrate import rows
from unitrate.catalog.book import snapshot
from unitrate.catalog.publication import canonical_json, publication
from unitrate.catalog.source import from_data
from unitrate.engine import Batch, Engine

Row = dict[str, Any]
Cut = Callable[[int], bool]  # by offset of the record before: cut here?


def never(_: int) -> bool:
    """No cut."""
    return False


def publication_of(document: Mapping[str, Any]) -> bytes:
    """A document's publication, by way of the real loader and its checks."""
    return _publication(json.dumps(document))


@lru_cache(maxsize=64)
def _publication(text: str) -> bytes:
    return publication(from_data(json.loads(text))).replace(*_books())


@lru_cache(maxsize=1)
def _books() -> tuple[bytes, bytes]:
    """The book's text in a publication, and that of an empty book: own prices are all that is compared."""
    book = snapshot()
    empty = {key: [] if isinstance(value, list) else value for key, value in book.items()}
    return b'"book":' + canonical_json(book), b'"book":' + canonical_json(empty)


@dataclass
class Store:
    """What a store would hold: rows of every table, and the live state."""

    units: dict[str, Row] = field(default_factory=dict)  # last row of a unit
    unit_rows: list[tuple[Any, ...]] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    cost_lines: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    duplicates: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    state: dict[tuple[str, bytes], rows.StateRow] = field(default_factory=dict)
    publications: list[tuple[int, bytes]] = field(default_factory=list)
    marker: rows.Checkpoint | None = None
    largest_state: int = 0

    def write(self, checkpoint: rows.Checkpoint) -> None:
        """Take in a checkpoint's rows and state."""
        out = checkpoint.output
        self.unit_rows += out.units
        for row in _named(rows.UNITS, out.units):
            former = self.units.get(row["unit_id"])
            if former is None or former["version"] <= row["version"]:
                self.units[row["unit_id"]] = row
        self.lines += _named(rows.LINES, out.lines)
        self.cost_lines += _named(rows.COST_LINES, out.cost_lines)
        self.rejected += _named(rows.REJECTED, out.rejected)
        self.duplicates += _named(rows.DUPLICATES, out.duplicates)
        self.events += _events(out.events)
        if self.marker is not None and self.marker.generation != checkpoint.generation:
            self.state.clear()
        for fact in checkpoint.state:
            self.state.pop((fact.kind, fact.entity), None)
            if fact.body:
                self.state[fact.kind, fact.entity] = fact
        self.largest_state = max(self.largest_state, len(self.state))
        self.marker = checkpoint


def _named(columns: Iterable[rows.Column], found: Iterable[tuple[Any, ...]]) -> list[Row]:
    names = [c.name for c in columns]
    return [dict(zip(names, row, strict=True)) for row in found]


def _events(columns: rows.EventColumns) -> list[Row]:
    found: list[Row] = [{} for _ in range(columns.count)]
    for name, values in columns.columns.items():
        texts = {code: text for text, code in columns.codes[name].items()} if name in columns.codes else None
        plain = values.tolist() if hasattr(values, "tolist") else list(values)
        for row, value in zip(found, plain, strict=True):
            row[name] = value if texts is None else texts[value]
    return found


@dataclass
class Run:
    """An engine that folds a history, with cuts between batches, checkpoints and restarts."""

    kafka: bool
    cut: Cut = never
    checkpoint: Cut = never
    restart: Cut = never
    generation_records: int = 100_000
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        self.engine = Engine(0, self.generation_records)

    def all(self, records: Iterable[Record]) -> Store:
        """Fold all records and checkpoint at the end."""
        waiting: list[EventRecord] = []
        for record in records:
            if isinstance(record, EventRecord):
                if waiting and waiting[0].entered_us != record.entered_us:
                    self._fold(waiting)
                    waiting = []
                waiting.append(record)
            else:
                self._fold(waiting)
                waiting = []
                self._control(record)
            offset = record.offset
            if self.cut(offset) or self.checkpoint(offset) or self.restart(offset):
                self._fold(waiting)
                waiting = []
            if self.checkpoint(offset) or self.restart(offset) or self.engine.due_generation:
                self._save()
            if self.restart(offset):
                self.engine = self._restored()
        self._fold(waiting)
        self._save()
        return self.store

    def _save(self) -> None:
        self.store.write(self.engine.checkpoint())

    def _control(self, record: Publication | Tick) -> None:
        if isinstance(record, Tick):
            self.engine.tick(record.offset, record.time_us)
        else:
            data = publication_of(record.document)
            self.engine.publish(record.offset, data, record.timestamp_us)
            self.store.publications.append((record.offset, data))

    def _fold(self, records: list[EventRecord]) -> None:
        while records:
            times = [r.timestamp_us or 0 for r in records] if self.kafka else None
            raws, offsets = [r.raw for r in records], [r.offset for r in records]
            batch = Batch(raws, offsets, records[0].entered_us, times, _places(offsets))
            records = records[self.engine.fold(batch) :]
            if self.engine.due_generation:
                self._save()

    def _restored(self) -> Engine:
        """A new engine from what the store holds."""
        store, marker = self.store, self.store.marker
        assert marker is not None
        columns = [[e[n] for e in store.events] for n in ("account", "source", "id", "time")]
        finals = [
            (u["account"], u["meter"], u["key"], u["ordinal"], u["ended"], u["runs"])
            for u in store.units.values()
            if u["state"] == "final" and u["ordinal"] > 0
        ]
        engine = Engine.restore(
            0,
            json.loads(json.dumps(marker.meta)),
            list(store.state.values()),
            store.publications,
            [(columns[0], columns[1], columns[2], columns[3])],
            finals,
            generation_records=self.generation_records,
        )
        assert engine.digests() == marker.digests
        return engine


def _places(offsets: list[int]) -> Callable[[int], str]:
    return lambda index: f"test:{offsets[index]}"


def usage_of(row: Row) -> dict[str, int]:
    """Usage counts of a row."""
    return {name: row[name] for name in USAGE}
