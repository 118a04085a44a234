"""What the engine emits: the columns of every table, in order, and the buffers they are collected in.

One source for the engine (which appends), the store's schema (which creates) and its writer (which
encodes). Owns no I/O. Values are plain Python: see `KINDS` for what each kind of column takes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# kind of column -> what the engine puts in a row, and the ClickHouse type
KINDS = {
    "str": "String",  # str
    "code": "LowCardinality(String)",  # str, few distinct values
    "bytes": "String",  # bytes
    "id": "String",  # str, 32 hex digits (128 bits), or "" where there is none; text costs no more than bytes
    "int": "Int64",  # int
    "uint": "UInt64",  # int >= 0
    "small": "UInt32",  # int >= 0
    "flag": "Bool",  # bool or 0/1
    "time": "DateTime64(6, 'UTC')",  # int, microseconds since 1970
    "time?": "Nullable(DateTime64(6, 'UTC'))",  # int or None
    "month": "UInt32",  # int yyyymm, 202511 is November 2025
    "money": "Decimal(38, 12)",  # int, 10^-12 units
    "money?": "Nullable(Decimal(38, 12))",  # int or None
    "quantity": "Decimal(38, 12)",  # int, 10^-12 units
}

USAGE = (
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
)


class Column(NamedTuple):
    name: str
    kind: str
    comment: str


def _usage(prefix: str) -> tuple[Column, ...]:
    return tuple(Column(name, "uint", f"{prefix} {name.replace('_', ' ')}") for name in USAGE)


EVENTS = (
    Column("partition", "small", "log partition"),
    Column("offset", "int", "log offset of the record"),
    Column("account", "code", "customer who is billed (CloudEvents subject)"),
    Column("source", "code", "who emitted the event"),
    Column("id", "str", "identity of the event within its source and account"),
    Column("type", "code", "ai.request or work.*"),
    Column("time", "time", "when it happened"),
    Column("workflow", "code", "workflow that made the request"),
    Column("run_id", "str", "workflow run"),
    Column("workspace", "code", "workspace, empty where none"),
    Column("mode", "code", "live, test or internal"),
    Column("retry_of", "str", "run that this run repeats, empty where none"),
    Column("unit_id", "id", "unit that the event joined; zero for a cost-only row"),
    Column("meter", "code", "meter of that unit"),
    Column("reason", "code", "why it is cost-only: unmetered, no_key, background, unit_final; else empty"),
    Column("provider", "code", "provider as the event names it"),
    Column("model", "code", "model as the event names it"),
    Column("operation", "code", "operation of an ai.request"),
    Column("status", "code", "ok, error, timeout or cancelled"),
    Column("step", "code", "step of the workflow"),
    Column("attempt", "small", "attempt, from 1"),
    Column("background", "flag", "cost only, never opens a unit"),
    *_usage("count of"),
    Column("cost", "money", "what the request cost us, in the catalog's currency; 0 while unpriced"),
    Column("cost_computed", "money?", "by own price or price book; NULL where not priced"),
    Column("cost_billed", "money?", "what the provider billed, converted; NULL where not told"),
    Column("unpriced", "flag", "the cost is not known"),
    Column("billed", "str", "amount and currency that the provider billed, where it could not be converted"),
    Column("catalog", "code", "catalog version in force"),
    Column("price_book", "code", "price book and its version"),
    Column("attributes", "str", "attributes, JSON"),
    Column("tags", "str", "tags for reporting, JSON"),
    Column("completion", "quantity", "completion of a work.completed, 1 where not told"),
)

UNITS = (
    Column("account", "code", "customer who is billed"),
    Column("opened_month", "month", "UTC month of the opening record's event; partition of the table"),
    Column("unit_id", "id", "derived from account, meter, key and opening offset"),
    Column("version", "int", "log offset of the record that last changed the unit"),
    Column("partition", "small", "log partition"),
    Column("opened_offset", "int", "log offset of the record that opened it"),
    Column("meter", "code", "meter"),
    Column("unit", "code", "run, document, ticket, conversation, action or outcome"),
    Column("key", "str", "what makes events the same unit; ~2, ~3 … for the next unit of a key"),
    Column("ordinal", "small", "1, 2, … of the units of a key; 0 where every event is a unit"),
    Column("workspace", "code", "workspace of its first event"),
    Column("workflow", "code", "workflow of its first event"),
    Column("state", "code", "open, sealed or final"),
    Column("disposition", "code", "billable, not_billed or held"),
    Column("reason", "code", "the policy rule or condition that decided"),
    Column("size", "code", "size tier, empty where none"),
    Column("quantity", "quantity", "units that it counts as"),
    Column("billable_quantity", "quantity", "units that bill, times the fraction charged"),
    Column("period", "month", "month it belongs to, in its account's time zone"),
    Column("started", "time", "time of its earliest event"),
    Column("last_event", "time", "time of its latest event"),
    Column("ended", "time?", "end of the unit; NULL while open"),
    Column("ended_by", "code", "work.* type that ended it; idle or max_age; empty while open"),
    Column("requests", "uint", "provider-charged requests, retries included"),
    Column("background_requests", "uint", "of these, background ones"),
    Column("attempts", "uint", "1 + absorbed retry runs"),
    *_usage("sum of"),
    Column("cost", "money", "cost of all its requests"),
    Column("unpriced_requests", "uint", "requests whose cost is not known"),
    Column("revenue", "money", "sum of its lines"),
    Column("booked_cost", "money", "cost that cost_lines hold; the rest is of an open unit"),
    Column("booked_requests", "uint", "requests that cost_lines hold"),
    Column("attributes", "str", "aggregated attributes, JSON"),
    Column("conditions", "str", "conditions that hold, JSON list"),
    Column("verdict", "code", "accepted, rejected or empty"),
    Column("verdict_time", "time?", "time of the verdict that decides"),
    Column("plan", "code", "plan that rated it, empty where none"),
    Column("plan_version", "small", "its version"),
    Column("catalog", "code", "catalog version that decided it"),
    Column("runs", "str", "runs that joined it other than by its key, JSON list"),
    Column("revision", "small", "changes that were booked, from 1; 0 before it first ended"),
)

LINES = (
    Column("account", "code", "customer who is billed"),
    Column("bill_month", "month", "month whose invoice carries the line"),
    Column("unit_id", "id", "unit; for unit-less lines derived from the control record"),
    Column("charge", "code", "charge of the plan"),
    Column("price_value", "code", "which of the prices: size, workspace …, joined by /; empty without `by`"),
    Column("revision", "small", "revision of the unit"),
    Column("version", "int", "log offset of the record that made the line"),
    Column("partition", "small", "log partition"),
    Column("line_id", "str", "unit_id.charge number.revision, or of the control record"),
    Column("usage_month", "month", "month whose quantities rate it; differs from bill_month for adjustments"),
    Column("meter", "code", "meter"),
    Column("key", "str", "key of the unit, empty for unit-less lines"),
    Column("workspace", "code", "workspace"),
    Column("workflow", "code", "workflow"),
    Column("size", "code", "size tier"),
    Column("plan", "code", "plan"),
    Column("plan_version", "small", "its version"),
    Column("catalog", "code", "catalog version that priced it"),
    Column("reason", "code", "policy reason, plan_change or rerate"),
    Column("quantity", "quantity", "change of the price's quantity"),
    Column("units", "quantity", "change of the units it bills"),
    Column("total_before", "quantity", "the price's quantity of the month before"),
    Column("total_after", "quantity", "and after"),
    Column("included_before", "quantity", "of it included, before"),
    Column("included_after", "quantity", "and after"),
    Column("cost_before", "money", "cost_plus: cost base of the month before"),
    Column("cost_after", "money", "and after"),
    Column("rated_before", "money", "f of the whole charge before"),
    Column("rated_after", "money", "and after"),
    Column("amount", "money", "rated_after − rated_before"),
)

COST_LINES = (
    Column("account", "code", "customer"),
    Column("bill_month", "month", "month whose reports carry it"),
    Column("unit_id", "id", "unit; for cost-only rows derived from the event's identity"),
    Column("revision", "small", "revision of the unit"),
    Column("side", "small", "0 takes the former figures off, 1 puts the new ones on"),
    Column("version", "int", "log offset of the record that made it"),
    Column("partition", "small", "log partition"),
    Column("usage_month", "month", "month that the unit belongs to"),
    Column("meter", "code", "meter, empty for cost-only rows"),
    Column("workspace", "code", "workspace"),
    Column("workflow", "code", "workflow"),
    Column("size", "code", "size tier"),
    Column("disposition", "code", "billable, not_billed or held"),
    Column("reason", "code", "reason"),
    Column("units", "int", "units, signed"),
    Column("billable_quantity", "quantity", "billable units, signed"),
    Column("requests", "int", "requests, signed"),
    Column("revenue", "money", "revenue, signed: the sum of the revision's lines"),
    Column("cost", "money", "cost, signed"),
)

REJECTED = (
    Column("partition", "small", "log partition"),
    Column("offset", "int", "log offset"),
    Column("version", "int", "= offset"),
    Column("received", "time", "log time when it was rejected"),
    Column("reason", "code", "reason code"),
    Column("message", "str", "what is wrong, where, and the fix"),
    Column("account", "str", "subject, as far as it could be read"),
    Column("source", "str", "source, as far as it could be read"),
    Column("id", "str", "id, as far as it could be read"),
    Column("place", "str", "file:line, or topic[partition]@offset"),
    Column("raw", "bytes", "the event, whole, as it came"),
)

DUPLICATES = (
    Column("partition", "small", "log partition"),
    Column("offset", "int", "log offset"),
    Column("version", "int", "= offset"),
    Column("account", "code", "customer"),
    Column("source", "code", "source"),
    Column("id", "str", "identity that was seen before"),
    Column("time", "time", "time that the repeated event claims"),
)


CLOSINGS = (
    Column("control_seq", "int", "number of the close record among the log's control records"),
    Column("account", "code", "account whose month it closed"),
    Column("period", "month", "the month; its figures never change again"),
    Column("version", "int", "log offset of the close record"),
    Column("partition", "small", "log partition"),
    Column("closed_at", "time", "log time"),
)

GRANTS = (
    Column("account", "code", "account"),
    Column("grant_id", "id", "derived from the top-up's record"),
    Column("version", "int", "log offset of the record"),
    Column("partition", "small", "log partition"),
    Column("bill_month", "month", "month whose invoice charges the top-up"),
    Column("name", "str", "name of the top-up"),
    Column("amount", "money", "its price"),
    Column("credit", "money", "credit that it grants"),
    Column("granted_at", "time", "log time"),
    Column("expires_at", "time?", "end of the credit; NULL where it does not expire"),
)

CORRECTIONS = (
    Column("account", "code", "account"),
    Column("unit_id", "id", "unit that was corrected"),
    Column("version", "int", "log offset of the record"),
    Column("partition", "small", "log partition"),
    Column("corrected_at", "time", "log time"),
    Column("action", "code", "waive or restore"),
    Column("who", "str", "who decided"),
    Column("why", "str", "why"),
)

RERATES = (
    Column("partition", "small", "log partition"),
    Column("version", "int", "log offset of the record"),
    Column("number", "int", "of the log's re-rates, from 1: the same in every partition"),
    Column("rerated_at", "time", "log time"),
    Column("catalog", "code", "catalog version whose prices were wrong"),
    Column("plans", "str", "plans that it corrects, as growth v3, growth v4"),
    Column("from_time", "time?", "first instant that it is for; NULL where it is told by month, or for all"),
    Column("from_month", "month", "first month that it is for, in each account's zone; 0: see from_time"),
    Column("who", "str", "who decided"),
    Column("why", "str", "why"),
    Column("body", "bytes", "the record: the plans as they should have been, JSON"),
)

RERATED_MONTHS = (
    Column("account", "code", "account whose month has corrected prices"),
    Column("bill_month", "month", "month whose invoice carries what that changes"),
    Column("usage_month", "month", "the month"),
    Column("plan", "code", "plan"),
    Column("plan_version", "small", "its version"),
    Column("number", "int", "of the re-rate"),
    Column("version", "int", "log offset of the record"),
    Column("partition", "small", "log partition"),
)


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of texts: UTF-8, all of them joined, and where each ends (int32)."""

    ends: bytes
    joined: bytes

    def __len__(self) -> int:
        return len(self.ends) // 4

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in memoryview(self.ends).cast("i"):
            yield self.joined[start:end].decode()
            start = end


