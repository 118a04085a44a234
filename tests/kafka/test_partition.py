"""One partition's fold and recovery, without a broker: no record stops it, and a wrong log always does."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from tests.kafka.traffic import CATALOG
from tests.reference.builders import START, an_event, raw
from tests.reference.engine_view import publication_of
from tests.simulator.fake_log import LogRecord
from unitrate.engine import Engine
from unitrate.errors import LogError
from unitrate.placement import partition_of
from unitrate.runtime.log_records import (
    Record,
    control_headers,
    engine_body,
    genesis_body,
    tick_headers,
)
from unitrate.runtime.partition import Partition, check_log, check_new_log, mark_of
from unitrate.store.checkpoint import Marker

PARTITIONS = 4
NOW_MS = START // 1000 + 60_000


class ALog:
    """A log view over records of partition 0."""

    def __init__(self, *records: LogRecord, partitions: int = PARTITIONS, start: int | None = None) -> None:
        self.partitions = partitions
        self._records = records
        self._start = start if start is not None else (records[0].offset if records else 0)

    def bounds(self, partition: int) -> tuple[int, int]:
        return self._start, self._records[-1].offset + 1 if self._records else self._start

    def first_at(self, partition: int, offset: int) -> Record | None:
        found = (r for r in self._records if r.offset >= offset)
        return next((Record(r.offset, r.timestamp * 1000, r.key, r.value, r.headers) for r in found), None)


def a_record(offset: int, value: bytes = b"", headers: Any = ()) -> LogRecord:
    return LogRecord(offset, NOW_MS + offset, None, value, tuple(headers))


def genesis(offset: int = 0, partitions: int = PARTITIONS) -> LogRecord:
    return a_record(offset, genesis_body("log", partitions), control_headers("genesis", "log"))


def catalog(offset: int) -> LogRecord:
    return a_record(offset, publication_of(CATALOG), control_headers("catalog", f"catalog:{offset}"))


def an_account(home: int) -> str:
    """An account that is at home in a partition."""
    return next(name for n in range(100) if partition_of(name := f"account-{n}", PARTITIONS) == home)


def folded(*records: LogRecord) -> Any:
    """What the first checkpoint after these records writes."""
    partition = Partition(0, Engine(0))
    assert list(partition.fold(cast("Any", records))) == []
    return partition.checkpoint().checkpoint


def reasons(checkpoint: Any) -> list[str]:
    return [row[4] for row in checkpoint.output.rejected]


def test_an_event_at_home_is_accepted() -> None:
    """The plain case: genesis, catalog, an event."""
    event = raw(an_event(account=an_account(0), workflow="lead"))
    checkpoint = folded(genesis(), catalog(2), a_record(3, event))
    assert (checkpoint.output.events.count, reasons(checkpoint)) == (1, [])


def test_an_event_away_from_home_is_rejected() -> None:
    """A producer with another partitioner would split an account's counters; its events are kept aside."""
    event = raw(an_event(account=an_account(1), workflow="lead"))
    checkpoint = folded(genesis(), catalog(2), a_record(3, event))
    assert (checkpoint.output.events.count, reasons(checkpoint)) == (0, ["wrong_partition"])


