"""A catalog as the reference rater reads it: straight from the YAML document, defaults by the contract.

Owns its own reading of durations, dates, zones and defaults (contract §2, ruling 5). Never imports the
compiled catalog: what the compiler gets wrong must show as a disagreement.

Instants are integer microseconds since 1970 UTC, days are `datetime.date`, numbers are Fractions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

SECOND = 1_000_000
DAY = 86_400 * SECOND
SPANS = {"s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": DAY, "w": 7 * DAY}
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# Conditions whose default is `none` (contract, "Defaults where a meter says nothing"), in the order of D24.
DEFAULT_NONE = (
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
    "terms",
)
SPEECH = ("ticket", "conversation")  # kinds that normally end in silence


def instant(value: Any) -> int:
    """An RFC 3339 text or a datetime as microseconds since 1970."""
    if isinstance(value, dt.datetime):
        moment = value
    else:
        moment = dt.datetime.fromisoformat(str(value))
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


def moment(instant_us: int, zone: ZoneInfo) -> dt.datetime:
    """An instant as local time of a zone."""
    return (EPOCH + dt.timedelta(microseconds=instant_us)).astimezone(zone)


def span(value: Any) -> int:
    """`30m`, `24h`, `7d` as microseconds."""
    if isinstance(value, dt.timedelta):
        return value // dt.timedelta(microseconds=1)
    text = str(value)
    return int(Fraction(text[:-1]) * SPANS[text[-1]])


def number(value: Any) -> Fraction:
    """A number of the document, exact."""
    return Fraction(str(value))


def day(value: Any) -> dt.date:
    """A date of the document."""
    if isinstance(value, dt.datetime):
        return value.date()
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value))


def text(value: Any) -> str:
    """An attribute value as text: booleans as `true` and `false`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def listed(value: Any) -> list[Any]:
    """A name or a list of names as a list."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


@dataclass(frozen=True)
class Rule:
    """One policy rule; `charge` is a fraction or the word prorata."""

    when: str
    charge: Fraction | str
    wanted: Mapping[str, str]  # for size: {"size": NAME}; for attribute: its pairs
    by: tuple[str, ...]
    within: int

    @property
    def reason(self) -> str:
        """Reason code of a match (D24)."""
        if self.when == "size":
            return "size:" + self.wanted["size"]
        if self.when == "attribute":
            return "attribute:" + ",".join(self.wanted)
        return self.when

    @property
    def charges(self) -> bool:
        """Whether a match bills anything."""
        return self.charge == "prorata" or self.charge != 0


def rules_of(items: Any) -> list[Rule]:
    """Rules of a `policy` list."""
    return [_rule(item) for item in items or ()]


def _rule(item: Mapping[str, Any]) -> Rule:
    when = item["when"]
    wanted: dict[str, str] = {}
    if isinstance(when, Mapping):
        ((when, value),) = ((k, v) for k, v in when.items() if v is not None)
        wanted = {"size": str(value)} if when == "size" else {k: text(v) for k, v in value.items()}
    words: dict[Any, Fraction | str] = {"full": Fraction(1), "none": Fraction(0), "prorata": "prorata"}
    charge = item["charge"]
    charge = words[charge] if charge in words else number(charge)
    within = span(item["within"]) if item.get("within") is not None else 0
    return Rule(str(when), charge, wanted, tuple(listed(item.get("by") or ())), within)


@dataclass(frozen=True)
class Meter:
    """What one billable unit is, defaults filled in."""

    name: str
    kind: str
    workflows: list[str]
    match: Mapping[str, str]
    key: str | None
    each: Mapping[str, str] | None
    needs_start: bool
    end_on: frozenset[str]
    idle: int
    max_age: int
    settle: int
    how: Mapping[str, str]
    size_by: str | None
    size_tiers: list[tuple[str, Fraction | None]]
    rules: list[Rule]
    reopen_within: int | None
    reopen_same: bool
    long: int | None
    terms: bool
    accept_within: int | None
    accept_full: bool
    reverse_within: int | None
    reverse_on: frozenset[str]

    @property
    def absorbs_retries(self) -> bool:
        """Ruling 11: a meter with a rule that charges retries does not absorb them."""
        return not any(rule.when == "retry" and rule.charges for rule in self.rules)


def meter_of(name: str, item: Mapping[str, Any]) -> Meter:
    """A meter of the document with the contract's defaults."""
    kind = item["unit"]
    speech = kind in SPEECH
    end = item.get("end") or {}
    usual = ["work.closed"] if speech else ["work.completed", "work.failed", "work.cancelled"]
    ends = usual if end.get("on") is None else end["on"]
    sizes = item.get("sizes") or {}
    reopen, accept, reverse = (item.get(k) or {} for k in ("reopen", "accept", "reverse"))
    key = item.get("key")
    tiers = [
        (t["name"], None if t.get("up_to") is None else number(t["up_to"])) for t in sizes.get("tiers", ())
    ]
    return Meter(
        name=name,
        kind=kind,
        workflows=listed(item["workflow"]),
        match={k: text(v) for k, v in (item.get("match") or {}).items()},
        key=None if key in (None, "run_id") else key,
        each={k: v for k, v in item["each"].items() if v is not None} if item.get("each") else None,
        needs_start=item.get("start") == "work.started",
        end_on=frozenset(listed(ends)),
        idle=span(end.get("idle") or ("72h" if speech else "24h")),
        max_age=span(end.get("max_age") or "30d"),
        settle=span(item.get("settle") or "24h"),
        how=dict(item.get("attributes") or {}),
        size_by=sizes.get("by"),
        size_tiers=tiers,
        rules=rules_of(item.get("policy")),
        reopen_within=span(reopen["within"]) if reopen else None,
        reopen_same=bool(reopen) and (reopen.get("as") or reopen.get("as_") or "same_unit") == "same_unit",
        long=int((item.get("long") or {}).get("requests") or 0) or None,
        terms=item.get("terms") == "required",
        accept_within=span(accept["within"]) if accept else None,
        accept_full=accept.get("otherwise") == "full",
        reverse_within=span(reverse["within"]) if reverse else None,
        reverse_on=frozenset(listed(reverse.get("on") or ())),
    )


