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
    LogReader,
    broadcast,
    ensure_genesis,
    publisher,
    read_genesis,
)
from unitrate.runtime.log_records import CATALOG, ENGINE, LOG_TOPIC, Genesis
from unitrate.runtime.topics import Topics, TopicState, plans
from unitrate.store import Store, publications

US = 1_000_000
# Brokers' clocks and this machine's are that close, or the log's time is a matter of opinion.
EFFECTIVE_MARGIN_S = 10


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
        genesis, new = await ensure_genesis(connection, count, known)
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
    """What `publish` did: names of versions, those that were there already, and the partitions."""

    written: list[str]
    known: list[str]
    partitions: int
    control_seqs: dict[int, int]  # by partition: what it had taken before, for waiting


async def publish(
    connection: KafkaConnection, store: Store, versions: Sequence[Version], dry_run: bool
) -> Published:
    """Write the versions that the log does not have yet into every partition, in one transaction."""
    async with Topics(connection) as topics:
        partitions = await topics.partitions_of(LOG_TOPIC)
    if partitions is None:
        raise LogError(f"there is no topic {LOG_TOPIC} at {connection.label}: unitrate init makes it")
    async with LogReader(connection) as reader:
        try:
            if await read_genesis(reader, partitions) is None:
                raise LogError(f"{LOG_TOPIC} has no genesis record: unitrate init writes it")
        except ExpiredGenesisError:
            pass  # an old log
    earlier = [bytes(row) for row in _published(store)]
    known = [version.id for version in versions if is_published(version, earlier)]
    fresh = sorted(
        (version for version in versions if version.id not in known), key=lambda one: one.effective_us
    )
    controls = _checked(fresh, earlier)
    seqs = control_seqs(store)
    if controls and not dry_run:
        async with publisher(connection) as producer:
            await broadcast(producer, controls, partitions)
        for version in fresh:
            publications.write_text(store, version.id, version.text)
    return Published([version.id for version in fresh], known, partitions, seqs)


def _checked(fresh: Sequence[Version], earlier: list[bytes]) -> list[Control]:
    """The control records; CatalogError with every reason against publishing them."""
    problems: list[str] = []
    controls: list[Control] = []
    # What is published together at the beginning is "the first catalog": it covers any earlier time.
    clock_us = int((time.time() + EFFECTIVE_MARGIN_S) * US) if earlier else None
    published = list(earlier)
    for version in fresh:
        problems += follow_problems(version, published, clock_us)
        body = publication(version)
        published.append(body)
        digest = hashlib.sha256(body).hexdigest()[:32]
        controls.append(Control(CATALOG, f"catalog:{version.id}:{digest}", body))
    if problems:
        raise CatalogError(problems)
    return controls


def engine_control() -> Control:
    """The record that switches every fold to this code's rules, once it is deployed everywhere."""
    body = json.dumps({"version": ENGINE_VERSION}).encode()
    return Control(ENGINE, f"engine:{ENGINE_VERSION}", body)


def _published(store: Store) -> list[bytes]:
    """Publications that the store knows, in the log's order."""
    table = store.query_arrow(
        "SELECT publication FROM catalogs FINAL ORDER BY published_offset, partition LIMIT 1 BY id"
    )
    return list(table.column("publication").to_pylist())


def control_seqs(store: Store) -> dict[int, int]:
    """By partition: how many control records its checkpoint has taken."""
    found = store.query(
        "SELECT partition, meta FROM checkpoints ORDER BY partition, last_offset DESC LIMIT 1 BY partition"
    )
    return {partition: json.loads(meta)["control_seq"] for partition, meta in found.rows}
