"""Checkpoints of all partitions of a worker, written together: one insert a table instead of one a partition.

Owns the one connection that writes. Whoever comes first while nobody writes takes all that wait and writes
for them; the others find theirs written. The order of a partition's own checkpoints is kept, because its
thread waits for its checkpoint before it brings the next. Must never tell a checkpoint as written before its
marker was acknowledged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from unitrate.errors import StoreUnavailable
from unitrate.runtime.partition import Pending
from unitrate.store import Store, publications
from unitrate.store import checkpoint as store_checkpoint


class Writer(Protocol):
    """Where a partition's run brings its checkpoints."""

    def write(self, number: int, pending: Pending) -> None:
        """Returns once it is durable. Raises StoreUnavailable where that is not known: bring it again."""


class _Entry:
    """One checkpoint that waits."""

    def __init__(self, number: int, pending: Pending) -> None:
        self.number, self.pending = number, pending
        self.done = False
        self.error: Exception | None = None


class GroupCommit:
    """See the module; thread-safe."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._store: Store | None = None
        self._waiting: list[_Entry] = []
        self._list_lock = threading.Lock()
        self._write_lock = threading.Lock()
        # By partition: the generation whose forerunners were collected. Collecting asks the store each time.
        self._collected: dict[int, int] = {}

    def write(self, number: int, pending: Pending) -> None:
        entry = _Entry(number, pending)
        with self._list_lock:
            self._waiting.append(entry)
        with self._write_lock:
            if not entry.done:
                self._write_all()
        if entry.error is not None:
            raise entry.error

    def close(self) -> None:
        with self._write_lock:
            self._forget_store()

    def _write_all(self) -> None:
        with self._list_lock:
            entries, self._waiting = self._waiting, []
        try:
            self._write_together(entries)
        except StoreUnavailable as error:
            self._forget_store()
            _finish(entries, error)
        except Exception as error:  # noqa: BLE001 - one of them is wrong, and only that one may stop
            self._one_by_one(entries, error)
        else:
            _finish(entries, None)

    def _write_together(self, entries: list[_Entry]) -> None:
        """Steps 3 to 5 and 7 of the protocol, for all of them."""
        store = self._opened()
        for entry in entries:
            for offset, publication in entry.pending.catalogs:
                publications.write(store, entry.number, offset, publication)
        store_checkpoint.write_together(store, *(entry.pending.checkpoint for entry in entries))
        for entry in entries:
            checkpoint = entry.pending.checkpoint
            if self._collected.get(entry.number) != checkpoint.generation:
                store_checkpoint.collect(store, checkpoint)
                self._collected[entry.number] = checkpoint.generation

    def _one_by_one(self, entries: list[_Entry], error: Exception) -> None:
        if len(entries) == 1:
            _finish(entries, error)
            return
        for entry in entries:
            try:
                self._write_together([entry])
            except Exception as own:  # noqa: BLE001 - reported to its owner
                _finish([entry], own)
            else:
                _finish([entry], None)

    def _opened(self) -> Store:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _forget_store(self) -> None:
        if self._store is not None:
            store, self._store = self._store, None
            store.close()


def _finish(entries: list[_Entry], error: Exception | None) -> None:
    for entry in entries:
        entry.done, entry.error = True, error
