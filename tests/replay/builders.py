"""Stores made of small histories, and what a test does to them behind the program's back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.embedded.builders import CATALOG, traffic, versions, write
from unitrate.replay.verify import Verified, verify
from unitrate.runtime import embedded
from unitrate.store import Store, open_store


def a_store(path: Path, *events: bytes, catalog: str = CATALOG, seed: int = 7) -> Path:
    """A store that a run made: of the events given, or of mixed traffic."""
    lines = list(events) or traffic(seed, 1200)
    with opened(path) as store:
        embedded.run(store, versions(catalog), [write(path.with_suffix(".jsonl"), lines)])
    return path


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    with open_store(str(path), create=True, command="test") as store:
        yield store


def verified(path: Path, period: int | None = None) -> Verified:
    with opened(path) as store:
        return verify(store, period)


def update(store: Store, table: str, change: str, where: str) -> None:
    """Rewrites cells of a table behind the program's back."""
    store.command(f"ALTER TABLE {table} UPDATE {change} WHERE {where} SETTINGS mutations_sync = 2")


def delete(store: Store, table: str, where: str) -> None:
    store.command(f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2")
