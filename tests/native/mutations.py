"""Events as they come and as they should not: seeded, built from JSON or broken byte by byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

TYPES = ("work.started", "work.completed", "work.failed", "work.closed", "work.accepted", "work.annotated")
MODELS = (
    ("openai", "gpt-5"),
    ("anthropic", "claude-sonnet-4-5"),  # dearer with a long context
    ("google", "gemini-2.5-pro"),  # the same
    ("deepseek", "deepseek-chat"),  # cheaper at night
    ("nobody", "unheard-of"),
    (None, "gpt-5-mini"),
)
USAGE = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "images",
    "pages",
    "seconds",
)
TEXTS = (
    "",
    "x",
    "ö",
    "€uro",
    "日本語",
    "😀",
    "a" * 256,
    "a" * 257,
    "ä" * 200,
    'q"q',
    "back\\slash",
    "new\nline",
    "\x7f",
)
NUMBERS = (
    "0",
    "-0",
    "-1",
    "01",
    "1.0",
    "1e3",
    "1E400",
    "9" * 12,
    "1000000000000",
    "1000000000001",
    "9" * 19,
    "9" * 400,
    "0.1",
    "2147483647",
    "2147483648",
    "1e-5",
    "-",
    "1.",
    ".5",
    "+1",
    "NaN",
    "Infinity",
    "0x1",
)
TIMES = (
    "2025-11-02T10:20:30Z",
    "2025-11-02T10:20:30.123456Z",
    "2025-11-02T10:20:30.1Z",
    "2025-11-02t10:20:30z",
    "2025-11-02T10:20:30+01:00",
    "2024-02-29T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2025-13-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "2100-01-01T00:00:00Z",
    "2099-12-31T23:59:59.999Z",
    "2025-11-02T24:00:00Z",
    "2025-11-02T10:20:60Z",
    "2025-11-02 10:20:30Z",
    "2025-11-0210:20:30Z",
    "2025-11-02T10:20:30.12 Z",
    "",
)
VALUES = ("null", "true", "false", "[]", "{}", '""', '"text"', "[1,2]", '{"a":{"b":[null]}}')
AMOUNTS = (
    '"0"',
    '"0.000000000001"',
    '"12.5"',
    '"9000000"',
    '"8999999.999999999999"',
    '"9000000.1"',
    '"1e-3"',
    '"-1"',
    '"1."',
    '".5"',
    '"0.0000000000001"',
    "5",
    "0.5",
    '"00012.50"',
    '"123456789"',
    '"1234567890"',
    '"x"',
    "null",
    '""',
)
PIECES = (
    b'"id":"again",',
    b'"data":{},',
    b'"x":[1.5e3,-0,"\\ud83d\\ude00",{"y":null}],',
    b'"x":"\\ud800",',
    b'"x":1e999,',
)


def a_time(random: Random) -> str:
    """A plain time of November 2025."""
    day, hour, second, milli = (
        random.randint(low, high) for low, high in ((1, 28), (0, 23), (0, 59), (0, 999))
    )
    return f"2025-11-{day:02d}T{hour:02d}:00:{second:02d}.{milli:03d}Z"


def an_event(random: Random) -> dict[str, Any]:
    """An event that is well-formed."""
    data: dict[str, Any] = {
        "workflow": random.choice(("triage", "reply", "other")),
        "run_id": f"run-{random.randint(0, 50)}",
    }
    event = {
        "specversion": "1.0",
        "id": f"{random.getrandbits(40):010x}",
        "source": random.choice(("sdk/python", "gateway")),
        "type": "ai.request" if random.random() < 0.8 else random.choice(TYPES),
        "subject": f"customer-{random.randint(0, 9)}",
        "time": a_time(random),
        "data": data,
    }
    for name, values in (
        ("workspace", ("ws-1", "", "qa")),
        ("mode", ("live", "test", "internal")),
        ("retry_of", ("run-1", "")),
        ("attributes", ({}, {"ticket_id": "t-1", "pages": 12, "ok": True}, {"region": "eu"}, {"x": "0.5"})),
        ("tags", ({}, {"team": "a"})),
        ("attempt", (1, 2, 7)),
        ("background", (True, False)),
        ("operation", ("chat", "tool")),
        ("status", ("ok", "error", "timeout")),
        ("step", ("plan", "draft")),
    ):
        if random.random() < 0.5:
            data[name] = random.choice(values)
    provider, model = random.choice(MODELS)
    data.update({"model": model} if provider is None else {"provider": provider, "model": model})
    if random.random() < 0.9:
        names = random.sample(USAGE, random.randint(0, 5))
        data["usage"] = {name: random.choice((0, 1, 17, 4675, 250_000)) for name in names}
    if random.random() < 0.5:
        data["cost"] = {
            "amount": f"{random.randint(0, 9999)}.{random.randint(0, 999999):06d}",
            "currency": "USD",
        }
    if random.random() < 0.1:
        data["completion"] = random.choice((0, 0.5, 1))
    return event


def encoded(random: Random, event: dict[str, Any]) -> bytes:
    """Its JSON, with or without white space and escapes."""
    separators = random.choice(((",", ":"), (", ", ": "), (" ,\t", "\r\n: ")))
    return json.dumps(event, separators=separators, ensure_ascii=random.random() < 0.3).encode()


# ---------------------------------------------------------------- what may be wrong


def reordered(random: Random, event: dict[str, Any]) -> bytes:
    """Members in another order."""
    data = dict(random.sample(sorted(event["data"].items()), len(event["data"])))
    return encoded(random, dict(random.sample(sorted({**event, "data": data}.items(), key=str), len(event))))


def bent(random: Random, event: dict[str, Any]) -> bytes:
    """One member has another value, of any type, or is missing, unknown or there twice."""
    inside = event["data"] if random.random() < 0.7 else event
    inner = [inside[name] for name in ("usage", "cost", "attributes") if inside.get(name)]
    target = random.choice(inner) if inner and random.random() < 0.3 else inside
    name = random.choice([*target, "unknown", "completion", "attempt", "usage", "cost"])
    value = random.choice(
        (*VALUES, *NUMBERS, *map(json.dumps, (*TEXTS, *TIMES)), json.dumps(TEXTS[3], ensure_ascii=False))
    )
    if random.random() < 0.1:
        target.pop(name, None)
        return encoded(random, event)
    target[name] = "@@"
    return encoded(random, event).replace(b'"@@"', value.encode(), 1)


def timed(random: Random, event: dict[str, Any]) -> bytes:
    """Another time."""
    return encoded(random, {**event, "time": random.choice(TIMES)})


def billed(random: Random, event: dict[str, Any]) -> bytes:
    """Another bill."""
    event["data"]["cost"] = {
        "amount": "@@",
        "currency": random.choice(("USD", "USD", "EUR", "usd", "US", "")),
    }
    return encoded(random, event).replace(b'"@@"', random.choice(AMOUNTS).encode(), 1)


def doubled(random: Random, event: dict[str, Any]) -> bytes:
    """A member that comes twice, or trailing text."""
    raw = encoded(random, event)
    piece = random.choice(
        (
            b'"id":"again",',
            b'"data":{},',
            b'"x":[1.5e3,-0,"\\ud83d\\ude00",{"y":null}],',
            b'"x":"\\ud800",',
            b'"x":1e999,',
        )
    )
    tail = random.choice((b"", b"", b" \n", b"x", b"{}", b"\0"))
    return raw.replace(b"{", b"{" + piece, 1) + tail


def nested(random: Random, event: dict[str, Any]) -> bytes:
    """Something deep that is passed over."""
    depth = random.choice((1, 30, 31, 32, 33, 34, 2000, 200_000))
    value = b"[" * depth + b"]" * (depth if random.random() < 0.9 else depth - 1)
    return encoded(random, {**event, "deep": "@@"}).replace(b'"@@"', value, 1)


def broken(random: Random, event: dict[str, Any]) -> bytes:
    """A few bytes are others, gone, or new."""
    raw = bytearray(encoded(random, event))
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(raw))
        how = random.random()
        if how < 0.5:
            raw[at] = random.choice((random.randrange(256), *b'"\\{}[]:,0-.e \xc3\xed\xf0'))
        elif how < 0.75:
            del raw[at : at + random.randint(1, 4)]
        else:
            raw[at:at] = bytes(random.choices(range(256), k=random.randint(1, 3)))
        raw = raw or bytearray(b"{}")
    return bytes(raw)


def cut(random: Random, event: dict[str, Any]) -> bytes:
    """It ends too early."""
    raw = encoded(random, event)
    return raw[: random.randrange(len(raw))]


MUTATIONS: tuple[Callable[[Random, dict[str, Any]], bytes], ...] = (
    encoded,
    encoded,
    reordered,
    bent,
    bent,
    bent,
    timed,
    billed,
    doubled,
    nested,
    broken,
    broken,
    cut,
)


def some_raw(random: Random) -> bytes:
    """A record: mostly well-formed, often nearly so."""
    return random.choice(MUTATIONS)(random, an_event(random))
