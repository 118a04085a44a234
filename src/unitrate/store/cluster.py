"""A ClickHouse cluster: the same tables, replicated, on every node, and Distributed ones to read all shards.

Owns how the schema's statements change for a cluster, and which shard a log partition is on. A worker writes
and recovers on the owning shard's local tables: a Distributed insert is acknowledged before it is there.
Reports read `DATABASE_all`, whose tables and views span the shards. Must never route one partition to two
shards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from unitrate.errors import InputError, StoreError, StoreUnavailable
from unitrate.store import client as store_client
from unitrate.store import migrations
from unitrate.store.address import ServerAddress, parse_address
from unitrate.store.client import Store
from unitrate.store.migrations import m0004_views

READ_SUFFIX = "_all"
# A row counts once a majority of replicas has it.
QUORUM = {"insert_quorum": "auto"}
_ENGINE = re.compile(r"ENGINE = ReplacingMergeTree(?:\((?P<arguments>[^)]*)\))?")
_CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS `(?P<database>[^`]+)`\.`?(?P<table>\w+)`?")
# Tables that recovery reads.
_RECOVERED = ("checkpoints", "state", "catalogs", "rerates", "events", "units")


class Node(NamedTuple):
    """A server of the cluster."""

    shard: int
    replica: int
    host: str


class Recorder:
    """A connection that only writes down what it is told."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def command(self, statement: str) -> object:
        self.statements.append(statement)
        return None


def replicated(statement: str) -> str:
    """A statement of the schema for a cluster's node; `{shard}` and `{replica}` are the server's macros."""
    created = _CREATE.search(statement)
    if created is None:
        return statement
    path = f"/clickhouse/unitrate/{{shard}}/{created['database']}/{created['table']}"

    def engine(found: re.Match[str]) -> str:
        more = f", {found['arguments']}" if found["arguments"] else ""
        return f"ENGINE = ReplicatedReplacingMergeTree('{path}', '{{replica}}'{more})"

    changed = _ENGINE.sub(engine, statement)
    if "ENGINE = Replicated" not in changed:
        raise StoreError(f"table {created['table']} has an engine that a cluster cannot replicate")
    return changed


def local_statements(database: str) -> list[str]:
    """All that brings one node's own tables up to date."""
    recorder = Recorder()
    migrations.apply(recorder, database, database, 0)
    return [replicated(statement) for statement in recorder.statements]


def distributed_statements(database: str, cluster: str) -> list[str]:
    """Tables and views over all shards, for reading."""
    created = (_CREATE.search(statement) for statement in local_statements(database))
    names = dict.fromkeys(found["table"] for found in created if found)
    spanning = database + READ_SUFFIX
    tables = [
        f"CREATE OR REPLACE TABLE `{spanning}`.`{name}` AS `{database}`.`{name}` "
        f"ENGINE = Distributed('{cluster}', '{database}', '{name}')"
        for name in names
    ]
    return [
        f"CREATE DATABASE IF NOT EXISTS `{spanning}` ENGINE = Atomic",
        *tables,
        *m0004_views.statements(spanning),
    ]


def shard_of(partition: int, shards: int) -> int:
    """Index of the shard that owns a log partition. Fixed as long as the number of shards is."""
    return partition % shards


def nodes(address: ServerAddress, cluster: str) -> list[Node]:
    """The cluster's servers, as the server of `--store` knows them."""
    with store_client.translated_errors(address):
        client = store_client.connect(address)
        found = client.query(
            "SELECT shard_num, replica_num, host_name FROM system.clusters "
            "WHERE cluster = {cluster:String} ORDER BY shard_num, replica_num",
            parameters={"cluster": cluster},
        )
        client.close()
    if not found.result_rows:
        raise InputError(f"{address.label} knows no cluster {cluster!r} (system.clusters)")
    return [Node(*row) for row in found.result_rows]


def prepare(spec: str, cluster: str) -> list[Node]:
    """Make or update the tables of every node; again changes nothing."""
    address = _server(spec)
    found = nodes(address, cluster)
    for node in found:
        local = replace(address, host=node.host, label=f"{address.label} on {node.host}")
        with store_client.translated_errors(local):
            client = store_client.connect(local)
            client.command(f"CREATE DATABASE IF NOT EXISTS `{address.database}` ENGINE = Atomic")
            for statement in local_statements(address.database):
                client.command(statement)
            for statement in distributed_statements(address.database, cluster):
                client.command(statement)
            client.close()
    return found


class Shards:
    """Opens the store of a log partition on the shard that owns it, on a replica that answers."""

    def __init__(self, spec: str, found: Sequence[Node]) -> None:
        self._address = _server(spec)
        numbers = sorted({node.shard for node in found})
        self._replicas = [[node.host for node in found if node.shard == number] for number in numbers]

    def __len__(self) -> int:
        return len(self._replicas)

    def open(self, partition: int) -> Store:
        """The first replica that answers; a replica that was just lost is tried last."""
        hosts = self._replicas[shard_of(partition, len(self))]
        for host in list(hosts):
            address = replace(self._address, host=host, label=f"{self._address.label} on {host}")
            try:
                store = store_client.open_server(address, create=False)
            except StoreUnavailable:
                hosts.append(hosts.pop(0))
                continue
            store.write_settings |= QUORUM
            store.replicated = True
            return store
        raise StoreUnavailable(f"no replica of {self._address.label} answers for partition {partition}")


def sync_replicas(store: Store) -> None:
    """Step 1 of recovery: this replica gets all that a majority has acknowledged."""
    if store.replicated:
        for table in _RECOVERED:
            store.command(f"SYSTEM SYNC REPLICA `{store.database}`.`{table}`")


def _server(spec: str) -> ServerAddress:
    address = parse_address(spec)
    if not isinstance(address, ServerAddress):
        raise InputError("--cluster needs a server store: clickhouse://user:password@host:port/database")
    return address
