"""A seeded log: gaps, duplicates, garbage, ticks, clocks that jump, catalogs, accounts away from home."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from typing import Any, NamedTuple, cast

from tests.kafka.traffic import CATALOG, Traffic
from tests.reference.engine_view import publication_of
from unitrate.catalog.repricing import Period, corrected_catalogs, record, repriced
from unitrate.catalog.source import from_data
from unitrate.placement import partition_of
from unitrate.runtime.log_records import (
    CATALOG as CATALOG_KIND,
)
from unitrate.runtime.log_records import (
    ENGINE,
    GENESIS,
    RERATE,
    Record,
    control_headers,
    engine_body,
    genesis_body,
    tick_headers,
)
from unitrate.runtime.partition import as_record

PARTITIONS = 2
NEXT_RULES = 2  # version of the fold's rules that a record in the log switches to
START_MS = 1_790_000_000_000


class LogRecord(NamedTuple):
    """As a Kafka client gives it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class FakeLog:
    """`partition.LogView` over fixed records."""

    partitions = PARTITIONS

    def __init__(self, seed: int) -> None:
        self.records: list[list[LogRecord]] = _records(random.Random(seed))

    def bounds(self, partition: int) -> tuple[int, int]:
        records = self.records[partition]
        return records[0].offset, records[-1].offset + 1

    def first_at(self, partition: int, offset: int) -> Record | None:
        return next((as_record(cast("Any", r)) for r in self.records[partition] if r.offset >= offset), None)

    def fetch(self, partition: int, position: int, limit: int) -> list[Any]:
        return [record for record in self.records[partition] if record.offset >= position][:limit]


DOCUMENTS: dict[str, dict[str, Any]] = {
    "first": {**CATALOG, "dedupe": "2d"},
    "second": {**CATALOG, "dedupe": "2d", "catalog": "second", "effective": "2026-09-22T00:00:00Z"},
}
DOCUMENTS["corrected"] = json.loads(json.dumps(DOCUMENTS["first"]).replace('"0.40"', '"0.25"'))


@lru_cache(maxsize=1)
def _rerate() -> bytes:
    """The record that corrects prices of the first catalog, which are those of the second too."""
    (first,) = corrected_catalogs([_publication("first")], ())
    plans = repriced(from_data(DOCUMENTS["corrected"]), first)
    return json.dumps(record(1, "first", plans, Period(), "mia", "a slip")).encode()


@lru_cache(maxsize=4)
def _publication(name: str) -> bytes:
    return publication_of(DOCUMENTS[name])


class _Writer:
    """Appends to one partition, with gaps."""

    def __init__(self, source: random.Random) -> None:
        self.records: list[LogRecord] = []
        self._random, self._offset, self._now_ms = source, -1, START_MS

    def now_us(self) -> int:
        return self._now_ms * 1000

    def add(self, value: bytes, headers: list[tuple[str, bytes]] | None = None) -> None:
        # Offset 0 is the genesis; after that transactions leave gaps.
        self._offset += 1 if not self.records else self._random.choice((1, 1, 1, 2, 4))
        self._now_ms += self._random.choice((0, 1, 200, 1500, 5000))
        if self._random.random() < 0.02:
            self._now_ms += self._random.choice((2 * 3_600_000, 3 * 86_400_000))
        back_ms = self._random.choice((0, 0, 0, 700))
        record = LogRecord(self._offset, self._now_ms - back_ms, None, value, tuple(headers or ()))
        self.records.append(record)


def _records(source: random.Random) -> list[list[LogRecord]]:
    writers = [_Writer(random.Random(source.random())) for _ in range(PARTITIONS)]
    traffic = Traffic(source.randrange(1 << 30), writers[0].now_us)
    for number, writer in enumerate(writers):
        writer.add(genesis_body("sim", PARTITIONS), control_headers(GENESIS, "sim"))
        if source.random() < 0.2:
            writer.add(b'{"subject": "account-1"}')  # before any catalog
        writer.add(_publication("first"), control_headers(CATALOG_KIND, "catalog:first"))
        second, upgrade = source.randrange(20, 60), source.randrange(90)
        for at in range(source.randrange(40, 90)):
            _one(writer, number, source, traffic)
            if at == second:
                writer.add(_publication("second"), control_headers(CATALOG_KIND, "catalog:second"))
            if at == second // 2:
                writer.add(_rerate(), control_headers(RERATE, "rerate:1"))
                writer.add(_rerate(), control_headers(RERATE, "rerate:2"))  # its number is taken
            if at == upgrade:
                writer.add(engine_body(NEXT_RULES), control_headers(ENGINE, f"engine:{NEXT_RULES}"))
    return [writer.records for writer in writers]


def _one(writer: _Writer, number: int, source: random.Random, traffic: Traffic) -> None:
    chance = source.random()
    if chance < 0.08:
        writer.add(b"", tick_headers())
    elif chance < 0.1:
        writer.add(b"garbage", control_headers(CATALOG_KIND, "catalog:garbage"))
    elif chance < 0.12:
        writer.add(traffic.line())  # wherever its home is
    else:
        writer.add(_at_home(traffic, number))


def _at_home(traffic: Traffic, number: int) -> bytes:
    while True:
        line = traffic.line()
        try:
            account = json.loads(line)["subject"]
        except ValueError:
            return line
        if partition_of(account, PARTITIONS) == number:
            return line
