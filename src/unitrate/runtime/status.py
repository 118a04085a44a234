"""`unitrate status`: how far the store is behind the log, partition by partition, and who holds each.

Reads the markers (the truth), the log's ends, and the consumer group (advice: names and notes only).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from unitrate.errors import LogError
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.kafka_log import LogReader
from unitrate.runtime.log_records import LOG_TOPIC
from unitrate.runtime.topics import Topics
from unitrate.store import Store

GROUP = "unitrate.worker"
_MARKERS = (
    "SELECT partition, last_offset, written_at FROM checkpoints "
    "ORDER BY partition, last_offset DESC LIMIT 1 BY partition"
)
_COUNTS = (
    "SELECT countIf(state = 'open') AS open_units, countIf(state != 'open' AND disposition = 'held') "
    "AS held, (SELECT count() FROM rejected_events FINAL) AS rejected FROM units FINAL"
)


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """`checkpoint` and `end`: the next offsets to be read and to be written; `lag` is what lies between."""

    partition: int
    checkpoint: int
    end: int
    lag: int
    checkpointed_at: datetime | None
    worker: str | None
    state: str | None
    problem: str

    def document(self) -> dict[str, Any]:
        at = self.checkpointed_at.isoformat().replace("+00:00", "Z") if self.checkpointed_at else None
        return {
            "partition": self.partition,
            "checkpoint": self.checkpoint,
            "end": self.end,
            "lag": self.lag,
            "checkpointed_at": at,
            "worker": self.worker,
            "state": self.state,
            "problem": self.problem or None,
        }


@dataclass(frozen=True, slots=True)
class Status:
    partitions: list[PartitionStatus]
    open_units: int
    held: int
    rejected: int

    @property
    def lag(self) -> int:
        return sum(partition.lag for partition in self.partitions)

    def document(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {
            "partitions": [partition.document() for partition in self.partitions],
            "lag": self.lag,
            "open_units": self.open_units,
            "held": self.held,
            "rejected": self.rejected,
        }


async def status(connection: KafkaConnection, store: Store) -> Status:
    async with Topics(connection) as topics:
        count = await topics.partitions_of(LOG_TOPIC)
    if count is None:
        raise LogError(f"there is no topic {LOG_TOPIC} at {connection.label}: unitrate init makes it")
    markers = {row[0]: (row[1], row[2]) for row in store.query(_MARKERS).rows}
    ((open_units, held, rejected),) = store.query(_COUNTS).rows
    positions, ends = await _positions(connection, count, markers)
    workers, notes = await _group(connection)
    partitions = []
    for number in range(count):
        note = notes.get(number, {}) if number in workers else {}
        partitions.append(
            PartitionStatus(
                partition=number,
                checkpoint=positions[number],
                end=ends[number],
                lag=ends[number] - positions[number],
                checkpointed_at=markers[number][1] if number in markers else None,
                worker=workers.get(number),
                state=note.get("state"),
                problem=note.get("problem", ""),
            )
        )
    return Status(partitions, int(open_units), int(held), int(rejected))


async def _positions(
    connection: KafkaConnection, count: int, markers: Mapping[int, tuple[int, datetime]]
) -> tuple[dict[int, int], dict[int, int]]:
    """Where each partition goes on, past trailing markers of transactions, and where its log ends."""
    async with LogReader(connection) as reader:
        bounds = await reader.bounds(range(count))
        positions = {
            number: markers[number][0] + 1 if number in markers else start
            for number, (start, _) in bounds.items()
        }
        # A position outside of the log is a worker's error to report, not ours to trip over.
        behind = {n: at for n, at in positions.items() if bounds[n][0] <= at < bounds[n][1]}
        if behind:
            for number, (record, position) in (await reader.first_of(behind)).items():
                if record is None:
                    positions[number] = position
    ends = {number: max(end, positions[number]) for number, (_, end) in bounds.items()}
    return positions, ends


async def _group(connection: KafkaConnection) -> tuple[dict[int, str], dict[int, dict[str, str]]]:
    """Who holds each partition, and the note that came with its last committed offset."""
    admin = AIOKafkaAdminClient(**connection.options())
    try:
        await admin.start()
        described = await admin.describe_consumer_groups([GROUP])
        offsets = await admin.list_consumer_group_offsets(GROUP)
    except KafkaError:
        return {}, {}  # no group yet: no worker ever ran
    finally:
        await admin.close()
    workers: dict[int, str] = {}
    for response in described:
        for group in response.groups:
            for member in group[5]:
                for number in _assigned(member[4]):
                    workers[number] = member[1]
    notes = {
        pair.partition: _note(committed.metadata)
        for pair, committed in offsets.items()
        if pair.topic == LOG_TOPIC
    }
    return workers, notes


def _assigned(encoded: bytes) -> list[int]:
    if not encoded:
        return []
    assignment = ConsumerProtocolMemberAssignment.decode(encoded)
    return [number for topic, numbers in assignment.assignment if topic == LOG_TOPIC for number in numbers]


def _note(text: str) -> dict[str, str]:
    try:
        note = json.loads(text)
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}
