"""One connection to a store, embedded or on a server, with the same tables and the same SQL.

Owns opening, the folder's lock, migrations on opening, queries and inserts. Must never put a password into
an error, never write with asynchronous inserts or insert deduplication, and never let a float near money.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from unitrate.errors import StoreError, StoreUnavailable
from unitrate.store import migrations
from unitrate.store.address import FolderAddress, ServerAddress, parse_address
from unitrate.store.inserting import through_file, through_request
from unitrate.store.lock import LOCK_NAME, FolderLock

if TYPE_CHECKING:
    import pyarrow as pa
    from clickhouse_connect.driver.client import Client

    from unitrate.rows import Checkpoint

DATABASE = "unitrate"  # of a folder; chDB's own default database is an overlay without durable tables
ENGINE_FOLDER = "engine"

# Deduplication tokens can lose acknowledged rows, asynchronous inserts acknowledge before they are durable;
# sorting and collapsing before the insert costs three times the insert. Rows that repeat are merged away.
WRITE_SETTINGS = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "optimize_on_insert": 0,
    "max_partitions_per_insert_block": 0,
}
# Server errors that pass: timeout, too many queries, network, keeper, aborted, memory, read-only replica,
# too many parts, an insert of unknown status.
_PASSING_CODES = frozenset({159, 202, 209, 210, 225, 236, 241, 242, 252, 319, 999})
_LARGE_BYTES = 8 << 20  # of an insert: what it took would stay with an embedded engine for long
_INSERT_TRIES = 6
_FIRST_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of a query: Decimals exact, instants as datetime in UTC, identifiers as str."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Store:
    """An open store. One thread at a time; `writer()` gives a second connection for an insert thread."""

    def __init__(
        self, address: FolderAddress | ServerAddress, client: Client, lock: FolderLock | None
    ) -> None:
        self.address = address
        self.label = address.label
        self.database = DATABASE if isinstance(address, FolderAddress) else address.database
        self.write_settings: dict[str, Any] = dict(WRITE_SETTINGS)
        self.replicated = False  # one node of a cluster: see `store.cluster`
        self._client = client
        self._lock = lock

    @property
    def is_folder(self) -> bool:
        """True for an embedded store."""
        return isinstance(self.address, FolderAddress)

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, read_only: bool = False
    ) -> Result:
        """Run a SELECT. Parameters bind by name: `WHERE account = {account:String}`.

        `read_only` is for statements that a person wrote: the engine then refuses to write. The connection
        may stay read-only afterwards, so use one of its own (`writer()`).
        """
        settings = {"readonly": 2} if read_only else None
        with self._errors():
            answer = self._client.query(sql, parameters=dict(parameters or {}), settings=settings)
        return Result(list(answer.column_names), [tuple(row) for row in answer.result_rows])

    def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run a SELECT for many rows; text comes as binary, since state bodies are bytes."""
        settings = {"output_format_arrow_string_as_string": 0}
        with self._errors():
            return self._client.query_arrow(sql, parameters=dict(parameters or {}), settings=settings)

    def stream_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Iterator[pa.RecordBatch]:
        """Run a SELECT for more rows than memory holds, block by block; text comes as binary.

        The connection answers nothing else until the last block: use one of its own (`writer()`).
        """
        settings = {"output_format_arrow_string_as_string": 0}
        with (
            self._errors(),
            self._client.query_arrow_stream(
                sql, parameters=dict(parameters or {}), settings=settings
            ) as blocks,
        ):
            yield from blocks

    def command(self, statement: str) -> None:
        """Run a statement that gives no rows."""
        with self._errors():
            self._client.command(statement)

    def insert(self, table: str, data: pa.Table) -> None:
        """Insert columns and return once they are durable.

        Where the answer does not come, the insert is done again: rows have derived keys, so twice is once.
        Raises StoreUnavailable when that does not help either.
        """
        send = through_file if self.is_folder else through_request
        pause_s = _FIRST_PAUSE_S
        for attempt in range(_INSERT_TRIES):
            try:
                with self._errors():
                    send(self._client, f"`{self.database}`.`{table}`", data, self.write_settings)
                if data.nbytes > _LARGE_BYTES:
                    self.release_memory()
                return
            except StoreUnavailable:
                if attempt == _INSERT_TRIES - 1:
                    raise
                time.sleep(pause_s)
                pause_s *= 2

    def release_memory(self) -> None:
        """Give memory that an insert no longer needs back to the system: the engine's, Arrow's, Python's."""
        import pyarrow as pa

        if not self.is_folder:
            return
        self.command("SYSTEM JEMALLOC PURGE")
        pa.default_memory_pool().release_unused()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
        if trim is not None:
            trim(0)

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Rows, then state, then marker; see `store.checkpoint`."""
        from unitrate.store.checkpoint import write

        write(self, checkpoint)

    def writer(self) -> Store:
        """A further connection to the same store, for another thread; close it before this one."""
        client = connect(self.address)
        client.database = self.database
        return Store(self.address, client, None)

    def close(self) -> None:
        """Close the connection, and give the folder back."""
        with contextlib.suppress(Exception):  # nothing is buffered here: closing has nothing to lose
            self._client.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        with translated_errors(self.address):
            yield


def open_store(spec: str, *, create: bool = False, command: str = "") -> Store:
    """Open a folder or `clickhouse://user:password@host:port/database`.

    `create` makes what is missing and brings the schema up to date; without it a store that is not there is
    an error. `command` is what a second process is told that holds the folder.
    """
    address = parse_address(spec)
    if isinstance(address, FolderAddress):
        return _open_folder(address, create, command)
    return open_server(address, create)


def _open_folder(address: FolderAddress, create: bool, command: str) -> Store:
    _check_folder(address, create)
    lock = FolderLock.acquire(address.path, address.label, command)
    client = None
    try:
        client = connect(address)
        if not create and _applied(client, address, DATABASE) is None:
            raise StoreError(
                f"the store {address.label} is empty: `unitrate run --store {address.label} …` fills it"
            )
        client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
        client.database = DATABASE
        _migrate(client, address, DATABASE)
        return Store(address, client, lock)
    except BaseException:
        if client is not None:
            client.close()  # else its engine stays, and no other folder can be opened
        lock.release()
        raise


def _check_folder(address: FolderAddress, create: bool) -> None:
    path = address.path
    if path.exists() and not path.is_dir():
        raise StoreError(f"the store {address.label} is a file; --store takes a folder")
    known = (path / ENGINE_FOLDER).is_dir() or (path / LOCK_NAME).exists()
    if not create and not known:
        raise StoreError(
            f"there is no store at {address.label}: "
            f"`unitrate run --catalog CATALOG --store {address.label} EVENTS` makes one"
        )
    if create and not known and path.exists() and any(path.iterdir()):
        raise StoreError(f"the folder {address.label} holds other files; --store takes a new or empty folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the store {address.label} cannot be made: {error.strerror}") from error


def open_server(address: ServerAddress, create: bool) -> Store:
    """A store on a server; see `open_store`."""
    client = connect(address)
    with translated_errors(address):
        found = client.query(
            "SELECT count() FROM system.databases WHERE name = {name:String}",
            parameters={"name": address.database},
        )
        if not found.result_rows[0][0] and create:
            client.command(f"CREATE DATABASE IF NOT EXISTS `{address.database}` ENGINE = Atomic")
    applied = _applied(client, address, address.database)
    if applied is None and not create:
        client.close()
        raise StoreError(f"there are no tables in {address.label}: `unitrate init` makes them")
    client.database = address.database
    if create:
        _migrate(client, address, address.database)
    else:
        migrations.check(applied or 0, address.label)
        if (applied or 0) < migrations.NEWEST:
            raise StoreError(
                f"the tables in {address.label} are of an older unitrate: `unitrate init` updates them"
            )
    return Store(address, client, None)


def connect(address: FolderAddress | ServerAddress) -> Client:
    """A connection of the driver's, without a database chosen."""
    import clickhouse_connect
    from clickhouse_connect import common

    # A store has one writer thread a connection; sessions would only forbid a second query on a retry.
    common.set_setting("autogenerate_session_id", False)
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # it logs statements with their values
    with translated_errors(address):
        if isinstance(address, FolderAddress):
            return clickhouse_connect.get_client(
                interface="chdb", path=str(address.path / ENGINE_FOLDER), tz_mode="aware"
            )
        return clickhouse_connect.get_client(
            interface="https" if address.secure else "http",
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            tz_mode="aware",
            send_receive_timeout=60,
            # Tables over all shards (`store.cluster`): a subquery over such a table means all of it.
            settings={"distributed_product_mode": "global"} if address.database.endswith("_all") else None,
        )


