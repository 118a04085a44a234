"""What of the production code is another while a simulation runs: encoders, sleeps, and what takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import SimpleNamespace
from unittest import mock

from tests.simulator.fake_store import events_block, rows_block, state_block
from tests.simulator.releases import next_rules
from unitrate import engine as engine_module
from unitrate.catalog.publication import compile_publication
from unitrate.runtime import partition as partition_module
from unitrate.store import checkpoint as checkpoint_module
from unitrate.store import columns


@contextmanager
def production_code_over_fakes(
    sleep: Callable[[float], None], *, checks_digest: bool = True
) -> Iterator[None]:
    """Rows instead of Arrow, publications compiled once, sleeps as given, and rules that are yet to come."""
    compiled = lru_cache(maxsize=8)(compile_publication)
    with ExitStack() as stack:
        patch = stack.enter_context
        patch(mock.patch.object(columns, "from_rows", rows_block))
        patch(mock.patch.object(columns, "from_events", events_block))
        patch(mock.patch.object(columns, "from_state", state_block))
        patch(mock.patch.object(checkpoint_module, "time", SimpleNamespace(sleep=sleep)))
        patch(mock.patch.object(engine_module, "compile_publication", compiled))
        patch(mock.patch.object(partition_module, "compile_publication", compiled))
        # A generation would need four times as many records as entities: these logs are too short for that.
        patch(mock.patch.object(engine_module.Engine, "live_entities", 0))
        patch(next_rules())
        if not checks_digest:
            patch(mock.patch.object(checkpoint_module, "digest", return_value={}))
        yield
