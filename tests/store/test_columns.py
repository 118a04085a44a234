"""Encoding of the engine's rows as columns: exact, frozen, and refused where they do not fit."""

from __future__ import annotations

from array import array
from decimal import Decimal

import numpy as np
import pytest

from tests.store.builders import PICO, a_line, a_unit, an_event, events
from unitrate import rows
from unitrate.errors import InvariantError
from unitrate.rows import StateRow
from unitrate.store import columns


def test_amounts_are_exact_in_every_range() -> None:
    amounts = [0, 1, -1, 2**63 - 1, -(2**63)]
    table = columns.from_rows(rows.LINES, [a_line(amount=amount) for amount in amounts])
    assert table.column("amount").to_pylist() == [Decimal(amount).scaleb(-12) for amount in amounts]
    wide = [10**38 - 1, -(10**38 - 1), 2**63]
    table = columns.from_rows(rows.LINES, [a_line(amount=amount) for amount in wide])
    assert [int(str(value).replace(".", "")) for value in table.column("amount").to_pylist()] == wide


def test_an_amount_that_the_store_cannot_hold_stops_everything() -> None:
    """It must not wrap."""
    with pytest.raises(InvariantError, match="more than 26 digits before the point"):
        columns.from_rows(rows.LINES, [a_line(amount=10**38)])


def test_a_count_below_zero_stops_everything() -> None:
    with pytest.raises(OverflowError):
        columns.from_rows(rows.UNITS, [a_unit(requests=-1)])


def test_masked_values_are_null() -> None:
    """The engine gives nullable money as a masked array."""
    given = events(an_event("a"), an_event("b"))
    given.columns["cost_computed"] = np.ma.masked_less(np.array([-1, 5 * PICO], np.int64), 0)
    assert columns.from_events(given, 0).column("cost_computed").to_pylist() == [None, Decimal(5)]


def test_a_frozen_table_does_not_see_what_comes_later() -> None:
    """Buffers that go on growing must not reach into a checkpoint."""
    given = events(an_event("a", model="x"))
    table = columns.from_events(given, 3)
    given.columns["offset"][0] = 99
    given.columns["model"][0] = 7
    given.codes["model"]["y"] = 1
    assert table.column("offset").to_pylist() == [1]
    assert table.column("model").to_pylist() == ["x"]
    assert table.column("partition").to_pylist() == [3]


def test_a_column_that_the_engine_forgot_stops_everything() -> None:
    given = events(an_event())
    del given.columns["cost"]
    with pytest.raises(InvariantError, match=r"no values for events\.cost"):
        columns.from_events(given, 0)


def test_a_column_that_is_too_short_stops_everything() -> None:
    given = events(an_event("a"), an_event("b"))
    given.columns["cost"] = array("q", [1])
    with pytest.raises(InvariantError, match=r"events\.cost has 1 values for 2 events"):
        columns.from_events(given, 0)


def test_state_facts_keep_their_bytes() -> None:
    facts = [StateRow("unit", b"\x00\xff", 5, b"\x81\xa1"), StateRow("account", b"a", 6, b"")]
    table = columns.from_state(facts, 2, 100)
    assert table.column("entity").to_pylist() == [b"\x00\xff", b"a"]
    assert table.column("body").to_pylist() == [b"\x81\xa1", b""]
    assert table.column("generation").to_pylist() == [100, 100]
