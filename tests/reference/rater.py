"""The reference rater: a whole list of records in, all figures out. Slow, plain, obviously right.

Written from docs/contract.md (§1, §2, rulings) and docs/semantics.md; shares nothing with the engine, not
even the compiled catalog: it reads the catalog's document itself. Front of the rooms an event walks through:
`incoming` (read) → `walk` (clock, dedupe, routing, units) → `unit_view` (what a unit is) → `decide` (does it
bill) → `counter`, `own_pricing` (f(Q)) → `invoicing`.

Usage::

    figures = rate([Publication(0, document), EventRecord(1, raw), Tick(2, time_us)], kafka=False)

Questions that contract and semantics.md leave open, and how they are read here:

Q1. An event that lacks a `match` attribute joins its run's unit, even if it carries a key (ruling 8).
Q2. "First event of a retry run not seen before" looks at ordinary events with `retry_of` only.
Q3. For D15b, "later than the end" is later than the unit's current `ended`; the windows run from the first.
Q4. A unit that is opened by an event with `retry_of` has condition `retry`, also as a next unit (key~2).
Q5. A request that nobody had priced takes the cost of the first later catalog that prices it, at the first
    decision of its unit after that catalog's publication, whether the unit bills or not.
Q6. A unit that is re-opened stays an original of duplicates, with its former end, until it is decided again.
Q7. A run that joined several units is known through the last one; of those that were final by then, through
    any that is not forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from tests.reference.catalog_view import catalog_of
from tests.reference.incoming import Malformed, read, too_far_ahead
from tests.reference.unit_view import Unit
from tests.reference.walk import CostOnly, Segment, Walk


@dataclass(frozen=True)
class Publication:
    """A catalog, as a document; `timestamp_us` on Kafka."""

    offset: int
    document: Mapping[str, Any]
    timestamp_us: int | None = None


@dataclass(frozen=True)
class Tick:
    """Moves the clock."""

    offset: int
    time_us: int


@dataclass(frozen=True)
class EventRecord:
    """An event as bytes; `timestamp_us` on Kafka, `entered_us` (the machine's clock) in files."""

    offset: int
    raw: bytes
    timestamp_us: int | None = None
    entered_us: int = 2**62


Record = Publication | Tick | EventRecord


@dataclass(frozen=True)
class UnitFigures:
    """One unit's row. Times in microseconds, months yyyymm, money and quantities as Fractions."""

    account: str
    meter: str
    key: str
    opened_offset: int
    state: str
    disposition: str
    reason: str
    size: str
    quantity: Fraction
    billable_quantity: Fraction
    period: int
    started: int
    last_event: int
    ended: int | None
    workspace: str
    workflow: str
    requests: int
    background_requests: int
    attempts: int
    cost: Fraction
    unpriced_requests: int
    revenue: Fraction
    verdict: str
    plan: str
    plan_version: int
    catalog: str


@dataclass(frozen=True)
class PriceFigures:
    """A price's quantities in one segment."""

    total: Fraction
    included: Fraction
    cost: Fraction


@dataclass(frozen=True)
class ChargeFigures:
    """f(Q) of one charge in one segment, and its prices."""

    amount: Fraction
    prices: Mapping[tuple[str, ...], PriceFigures]


@dataclass
class Figures:
    """All that the rater says of a log."""

    units: dict[tuple[str, str, str, int], UnitFigures] = field(default_factory=dict)
    charges: dict[tuple[Segment, str], ChargeFigures] = field(default_factory=dict)
    fates: dict[int, str] = field(
        default_factory=dict
    )  # by offset: accepted, duplicate, malformed, in_future …
    cost_only: dict[int, CostOnly] = field(default_factory=dict)  # by offset
    request_costs: dict[int, Fraction] = field(default_factory=dict)  # by offset, of every request taken
    walk: Walk = field(default_factory=Walk)


def rate(records: Iterable[Record], *, kafka: bool) -> Figures:
    """Rate a whole log."""
    walk = Walk()
    fates: dict[int, str] = {}
    for record in records:
        take(walk, record, fates, kafka=kafka)
    return figures_of(walk, fates)


def take(walk: Walk, record: Record, fates: dict[int, str], *, kafka: bool) -> None:
    """Take one record."""
    if kafka and not isinstance(record, Tick):
        assert record.timestamp_us is not None
        walk.move(max(walk.clock, record.timestamp_us))
    if isinstance(record, Publication):
        walk.publish(catalog_of(record.document))
    elif isinstance(record, Tick):
        walk.move(record.time_us)
    else:
        fates[record.offset] = _event(walk, record, kafka=kafka)


def _event(walk: Walk, record: EventRecord, *, kafka: bool) -> str:
    try:
        event = replace(read(record.raw), order=record.offset)
    except Malformed:
        return "malformed"
    entered = record.timestamp_us if kafka else record.entered_us
    assert entered is not None
    if too_far_ahead(event, entered):
        return "in_future"
    if not kafka:
        walk.move(event.time)
    return walk.event(event)


def figures_of(walk: Walk, fates: dict[int, str]) -> Figures:
    """All that a walk says when its last record was taken."""
    figures = Figures(fates=fates, walk=walk)
    for unit in walk.units:
        row = _unit(walk, unit)
        figures.units[row.account, row.meter, row.key, row.opened_offset] = row
    for key, counter in walk.counters.items():
        now = counter.figures()
        prices = {v: PriceFigures(now.total[v], now.included[v], now.cost[v]) for v in now.total}
        figures.charges[key] = ChargeFigures(counter.amount(), prices)
    figures.cost_only = {row.offset: row for row in walk.cost_only}
    for alone in walk.cost_only:
        if alone.request:
            figures.request_costs[alone.offset] = alone.cost
    for unit in walk.units:
        for event, known in zip(unit.requests, _costs(unit), strict=True):
            figures.request_costs[event.order] = known or Fraction(0)
    return figures


def _costs(unit: Unit) -> list[Fraction | None]:
    costs = [unit.costs[event.order] for event in unit.requests]
    return [None if c is None else c.amount for c in costs]


def _unit(walk: Walk, unit: Unit) -> UnitFigures:
    times = [e.time for e in unit.events]
    is_open = unit.sealed_at is None
    decision = unit.decision
    costs = _costs(unit)
    if is_open or decision is None:
        state, disposition, reason, billable = "open", "held", "open", Fraction(0)
        if decision is not None and decision.disposition == "billable":
            billable = unit.quantity_then * decision.fraction  # re-opened: its lines stay as they are (D16)
        month = walk.calendar.month(unit.account, max(times))
    else:
        state = "final" if unit.final(walk.clock) else "sealed"
        disposition, reason, month = decision.disposition, decision.reason, decision.month
        billable = unit.quantity * decision.fraction if disposition == "billable" else Fraction(0)
    plan = ("", 0) if decision is None or decision.plan is None else decision.plan.id
    return UnitFigures(
        account=unit.account,
        meter=unit.meter.name,
        key=unit.key,
        opened_offset=unit.opened,
        state=state,
        disposition=disposition,
        reason=reason,
        size=unit.size,
        quantity=Fraction(unit.quantity),
        billable_quantity=billable,
        period=unit.pin.month if unit.pin is not None else month,
        started=min(e.time for e in unit.events if not e.verdict),
        last_event=max(times),
        ended=None if is_open else unit.ended,
        workspace=unit.events[0].workspace,
        workflow=unit.events[0].workflow,
        requests=len(unit.requests),
        background_requests=sum(e.background for e in unit.requests),
        attempts=1 + len(unit.absorbed),
        cost=sum((c for c in costs if c is not None), Fraction(0)),
        unpriced_requests=sum(c is None for c in costs),
        revenue=unit.revenue,
        verdict=unit.verdict,
        plan=plan[0],
        plan_version=plan[1],
        catalog="" if decision is None else decision.catalog.id,
    )
