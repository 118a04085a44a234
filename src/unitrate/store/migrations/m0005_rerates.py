"""Step 5: prices that were published wrong and corrected."""

from __future__ import annotations

from unitrate.store.schema import RERATE_TABLES, create_table


def statements(database: str) -> list[str]:
    """A store of this release has the tables from its first step."""
    return [create_table(table, database) for table in RERATE_TABLES]
