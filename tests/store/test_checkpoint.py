"""The store's half of the checkpoint protocol, on the real engine."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.store.builders import (
    NOVEMBER_US,
    PICO,
    a_checkpoint,
    a_cost_line,
    a_line,
    a_row,
    a_unit,
    an_event,
    events,
)
from unitrate import rows
from unitrate.errors import StoreError
from unitrate.rows import StateRow
from unitrate.store import Store, checkpoint


def fact(entity: bytes, version: int, body: bytes) -> StateRow:
    return StateRow("unit", entity, version, body)


def test_event_columns_arrive_with_their_values(store: Store) -> None:
    """Every kind of column comes back as it was: text, code, flag, time, count, exact money and NULL."""
    event = an_event(
        cost=4_596_000_000,
        cost_billed=-1,
        input_tokens=7012,
        background=1,
        time=NOVEMBER_US + 1,
        unit_id="0f" * 16,
        completion=PICO // 2,
        model="gemini",
    )
    store.write_checkpoint(a_checkpoint(output=rows.Output(events(event, an_event("e2", offset=2)))))
    (row,) = store.query(
        "SELECT partition, offset, account, id, model, background, input_tokens, "
        "cost, cost_computed, cost_billed, toUnixTimestamp64Micro(time), unit_id, completion "
        "FROM events WHERE id = 'e1'"
    ).rows
    assert row[:7] == (0, 1, "acme", "e1", "gemini", True, 7012)
    assert row[7:10] == (Decimal("0.004596"), None, Decimal("-0.000000000001"))
    assert row[10:] == (NOVEMBER_US + 1, "0f" * 16, Decimal("0.5"))


def test_an_event_without_a_unit_has_an_empty_unit_id(store: Store) -> None:
    """An empty identifier is empty text."""
    store.write_checkpoint(a_checkpoint(output=rows.Output(events(an_event()))))
    assert store.query("SELECT unit_id FROM events").rows == [("",)]


def test_amounts_beyond_64_bits_are_exact(store: Store) -> None:
    """Quantities of more than nine million units do not wrap."""
    big = 12_345_678_901_234 * PICO + 1
    line = a_line(quantity=big, amount=-big, total_before=1)
    store.write_checkpoint(a_checkpoint(output=rows.Output(events(), lines=[line])))
    ((quantity, amount),) = store.query("SELECT quantity, amount FROM lines FINAL").rows
    assert quantity == Decimal("12345678901234.000000000001") == -amount


def test_writing_a_checkpoint_twice_changes_nothing(store: Store) -> None:
    """What a restarted process writes again is there once."""
    output = rows.Output(
        events(an_event()),
        units=[a_unit(version=1)],
        lines=[a_line(version=1, amount=PICO)],
        cost_lines=[a_cost_line(version=1, cost=PICO)],
        rejected=[a_row(rows.REJECTED, offset=3, version=3, raw=b"\xff\x00{")],
        duplicates=[a_row(rows.DUPLICATES, offset=4, version=4)],
    )
    once = a_checkpoint(output=output, state=[fact(b"u1", 1, b"x")])
    store.write_checkpoint(once)
    store.write_checkpoint(once)
    for table in (
        "events",
        "units",
        "lines",
        "cost_lines",
        "rejected_events",
        "duplicates",
        "state",
        "checkpoints",
    ):
        assert store.query(f"SELECT count() FROM {table} FINAL").rows == [(1,)], table
    assert store.query("SELECT hex(raw) FROM rejected_events FINAL").rows == [("FF007B",)]


def test_the_first_of_two_events_with_one_identity_stays(store: Store) -> None:
    """A row of a higher offset, left by a process that died, does not hide the first."""
    for offset in (5, 2):
        store.write_checkpoint(
            a_checkpoint(last_offset=9, output=rows.Output(events(an_event(offset=offset))))
        )
    assert store.query("SELECT offset FROM events FINAL").rows == [(2,)]


def test_recovery_reads_the_state_at_the_marker(store: Store) -> None:
    """Facts past the marker are not read, older facts of an entity give way, ended entities are left out."""
    first = [fact(b"a", 1, b"a1"), fact(b"b", 2, b"b2"), fact(b"c", 3, b"c3")]
    store.write_checkpoint(a_checkpoint(last_offset=5, state=first))
    live = [fact(b"a", 7, b"a7"), fact(b"c", 3, b"c3")]
    store.write_checkpoint(
        a_checkpoint(last_offset=9, state=[fact(b"a", 7, b"a7"), fact(b"b", 8, b"")], live=live)
    )
    checkpoint.write_state(
        store, a_checkpoint(last_offset=12, state=[fact(b"c", 11, b"c11")])
    )  # no marker came

    recovered = checkpoint.recover(store, 0)
    assert recovered is not None
    assert (recovered.marker.last_offset, recovered.state) == (9, live)


def test_a_store_without_a_marker_has_nothing_to_recover(store: Store) -> None:
    assert checkpoint.recover(store, 0) is None


def test_state_that_does_not_match_its_marker_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that lost a fact must not go on billing."""
    monkeypatch.setattr(checkpoint, "_LOAD_TRIES", 1)
    store.write_checkpoint(a_checkpoint(state=[fact(b"a", 1, b"a1")], live=[fact(b"a", 1, b"other")]))
    with pytest.raises(StoreError, match="does not match its last checkpoint"):
        checkpoint.recover(store, 0)


