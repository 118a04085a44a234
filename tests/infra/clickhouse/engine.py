"""One chDB engine shared by several requests at a time, settings and sessions included."""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections import OrderedDict
from typing import Any, NamedTuple

import chdb

from tests.infra.clickhouse.wire import EngineError, Insert, engine_error, kind_of, split_insert

# Parameters of the protocol; all others are settings.
TRANSPORT = frozenset({
    "query", "database", "user", "password", "quota_key", "session_id", "session_timeout", "session_check",
    "session_timezone_", "query_id", "compress", "decompress", "wait_end_of_query", "buffer_size",
    "default_format", "client_protocol_version", "role", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "enable_http_compression", "stacktrace",
    "cancel_http_readonly_queries_on_client_close", "http_response_buffer_size",
})  # fmt: skip
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_SETTING = re.compile(r"^[A-Za-z_][A-Za-z0-9_.]*$")
MAX_SESSIONS = 64


class Answer(NamedTuple):
    body: bytes
    format: str | None
    summary: str


class Handle:
    """A chDB connection with the database and settings that it has at the moment."""

    def __init__(self, path: str) -> None:
        self.connection: Any = chdb.connect(path)
        self.lock = threading.Lock()
        self._database = "default"
        self._applied: dict[str, str] = {}

    def prepare(self, database: str, settings: dict[str, str]) -> None:
        if database != self._database:
            self._run(f"USE {_identifier(database)}")
            self._database = database
        for name in [name for name in self._applied if name not in settings]:
            self._run(f"SET {name} = DEFAULT")
            del self._applied[name]
        for name, value in settings.items():
            if self._applied.get(name) != value:
                self._run(f"SET {name} = {_quoted(value)}")
                self._applied[name] = value

    def _run(self, statement: str) -> None:
        self.connection.query(statement, "TabSeparated")


class Engine:
    """A pool of handles; a session keeps one of its own."""

    def __init__(self, path: str, handles: int) -> None:
        self._path = path
        self._pool: queue.LifoQueue[Handle] = queue.LifoQueue()
        for _ in range(handles):
            self._pool.put(Handle(path))
        self._sessions: OrderedDict[str, Handle] = OrderedDict()
        self._lock = threading.Lock()

    def version(self) -> str:
        return self.run(b"SELECT version() FORMAT TabSeparated", {}).body.decode().strip()

    def run(self, statement: bytes, parameters: dict[str, str]) -> Answer:
        binds = {name[6:]: value for name, value in parameters.items() if name.startswith("param_")}
        settings = {
            name: value
            for name, value in parameters.items()
            if name not in TRANSPORT and not name.startswith("param_")
        }
        for name in settings:
            if not _SETTING.match(name):
                raise engine_error(115, f"Unknown setting {name}.")
        session = parameters.get("session_id", "")
        handle = self._acquire(session)
        try:
            insert = split_insert(statement)
            if insert:
                return _insert(handle, insert, parameters.get("database") or "default", settings)
            handle.prepare(parameters.get("database") or "default", settings)
            return _query(handle, statement, parameters.get("default_format", "TabSeparated"), binds)
        except RuntimeError as error:  # chdb.ChdbError is one
            raise EngineError(0, str(error)) from None
        finally:
            self._release(session, handle)

    def _acquire(self, session: str) -> Handle:
        if not session:
            return self._pool.get()
        with self._lock:
            handle = self._sessions.pop(session, None)
            if handle is None:
                self._drop_idle_sessions()
                handle = Handle(self._path)
            self._sessions[session] = handle
        if not handle.lock.acquire(blocking=False):
            raise engine_error(373, f"Session {session} is locked by a concurrent client.")
        return handle

    def _drop_idle_sessions(self) -> None:
        for name, handle in list(self._sessions.items()):
            if len(self._sessions) <= MAX_SESSIONS:
                return
            if not handle.lock.locked():
                del self._sessions[name]
                handle.connection.close()

    def _release(self, session: str, handle: Handle) -> None:
        if session:
            handle.lock.release()
        else:
            self._pool.put(handle)


def _insert(handle: Handle, insert: Insert, database: str, settings: dict[str, str]) -> Answer:
    began = time.perf_counter_ns()
    statement = insert.statement
    if settings and not insert.has_settings:
        # Settings of one insert ride in the statement: cheaper than SET, and they cannot leak.
        statement += " SETTINGS " + ", ".join(
            f"{name} = {_quoted(value)}" for name, value in settings.items()
        )
        settings = {}
    handle.prepare(database, settings)
    stream = handle.connection.send_insert(statement, insert.format)
    try:
        if insert.data:
            stream.append(insert.data)
        result = stream.finish()
    except BaseException:
        stream.cancel()
        raise
    return Answer(b"", None, _summary(0, 0, result.rows_written, result.bytes_written, began))


def _query(handle: Handle, statement: bytes, default: str, binds: dict[str, str]) -> Answer:
    began = time.perf_counter_ns()
    named = _FORMAT.search(statement[-200:])
    output = named.group(1).decode() if named else default
    result = handle.connection.query(statement, output, params=binds)
    body = result.bytes() or b""
    answered = kind_of(statement) == "select" or body
    return Answer(
        body, output if answered else None, _summary(result.rows_read(), result.bytes_read(), 0, 0, began)
    )


def _summary(read_rows: int, read_bytes: int, rows: int, size: int, began: int) -> str:
    counts = {
        "read_rows": read_rows,
        "read_bytes": read_bytes,
        "written_rows": rows,
        "written_bytes": size,
        "total_rows_to_read": 0,
        "result_rows": rows or read_rows,
        "result_bytes": 0,
        "elapsed_ns": time.perf_counter_ns() - began,
    }
    return json.dumps({name: str(value) for name, value in counts.items()})


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
