"""Ranges read by a thread of their own, one ahead of the fold.

Owns the hand-over only: the same ranges in the same order, and the reader's error where it happened. Reading
and hashing a file hold no lock that the fold needs, so they cost no time where there is a second core.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unitrate.runtime.ranges import Range

_LOOK_UP_S = 0.1  # how often a reader that waits looks whether it is still wanted


class _Reader(threading.Thread):
    def __init__(self, ranges: Iterator[Range]) -> None:
        super().__init__(name="unitrate-read", daemon=True)
        self._ranges = ranges
        self.found: queue.Queue[Range | BaseException | None] = queue.Queue(1)
        self.is_wanted = True

    def run(self) -> None:
        last: BaseException | None = None
        try:
            for part in self._ranges:
                if not self._hand_over(part):
                    return
        except BaseException as error:  # noqa: BLE001  (handed to the fold's thread, which raises it)
            last = error
        self._hand_over(last)

    def _hand_over(self, what: Range | BaseException | None) -> bool:
        while self.is_wanted:
            try:
                self.found.put(what, timeout=_LOOK_UP_S)
            except queue.Full:
                continue
            return True
        return False


def read_ahead(ranges: Iterator[Range]) -> Generator[Range, None, None]:
    """The ranges, each read while the one before it is folded. Raises what reading raises, in its place."""
    reader = _Reader(ranges)
    reader.start()
    try:
        while (part := reader.found.get()) is not None:
            if isinstance(part, BaseException):
                raise part
            yield part
    finally:
        reader.is_wanted = False
        reader.join()
