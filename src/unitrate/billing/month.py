"""What the store knows of a month: rated usage, late usage of closed months, credits, what was not billed.

Owns the queries. A final invoice reads only what stood in the log before the close record (rows that carry
its month, records with a lower offset), so whoever asks again, at any time, reads the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from unitrate.billing.attributing import PriceMonth, rerated
from unitrate.billing.invoice import LineKey, UsagePart, minor, segments
from unitrate.billing.settling import Billed
from unitrate.catalog.compiled import Zone
from unitrate.pricing import to_pico
from unitrate.timeline import Timeline, first_day, month_days, next_month

if TYPE_CHECKING:
    from unitrate.store import Store

_ONE = "({account:String} = '' OR account = {account:String})"
_CLOSED = (
    "account IN (SELECT account FROM closings FINAL "
    "WHERE control_seq = {seq:Int64} AND period = {period:UInt32})"
)
_OPEN = "account NOT IN (SELECT account FROM closings FINAL WHERE period = {period:UInt32})"
_FAST = "SETTINGS do_not_merge_across_partitions_select_final = 1"
_PART = """
SELECT account, usage_month, plan, plan_version, charge, any(meter), price_value, workflow,
       sum(toDecimal256(quantity, 12)), sum(toDecimal256(amount, 12)),
       sum(toDecimal256(included_after, 12) - toDecimal256(included_before, 12)),
       sum(toDecimal256(cost_after, 12) - toDecimal256(cost_before, 12)), argMax(catalog, version)
FROM lines FINAL
"""
_BY_PART = (
    " GROUP BY account, usage_month, plan, plan_version, charge, price_value, workflow"
    " ORDER BY account, usage_month, plan, plan_version, charge, price_value, workflow "
)
LATE_MONTHS = (
    "SELECT DISTINCT account, usage_month FROM {table} "
    "WHERE bill_month = {{period:UInt32}} AND usage_month < {{period:UInt32}}"
)
# What may change a closed month: late lines, and re-rates, which change fees and minimums without any line.
# Months before the account's first closed one were billed only where something late has come of them.
CHANGING = {
    "lines": "",
    "rerated_months": """ AND (account, usage_month) IN (
    SELECT account, period FROM closings
    UNION ALL
    SELECT account, late_from FROM invoice_lines WHERE late_from > 0 AND period < {period:UInt32})""",
}
BILLED = """
SELECT account, if(kind = 'adjustment', late_from, period) AS month,
       if(kind = 'adjustment', of_kind, kind) AS line_kind, plan, plan_version,
       if(kind = 'adjustment', of_name, name) AS line_name, meter,
       sum(toDecimal256(amount, 12)),
       sum(toDecimal256(assumeNotNull(quantity), 12)), countIf(isNull(quantity)),
       sum(toDecimal256(assumeNotNull(included), 12)), countIf(isNull(included)), argMax(catalog, period)
FROM invoice_lines FINAL
WHERE kind IN ('usage', 'minimum', 'fee', 'adjustment') AND period < {period:UInt32}
"""
_BY_LINE = " GROUP BY account, month, line_kind, plan, plan_version, line_name, meter "
THIN_MONTHS = """
SELECT closings.account, closings.period, any(invoices.plan_days)
FROM (SELECT account, period FROM closings FINAL WHERE period < {period:UInt32}) AS closings
LEFT JOIN (SELECT account, period, plan_days FROM invoices FINAL) AS invoices USING (account, period)
"""
GRANTS = (
    "SELECT account, grant_id, bill_month, name, amount, credit, granted_at, expires_at, version "
    "FROM grants FINAL WHERE "
)
USES = (
    "SELECT account, credit_id, sum(amount) FROM credit_movements FINAL WHERE period < {period:UInt32} AND "
)
NOT_BILLED = """
SELECT account, reason, sum(units) AS units FROM cost_lines FINAL
WHERE bill_month = {period:UInt32} AND disposition = 'not_billed' AND
"""


class Scope(NamedTuple):
    """Which accounts' month: those that one close record closed, or all that have it open (`seq` None)."""

    period: int
    seq: int | None = None
    account: str = ""

    @property
    def condition(self) -> str:
        return f"{_ONE} AND {_OPEN if self.seq is None else _CLOSED}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"period": self.period, "account": self.account, "seq": self.seq or 0}


