"""Units: what one piece of work knows of itself, and when it ends.

Owns the facts of a unit and the rules of time (rulings 1–4, D13–D21); knows no policy, price or row.
Times are microseconds since 1970: "time" is an event's own, "instant" the log's.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, NamedTuple

from unitrate.catalog.compiled import Meter
from unitrate.hot import HotUnit

OPEN, SEALED, FINAL = 0, 1, 2
STATES = ("open", "sealed", "final")
NEVER = 2**62
_EXACT = Context(prec=2100)  # sums of values of up to 1,024 digits are exact
_NUMBER_CHARACTERS = frozenset("0123456789.")


class Verdict(NamedTuple):
    """An effective verdict; `accepted` False means rejected."""

    time: int
    order: int  # log offset
    accepted: bool
    instant: int


class EndEvent(NamedTuple):
    """An event that ends a unit. Compared by time, then log order."""

    time: int
    order: int
    type: str
    completion_pico: int


class Booking(NamedTuple):
    """What cost_lines hold of a unit: where, and the figures."""

    usage_month: int
    bill_month: int
    workspace: str
    size: str
    disposition: str
    reason: str
    billable_pico: int
    requests: int
    revenue_pico: int
    cost_pico: int


class Pin(NamedTuple):
    """Month, catalog and plan of a unit that has billed (ruling 9)."""

    month: int
    catalog: str
    plan: str
    plan_version: int


class Unit(HotUnit):
    """One unit. Only `unitrate.engine` and `unitrate.booking` change it."""

    __slots__ = (
        "account", "age_at", "attempts", "attributes", "awaited", "background_requests", "billable_pico",
        "booked", "catalog_id", "conditions", "disposition", "end", "end_since", "ended", "ended_by",
        "escalated", "key", "late_costs", "meter_catalog", "moved_on", "opened_month", "opened_offset",
        "ordinal", "original", "paid_order", "period", "pin", "queued", "reason", "retry", "retry_runs",
        "revenue", "revision", "runs", "seal_end", "sealed_at", "shares", "size", "started_seen",
        "unpriced", "verdicts", "waived", "workflow", "workspace",
    )  # fmt: skip

    def __init__(
        self, unit_id: str, account: str, meter: Meter, meter_catalog: str, key: str, ordinal: int
    ) -> None:
        self.unit_id = unit_id
        self.account = account
        self.meter = meter  # as of the catalog it was opened under, for good
        self.meter_catalog = meter_catalog
        self.key = key
        self.ordinal = ordinal
        self.opened_offset = self.opened_month = 0
        self.workspace = self.workflow = ""
        self.state = OPEN
        self.started = NEVER
        self.last_any = 0
        self.last = self.opening = self.window_end = 0  # times since it was last (re-)opened
        self.idle_at = self.age_at = 0  # instants
        self.queued = NEVER  # deadline of its entry in the timer heap
        self.ended = 0
        self.ended_by = ""
        self.sealed_at = 0
        self.seal_end = 0  # `ended` when it was last sealed: windows run from it
        self.awaited = False  # the accept window is past
        self.end: EndEvent | None = None  # last over the whole life
        self.end_since: EndEvent | None = None  # last since it was (re-)opened
        self.requests = self.background_requests = 0
        self.attempts = 1
        self.usage = {}
        self.cost = 0
        self.unpriced: list[list[Any]] = []
        self.late_costs: list[list[int]] = []  # [effective of the later catalog that priced it, cost]
        self.attributes: dict[str, tuple[Any, ...]] = {}
        # Attributes that came again: noted once, their latest (time, order) is owed to `attributes`.
        self.repeated = None
        self.repeated_time = self.repeated_order = self.paid_order = 0
        self.waived = False  # by an operator's correction
        self.moved_on = False  # its key leads to a later unit, or its run to another one
        self.test = self.internal = self.retry = self.escalated = self.started_seen = False
        self.verdicts: list[Verdict] = []
        self.runs: dict[str, None] = {}  # runs known through it other than by its key
        self.retry_runs: dict[str, None] = {}
        self.version = -1
        self.dirty = False
        self.revision = 0
        self.booked: Booking | None = None
        self.shares: dict[str, tuple[Any, ...]] = {}  # charge -> Share
        self.pin: Pin | None = None
        self.original: tuple[Any, ...] | None = None
        self.disposition, self.reason, self.size = "held", "open", ""
        self.billable_pico = self.revenue = self.period = 0
        self.catalog_id = ""
        self.conditions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Key as people see it."""
        return self.key if self.ordinal == 1 else f"{self.key}~{self.ordinal}"

    def count_units(self) -> int:
        """Units that it counts as: more than one where the meter says `long` (ruling 14)."""
        per = self.meter.long_requests
        return 1 if per is None else max(1, -(-(self.requests - self.background_requests) // per))

    # ------------------------------------------------------------ windows

    def open_from(self, time: int, instant: int) -> None:
        """Start idle and max_age anew (D16)."""
        self.state = OPEN
        self.opening = self.last = time
        self.age_at = instant + self.meter.max_age_us
        self.end_since = None
        self.awaited = False
        self.ended_by = ""
        self.renew(time, instant)

    def renew(self, time: int, instant: int) -> None:
        """An ordinary event keeps it open."""
        meter = self.meter
        if time > self.last:
            self.last = time
        self.window_end = min(self.last + meter.idle_us, self.opening + meter.max_age_us)
        self.idle_at = instant + meter.idle_us

    def seal(self, instant: int) -> None:
        """End it: by its end event, else by silence or age (D17, D18)."""
        self.state = SEALED
        self.sealed_at = instant
        if self.end_since is not None:
            self.ended, self.ended_by = self.end_since.time, self.end_since.type
        else:
            self.ended = self.window_end
            by_idle = self.last + self.meter.idle_us <= self.opening + self.meter.max_age_us
            self.ended_by = "idle" if by_idle else "max_age"
        self.seal_end = self.ended

    def note_end(self, event: EndEvent) -> None:
        """An end event, in time or late: status, and `ended` if it is sealed."""
        if self.end is None or event[:2] > self.end[:2]:
            self.end = event
        if self.end_since is None or event[:2] > self.end_since[:2]:
            self.end_since = event
            if self.state == SEALED:
                self.ended, self.ended_by = event.time, event.type

    def inside(self, within_us: int, time: int, instant: int) -> bool:
        """Inside a window from the end, by both clocks, limits included."""
        return instant <= self.sealed_at + within_us and time <= self.seal_end + within_us

    # ------------------------------------------------------------ verdicts

    def verdict(self) -> Verdict | None:
        """The last effective verdict by event time."""
        return max(self.verdicts, key=lambda v: v[:2]) if self.verdicts else None

    def acceptance(self) -> Verdict | None:
        """The first acceptance after the last rejection, if an acceptance decides (D20)."""
        found = None
        for v in sorted(self.verdicts, key=lambda v: v[:2], reverse=True):
            if not v.accepted:
                break
            found = v
        return found

    def reverse_base(self) -> tuple[int, int] | None:
        """(instant, time) from which `reverse` runs; None while there is nothing to take back."""
        accept = self.meter.accept
        if accept is None:
            return self.sealed_at, self.seal_end
        accepted = self.acceptance()
        if accepted is not None:
            return max(accepted.instant, self.sealed_at), max(accepted.time, self.seal_end)
        if accept.otherwise_full and self.awaited and self.verdict() is None:
            return self.sealed_at + accept.within_us, self.seal_end + accept.within_us
        return None

    def takes_verdict(self, type_: str, time: int, instant: int) -> bool:
        """Whether a verdict event on the sealed unit decides anything (D19)."""
        meter = self.meter
        settling = self.inside(meter.settle_us, time, instant)
        accept, reverse = meter.accept, meter.reverse
        if type_ == "work.accepted":
            return settling if accept is None else self.inside(accept.within_us, time, instant)
        named = reverse is not None and type_ in reverse.on
        if not named and type_ != "work.rejected":
            return False
        if settling:
            return True
        base = self.reverse_base()
        if reverse is not None and named and base is not None:
            return instant <= base[0] + reverse.within_us and time <= base[1] + reverse.within_us
        waiting = accept is not None and base is None
        return waiting and accept is not None and self.inside(accept.within_us, time, instant)

    # ------------------------------------------------------------ deadlines

    def deadline(self) -> int:
        """Instant of its next timer: it fires when the log's time is strictly later."""
        if self.state == OPEN:
            return min(self.idle_at, self.age_at)
        if self.state == FINAL:
            return NEVER
        accept = self.meter.accept
        if accept is not None and not self.awaited:
            return self.sealed_at + accept.within_us
        return self.final_at()

    def final_at(self) -> int:
        """Instant after which nothing changes it (ruling 15, D21)."""
        meter = self.meter
        spans = [meter.settle_us]
        if meter.reopen is not None:
            spans.append(meter.reopen.within_us)
        if meter.accept is not None:
            spans.append(meter.accept.within_us)
        latest = self.sealed_at + max(spans)
        if meter.reverse is not None:
            base = self.reverse_base()
            if base is not None:
                latest = max(latest, base[0] + meter.reverse.within_us)
        return latest

    # ------------------------------------------------------------ attributes

    def note_attributes(self, attributes: tuple[tuple[str, str], ...], time: int, order: int) -> None:
        """Aggregate by the meter's rule; first and last are by event time, then log order."""
        if attributes is self.repeated and time >= self.repeated_time:
            self.repeated_time, self.repeated_order = time, order
            return
        self.settle_attributes()
        self._aggregate(attributes, time, order)
        if "sum" not in self.meter.aggregations.values():
            self.repeated, self.repeated_time, self.repeated_order = attributes, time, order
            self.paid_order = order

    def settle_attributes(self) -> None:
        """Pay what repeated attributes owe."""
        if self.repeated is not None and self.repeated_order != self.paid_order:
            self.paid_order = self.repeated_order
            self._aggregate(self.repeated, self.repeated_time, self.repeated_order)

    def _aggregate(self, attributes: tuple[tuple[str, str], ...], time: int, order: int) -> None:
        held, aggregations = self.attributes, self.meter.aggregations
        for name, text in attributes:
            how = aggregations.get(name, "last")
            was = held.get(name)
            if how == "last":
                if was is None or (time, order) >= was[1:]:
                    held[name] = (text, time, order)
            elif how == "first":
                if was is None or (time, order) < was[1:]:
                    held[name] = (text, time, order)
            else:
                number = positive(text)
                if number is not None:
                    if was is not None:
                        former = Decimal(was[0])
                        number = max(former, number) if how == "max" else _EXACT.add(former, number)
                    held[name] = (f"{number:f}",)

    def attribute(self, name: str) -> str | None:
        """An aggregated attribute as text."""
        self.settle_attributes()
        found = self.attributes.get(name)
        return None if found is None else found[0]

    def attribute_texts(self) -> dict[str, str]:
        """Aggregated attributes as text."""
        self.settle_attributes()
        return {name: value[0] for name, value in self.attributes.items()}


def positive(text: str) -> Decimal | None:
    """A number of at least 0 as written, or None (D36)."""
    if not text or not _NUMBER_CHARACTERS.issuperset(text) or text.count(".") > 1 or text == ".":
        return None
    return Decimal(text)
