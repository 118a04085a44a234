from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from unitrate.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new, empty embedded store on the real engine."""
    with open_store(str(tmp_path / "store"), create=True, command="pytest") as opened:
        yield opened
