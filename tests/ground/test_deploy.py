"""What lies in deploy/ fits the program: statements that the engine parses, tables that there are."""

from __future__ import annotations

import re
from pathlib import Path

import chdb
import pytest

from unitrate.store.final_tables import FINAL_TABLES
from unitrate.store.schema import EMBEDDED_TABLES, TABLES
from unitrate.store.views import views

ROLES = (Path(__file__).resolve().parents[2] / "deploy" / "clickhouse-roles.sql").read_text(encoding="utf-8")
STATEMENTS = [text.strip() for text in re.sub(r"--.*", "", ROLES).split(";") if text.strip()]
VIEWS = {view.name for view in views()}
KNOWN = {table.name for table in (*TABLES, *FINAL_TABLES)} | {"schema_migrations"} | VIEWS


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda text: " ".join(text.split()[:6]))
def test_a_roles_statement_is_one_that_clickhouse_parses(statement: str) -> None:
    """The engine's own parser takes the statement (chDB has no users, so it is not run)."""
    assert "Query" in str(chdb.query(f"EXPLAIN AST {statement}"))


def test_roles_name_only_tables_that_there_are() -> None:
    """A grant on a table that the store does not make would be a grant on nothing."""
    named = set(re.findall(r"ON unitrate\.(\w+)", ROLES))
    assert named - KNOWN == set()


def test_workers_may_append_to_every_table_that_a_checkpoint_writes() -> None:
    """The ingest role has INSERT on all of the store's tables but the embedded log's."""
    granted = set(re.findall(r"GRANT INSERT[^;]* ON unitrate\.(\w+) TO unitrate_ingest", ROLES))
    assert granted == {table.name for table in TABLES} - {table.name for table in EMBEDDED_TABLES}


def test_dashboards_see_neither_rejected_events_nor_state() -> None:
    """Raw events that were not accepted may hold anything; they are for operators."""
    seen = set(re.findall(r"GRANT SELECT ON unitrate\.([\w*]+) TO unitrate_dashboards", ROLES))
    assert seen.isdisjoint({"*", "rejected_events", "state", "checkpoints", "spool", "manifest"})
    assert "rejected" not in seen
    assert seen >= VIEWS - {"rejected"}
