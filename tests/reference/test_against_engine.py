"""The production engine against the reference rater, over drawn logs, and invariants I1–I4, I7, I8.

Hypothesis draws logs, and so does a seeded generator, more evenly. UNITRATE_EXAMPLES=N draws N logs a test
(default 40, of the seeded ones five times as many), UNITRATE_SEED=S begins at seed S. A failure prints the
log as text, made small, and how to replay it.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.reference.catalog_view import DAY
from tests.reference.compare import differences, invariants
from tests.reference.drafts_view import draft_differences
from tests.reference.engine_view import Cut, Row, Run, Store
from tests.reference.rater import EventRecord, Record, Tick, rate
from tests.reference.reduction import reduced
from tests.reference.show import show
from tests.reference.strategies import History, histories, history
from unitrate import fold, ledger, path, prepare
from unitrate.errors import UnitrateError

EXAMPLES = int(os.environ.get("UNITRATE_EXAMPLES", "40"))
FIRST_SEED = int(os.environ.get("UNITRATE_SEED", "0"))
many = settings(max_examples=EXAMPLES, deadline=None)
places = st.frozensets(st.integers(0, 60), max_size=12)


def at(offsets: frozenset[int]) -> Cut:
    """Cut behind the records of these offsets."""
    return lambda offset: offset in offsets


def disagreements(log: History) -> list[str]:
    """All differences between the reference and the engine; none for a log that the engine refuses."""
    try:
        store = Run(log.kafka).all(log.records)
    except UnitrateError:  # only logs that were made smaller have catalogs that do not hold
        return []
    figures = rate(log.records, kafka=log.kafka)
    return differences(figures, store) + draft_differences(figures, store)


def agree(log: History) -> None:
    """Fail with all differences between the reference and the engine."""
    note(show(log))
    store = Run(log.kafka).all(log.records)
    found = differences(rate(log.records, kafka=log.kafka), store)
    assert not found, "\n".join(found)


def test_seeded_logs_come_out_as_the_reference_says() -> None:
    """Both modes, evenly drawn, draft invoices too: the small log that still fails is shown with its seed."""
    for seed in range(FIRST_SEED, FIRST_SEED + 5 * EXAMPLES):
        log = history(random.Random(seed))
        if disagreements(log):
            small = reduced(log, lambda h: bool(disagreements(h)))
            pytest.fail("\n".join([f"UNITRATE_SEED={seed}", show(small), *disagreements(small)]))


def test_seeded_logs_come_out_so_without_the_native_parts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain path is what runs where nothing was compiled."""
    monkeypatch.setattr(fold, "prepare", prepare.prepare)
    monkeypatch.setattr(fold, "join", path.plain_join)
    monkeypatch.setattr(ledger, "Columns", ledger.PlainColumns)
    for seed in range(FIRST_SEED + 5 * EXAMPLES, FIRST_SEED + 6 * EXAMPLES):
        assert disagreements(history(random.Random(seed))) == [], f"UNITRATE_SEED={seed}"


@many
@given(histories(kafka=False))
def test_every_unit_line_and_fate_of_a_file_is_as_the_reference_says(log: History) -> None:
    """Files: the clock is the highest event time; units, f(Q), cost-only rows and fates agree."""
    agree(log)


@many
@given(histories(kafka=True))
def test_every_unit_line_and_fate_of_a_topic_is_as_the_reference_says(log: History) -> None:
    """Kafka: given timestamps, also of old events sent today."""
    agree(log)


@many
@given(histories(), places, places, places)
def test_batches_checkpoints_and_restarts_change_no_row(
    log: History, cuts: frozenset[int], checkpoints: frozenset[int], restarts: frozenset[int]
) -> None:
    """I3: wherever the log is cut, saved and taken up again, the same rows come out, byte for byte."""
    note(show(log))
    whole = Run(log.kafka).all(log.records)
    cut = Run(log.kafka, at(cuts), at(checkpoints), at(restarts), generation_records=9).all(log.records)
    for table in ("lines", "cost_lines", "rejected", "duplicates", "events"):
        assert getattr(whole, table) == getattr(cut, table), table
    assert whole.units == cut.units
    assert {key: row.body for key, row in whole.state.items()} == {
        key: row.body for key, row in cut.state.items()
    }


@many
@given(histories(), places, places)
def test_the_same_checkpoints_write_the_same_unit_rows_whatever_the_batches(
    log: History, cuts: frozenset[int], checkpoints: frozenset[int]
) -> None:
    """I3: a zombie that batches otherwise writes rows that are already there."""
    one = Run(log.kafka, checkpoint=at(checkpoints)).all(log.records)
    other = Run(log.kafka, at(cuts), checkpoint=at(checkpoints)).all(log.records)
    assert sorted(one.unit_rows) == sorted(other.unit_rows)


