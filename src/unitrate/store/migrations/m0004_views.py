"""Step 4: views for a person with a SQL prompt."""

from __future__ import annotations

from unitrate.store.views import create_view, views


def statements(database: str) -> list[str]:
    """CREATE OR REPLACE statements."""
    return [create_view(view, database) for view in views()]
