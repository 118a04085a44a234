"""What operators write under `meters`: what one billable unit is, and when it bills.

Owns shapes and single-value rules; what needs two values compared is in `check_meters`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from unitrate.catalog.document import Scalar
from unitrate.catalog.scalars import (
    AttributeValue,
    Count,
    Day,
    Name,
    Note,
    PositiveAmount,
    Span,
    SpanOrZero,
    read_decimal,
    shown,
    wrong,
)
from unitrate.catalog.section import Items, OneOrMore, Section
from unitrate.catalog.spelling import did_you_mean

Aggregation = Literal["max", "sum", "first", "last"]
UnitKind = Literal["run", "document", "ticket", "conversation", "action", "outcome"]
EndType = Literal["work.completed", "work.failed", "work.cancelled", "work.closed"]
ReverseType = Literal["work.rejected", "work.reopened", "work.escalated"]
EachType = Literal[
    "ai.request",
    "work.started",
    "work.completed",
    "work.failed",
    "work.cancelled",
    "work.closed",
    "work.annotated",
]
Operation = Literal[
    "chat", "completion", "embedding", "image", "audio", "ocr", "rerank", "search", "tool", "other"
]
ConditionWord = Literal[
    "test",
    "internal",
    "duplicate",
    "retry",
    "failed",
    "cancelled",
    "partial",
    "timed_out",
    "unaccepted",
    "rejected",
    "escalated",
    "terms",
    "unpriced",
]
CONDITION_WORDS: tuple[str, ...] = ConditionWord.__args__  # type: ignore[attr-defined]


class AgreementModel(Section):
    """The customer's agreement that a rule or an outcome rests on."""

    ref: Note
    """Where it is written down, such as "MSA §4.2"."""
    on: Day
    """The day it was given."""


class SizeCondition(Section):
    """Holds for units of one size."""

    size: Name
    """Name of a size tier of the meter."""


class AttributeCondition(Section):
    """Holds for units whose attributes have these values."""

    attribute: Annotated[dict[Name, AttributeValue], Field(min_length=1)]
    """Attribute name to value; all must be equal."""


