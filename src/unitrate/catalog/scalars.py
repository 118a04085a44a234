"""The kinds of value an operator writes: names, decimals, spans, instants, days.

Owns how a scalar's source text becomes a value, the message when it does not, and the JSON Schema that an
editor checks by. Every reader takes the text of a YAML scalar, the same as a plain string, or the value
itself; never a float, for a float has lost what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from unitrate.catalog.document import Scalar

MAX_DECIMALS = 12  # money is stored in 10^-12
MAX_AMOUNT = Decimal(10) ** 15
MAX_SPAN = timedelta(days=3660)
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_SPAN = re.compile(r"([0-9]{1,7})([smhdw])")
_SPAN_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?"
    r"([Zz]|[-+][0-9]{2}:[0-9]{2})"
)
_FIRST_YEAR, _LAST_YEAR = 1970, 2099  # what a publication's time-zone tables cover


def wrong(message: str) -> PydanticCustomError:
    """A finding with its final wording; `problems` prints such messages as they are."""
    return PydanticCustomError("catalog", "{message}", {"message": message})


def shown(value: object) -> str:
    """A value as messages quote it."""
    text = str(value)
    return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"'


def _text_of(value: Any, what: str) -> str:
    """The text of a scalar of whatever kind; refuses nothing, lists and mappings."""
    if isinstance(value, Scalar) and value.kind == "null":
        raise wrong("has no value; give it one or leave the key out")
    if not isinstance(value, str):
        raise wrong(f"must be {what}, not {_kind_name(value)}")
    return str(value)


def _kind_name(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    return f"the {type(value).__name__} {value!r}"


def read_name(value: Any) -> str:
    text = _text_of(value, "a name")
    if not text.strip():
        raise wrong("is empty; give it a name")
    if text != text.strip():
        raise wrong(f"{shown(text)} begins or ends with a space; remove it")
    if len(text) > 256:
        raise wrong(f"has {len(text)} characters; 256 are the limit")
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise wrong(f"{text!a} holds a control character; remove it")
    return text


def read_note(value: Any) -> str:
    text = _text_of(value, "text")
    if not text.strip():
        raise wrong("is empty; write something or leave the key out")
    if len(text) > 4096:
        raise wrong(f"has {len(text)} characters; 4096 are the limit")
    return text


def read_attribute_value(value: Any) -> str:
    """What an event's attribute is compared with, as text: `true` and `12.50` stay as written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    text = _text_of(value, "a text, number or true/false")
    if isinstance(value, Scalar) and value.kind == "bool":
        return text.lower()
    return text


def read_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = _text_of(value, "true or false")
    if text.lower() in ("true", "false") and not (isinstance(value, Scalar) and value.kind != "bool"):
        return text.lower() == "true"
    raise wrong(f"must be true or false, not {shown(text)}")


def read_decimal(value: Any) -> Decimal:
    if isinstance(value, (bool, float)):
        raise wrong(f"must be a decimal number, not {_kind_name(value)}")
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise wrong("must be a finite number")
        return value
    text = _text_of(value, "a number")
    if not _NUMBER.fullmatch(text):
        raise wrong(f"must be a number, not {shown(text)}{_number_hint(text)}")
    return Decimal(text)


def _number_hint(text: str) -> str:
    plain = text.replace("_", "").replace(",", "")
    if plain != text and _NUMBER.fullmatch(plain):
        return f"; write {plain}"
    if text.endswith("%") and _NUMBER.fullmatch(text[:-1].strip()):
        return f"; write {(Decimal(text[:-1].strip()) / 100).normalize():f}"
    amount = re.fullmatch(r"[^0-9]*([0-9]+(\.[0-9]+)?)[^0-9]*", text)  # $2.00, 14d
    return f"; write {amount[1]}" if amount else ""


def _decimal(
    low: Decimal | None = None,
    high: Decimal | None = None,
    *,
    over_low: bool = False,
    under_high: bool = False,
    hint: str = "",
) -> Callable[[Any], Decimal]:
    def read(value: Any) -> Decimal:
        number = read_decimal(value)
        if abs(number) >= MAX_AMOUNT:
            raise wrong(f"must be less than {MAX_AMOUNT:f}")
        if number != round(number, MAX_DECIMALS):
            raise wrong(f"has more than {MAX_DECIMALS} decimals; round it")
        if low is not None and (number < low or (over_low and number == low)):
            bound = "must be positive" if over_low and not low else "must not be negative"
            bound = bound if not low else f"must be at least {low}"
            raise wrong(f"{bound}, is {number}{hint}")
        if high is not None and (number > high or (under_high and number == high)):
            raise wrong(f"must be {'less than' if under_high else 'at most'} {high}, is {number}{hint}")
        return number

    return read


def read_whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = read_decimal(value)
        if number != number.to_integral_value():
            raise wrong(f"must be a whole number, is {number}")
        if not low <= number <= high:
            raise wrong(f"must be a whole number from {low} to {high}, is {number}")
        return int(number)

    return read


