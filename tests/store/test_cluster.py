"""The schema on a cluster: replicated on every node, one shard a log partition, Distributed for reading."""

from __future__ import annotations

import re

import chdb
import pytest

from unitrate.errors import StoreError, StoreUnavailable
from unitrate.store import client, cluster, migrations
from unitrate.store.address import ServerAddress
from unitrate.store.cluster import Node, Shards

LOCAL = cluster.local_statements("books")
SPANNING = cluster.distributed_statements("books", "prod")


def single_node() -> list[str]:
    recorder = cluster.Recorder()
    migrations.apply(recorder, "books", "books", 0)
    return recorder.statements


def test_only_engines_differ_from_a_single_node() -> None:
    """Columns, keys, partitions and settings are the same statements."""
    plain = [re.sub(r"Replicated(\w+)\('[^']+', '\{replica\}'(?:, )?", r"\1(", s) for s in LOCAL]
    assert [s.replace("MergeTree()", "MergeTree") for s in plain] == single_node()


def test_every_table_is_replicated_under_a_path_of_its_own() -> None:
    """Two tables with one path would be one table; a shard's macro keeps shards apart."""
    paths = re.findall(r"ReplicatedReplacingMergeTree\('([^']+)'", "\n".join(LOCAL))
    tables = re.findall(r"CREATE TABLE IF NOT EXISTS `books`\.`?(\w+)`?", "\n".join(LOCAL))
    assert paths == [f"/clickhouse/unitrate/{{shard}}/books/{table}" for table in tables]


@pytest.mark.parametrize(
    ("table", "engine"),
    [
        ("lines", "'{replica}', `version`)\nPARTITION BY `bill_month`"),
        ("checkpoints", "'{replica}', `last_offset`)\nORDER BY (`partition`, `generation`)"),
        ("state", "'{replica}')\nPARTITION BY (`partition`, `generation`)"),
    ],
)
def test_a_replicated_engine_keeps_its_version_column(table: str, engine: str) -> None:
    """What replaces what is as on a single node."""
    assert any(f"/{table}', {engine}" in statement for statement in LOCAL)


def test_every_table_can_be_read_over_all_shards() -> None:
    """Each local table has its Distributed one, in a database of its own with the views."""
    local = {found[1] for s in LOCAL if (found := re.search(r"TABLE IF NOT EXISTS `books`\.`?(\w+)", s))}
    spanning = {found[1] for s in SPANNING if (found := re.search(r"TABLE `books_all`\.`(\w+)`", s))}
    assert local == spanning
    assert (
        "CREATE OR REPLACE TABLE `books_all`.`lines` AS `books`.`lines` "
        "ENGINE = Distributed('prod', 'books', 'lines')"
    ) in SPANNING


@pytest.mark.parametrize("statement", [*LOCAL, *SPANNING])
def test_clickhouse_can_parse_it(statement: str) -> None:
    """The engine's own parser takes every statement."""
    if statement.startswith("INSERT"):
        return
    assert chdb.query(f"EXPLAIN AST {statement}").bytes()


def test_an_engine_that_cannot_be_replicated_is_refused() -> None:
    """A table of another kind must not be left on one node only."""
    with pytest.raises(StoreError, match="odd"):
        cluster.replicated("CREATE TABLE IF NOT EXISTS `books`.`odd` (a Int64) ENGINE = Log")


def test_a_partition_is_always_on_one_shard() -> None:
    """All partitions are spread, and none has two owners."""
    homes = [cluster.shard_of(partition, 3) for partition in range(16)]
    assert sorted(set(homes)) == [0, 1, 2]
    assert homes[4] == cluster.shard_of(4, 3)


class AStore:
    """What opening gives."""

    def __init__(self, host: str) -> None:
        self.host, self.write_settings, self.replicated = host, dict(client.WRITE_SETTINGS), False


def test_a_replica_that_is_gone_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next replica of the same shard is taken, with quorum writes; another shard never."""
    gone = {"b1"}

    def opened(address: ServerAddress, create: bool) -> AStore:
        if address.host in gone:
            raise StoreUnavailable("gone")
        return AStore(address.host)

    monkeypatch.setattr(client, "open_server", opened)
    nodes = [Node(1, 1, "a1"), Node(1, 2, "a2"), Node(2, 1, "b1"), Node(2, 2, "b2")]
    shards = Shards("clickhouse://u:p@any/books", nodes)
    found = shards.open(3)
    assert (found.host, found.replicated) == ("b2", True)  # type: ignore[attr-defined]
    assert found.write_settings["insert_quorum"] == "auto"
    assert shards.open(2).host == "a1"  # type: ignore[attr-defined]
    gone.add("b2")
    with pytest.raises(StoreUnavailable, match="partition 3"):
        shards.open(3)
