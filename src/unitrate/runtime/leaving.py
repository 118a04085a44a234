"""How a worker's process ends: in order, and in any case in time.

Owns the signals once Faust runs. What was folded is flushed by the worker's own hooks; what was not is folded
again, so an end without ceremony loses nothing. Must never cut a flush short that still has its time.
"""

from __future__ import annotations

import logging
import os
import threading

import faust

log = logging.getLogger("unitrate.worker")

# The last checkpoints have 20 s; process managers kill after 30.
END_S = 25.0


def end_within(seconds: float) -> None:
    """End the process by then, whoever still waits for whom."""

    def end() -> None:
        log.warning("it took over %.0f s to leave; ending now, what was not written is folded again", seconds)
        os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


class Worker(faust.Worker):
    """Faust's, ending in time, and deaf to two signals.

    Faust may wait forever for clients that are told to stop while they start. And it answers SIGUSR1 with all
    local variables, passwords among them, SIGUSR2 with a debugger that stops the process.
    """

    def _on_sigterm(self) -> None:
        end_within(END_S)
        super()._on_sigterm()

    def _on_sigint(self) -> None:
        end_within(END_S)
        super()._on_sigint()

    def _on_sigusr1(self) -> None:
        log.warning("SIGUSR1 does nothing here; /partitions on the web port shows how partitions do")

    _on_sigusr2 = _on_sigusr1
