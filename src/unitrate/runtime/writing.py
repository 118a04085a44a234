"""The insert thread of an embedded run: one at a time, in order, while the fold goes on.

Owns the order in which a run's results become durable: manifest rows, catalogs, then the checkpoint. The
first failure stops it; the fold learns of it at its next hand-over, and nothing later is written.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unitrate.rows import Checkpoint
from unitrate.runtime import embedded_log
from unitrate.store import publications

if TYPE_CHECKING:
    from unitrate.runtime.embedded_log import Entry
    from unitrate.store import Store


@dataclass(frozen=True, slots=True)
class Job:
    """What becomes durable together: log rows that are new or were only now processed, and a checkpoint."""

    appended: list[Entry] = field(default_factory=list)  # not in the store yet
    processed: list[Entry] = field(default_factory=list)  # all records of which the checkpoint covers
    checkpoint: Checkpoint | None = None


def write(store: Store, job: Job) -> None:
    """Write one job; again with the same job changes nothing."""
    embedded_log.append(store, job.appended)  # 1: what the offsets stand for
    for entry in job.processed:  # 2: what recovery needs beside rows and state
        if entry.kind == "publication":
            publications.write(store, 0, entry.base_offset, entry.payload)
        elif entry.kind == "retry":
            embedded_log.note_retried(store, entry)
    if job.checkpoint is not None:
        store.write_checkpoint(job.checkpoint)  # 3: rows, state, marker
        spooled = [entry.seq for entry in job.processed if entry.spool]
        embedded_log.drop_spool(store, spooled)  # 4: the marker is durable
        store.release_memory()


class Writer:
    """The thread, with a connection of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store.writer()
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="unitrate-insert", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Hand a job over when the one before is written. Raises what an earlier job raised.

        So there are a checkpoint's rows in memory twice at most: those being written, and those being made.
        """
        self.flush()
        self._jobs.put(job)

    def flush(self) -> None:
        """Wait until all that was handed over is durable."""
        self._jobs.join()
        self._raise()

    def close(self) -> None:
        """Wait until all is written. Raises what a job raised."""
        self._jobs.put(None)
        self._thread.join()
        self._store.close()
        self._raise()

    def abandon(self) -> None:
        """Let the job that is being written end, and write no further one."""
        self._failure = self._failure or RuntimeError("abandoned")
        self._jobs.put(None)
        self._thread.join()
        self._store.close()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if self._failure is None:
                    write(self._store, job)
            except BaseException as error:  # noqa: BLE001  (handed to the fold's thread, which raises it)
                self._failure = error
            finally:
                self._jobs.task_done()
