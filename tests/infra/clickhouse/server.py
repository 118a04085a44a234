"""The HTTP server: `python -m tests.infra.clickhouse.server --path DIR --port PORT`.

Beside ClickHouse's own paths it has /_fault (POST a rule, DELETE all, GET what fired) and /_stats.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import signal
import socket
import struct
import sys
import threading
import uuid
from typing import NamedTuple
from urllib.parse import parse_qsl

from tests.infra.clickhouse.engine import Engine
from tests.infra.clickhouse.faults import Faults, GoneError, ResetError, act
from tests.infra.clickhouse.wire import (
    REASON,
    EngineError,
    compressed,
    decompressed,
    engine_error,
    kind_of,
)


class Request(NamedTuple):
    method: str
    path: str
    parameters: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


class Server:
    def __init__(self, path: str, port: int, handles: int, user: str, password: str) -> None:
        self.engine = Engine(path, handles)
        self.faults = Faults()
        self.user, self.password = user, password
        self.requests = self.inserts = 0
        self.version = self.engine.version()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)

    def serve(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Conversation(self, connection).run, daemon=True).start()


class Conversation:
    """One connection, request after request."""

    def __init__(self, server: Server, connection: socket.socket) -> None:
        self._server, self._connection = server, connection
        self._input = connection.makefile("rb", 1 << 16)

    def run(self) -> None:
        try:
            while (request := self._read()) is not None:
                self._server.requests += 1
                self._answer(request)
                if not request.keeps_alive:
                    break
        except ResetError:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (GoneError, OSError, ValueError):
            pass
        finally:
            self._input.close()
            self._connection.close()

    def _read(self) -> Request | None:
        line = self._input.readline(1 << 20)
        if not line:
            return None
        method, target, _ = line.decode("latin1").split(" ", 2)
        headers: dict[str, str] = {}
        while (line := self._input.readline(1 << 16)) not in (b"\r\n", b"\n"):
            if not line:
                return None
            name, _, value = line.decode("latin1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        path, _, query = target.partition("?")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        return Request(method, path, parameters, headers, self._read_body(headers))

    def _read_body(self, headers: dict[str, str]) -> bytes:
        """The whole body. A client that dies in the middle of it gets nothing applied."""
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._exactly(int(headers.get("content-length") or 0))
        chunks = []
        while size := int(self._input.readline(1024).split(b";")[0] or b"x", 16):
            chunks.append(self._exactly(size))
            self._exactly(2)
        while self._input.readline(1024) not in (b"\r\n", b"\n", b""):
            pass
        return b"".join(chunks)

    def _exactly(self, size: int) -> bytes:
        data = self._input.read(size) if size else b""
        if len(data) < size:
            raise GoneError
        return data

    def _answer(self, request: Request) -> None:
        if request.path in ("/ping", "/replicas_status"):
            self._send(200, b"Ok.\n", {}, request)
        elif request.path == "/_fault":
            self._fault(request)
        elif request.path == "/_stats":
            counts = {"requests": self._server.requests, "inserts": self._server.inserts, "pid": os.getpid()}
            self._send(200, json.dumps(counts).encode(), {}, request)
        elif request.path not in ("/", "/query"):
            self._send(404, b"There is no handle " + request.path.encode() + b"\n", {}, request)
        elif request.method == "GET" and not request.parameters.get("query"):
            self._send(200, b"Ok.\n", {}, request)
        else:
            self._statement(request)

    def _fault(self, request: Request) -> None:
        faults = self._server.faults
        if request.method == "POST":
            faults.add(json.loads(request.body))
        elif request.method == "DELETE":
            faults.clear()
        self._send(200, json.dumps({"rules": faults.rules, "fired": faults.fired}).encode(), {}, request)

    def _statement(self, request: Request) -> None:
        headers = {
            "X-ClickHouse-Query-Id": request.parameters.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Server-Display-Name": "tests",
            "X-ClickHouse-Timezone": "UTC",
        }
        try:
            self._authenticate(request)
            body = self._run(request, headers)
        except EngineError as error:
            headers["X-ClickHouse-Exception-Code"] = str(error.code)
            headers["Content-Type"] = "text/plain; charset=UTF-8"
            text = f"{error.message} (version {self._server.version} (tests))\n"
            self._send(error.status, text.encode(), headers, request)
            return
        if body and request.parameters.get("enable_http_compression") == "1":
            body, encoding = compressed(body, request.headers.get("accept-encoding", ""))
            if encoding:
                headers["Content-Encoding"] = encoding
        self._send(200, body, headers, request)

    def _run(self, request: Request, headers: dict[str, str]) -> bytes:
        statement = _statement_of(request)
        kind = kind_of(statement)
        rule = self._server.faults.take(kind, statement)
        action = rule["action"] if rule else ""
        if rule and not action.endswith("_after"):
            act(rule, action)
        self._server.inserts += kind == "insert"
        answer = self._server.engine.run(statement, request.parameters)
        if rule and action.endswith("_after"):
            act(rule, action.removesuffix("_after"))
        if action == "truncate":
            self._truncate(answer.body)
        headers["X-ClickHouse-Summary"] = answer.summary
        if answer.format:
            native = answer.format == "Native"
            headers["X-ClickHouse-Format"] = answer.format
            headers["Content-Type"] = "application/octet-stream" if native else "text/plain; charset=UTF-8"
        return answer.body

    def _truncate(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + 64)
        self._connection.sendall(head + body[: len(body) // 2])
        raise ResetError

    def _authenticate(self, request: Request) -> None:
        if not (self._server.user or self._server.password):
            return
        user = request.headers.get("x-clickhouse-user") or request.parameters.get("user")
        password = request.headers.get("x-clickhouse-key") or request.parameters.get("password", "")
        basic = request.headers.get("authorization", "")
        if basic.startswith("Basic "):
            user, _, password = base64.b64decode(basic[6:]).decode().partition(":")
        if (user or "default") != self._server.user or (password or "") != self._server.password:
            raise engine_error(516, f"{user}: Authentication failed.", 403)

    def _send(self, status: int, body: bytes, headers: dict[str, str], request: Request) -> None:
        lines = [
            f"HTTP/1.1 {status} {REASON.get(status, 'Error')}",
            f"Content-Length: {len(body)}",
            "Connection: " + ("Keep-Alive" if request.keeps_alive else "Close"),
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin1", "replace") + body)


def _statement_of(request: Request) -> bytes:
    body = decompressed(request.body, request.headers.get("content-encoding", ""))
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        body = _form(content_type, body, request.parameters)
    query = request.parameters.get("query", "").encode()
    return query + b"\n" + body if query and body else query or body


def _form(content_type: str, body: bytes, parameters: dict[str, str]) -> bytes:
    """Puts a form's fields into the parameters; the statement is one of them."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    if boundary is None:
        raise engine_error(36, "form without a boundary.")
    for part in body.split(b"--" + boundary.group(1).encode())[1:-1]:
        head, _, value = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name and b"filename=" not in head:
            parameters[name.group(1).decode()] = value[:-2].decode()
    return b""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--path", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--handles", type=int, default=4)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Server(options.path, options.port, options.handles, options.user, options.password)
    print(f"ready on port {options.port}, pid {os.getpid()}", flush=True)
    server.serve()


if __name__ == "__main__":
    main()
