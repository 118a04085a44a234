"""Every store that a test opened is shut when it ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.months.builders import OPEN


@pytest.fixture(autouse=True)
def _stores_are_shut() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().shut()