def timeless(records: Sequence[Record]) -> list[Record]:
    """The log as it would be if all its events reached Kafka within one instant, before a long silence."""
    first, *rest = records
    assert not isinstance(first, Tick)
    now = first.timestamp_us or 0
    events = [replace(r, timestamp_us=now) for r in rest if isinstance(r, EventRecord)]
    return [replace(first, timestamp_us=now), *events]


def numbered(records: Sequence[Record]) -> list[Record]:
    """Offsets in order, and a year of silence behind."""
    found: list[Record] = [replace(r, offset=i) for i, r in enumerate(records)]
    time = max(r.timestamp_us or 0 for r in records if not isinstance(r, Tick))
    return [*found, Tick(len(found), time + 365 * DAY)]


def account_of(record: Record) -> str:
    """Which account an event is of, read as text, so that malformed ones have a place too."""
    assert isinstance(record, EventRecord)
    return record.raw.partition(b'"subject":"')[2].partition(b'"')[0].decode()


def by_name(store: Store) -> dict[tuple[str, ...], tuple[object, ...]]:
    """Final figures of every unit, without what tells of offsets."""
    columns = "disposition reason period ended requests attempts cost revenue billable_quantity".split()
    return {(u["account"], u["meter"], u["key"]): tuple(u[c] for c in columns) for u in store.units.values()}


@many
@given(histories(kafka=True), st.data())
def test_repeats_and_other_interleaving_change_no_figure(log: History, data: st.DataObject) -> None:
    """I3: while no deadline passes, events may come any number of times and accounts in any mixture."""
    first, *events = timeless(log.records)
    queues: dict[str, list[Record]] = defaultdict(list)
    for event in events:
        queues[account_of(event)].append(event)
    mixed: list[Record] = []
    while any(queues.values()):
        queue = data.draw(st.sampled_from([q for _, q in sorted(queues.items()) if q]))
        mixed.append(queue.pop(0))
        if data.draw(st.integers(0, 3)) == 3:
            mixed.append(data.draw(st.sampled_from(mixed)))
    plain = Run(kafka=True).all(numbered([first, *events]))
    other = Run(kafka=True).all(numbered([first, *mixed]))
    assert by_name(plain) == by_name(other)


@many
@given(histories())
def test_ledgers_of_lines_and_costs_add_up(log: History) -> None:
    """I1, I2, I4 from the engine's rows alone: lines to revenue, cost lines to unit costs, fates disjoint."""
    store = Run(log.kafka).all(log.records)
    assert invariants(store) == []
    of_requests = sum(e["cost"] for e in store.events if e["type"] == "ai.request")
    of_units = sum(u["cost"] for u in store.units.values())
    alone = sum(row["cost"] for row in store.cost_lines if row["meter"] == "")
    assert of_units + alone - of_requests == repriced(store)
    received = sum(isinstance(r, EventRecord) for r in log.records)
    rejected = [r for r in store.rejected if r["reason"] != "unit_final"]
    assert received == len(store.events) + len(store.duplicates) + len(rejected)


def repriced(store: Store) -> int:
    """Cost that a later catalog gave to requests which nobody had priced at their time."""
    events: dict[str, list[Row]] = defaultdict(list)
    for event in store.events:
        events[event["unit_id"]].append(event)
    return sum(
        unit["cost"] - sum(e["cost"] for e in events[unit_id])
        for unit_id, unit in store.units.items()
        if any(e["unpriced"] for e in events[unit_id])
    )


@many
@given(histories())
def test_a_unit_is_explained_by_its_requests(log: History) -> None:
    """I8: the requests in the ledger that name a unit are as many as it says, and cost what it says."""
    store = Run(log.kafka).all(log.records)
    for unit_id, unit in store.units.items():
        requests = [e for e in store.events if e["unit_id"] == unit_id and e["type"] == "ai.request"]
        assert len(requests) == unit["requests"]
        if not any(e["unpriced"] for e in requests):
            assert sum(e["cost"] for e in requests) == unit["cost"]


@many
@given(histories())
def test_state_holds_units_only_while_something_can_change_them(log: History) -> None:
    """I7: final units leave nothing but a stub; only held ones wait for a catalog."""
    store = Run(log.kafka).all(log.records)
    kept = {entity.decode() for kind, entity in store.state if kind == "unit"}
    waiting = {i for i, u in store.units.items() if u["state"] != "final" or u["disposition"] == "held"}
    assert kept <= waiting
