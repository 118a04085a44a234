"""What the store must hold, by two witnesses that saw the log and nothing of what befell the workers.

`assert_exact` reads the whole log, folds it once, undisturbed, into a database beside, and asks ClickHouse
whether any row of any table differs; and it asks the reference rater for every figure.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.kafka.traffic import CATALOG
from tests.reference import rater
from tests.reference.compare import differences
from tests.reference.engine_view import Store as View
from tests.reference.month_records import Rerate
from tests.reference.rerates import rerate
from tests.reference.walk import Walk
from unitrate import rows
from unitrate.engine import GENERATION_RECORDS, Engine
from unitrate.runtime.log_records import CATALOG as CATALOG_KIND
from unitrate.runtime.log_records import LOG_TOPIC, RERATE, event_bytes, kind_of
from unitrate.runtime.partition import Partition, Pending, write
from unitrate.store import Store, open_store
from unitrate.store.checkpoint import read_marker

TABLES = {
    "events": rows.EVENTS,
    "units": rows.UNITS,
    "lines": rows.LINES,
    "cost_lines": rows.COST_LINES,
    "rejected_events": rows.REJECTED,
    "duplicates": rows.DUPLICATES,
}
KAFKA_REASONS = ("wrong_partition", "no_catalog", "bad_control")
Log = dict[int, list[Any]]


def read_log(bootstrap: str) -> Log:
    """Every committed record, by partition."""
    return asyncio.run(_read_log(bootstrap))


async def _read_log(bootstrap: str) -> Log:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        numbers = consumer.partitions_for_topic(LOG_TOPIC) or set()
        pairs = [TopicPartition(LOG_TOPIC, number) for number in numbers]
        consumer.assign(pairs)
        await consumer.seek_to_beginning(*pairs)
        ends = await consumer.end_offsets(pairs)
        log: Log = {pair.partition: [] for pair in pairs}
        while any([await consumer.position(pair) < ends[pair] for pair in pairs]):
            for pair, records in (await consumer.getmany(timeout_ms=500)).items():
                log[pair.partition] += [record for record in records if record.offset < ends[pair]]
        return log
    finally:
        await consumer.stop()


def replay(
    number: int, records: Sequence[Any], generation_records: int = GENERATION_RECORDS
) -> tuple[View, list[Pending]]:
    """One undisturbed fold of one partition."""
    partition = Partition(number, Engine(number, generation_records))
    pendings = [*partition.fold(records), partition.checkpoint()]
    view = View()
    for pending in pendings:
        view.write(pending.checkpoint)
    return view, pendings


def assert_exact(bootstrap: str, spec: str, *, reference: bool = True, log: Log | None = None) -> int:
    """Every row of the store is what the log says, and nothing more; the number of records compared."""
    log = read_log(bootstrap) if log is None else log
    with open_store(f"{spec}_replay", create=True) as beside, open_store(spec) as store:
        for number, records in log.items():
            view, pendings = replay(number, records)
            for pending in pendings:
                write(beside, number, pending)
            _assert_marker(store, number, pendings[-1])
            if reference:
                assert rater_differences(records, view, {"first": CATALOG}) == []
        for table, columns in TABLES.items():
            _assert_same_rows(store, beside, table, columns)
        beside.command(f"DROP DATABASE `{beside.database}`")
    return sum(len(records) for records in log.values())


def _assert_marker(store: Store, number: int, last: Pending) -> None:
    marker = read_marker(store, number)
    assert marker is not None
    assert marker.last_offset == last.checkpoint.last_offset
    assert marker.meta["record"] == last.checkpoint.meta["record"]
    assert marker.meta["counts"] == last.checkpoint.meta["counts"]
    assert marker.digests == last.checkpoint.digests


def _assert_same_rows(store: Store, beside: Store, table: str, columns: Sequence[rows.Column]) -> None:
    names = ", ".join(f"`{column.name}`" for column in columns)
    final = "FINAL SETTINGS do_not_merge_across_partitions_select_final = 1"
    select = "SELECT {names} FROM `{database}`.{table} FINAL"
    ours = select.format(names=names, database=store.database, table=table)
    theirs = select.format(names=names, database=beside.database, table=table)
    missing = store.query(f"SELECT * FROM ({theirs} EXCEPT {ours}) LIMIT 2").dicts()
    surplus = store.query(f"SELECT * FROM ({ours} EXCEPT {theirs}) LIMIT 2").dicts()
    assert (missing, surplus) == ([], []), f"{table}: missing {missing}, surplus {surplus}"
    counts = [
        s.query(f"SELECT count() FROM `{s.database}`.{table} {final}").rows[0][0] for s in (store, beside)
    ]
    assert counts[0] == counts[1], f"{table}: {counts} rows"


def rater_differences(
    records: Sequence[Any], view: View, documents: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """What the reference rater says otherwise. What only Kafka knows (homes, controls) just ticks for it."""
    ours = {row["offset"] for row in view.rejected if row["reason"] in KAFKA_REASONS}
    view.rejected = [row for row in view.rejected if row["offset"] not in ours]
    walk, fates = Walk(), dict[int, str]()
    for record in records:
        kind, offset, time_us = kind_of(record.headers), record.offset, record.timestamp * 1000
        taken: rater.Record = rater.Tick(offset, time_us)
        if offset not in ours and kind is None:
            taken = rater.EventRecord(offset, event_bytes(record.headers, record.value), time_us)
        elif offset not in ours and kind == CATALOG_KIND:
            document = documents[json.loads(record.value)["catalog"]["id"]]
            taken = rater.Publication(offset, document, time_us)
        rater.take(walk, taken, fates, kafka=True)
        if offset not in ours and kind == RERATE:
            rerate(walk, Rerate(offset, documents["corrected"]))
    return differences(rater.figures_of(walk, fates), view)