def test_an_event_before_the_first_catalog_can_be_retried() -> None:
    """Nothing can rate it, and nothing stops for it."""
    assert reasons(folded(genesis(), a_record(2, raw(an_event())), catalog(3))) == ["no_catalog"]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{}", b'{"format": 1}', b"[" * 50_000])
@pytest.mark.parametrize("kind", ["catalog", "genesis", "engine"])
def test_a_malformed_control_record_is_rejected_whole(kind: str, body: bytes) -> None:
    """Whoever can write the topic cannot stop it."""
    checkpoint = folded(genesis(), a_record(2, body, control_headers(kind, "x")), catalog(3))
    assert reasons(checkpoint) == ["bad_control"]
    assert checkpoint.output.rejected[0][-1] == body
    assert checkpoint.output.rejected[0][-2] == "unitrate.log[0]@2"


def test_a_catalog_that_was_published_twice_counts_once() -> None:
    """The publisher's retry has the same id."""
    again = a_record(4, publication_of(CATALOG), control_headers("catalog", "catalog:2"))
    checkpoint = folded(genesis(), catalog(2), again)
    assert (checkpoint.meta["control_seq"], checkpoint.meta["catalogs"]) == (2, ["first"])


def test_ticks_only_move_the_time() -> None:
    """A tick has no number and makes no row."""
    checkpoint = folded(genesis(), catalog(2), a_record(70_000, b"", tick_headers()))
    assert checkpoint.meta["clock_us"] == (NOW_MS + 70_000) * 1000
    assert checkpoint.meta["control_seq"] == 2


@pytest.mark.parametrize(
    ("kind", "body"), [("from-the-future", b"{}"), ("engine", b'{"version": 99}'), ("genesis", None)]
)
def test_what_this_code_must_not_pass_stops_it(kind: str, body: bytes | None) -> None:
    """An unknown kind, a newer engine, another log: the partition halts before anything changes."""
    value = body if body is not None else genesis_body("another", PARTITIONS)
    partition = Partition(0, Engine(0))
    with pytest.raises(LogError):
        list(
            partition.fold(
                cast("Any", [genesis(), a_record(2, value, control_headers(kind, "x")), catalog(3)])
            )
        )
    assert partition.engine.last_offset == 0


def test_the_rules_are_the_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that knows newer rules folds by the log's until a record switches, and markers say which."""
    monkeypatch.setattr("unitrate.engine.ENGINE_VERSION", 3)
    assert folded(genesis(), catalog(1)).meta["engine_version"] == 1
    switch = a_record(2, engine_body(2), control_headers("engine", "engine:2"))
    assert folded(genesis(), catalog(1), switch).meta["engine_version"] == 2
    back = a_record(3, engine_body(1), control_headers("engine", "engine:1"))
    assert folded(genesis(), catalog(1), switch, back).meta["engine_version"] == 2


def test_the_marker_knows_its_last_record() -> None:
    """Offset, append time and checksum of the last record go with every checkpoint."""
    last = a_record(2, publication_of(CATALOG), control_headers("catalog", "c"))
    record = ALog(genesis(), last).first_at(0, 2)
    assert record is not None
    assert folded(genesis(), last).meta["record"] == mark_of(record)


# ---------------------------------------------------------------- the log must be the one


def a_marker(last: LogRecord, partitions: int = PARTITIONS) -> Marker:
    record = ALog(last).first_at(0, last.offset)
    assert record is not None
    meta = {"partitions": partitions, "record": mark_of(record), "engine_version": 1}
    return Marker(0, 0, last.offset, meta, {})


LAST = a_record(5, b"last")


@pytest.mark.parametrize(
    "log",
    [
        ALog(genesis(), LAST),
        ALog(LAST, a_record(9, b"more")),
        ALog(a_record(6, b"more")),  # the last record itself expired, nothing after it
    ],
)
def test_the_log_that_was_read_is_taken(log: ALog) -> None:
    """The record is there, or has expired with all before it."""
    check_log(a_marker(LAST), log)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (ALog(genesis(), a_record(3)), "truncated or made anew"),
        (ALog(a_record(8, b"more")), "expired before they were read"),
        (ALog(genesis(), a_record(5, b"other")), "made anew"),
        (ALog(genesis(), LAST._replace(timestamp=1)), "made anew"),
        (ALog(genesis(), LAST, partitions=8), "8 partitions"),
    ],
)
def test_another_log_is_refused(log: ALog, words: str) -> None:
    """Truncated, expired too early, re-created, or with other partitions: it stops and says so."""
    with pytest.raises(LogError, match=words):
        check_log(a_marker(LAST), log)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (ALog(), "unitrate init"),
        (ALog(a_record(0, b"{}")), "no genesis"),
        (ALog(genesis(7), start=7), ""),
        (ALog(a_record(7), start=7), "expired"),
        (ALog(genesis(partitions=2)), "4 partitions"),
    ],
)
def test_a_new_partition_begins_with_its_genesis(log: ALog, words: str) -> None:
    """Without a checkpoint the log must be whole; the genesis may follow aborted transactions."""
    if not words:
        assert check_new_log(0, log) == 7
        return
    with pytest.raises(LogError, match=words):
        check_new_log(0, log)


def test_a_binary_event_is_folded_like_a_structured_one() -> None:
    """Both modes of CloudEvents over Kafka give the same row."""
    event = an_event(account=an_account(0), workflow="lead")
    headers = [(f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data"]
    value = json.dumps(event["data"]).encode()
    for record in (a_record(3, raw(event)), a_record(3, value, headers)):
        assert folded(genesis(), catalog(2), record).output.events.count == 1
