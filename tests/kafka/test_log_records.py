"""The log's record format: kinds, binary-mode events, checksums."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unitrate.runtime.log_records import (
    Record,
    checksum,
    control_headers,
    control_id_of,
    event_bytes,
    genesis_body,
    genesis_of,
    kind_of,
    tick_headers,
)


def a_record(**changes: Any) -> Record:
    return Record(7, 1_000, b"key", b"value", (("a", b"1"),))._replace(**changes)


def test_a_record_without_our_header_is_an_event() -> None:
    """Producers need not know our headers."""
    assert kind_of([("ce_specversion", b"1.0"), ("traceparent", b"00-1")]) is None


def test_control_records_and_ticks_name_their_kind() -> None:
    """The kind and the id stand in headers."""
    headers = control_headers("catalog", "catalog:2026-10:ab")
    assert (kind_of(headers), control_id_of(headers)) == ("catalog", "catalog:2026-10:ab")
    assert kind_of(tick_headers()) == "tick"


def test_a_structured_event_is_its_value() -> None:
    """Bytes go to the fold untouched, whatever other headers there are."""
    assert event_bytes([("traceparent", b"x")], b'{"id": 1}') == b'{"id": 1}'


def test_a_record_without_a_value_is_an_empty_event() -> None:
    """A tombstone is rejected by the fold like any other garbage."""
    assert event_bytes([], None) == b""


def test_a_binary_event_becomes_structured() -> None:
    """`ce_*` headers are attributes, the value is the data."""
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"e1"), ("ce_subject", "köln".encode()), ("x", b"y")]
    assert json.loads(event_bytes(headers, b'{"workflow": "w"}')) == {
        "specversion": "1.0",
        "id": "e1",
        "subject": "köln",
        "data": {"workflow": "w"},
    }


def test_a_binary_value_cannot_pass_for_attributes() -> None:
    """A value that closes the object early is kept as data_base64, not as attributes."""
    headers = [("ce_specversion", b"1.0"), ("ce_subject", b"poor")]
    event = json.loads(event_bytes(headers, b'{}, "subject": "rich"'))
    assert event["subject"] == "poor"
    assert "data" not in event


@pytest.mark.parametrize(
    "other",
    [
        {"key": b"kez"},
        {"value": b"valuf"},
        {"headers": (("a", b"2"),)},
        {"headers": ()},
        {"key": None},
        {"key": b"keyv", "value": b"alue"},
    ],
)
def test_the_checksum_tells_records_apart(other: dict[str, object]) -> None:
    """Any other key, value or header, and any other cut between them, gives another sum."""
    assert checksum(a_record(**other)) != checksum(a_record())


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"[]", b'{"log_id": "x"}', genesis_body("", 4), genesis_body("x", 0)]
)
def test_garbage_is_no_genesis(value: bytes | None) -> None:
    """A genesis needs an id and a number of partitions."""
    assert genesis_of(value) is None
