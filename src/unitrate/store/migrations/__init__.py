"""Numbered steps that bring a store to the schema of this program.

Owns the list, its order and the `schema_migrations` table. A step is a list of statements that may be
run again after a crash (IF NOT EXISTS, OR REPLACE); it counts as done once its row is in the table.
A released step is never changed: a change of `rows` is a new step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from unitrate import __version__
from unitrate.errors import StoreError
from unitrate.store.migrations import (
    m0001_tables,
    m0002_months,
    m0003_billed,
    m0004_views,
    m0005_rerates,
)
from unitrate.store.schema import DURABLE


class Commands(Protocol):
    """The part of a ClickHouse connection that migrations need."""

    def command(self, statement: str) -> object: ...


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    statements: Callable[[str], list[str]]  # of a database


MIGRATIONS = (
    Migration(1, "tables", m0001_tables.statements),
    Migration(2, "months", m0002_months.statements),
    Migration(3, "billed", m0003_billed.statements),
    Migration(4, "views", m0004_views.statements),
    Migration(5, "rerates", m0005_rerates.statements),
)
NEWEST = MIGRATIONS[-1].number

_LEDGER = (
    "CREATE TABLE IF NOT EXISTS `{database}`.schema_migrations "
    "(number UInt32 COMMENT 'number of the step', name String COMMENT 'its name', "
    "program String COMMENT 'version of unitrate that ran it', "
    "applied_at DateTime('UTC') DEFAULT now() COMMENT 'when') "
    f"ENGINE = ReplacingMergeTree ORDER BY number SETTINGS {DURABLE} "
    "COMMENT 'Steps that brought the tables to their present form'"
)


def apply(connection: Commands, database: str, label: str, applied: int) -> None:
    """Run the steps after `applied`, in order; each is recorded when it is done."""
    check(applied, label)
    connection.command(_LEDGER.format(database=database))
    for migration in MIGRATIONS:
        if migration.number <= applied:
            continue
        for statement in migration.statements(database):
            connection.command(statement)
        connection.command(
            f"INSERT INTO `{database}`.schema_migrations (number, name, program) "
            f"SETTINGS async_insert = 0 VALUES ({migration.number}, '{migration.name}', '{__version__}')"
        )


def check(applied: int, label: str) -> None:
    """Refuse a store that a newer program has brought further than this one knows."""
    if applied > NEWEST:
        raise StoreError(
            f"the store {label} has schema {applied}, this unitrate {__version__} knows {NEWEST}: "
            "upgrade unitrate, or use another --store"
        )
