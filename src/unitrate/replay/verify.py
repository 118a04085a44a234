"""`unitrate verify`: the log folded again from its first record, and every row compared with the store's.

Owns which rows are compared when: ledger rows and units that were let go as the replay passes their offsets,
units that live still at its end. Memory holds one stretch of rows. Writes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unitrate.billing.final import issue
from unitrate.billing.statement import hash_of
from unitrate.engine import Engine
from unitrate.errors import FinalConflict, InputError, InvariantError
from unitrate.figures import month_text
from unitrate.replay import differences, feed, log
from unitrate.replay.differences import LEDGERS, LET_GO, Difference, Found
from unitrate.rows import UNITS
from unitrate.store import checkpoint

if TYPE_CHECKING:
    import pyarrow as pa

    from unitrate.rows import EventColumns, Output
    from unitrate.store import Store
    from unitrate.store.checkpoint import Marker

INVOICES = """
SELECT period, number, account, hash, document FROM invoices FINAL
WHERE {period:UInt32} = 0 OR period = {period:UInt32} ORDER BY period, account
"""
MOVED = "SELECT DISTINCT unit_id FROM units WHERE partition = {partition:UInt32} AND version > {last:Int64}"
EVENTS = """
SELECT offset, unit_id, reason, cost FROM events
WHERE partition = {partition:UInt32} AND offset > {since:Int64} AND offset <= {upto:Int64}
ORDER BY offset LIMIT 1 BY offset
"""
STRETCH_ROWS = 100_000  # of a table that are compared at once
_COLUMN = {column.name: at for at, column in enumerate(UNITS)}
_COUNTS = ("accepted", "duplicates", "unit_final")


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer: equal, or where not."""

    records: int
    rows: dict[str, int]
    differing: dict[str, int]  # table -> rows that differ
    first: tuple[Difference, ...]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether everything is the same to the last digit."""
        return not self.differing


class Comparison:
    """Rows of a replay as they come, compared stretch by stretch."""

    def __init__(
        self, store: Store, partition: int, period: int | None, found: Found, upto: int = 1 << 62
    ) -> None:
        self.found = found
        self._last = upto  # rows past it are of records that are not replayed
        self._store = store
        self._partition = partition
        self._period = period
        self._rows: dict[str, list[tuple[Any, ...]]] = {ledger.table: [] for ledger in LEDGERS}
        self._events: list[pa.Table] = []
        self._upto = -1  # the offset up to which everything was compared
        superseded = store.query("SELECT unit_id, max(version) FROM corrections FINAL GROUP BY unit_id").rows
        self._corrected: dict[str, int] = dict(superseded)

    def take(self, output: Output, offset: int) -> None:
        """Rows that came with records up to the offset."""
        for name, rows in self._rows.items():
            rows += getattr(output, name)
        counts = [*map(len, self._rows.values()), sum(table.num_rows for table in self._events)]
        if max(counts) >= STRETCH_ROWS:
            self.compare(offset)

    def compare(self, offset: int) -> None:
        """Compare what came since the last time."""
        for ledger in LEDGERS:
            where = "version > {since:Int64} AND version <= {upto:Int64}"
            if ledger.table == "units":
                where += f" AND {LET_GO}"
            self._compare(ledger, self._rows[ledger.table], where, self._upto, offset)
            self._rows[ledger.table] = []
        if self._events:
            self._compare_events(self._upto, offset)
        self._upto = offset

    def _compare(
        self, ledger: differences.Ledger, given: list[tuple[Any, ...]], where: str, since: int, upto: int
    ) -> None:
        parameters = {"partition": self._partition, "since": since, "upto": upto, "period": self._period or 0}
        where += " AND partition = {partition:UInt32}"
        if ledger.table == "units":
            given = [row for row in given if row[_COLUMN["version"]] >= self._corrected.get(row[2], -1)]
        if self._period is not None and ledger.month:
            at = next(i for i, column in enumerate(ledger.columns) if column.name == ledger.month)
            given = [row for row in given if row[at] == self._period]
            where += f" AND {ledger.month} = {{period:UInt32}}"
        moved = self._moved if ledger.table == "units" and not self._store.is_folder else set
        differences.compare(self.found, self._store, ledger, given, where, parameters, moved)

    def _moved(self) -> set[str]:
        """Units that records past the last one have changed: a worker went on."""
        parameters = {"partition": self._partition, "last": self._last}
        return {unit_id for (unit_id,) in self._store.query(MOVED, parameters).rows}

    def take_events(self, events: EventColumns) -> None:
        """Events that came, to be compared with the ledger's of the same offsets."""
        self._events.append(differences.event_table(events))

    def _compare_events(self, since: int, upto: int) -> None:
        import pyarrow as pa

        parameters = {"partition": self._partition, "since": since, "upto": upto}
        stored = self._store.query_arrow(EVENTS, parameters)
        differences.compare_events(self.found, stored, pa.concat_tables(self._events))
        self._events = []

    def compare_live(self, engine: Engine) -> None:
        """Units that the engine holds at the end, in stretches of their versions."""
        rows = sorted(engine.live_rows(), key=lambda row: int(row[_COLUMN["version"]]))
        since, end = -1, engine.last_offset
        for start in range(0, max(len(rows), 1), STRETCH_ROWS):
            part = rows[start : start + STRETCH_ROWS]
            last = start + STRETCH_ROWS >= len(rows)
            upto = end if last else part[-1][_COLUMN["version"]]
            if not last:  # rows of one version stay together
                part = [row for row in rows if since < row[_COLUMN["version"]] <= upto]
            where = f"version > {{since:Int64}} AND version <= {{upto:Int64}} AND NOT ({LET_GO})"
            self._compare(LEDGERS[0], [r for r in part if r[_COLUMN["version"]] > since], where, since, upto)
            since = upto


