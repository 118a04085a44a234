"""Malformed events: each becomes one rejected row, whole, with its reason and a message that names the place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.builders import a_catalog, an_event, folded, raw, rejected
from unitrate.engine import Batch, Engine
from unitrate.events import parse_time

GOOD = raw(an_event())

BAD: list[tuple[bytes, str, str]] = [
    (b"", "not_json", "Input data was truncated; an event is one JSON object a line"),
    (b"{", "not_json", "Input data was truncated; an event is one JSON object a line"),
    (b"\xff\xfe", "not_json", "JSON is malformed: invalid character (byte 0); an event is one JSON object a line"),
    (GOOD.replace(b'"e1"', b'"\xff"'), "not_json", "not UTF-8; an event is JSON in UTF-8"),
    (b"[1]", "not_json", "a JSON array; an event is a JSON object"),
    (b'"x"', "not_json", "a JSON string; an event is a JSON object"),
    (b"null", "not_json", "a JSON null; an event is a JSON object"),
    (b"[" * 100_000, "not_json", "maximum recursion depth exceeded while deserializing an object; an event is one JSON object a line"),
    (b" " * (2**20 + 1), "too_large", "1,048,577 bytes; an event has at most 1 MiB"),
    (raw(an_event(specversion="0.3")), "bad_envelope", "specversion: invalid enum value '0.3'"),
    (raw(an_event(id=None)), "bad_envelope", "object missing required field `id`"),
    (raw(an_event(id="")), "bad_envelope", "id: expected `str` of length >= 1"),
    (raw(an_event(source="s" * 257)), "bad_envelope", "source: expected `str` of length <= 256"),
    (raw(an_event(subject=7)), "bad_envelope", "subject: expected `str`, got `int`"),
    (raw(an_event(type="ai.response")), "unknown_type", "type: invalid enum value 'ai.response'"),
    (raw(an_event(type=None)), "unknown_type", "object missing required field `type`"),
    (raw(an_event(time="yesterday")), "bad_time", "time: 'yesterday' is no RFC 3339 time with a zone, 1970 to 2099"),
    (raw(an_event(time="2026-10-05T12:00:00")), "bad_time", "time: '2026-10-05T12:00:00' is no RFC 3339 time with a zone, 1970 to 2099"),
    (raw(an_event(time="2026-02-29T12:00:00Z")), "bad_time", "time: '2026-02-29T12:00:00Z' is no RFC 3339 time with a zone, 1970 to 2099"),
    (raw(an_event(time=1765000000)), "bad_time", "time: expected `str`, got `int`"),
    (raw(an_event(data=None)), "bad_data", "object missing required field `data`"),
    (raw(an_event(data__run_id=None)), "bad_data", "data: object missing required field `run_id`"),
    (raw(an_event(data__workflow="")), "bad_data", "data.workflow: expected `str` of length >= 1"),
    (raw(an_event(data__mode="dry")), "bad_data", "data.mode: invalid enum value 'dry'"),
    (raw(an_event(data__operation="poem")), "bad_data", "data.operation: invalid enum value 'poem'"),
    (raw(an_event(data__status="meh")), "bad_data", "data.status: invalid enum value 'meh'"),
    (raw(an_event(data__attempt=0)), "bad_data", "data.attempt: expected `int` >= 1"),
    (raw(an_event(data__background="yes")), "bad_data", "data.background: expected `bool | null`, got `str`"),
    (raw(an_event(data__completion=1.5)), "bad_data", "data.completion: 1.5 is not between 0 and 1"),
    (raw(an_event(data__completion="NaN")), "bad_data", "data.completion: NaN is not between 0 and 1"),
    (raw(an_event(data__usage={"input_tokens": -1})), "bad_usage", "data.usage.input_tokens: expected `int` >= 0"),
    (raw(an_event(data__usage={"input_tokens": 1.5})), "bad_usage", "data.usage.input_tokens: expected `int`, got `float`"),
    (raw(an_event(data__usage={"pages": 1, "images": "2"})), "bad_usage", "data.usage.images: expected `int`, got `str`"),
    (raw(an_event(data__usage={"input_tokens": 10**13})), "bad_usage", "data.usage.input_tokens: expected `int` <= 1000000000000"),
    (raw(an_event(data__usage=[1])), "bad_usage", "data.usage: expected `object | null`, got `array`"),
    (raw(an_event(data__cost={"amount": 0.1, "currency": "USD"})), "bad_cost", "data.cost.amount: expected `int | str`, got `float`"),
    (raw(an_event(data__cost={"amount": "-0.1", "currency": "USD"})), "bad_cost", "data.cost.amount: '-0.1' is no decimal of at least 0"),
    (raw(an_event(data__cost={"amount": "1", "currency": "usd"})), "bad_cost", "data.cost.currency: expected `str` matching regex '^[A-Z]{3}$'"),
    (raw(an_event(data__cost={"amount": "9999999", "currency": "USD"})), "bad_cost", "data.cost.amount: more than 9,000,000; one request cannot cost that"),
    (raw(an_event(data__attributes={"a": 1.5})), "bad_attributes", "data.attributes: expected `bool | int | str`, got `float`; values are strings, integers, decimal strings or booleans"),
    (raw(an_event(data__attributes={"a": {}})), "bad_attributes", "data.attributes: expected `bool | int | str`, got `object`; values are strings, integers, decimal strings or booleans"),
    (raw(an_event(data__attributes={f"a{i}": 1 for i in range(65)})), "bad_attributes", "data.attributes: 65 of them; at most 64"),
    (raw(an_event(data__attributes={"a" * 65: 1})), "bad_attributes", "data.attributes: a name of 65 characters; 1 to 64"),
    (raw(an_event(data__attributes={"a": "x" * 1025})), "bad_attributes", "data.attributes.a: 1025 characters; at most 1,024"),
    (raw(an_event(data__tags={"a": 1})), "bad_tags", "data.tags: expected `str`, got `int`; tags are strings"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason", "message"), BAD, ids=[f"{i}-{b[1]}" for i, b in enumerate(BAD)])
def test_a_malformed_event_is_kept_whole_with_its_reason(line: bytes, reason: str, message: str) -> None:
    """The run goes on: the good events before and after it are taken."""
    before, after = an_event(id="before"), an_event(id="after")
    engine, checkpoint = folded([before, line, after])
    (row,) = rejected(checkpoint)
    assert (row["reason"], row["message"]) == (reason, message)
    assert row["raw"] == line
    assert engine.counts["accepted"] == 2


def test_an_event_ahead_of_the_clock_is_rejected() -> None:
    """More than 24 h after the instant at which it entered the log; at exactly 24 h it is taken."""
    engine = Engine()
    engine.publish(0, a_catalog())
    entered = parse_time("2026-10-05T12:00:00Z")
    assert entered is not None
    raws = [
        raw(an_event(id="a", time="2026-10-06T12:00:00Z")),
        raw(an_event(id="b", time="2026-10-06T12:00:00.000001Z")),
    ]
    engine.fold(Batch(raws, [1, 2], entered, None, str))
    assert engine.counts["accepted"] == 1
    (row,) = rejected(engine.checkpoint())
    assert (row["reason"], row["id"]) == ("in_future", "b")


@pytest.mark.parametrize(
    "change",
    [
        {"data__usage": {"input_tokens": 1, "cost": 0.5, "details": {"x": [1]}, "output_tokens": None}},
        {"data__workspace": None, "data__prompt": "never stored"},
        {"data__attributes": {"a": True, "b": 7, "c": "0.5"}},
        {"datacontenttype": "application/json", "dataschema": None},
    ],
    ids=["unknown usage", "unknown data", "attribute types", "unknown envelope"],
)
def test_what_the_contract_does_not_name_is_ignored(change: dict[str, Any]) -> None:
    """Unknown fields, of any type, and nulls do not reject an event."""
    engine, checkpoint = folded([an_event(**change)])
    assert engine.counts["accepted"] == 1
    assert not checkpoint.output.rejected


def test_prompt_text_does_not_reach_the_rows() -> None:
    """Fields that are not named in the contract are not stored."""
    _, checkpoint = folded(
        [an_event(data__prompt="SECRET", data__usage={"input_tokens": 1, "note": "SECRET"})]
    )
    assert "SECRET" not in repr(checkpoint.output)
