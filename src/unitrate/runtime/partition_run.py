"""One assignment of one partition: a thread that folds, a thread that writes checkpoints, a bounded queue.

Owns the threads' order: what was folded is written in the order of folding, never two checkpoints of a run
at once. A run is made anew for every assignment and never used again. While the store is down the writer
tries again, forever; folding stops when two checkpoints wait, the queue fills, and the owner pauses the
fetching: nothing is dropped and memory stays bounded. Must never know Faust: the owner gets `RunEvents`.
"""

from __future__ import annotations

import gc
import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from unitrate.errors import LogUnavailable, StoreUnavailable, UnitrateError
from unitrate.runtime.group_commit import Writer
from unitrate.runtime.log_records import LOG_TOPIC
from unitrate.runtime.partition import LogView, Partition, Pending, recover
from unitrate.store import Store

log = logging.getLogger("unitrate.worker")

State = Literal["recovering", "running", "waiting_for_store", "clock_ahead", "failed", "closed"]
US = 1_000_000
RECORD_BYTES = 200  # what a record takes beside its value
SAMPLED = 16  # one record in so many is measured: what waits is bounded closely enough


@dataclass(frozen=True)
class RunOptions:
    """How a run paces itself."""

    checkpoint_s: float = 0.5
    catching_up_s: float = 1.5  # so much later while records wait
    checkpoint_records: int = 100_000
    queue_bytes: int = 32 << 20
    clock_ahead_s: float = 300.0
    first_pause_s: float = 0.2
    longest_pause_s: float = 15.0
    machine_clock: Callable[[], float] = time.time


@dataclass(frozen=True)
class RunEvents:
    """What the owner is told. Called on the run's threads."""

    ready: Callable[[PartitionRun, int], None]  # recovered; the log goes on at this offset
    drained: Callable[[PartitionRun], None]  # there is room again
    written: Callable[[PartitionRun, int], None]  # a checkpoint is durable; the log goes on at this offset
    failed: Callable[[PartitionRun, BaseException], None]
    state_changed: Callable[[PartitionRun], None]


@dataclass
class Figures:
    """What metrics show of a run; each is written by one thread and read by others."""

    records: int = 0
    checkpoints: int = 0
    checkpoint_s: float = 0.0  # duration of the last one
    checkpointed_at: float = 0.0
    position: int = 0
    store_retries: int = 0
    recovery_s: float = 0.0
    queued_bytes: int = 0
    folded_at: float = 0.0
    next_due_us: int | None = None
    clock_us: int = 0
    problem: str = ""


@dataclass
class _Queue:
    """Batches that wait for the fold."""

    batches: deque[tuple[list[Any], int]] = field(default_factory=deque)
    size: int = 0
    full: bool = False


