"""The threads of one partition: bounded memory, a store that goes away, a clock ahead, a bug, a clean end."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.infra.processes import wait_until
from tests.kafka.test_partition import ALog, a_record, catalog, genesis
from tests.reference.builders import an_event, raw
from tests.simulator.fake_log import LogRecord
from tests.simulator.fake_store import Questions, Tables
from unitrate.engine import Engine
from unitrate.errors import LogUnavailable, StoreUnavailable
from unitrate.runtime.group_commit import GroupCommit
from unitrate.runtime.log_records import tick_headers
from unitrate.runtime.partition_run import PartitionRun, RunEvents, RunOptions
from unitrate.store.client import Result

ACCOUNT = "account-0"


class AStore:
    """A store in memory that can be down, and that counts what it wrote."""

    label = database = "memory"
    replicated = False

    def __init__(self) -> None:
        self.tables = Tables(random.Random(0))
        self.down = False
        self.tries = 0
        self.gate = threading.Event()
        self.gate.set()

    def insert(self, table: str, data: Any) -> None:
        self.gate.wait(10)
        self._answer()
        for piece in self.tables.pieces_of(table, data):
            piece()

    def query(self, sql: str, parameters: Any = None) -> Result:
        self._answer()
        return Result([], Questions(self.tables).query(sql, dict(parameters or {})))

    def query_arrow(self, sql: str, parameters: Any = None) -> Any:
        self._answer()
        return Questions(self.tables).query_arrow(sql, dict(parameters or {}))

    def command(self, statement: str) -> None:
        self._answer()

    def close(self) -> None:
        pass

    def position(self) -> int:
        """Where the store says that the log goes on."""
        markers = self.tables.parts["checkpoints"].values()
        return max((row["last_offset"] + 1 for rows in markers for row in rows), default=0)

    def _answer(self) -> None:
        self.tries += 1
        if self.down:
            raise StoreUnavailable("memory is down")


class Told:
    """What a run told its owner."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def events(self) -> RunEvents:
        def note(name: str) -> Callable[..., None]:
            return lambda run, *details: self.said.append((name, details[0] if details else run.state))

        return RunEvents(
            ready=note("ready"),
            drained=note("drained"),
            written=note("written"),
            failed=note("failed"),
            state_changed=note("state"),
        )

    def has(self, name: str, detail: Any = None) -> bool:
        return any(said == name and detail in (None, what) for said, what in self.said)


OPTIONS = RunOptions(
    checkpoint_s=0.02, first_pause_s=0.01, longest_pause_s=0.05, machine_clock=lambda: 1_790_000_000.0
)


class ARun:
    """A run over a store in memory, and what it told."""

    def __init__(self, store: AStore, options: RunOptions = OPTIONS, *records: LogRecord) -> None:
        self.store, self.told = store, Told()
        log = ALog(*(records or (genesis(),)))
        opened: Any = lambda: store  # noqa: E731 - in memory
        writer = GroupCommit(opened)
        self.run = PartitionRun(0, 1, opened, writer, log, self.told.events(), options, threading.Lock())
        self.run.start()


@pytest.fixture
def started() -> Iterator[Callable[..., ARun]]:
    made: list[ARun] = []

    def start(*arguments: Any) -> ARun:
        made.append(ARun(*arguments))
        return made[-1]

    yield start
    for one in made:
        one.store.gate.set()
        one.run.request_close()
        one.run.join(5)


def at(record: LogRecord, seconds: float = 0.0) -> LogRecord:
    """A record dated by the tests' machine clock."""
    return record._replace(timestamp=int((1_790_000_000 + seconds) * 1000))


def events(first: int, count: int, size: int = 10) -> list[LogRecord]:
    return [
        at(a_record(first + n, raw(an_event(account=ACCOUNT, workflow="lead", run=f"r{n}", step="s" * size))))
        for n in range(count)
    ]


BEGIN = [at(genesis()), at(catalog(2))]


def test_what_is_offered_is_folded_and_written(started: Any) -> None:
    """Recovered, ready at the genesis, then a marker past the last record."""
    one = started(AStore())
    wait_until("ready", lambda: one.told.has("ready", 0), 5)
    one.run.offer(BEGIN + events(3, 5))
    wait_until("written", lambda: one.store.position() == 8, 5)
    assert one.run.figures.records == 7


def test_a_store_that_is_down_is_tried_until_it_is_back(started: Any) -> None:
    """Nothing is dropped, the state says what it waits for, and it goes on by itself."""
    one = started(AStore())
    wait_until("ready", lambda: one.told.has("ready"), 5)
    one.store.down = True
    one.run.offer(BEGIN)
    wait_until(
        "waiting", lambda: one.run.state == "waiting_for_store" and one.run.figures.store_retries > 2, 5
    )
    assert "memory is down" in one.run.figures.problem
    one.store.down = False
    wait_until("written", lambda: one.store.position() == 3, 5)
    wait_until("running again", lambda: one.run.state == "running", 5)