def _applied(client: Client, address: FolderAddress | ServerAddress, database: str) -> int | None:
    """The highest migration that the store has; None where it has no tables at all."""
    with translated_errors(address):
        found = client.query(
            "SELECT count() FROM system.tables "
            "WHERE database = {database:String} AND name = 'schema_migrations'",
            parameters={"database": database},
        )
        if not found.result_rows[0][0]:
            return None
        return int(client.query(f"SELECT max(number) FROM `{database}`.schema_migrations").result_rows[0][0])


def _migrate(client: Client, address: FolderAddress | ServerAddress, database: str) -> None:
    applied = _applied(client, address, database)
    if applied == migrations.NEWEST:
        return
    with translated_errors(address):
        migrations.apply(client, database, address.label, applied or 0)


@contextlib.contextmanager
def translated_errors(address: FolderAddress | ServerAddress) -> Iterator[None]:
    """Turn the driver's errors into ours: one line, without secrets.

    A failed connection or an answer that did not come is StoreUnavailable: the statement may have been done.
    """
    from clickhouse_connect.driver import exceptions as driver

    try:
        yield
    except driver.OperationalError as error:  # a DatabaseError too: it must be caught first
        raise StoreUnavailable(
            f"the store {address.label} does not answer: {_one_line(error, address)}"
        ) from None
    except driver.ClickHouseError as error:
        if getattr(error, "code", None) in _PASSING_CODES:
            raise StoreUnavailable(
                f"the store {address.label} is overloaded: {_one_line(error, address)}"
            ) from None
        raise StoreError(f"the store {address.label} refuses: {_one_line(error, address)}") from None


_NOISE = re.compile(
    r"\s*\(version [^)]*\)|\s*\(for url [^)]*\)|^Received ClickHouse exception, code: \d+, server response: "
)


def _one_line(error: Exception, address: FolderAddress | ServerAddress) -> str:
    text = _NOISE.sub("", " ".join(str(error).split()))
    if isinstance(address, ServerAddress) and address.password:
        text = text.replace(address.password, "***")
    return text if len(text) <= 600 else text[:600] + "…"
