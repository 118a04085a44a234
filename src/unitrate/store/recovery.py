"""From a store back to a running engine: marker, state, catalogs, identities.

Owns the order of reading. What comes back is the engine as it was after the marker's record; must never let
in what was written past the marker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unitrate.engine import ENGINE_VERSION, Engine
from unitrate.errors import LogError, StoreError
from unitrate.store import checkpoint, publications

if TYPE_CHECKING:
    from unitrate.store.checkpoint import Identities, Marker
    from unitrate.store.client import Store


@dataclass(frozen=True, slots=True)
class Recovered:
    """An engine, and the marker of the record that it has seen last."""

    marker: Marker
    engine: Engine


def read(store: Store, partition: int, progress: Callable[[str], None] = lambda _: None) -> Recovered | None:
    """The engine at a partition's last checkpoint; None where there is no checkpoint yet."""
    found = checkpoint.recover(store, partition)
    if found is None:
        return None
    marker = found.marker
    check_version(marker)
    progress(f"loading {len(found.state):,} open and unsettled units and counters")
    published = publications.read(store, partition, marker.last_offset)
    catalogs = [json.loads(data)["catalog"] for _, data in published]
    if [catalog["id"] for catalog in catalogs] != marker.meta["catalogs"]:
        raise StoreError(
            f"the catalogs in {store.label} are not those of its last checkpoint: restore a backup"
        )
    rerates = publications.read_rerates(store, partition, marker.last_offset)
    if [offset for offset, _ in rerates] != marker.meta.get("rerates", []):
        raise StoreError(
            f"the re-rates in {store.label} are not those of its last checkpoint: restore a backup"
        )
    horizon_us = max((catalog["dedupe_us"] for catalog in catalogs), default=0)
    engine = Engine.restore(
        partition,
        marker.meta,
        found.state,
        published,
        _reported(checkpoint.read_identities(store, marker, horizon_us), progress),
        checkpoint.read_finals(store, marker, horizon_us),
        rerates,
    )
    return Recovered(marker, engine)


def check_version(marker: Marker) -> None:
    """Older code must not go on with what newer code has folded."""
    version = marker.meta["engine_version"]
    if version > ENGINE_VERSION:
        raise LogError(
            f"partition {marker.partition} was folded by engine version {version}, this code has "
            f"{ENGINE_VERSION}: update unitrate"
        )


def _reported(chunks: Iterator[Identities], progress: Callable[[str], None]) -> Iterator[Identities]:
    count = 0
    for chunk in chunks:
        yield chunk
        count += len(chunk[0])
        progress(f"loading {count:,} event identities")
