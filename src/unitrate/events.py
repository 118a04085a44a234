"""Events: from bytes to a checked value, or to a `Rejected` value with a reason from a closed list.

Owns the wire format (contract §1) and nothing else: no state, no catalog. Bad input never raises here.
The fast path is one msgspec decode; only what fails it is looked at again, to say exactly what is wrong
or to forgive what the contract forgives (nulls, and unknown fields of any type).
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct

from unitrate.rows import USAGE

MAX_EVENT_BYTES = 1 << 20
AHEAD_US = 24 * 3600 * 1_000_000
PICO = 10**12
MAX_COST_PICO = 9_000_000 * PICO
NO_RAW = Raw(b"")
USAGE_NAMES = frozenset(USAGE)

Identity = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(max_length=256)] | None
Count = Annotated[int, Meta(ge=0, le=10**12)]
EventType = Literal[
    "ai.request",
    "work.started",
    "work.completed",
    "work.failed",
    "work.cancelled",
    "work.closed",
    "work.reopened",
    "work.accepted",
    "work.rejected",
    "work.escalated",
    "work.annotated",
]
Operation = Literal[
    "chat", "completion", "embedding", "image", "audio", "ocr", "rerank", "search", "tool", "other"
]
VERDICTS = frozenset({"work.accepted", "work.rejected", "work.escalated", "work.reopened"})


class Cost(Struct, gc=False):
    """What the provider billed: an exact decimal in a string, and its ISO 4217 currency."""

    amount: str | int
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]


class Data(Struct, gc=False):
    """`data` of every type; see the contract for meanings. Absent strings are None."""

    workflow: Identity
    run_id: Identity
    workspace: Text = None
    mode: Literal["live", "test", "internal"] | None = None
    retry_of: Text = None
    attributes: Raw = NO_RAW
    tags: Raw = NO_RAW
    provider: Text = None
    model: Text = None
    operation: Operation | None = None
    status: Literal["ok", "error", "timeout", "cancelled"] | None = None
    step: Text = None
    attempt: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    background: bool | None = None
    usage: dict[str, Count] | None = None
    cost: Cost | None = None
    completion: Decimal | None = None


class Event(Struct, gc=False):
    """One CloudEvent as decoded; `time` is text until `parse_time`."""

    specversion: Literal["1.0"]
    id: Identity
    source: Identity
    type: EventType
    subject: Identity
    time: str
    data: Data


class Rejected(NamedTuple):
    """An event that is not taken: why, in words, and what could be read of its identity."""

    reason: str
    message: str
    account: str = ""
    source: str = ""
    id: str = ""


decode = msgspec.json.Decoder(Event).decode

# ---------------------------------------------------------------- time

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_SECONDS = {f"{s:02d}": s * 1_000_000 for s in range(60)}
_THOUSANDS = {f"{n:03d}": n for n in range(1000)}
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@lru_cache(maxsize=8192)
def _minute_us(prefix: str) -> int:
    """Instant of "2025-11-18T23:41:" in UTC, or −1 if it is none."""
    us = _slow_time(prefix + "00Z")
    return -1 if us is None else us


def parse_time(text: str) -> int | None:
    """Microseconds since 1970 of an RFC 3339 time with a zone, truncated; None if it is none.

    Years 1970 to 2099.
    """
    minute = _minute_us(text[:17])
    if minute >= 0 and text[-1] == "Z":
        second = _SECONDS.get(text[17:19])
        if second is not None:
            n = len(text)
            if n == 20:
                return minute + second
            milli = _THOUSANDS.get(text[20:23])
            if milli is not None and text[19] == ".":
                if n == 24:
                    return minute + second + milli * 1000
                micro = _THOUSANDS.get(text[23:26])
                if n == 27 and micro is not None:
                    return minute + second + milli * 1000 + micro
    return _slow_time(text)


def _slow_time(text: str) -> int | None:
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(g) for g in found.groups()[:6])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (1970 <= year < 2100 and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 60):
        return None
    if not 1 <= day <= _MONTH_DAYS[month - 1] or (month == 2 and day == 29 and not leap):
        return None
    y = year - (month <= 2)
    doy = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = y // 400 * 146_097 + y % 400 * 365 + y % 400 // 4 - y % 400 // 100 + doy - 719_468
    us = (days * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000
    fraction, _, sign, zone_hour, zone_minute = found.groups()[6:]
    us += int((fraction or "")[:6].ljust(6, "0"))
    if sign:
        if int(zone_hour) > 23 or int(zone_minute) > 59:
            return None
        offset = (int(zone_hour) * 3600 + int(zone_minute) * 60) * 1_000_000
        us += -offset if sign == "+" else offset
    return us if us >= 0 else None


# ---------------------------------------------------------------- money

_SCALES: tuple[int, ...] = tuple(10 ** (12 - n) for n in range(13))
_AMOUNT = re.compile(r"\d{1,18}(\.\d{1,40})?([eE][+-]?\d{1,2})?", re.ASCII)


def amount(cost: Cost) -> Decimal | None:
    """The billed amount, exact; None if it is no decimal of at least 0 or is out of range."""
    text = str(cost.amount)
    if isinstance(cost.amount, int):
        return Decimal(text) if 0 <= cost.amount < 10**9 else None
    if not _AMOUNT.fullmatch(text):
        return None
    value = Decimal(text)
    return value if value < 10**9 else None


def plain_pico(text: str | int) -> int | None:
    """A plain decimal of at most 12 decimals in 10⁻¹², the common case; None for all others."""
    if not isinstance(text, str):
        return None
    whole, dot, fraction = text.partition(".")
    if len(whole) > 9 or len(fraction) > 12 or not (whole.isascii() and whole.isdecimal()):
        return None
    if not dot:
        return int(whole) * PICO
    if not (fraction.isascii() and fraction.isdecimal()):
        return None
    return int(whole) * PICO + int(fraction) * _SCALES[len(fraction)]


# ---------------------------------------------------------------- attributes and tags

Attributes = tuple[tuple[str, str], ...]
_attributes = msgspec.json.Decoder(dict[str, str | int | bool]).decode
_tags = msgspec.json.Decoder(dict[str, str]).decode


def read_attributes(raw: bytes) -> Attributes | str:
    """(name, value as text) pairs, or what is wrong with them."""
    try:
        found = _attributes(raw)
    except UnicodeDecodeError:
        return "data.attributes: not UTF-8"
    except msgspec.DecodeError as error:
        return f"data.attributes: {_lower(error)}; values are strings, integers, decimal strings or booleans"
    return _limits("attributes", {name: _text(value) for name, value in found.items()})


def read_tags(raw: bytes) -> Attributes | str:
    """(name, value) pairs, or what is wrong with them."""
    try:
        found = _tags(raw)
    except UnicodeDecodeError:
        return "data.tags: not UTF-8"
    except msgspec.DecodeError as error:
        return f"data.tags: {_lower(error)}; tags are strings"
    return _limits("tags", found)


def _text(value: str | int | bool) -> str:
    if value is True:
        return "true"
    return "false" if value is False else str(value)


def _limits(what: str, found: dict[str, str]) -> Attributes | str:
    if len(found) > 64:
        return f"data.{what}: {len(found)} of them; at most 64"
    for name, value in found.items():
        if len(name) > 64 or not name:
            return f"data.{what}: a name of {len(name)} characters; 1 to 64"
        if len(value) > 1024:
            return f"data.{what}.{name}: {len(value)} characters; at most 1,024"
    return tuple(found.items())


# ---------------------------------------------------------------- what is wrong

_REASONS = (
    ("type", "unknown_type"),
    ("time", "bad_time"),
    ("data.usage", "bad_usage"),
    ("data.cost", "bad_cost"),
    ("data.attributes", "bad_attributes"),
    ("data.tags", "bad_tags"),
    ("data", "bad_data"),
    ("", "bad_envelope"),
)
_AT = re.compile(r"(?:Object |)(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)


def read(raw: bytes) -> Event | Rejected:
    """The event, or why it is rejected. Slower than `decode`; forgives what the contract forgives."""
    if len(raw) > MAX_EVENT_BYTES:
        return Rejected("too_large", f"{len(raw):,} bytes; an event has at most 1 MiB")
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _again(raw)


def _again(raw: bytes) -> Event | Rejected:
    try:
        value = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        return Rejected("not_json", "not UTF-8; an event is JSON in UTF-8")
    except (msgspec.DecodeError, RecursionError) as error:
        return Rejected("not_json", f"{error}; an event is one JSON object a line")
    if not isinstance(value, dict):
        return Rejected("not_json", f"a JSON {_kind(value)}; an event is a JSON object")
    who = tuple(v if isinstance(v := value.get(k), str) else "" for k in ("subject", "source", "id"))
    try:
        return msgspec.convert(_forgiven(value), Event)
    except msgspec.ValidationError as error:
        found = _AT.fullmatch(str(error))
        path = _named((found and found["path"]) or "", value)
        what = str(error).split(" - at ")[0]
        reason = _reason(path, what)
        return Rejected(reason, f"{path + ': ' if path else ''}{what[:1].lower() + what[1:]}", *who)


def _reason(path: str, what: str) -> str:
    if not path and "`data`" in what:
        return "bad_data"
    if not path and "`type`" in what:
        return "unknown_type"
    if not path and "`time`" in what:
        return "bad_time"
    inside = (reason for start, reason in _REASONS if not start or re.match(rf"{start}(\W|$)", path))
    return next(inside)


def _named(path: str, value: dict[str, Any]) -> str:
    """The path with the name of the usage count that is wrong, which msgspec does not tell."""
    if path != "data.usage[...]":
        return path
    for name, count in value["data"]["usage"].items():
        if name in USAGE_NAMES and count is not None:
            try:
                msgspec.convert(count, Count)
            except msgspec.ValidationError:
                return f"data.usage.{name}"
    return "data.usage"


def _forgiven(value: dict[str, Any]) -> dict[str, Any]:
    """Usage without nulls and without names that the contract does not know."""
    data = value.get("data")
    if not isinstance(data, dict):
        return value
    data = {**data}
    usage = data.get("usage")
    if isinstance(usage, dict):
        data["usage"] = {k: v for k, v in usage.items() if k in USAGE_NAMES and v is not None}
    for name in ("attributes", "tags"):
        if name in data:
            data[name] = Raw(msgspec.json.encode(data[name]))
    if isinstance(data.get("completion"), float):
        data["completion"] = Decimal(str(data["completion"]))
    return {**value, "data": data}


def completion_pico(completion: Decimal | None) -> int | None:
    """Completion in 10⁻¹², 1 where absent; None if it is not between 0 and 1."""
    if completion is None:
        return PICO
    try:
        if not 0 <= completion <= 1:
            return None
    except InvalidOperation:
        return None
    return int((completion * PICO).to_integral_value(rounding="ROUND_HALF_UP"))


def _kind(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def _lower(error: Exception) -> str:
    text = str(error).split(" - at ")[0]
    return text[:1].lower() + text[1:]
