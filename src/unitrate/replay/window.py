"""Which records a month's traffic needs: from the first that can matter to the last.

Owns the two ends. It starts so early that every unit of the month, every unit that could still be met by an
event of it, and everything inside the dedupe horizon is in the replay; it ends when no unit of the month can
change any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from unitrate.catalog.compiled import DAY_US
from unitrate.timeline import first_day, next_month
from unitrate.units import FINAL, OPEN

if TYPE_CHECKING:
    from unitrate.catalog.compiled import Catalog, Meter
    from unitrate.engine import Engine
    from unitrate.store import Store

_FIRST = """
SELECT min(first) FROM (
    SELECT min(offset) AS first, count() AS found FROM events
    WHERE partition = {partition:UInt32} AND toUnixTimestamp64Micro(time) >= {events_from:Int64}
    UNION ALL
    SELECT min(opened_offset), count() FROM units FINAL
    WHERE partition = {partition:UInt32}
      AND (ended IS NULL OR toUnixTimestamp64Micro(assumeNotNull(ended)) >= {units_from:Int64})
) WHERE found > 0
"""
_LAST = """
SELECT max(offset) FROM events WHERE partition = {partition:UInt32}
  AND toUnixTimestamp64Micro(time) >= {start:Int64} AND toUnixTimestamp64Micro(time) < {end:Int64}
"""
_BEFORE = """
SELECT max(toUnixTimestamp64Micro(time)) FROM events
WHERE partition = {partition:UInt32} AND offset < {first:Int64}
"""
_EVENTS = "SELECT count() FROM events WHERE partition = {partition:UInt32} AND offset <= {last:Int64}"


class Window(NamedTuple):
    """Offsets [first, last_event …]: the month's last event stands at the second, its consequences later."""

    first: int
    last_event: int
    clock_us: int  # the log's time in front of `first`
    period: int
    end_us: int  # the month is past everywhere

    def is_over(self, engine: Engine) -> bool:
        """Whether nothing that comes can change a unit of the month."""
        if engine.last_offset < self.last_event or engine.clock_us < self.end_us:
            return False
        return not any(
            unit.started < self.end_us if unit.state == OPEN else unit.period <= self.period
            for unit in engine.life.live.values()
            if unit.state != FINAL
        )


def window(store: Store, catalogs: list[Catalog], period: int, partition: int = 0) -> Window | None:
    """A partition's window of a month under any of the catalogs; None where it has no event up to there."""
    start = first_day(period) * DAY_US - DAY_US  # a day: time zones
    end = first_day(next_month(period)) * DAY_US + DAY_US
    horizon = max(c.dedupe_us for c in catalogs) + DAY_US
    longest = max((_longest(meter) for c in catalogs for meter in c.meters), default=0)

    def ask(sql: str, **parameters: int) -> int:
        return int(store.query(sql, {"partition": partition, **parameters}).rows[0][0] or 0)

    last = ask(_LAST, start=start, end=end)
    first = ask(_FIRST, events_from=max(start - horizon - longest, 0), units_from=max(start - horizon, 0))
    if not ask(_EVENTS, last=last):
        return None
    return Window(first, last, ask(_BEFORE, first=first), period, end)


def _longest(meter: Meter) -> int:
    """Time from a unit's opening to its end and what may follow."""
    spans = [meter.settle_us]
    if meter.reopen is not None:
        spans.append(meter.reopen.within_us)
    if meter.accept is not None:
        spans.append(meter.accept.within_us)
    if meter.reverse is not None:
        spans.append(meter.reverse.within_us)
    spans += [rule.within_us for rule in meter.rules]
    return meter.max_age_us + sum(spans)
