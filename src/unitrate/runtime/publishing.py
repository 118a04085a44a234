"""`unitrate init` and `unitrate publish` against Kafka: the log's genesis, and catalogs into every partition.

Owns the decision whether a catalog may be published: it is made once, here, because the partitions' clocks
differ; the fold takes what stands in the log. Must never publish a version twice under one name.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from typing import NamedTuple

from unitrate.catalog.history import follow_problems, is_published
from unitrate.catalog.publication import publication
from unitrate.catalog.source import Version
from unitrate.engine import ENGINE_VERSION
from unitrate.errors import CatalogError, LogError
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.kafka_log import (
    Control,
    ExpiredGenesisError,
    control_records,
    engine_control,
    ensure_genesis,
    write_controls,
)
from unitrate.runtime.log_records import (
    CATALOG,
    GENESIS,
    LOG_TOPIC,
    RERATE,
    Genesis,
    Record,
    kind_of,
)
from unitrate.runtime.topics import Topics, TopicState, plans
from unitrate.store import Store, publications

US = 1_000_000
# Brokers' clocks and this machine's are that close, or the log's time is a matter of opinion.
EFFECTIVE_MARGIN_S = 10
KINDS = (GENESIS, CATALOG, RERATE)  # control records that a publication looks at


class Initialized(NamedTuple):
    topics: list[TopicState]
    log_id: str
    new_log: bool


async def initialize(
    connection: KafkaConnection,
    store: Store,
    partitions: int | None,
    replication: int | None,
    settings: dict[str, str],
    fix: bool,
) -> Initialized:
    """Topics, then the genesis. The tables were made when the store was opened. Again changes nothing."""
    async with Topics(connection) as topics:
        states = [await topics.ensure(plan, replication, fix) for plan in plans(partitions, settings)]
    count = states[0].partitions
    known = _log_of(store)
    try:
        genesis, new = await ensure_genesis(connection, count, engine_control(ENGINE_VERSION), known)
    except ExpiredGenesisError:
        if known is None:
            raise
        genesis, new = known, False
    if known is not None and known != genesis:
        raise LogError(
            f"{store.label} was filled from log {known.log_id}, and {LOG_TOPIC} at {connection.label} is log "
            f"{genesis.log_id}; use another database, or the brokers of that log"
        )
    return Initialized(states, genesis.log_id, new)


def _log_of(store: Store) -> Genesis | None:
    """The log that the store was filled from; None where it is empty."""
    found = store.query("SELECT meta FROM checkpoints ORDER BY last_offset DESC LIMIT 1").rows
    if not found:
        return None
    meta = json.loads(found[0][0])
    return Genesis(meta["log_id"], meta["partitions"])


class Published(NamedTuple):
    """What `publish` did: names of versions that it wrote, and of those that were there already."""

    written: list[str]
    known: list[str]
    partitions: int


async def publish(
    connection: KafkaConnection, store: Store, versions: Sequence[Version], dry_run: bool
) -> Published:
    """Write the versions that the log does not have yet into every partition, in one transaction."""
    async with Topics(connection) as topics:
        partitions = await topics.partitions_of(LOG_TOPIC)
    if partitions is None:
        raise LogError(f"there is no topic {LOG_TOPIC} at {connection.label}: unitrate init makes it")
    in_store, rerated = _published(store), _rerated(store)
    fresh: list[Version] = []

    def decide(records: list[Record]) -> list[Control]:
        if not records and not in_store:
            raise LogError(f"{LOG_TOPIC} has no genesis record: unitrate init writes it")
        earlier = _together(in_store, records, CATALOG)
        rerates = _together(rerated, records, RERATE)
        fresh.extend(version for version in versions if not is_published(version, earlier, rerates))
        fresh.sort(key=lambda version: version.effective_us)
        return _checked(fresh, earlier, rerates)

    if dry_run:
        decide(await control_records(connection, KINDS))
    else:
        await write_controls(connection, partitions, decide, KINDS)
        for version in fresh:
            publications.write_text(store, version.id, version.text)
    written = [version.id for version in fresh]
    return Published(written, [v.id for v in versions if v.id not in written], partitions)


def _together(in_store: list[bytes], records: Sequence[Record], kind: str) -> list[bytes]:
    """Bodies of a kind in the log's order: those that the store has, then those that only the log has yet."""
    in_log = [record.value or b"" for record in records if kind_of(record.headers) == kind]
    return in_store + [body for body in in_log if body not in in_store]


def _checked(fresh: Sequence[Version], earlier: list[bytes], rerates: list[bytes]) -> list[Control]:
    """The control records; CatalogError with every reason against publishing them."""
    problems: list[str] = []
    controls: list[Control] = []
    # What is published together at the beginning is "the first catalog": it covers any earlier time.
    clock_us = int((time.time() + EFFECTIVE_MARGIN_S) * US) if earlier else None
    published = list(earlier)
    for version in fresh:
        problems += follow_problems(version, published, clock_us, rerates)
        body = publication(version)
        published.append(body)
        digest = hashlib.sha256(body).hexdigest()[:32]
        controls.append(Control(CATALOG, f"catalog:{version.id}:{digest}", body))
    if problems:
        raise CatalogError(problems)
    return controls


def _published(store: Store) -> list[bytes]:
    """Publications that the store knows, in the log's order."""
    table = store.query_arrow(
        "SELECT publication FROM catalogs FINAL ORDER BY published_offset, partition LIMIT 1 BY id"
    )
    return list(table.column("publication").to_pylist())


def _rerated(store: Store) -> list[bytes]:
    """Re-rates that the store knows, in the log's order."""
    table = store.query_arrow("SELECT body FROM rerates FINAL ORDER BY number, partition LIMIT 1 BY number")
    return list(table.column("body").to_pylist())
