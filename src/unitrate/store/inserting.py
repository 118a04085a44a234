"""How columns get into a table: over a connection, or through a file where the engine is in this process.

Owns the two ways only; when to do an insert again, and which settings it needs, is the client's to say.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from clickhouse_connect.driver.client import Client

_ROWS_A_CHUNK = 32_768


def through_request(client: Client, table: str, data: pa.Table, settings: Mapping[str, Any]) -> None:
    """Stream the columns in the body of a request, batch by batch."""
    client.raw_insert(
        table,
        column_names=data.schema.names,
        insert_block=_arrow_stream(data),
        settings=dict(settings),
        fmt="ArrowStream",
    )


def through_file(client: Client, table: str, data: pa.Table, settings: Mapping[str, Any]) -> None:
    """Have the embedded engine read the columns from a file.

    The driver would write that file, too, but piece by piece in Python, while the fold waits for the lock.
    """
    import pyarrow as pa

    descriptor, path = tempfile.mkstemp(prefix="unitrate-", suffix=".arrows")
    os.close(descriptor)
    try:
        with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, data.schema) as stream:
            stream.write_table(data, max_chunksize=_ROWS_A_CHUNK)
        names = ", ".join(f"`{name}`" for name in data.schema.names)
        clause = ", ".join(f"{name} = {value}" for name, value in settings.items())
        place = path.replace("\\", "\\\\").replace("'", "\\'")
        client.command(
            f"INSERT INTO {table} ({names}) FROM INFILE '{place}' SETTINGS {clause} FORMAT ArrowStream"
        )
    finally:
        Path(path).unlink()


class _Chunks:
    """A file for Arrow to write to, from which chunks are taken: never more than one batch is in memory."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken

    def flush(self) -> None:
        """Nothing is buffered elsewhere."""


def _arrow_stream(data: pa.Table) -> Generator[bytes, None, None]:
    """The table as an Arrow IPC stream, batch by batch."""
    import pyarrow as pa

    chunks = _Chunks()
    with pa.ipc.new_stream(chunks, data.schema) as stream:
        for batch in data.to_batches(max_chunksize=_ROWS_A_CHUNK):
            stream.write_batch(batch)
            yield chunks.take()
    yield chunks.take()
