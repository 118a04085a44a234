"""A unit as the reference rater keeps it: its meter, and the list of events that joined it.

Owns what can be asked of that list (status, end, attributes, verdict, windows), worked out anew at each
question. Decides nothing about money.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from tests.reference.catalog_view import Account, CatalogView, Meter, Plan
from tests.reference.counter import Share
from tests.reference.incoming import NUMBER, Event

ENDED_WELL = ("work.completed", "work.closed")


@dataclass(frozen=True)
class Cost:
    """What a request cost; `effective` of the later catalog that brought its price, else 0."""

    amount: Fraction
    effective: int = 0


@dataclass(frozen=True)
class Pin:
    """Catalog, plan and month that a unit first billed under."""

    catalog: CatalogView
    plan: Plan
    month: int


@dataclass
class Unit:
    """One unit, with what happened to it in log order."""

    meter: Meter
    account: str
    base_key: str
    number: int  # 2 for key~2
    opened: int  # log offset
    events: list[Event] = field(default_factory=list)
    costs: dict[int, Cost | None] = field(default_factory=dict)  # by offset; None while nobody knows
    known: dict[int, int] = field(default_factory=dict)  # by offset; `effective` of the catalog of its time
    verdicts: list[Event] = field(default_factory=list)  # those with effect
    stretch: int = 0  # index of the event that opened or last re-opened it
    opened_as_retry: bool = False
    absorbed: list[str] = field(default_factory=list)  # retry runs
    sealed_at: int | None = None  # log time; None while open
    silent_end: int | None = None  # end by silence or age of this stretch
    window_end: int = 0  # the first `ended` of this sealing: windows run from it
    waited_out: bool = False  # the accept timer of this sealing has fired
    decision: Decision | None = None
    decided_end: int = 0  # its end, and how many events it had, when it was last decided:
    decided_events: int = 0  # an original that is re-opened stays the one it was
    quantity_then: int = 0
    escalated: bool = False  # while open or inside settle (D19)
    waived: bool = False  # by an operator
    waiver_took: dict[str, Share] = field(default_factory=dict)  # what it billed until then
    waiver_fraction: Fraction = Fraction(0)
    pin: Pin | None = None
    booked: dict[str, Share] = field(default_factory=dict)  # by charge
    revenue: Fraction = Fraction(0)

    @property
    def key(self) -> str:
        """Key as shown."""
        return self.base_key if self.number == 1 else f"{self.base_key}~{self.number}"

    # -- time -------------------------------------------------------------------------------------------

    def _ordinary(self) -> list[Event]:
        """What keeps it open: the event that (re-)opened it, and ordinary ones since."""
        return [
            e for i, e in enumerate(self.events) if i >= self.stretch and (e.ordinary or i == self.stretch)
        ]

    def ended_candidate(self) -> int:
        """Where it ended if nothing more came (ruling 4), asked while it is open."""
        ordinary = self._ordinary()
        return min(max(e.time for e in ordinary) + self.meter.idle, ordinary[0].time + self.meter.max_age)

    def silence_deadline(self) -> int:
        """Log time past which it ends by silence or age."""
        ordinary = self._ordinary()
        return min(ordinary[-1].arrival + self.meter.idle, ordinary[0].arrival + self.meter.max_age)

    def _ends(self, events: list[Event]) -> list[Event]:
        ends = [e for e in events if e.type in self.meter.end_on]
        return sorted(ends, key=lambda e: (e.time, e.order))

    @property
    def ended(self) -> int:
        """Its end (D17), asked while it is sealed."""
        ends = self._ends(self.events[self.stretch :])
        if ends:
            return ends[-1].time
        assert self.silent_end is not None
        return self.silent_end

    @property
    def last_end(self) -> Event | None:
        """The end event that gives the status: the last by time over its whole life."""
        ends = self._ends(self.events)
        return ends[-1] if ends else None

    # -- windows ----------------------------------------------------------------------------------------

    def inside(self, within: int | None, event: Event) -> bool:
        """Whether an event lies in a window from the end, by both clocks, limits inclusive (ruling 3)."""
        assert self.sealed_at is not None
        if within is None:
            return False
        return event.arrival <= self.sealed_at + within and event.time <= self.window_end + within

    def inside_reverse(self, event: Event) -> bool:
        """Whether a reversal at this event is in time (D20)."""
        if self.meter.reverse_within is None or event.type not in self.meter.reverse_on:
            return False
        at, time = self.reverse_base()
        within = self.meter.reverse_within
        return event.arrival <= at + within and event.time <= time + within

    def reverse_base(self) -> tuple[int, int]:
        """Log instant and event time from which `reverse` runs."""
        assert self.sealed_at is not None
        if self.meter.accept_within is None:
            return self.sealed_at, self.window_end
        acceptance = self.acceptance
        if acceptance is not None:
            return max(acceptance.arrival, self.sealed_at), max(acceptance.time, self.window_end)
        return self.sealed_at + self.meter.accept_within, self.window_end + self.meter.accept_within

    def deadlines(self) -> list[int]:
        """Log instants after all of which it is final (D21)."""
        assert self.sealed_at is not None
        meter, sealed = self.meter, self.sealed_at
        found = [sealed + meter.settle]
        if meter.reopen_within is not None:
            found.append(sealed + meter.reopen_within)
        if meter.accept_within is not None:
            found.append(sealed + meter.accept_within)
        if meter.reverse_within is not None:
            may_be_accepted = meter.accept_full and self.verdict == ""
            if meter.accept_within is None or self.verdict == "accepted" or may_be_accepted:
                found.append(self.reverse_base()[0] + meter.reverse_within)
        return found

    def final(self, clock: int) -> bool:
        """Whether every window is past."""
        if self.meter.each is not None:
            return True
        return self.sealed_at is not None and clock > max(self.deadlines())

    # -- verdicts ---------------------------------------------------------------------------------------

    def _ranked(self) -> list[Event]:
        return sorted(self.verdicts, key=lambda e: (e.time, e.order))

    @property
    def verdict(self) -> str:
        """accepted, rejected, or empty: the last verdict by time (ruling 21)."""
        ranked = self._ranked()
        if not ranked:
            return ""
        return "accepted" if ranked[-1].type == "work.accepted" else "rejected"

    @property
    def acceptance(self) -> Event | None:
        """The first accepted verdict after the last rejecting one, while it is accepted."""
        if self.verdict != "accepted":
            return None
        found: Event | None = None
        for verdict in self._ranked():
            if verdict.type != "work.accepted":
                found = None
            elif found is None:
                found = verdict
        return found

    @property
    def accepted(self) -> bool:
        """Accepted by a verdict, or by silence where silence means yes."""
        return self.verdict == "accepted" or (
            self.verdict == "" and self.waited_out and self.meter.accept_full
        )

    def is_verdict_here(self, event: Event) -> bool:
        """Whether the type can accept or reject a unit of this meter."""
        return event.type in ("work.accepted", "work.rejected") or event.type in self.meter.reverse_on

    def has_effect(self, event: Event) -> bool:
        """D19, before the event has joined."""
        if not self.is_verdict_here(event):
            return False
        if self.sealed_at is None:
            return True
        settling = self.inside(self.meter.settle, event)
        if event.type == "work.accepted":
            if self.meter.accept_within is not None:
                return self.inside(self.meter.accept_within, event)
            return settling
        if settling:
            return True
        if self.accepted or self.meter.accept_within is None:
            return self.inside_reverse(event)
        return self.inside(self.meter.accept_within, event)

    # -- what it is -------------------------------------------------------------------------------------

    def attribute(self, name: str, first: int | None = None) -> str | None:
        """Aggregated value as text (ruling 13, D36); of its first so many events, if asked."""
        how = self.meter.how.get(name, "last")
        having = [e for e in self.events[:first] if name in e.attributes]
        found = sorted(having, key=lambda e: (e.time, e.order))
        values = [e.attributes[name] for e in found]
        if how in ("first", "last"):
            return None if not values else values[0 if how == "first" else -1]
        numbers = [Fraction(v) for v in values if NUMBER.match(v) and Fraction(v) >= 0]
        if not numbers:
            return None
        return _plain(max(numbers) if how == "max" else sum(numbers, Fraction(0)))

    def amount(self, name: str) -> Fraction | None:
        """Aggregated value as a number of at least zero."""
        value = self.attribute(name)
        if value is None or not NUMBER.match(value) or Fraction(value) < 0:
            return None
        return Fraction(value)

    @property
    def size(self) -> str:
        """Size tier; empty where none."""
        value = None if self.meter.size_by is None else self.amount(self.meter.size_by)
        if value is not None:
            for name, top in self.meter.size_tiers:
                if top is None or value <= top:
                    return name
        return ""

    @property
    def requests(self) -> list[Event]:
        """Provider-charged requests."""
        return [e for e in self.events if e.request]

    @property
    def quantity(self) -> int:
        """Units that it counts as (ruling 14)."""
        if self.meter.long is None:
            return 1
        return max(1, math.ceil(sum(not e.background for e in self.requests) / self.meter.long))

    def status(self) -> str:
        """completed, partial, failed, cancelled or timed_out."""
        if self.meter.each is not None:
            return _each_status(self.events[0])
        end = self.last_end
        if end is None:
            return "timed_out"
        if end.type in ENDED_WELL:
            return "partial" if end.completion < 1 else "completed"
        return end.type.removeprefix("work.")

    def conditions(self, account: Account | None) -> set[str]:
        """Conditions that its own events say (D23), duplicate, terms and unpriced left to the caller."""
        found = {self.status()} & {"failed", "cancelled", "partial", "timed_out"}
        modes = {e.mode for e in self.events}
        if "test" in modes:
            found.add("test")
        if "internal" in modes or (account is not None and self.events[0].workspace in account.internal):
            found.add("internal")
        if self.opened_as_retry:
            found.add("retry")
        if self.escalated:
            found.add("escalated")
        if self.verdict == "rejected":
            found.add("rejected")
        if self.waited_out and self.verdict == "" and not self.meter.accept_full:
            found.add("unaccepted")
        return found


def _each_status(event: Event) -> str:
    if event.type in ("work.failed", "work.cancelled"):
        return event.type.removeprefix("work.")
    if event.completion < 1:
        return "partial"
    return {"error": "failed", "timeout": "failed", "cancelled": "cancelled"}.get(event.status, "completed")


def _plain(value: Fraction) -> str:
    """A decimal fraction as shortest plain text."""
    whole = value.numerator // value.denominator
    rest, digits = value - whole, ""
    while rest:
        rest *= 10
        digits += str(int(rest))
        rest -= int(rest)
    return f"{whole}.{digits}" if digits else str(whole)


@dataclass(frozen=True)
class Decision:
    """What was decided about a unit: the row's disposition and what it contributes to its charges."""

    catalog: CatalogView
    plan: Plan | None
    month: int
    disposition: str
    reason: str
    fraction: Fraction
    shares: dict[str, Share]
