"""An event as the reference rater reads it: one JSON text in, an `Event` or a reason out.

Owns the plain reading of contract §1. Never imports unitrate.events. Reasons of malformed events are kept
coarse here (`malformed`, `in_future`): the table of precise codes has tests of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.reference.catalog_view import DAY, instant, text

TIME = re.compile(r"^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)$")
NUMBER = re.compile(r"^-?\d+(\.\d+)?$")
VERDICTS = ("work.accepted", "work.rejected", "work.escalated", "work.reopened")
TYPES = (
    "ai.request",
    "work.started",
    "work.completed",
    "work.failed",
    "work.cancelled",
    "work.closed",
    "work.annotated",
    *VERDICTS,
)
OPERATIONS = ["chat", "completion", "embedding", "image", "audio", "ocr", "rerank", "search", "tool", "other"]
USAGE = [
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "cache_read_audio_tokens",
    "output_audio_tokens",
    "images",
    "pages",
    "seconds",
    "characters",
    "searches",
    "tool_calls",
]
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Event:
    """An accepted-looking event. `order` is its log offset, `arrival` the clock at it."""

    account: str
    source: str
    id: str
    type: str
    time: int
    workflow: str
    run: str
    workspace: str
    mode: str
    retry_of: str | None
    attributes: Mapping[str, str]
    provider: str
    model: str
    operation: str
    status: str
    background: bool
    usage: Mapping[str, int]
    billed: tuple[Fraction, str] | None
    completion: Fraction
    order: int = -1
    arrival: int = -1

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two events the same event."""
        return (self.account, self.source, self.id)

    @property
    def verdict(self) -> bool:
        """Whether it is a verdict (semantics.md, Words)."""
        return self.type in VERDICTS

    @property
    def ordinary(self) -> bool:
        """Neither background nor a verdict."""
        return not self.background and not self.verdict

    @property
    def request(self) -> bool:
        """Whether a provider charged for it."""
        return self.type == "ai.request"


class Malformed(Exception):
    """What is wrong with an event."""


def read(raw: bytes) -> Event:
    """Decode and validate; raises Malformed."""
    if len(raw) > MEBIBYTE:
        raise Malformed("too large")
    try:
        body = json.loads(raw, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise Malformed("no JSON") from error
    if not isinstance(body, dict) or body.get("specversion") != "1.0":
        raise Malformed("no CloudEvent")
    data = body.get("data")
    if body.get("type") not in TYPES or not isinstance(data, dict):
        raise Malformed("type or data")
    request = body["type"] == "ai.request"
    return Event(
        account=_words(body, "subject"),
        source=_words(body, "source"),
        id=_words(body, "id"),
        type=body["type"],
        time=_time(body.get("time")),
        workflow=_words(data, "workflow"),
        run=_words(data, "run_id"),
        workspace=_words(data, "workspace", "") or "",
        mode=_one_of(data, "mode", ("live", "test", "internal")),
        retry_of=_retry_of(data),
        attributes=_attributes(data.get("attributes")),
        provider=_words(data, "provider", "") if request else "",
        model=_words(data, "model", "") if request else "",
        operation=_one_of(data, "operation", OPERATIONS) if request else "",
        status=_one_of(data, "status", ("ok", "error", "timeout", "cancelled")) if request else "",
        background=_flag(data, "background") if request else False,
        usage=_usage(data.get("usage")) if request else {},
        billed=_billed(data.get("cost")) if request else None,
        completion=_completion(data.get("completion")) if body["type"] == "work.completed" else Fraction(1),
    )


def too_far_ahead(event: Event, entered: int) -> bool:
    """D2: more than 24 h after the instant at which it entered the log."""
    return event.time > entered + DAY


def _words(place: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = place.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or not 0 < len(value) <= 256:
        raise Malformed(name)
    return value


def _retry_of(data: Mapping[str, Any]) -> str | None:
    found = None if data.get("retry_of") == "" else _words(data, "retry_of", "")
    return None if found in ("", data.get("run_id")) else found  # D51


def _one_of(place: Mapping[str, Any], name: str, words: tuple[str, ...] | list[str]) -> str:
    value = place.get(name)
    if value is None:
        return words[0]
    if value not in words:
        raise Malformed(name)
    return str(value)


def _flag(place: Mapping[str, Any], name: str) -> bool:
    value = place.get(name)
    if value not in (None, True, False) or (isinstance(value, int) and not isinstance(value, bool)):
        raise Malformed(name)
    return bool(value)


def _time(value: Any) -> int:
    match = TIME.match(value) if isinstance(value, str) else None
    if match is None:
        raise Malformed("time")
    date, clock, fraction, zone = match.groups()
    try:
        whole = instant(f"{date}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError as error:
        raise Malformed("time") from error
    return whole + int(((fraction or ".0")[1:] + "000000")[:6])


def _attributes(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 64:
        raise Malformed("attributes")
    for name, item in value.items():
        if not isinstance(item, (str, int)) or len(name) > 64 or len(text(item)) > 1024:
            raise Malformed("attributes")
    return {name: text(item) for name, item in value.items()}


def _usage(value: Any) -> dict[str, int]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed("usage")
    found = {name: value[name] for name in USAGE if value.get(name) is not None}
    for count in found.values():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise Malformed("usage")
    return found


def _billed(value: Any) -> tuple[Fraction, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("amount"), str):
        raise Malformed("cost")
    if not NUMBER.match(value["amount"]) or value["amount"].startswith("-"):
        raise Malformed("cost")
    if not isinstance(value.get("currency"), str):
        raise Malformed("cost")
    return Fraction(value["amount"]), value["currency"]


def _completion(value: Any) -> Fraction:
    if value is None:
        return Fraction(1)
    if isinstance(value, bool) or not NUMBER.match(str(value)) or not 0 <= Fraction(str(value)) <= 1:
        raise Malformed("completion")
    return Fraction(str(value))
