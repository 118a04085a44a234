"""Published catalogs in the store, and the re-rates of their prices.

Owns the `catalogs` rows: one a partition and publication, written before any checkpoint that covers it, since
recovery rebuilds the engine's catalogs from them. A row follows from the record alone, so writing it again
changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unitrate.store.client import Store


def write(store: Store, partition: int, offset: int, publication: bytes) -> None:
    """Keep a publication that the log of `partition` has at `offset`."""
    import pyarrow as pa

    content = json.loads(publication)
    catalog, book = content["catalog"], content["book"]
    row = {
        "partition": pa.array([partition], pa.uint32()),
        "published_offset": pa.array([offset], pa.int64()),
        "id": pa.array([catalog["id"]]),
        "effective": pa.array([catalog["effective_us"]], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
        "sha256": pa.array([hashlib.sha256(publication).hexdigest()]),
        "currency": pa.array([catalog["currency"]]),
        "book": pa.array([f"{book['name']} {book['version']}"]),
        "publication": pa.array([publication], pa.binary()),
    }
    store.insert("catalogs", pa.table(row))


def write_text(store: Store, catalog_id: str, text: str) -> None:
    """Keep the YAML of a version, for people."""
    import pyarrow as pa

    store.insert("catalog_texts", pa.table({"id": pa.array([catalog_id]), "text": pa.array([text.encode()])}))


def read_rerates(store: Store, partition: int, last_offset: int) -> list[tuple[int, bytes]]:
    """Re-rates of a partition up to an offset, in log order."""
    table = store.query_arrow(
        "SELECT version, body FROM rerates FINAL "
        "WHERE partition = {partition:UInt32} AND version <= {last:Int64} ORDER BY version",
        {"partition": partition, "last": last_offset},
    )
    return list(zip(table.column("version").to_pylist(), table.column("body").to_pylist(), strict=True))


def read(store: Store, partition: int, last_offset: int) -> list[tuple[int, bytes]]:
    """Publications of a partition up to an offset, in log order."""
    table = store.query_arrow(
        "SELECT published_offset, publication FROM catalogs FINAL "
        "WHERE partition = {partition:UInt32} AND published_offset <= {last:Int64} ORDER BY published_offset",
        {"partition": partition, "last": last_offset},
    )
    return list(
        zip(
            table.column("published_offset").to_pylist(), table.column("publication").to_pylist(), strict=True
        )
    )
