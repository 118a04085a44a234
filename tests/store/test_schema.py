"""The schema is what was agreed: keys, engines, partitions; and a change of it is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.golden import schema_text
from unitrate import rows
from unitrate.store import Store
from unitrate.store.schema import TABLES

KEYS = {
    "events": "account, source, id",
    "units": "account, opened_month, unit_id",
    "lines": "account, bill_month, unit_id, charge, price_value, revision",
    "cost_lines": "account, bill_month, unit_id, revision, side",
    "state": "partition, generation, kind, entity, version",
    "checkpoints": "partition, generation",
    "rejected_events": "partition, offset",
    "duplicates": "partition, offset",
}


def test_a_change_of_the_schema_is_meant() -> None:
    """Stores of a release have these tables: a change needs a new step that brings them there, too."""
    golden = Path(__file__).parent / "schema.sql"
    assert schema_text() == golden.read_text(), "see tests/store/golden.py"


@pytest.mark.parametrize(("table", "key"), KEYS.items())
def test_the_sorting_key_is_that_of_the_protocol(store: Store, table: str, key: str) -> None:
    """Writing a row again replaces it only if the key is what makes it the same row."""
    found = store.query(
        "SELECT sorting_key, engine FROM system.tables WHERE database = 'unitrate' AND name = {table:String}",
        {"table": table},
    ).rows
    assert found == [(key, "ReplacingMergeTree")]


def test_partitions_follow_from_the_sorting_key() -> None:
    """Rows are replaced inside a partition only. Events: a repeat inside the dedupe horizon is no event."""
    for table in TABLES:
        if table.name in ("events", "spool", "state") or not table.partition_by:
            continue
        assert table.partition_by.strip("`") in table.order_by, table.name


def test_the_tables_have_the_engines_columns(store: Store) -> None:
    """In the engine's order and types: what `rows` says is what the store has."""
    for table, columns in (("events", rows.EVENTS), ("units", rows.UNITS), ("lines", rows.LINES)):
        found = store.query(
            "SELECT name, type FROM system.columns WHERE database = 'unitrate' AND table = {table:String} "
            "AND default_kind = '' ORDER BY position",
            {"table": table},
        ).rows
        expected = [(column.name, rows.KINDS[column.kind]) for column in columns]
        assert found == expected