class Grant(NamedTuple):
    """A top-up that an account bought."""

    account: str
    grant_id: str
    bill_month: int
    name: str
    amount_pico: int
    credit_pico: int
    granted_at: datetime
    expires_at: datetime | None
    version: int


@dataclass(slots=True)
class MonthFigures:
    """A month of some accounts."""

    usage: dict[str, list[UsagePart]] = field(default_factory=dict)
    late: dict[str, dict[int, list[UsagePart]]] = field(default_factory=dict)
    billed: dict[tuple[str, int], dict[LineKey, Billed]] = field(default_factory=dict)
    grants: dict[str, list[Grant]] = field(default_factory=dict)
    uses_pico: dict[tuple[str, str], int] = field(default_factory=dict)  # (account, credit) -> used before
    not_billed: dict[str, dict[str, int]] = field(default_factory=dict)


def figures(store: Store, timeline: Timeline, scope: Scope) -> MonthFigures:
    """All that invoices of a scope are made of."""
    found = MonthFigures()
    own = "bill_month = {period:UInt32} AND usage_month = {period:UInt32} AND " + scope.condition
    shared = _shared(store, own, scope) if timeline.rerates else {}
    for account, month, part in _parts(store, _PART + "WHERE " + own, scope):
        key = PriceMonth(account, month, part.plan, part.plan_version, part.charge, part.price_value)
        more = tuple((name, 0, amount_pico) for name, amount_pico in shared.get(key, {}).items())
        found.usage.setdefault(account, []).append(replace(part, workflows=(*part.workflows, *more)))
    _read_late(store, timeline, scope, found)
    for row in store.query(GRANTS + scope.condition + " ORDER BY version, grant_id", scope.parameters).rows:
        grant = Grant._make((*row[:4], to_pico(row[4]), to_pico(row[5]), *row[6:]))
        found.grants.setdefault(grant.account, []).append(grant)
    uses = store.query(USES + scope.condition + " GROUP BY account, credit_id", scope.parameters)
    found.uses_pico = {(account, credit): to_pico(used) for account, credit, used in uses.rows}
    counts = NOT_BILLED + scope.condition + f" GROUP BY account, reason ORDER BY account, reason {_FAST}"
    for account, reason, units in store.query(counts, scope.parameters).rows:
        if units:
            found.not_billed.setdefault(account, {})[reason] = int(units)
    return found


def _shared(store: Store, months: str, scope: Scope) -> dict[PriceMonth, dict[str, int]]:
    """What re-rates changed of each price, by workflow; taken off what has none."""
    found: dict[PriceMonth, dict[str, int]] = {}
    for price, parts in rerated(store, months, scope.parameters):
        sums = found.setdefault(price, {})
        for workflow, part in (*parts.items(), ("", -sum(parts.values()))):
            sums[workflow] = sums.get(workflow, 0) + part
    return found


def _parts(store: Store, sql: str, scope: Scope | _Bound) -> Iterator[tuple[str, int, UsagePart]]:
    """Prices of charges with their workflows, by account and month of usage."""
    rows = store.query(sql + _BY_PART + _FAST, scope.parameters).rows
    at = 0
    while at < len(rows):
        key = rows[at][:5] + rows[at][6:7]
        end = at
        while end < len(rows) and rows[end][:5] + rows[end][6:7] == key:
            end += 1
        group = rows[at:end]
        at = end
        account, month, plan, version, charge, value = key
        sums = [to_pico(sum(row[column] for row in group)) for column in range(8, 12)]
        yield (
            account,
            month,
            UsagePart(
                plan=plan,
                plan_version=version,
                charge=charge,
                meter=group[0][5],
                price_value=value,
                quantity_pico=sums[0],
                amount_pico=sums[1],
                catalog=max(row[12] for row in group),
                included_pico=sums[2],
                cost_pico=sums[3],
                workflows=tuple((row[7], to_pico(row[8]), to_pico(row[9])) for row in group),
            ),
        )


def usage_of(
    store: Store, accounts: Iterable[str], months: Iterable[int]
) -> dict[tuple[str, int], list[UsagePart]]:
    """What belongs to these months by its usage, by account and month, wherever it was or will be billed."""
    parameters = {"accounts": sorted(accounts), "months": sorted(months)}
    where = "WHERE usage_month IN {months:Array(UInt32)} AND account IN {accounts:Array(String)}"
    found: dict[tuple[str, int], list[UsagePart]] = {}
    for account, month, part in _parts(store, _PART + where, _Bound(None, parameters)):
        found.setdefault((account, month), []).append(part)
    return found


