"""The catalog as the engine reads it: frozen, resolved, in integers and Decimals.

Owns the compiled shapes only. Made from a publication by `catalog.publication.compile_publication`;
never reads files, packages, clocks or time-zone data: a publication carries all that.

Units: `_us` microseconds (instants since 1970 UTC, or spans), `_pico` 10⁻¹² of a currency unit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from unitrate.costs import CostBook

DAY_US = 86_400_000_000
UnitKind = Literal["run", "document", "ticket", "conversation", "action", "outcome"]
Aggregation = Literal["max", "sum", "first", "last"]


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone as its offsets: `starts_us[i]` is where `offsets_us[i]` (local − UTC) begins to hold.

    `starts_us[0]` is far in the past. Covers 1970–2100; a publication carries it, so a replay
    needs no time-zone data.
    """

    name: str
    starts_us: tuple[int, ...]
    offsets_us: tuple[int, ...]

    def local_day(self, instant_us: int) -> int:
        """Local calendar day of an instant, as days since 1970-01-01."""
        offset = self.offsets_us[bisect_right(self.starts_us, instant_us) - 1]
        return (instant_us + offset) // DAY_US

    def day_start_us(self, day: int) -> int:
        """UTC instant at which the local day begins: the first instant whose local day is `day`."""
        wall = day * DAY_US
        best: int | None = None
        # Offsets are less than a day, so the local day lies within [wall - 1 d, wall + 2 d) of UTC.
        first = max(bisect_right(self.starts_us, wall - DAY_US) - 1, 0)
        for i in range(first, bisect_right(self.starts_us, wall + 2 * DAY_US)):
            offset, start = self.offsets_us[i], self.starts_us[i]
            end = self.starts_us[i + 1] if i + 1 < len(self.starts_us) else None
            instant = max(wall - offset, start)
            if (end is None or instant < end) and (instant + offset) // DAY_US == day:
                best = instant if best is None else min(best, instant)
        if best is None:  # a local day that a zone skipped altogether (Samoa 2011-12-30)
            return self.day_start_us(day + 1)
        return best


@dataclass(frozen=True, slots=True)
class Agreement:
    """The customer's agreement that a rule or terms rest on. `on_day` in days since 1970-01-01."""

    ref: str
    on_day: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy rule. `when` is a condition word; `value` the size name or attribute pair it asks for."""

    when: str
    charge: Decimal | Literal["prorata"]  # 0 = none, 1 = full, or a fraction
    size: str | None = None  # for when == "size"
    attributes: tuple[tuple[str, str], ...] = ()  # for when == "attribute": all must be equal, as text
    by: tuple[str, ...] = ()  # for when == "duplicate"
    within_us: int = 0
    agreed: Agreement | None = None

    @property
    def reason(self) -> str:
        """The reason code a match gives its rows."""
        if self.when == "size":
            return f"size:{self.size}"
        if self.when == "attribute":
            return "attribute:" + ",".join(name for name, _ in self.attributes)
        return self.when


@dataclass(frozen=True, slots=True)
class Each:
    """Every matching event is one unit."""

    type: str
    operation: str | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """Size tiers by an aggregated attribute; the last tier's `up_to` may be None (no bound)."""

    by: str
    tiers: tuple[tuple[str, Decimal | None], ...]


@dataclass(frozen=True, slots=True)
class Accept:
    within_us: int
    otherwise_full: bool


@dataclass(frozen=True, slots=True)
class Reverse:
    on: frozenset[str]
    within_us: int


@dataclass(frozen=True, slots=True)
class Reopen:
    within_us: int
    same_unit: bool