def _span(*, zero: bool) -> Callable[[Any], timedelta]:
    def read(value: Any) -> timedelta:
        if isinstance(value, timedelta):
            span = value
        else:
            text = _text_of(value, "a duration such as 30m, 48h or 7d")
            match = _SPAN.fullmatch(text)
            if match is None:
                raise wrong(f"{shown(text)} is no duration; write 30m, 48h or 7d")
            span = timedelta(**{_SPAN_UNITS[match[2]]: int(match[1])})
        if span < timedelta(0) or (not span and not zero):
            raise wrong("must be longer than 0")
        if span > MAX_SPAN:
            raise wrong(f"must be at most {MAX_SPAN.days}d")
        return span

    return read


def read_instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise wrong("needs a time zone")
        return value.astimezone(UTC)
    text = _text_of(value, "an instant such as 2026-10-01T00:00:00Z")
    match = _INSTANT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        fraction = (match[3] or ".")[:7]
        zone = "+00:00" if match[4] in "Zz" else match[4]
        instant = datetime.fromisoformat(
            f"{match[1]}T{match[2]}{fraction if len(fraction) > 1 else ''}{zone}"
        )
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        example = f"{text}T00:00:00Z" if _is_day(text) else "2026-10-01T00:00:00Z"
        raise wrong(f"{shown(text)} is no instant with a time zone; write {example}") from None
    _check_year(instant.year)
    return instant


def read_day(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        day = value
    else:
        text = _text_of(value, "a day such as 2026-10-01")
        if not _is_day(text):
            example = text[:10] if _is_day(text[:10]) else "2026-10-01"
            raise wrong(f"{shown(text)} is no day; write {example}")
        day = date.fromisoformat(text)
    _check_year(day.year)
    return day


def _is_day(text: str) -> bool:
    if not _DAY.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _check_year(year: int) -> None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise wrong(f"must lie in the years {_FIRST_YEAR} to {_LAST_YEAR}")


def _schema(**schema: Any) -> WithJsonSchema:
    return WithJsonSchema(schema)


_NUMBER_PATTERN = r"^[-+]?([.][0-9]+|[0-9]+([.][0-9]*)?)([eE][-+]?[0-9]+)?$"


def _number_schema(**bounds: Any) -> WithJsonSchema:
    return _schema(anyOf=[{"type": "number", **bounds}, {"type": "string", "pattern": _NUMBER_PATTERN}])


_ZERO, _ONE = Decimal(0), Decimal(1)

Name = Annotated[
    str, BeforeValidator(read_name), _schema(type=["string", "number", "boolean"], minLength=1, maxLength=256)
]
Note = Annotated[str, BeforeValidator(read_note), _schema(type=["string", "number"], minLength=1)]
AttributeValue = Annotated[
    str, BeforeValidator(read_attribute_value), _schema(type=["string", "number", "boolean"])
]
Flag = Annotated[bool, BeforeValidator(read_flag)]
Amount = Annotated[Decimal, BeforeValidator(_decimal(_ZERO)), _number_schema(minimum=0)]
PositiveAmount = Annotated[
    Decimal, BeforeValidator(_decimal(_ZERO, over_low=True)), _number_schema(exclusiveMinimum=0)
]
Fraction = Annotated[
    Decimal,
    BeforeValidator(_decimal(_ZERO, _ONE, hint="; write a fraction, 0.2 for 20 %")),
    _number_schema(minimum=0, maximum=1),
]
FractionBelowOne = Annotated[
    Decimal,
    BeforeValidator(_decimal(_ZERO, _ONE, under_high=True, hint="; write a fraction, 0.2 for 20 %")),
    _number_schema(minimum=0, exclusiveMaximum=1),
]
Share = Annotated[
    Decimal,
    BeforeValidator(_decimal(_ZERO, Decimal(100), hint="; write a fraction, 0.2 for 20 %")),
    _number_schema(minimum=0, maximum=100),
]
Count = Annotated[
    int,
    BeforeValidator(read_whole(1, 1_000_000_000)),
    _schema(type="integer", minimum=1, maximum=1_000_000_000),
]
Priority = Annotated[
    int, BeforeValidator(read_whole(0, 1_000_000)), _schema(type="integer", minimum=0, maximum=1_000_000)
]
DueDays = Annotated[int, BeforeValidator(read_whole(0, 365)), _schema(type="integer", minimum=0, maximum=365)]
Span = Annotated[
    timedelta, BeforeValidator(_span(zero=False)), _schema(type="string", pattern="^[0-9]{1,7}[smhdw]$")
]
SpanOrZero = Annotated[
    timedelta, BeforeValidator(_span(zero=True)), _schema(type="string", pattern="^[0-9]{1,7}[smhdw]$")
]
Instant = Annotated[datetime, BeforeValidator(read_instant), _schema(type="string", format="date-time")]
Day = Annotated[date, BeforeValidator(read_day), _schema(type="string", format="date")]
