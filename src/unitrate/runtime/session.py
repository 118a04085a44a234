"""A session on an embedded log: recover, finish what lies past the checkpoint, append, fold, checkpoint.

Owns the engine between opening and closing, and the rule that a record is folded only as what its log row
says it is. Log rows become durable with the first checkpoint that covers them, ahead of everything else in
it; until then nothing of them is in the store.
"""

from __future__ import annotations

import atexit
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from unitrate.catalog.history import follow_problems, is_published
from unitrate.catalog.publication import publication
from unitrate.engine import ENGINE_VERSION, Batch, Engine
from unitrate.errors import CatalogError, InputError, StoreError
from unitrate.path import large_pages
from unitrate.runtime import embedded_log, files
from unitrate.runtime.embedded_log import RETRY_RECORDS, Body, Entry, Kind
from unitrate.runtime.log_records import ENGINE, engine_body
from unitrate.runtime.ranges import Range, read_again
from unitrate.runtime.writing import Job, Writer
from unitrate.store import publications, recovery

# At the end of the process its memory goes as a whole: to look through an engine's objects once more, and to
# take them apart one by one, would take seconds.
atexit.register(gc.freeze)

if TYPE_CHECKING:
    from unitrate.catalog.source import Version
    from unitrate.runtime.files import Input, Slice
    from unitrate.store import Store

PARTITION = 0
SWITCH_INTERVAL_S = (
    1e-4  # the insert thread takes Python's lock for many short steps, and waits so long for each
)
BATCH_RECORDS = 200  # so that decode and fold stay in the processor's caches
CHECKPOINT_RECORDS = 100_000  # twice as many: 6 % less CPU, 150 MB more, and a longer wait at the end
CHECKPOINT_BYTES = 256 << 20
RETRYABLE = (
    "FROM rejected_events FINAL WHERE partition = 0 AND reason != 'unit_final' "
    "AND ({reason:String} = '' OR reason = {reason:String}) "
    "AND offset NOT IN (SELECT offset FROM retried_events WHERE partition = 0)"
)


