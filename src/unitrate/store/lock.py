"""The lock of a store folder: one process at a time, told apart by name.

Owns `unitrate.lock`. The kernel's flock decides, so a killed process leaves no stale lock;
the file's content only tells the next one who holds it. Must never be deleted while a store is open.
"""

from __future__ import annotations

import fcntl
import json
import os
from datetime import datetime
from pathlib import Path

from unitrate.errors import StoreBusy, StoreError

LOCK_NAME = "unitrate.lock"


class FolderLock:
    """Held from `acquire` to `release`, or until the process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, folder: Path, label: str, command: str) -> FolderLock:
        """Take the folder's lock. Raises StoreBusy that names the holder."""
        try:
            descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"the store {label} cannot be locked: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreBusy(
                f"the store {label} is in use by {holder}. Wait for it, or use another --store."
            ) from None
        note = {"pid": os.getpid(), "command": command, "since": datetime.now().astimezone().isoformat()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock back; again is no error."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def _holder(descriptor: int) -> str:
    """The holder as a person names it: `process 4121 (unitrate run, since 12:04)`."""
    try:
        note = json.loads(os.pread(descriptor, 4096, 0))
        since = datetime.fromisoformat(note["since"]).astimezone()
        today = datetime.now().astimezone().date()
        when = since.strftime("%H:%M" if since.date() == today else "%Y-%m-%d %H:%M")
        return f"process {note['pid']} ({note['command'] or 'unitrate'}, since {when})"
    except (ValueError, KeyError, TypeError):  # taken a moment ago, its note not written yet
        return "another process"
