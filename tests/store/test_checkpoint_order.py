"""A marker vouches for rows: none is written before everything that it stands for is there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.builders import PICO, a_checkpoint, a_cost_line, a_line, a_row, a_unit, an_event, events
from unitrate import rows
from unitrate.rows import StateRow
from unitrate.store import Store, checkpoint

TABLES = ("events", "units", "lines", "cost_lines", "rejected_events", "duplicates", "state")


def full_checkpoint() -> rows.Checkpoint:
    """A checkpoint with a row for every table."""
    output = rows.Output(
        events(an_event()),
        units=[a_unit(version=1)],
        lines=[a_line(version=1, amount=PICO)],
        cost_lines=[a_cost_line(version=1, cost=PICO)],
        rejected=[a_row(rows.REJECTED, offset=3, version=3)],
        duplicates=[a_row(rows.DUPLICATES, offset=4, version=4)],
    )
    return a_checkpoint(output=output, state=[StateRow("unit", b"u1", 1, b"x")])


@pytest.mark.parametrize("table", TABLES)
def test_a_checkpoint_that_dies_before_a_table_leaves_no_marker(
    store: Store, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever insert is the one that never happens, recovery starts before it; again, all is there."""
    insert = store.insert

    def dying(name: str, rows_to_insert: Any) -> None:
        if name == table:
            raise ConnectionResetError
        insert(name, rows_to_insert)

    with monkeypatch.context() as dead:
        dead.setattr(store, "insert", dying)
        with pytest.raises(ConnectionResetError):
            store.write_checkpoint(full_checkpoint())
    assert checkpoint.read_marker(store, 0) is None

    store.write_checkpoint(full_checkpoint())
    assert checkpoint.read_marker(store, 0) is not None
    assert [store.query(f"SELECT count() FROM {name} FINAL").rows for name in TABLES] == [[(1,)]] * len(
        TABLES
    )
