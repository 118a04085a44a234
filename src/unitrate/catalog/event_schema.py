"""The JSON Schema of events, for editors and producers' tests.

Owns a description of contract §1 in pydantic; nothing decodes events by it (`unitrate.events` does). A test
holds the two against each other.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 10**12}

Identity = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(max_length=256)]
Count = Annotated[int, WithJsonSchema(_COUNT)]
_NAMES = {"minLength": 1, "maxLength": 64}
AttributeMap = Annotated[
    dict[str, str | int | bool],
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 64,
            "propertyNames": _NAMES,
            "additionalProperties": {"type": ["string", "integer", "boolean"], "maxLength": 1024},
        }
    ),
]
TagMap = Annotated[
    dict[str, str],
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 64,
            "propertyNames": _NAMES,
            "additionalProperties": {"type": "string", "maxLength": 1024},
        }
    ),
]
DecimalAmount = Annotated[
    str,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,18}([.][0-9]{1,40})?([eE][+-]?[0-9]{1,2})?$"},
                {"type": "integer", "minimum": 0},
            ]
        }
    ),
]
Completion = Annotated[
    str,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^(0([.][0-9]+)?|1([.]0+)?)$"},
            ]
        }
    ),
]
Time = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?"
            r"([Zz]|[+-][0-9]{2}:[0-9]{2})$",
        }
    ),
]


class _Described(BaseModel):
    """Fields that are not named are ignored and not stored, so they are no errors."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="allow")


class Usage(_Described):
    """Disjoint counts; `reasoning_tokens` alone is a part of another one."""

    input_tokens: Count = 0
    """Uncached input tokens."""
    cache_read_tokens: Count = 0
    """Input tokens read from a cache."""
    cache_write_tokens: Count = 0
    """Input tokens written to a cache."""
    cache_write_1h_tokens: Count = 0
    """Input tokens written to a one-hour cache."""
    output_tokens: Count = 0
    """Output tokens, reasoning included."""
    reasoning_tokens: Count = 0
    """Informative, a part of output_tokens."""
    input_audio_tokens: Count = 0
    """Audio input tokens."""
    cache_read_audio_tokens: Count = 0
    """Audio input tokens read from a cache."""
    output_audio_tokens: Count = 0
    """Audio output tokens."""
    images: Count = 0
    """Images."""
    pages: Count = 0
    """Pages."""
    seconds: Count = 0
    """Seconds."""
    characters: Count = 0
    """Characters."""
    searches: Count = 0
    """Searches."""
    tool_calls: Count = 0
    """Tool calls."""


class Cost(_Described):
    """What the provider really billed; it wins over the computed cost."""

    amount: DecimalAmount
    """An exact decimal in a string: "0.004596"."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    """ISO 4217 code."""


class Data(_Described):
    """What happened."""

    workflow: Identity
    """Which workflow of yours."""
    run_id: Identity
    """Which run of it."""
    workspace: Text = ""
    """Part of the customer's organisation."""
    mode: Literal["live", "test", "internal"] = "live"
    """Tests and internal work do not bill by default."""
    retry_of: Text = ""
    """run_id of the original run that this run repeats."""
    attributes: AttributeMap = {}
    """Flat map: ticket_id, document_id, pages, region …; decimals are strings."""
    tags: TagMap = {}
    """Flat map of strings, for reporting."""
    provider: Text = ""
    """ai.request: who served it."""
    model: Text = ""
    """ai.request: which model."""
    operation: Literal[
        "chat", "completion", "embedding", "image", "audio", "ocr", "rerank", "search", "tool", "other"
    ] = "chat"
    """ai.request: what it was."""
    status: Literal["ok", "error", "timeout", "cancelled"] = "ok"
    """ai.request: how it went."""
    step: Text = ""
    """ai.request: step of the workflow."""
    attempt: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    """ai.request: attempt, from 1."""
    background: bool = False
    """ai.request: cost only, never opens a unit nor keeps one open."""
    usage: Usage = Usage()
    """ai.request: what the provider counted."""
    cost: Cost | None = None
    """ai.request: what the provider billed."""
    completion: Completion = "1"
    """work.completed: how much was done, 0 to 1; less than 1 is partial."""


class Event(_Described):
    """A CloudEvent: one provider-charged attempt, or a fact about a piece of work."""

    specversion: Literal["1.0"]
    """Version of CloudEvents."""
    id: Identity
    """With source the event's identity: two events of one account with both equal are the same event."""
    source: Identity
    """Who emitted it."""
    type: Literal[
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
    """What it is."""
    subject: Identity
    """The account: the customer who is billed."""
    time: Time
    """When it happened, RFC 3339 with a zone."""
    data: Data
    """What happened."""
