"""Before a month is closed: which accounts are past its end, and what is still held or unsettled.

Owns the answers only; it writes nothing. Whether an account is past its month's end is asked as the fold will
ask it (`months`): by the log's time of its partition.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from unitrate.placement import partition_of
from unitrate.pricing import half_up, to_pico
from unitrate.timeline import Timeline, first_day, next_month

if TYPE_CHECKING:
    from unitrate.store import Store

MARKERS = "SELECT partition, meta FROM checkpoints ORDER BY partition, last_offset DESC LIMIT 1 BY partition"
BEGUN = """
SELECT account, min(month) FROM (
    SELECT account, min(usage_month) AS month FROM cost_lines GROUP BY account
    UNION ALL SELECT account, min(bill_month) AS month FROM grants GROUP BY account
) GROUP BY account
"""
CLOSED = "SELECT account, max(period) FROM closings GROUP BY account"
WAITING = """
SELECT account, meter, state, disposition, reason, count() AS units, sum(revenue) AS revenue
FROM units FINAL
WHERE period <= {period:UInt32} AND (account, period) NOT IN (SELECT account, period FROM closings)
  AND (state IN ('open', 'sealed') OR disposition = 'held')
GROUP BY account, meter, state, disposition, reason
"""
BILLED = """
SELECT account, meter, countIf(disposition = 'billable') AS units, sumIf(revenue, disposition = 'billable')
FROM units FINAL WHERE period <= {period:UInt32} GROUP BY account, meter
"""


class Waiting(NamedTuple):
    """Units that a close does not wait for. `worth_pico`: about; None where nothing like them billed."""

    what: str  # held or unsettled
    reason: str
    units: int
    worth_pico: int | None


class LeftOpen(NamedTuple):
    """An account whose month has not ended yet, in the log's time."""

    account: str
    ends_us: int
    clock_us: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What closing a month would do now."""

    period: int
    closing: tuple[str, ...]
    left_open: tuple[LeftOpen, ...]
    closed: tuple[str, ...]  # that have closed it already
    waiting: tuple[Waiting, ...]
    control_seq: int
    clock_us: int


def outlook(store: Store, timeline: Timeline, period: int, grace_us: int, now: bool) -> Outlook:
    """Accounts by what a close record would do to them, and the units that are not decided yet."""
    metas = {partition: json.loads(meta) for partition, meta in store.query(MARKERS).rows}
    partitions = max((int(meta["partitions"]) for meta in metas.values()), default=1)
    begun = dict(store.query(BEGUN).rows)
    last = dict(store.query(CLOSED).rows)
    named = {name for catalog in timeline.catalogs for name in catalog.accounts}
    closing, left_open, closed = [], [], []
    for account in sorted(named | begun.keys()):
        meta = metas.get(partition_of(account, partitions) if partitions > 1 else 0)
        clock_us = int(meta["clock_us"]) if meta is not None else -1
        ends_us = timeline.zone(account).day_start_us(first_day(next_month(period)))
        if last.get(account, 0) >= period:
            closed.append(account)
        elif not 0 < first_month(timeline, account, begun.get(account, 0)) <= period:
            continue
        elif now or clock_us >= ends_us + grace_us:
            closing.append(account)
        else:
            left_open.append(LeftOpen(account, ends_us, clock_us))
    return Outlook(
        period,
        tuple(closing),
        tuple(left_open),
        tuple(closed),
        tuple(waiting(store, period)),
        max((int(meta["control_seq"]) for meta in metas.values()), default=0),
        max((int(meta["clock_us"]) for meta in metas.values()), default=-1),
    )


def first_month(timeline: Timeline, account: str, begun: int) -> int:
    """The account's first month, as `months.Months.first_month` has it; 0 if it has none."""
    months = [begun] if begun else []
    began = timeline.catalogs[0].effective_us
    for catalog in timeline.catalogs:
        entry = catalog.accounts.get(account)
        for s in entry.subscriptions if entry is not None else ():
            start = timeline.zone(account).day_start_us(s.from_day)
            months.append(timeline.month(account, max(start, began)))
    return min(months, default=0)


def waiting(store: Store, period: int) -> list[Waiting]:
    """Held and unsettled units up to a month that no close covers yet.

    A unit that has not billed is worth about what billed ones of its account and meter (or of its meter)
    earned on average; a sealed one that has billed, what it bills now.
    """
    rows = store.query(WAITING, {"period": period}).rows
    if not rows:
        return []
    own: dict[tuple[str, str], tuple[int, int]] = {}
    every: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for account, meter, units, revenue in store.query(BILLED, {"period": period}).rows:
        own[account, meter] = int(units), to_pico(revenue)
        every[meter][0] += int(units)
        every[meter][1] += to_pico(revenue)
    found: dict[tuple[str, str], tuple[int, int | None]] = {}
    for account, meter, state, disposition, reason, units, revenue in rows:
        is_open = state == "open"
        what = "held" if disposition == "held" and not is_open else "unsettled"
        worth: int | None = to_pico(revenue)
        if is_open or disposition == "held":
            count, total = own.get((account, meter), (0, 0))
            if not count:
                count, total = every[meter]
            worth = half_up(total * units, count) if count else None
        key = what, reason if what == "held" else "open" if is_open else "may still change"
        before, sum_ = found.get(key, (0, None))
        both = [value for value in (sum_, worth) if value is not None]
        found[key] = before + int(units), sum(both) if both else None
    return [Waiting(*key, units, worth) for key, (units, worth) in sorted(found.items())]