def _read_word(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong("must be one condition; write a rule for each")
    text = str(value)
    if isinstance(value, Scalar) and value.kind == "null":
        raise wrong("has no value; give it one or leave the key out")
    if text not in CONDITION_WORDS:
        extra = "; a size or an attribute is written {size: NAME} or {attribute: {NAME: VALUE}}"
        close = did_you_mean(text, CONDITION_WORDS)
        raise wrong(f"{shown(text)} is no condition{close or extra}")
    return text


def _kind_of_condition(value: Any) -> str:
    if isinstance(value, (dict, SizeCondition, AttributeCondition)):
        is_size = isinstance(value, SizeCondition) or (isinstance(value, dict) and "size" in value)
        return "<size>" if is_size else "<attribute>"
    return "<word>"


Condition = Annotated[
    Annotated[ConditionWord, BeforeValidator(_read_word), Tag("<word>")]
    | Annotated[SizeCondition, Tag("<size>")]
    | Annotated[AttributeCondition, Tag("<attribute>")],
    Discriminator(_kind_of_condition),
]


def _read_charge(value: Any) -> Any:
    if isinstance(value, str) and value in ("full", "none", "prorata"):
        return str(value)
    if isinstance(value, str) and not (
        isinstance(value, Scalar) and value.kind in ("int", "decimal", "null")
    ):
        try:
            read_decimal(value)
        except ValueError:
            close = did_you_mean(value, ("full", "none", "prorata"))
            raise wrong(
                f"{shown(value)} is no charge{close or '; write full, none, prorata or 0.5'}"
            ) from None
    number = read_decimal(value)
    if not 0 <= number <= 1:
        raise wrong(f"must be a fraction from 0 to 1, is {number}")
    if -int(number.as_tuple().exponent) > 6:
        raise wrong("has more than 6 decimals; round it")
    return number


ChargePart = Annotated[
    Literal["full", "none", "prorata"] | Decimal,
    BeforeValidator(_read_charge),
    WithJsonSchema(
        {"anyOf": [{"enum": ["full", "none", "prorata"]}, {"type": "number", "minimum": 0, "maximum": 1}]}
    ),
]


class RuleModel(Section):
    """One policy rule. Rules are tried in order, the first match decides and is the row's reason."""

    when: Condition
    """Condition: a word, {size: NAME} or {attribute: {NAME: VALUE}}."""
    charge: ChargePart
    """full, none, prorata (by completion) or a fraction such as 0.5."""
    by: OneOrMore[Name] = ()
    """With duplicate: the attributes that two copies have in common."""
    within: Span | None = None
    """With duplicate: how far apart the ends of two copies may lie, such as 24h."""
    agreed: AgreementModel | None = None
    """The customer's agreement; needed to charge failed runs, duplicates, tests, internal work or retries."""


class EndModel(Section):
    """When a unit ends: by an event, by silence or by age."""

    on: OneOrMore[EndType] = ("work.completed", "work.failed", "work.cancelled")
    """Event types that end it; default completed, failed, cancelled (ticket, conversation: closed)."""
    idle: Span | None = None
    """Silence after which it ends; default 24h (ticket and conversation 72h)."""
    max_age: Span | None = None
    """Age at which it ends whatever happens; default 30d."""


class SizeTierModel(Section):
    """One size, up to and including `up_to`."""

    name: Name
    """Its name, as prices and rules use it."""
    up_to: PositiveAmount | None = None
    """Highest value that still has this size; the last tier may leave it out."""


class SizesModel(Section):
    """Size tiers of a unit by one of its attributes."""

    by: Name
    """Attribute whose value decides, such as pages."""
    tiers: Annotated[Items[SizeTierModel], Field(min_length=1)]
    """Tiers from small to large."""


class ReopenModel(Section):
    """What further work on an ended unit does."""

    within: Span
    """How long after its end it can be re-opened."""
    as_: Annotated[Literal["same_unit", "new_unit"], Field(alias="as")] = "same_unit"
    """same_unit: the unit goes on; new_unit: the work opens the next one."""


class LongModel(Section):
    """Long units count as several."""

    requests: Count
    """Past each so many requests the unit counts as one more."""


class AcceptModel(Section):
    """The unit bills when the customer accepts it."""

    on: Literal["work.accepted"] = "work.accepted"
    """Event type of the acceptance."""
    within: Span
    """How long after the end a verdict is waited for."""
    otherwise: Literal["none", "full"] = "none"
    """What happens without a verdict in time."""


class ReverseModel(Section):
    """What takes an accepted (or ended) unit back."""

    on: Annotated[OneOrMore[ReverseType], Field(min_length=1)]
    """Event types that reverse it."""
    within: Span
    """How long after acceptance (without accept: after the end)."""


class EachModel(Section):
    """Every matching event is one unit."""

    type: EachType
    """Event type that counts."""
    operation: Operation | None = None
    """For ai.request: only requests of this operation."""


class MeterModel(Section):
    """What one billable unit is. An event belongs to the first meter that matches it."""

    unit: UnitKind
    """What the customer buys; sets the label and the defaults."""
    workflow: Annotated[OneOrMore[Name], Field(min_length=1)]
    """Workflow whose events it takes: a name, a list of names, or a glob."""
    match: dict[Name, AttributeValue] = Field(default_factory=dict)
    """Attributes that an event must have, name to value."""
    key: Name = "run_id"
    """What makes two events the same unit: run_id or an attribute."""
    start: Literal["first_event", "work.started"] = "first_event"
    """What opens a unit."""
    end: EndModel = EndModel()
    """When a unit ends."""
    settle: SpanOrZero | None = None
    """How long after the end late events and verdicts still change the unit; default 24h."""
    attributes: dict[Name, Aggregation] = Field(default_factory=dict)
    """How a unit's attribute comes from its events; last where not named."""
    sizes: SizesModel | None = None
    """Size tiers: light, normal, heavy …"""
    policy: Items[RuleModel] = ()
    """Rules in order; the first match decides."""
    reopen: ReopenModel | None = None
    """What further work after the end does; left out: nothing re-opens a unit."""
    long: LongModel | None = None
    """Long units count as several."""
    terms: Literal["required"] | None = None
    """required: nothing bills before the account's terms name the agreement."""
    accept: AcceptModel | None = None
    """The unit bills when it is accepted."""
    reverse: ReverseModel | None = None
    """What takes a billed unit back."""
    each: EachModel | None = None
    """Every matching event is one unit."""
