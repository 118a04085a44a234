"""The engine: one fold over one partition's log. The same records give the same rows, whatever happens.

Owns all state of a partition and the order in which one record is handled (D1). Pure: no I/O, no clock, no
randomness; batches may be cut anywhere. The per-event path is `unitrate.fold`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from unitrate import fold, snapshot
from unitrate.accounts import AccountState, Stream
from unitrate.booking import Books
from unitrate.catalog.compiling import compile_publication, compile_rerate
from unitrate.errors import InputError, InvariantError, LogError
from unitrate.facts import Facts
from unitrate.identities import Seen
from unitrate.ledger import EventBuffer
from unitrate.lifecycle import Lifecycle
from unitrate.months import Months
from unitrate.placement import partition_of
from unitrate.prepare import Texts
from unitrate.routing import Shapes
from unitrate.rows import Checkpoint, Output, StateRow
from unitrate.timeline import Timeline
from unitrate.units import NEVER, OPEN, Unit

Act = Callable[[bytes], Callable[[int], None]]  # checks a control record's body, gives what it changes
ENGINE_VERSION = 1  # newest version of the fold's rules that this code knows; a log may ask for a newer one
FIRST_VERSION = 1  # the log's, until a record in it says another: the code's would make a replay differ
GENERATION_RECORDS = 100_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive event records; they entered the log at `entered_us` (files) or `timestamps_us` (Kafka)."""

    raws: list[bytes]
    offsets: Sequence[int]
    entered_us: int
    timestamps_us: Sequence[int] | None
    place: Callable[[int], str]  # index in the batch -> "runs.jsonl:17"


