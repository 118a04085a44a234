"""What an engine finds after recovery is what it would have found without."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.builders import FOREVER_US, a_catalog, an_event, raw
from unitrate.engine import Batch, Engine
from unitrate.rows import REJECTED, StateRow

CATALOG = a_catalog(
    dedupe="1d",
    accounts={},
    meters={"review": {"unit": "run", "workflow": "review", "settle": "1h", "reopen": {"within": "30m"}}},
)


def at(hour: int, name: str, **changes: Any) -> bytes:
    return raw(an_event(id=name, time=f"2026-10-{5 + hour // 24:02d}T{hour % 24:02d}:00:00Z", **changes))


HELD = at(0, "done", type="work.completed", data__provider=None, data__model=None)
NEXT = at(6, "next")  # opens r1~2, which silence ends a day later
LATER = at(90, "later", data__run_id="r2")  # both are final then, and r1~2 is before the horizon
VERDICT = at(91, "verdict", type="work.accepted", data__provider=None, data__model=None)


def folded(*, restart: bool) -> Engine:
    """An engine that took the log; `restart`: it died before the last record."""
    engine = Engine()
    engine.publish(0, CATALOG)
    state: dict[tuple[str, bytes], StateRow] = {}
    for offset, record in enumerate((HELD, NEXT, LATER, VERDICT), 1):
        if restart and record is VERDICT:
            checkpoint = engine.checkpoint()
            state |= {(row.kind, row.entity): row for row in checkpoint.state}
            living = [row for row in state.values() if row.body]
            engine = Engine.restore(0, checkpoint.meta, living, [(0, CATALOG)], [], [])
        engine.fold(Batch([record], [offset], FOREVER_US, None, str))
    return engine


@pytest.mark.parametrize("restart", [False, True])
def test_a_held_unit_whose_key_has_moved_on_is_not_found_by_it_again(restart: bool) -> None:
    """The next unit of the key is forgotten, the held one waits for a plan: the verdict has no unit."""
    engine = folded(restart=restart)
    assert engine.held_units == 1
    (rejected,) = engine.checkpoint().output.rejected
    assert dict(zip((c.name for c in REJECTED), rejected, strict=True))["reason"] == "no_unit"
