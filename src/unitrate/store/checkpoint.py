"""The checkpoint, and what recovery reads: the store's half of the protocol.

Owns the order rows → state → marker → collection, and the reading of one consistent checkpoint. A marker is
written only after every row and fact that it vouches for was acknowledged. Must never delete anything but
generations older than the previous one, and never read a fact or an identity past the marker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unitrate import rows
from unitrate.errors import StoreError
from unitrate.state import entity_hash

if TYPE_CHECKING:
    import pyarrow as pa

    from unitrate.store.client import Store

IDENTITY_CHUNK = 500_000
_LOAD_TRIES = 5
_DAY_US = 86_400_000_000
Identities = tuple[list[str], list[str], list[str], list[int]]
Final = tuple[str, str, str, int, int, str]


def write(store: Store, checkpoint: rows.Checkpoint) -> None:
    """Write one checkpoint. Again with the same value changes nothing, however far it got before."""
    write_rows(store, checkpoint)  # 1
    write_state(store, checkpoint)  # 2
    write_marker(store, checkpoint)  # 3: everything above is durable
    collect(store, checkpoint)  # 4: the marker is durable


def write_together(store: Store, *checkpoints: rows.Checkpoint) -> None:
    """Write checkpoints of several partitions with one insert a table: same steps, same guarantees."""
    write_rows(store, *checkpoints)
    write_state(store, *checkpoints)
    write_marker(store, *checkpoints)


def write_rows(store: Store, *checkpoints: rows.Checkpoint) -> None:
    """Insert the ledgers' rows; returns when all are durable."""
    from unitrate.store import columns

    events = [(c.output.events, c.partition) for c in checkpoints if c.output.events.count]
    if events:
        store.insert("events", _joined([columns.from_events(*one) for one in events]))
    for name, kinds in (
        ("units", rows.UNITS),
        ("lines", rows.LINES),
        ("cost_lines", rows.COST_LINES),
        ("rejected_events", rows.REJECTED),
        ("duplicates", rows.DUPLICATES),
        ("closings", rows.CLOSINGS),
        ("grants", rows.GRANTS),
        ("corrections", rows.CORRECTIONS),
        ("rerates", rows.RERATES),
        ("rerated_months", rows.RERATED_MONTHS),
    ):
        field = "rejected" if name == "rejected_events" else name
        tuples = [row for checkpoint in checkpoints for row in getattr(checkpoint.output, field)]
        if tuples:
            store.insert(name, columns.from_rows(kinds, tuples))


def write_state(store: Store, *checkpoints: rows.Checkpoint) -> None:
    """Insert the facts: those touched, or all when a generation starts."""
    from unitrate.store import columns

    tables = [columns.from_state(c.state, c.partition, c.generation) for c in checkpoints if c.state]
    if tables:
        store.insert("state", _joined(tables))


def write_marker(store: Store, *checkpoints: rows.Checkpoint) -> None:
    """Insert the marker, the only truth about how far the store is."""
    import pyarrow as pa

    marker = {
        "partition": pa.array([c.partition for c in checkpoints], pa.uint32()),
        "generation": pa.array([c.generation for c in checkpoints], pa.int64()),
        "last_offset": pa.array([c.last_offset for c in checkpoints], pa.int64()),
        "meta": pa.array([_json(c.meta) for c in checkpoints]),
        "digests": pa.array([_json(c.digests) for c in checkpoints]),
    }
    store.insert("checkpoints", pa.table(marker))


def _joined(tables: list[pa.Table]) -> pa.Table:
    """One table of several; dictionaries are made one, as a stream may not change them."""
    import pyarrow as pa

    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).unify_dictionaries()


def collect(store: Store, checkpoint: rows.Checkpoint) -> None:
    """Drop state of generations older than the previous one of this partition."""
    found = store.query(
        "SELECT DISTINCT generation FROM state "
        "WHERE partition = {partition:UInt32} AND generation < {own:Int64} ORDER BY generation DESC",
        {"partition": checkpoint.partition, "own": checkpoint.generation},
    )
    for (generation,) in found.rows[1:]:
        store.command(
            f"ALTER TABLE `{store.database}`.state DROP PARTITION ({checkpoint.partition:d}, {generation:d})"
        )


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Marker:
    """A checkpoint's marker as it was read."""

    partition: int
    generation: int
    last_offset: int
    meta: dict[str, Any]
    digests: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recovered:
    """One consistent checkpoint: the marker, and the live entities at it."""

    marker: Marker
    state: list[rows.StateRow]


def read_marker(store: Store, partition: int) -> Marker | None:
    """The marker with the highest offset, None before the first checkpoint."""
    found = store.query(
        "SELECT generation, last_offset, meta, digests FROM checkpoints WHERE partition = {partition:UInt32} "
        "ORDER BY last_offset DESC LIMIT 1",
        {"partition": partition},
    )
    if not found.rows:
        return None
    generation, last_offset, meta, digests = found.rows[0]
    return Marker(partition, generation, last_offset, json.loads(meta), json.loads(digests))


def recover(store: Store, partition: int) -> Recovered | None:
    """Marker and state, checked against the marker's digest.

    A difference means that a neighbour collected between the two reads, or that a replica lags: read again.
    """
    pause_s = 0.1
    marker = read_marker(store, partition)
    for _ in range(_LOAD_TRIES):
        if marker is None:
            return None
        state = read_state(store, marker)
        if all(marker.digests[name] == value for name, value in digest(state).items()):
            return Recovered(marker, state)
        time.sleep(pause_s)
        pause_s *= 2
        marker = read_marker(store, partition)
    raise StoreError(
        f"the state of partition {partition} in {store.label} does not match its last checkpoint: "
        "restore the store from a backup, or rebuild it from the log"
    )


