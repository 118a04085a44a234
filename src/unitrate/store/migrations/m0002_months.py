"""Step 2: tables of the month end."""

from __future__ import annotations

from unitrate.store.final_tables import FINAL_TABLES
from unitrate.store.schema import MONTH_TABLES, create_table


def statements(database: str) -> list[str]:
    """CREATE statements, in no particular order. A store of the first step may have some of them."""
    return [create_table(table, database) for table in (*MONTH_TABLES, *FINAL_TABLES)]