# ---------------------------------------------------------------- closed months


def _read_late(store: Store, timeline: Timeline, scope: Scope, found: MonthFigures) -> None:
    """Closed months that something of this month changes: their lines up to now, and what was billed."""
    pairs: set[tuple[str, int]] = set()
    for table, which in CHANGING.items():
        late = LATE_MONTHS.format(table=table) + which + f" AND {scope.condition}"
        pairs |= {(account, month) for account, month in store.query(late, scope.parameters).rows}
    pairs |= _late_plans(store, timeline, scope)
    if not pairs:
        return
    for account, month in sorted(pairs):
        found.late.setdefault(account, {})[month] = []
    parameters = scope.parameters | {
        "accounts": sorted(found.late),
        "months": sorted({month for _, month in pairs}),
    }
    chosen = "account IN {accounts:Array(String)}"
    sql = (
        _PART + "WHERE bill_month <= {period:UInt32} AND usage_month < {period:UInt32} "
        "AND usage_month IN {months:Array(UInt32)} AND " + chosen
    )
    for account, month, part in _parts(store, sql, _Bound(scope, parameters)):
        if (account, month) in pairs:
            found.late[account][month].append(part)
    billed = store.query(BILLED + f" AND {chosen}" + _BY_LINE, parameters).rows
    digits = timeline.catalogs[-1].minor_digits
    for row in billed:
        if row[:2] in pairs:
            key = LineKey(*row[2:7])
            found.billed.setdefault(row[:2], {})[key] = Billed(
                minor(to_pico(row[7]), digits),
                None if row[9] else to_pico(row[8]),
                None if row[11] else to_pico(row[10]),
                row[12],
            )


class _Bound(NamedTuple):
    """Parameters of a query that is about more than a scope."""

    scope: Scope | None
    parameters: dict[str, Any]


def _late_plans(store: Store, timeline: Timeline, scope: Scope) -> set[tuple[str, int]]:
    """Closed months in which an account has a plan now on days without one at their close (D44)."""
    sql = THIN_MONTHS + f"WHERE {scope.condition} GROUP BY closings.account, closings.period"
    found = set()
    for account, month, days in store.query(sql, scope.parameters).rows:
        if days < len(month_days(month)) and plan_days(timeline, account, month) > days:
            found.add((account, month))
    return found


def plan_days(timeline: Timeline, account: str, month: int) -> int:
    """Days of a month on which the account has a plan."""
    return sum(segment.days for segment in segments(timeline, account, month))


# ---------------------------------------------------------------- what else the customer is not charged for

DUPLICATES = """
SELECT account, count() FROM duplicates FINAL
WHERE `time` >= fromUnixTimestamp64Micro({since:Int64}) AND `time` < fromUnixTimestamp64Micro({until:Int64})
"""
RETRIES = """
SELECT account, uniqExact(workflow, run_id) FROM events FINAL
WHERE retry_of != '' AND retry_of != run_id AND unit_id != ''
  AND `time` >= fromUnixTimestamp64Micro({since:Int64}) AND `time` < fromUnixTimestamp64Micro({until:Int64})
"""


def repeats(
    store: Store, zones: Iterable[Zone], scope: Scope, bounds: dict[int, int]
) -> dict[str, dict[str, dict[str, int]]]:
    """By zone name and account: events that came twice, and retry runs, both free; up to the close record."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for zone in zones:
        window = {
            "since": zone.day_start_us(first_day(scope.period)),
            "until": zone.day_start_us(first_day(next_month(scope.period))),
            "partitions": sorted(bounds),
        }
        limits = " OR ".join(f"(partition = {part:d} AND `offset` < {end:d})" for part, end in bounds.items())
        where = f" AND {scope.condition} AND ({limits}) GROUP BY account "
        accounts = found.setdefault(zone.name, {})
        for name, sql in (("repeated_events", DUPLICATES), ("retried_runs", RETRIES)):
            for account, count in store.query(sql + where + _FAST, scope.parameters | window).rows:
                accounts.setdefault(account, {})[name] = int(count)
    return found