def test_generations_older_than_the_previous_one_are_dropped(store: Store) -> None:
    """Only of this partition, and never the previous generation."""
    for partition in (0, 1):
        for generation in (0, 10, 20):
            state = [fact(b"a", generation, b"x")]
            store.write_checkpoint(
                a_checkpoint(partition=partition, generation=generation, last_offset=generation, state=state)
            )
            if partition == 1 and generation == 10:
                break
    found = store.query("SELECT partition, generation FROM state ORDER BY partition, generation").rows
    assert found == [(0, 10), (0, 20), (1, 0), (1, 10)]


def test_identities_end_at_the_marker_and_at_the_horizon(store: Store) -> None:
    """An event that a dead process wrote past the marker has not been seen; an old one is forgotten."""
    given = events(
        an_event("old", offset=1, time=NOVEMBER_US - 40 * 86_400_000_000),
        an_event("in", offset=2),
        an_event("past", offset=3, time=NOVEMBER_US + 1),
    )
    store.write_checkpoint(a_checkpoint(last_offset=2, output=rows.Output(given)))
    marker = checkpoint.read_marker(store, 0)
    assert marker is not None
    chunks = list(checkpoint.read_identities(store, marker, 35 * 86_400_000_000))
    assert chunks == [(["acme"], ["gw"], ["in"], [NOVEMBER_US])]


def test_each_account_has_its_own_horizon(store: Store) -> None:
    """A quiet account still remembers what is old for a busy one; whole months inside need no look."""
    day_us = 86_400_000_000
    given = events(
        an_event("busy-old", 1, time=NOVEMBER_US - 60 * day_us),
        an_event("busy-new", 2, time=NOVEMBER_US + day_us),
        an_event("quiet", 3, account="quiet", source="other", time=NOVEMBER_US - 60 * day_us),
    )
    store.write_checkpoint(a_checkpoint(last_offset=9, output=rows.Output(given)))
    marker = checkpoint.read_marker(store, 0)
    assert marker is not None
    found = {
        (account, source, name)
        for chunk in checkpoint.read_identities(store, marker, 35 * day_us)
        for account, source, name, _ in zip(*chunk, strict=True)
    }
    assert found == {("acme", "gw", "busy-new"), ("quiet", "other", "quiet")}


def test_final_units_are_read_up_to_the_marker(store: Store) -> None:
    """Newest version of each unit, final ones only."""
    units = [
        a_unit(unit_id="01" * 16, version=1, state="sealed", ended=NOVEMBER_US, key="k1"),
        a_unit(
            unit_id="01" * 16, version=4, state="final", ended=NOVEMBER_US, key="k1", meter="m", runs='["r"]'
        ),
        a_unit(
            unit_id="02" * 16, version=2, state="final", ended=NOVEMBER_US + 5, key="k2", meter="m", runs="[]"
        ),
        a_unit(unit_id="03" * 16, version=9, state="final", ended=NOVEMBER_US, key="k3"),
    ]
    output = rows.Output(events(an_event()), units=units)
    store.write_checkpoint(a_checkpoint(last_offset=5, output=output))
    marker = checkpoint.read_marker(store, 0)
    assert marker is not None
    assert list(checkpoint.read_finals(store, marker, 35 * 86_400_000_000)) == [
        ("acme", "m", "k1", 1, NOVEMBER_US, '["r"]'),
        ("acme", "m", "k2", 1, NOVEMBER_US + 5, "[]"),
    ]
