"""`unitrate simulate`: a month's traffic folded under another catalog, and what would be different.

Held fixed are the events, in their order and at the log's time, what was found to be a duplicate, who was a
customer on which day, what providers billed, and the waivers of operators. Everything else is the new
catalog's: meters, policies, plans, own model prices. Months are not closed: what belongs to the month by its
usage counts, on both sides, whenever it was billed. Writes nothing.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from unitrate.billing.invoice import draft, segments
from unitrate.catalog.compiled import Catalog
from unitrate.catalog.compiling import compile_publication
from unitrate.catalog.publication import publication
from unitrate.engine import Engine
from unitrate.errors import InputError
from unitrate.published import timeline as published
from unitrate.replay import feed, log
from unitrate.replay.carried import as_of_months, carried_back, without_single_fees
from unitrate.replay.sums import Fate, Fates, Month, of_store
from unitrate.replay.window import Window, window
from unitrate.store import checkpoint
from unitrate.timeline import Timeline

if TYPE_CHECKING:
    from unitrate.catalog.source import Version
    from unitrate.runtime.kafka_connection import KafkaConnection
    from unitrate.store import Store
    from unitrate.store.checkpoint import Marker

Progress = Callable[[int, int], None]
CLOCK_ONLY = frozenset({"duplicate", "too_old"})  # asides that are no news to the fold


@dataclass(frozen=True, slots=True)
class Side:
    """Figures of one side; `_pico` are 10⁻¹² of the currency unit, `_minor` its minor unit."""

    revenue_pico: int  # usage as rated
    cost_pico: int
    invoiced_minor: int  # usage, minimums and monthly fees, each invoice line rounded

    @property
    def margin_pico(self) -> int:
        return self.revenue_pico - self.cost_pico


@dataclass(frozen=True, slots=True)
class Customer:
    """One account on both sides."""

    account: str
    now: Side
    next: Side


class FateChange(NamedTuple):
    """Units whose fate changes; None on the side that does not have such a unit."""

    now: Fate | None
    next: Fate | None
    units: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """A month under two catalogs."""

    period: int
    currency: str
    minor_digits: int
    catalogs: tuple[str, ...]  # now
    catalog: str  # next
    now: Side
    next: Side
    customers: tuple[Customer, ...]
    fates: tuple[FateChange, ...]
    units: tuple[int, int]  # of the month, now and next
    records: int
    seconds: float


def simulate(
    store: Store, version: Version, period: int, progress: Progress = lambda done, total: None,
    connection: KafkaConnection | None = None,
) -> Simulation:  # fmt: skip
    """Fold the month's traffic under a catalog: a folder's from its ledgers, a server's from Kafka.

    Raises InputError for a catalog of another currency, or a month without an event.
    """
    started = time.monotonic()
    now = published(store)
    catalog = _comparable(version, now, period)
    before = of_store(store, period)
    after = Month(period)
    folded = _Folded(store, catalog, after, _waived(store), progress)
    markers = [one for one in (_marker(store, n) for n in _partitions(store)) if one is not None]
    windows = [window(store, [*now.catalogs, catalog], period, one.partition) for one in markers]
    pairs = [(marker, found) for marker, found in zip(markers, windows, strict=True) if found is not None]
    if not pairs:
        raise InputError(f"{store.label} has no event of that month or before it")
    with feed.uncollected():
        records = sum(folded.fold(marker, found, connection) for marker, found in pairs)
    next_timeline = Timeline()
    next_timeline.add(catalog)
    sides = (_paid(before, as_of_months(now)), _paid(after, next_timeline))
    customers = tuple(_customers(before, after, *sides))
    return Simulation(
        period=period,
        currency=catalog.currency,
        minor_digits=catalog.minor_digits,
        catalogs=tuple(c.id for c in now.catalogs),
        catalog=catalog.id,
        now=_total([customer.now for customer in customers]),
        next=_total([customer.next for customer in customers]),
        customers=customers,
        fates=tuple(fate_changes(before.fates, after.fates)),
        units=(len(before.fates.ids), len(after.fates.ids)),
        records=records,
        seconds=time.monotonic() - started,
    )


def _partitions(store: Store) -> list[int]:
    return [n for (n,) in store.query("SELECT DISTINCT partition FROM checkpoints ORDER BY partition").rows]


def _marker(store: Store, partition: int) -> Marker | None:
    return checkpoint.read_marker(store, partition)


def _comparable(version: Version, now: Timeline, period: int) -> Catalog:
    catalog = compile_publication(publication(version))
    currency = now.catalogs[-1].currency
    if catalog.currency != currency:
        raise InputError(
            f"catalog {catalog.id} is in {catalog.currency}, the store in {currency}: costs were "
            "converted when they came, so a simulation keeps the currency"
        )
    return without_single_fees(carried_back(catalog, now, period))


# ---------------------------------------------------------------- the fold


class Waivers:
    """Units that operators waived: waived again when the fold makes them."""

    def __init__(self, unit_ids: set[str]) -> None:
        self.missing = unit_ids  # not seen alive; those that end with their first event never are

    def apply(self, engine: Engine) -> None:
        """Waive what lives now; between two batches, so at most some events later than it was opened."""
        for unit_id in [one for one in self.missing if one in engine.life.live]:
            unit = engine.life.live[unit_id]
            self.missing.discard(unit_id)
            unit.waived = True
            engine.life.touch(unit, engine.last_offset)
            if unit.booked is not None:
                engine.books.book(unit, engine.last_offset)


def _waived(store: Store) -> Waivers:
    rows = store.query(
        "SELECT unit_id FROM corrections FINAL GROUP BY unit_id HAVING argMax(action, version) = 'waive'"
    ).rows
    return Waivers({unit_id for (unit_id,) in rows})


@dataclass(frozen=True, slots=True)
class _Folded:
    """The side that the fold makes."""

    store: Store
    catalog: Catalog
    month: Month
    waivers: Waivers
    progress: Progress

    def fold(self, marker: Marker, found: Window, connection: KafkaConnection | None) -> int:
        """Fold a partition's window; how many records that were."""
        engine = feed.an_engine(marker.partition)
        engine.timeline.add(self.catalog)
        engine.partitions = marker.meta["partitions"]
        if self.store.is_folder:
            if found.clock_us > 0:
                engine.move_clock(found.clock_us, found.first - 1)
            records = self._from_ledgers(engine, found, marker.last_offset)
        else:
            records = self._from_kafka(engine, found, marker, connection)
        self.month.take_units(engine.live_rows(), self.waivers.missing)
        return records

    def _from_ledgers(self, engine: Engine, found: Window, upto: int) -> int:
        records = 0
        for item in log.read(self.store, found.first, upto):
            if isinstance(item, log.Block):
                for part in _stretches(engine, item):
                    records += feed.fold(engine, part, self.waivers.apply if self.waivers.missing else None)
            elif item.kind == "tick":
                engine.tick(item.offset, item.time_us)
                records += 1
            if self._drain(engine, found, upto):
                break
        return records

    def _from_kafka(
        self, engine: Engine, found: Window, marker: Marker, connection: KafkaConnection | None
    ) -> int:
        from unitrate.replay.kafka import fold_month

        if connection is None:
            raise InputError(f"the log of {self.store.label} is in Kafka: give --brokers HOST:PORT,… too")

        def drained(_: int) -> bool:
            self.waivers.apply(engine)
            return self._drain(engine, found, marker.last_offset)

        return asyncio.run(fold_month(connection, marker, engine, found.first, drained))

    def _drain(self, engine: Engine, found: Window, upto: int) -> bool:
        self.month.take(engine.drain(), self.waivers.missing)
        self.progress(engine.last_offset + 1 - found.first, upto + 1 - found.first)
        return found.is_over(engine)


