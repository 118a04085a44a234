"""Step 3: what the provider billed in a currency that nothing converts yet, for replays."""

from __future__ import annotations

from unitrate import rows
from unitrate.store.schema import column_line


def statements(database: str) -> list[str]:
    """A store of this release has the column from its first step."""
    billed = next(column for column in rows.EVENTS if column.name == "billed")
    return [f"ALTER TABLE `{database}`.events ADD COLUMN IF NOT EXISTS {column_line(billed)}"]
