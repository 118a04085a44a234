"""The version of the fold's rules that a log asks for: read by `unitrate init`, raised by `init --upgrade`.

Owns the record that switches every partition to newer rules, at one place of its log, so that a replay
switches there too. Must never write it unasked, and never lower a version: workers of an older release stop
at the record.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from unitrate.engine import ENGINE_VERSION, FIRST_VERSION
from unitrate.errors import LogError
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.kafka_log import Control, control_records, engine_control, write_controls
from unitrate.runtime.log_records import ENGINE, Record, version_of
from unitrate.store import Store


class Rules(NamedTuple):
    """Versions of the fold's rules: what the log asked for, asks for now, and what this code knows."""

    before: int
    now: int
    known: int


async def rules(connection: KafkaConnection, store: Store) -> Rules:
    """What the log asks for. Raises LogError where this code is too old for it."""
    version = _newest(await control_records(connection, (ENGINE,)), store)
    return Rules(version, version, ENGINE_VERSION)


async def upgrade(connection: KafkaConnection, store: Store, partitions: int) -> Rules:
    """Ask for the newest rules that this code knows, in one transaction over all partitions."""
    before = ENGINE_VERSION

    def decide(records: list[Record]) -> list[Control]:
        nonlocal before
        before = _newest(records, store)
        return [engine_control(ENGINE_VERSION)] if before < ENGINE_VERSION else []

    await write_controls(connection, partitions, decide, (ENGINE,))
    return Rules(before, ENGINE_VERSION, ENGINE_VERSION)


def _newest(records: Sequence[Record], store: Store) -> int:
    """The log's version: that of its last record, or what the store was folded by where that has expired."""
    found = store.query("SELECT meta FROM checkpoints ORDER BY last_offset DESC LIMIT 1 BY partition").rows
    folded = [int(json.loads(meta)["engine_version"]) for (meta,) in found]
    version = max([FIRST_VERSION, *folded, *(version_of(record.value) for record in records)])
    if version > ENGINE_VERSION:
        raise LogError(
            f"the log asks for engine version {version}, this code has {ENGINE_VERSION}: update unitrate"
        )
    return version
