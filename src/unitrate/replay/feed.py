"""A log into an engine: the same records in the same order, in batches that stay in the processor's caches.

Owns the fold of blocks and of records that are no events. What the engine gives is the caller's to drain.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unitrate.engine import Batch, Engine
from unitrate.replay.log import Block, Record

BATCH_RECORDS = 128
NO_GENERATION = 1 << 62  # a replay takes no checkpoints, so no generation may ask for one
# Events that were taken were not in the future when they entered the log; nor are they now.
ENTERED_US = 1 << 61


def an_engine(partition: int = 0) -> Engine:
    """An engine before its first record."""
    return Engine(partition, generation_records=NO_GENERATION)


@contextmanager
def uncollected() -> Iterator[None]:
    """The fold makes no cycles, and the collector would walk all units again and again."""
    collects = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if collects:
            gc.enable()


def fold(engine: Engine, item: Block | Record, after: Callable[[Engine], None] | None = None) -> int:
    """Fold a block or a record; returns how many records that were. `after` is called after each batch."""
    if isinstance(item, Record):
        if item.kind == "tick":
            engine.tick(item.offset, item.time_us)
        else:
            engine.control(item.offset, None, item.kind, item.control_id, item.body)
        return 1
    raws, offsets = item.raws, item.offsets
    for start in range(0, len(raws), BATCH_RECORDS):
        end = start + BATCH_RECORDS
        engine.fold(Batch(raws[start:end], offsets[start:end], ENTERED_US, None, _place))
        if after is not None:
            after(engine)
    return len(raws)


def _place(index: int) -> str:
    return f"record {index} of a replay"
