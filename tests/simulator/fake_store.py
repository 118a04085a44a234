"""A store as the protocol may assume it, and no better: what production code talks to in a simulation.

An insert is a flight of pieces. Pieces land in any order, late, twice or never; the answer may be lost; a
flight outlives its sender. Rows replace by highest version, merged when the adversary likes; `final` is what
FINAL reads. Queries are known by their text, so a query that changes must be taught here.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from unitrate import rows
from unitrate.rows import EventColumns, StateRow

Row = dict[str, Any]
Key = tuple[Any, ...]
DAY_US = 86_400_000_000
# Table -> its sorting key, and what of two rows stays.
KEYS: dict[str, tuple[tuple[str, ...], Callable[[Row], int]]] = {
    "events": (("account", "source", "id"), lambda row: -row["offset"]),
    "units": (("account", "opened_month", "unit_id"), lambda row: row["version"]),
    "lines": (
        ("account", "bill_month", "unit_id", "charge", "price_value", "revision"),
        lambda row: row["version"],
    ),
    "cost_lines": (("account", "bill_month", "unit_id", "revision", "side"), lambda row: row["version"]),
    "rejected_events": (("partition", "offset"), lambda row: row["version"]),
    "duplicates": (("partition", "offset"), lambda row: row["version"]),
    "rerates": (("partition", "number"), lambda row: row["version"]),
    "rerated_months": (
        ("account", "bill_month", "usage_month", "plan", "plan_version", "number"),
        lambda row: row["version"],
    ),
    "state": (("partition", "generation", "kind", "entity", "version"), lambda row: 0),
    "checkpoints": (("partition", "generation"), lambda row: row["last_offset"]),
    "catalogs": (("partition", "published_offset"), lambda row: 0),
}
LEDGERS = (
    "events", "units", "lines", "cost_lines", "rejected_events", "duplicates", "rerates", "rerated_months",
)  # fmt: skip


class Block(NamedTuple):
    """Columns on their way, as rows: what the encoders give while a simulation runs."""

    rows: list[Row]


def rows_block(columns: Sequence[rows.Column], tuples: Sequence[tuple[Any, ...]]) -> Block:
    names = [column.name for column in columns]
    return Block([dict(zip(names, values, strict=True)) for values in tuples])


def events_block(events: EventColumns, partition: int) -> Block:
    found: list[Row] = [{"partition": partition} for _ in range(events.count)]
    for name, values in events.columns.items():
        texts = {code: text for text, code in events.codes[name].items()} if name in events.codes else None
        for row, value in zip(found, list(values), strict=True):
            row[name] = value if texts is None else texts[value]
    return Block(found)


def state_block(state: Sequence[StateRow], partition: int, generation: int) -> Block:
    return Block([{"partition": partition, "generation": generation, **row._asdict()} for row in state])


class Flight:
    """An insert, or a collection, under way."""

    __slots__ = ("acknowledged", "failed", "left", "pieces")

    def __init__(self, pieces: list[Callable[[], None]]) -> None:
        self.pieces = pieces
        self.left = set(range(len(pieces)))
        self.acknowledged = self.failed = False


class Tables:
    """The rows themselves."""

    def __init__(self, source: random.Random, state_key: tuple[str, ...] = KEYS["state"][0]) -> None:
        self._random = source
        self._keys = {**KEYS, "state": (state_key, KEYS["state"][1])}
        # The last written of equals comes last, as in ClickHouse.
        self.parts: dict[str, dict[Key, list[Row]]] = {name: {} for name in KEYS}

    def apply(self, table: str, some: Iterable[Row]) -> None:
        names = self._keys[table][0]
        for row in some:
            self.parts[table].setdefault(tuple(row[name] for name in names), []).append(row)

    def drop_state(self, partition: int, generation: int) -> None:
        state = self.parts["state"]
        for key, found in list(state.items()):
            if (found[0]["partition"], found[0]["generation"]) == (partition, generation):
                del state[key]

    def merge(self) -> None:
        for table, held in self.parts.items():
            for key, found in held.items():
                if len(found) > 1 and self._random.random() < 0.5:
                    held[key] = [self._winner(table, found)]

    def _winner(self, table: str, found: list[Row]) -> Row:
        version = self._keys[table][1]
        best = found[0]
        for row in found:
            if version(row) >= version(best):
                best = row
        return best

    def final(self, table: str) -> dict[Key, Row]:
        return {key: self._winner(table, found) for key, found in self.parts[table].items()}

    def every(self, table: str) -> Iterable[Row]:
        for found in self.parts[table].values():
            yield from found

    def pieces_of(self, table: str, data: Block | pa.Table) -> list[Callable[[], None]]:
        """Halves that land on their own. ClickHouse keeps a partition together; this is harsher."""
        found = data.rows if isinstance(data, Block) else data.to_pylist()
        halves: defaultdict[bool, list[Row]] = defaultdict(list)
        for row in found:
            halves[self._random.random() < 0.5].append(row)
        return [lambda part=part: self.apply(table, part) for part in halves.values()]  # type: ignore[misc]


class Questions:
    """The production queries, answered from the rows."""

    def __init__(self, tables: Tables, *, past_marker: bool = False, newest: bool = False) -> None:
        self._tables = tables
        self._past_marker, self._newest = past_marker, newest  # mutants: see `mutants`

    def query(self, sql: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        if "last_offset, meta, digests FROM checkpoints" in sql:
            return self._marker(given["partition"])
        if "DISTINCT generation FROM state" in sql:
            own = given["own"]
            state = self._tables.every("state")
            found = {row["generation"] for row in state if row["partition"] == given["partition"]}
            return [(generation,) for generation in sorted(found, reverse=True) if generation < own]
        if "AS month, min(offset)" in sql:
            offsets = [row["offset"] for row in self._events(given)]
            return [(0, min(offsets), max(offsets), len(offsets), True)] if offsets else []
        raise AssertionError(f"the simulator does not know this query: {sql}")

    def query_arrow(self, sql: str, given: dict[str, Any]) -> pa.Table:
        if "FROM state" in sql:
            return _table(self._state(given), kind="text", entity="bytes", version="int", body="bytes")
        if "FROM catalogs" in sql:
            found = [row for row in self._catalogs(given) if row["published_offset"] <= given["last"]]
            return _table(found, published_offset="int", id="text", publication="bytes")
        if "FROM rerates" in sql:
            mine = [row for row in self._tables.final("rerates").values() if row["version"] <= given["last"]]
            mine = [row for row in mine if row["partition"] == given["partition"]]
            return _table(sorted(mine, key=lambda row: row["version"]), version="int", body="bytes")
        if "id, toUnixTimestamp64Micro" in sql:
            found = [row for row in self._events(given) if given["start"] <= row["offset"] <= given["end"]]
            found = [{**row, "time_us": row["time"]} for row in found]
            return _table(found, account="text", source="text", id="text", time_us="int")
        if "state = 'final'" in sql:
            texts = {"account": "text", "meter": "text", "key": "text", "runs": "text"}
            return _table(self._finals(given), **texts, ordinal="int", ended_us="int")
        raise AssertionError(f"the simulator does not know this query: {sql}")

    def _marker(self, partition: int) -> list[tuple[Any, ...]]:
        found = [row for row in self._tables.every("checkpoints") if row["partition"] == partition]
        if not found:
            return []
        best = max(found, key=lambda row: row["last_offset"])
        return [(best["generation"], best["last_offset"], best["meta"], best["digests"])]

    def _state(self, given: dict[str, Any]) -> list[Row]:
        newest: dict[Key, Row] = {}
        for row in self._tables.every("state"):
            if (row["partition"], row["generation"]) != (given["partition"], given["generation"]):
                continue
            which = (row["kind"], row["entity"])
            if row["version"] <= given["last"] or self._newest:
                if which not in newest or row["version"] >= newest[which]["version"]:
                    newest[which] = row
        return [row for row in newest.values() if row["body"]]

    def _catalogs(self, given: dict[str, Any]) -> list[Row]:
        found = self._tables.final("catalogs").values()
        mine = [row for row in found if row["partition"] == given["partition"]]
        return sorted(mine, key=lambda row: row["published_offset"])

    def _events(self, given: dict[str, Any]) -> list[Row]:
        return [
            row
            for row in self._tables.every("events")
            if row["partition"] == given["partition"]
            and (row["offset"] <= given["last"] or self._past_marker)
        ]

    def _finals(self, given: dict[str, Any]) -> list[Row]:
        found: dict[Key, Row] = {}
        final = [row for row in self._tables.every("units") if row["state"] == "final" and row["ordinal"] > 0]
        for row in sorted(final, key=lambda row: (row["ended"], row["account"], row["meter"], row["key"])):
            if row["partition"] == given["partition"] and row["version"] <= given["last"]:
                found.setdefault((row["account"], row["unit_id"]), {**row, "ended_us": row["ended"]})
        return list(found.values())


def _table(found: list[Row], **kinds: str) -> pa.Table:
    """Arrow as the production client gives it: text as bytes."""
    columns = {}
    for name, kind in kinds.items():
        values = [row[name] for row in found]
        if kind == "int":
            columns[name] = pa.array(values, pa.int64())
        else:
            encoded = [value.encode() if isinstance(value, str) else value for value in values]
            columns[name] = pa.array(encoded, pa.binary())
    return pa.table(columns)
