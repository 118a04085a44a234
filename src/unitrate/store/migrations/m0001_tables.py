"""Step 1: every table of the first release."""

from __future__ import annotations

from unitrate.store.schema import TABLES, create_table


def statements(database: str) -> list[str]:
    """CREATE statements, in no particular order."""
    return [create_table(table, database) for table in TABLES]