def read_state(store: Store, marker: Marker) -> list[rows.StateRow]:
    """The live entities after the marker's offset, newest fact each, ended ones left out."""
    table = store.query_arrow(
        "SELECT kind, entity, version, body FROM ("
        " SELECT kind, entity, version, body FROM state"
        " WHERE partition = {partition:UInt32} AND generation = {generation:Int64}"
        " AND version <= {last:Int64}"
        " ORDER BY kind, entity, version DESC LIMIT 1 BY kind, entity"
        ") WHERE body != ''",
        {"partition": marker.partition, "generation": marker.generation, "last": marker.last_offset},
    )
    kinds = [kind.decode() for kind in table.column("kind").to_pylist()]
    columns = (table.column(name).to_pylist() for name in ("entity", "version", "body"))
    return [rows.StateRow(*row) for row in zip(kinds, *columns, strict=True)]


def digest(state: list[rows.StateRow]) -> dict[str, int]:
    """Count and sum of hashes of live entities, as the engine keeps them."""
    return {"entities": len(state), "sum": sum(entity_hash(*row) for row in state) % (1 << 64)}


# What each account still remembers: an event lies inside its horizon, or at most a day before.
_HORIZON = (
    "(SELECT account, max(time) - toIntervalSecond({horizon:Int64}) AS since FROM events"
    " WHERE partition = {partition:UInt32} AND offset <= {last:Int64} GROUP BY account) AS horizons"
)


def read_identities(store: Store, marker: Marker, horizon_us: int) -> Iterator[Identities]:
    """Identities (accounts, sources, ids, times in µs) of events accepted up to the marker, in chunks.

    Only those that an account still remembers (and a few more: the engine decides exactly).
    """
    parameters = _parameters(marker, horizon_us)
    months = store.query(
        "SELECT toYYYYMM(time) AS month, min(offset), max(offset), count(), "
        f"min(time) >= (SELECT max(since) FROM {_HORIZON}) FROM events "
        "WHERE partition = {partition:UInt32} AND offset <= {last:Int64} AND time >= "
        f"(SELECT min(since) FROM {_HORIZON}) GROUP BY month ORDER BY month",
        parameters,
    )
    for month, low, high, count, is_inside in months.rows:
        step = max((high - low + 1) * IDENTITY_CHUNK // count, 1)
        for start in range(low, high + 1, step):
            end = min(start + step - 1, high)
            span = parameters | {"month": month, "start": start, "end": end}
            yield from _identities(store, span, is_inside)


def _identities(store: Store, span: dict[str, int], is_inside: bool) -> Iterator[Identities]:
    """Those of one month in a span of offsets. A row that is there twice is harmless: the set is the same.

    `is_inside`: all of the month lies inside every account's horizon.
    """
    table = store.query_arrow(
        "SELECT account, source, id, toUnixTimestamp64Micro(time) AS time_us FROM events "
        + ("" if is_inside else f"INNER JOIN {_HORIZON} USING (account) ")
        + "WHERE partition = {partition:UInt32} AND toYYYYMM(time) = {month:UInt32} "
        "AND offset BETWEEN {start:Int64} AND {end:Int64}" + ("" if is_inside else " AND time >= since"),
        span,
    )
    if table.num_rows:
        accounts, sources = (_few_texts(table.column(name)) for name in ("account", "source"))
        yield accounts, sources, _texts(table.column("id")), table.column("time_us").to_pylist()


def read_finals(store: Store, marker: Marker, horizon_us: int) -> Iterator[Final]:
    """Final units up to the marker: account, meter, key, ordinal, ended in µs, runs (JSON).

    Without FINAL: what was final at the marker is so, whatever a dead process wrote past the marker.
    """
    table = store.query_arrow(
        "SELECT account, meter, key, ordinal, toUnixTimestamp64Micro(assumeNotNull(ended)) AS ended_us, runs "
        f"FROM units INNER JOIN {_HORIZON} USING (account) WHERE partition = {{partition:UInt32}} "
        "AND state = 'final' AND ordinal > 0 AND version <= {last:Int64} AND ended >= since "
        "ORDER BY ended_us, account, meter, key, version LIMIT 1 BY account, unit_id",
        _parameters(marker, horizon_us),
    )
    accounts, meters, keys, runs = (_texts(table.column(n)) for n in ("account", "meter", "key", "runs"))
    ordinals, ends = (table.column(name).to_pylist() for name in ("ordinal", "ended_us"))
    yield from zip(accounts, meters, keys, ordinals, ends, runs, strict=True)


def _parameters(marker: Marker, horizon_us: int) -> dict[str, int]:
    seconds = (horizon_us + _DAY_US) // 1_000_000 + 1
    return {"partition": marker.partition, "last": marker.last_offset, "horizon": seconds}


def _few_texts(column: pa.ChunkedArray) -> list[str]:
    """A column of few distinct texts, each made once."""
    coded = column.dictionary_encode().combine_chunks()
    texts = [text.decode() for text in coded.dictionary.to_pylist()]
    return [texts[code] for code in coded.indices.to_pylist()]


def _texts(column: pa.ChunkedArray) -> list[str]:
    import pyarrow as pa

    values: list[str] = column.cast(pa.string()).to_pylist()
    return values