class Engine:
    """State of one partition. Not thread-safe: one thread, one engine."""

    def __init__(self, partition: int = 0, generation_records: int = GENERATION_RECORDS) -> None:
        self.partition = partition
        self.timeline = Timeline()
        self.buffer = EventBuffer()
        self.out = Output(self.buffer.freeze())
        self.books = Books(partition, self.timeline, self.out)
        self.life = Lifecycle(partition, self.books)
        self.months = Months(self)
        self.shapes = Shapes(self.timeline)
        self.seen = Seen()
        self.texts = Texts()
        self.native: object = None  # caches of the native `prepare`, which alone looks at them
        self.accounts = self.books.accounts
        self.dirty_accounts = self.books.dirty_accounts
        self.last_offset = -1
        self.counts = dict.fromkeys(("records", "accepted", "duplicates", "rejected", "unit_final"), 0)
        self.generation = 0
        self.due_generation = False
        self.since = 0  # records since the generation started
        self.control_seq = 0
        self.controls: dict[str, None] = {}  # ids of control records that were taken
        self.engine_version = FIRST_VERSION
        self.log_id = ""
        self.partitions = 1
        self.generation_records = generation_records
        self.facts = Facts(self)

    # ------------------------------------------------------------ questions

    @property
    def clock_us(self) -> int:
        """The log's time; below zero before the first record."""
        return self.life.clock

    @property
    def next_due_us(self) -> int | None:
        """Deadline of the earliest timer, or None. May be earlier than the true one, never later."""
        return None if self.life.next_due == NEVER else self.life.next_due

    @property
    def open_units(self) -> int:
        """Units that are open."""
        return sum(1 for unit in self.life.live.values() if unit.state == OPEN)

    @property
    def held_units(self) -> int:
        """Ended units that are held."""
        return sum(1 for u in self.life.live.values() if u.state != OPEN and u.disposition == "held")

    @property
    def live_entities(self) -> int:
        """Entities that a generation's first checkpoint writes."""
        books = self.books
        return len(self.life.live) + len(books.counters) + len(books.originals.entries) + books.account_count

    # ------------------------------------------------------------ records

    def fold(self, batch: Batch) -> int:
        """Fold event records; returns how many were taken.

        Fewer than given when a generation starts (`due_generation`): take a checkpoint, then fold the rest.
        Raises InputError where no catalog was published before them.
        """
        self._ready()
        if batch.offsets and batch.offsets[0] <= self.last_offset:
            raise InvariantError(f"offset {batch.offsets[0]} again: {self.last_offset} was taken already")
        if not self.timeline.catalogs:
            raise InputError("no catalog is published before the first event; publish one first (--catalog)")
        return fold.fold(self, batch)

    def tick(self, offset: int, time_us: int) -> None:
        """A record that only moves the log's time."""
        self._ready()
        self.move_clock(time_us, offset)
        self.taken(offset)

    def publish(self, offset: int, publication: bytes, timestamp_us: int | None = None) -> None:
        """A catalog's publication as a control record. Raises InputError if it may not follow (ruling 32)."""
        self.control(offset, timestamp_us, "catalog", f"catalog:{offset}", publication)

    def control(self, offset: int, timestamp_us: int | None, kind: str, control_id: str, body: bytes) -> None:
        """A control record; one whose id is known changes nothing but the clock.

        Raises InputError or ValueError, with nothing changed, for a body that cannot be used, and LogError
        for a kind, an engine version or a log that this code must not go on with.
        """
        self._ready()
        catalog = partial(self._catalog, by_clock=timestamp_us is None)
        acts: dict[str, Act] = {"catalog": catalog, "genesis": self._genesis, "engine": self._engine}
        act = acts.get(kind) or self.months.acts.get(kind)
        if act is None:
            raise LogError(
                f"control record {kind!r} at offset {offset}: this version does not know it; update unitrate"
            )
        known = control_id in self.controls
        change = None if known else self._checked(act, kind, body)
        if timestamp_us is not None:
            self.move_clock(timestamp_us, offset)
        if change is not None:
            self.controls[control_id] = None
            self.control_seq += 1
            change(offset)
        self.taken(offset)

    @staticmethod
    def _checked(act: Act, kind: str, body: bytes) -> Callable[[int], None]:
        try:
            return act(body)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
            msgspec.MsgspecError,
        ) as error:
            raise InputError(f"{kind} record: {type(error).__name__}: {error}") from error

    def reject(
        self, offset: int, timestamp_us: int | None, reason: str, message: str, place: str, raw: bytes
    ) -> None:
        """Any other record that cannot be used: kept whole, it moves the clock like every Kafka record."""
        self._ready()
        if timestamp_us is not None:
            self.move_clock(timestamp_us, offset)
        self.rejected(offset, reason, message, "", "", "", place, raw)
        self.taken(offset)

    def _genesis(self, body: bytes) -> Callable[[int], None]:
        value = msgspec.json.decode(body, type=dict[str, Any])
        log_id, partitions = value.get("log_id"), value.get("partitions")
        if not isinstance(log_id, str) or not isinstance(partitions, int) or partitions < 1:
            raise InputError("genesis record: needs log_id (text) and partitions (integer)")
        if self.log_id and (log_id, partitions) != (self.log_id, self.partitions):
            raise LogError(
                f"the log says it is {log_id} of {partitions} partitions; "
                f"it began as {self.log_id} of {self.partitions}"
            )

        def change(offset: int) -> None:
            self.log_id, self.partitions = log_id, partitions

        return change

    def _engine(self, body: bytes) -> Callable[[int], None]:
        version = msgspec.json.decode(body, type=dict[str, int])["version"]
        if version > ENGINE_VERSION:
            raise LogError(
                f"the log asks for engine version {version}; this code has {ENGINE_VERSION}: update unitrate"
            )

        def change(offset: int) -> None:
            self.engine_version = max(self.engine_version, version)

        return change

    def _catalog(self, body: bytes, *, by_clock: bool) -> Callable[[int], None]:
        """`by_clock`: refuse one that is effective before the log's time.

        Not on Kafka, where each partition has a time of its own and all must take the same catalogs: there
        the publisher asks before it writes.
        """
        catalog = compile_publication(body)
        if any(c.id == catalog.id for c in self.timeline.catalogs):
            raise InputError(f"catalog {catalog.id} is published already; a changed one needs a new name")
        last = self.timeline.catalogs[-1] if self.timeline.catalogs else None
        if last is not None and catalog.effective_us <= last.effective_us:
            raise InputError(
                f"catalog {catalog.id} is not effective later than {last.id}; give it a later `effective`"
            )
        if by_clock and last is not None and catalog.effective_us < self.clock_us:
            raise InputError(
                f"catalog {catalog.id} is effective before the log's time; give it a later `effective`"
            )

        def change(offset: int) -> None:
            self.timeline.add(catalog)
            self.shapes.clear()
            self.books.change_plans(catalog, offset)
            self.life.decide_held(offset)

        return change

    def _ready(self) -> None:
        if self.due_generation:
            raise InvariantError("a generation starts here: take a checkpoint before the next record")

    def move_clock(self, time_us: int, offset: int) -> None:
        """The log's time never runs back; timers that it passes fire now, before the record is handled."""
        if time_us > self.life.clock:
            self.life.clock = time_us
            if time_us > self.life.next_due:
                self.life.fire(offset)

    def taken(self, offset: int) -> None:
        """Count a record that was handled, and start a generation where the log says so."""
        self.last_offset = offset
        self.counts["records"] += 1
        self.since += 1
        if self.since >= self.generation_records:
            self.starts_generation(offset)

    def starts_generation(self, offset: int) -> bool:
        """Whether the record at the offset starts a generation: enough of them for what is written again."""
        if self.since < 4 * self.live_entities:
            return False
        self.generation, self.since, self.due_generation = offset, 0, True
        return True

    def compact(self) -> None:
        """Move identities and stubs that are no longer recent to where they take few bytes."""
        for kept in (self.seen, self.life.stubs):
            if len(kept.recent) >= kept.limit:
                kept.compact(min((a.oldest_day for a in self.accounts.values()), default=0))

    # ------------------------------------------------------------ accounts and rejects

    def stream(self, account: str, source: str) -> Stream:
        """The stream of an account and source, made when first seen."""
        state = self.account(account)
        stream = state.streams.get(source)
        if stream is None:
            stream = state.streams[source] = Stream(state, source)
        return stream

    def account(self, name: str) -> AccountState:
        """What is kept of an account; nothing of it is stored before a record touches it."""
        state = self.accounts.get(name)
        if state is None:
            home = self.partitions == 1 or partition_of(name, self.partitions) == self.partition
            state = self.accounts[name] = AccountState(name, home)
        return state

    def rejected(
        self,
        offset: int,
        reason: str,
        message: str,
        account: str,
        source: str,
        id_: str,
        place: str,
        raw: bytes,
    ) -> None:
        """Keep a record that is not taken, whole, with its reason."""
        received = max(self.life.clock, 0)
        self.out.rejected.append(
            (self.partition, offset, offset, received, reason, message, account, source, id_, place, raw)
        )

    # ------------------------------------------------------------ checkpoint and recovery

    def checkpoint(self) -> Checkpoint:
        """Rows since the last one and the touched state, encoded; nothing in it changes afterwards."""
        out = self.out
        state = self.facts.take(out.units, whole=self.due_generation)
        out.events = self.buffer.freeze()
        self.out = Output(out.events)
        self.books.out = self.out
        self.due_generation = False
        return Checkpoint(
            self.partition, out, self.generation, state, self.last_offset, self.meta(), self.digests()
        )

    def drain(self) -> Output:
        """Rows since the last time, those of live units left out: for a replay, which keeps no checkpoint."""
        out = self.out
        self.facts.forget()
        out.events = self.buffer.freeze()
        self.out = Output(out.events)
        self.books.out = self.out
        return out

    def live_rows(self) -> Iterator[tuple[Any, ...]]:
        """Rows of the units that live now, as a checkpoint would write them."""
        return (self.unit_row(unit) for unit in self.life.live.values())

    def unit_row(self, unit: Unit) -> tuple[Any, ...]:
        """The unit as it stands, for the `units` table."""
        period = self.timeline.month(unit.account, unit.last_any) if unit.state == OPEN else unit.period
        return snapshot.unit_row(unit, self.partition, period)

    def meta(self) -> dict[str, Any]:
        """What a checkpoint must know beside entities; plain JSON."""
        return {
            "last_offset": self.last_offset,
            "clock_us": self.life.clock,
            "engine_version": self.engine_version,
            "catalogs": [c.id for c in self.timeline.catalogs],
            "generation": self.generation,
            "since": self.since,
            "control_seq": self.control_seq,
            "controls": list(self.controls),
            "log_id": self.log_id,
            "partitions": self.partitions,
            "counts": dict(self.counts),
            "rerates": [logged.offsets[self.partition] for logged in self.timeline.rerates],
            "lines": {str(m): list(totals) for m, totals in sorted(self.books.line_totals.items())},
        }

    def digests(self) -> dict[str, Any]:
        """Count and sum of the hashes of live entities as of the last checkpoint."""
        return self.facts.digests()

    @classmethod
    def restore(
        cls,
        partition: int,
        meta: dict[str, Any],
        state: Iterable[StateRow],
        publications: Iterable[tuple[int, bytes]],
        identities: Iterable[tuple[list[str], list[str], list[str], list[int]]],
        finals: Iterable[tuple[str, str, str, int, int, str]],
        rerates: Iterable[tuple[int, bytes]] = (),
        generation_records: int = GENERATION_RECORDS,
    ) -> Engine:
        """The engine as it was at a checkpoint.

        `publications` are those of `meta["catalogs"]`; `identities` chunks of (accounts, sources, ids, times)
        of accepted events, `finals` (account, meter, key, ordinal, ended, runs) of final units, all up to
        the marker; `rerates` (offset, body) of the re-rates up to it.
        """
        engine = cls(partition, generation_records)
        for _, body in publications:
            engine.timeline.add(compile_publication(body))
        for offset, body in rerates:
            engine.timeline.rerate(compile_rerate(body), {partition: offset})
        engine.last_offset = meta["last_offset"]
        engine.life.clock = meta["clock_us"]
        for name in ("engine_version", "generation", "since", "control_seq", "log_id", "partitions"):
            setattr(engine, name, meta[name])
        engine.controls = dict.fromkeys(meta["controls"])
        engine.counts = dict(meta["counts"])
        engine.books.line_totals = {int(month): totals for month, totals in meta["lines"].items()}
        engine.facts.load(state, identities, finals)
        return engine