def verify(
    store: Store, period: int | None = None, progress: Callable[[int, int], None] = lambda done, total: None
) -> Verified:
    """Replay an embedded store's log and compare; with a period, the rows of that month alone.

    Raises InputError where the last run has not finished.
    """
    started = time.monotonic()
    marker = checkpoint.read_marker(store, log.PARTITION)
    if marker is None:
        raise InputError(f"nothing was rated into {store.label} yet")
    log.check_finished(store, marker.last_offset)
    engine, comparison = feed.an_engine(), Comparison(store, log.PARTITION, period, Found())
    records = 0
    with feed.uncollected():
        for item in log.read(store, 0, marker.last_offset):
            records += feed.fold(engine, item)
            output = engine.drain()
            if isinstance(item, log.Block):
                ours = differences.event_table(output.events)
                differences.compare_events(comparison.found, item.accepted, ours)
            comparison.take(output, engine.last_offset)
            progress(engine.last_offset + 1, marker.last_offset + 1)
        comparison.compare(marker.last_offset)
        comparison.compare_live(engine)
    compare_counts(comparison.found, engine, marker)
    compare_invoices(comparison.found, store, period)
    found = comparison.found
    return Verified(records, found.rows, found.counts, tuple(found.first), time.monotonic() - started)


def compare_invoices(found: Found, store: Store, period: int | None) -> None:
    """Final invoices: each document has its hash, and would come out the same today."""
    rows = store.query(INVOICES, {"period": period or 0}).rows
    found.rows["invoices"] = len(rows)
    for month, number, account, hash_, document in rows:
        own = hash_of(json.loads(document))
        if own != hash_:
            name = f"{number} {account} {month_text(month)}"
            found.note([Difference("invoices", name, "document", hash_, own)])
    for month in sorted({row[0] for row in rows}):
        try:
            missing = issue(store, month, write=False)
        except (FinalConflict, InvariantError) as conflict:
            found.note([Difference("invoices", month_text(month), "", "as invoiced", str(conflict))])
            continue
        for one in missing:
            name = f"{one.content['number']} {one.invoice.account} {month_text(month)}"
            found.note([Difference("invoices", name, "", "no such invoice", "an invoice")])


def compare_counts(found: Found, engine: Engine, marker: Marker) -> None:
    """A record that the store lost without a trace is missing in the counts."""
    for name in _COUNTS:
        stored, ours = marker.meta["counts"][name], engine.counts[name]
        if stored != ours:
            found.note([Difference("counts", name, "", str(stored), str(ours))])
    if marker.meta["clock_us"] != engine.clock_us:
        found.note([Difference("counts", "clock", "", str(marker.meta["clock_us"]), str(engine.clock_us))])