@dataclass(slots=True)
class EventColumns:
    """Accepted events, a list or array a column, in the order of `EVENTS` but constants left out.

    `columns[name]` holds: for kind "code" an array('i') of codes into `codes[name]` (a dict text -> code,
    append-only for the engine's life); for ints, times, flags and money an array('q'), or for the two
    nullable money columns a list of int | None; for "str" and "id" a list of str or a `Texts`.
    """

    columns: dict[str, Any]
    codes: dict[str, dict[str, int]]
    count: int = 0


@dataclass(slots=True)
class Output:
    """Rows since the last checkpoint. Tuples in the order of the tables' columns."""

    events: EventColumns
    units: list[tuple[Any, ...]] = field(default_factory=list)
    lines: list[tuple[Any, ...]] = field(default_factory=list)
    cost_lines: list[tuple[Any, ...]] = field(default_factory=list)
    rejected: list[tuple[Any, ...]] = field(default_factory=list)
    duplicates: list[tuple[Any, ...]] = field(default_factory=list)
    closings: list[tuple[Any, ...]] = field(default_factory=list)
    grants: list[tuple[Any, ...]] = field(default_factory=list)
    corrections: list[tuple[Any, ...]] = field(default_factory=list)
    rerates: list[tuple[Any, ...]] = field(default_factory=list)
    rerated_months: list[tuple[Any, ...]] = field(default_factory=list)


class StateRow(NamedTuple):
    """One fact: entity after `version`; an empty body means that it ended."""

    kind: str
    entity: bytes
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that one checkpoint writes, frozen: encoded values, never references to live state."""

    partition: int
    output: Output
    generation: int
    state: list[StateRow]
    last_offset: int
    meta: dict[str, Any]
    digests: dict[str, Any]


def q_array() -> array[int]:
    return array("q")