@dataclass(frozen=True, slots=True)
class Meter:
    """What one billable unit is. `key` None means run_id. All defaults of the contract are filled in."""

    name: str
    kind: UnitKind
    workflows: tuple[str, ...]  # exact names or globs
    match: tuple[tuple[str, str], ...]
    key: str | None
    each: Each | None
    start_on_started: bool  # start: work.started (else first event)
    end_on: frozenset[str]
    idle_us: int
    max_age_us: int
    settle_us: int
    aggregations: Mapping[str, Aggregation]  # attributes named; others are "last"
    sizes: Sizes | None
    rules: tuple[Rule, ...]  # the meter's own, in order, without defaults
    reopen: Reopen | None
    long_requests: int | None
    terms_required: bool
    accept: Accept | None
    reverse: Reverse | None

    @property
    def charges_retries(self) -> bool:
        """True where some rule charges retries: then retries are units of their own."""
        return any(r.when == "retry" and r.charge != 0 for r in self.rules)


@dataclass(frozen=True, slots=True)
class Tier:
    up_to: Decimal | None
    rate: Decimal = Decimal(0)
    flat: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Price:
    """One price. Fields that its model does not use keep their defaults."""

    model: Literal["unit", "graduated", "volume", "package", "stairstep", "cost_plus"]
    rate: Decimal = Decimal(0)  # unit
    tiers: tuple[Tier, ...] = ()  # graduated, volume, stairstep
    package_size: Decimal = Decimal(0)
    package_price: Decimal = Decimal(0)
    markup: Decimal | None = None  # cost_plus: exactly one of markup and margin
    margin: Decimal | None = None
    per_unit: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Charge:
    """A usage charge. `prices` maps a tuple of `by` values to a price, in the catalog's order.

    Without `by` it has the one entry `()`. A value without an entry of its own uses the entry whose
    components are replaced by "default", the last component first.
    """

    name: str
    meter: str
    of: str | None  # None: units; else an attribute
    included: Decimal  # a full month
    by: tuple[str, ...]  # size | workspace | workflow | an attribute's name
    prices: Mapping[tuple[str, ...], Price]
    per: Decimal  # 1 where none
    round: Literal["up", "down", "none"]
    minimum: Decimal
    maximum: Decimal | None
    stop_on_maximum: bool
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Fee:
    name: str
    amount: Decimal
    monthly: bool  # else once
    prorate: bool


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    version: int
    fees: tuple[Fee, ...]
    charges: tuple[Charge, ...]
    minimum: Decimal


@dataclass(frozen=True, slots=True)
class Rerate:
    """A price that was published wrong: plans of a published catalog as they should have been (D66).

    They hold for the months of an account from the one of `from_us`, or from `from_month`; neither: for all.
    """

    number: int  # of the log's re-rates, from 1
    catalog: str  # whose prices they correct
    plans: Mapping[tuple[str, int], Plan]  # by name and version
    from_us: int | None
    from_month: int  # yyyymm, 0 where it is not given
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """A plan for the days [from_day, to_day], both included, days since 1970-01-01; to_day None = open."""

    plan: str
    from_day: int
    to_day: int | None


@dataclass(frozen=True, slots=True)
class Credit:
    """An amount that invoices take off, usable on the days [from_day, expires_day]; low priority first."""

    name: str
    amount: Decimal
    from_day: int
    expires_day: int | None
    priority: int


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    name: str
    zone: Zone
    subscriptions: tuple[Subscription, ...]  # by from_day, never overlapping
    terms: Mapping[str, Agreement]  # meter -> agreement
    internal_workspaces: frozenset[str]
    credits: tuple[Credit, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """One published catalog version."""

    id: str
    effective_us: int
    currency: str
    minor_digits: int
    zone: Zone  # of accounts that the catalog does not name
    dedupe_us: int
    unknown_is_zero: bool
    costs: CostBook
    meters: tuple[Meter, ...]
    plans: Mapping[str, Plan]
    accounts: Mapping[str, Account]
    sha256: str  # of the publication's bytes
    book_version: str  # e.g. "genai-prices 0.2.3"
    meter_by_name: Mapping[str, Meter] = field(default_factory=dict)
    # Plain JSON that the engine does not act on, decimals as texts: {"payouts", "issuer",
    # "plans": {name: {"alerts", "top_ups"}}, "billing": {account: {...}}}.
    extra: Mapping[str, Any] = field(default_factory=dict)
