"""A run that kills itself: `python -m tests.embedded.crashing STORE INSERT BEFORE|AFTER FILES…`.

Dies by SIGKILL at its INSERTth insert, before or after the engine did it; 0 never. Ranges, checkpoints and
generations are small, so that a short history crosses many of them.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.embedded.builders import run
from unitrate.engine import Engine
from unitrate.runtime import ranges, session
from unitrate.store import Store

RANGE_RECORDS, CHECKPOINT_RECORDS, GENERATION_RECORDS = 170, 300, 500


class _SmallEngine(Engine):
    def __init__(self, partition: int = 0, generation_records: int = GENERATION_RECORDS) -> None:
        super().__init__(partition, generation_records)

    @classmethod
    def restore(cls, *arguments: Any, **named: Any) -> Engine:
        engine = super().restore(*arguments, **named)
        engine.generation_records = GENERATION_RECORDS
        return engine


def small_steps() -> None:
    """Many ranges, checkpoints and generations in a short history."""
    from unitrate.store import recovery

    ranges.RANGE_RECORDS = RANGE_RECORDS
    session.CHECKPOINT_RECORDS = CHECKPOINT_RECORDS
    for module in (session, recovery):
        setattr(module, "Engine", _SmallEngine)  # noqa: B010


def die_at(number: int, *, after: bool, death: Any) -> None:
    """Call `death` at the numberth insert from now on, and at every later one."""
    insert, seen = Store.insert, 0

    def counted(self: Store, *arguments: Any) -> None:
        nonlocal seen
        seen += 1
        if 0 < number <= seen and not after:
            death()
        insert(self, *arguments)
        if 0 < number <= seen:
            death()

    setattr(Store, "insert", counted)  # noqa: B010


if __name__ == "__main__":
    small_steps()
    die_at(int(sys.argv[2]), after=sys.argv[3] == "AFTER", death=lambda: os.kill(os.getpid(), signal.SIGKILL))
    run(Path(sys.argv[1]), *sys.argv[4:])