@dataclass(frozen=True)
class Charge:
    """A usage charge; `prices` by a tuple of `by` values, `()` without `by`."""

    name: str
    meter: str
    of: str | None
    included: Fraction
    by: list[str]
    prices: Mapping[tuple[str, ...], Mapping[str, Any]]
    per: Fraction
    round: str
    minimum: Fraction
    maximum: Fraction | None
    rules: list[Rule]


def charge_of(item: Mapping[str, Any]) -> Charge:
    """A charge of the document."""
    by = listed(item["by"]) if item.get("by") else []
    of, maximum = item.get("of"), item.get("maximum")
    return Charge(
        name=item["name"],
        meter=item["meter"],
        of=None if of in (None, "units") else of,
        included=number(item.get("included") or 0),
        by=by,
        prices=_flat(item["prices"], len(by)) if by else {(): item["price"]},
        per=number(item.get("per") or 1),
        round=item.get("round") or item.get("round_") or "none",
        minimum=number(item.get("minimum") or 0),
        maximum=None if maximum is None else number(maximum),
        rules=rules_of(item.get("policy")),
    )


def _flat(prices: Mapping[str, Any], depth: int) -> dict[tuple[str, ...], Mapping[str, Any]]:
    if depth == 0:
        return {(): prices}
    found = {}
    for name, below in prices.items():
        for rest, price in _flat(below, depth - 1).items():
            found[(text(name), *rest)] = price
    return found


@dataclass(frozen=True)
class Fee:
    """A fixed fee."""

    name: str
    amount: Fraction
    monthly: bool
    prorate: bool


@dataclass(frozen=True)
class Plan:
    """A plan of the document."""

    name: str
    version: int
    fees: list[Fee]
    charges: list[Charge]
    minimum: Fraction

    @property
    def id(self) -> tuple[str, int]:
        """What makes two plans the same (D29)."""
        return (self.name, self.version)


def plan_of(name: str, item: Mapping[str, Any]) -> Plan:
    """A plan of the document."""
    fees = [
        Fee(f["name"], number(f["amount"]), f["when"] == "monthly", f.get("prorate") is not False)
        for f in item.get("fees") or ()
    ]
    charges = [charge_of(c) for c in item.get("charges") or ()]
    return Plan(name, int(item.get("version") or 1), fees, charges, number(item.get("minimum") or 0))


@dataclass(frozen=True)
class Account:
    """An account of the document; `periods` are (plan, first day, last day or None)."""

    name: str
    zone: ZoneInfo
    periods: list[tuple[str, dt.date, dt.date | None]]
    terms: Mapping[str, dt.date]
    internal: frozenset[str]
    credits: list[Mapping[str, Any]]
    tax: Mapping[str, Any]  # of `billing`; empty where none
    has_billing: bool


def account_of(name: str, item: Mapping[str, Any], zone: str) -> Account:
    """An account; either one `plan` with `from` and `to`, or a list of such under `subscriptions`."""
    raw = item.get("subscriptions") or ([item] if item.get("plan") else [])
    periods = []
    for entry in raw:
        first = entry.get("from", entry.get("from_"))
        last = entry.get("to")
        periods.append((entry["plan"], day(first or "1970-01-01"), None if last is None else day(last)))
    terms = {meter: day(t["on"]) for meter, t in (item.get("terms") or {}).items()}
    return Account(
        name,
        ZoneInfo(item.get("timezone") or zone),
        periods,
        terms,
        frozenset(item.get("internal_workspaces") or ()),
        list(item.get("credits") or ()),
        dict((item.get("billing") or {}).get("tax") or {}),
        bool(item.get("billing")),
    )


@dataclass(frozen=True)
class CatalogView:
    """One catalog version."""

    id: str
    effective: int
    currency: str
    zone: ZoneInfo
    dedupe: int
    unknown_zero: bool
    models: list[Mapping[str, Any]]
    aliases: list[Mapping[str, Any]]
    fx: Mapping[str, Fraction]
    meters: list[Meter]
    plans: Mapping[str, Plan]
    accounts: Mapping[str, Account]
    issuer: str
    payouts: Mapping[str, Any]


def catalog_of(document: Mapping[str, Any]) -> CatalogView:
    """Read a catalog document (a dict as YAML gives it)."""
    costs = document.get("costs") or {}
    zone = document.get("timezone") or "UTC"
    return CatalogView(
        id=str(document["catalog"]),
        effective=instant(document["effective"]),
        currency=document["currency"],
        zone=ZoneInfo(zone),
        dedupe=span(document.get("dedupe") or "35d"),
        unknown_zero=costs.get("unknown") == "zero",
        models=list(costs.get("models") or ()),
        aliases=list(costs.get("aliases") or ()),
        fx={k: number(v) for k, v in (costs.get("fx") or {}).items()},
        meters=[meter_of(name, m) for name, m in (document.get("meters") or {}).items()],
        plans={name: plan_of(name, p) for name, p in (document.get("plans") or {}).items()},
        accounts={name: account_of(name, a, zone) for name, a in (document.get("accounts") or {}).items()},
        issuer=str((document.get("issuer") or {}).get("name") or ""),
        payouts=dict(document.get("payouts") or {}),
    )
