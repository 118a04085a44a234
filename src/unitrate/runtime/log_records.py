"""The record format of `unitrate.log` (docs/log-format.md): what a record is, and what the fold gets of it.

Pure: knows headers and values, no client and no clock. Bad bytes never raise here: they go to the fold as
they are, which rejects them with a reason.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

LOG_TOPIC = "unitrate.log"
ALERTS_TOPIC = "unitrate.alerts"
KIND_HEADER = "unitrate"  # present on every record that is no event
ID_HEADER = "unitrate-id"  # of control records: what makes two of them the same
FORMAT_HEADER = "unitrate-format"
FORMAT = b"1"
TICK = "tick"
GENESIS = "genesis"
ENGINE = "engine"
CATALOG = "catalog"
CLOSE = "close"
CORRECTION = "correction"
RERATE = "rerate"
# The genesis record fixes the log for life: its id and the number of partitions.

Headers = Sequence[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One record as it stands in the log; `timestamp_us` is LogAppendTime."""

    offset: int
    timestamp_us: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Genesis(msgspec.Struct, frozen=True):
    """Body of the genesis record."""

    log_id: str
    partitions: int


def kind_of(headers: Headers) -> str | None:
    """The kind of a record that is no event; None for events."""
    for name, value in headers:
        if name == KIND_HEADER:
            return (value or b"").decode("utf-8", "replace")
    return None


def control_id_of(headers: Headers) -> str:
    for name, value in headers:
        if name == ID_HEADER:
            return (value or b"").decode("utf-8", "replace")
    return ""


def control_headers(kind: str, control_id: str) -> list[tuple[str, bytes]]:
    return [(KIND_HEADER, kind.encode()), (ID_HEADER, control_id.encode()), (FORMAT_HEADER, FORMAT)]


def tick_headers() -> list[tuple[str, bytes]]:
    """A tick is nothing but its append time: unnumbered, outside of transactions, harmless in any number."""
    return [(KIND_HEADER, TICK.encode()), (FORMAT_HEADER, FORMAT)]


def genesis_body(log_id: str, partitions: int) -> bytes:
    return json.dumps({"log_id": log_id, "partitions": partitions}, sort_keys=True).encode()


def engine_body(version: int) -> bytes:
    """Body of the record that switches the fold to a version of its rules."""
    return json.dumps({"version": version}).encode()


def version_of(value: bytes | None) -> int:
    """The version that such a record asks for; 0 if it is none."""
    try:
        return max(0, msgspec.json.decode(value or b"", type=dict[str, int]).get("version", 0))
    except msgspec.DecodeError:
        return 0


def genesis_of(value: bytes | None) -> Genesis | None:
    """The genesis that a record carries; None if it is none."""
    try:
        found = msgspec.json.decode(value or b"", type=Genesis)
    except msgspec.DecodeError:
        return None
    return found if found.log_id and found.partitions > 0 else None


def event_bytes(headers: Headers, value: bytes | None) -> bytes:
    """The structured JSON of an event, whether it came in structured or in binary mode."""
    if not headers or not any(name == "ce_specversion" for name, _ in headers):
        return value or b""
    return _structured(headers, value or b"")


def _structured(headers: Headers, value: bytes) -> bytes:
    """A binary-mode event as structured JSON: each `ce_*` header an attribute, the value its data.

    A value that is no JSON becomes `data_base64`, as CloudEvents has it, and the event is rejected for having
    no data; so nothing that a value holds can pass for an attribute.
    """
    attributes = {
        name[3:]: (text or b"").decode("utf-8", "replace")
        for name, text in headers
        if name.startswith("ce_") and name not in ("ce_data", "ce_data_base64")
    }
    head = json.dumps(attributes, ensure_ascii=False, sort_keys=True).encode()[:-1]
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except msgspec.DecodeError:
        return head + b', "data_base64": "' + base64.b64encode(value) + b'"}'
    return head + b', "data": ' + value + b"}"


def checksum(record: Record) -> int:
    """Our CRC-32 of key, value and headers, each with its length, so that none can stand for another."""
    crc = _add(_add(0, record.key), record.value)
    for name, value in record.headers:
        crc = _add(_add(crc, name.encode()), value)
    return crc


def _add(crc: int, part: bytes | None) -> int:
    if part is None:
        return zlib.crc32(b"\xff" * 8, crc)
    return zlib.crc32(part, zlib.crc32(len(part).to_bytes(8, "big"), crc))
