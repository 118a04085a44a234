"""What goes over ClickHouse's HTTP protocol: errors, compression, and where an INSERT's data begin."""

from __future__ import annotations

import gzip
import re
import zlib
from typing import NamedTuple

import lz4.frame  # type: ignore[import-untyped]
from backports import zstd

STATUS = {
    60: 404, 81: 404, 46: 404, 47: 404, 36: 400, 62: 400, 27: 400, 6: 400, 26: 400, 43: 400, 53: 400,
    497: 403, 516: 403, 192: 403, 193: 403, 194: 403, 159: 408, 202: 503, 373: 500, 252: 500, 241: 500,
}  # fmt: skip
REASON = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
NAMES = {
    252: "TOO_MANY_PARTS", 159: "TIMEOUT_EXCEEDED", 202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    241: "MEMORY_LIMIT_EXCEEDED", 319: "UNKNOWN_STATUS_OF_INSERT", 999: "KEEPER_EXCEPTION",
    242: "TABLE_IS_READ_ONLY",
}  # fmt: skip
_CODE = re.compile(r"Code: (\d+)\.")
_RESULT = re.compile(
    rb"\s*(?:\(|/\*.*?\*/|--[^\n]*\n|\s)*(select|with|show|describe|desc|exists|explain|check|values|from)\b",
    re.IGNORECASE | re.DOTALL,
)
_TOKEN = re.compile(
    rb"""\s+|--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|[A-Za-z_][A-Za-z0-9_]*|.""",
    re.DOTALL,
)
_AFTER_FORMAT = re.compile(rb"\s+(\w+)[ \t]*;?[ \t]*(?:\r?\n)?")


class EngineError(Exception):
    """An error as ClickHouse reports it; `code` 0 = stands in the message."""

    def __init__(self, code: int, message: str, status: int | None = None) -> None:
        super().__init__(message)
        start = message.find("Code: ")
        self.message = message[start:] if start > 0 else message
        found = _CODE.search(self.message)
        self.code = code or (int(found.group(1)) if found else 1001)
        self.status = status or STATUS.get(self.code, 500)


def engine_error(code: int, text: str, status: int | None = None) -> EngineError:
    return EngineError(code, f"Code: {code}. DB::Exception: {text} ({NAMES.get(code, 'INJECTED')})", status)


class Insert(NamedTuple):
    """An INSERT that carries data: the statement before FORMAT, the format, the data."""

    statement: str
    format: str
    data: bytes
    has_settings: bool


def split_insert(request: bytes) -> Insert | None:
    """None unless the request is an INSERT with a data tail in a FORMAT."""
    head = request[:65536]
    depth = position = 0
    seen_insert = has_settings = False
    while position < len(head):
        match = _TOKEN.match(head, position)
        if match is None:
            return None
        token = match.group()
        word = token.upper() if token[:1].isalpha() or token[:1] == b"_" else None
        if not seen_insert:
            if word == b"INSERT":
                seen_insert = True
            elif word or not (token.isspace() or token[:2] in (b"--", b"/*")):
                return None
        elif token in b"()":
            depth += 1 if token == b"(" else -1
        elif depth == 0 and word == b"FORMAT":
            following = _AFTER_FORMAT.match(head, match.end())
            if following and following.group(1).upper() != b"VALUES":
                data = request[following.end() :]
                return Insert(head[:position].decode(), following.group(1).decode(), data, has_settings)
            return None
        elif depth == 0 and word in (b"VALUES", b"SELECT", b"WITH", b"INFILE", b"WATCH"):
            return None
        elif depth == 0 and word == b"SETTINGS":
            has_settings = True
        position = match.end()
    return None


def kind_of(statement: bytes) -> str:
    """insert, select or ddl."""
    if statement.lstrip()[:6].lower() == b"insert":
        return "insert"
    return "select" if _RESULT.match(statement[:4096]) else "ddl"


def decompressed(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "lz4":
        return _lz4_frames(body)
    if encoding == "zstd":
        return zstd.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    raise engine_error(1, f"Unknown compression method {encoding}.")


def compressed(body: bytes, accepted: str) -> tuple[bytes, str]:
    """The body in the first encoding that the client accepts, and the encoding's name ("" = none)."""
    for name in (part.split(";")[0].strip() for part in accepted.split(",")):
        if name == "lz4":
            return bytes(lz4.frame.compress(body)), name
        if name == "zstd":
            return zstd.compress(body, 1), name
        if name == "gzip":
            return gzip.compress(body, 1), name
    return body, ""


def _lz4_frames(body: bytes) -> bytes:
    """All frames of `body`: clickhouse-connect sends one a block; lz4.frame.decompress stops after one."""
    parts = []
    while body:
        decompressor = lz4.frame.LZ4FrameDecompressor()
        parts.append(decompressor.decompress(body))
        if not decompressor.eof:
            raise engine_error(432, "truncated LZ4 frame.")
        body = decompressor.unused_data or b""
    return b"".join(parts)
