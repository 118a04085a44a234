"""The schema as text. After a change: `python -m tests.store.golden > tests/store/schema.sql`."""

from __future__ import annotations

from unitrate.store.migrations import MIGRATIONS


def schema_text() -> str:
    """Every statement of every migration, in order."""
    parts = []
    for migration in MIGRATIONS:
        parts.append(f"-- {migration.number}: {migration.name}")
        parts += [statement + ";" for statement in migration.statements("unitrate")]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
