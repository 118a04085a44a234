"""Two releases of the code at once, as while one is deployed: OLD knows today's rules, NEW the next ones too.

A log of the simulator may hold the record that switches to the next rules, somewhere: OLD must halt there,
and NEW must fold what stands before it, and state that OLD wrote, by the rules of today. What the next rules
change is one word in every rejected row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tests.simulator.fake_log import NEXT_RULES
from unitrate import engine as engine_module
from unitrate.engine import Engine
from unitrate.store import recovery

OLD, NEW = NEXT_RULES - 1, NEXT_RULES


def run_as(release: int) -> None:
    """From now on the code is of this release."""
    for module in (engine_module, recovery):
        module.ENGINE_VERSION = release  # type: ignore[attr-defined]


@contextmanager
def next_rules() -> Iterator[None]:
    """Code that knows the next rules; they are in force where the log has asked for them."""
    rejected = Engine.rejected

    def by_rules(engine: Engine, offset: int, reason: str, message: str, *rest: Any) -> None:
        is_next = engine.engine_version >= NEXT_RULES
        rejected(engine, offset, reason, f"next: {message}" if is_next else message, *rest)

    before = engine_module.ENGINE_VERSION
    with mock.patch.object(Engine, "rejected", by_rules):
        run_as(NEW)
        try:
            yield
        finally:
            run_as(before)