def _stretches(engine: Engine, block: log.Block) -> Iterator[log.Block]:
    """The block without duplicates and events that were too old: they only moved the log's time."""
    offsets, raws, start = block.offsets, block.raws, 0
    for offset, aside in sorted(block.asides.items()):
        at = bisect_left(offsets, offset)
        if aside.kept not in CLOCK_ONLY or at == len(offsets) or offsets[at] != offset:
            continue
        if at > start:
            yield replace(block, offsets=offsets[start:at], raws=raws[start:at])
        if aside.time_us:
            engine.move_clock(aside.time_us, offset)
        start = at + 1
    if start < len(offsets):
        yield replace(block, offsets=offsets[start:], raws=raws[start:])


# ---------------------------------------------------------------- what comes out


def _paid(month: Month, timeline: Timeline) -> dict[str, int]:
    """What each account pays, in minor units: its draft invoice without fees that are due once."""
    usage = month.usage()
    named = {name for catalog in timeline.catalogs for name in catalog.accounts}
    holders = {name for name in named if segments(timeline, name, month.period)}
    return {
        name: draft(timeline, name, month.period, usage.get(name, [])).subtotal_minor
        for name in holders | usage.keys()
    }


def _customers(
    before: Month, after: Month, paid: dict[str, int], would_pay: dict[str, int]
) -> Iterator[Customer]:
    names = before.cost.keys() | after.cost.keys() | paid.keys() | would_pay.keys()
    for name in sorted(names):
        now, next_ = (
            Side(month.revenue.get(name, 0), month.cost.get(name, 0), invoiced.get(name, 0))
            for month, invoiced in ((before, paid), (after, would_pay))
        )
        yield Customer(name, now, next_)


def _total(sides: list[Side]) -> Side:
    return Side(
        sum(side.revenue_pico for side in sides),
        sum(side.cost_pico for side in sides),
        sum(side.invoiced_minor for side in sides),
    )


def fate_changes(now: Fates, after: Fates) -> Iterator[FateChange]:
    """How many units go from which fate to which, the most first; those of one side only at the end."""
    import numpy as np

    names = [*now.names], [*after.names]
    ids = [np.frombuffer(side.ids, np.uint64) for side in (now, after)]
    codes = [np.frombuffer(side.codes, np.int32).astype(np.int64) for side in (now, after)]
    _, first, second = np.intersect1d(ids[0], ids[1], assume_unique=True, return_indices=True)
    pairs = codes[0][first] * len(names[1]) + codes[1][second]
    found = [
        FateChange(names[0][int(pair) // len(names[1])], names[1][int(pair) % len(names[1])], int(count))
        for pair, count in zip(*np.unique(pairs, return_counts=True), strict=True)
    ]
    yield from sorted((one for one in found if one.now != one.next), key=lambda one: (-one.units, one[:2]))
    for side, both in ((0, first), (1, second)):
        alone = np.delete(codes[side], both)
        for code, count in zip(*np.unique(alone, return_counts=True), strict=True):
            fate = names[side][int(code)]
            yield FateChange(fate, None, int(count)) if side == 0 else FateChange(None, fate, int(count))