class PartitionRun:
    """See the module. `offer` and `close` are called by the owner, on its own thread.

    `turn` is the process's: whoever folds has it. Folds side by side would win nothing under one interpreter
    lock, and the threads that fetch and send heartbeats would wait for all of them each time they need it.
    """

    def __init__(
        self,
        number: int,
        token: int,
        open_store: Callable[[], Store],
        writer: Writer,
        log_view: LogView,
        events: RunEvents,
        options: RunOptions,
        turn: threading.Lock,
    ) -> None:
        self.number, self.token = number, token
        self.state: State = "recovering"
        self.figures = Figures()
        self._open_store, self._writer, self._log_view = open_store, writer, log_view
        self._events, self._options = events, options
        self._queue = _Queue()
        self._changed = threading.Condition()
        self._closing = False
        self._abandoned = threading.Event()
        self._outgoing: queue.Queue[Pending | None] = queue.Queue(maxsize=1)
        self._fold_thread = threading.Thread(target=self._fold_main, name=f"fold-{number}", daemon=True)
        self._write_thread = threading.Thread(target=self._write_main, name=f"store-{number}", daemon=True)
        self._turn = turn
        self._jitter = random.Random()  # noqa: S311 - jitter

    # ------------------------------------------------------------ the owner's side

    def start(self) -> None:
        self._fold_thread.start()

    def offer(self, records: list[Any]) -> bool:
        """Take a batch. False: there is no more room, pause until `drained`; this batch was taken though."""
        some = records[::SAMPLED]
        size = sum([len(record.value or b"") + RECORD_BYTES for record in some]) * len(records) // len(some)
        with self._changed:
            if self._is_closing() or self.state == "failed":
                return True
            self._queue.batches.append((records, size))
            self._queue.size += size
            self._queue.full = self._queue.size >= self._options.queue_bytes
            self.figures.queued_bytes = self._queue.size
            self._changed.notify()
            return not self._queue.full

    def request_close(self) -> None:
        """Ask for the end: drop what waits, write what was folded. Then `join`."""
        with self._changed:
            self._closing = True
            self._queue = _Queue()
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for both threads; False where they did not end in time and were abandoned.

        An abandoned insert is just a zombie: what it may still write is already in the log.
        """
        end = time.monotonic() + timeout_s
        for thread in (self._fold_thread, self._write_thread):
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        alive = self._fold_thread.is_alive() or self._write_thread.is_alive()
        self._abandoned.set()
        if self.state != "failed":
            self._set_state("closed")
        return not alive

    # ------------------------------------------------------------ the fold's thread

    def _fold_main(self) -> None:
        partition: Partition | None = None
        try:
            recovered = self._recover()
            if recovered is None:
                return
            partition, position = recovered
            gc.freeze()  # what was loaded is not looked at by every collection
            self.figures.position = position
            self._write_thread.start()
            self._set_state("running")
            self._note(partition, 0)
            self._events.ready(self, position)
            self._fold_loop(partition)
        except Exception as error:  # noqa: BLE001 - a bug of ours stops this partition and no other
            self._fail(error, partition)
        finally:
            if self._write_thread.ident is not None:
                self._hand_over(None)

    def _recover(self) -> tuple[Partition, int] | None:
        """None where the run was closed before it was ready."""
        began = time.monotonic()
        for pause_s in self._pauses():
            if self._is_closing():
                return None
            try:
                store = self._open_store()
                try:
                    found = recover(self.number, store, self._log_view)
                finally:
                    store.close()
            except StoreUnavailable as error:
                self._wait_for_store(error)
                self._pause(pause_s)
                continue
            except LogUnavailable as error:
                log.warning("%s: %s; trying again", self.label, error)
                self.figures.problem = str(error)
                self._pause(pause_s)
                continue
            self.figures.recovery_s = time.monotonic() - began
            return found.partition, found.next_offset
        return None

    def _pause(self, pause_s: float) -> None:
        with self._changed:
            self._changed.wait_for(self._is_closing, pause_s)

    def _fold_loop(self, partition: Partition) -> None:
        due = time.monotonic() + self._options.checkpoint_s
        while not self._is_closing():
            records = self._take(max(0.0, due - time.monotonic()) if partition.since_checkpoint else None)
            if records is not None:
                self._fold(partition, records)
            if partition.since_checkpoint and self._is_due(partition, time.monotonic() - due):
                self._checkpoint(partition)
                due = time.monotonic() + self._options.checkpoint_s
            elif not partition.since_checkpoint:
                due = time.monotonic() + self._options.checkpoint_s
        if partition.since_checkpoint:
            self._checkpoint(partition)

    def _is_due(self, partition: Partition, late_s: float) -> bool:
        """Whether a checkpoint is; while records wait, later: what is written twice is then written once."""
        if partition.since_checkpoint >= self._options.checkpoint_records:
            return True
        return late_s >= (self._options.catching_up_s if self._queue.batches else 0.0)

    def _fold(self, partition: Partition, records: list[Any]) -> None:
        """Fold a batch while no other partition of this process folds."""
        due = partition.fold(records)
        while True:
            with self._turn:
                checkpoint = next(due, None)
            if checkpoint is None:
                break
            self._hand_over(checkpoint)
        self._note(partition, len(records))

    def _checkpoint(self, partition: Partition) -> None:
        with self._turn:
            checkpoint = partition.checkpoint()
        self._hand_over(checkpoint)

    def _take(self, timeout_s: float | None) -> list[Any] | None:
        """The next batch; None at the end of the time, or of the run."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing() or bool(self._queue.batches), timeout_s)
            if self._is_closing() or not self._queue.batches:
                return None
            records, size = self._queue.batches[0]
        if not self._clock_is_sane(records):
            return None
        with self._changed:
            if self._is_closing():
                return None
            self._queue.batches.popleft()
            self._queue.size -= size
            self.figures.queued_bytes = self._queue.size
            drained = self._queue.full and self._queue.size <= self._options.queue_bytes // 2
            self._queue.full = self._queue.full and not drained
        if drained:
            self._events.drained(self)
        return list(records)

    def _clock_is_sane(self, records: list[Any]) -> bool:
        """A broker's clock far ahead would fire every timer: wait until the machine's has come near."""
        ahead_s = max(record.timestamp for record in records) / 1000 - self._options.machine_clock()
        if ahead_s <= self._options.clock_ahead_s:
            if self.state == "clock_ahead":
                self._set_state("running")
            return True
        if self.state != "clock_ahead":
            self.figures.problem = f"records are dated {ahead_s:.0f} s ahead of this machine's clock"
            log.error("%s: %s; paused until they agree", self.label, self.figures.problem)
            self._set_state("clock_ahead")
        with self._changed:
            self._changed.wait_for(self._is_closing, 1.0)
        return False

    def _note(self, partition: Partition, records: int) -> None:
        engine = partition.engine
        self.figures.records += records
        self.figures.folded_at = time.monotonic()
        self.figures.next_due_us = engine.next_due_us
        self.figures.clock_us = engine.clock_us

    def _hand_over(self, pending: Pending | None) -> None:
        """Give a checkpoint to the writer; waits while one waits already. None: no more follow."""
        while not self._abandoned.is_set() and self._write_thread.is_alive():
            try:
                self._outgoing.put(pending, timeout=0.2)
                return
            except queue.Full:
                continue

    # ------------------------------------------------------------ the writer's thread

    def _write_main(self) -> None:
        try:
            while (pending := self._outgoing.get()) is not None:
                if not self._write(pending):
                    return
        except Exception as error:  # noqa: BLE001 - a bug of ours stops this partition and no other
            self._fail(error, None)

    def _write(self, pending: Pending) -> bool:
        """Write until it is acknowledged; False where the run was abandoned first. Unknown means again."""
        for pause_s in self._pauses():
            if self._abandoned.is_set():
                return False
            began = time.monotonic()
            try:
                self._writer.write(self.number, pending)
            except StoreUnavailable as error:
                self._wait_for_store(error)
                self._abandoned.wait(pause_s)
                continue
            if self.state == "waiting_for_store":
                self._set_state("running")
            self.figures.checkpoints += 1
            self.figures.checkpoint_s = time.monotonic() - began
            self.figures.checkpointed_at = time.time()
            self.figures.position = pending.checkpoint.last_offset + 1
            self._events.written(self, pending.checkpoint.last_offset + 1)
            return True
        return False

    # ------------------------------------------------------------ both

    def _is_closing(self) -> bool:
        return self._closing

    @property
    def label(self) -> str:
        return f"{LOG_TOPIC}[{self.number}]"

    def _pauses(self) -> Any:
        """Pauses between tries, twice as long each time, without end; half of each is chance."""
        pause_s = self._options.first_pause_s
        while True:
            yield pause_s * (0.5 + self._jitter.random() / 2)
            pause_s = min(pause_s * 2, self._options.longest_pause_s)

    def _wait_for_store(self, error: UnitrateError) -> None:
        self.figures.store_retries += 1
        if self.state != "waiting_for_store":
            log.warning("%s: %s; trying again until it is back", self.label, error)
        self.figures.problem = str(error)
        self._set_state("waiting_for_store")

    def _fail(self, error: BaseException, partition: Partition | None) -> None:
        at = f"after offset {partition.engine.last_offset}" if partition is not None else "while writing"
        self.figures.problem = str(error) or repr(error)
        expected = isinstance(error, UnitrateError)
        log.critical("%s stopped %s: %s", self.label, at, error, exc_info=None if expected else error)
        self._set_state("failed")
        with self._changed:
            self._queue = _Queue()
            self._closing = True
            self._changed.notify_all()
        self._events.failed(self, error)

    def _set_state(self, state: State) -> None:
        if self.state in ("failed", "closed", state):
            return
        self.state = state
        if state == "running":
            self.figures.problem = ""
        self._events.state_changed(self)