def test_recovery_waits_for_a_store_too(started: Any) -> None:
    """A worker that starts while the store is down is ready once it is back."""
    store = AStore()
    store.down = True
    one = started(store)
    wait_until("waiting", lambda: one.run.state == "waiting_for_store", 5)
    store.down = False
    wait_until("ready", lambda: one.told.has("ready"), 5)


def test_recovery_waits_for_the_log_too(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that restarts while a partition recovers stops nothing."""
    answers = iter([LogUnavailable("not now"), LogUnavailable("not now")])

    def bounds(self: ALog, partition: int) -> tuple[int, int]:
        for answer in answers:
            raise answer
        return 0, 1

    monkeypatch.setattr(ALog, "bounds", bounds)
    one = started(AStore())
    wait_until("ready", lambda: one.told.has("ready", 0), 5)
    assert not one.told.has("failed")


def test_memory_is_bounded_while_the_store_is_slow(started: Any) -> None:
    """`offer` says when to pause, `drained` when to go on; what was taken is all folded."""
    one = started(AStore(), RunOptions(**{**OPTIONS.__dict__, "queue_bytes": 20_000}))
    wait_until("ready", lambda: one.told.has("ready"), 5)
    one.store.gate.clear()
    one.run.offer(BEGIN)
    room, offset = True, 3
    while room:
        room = one.run.offer(events(offset, 10))
        offset += 10
        assert offset < 5_000, "no end to what it takes"
        threading.Event().wait(0.01)
    assert one.run.figures.queued_bytes < 40_000
    one.store.gate.set()
    wait_until("drained", lambda: one.told.has("drained"), 5)
    wait_until("all written", lambda: one.store.position() == offset, 10)


def test_a_broker_clock_far_ahead_pauses(started: Any) -> None:
    """Folding it would fire every timer; nothing is folded until the clocks agree, and somebody is told."""
    one = started(AStore())
    wait_until("ready", lambda: one.told.has("ready"), 5)
    one.run.offer([*BEGIN, at(a_record(3, b"", tick_headers()), seconds=3600)])
    wait_until("paused", lambda: one.told.has("state", "clock_ahead"), 5)
    assert one.store.position() == 0


def test_a_bug_stops_this_partition_loudly(
    started: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Topic, partition and offset are named, nothing after it is written, and `offer` takes no more."""
    one = started(AStore())
    wait_until("ready", lambda: one.told.has("ready"), 5)
    one.run.offer(BEGIN)
    wait_until("written", lambda: one.store.position() == 3, 5)

    def broken(self: Engine, batch: Any) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Engine, "fold", broken)
    one.run.offer(events(3, 2))
    wait_until("failed", lambda: one.told.has("failed"), 5)
    assert one.run.state == "failed"
    assert "unitrate.log[0] stopped after offset 2: a bug" in caplog.text
    assert one.run.offer(events(5, 2))
    assert one.store.position() == 3


def test_the_wrong_log_stops_it_before_it_folds(started: Any) -> None:
    """A partition without its genesis is not begun."""
    one = started(AStore(), OPTIONS, a_record(0, b"{}"))
    wait_until("failed", lambda: one.told.has("failed"), 5)
    assert not one.told.has("ready")
    assert "no genesis" in one.run.figures.problem


def test_a_clean_end_writes_what_was_folded(started: Any) -> None:
    """On revocation and on SIGTERM the last checkpoint is written, however far away its time was."""
    one = started(AStore(), RunOptions(**{**OPTIONS.__dict__, "checkpoint_s": 600.0}))
    wait_until("ready", lambda: one.told.has("ready"), 5)
    one.run.offer(BEGIN)
    wait_until("folded", lambda: one.run.figures.records == 2, 5)
    assert one.store.position() == 0
    one.run.request_close()
    assert one.run.join(5)
    assert one.store.position() == 3


def test_an_end_does_not_wait_for_a_dead_store(started: Any) -> None:
    """The partition is given back in time; its last records are folded again by the next owner."""
    one = started(AStore())
    wait_until("ready", lambda: one.told.has("ready"), 5)
    one.store.down = True
    one.run.offer(BEGIN)
    wait_until("waiting", lambda: one.run.state == "waiting_for_store", 5)
    one.run.request_close()
    assert not one.run.join(0.3)
    wait_until("its threads end", lambda: not one.run._write_thread.is_alive(), 5)