class Session:
    """One process's time with an embedded log. Make it with `opened`."""

    def __init__(self, store: Store, note: Callable[[str], None]) -> None:
        self.store = store
        entries = embedded_log.read_entries(store)
        found = recovery.read(store, PARTITION, note)
        if found is not None and found.marker.meta["log_id"]:
            raise StoreError(
                f"the store {store.label} belongs to a Kafka log: use `unitrate worker` and `send`"
            )
        self.engine = found.engine if found is not None else Engine(PARTITION)
        self.known = files.known_inputs(part for entry in entries for part in entry.body.slices)
        self.events = 0  # event records that this session folded
        self._next_seq = len(entries)
        self._next_offset = entries[-1].end_offset if entries else 0
        self._tail = [e for e in entries if e.count and e.end_offset > self.engine.last_offset + 1]
        embedded_log.drop_leftovers(store, (entry.seq for entry in self._tail))
        self._published = embedded_log.publications_of(store)
        self._rerates = embedded_log.rerates_of(store)
        self._appended: list[Entry] = []
        self._processed: list[Entry] = []
        self._since_records = self._since_bytes = 0
        self._writer = Writer(store)

    @classmethod
    @contextmanager
    def opened(cls, store: Store, note: Callable[[str], None] = lambda _: None) -> Iterator[Self]:
        """A session; its last checkpoint is durable when the block ends."""
        large_pages()
        session = cls(store, note)
        collects, interval_s = gc.isenabled(), sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.disable()  # the fold makes no cycles, and the collector would walk all units again and again
        gc.freeze()
        try:
            yield session
            session.checkpoint()
            session._writer.close()
        except BaseException:
            session._writer.abandon()
            raise
        finally:
            sys.setswitchinterval(interval_s)
            gc.unfreeze()
            if collects:
                gc.enable()

    @property
    def has_catalog(self) -> bool:
        """Whether a catalog was published into the log."""
        return bool(self._published)

    # ------------------------------------------------------------ records of the log

    def finish(self, inputs: Sequence[Input]) -> None:
        """Fold what the log has past the checkpoint. `inputs` are where its files may be now."""
        paths = {part.number: part.path for part in inputs}

        def locate(part: Slice) -> Path:
            path = paths.get(part.input) or Path(part.path)
            if not path.exists():
                raise InputError(
                    f"the store {self.store.label} stopped inside {part.name}, which is not at {part.path} "
                    "now: put it back, or give it under its new name"
                )
            return path

        for entry in self._tail:
            whole = embedded_log.with_payload(self.store, entry)
            if entry.kind == "files":
                self._fold(whole, read_again(whole.body.slices, whole.spool, locate))
            elif entry.kind == "retry":
                self._fold(whole, _retried(whole))
            else:
                self._control(whole)
        self._tail = []

    def read(self, part: Range) -> None:
        """Append a range of event records and fold it."""
        kept = part.kept if part.raws else {}
        entry = self._append("files", len(part.raws), Body(slices=part.slices), spool=kept)
        self._fold(entry, part)

    def publish(self, versions: Sequence[Version], *, dry_run: bool = False) -> list[str]:
        """Append the versions that the log does not have; their names. Raises CatalogError."""
        done = []
        for version in versions:
            if is_published(version, self._published, self._rerates):
                continue
            clock_us = self.engine.clock_us if self.engine.clock_us >= 0 else None
            problems = follow_problems(version, self._published, clock_us, self._rerates)
            if problems:
                raise CatalogError(problems)
            data = publication(version)
            done.append(version.id)
            self._published.append(data)
            if not dry_run:
                publications.write_text(self.store, version.id, version.text)
                self._control(self._append("publication", 1, Body(catalog=version.id), data))
        return done

    def tick(self, until_us: int) -> bool:
        """Move the log's time on; False where it is there already."""
        if until_us <= self.engine.clock_us:
            return False
        self._control(self._append("tick", 1, Body(until_us=until_us)))
        return True

    def control(self, kind: str, control_id: str, body: bytes) -> None:
        """Append a control record (a close, a top-up, a correction, a re-rate).

        Raises InputError, with nothing written, where the fold cannot use the body.
        """
        self._control(self._append("control", 1, Body(control=kind, control_id=control_id), body))

    def retry(self, reason: str | None, *, dry_run: bool = False) -> int:
        """Append rejected events that were not retried yet, in log order; how many."""
        self.checkpoint()
        self._writer.flush()
        parameters = {"reason": reason or ""}
        if dry_run:
            return int(self.store.query(f"SELECT count() {RETRYABLE}", parameters).rows[0][0])
        found = self.store.query(f"SELECT offset {RETRYABLE} ORDER BY offset", parameters)
        offsets = [offset for (offset,) in found.rows]
        for start in range(0, len(offsets), RETRY_RECORDS):
            chosen = offsets[start : start + RETRY_RECORDS]
            rows = self.store.query_arrow(
                "SELECT offset, place, raw FROM rejected_events FINAL WHERE partition = 0 "
                f"AND offset IN ({', '.join(map(str, chosen))}) ORDER BY offset"
            ).to_pylist()
            body = Body(
                retried=[row["offset"] for row in rows], places=[row["place"].decode() for row in rows]
            )
            spool = {index: row["raw"] for index, row in enumerate(rows)}
            entry = self._append("retry", len(rows), body, spool=spool)
            self._fold(entry, _retried(entry))
        return len(offsets)

    # ------------------------------------------------------------ folding

    def _append(
        self, kind: Kind, count: int, body: Body, payload: bytes = b"", spool: dict[int, bytes] | None = None
    ) -> Entry:
        """A row at the end of the log; it is written with the next checkpoint."""
        if self.engine.engine_version < ENGINE_VERSION and body.control != ENGINE:
            # Nobody else folds this log, so it switches to this code's rules with the first new record.
            self.control(ENGINE, f"engine:{ENGINE_VERSION}", engine_body(ENGINE_VERSION))
        entered_us = time.time_ns() // 1000
        entry = Entry(self._next_seq, self._next_offset, count, kind, entered_us, body, payload, spool or {})
        self._appended.append(entry)
        self._next_seq += 1
        self._next_offset = entry.end_offset
        return entry

    def _fold(self, entry: Entry, part: Range) -> None:
        """Fold the entry's records from the first that the engine has not seen."""
        if len(part.raws) != entry.count:
            raise StoreError(f"log row {entry.seq} stands for {entry.count} events, not {len(part.raws)}")
        engine, raws, base = self.engine, part.raws, entry.base_offset
        at = max(engine.last_offset + 1 - base, 0)
        while at < len(raws):
            chunk = raws[at : at + BATCH_RECORDS]
            offsets = range(base + at, base + at + len(chunk))
            place = _Offset(part.place, at)
            count = engine.fold(Batch(chunk, offsets, entry.entered_us, None, place))
            at += count
            self.events += count
            if at == len(raws):
                self._processed.append(entry)
            self._count(count, sum(map(len, chunk)))

    def _control(self, entry: Entry) -> None:
        if entry.kind == "publication":
            self.engine.publish(entry.base_offset, entry.payload)
        elif entry.kind == "control":
            body = entry.body
            self.engine.control(entry.base_offset, None, body.control, body.control_id, entry.payload)
        else:
            self.engine.tick(entry.base_offset, entry.body.until_us)
        self._processed.append(entry)
        self._count(1, 0)

    def _count(self, records: int, size: int) -> None:
        """A checkpoint where one is due: by the log (a generation starts), by records or by bytes."""
        self._since_records += records
        self._since_bytes += size
        if (
            self.engine.due_generation
            or self._since_records >= CHECKPOINT_RECORDS
            or self._since_bytes >= CHECKPOINT_BYTES
        ):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Hand what was done since the last checkpoint to the insert thread; nothing: no checkpoint."""
        if not self._since_records and not self._appended:
            return
        made = self.engine.checkpoint() if self._since_records else None
        self._writer.put(Job(self._appended, self._processed, made))
        self._appended, self._processed = [], []
        self._since_records = self._since_bytes = 0


class _Offset:
    """Places of a batch inside a range."""

    __slots__ = ("_place", "_start")

    def __init__(self, place: Callable[[int], str], start: int) -> None:
        self._place = place
        self._start = start

    def __call__(self, index: int) -> str:
        return self._place(self._start + index)


def _retried(entry: Entry) -> Range:
    raws = [entry.spool[index] for index in range(entry.count)]
    return Range(raws, entry.body.places.__getitem__, [], {})
