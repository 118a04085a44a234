"""Payouts of a store: drafts of open months, and final ones, written once when every account has closed.

Owns which account months a payout covers: those closed by its close record that no earlier payout covers. So
nothing is paid twice, and an account that turns up late for a closed month is paid with the next payout, also
for months before all that were paid: these never get a payout of their own.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from unitrate.billing.attributing import rerated_revenue
from unitrate.billing.final import closings, timeline_before
from unitrate.billing.outlook import outlook
from unitrate.billing.payouts import (
    Payout,
    Reward,
    Served,
    Statement,
    Terms,
    Work,
    payout_document,
    payout_id,
    reward_document,
    statement,
)
from unitrate.billing.statement import canonical, hash_of
from unitrate.errors import FinalConflict
from unitrate.figures import EXACT, month_text
from unitrate.pricing import to_pico
from unitrate.published import timeline as all_catalogs
from unitrate.store.final_tables import PAYOUTS
from unitrate.timeline import Timeline, first_day, next_month

if TYPE_CHECKING:
    from unitrate.store import Store

FINAL_MONTHS = "SELECT period, control_seq FROM payouts FINAL WHERE kind = 'period' ORDER BY period"
ROWS = """
SELECT kind, payee, hash FROM payouts FINAL WHERE period = {period:UInt32}
"""
CARRIED = """
SELECT payee, argMax(carried_out, period) FROM payouts FINAL
WHERE kind = 'builder' AND period < {period:UInt32} GROUP BY payee
"""
MONTHS = """
SELECT DISTINCT bill_month FROM cost_lines
WHERE bill_month > {after:UInt32} AND bill_month < {period:UInt32} ORDER BY bill_month
"""
# Account months of a final payout: closed up to its close record, and not covered by the one before.
COVERED = """
SELECT account, period FROM closings FINAL
WHERE control_seq <= {seq:Int64} AND period <= {period:UInt32}
  AND NOT (control_seq <= {seq_before:Int64} AND period <= {period_before:UInt32})
"""
WORKS = """
SELECT workflow, sum(units), sum(toDecimal256(revenue, 12)), sum(toDecimal256(cost, 12)) FROM cost_lines FINAL
WHERE {months} GROUP BY workflow ORDER BY workflow
SETTINGS do_not_merge_across_partitions_select_final = 1
"""
OPEN_MONTH = """(bill_month = {period:UInt32} OR {first:Bool} AND bill_month <= {period:UInt32})
  AND (account, bill_month) NOT IN (
    SELECT account, period FROM closings FINAL
    WHERE control_seq <= {seq_before:Int64} AND period <= {period_before:UInt32})"""
# A request belongs to the month of its time, or, where that was closed when it came, to the first open one.
SERVED = """
SELECT provider, model, count(), sum(toDecimal256(cost, 12)) FROM (
    SELECT account, provider, model, cost, `offset`, {month} AS month FROM events FINAL
    WHERE type = 'ai.request'
) AS happened INNER JOIN (
    SELECT account, period, version, before FROM (
        SELECT account, period, version,
               lagInFrame(version, 1, toInt64(-1)) OVER (PARTITION BY account ORDER BY period
                   ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
        FROM ({closed})
    ) WHERE (account, period) IN ({covered})
) AS spans USING (account)
WHERE `offset` < version AND (month = period OR month < period AND `offset` > before)
GROUP BY provider, model ORDER BY provider, model
SETTINGS do_not_merge_across_partitions_select_final = 1
"""
CLOSED = "SELECT account, period, version FROM closings FINAL"
NOT_YET = """
 UNION ALL SELECT DISTINCT account, {period:UInt32} AS period, toInt64(9223372036854775807) AS version
 FROM events WHERE (account, {period:UInt32}) NOT IN (SELECT account, period FROM closings)
"""


class Span(NamedTuple):
    """What a payout covers: up to a close record (None: a draft), after what the one before covered."""

    period: int
    seq: int | None
    period_before: int
    seq_before: int
    first: bool = True  # a draft: it is the first open month, so leftovers of earlier ones are in it

    @property
    def parameters(self) -> dict[str, Any]:
        return self._asdict() | {"seq": self.seq or 0}


def payouts(store: Store, period: int) -> Statement:
    """The month's statement: final where it is, else as it stands."""
    done = dict(store.query(FINAL_MONTHS).rows)
    if period in done:
        return stored(store, period)
    catalogs = all_catalogs(store)
    if period < max(done, default=0):  # what is there of it is in a later one, or will be
        last = catalogs.catalogs[-1]
        return Statement(period, last.currency, last.minor_digits, (), (), Work("", 0, 0, 0))
    before = max((month for month in done if month < period), default=0)
    months = [
        month
        for (month,) in store.query(MONTHS, {"after": before, "period": period}).rows
        if month not in done
    ]
    carried = _carried(store, period, catalogs)
    made = None
    for at, month in enumerate([*months, period]):
        span = Span(month, None, before, done.get(before, 0), first=at == 0)
        made = _statement(store, catalogs, span, carried)
        carried = {one.builder: one.carried_out_minor for one in made.payouts}
    assert made is not None
    return made


def issue(store: Store, period: int) -> bool:
    """Write payouts of every month up to `period` that all accounts have closed; whether `period` is final.

    Raises FinalConflict where a final one would come out otherwise.
    """
    catalogs = all_catalogs(store)
    groups = closings(store)
    done: dict[int, int] = dict(store.query(FINAL_MONTHS).rows)
    for month in sorted({month for _, month in groups if month <= period}):
        is_paid = month in done
        if (is_paid and month != period) or (not is_paid and month < max(done, default=0)):
            continue
        found = outlook(store, catalogs, month, 0, now=False)
        if month not in done and (found.left_open or found.closing):
            return False
        seq = done.get(month) or max(seq for seq, closed in groups if closed == month)
        earlier = max((m for m in done if m < month), default=0)
        span = Span(month, seq, earlier, done.get(earlier, 0))
        as_of = timeline_before(store, groups[max(group for group in groups if group[0] == seq)][0])
        made = replace(_statement(store, as_of, span, _carried(store, month, as_of)), status="final")
        _write(store, made, seq, is_new=month not in done)
        done[month] = seq
    return period in done


def _carried(store: Store, period: int, catalogs: Timeline) -> dict[str, int]:
    digits = catalogs.catalogs[-1].minor_digits
    rows = store.query(CARRIED, {"period": period}).rows
    return {payee: int(EXACT.scaleb(amount, digits)) for payee, amount in rows}


def _statement(store: Store, catalogs: Timeline, span: Span, carried: dict[str, int]) -> Statement:
    last = catalogs.catalogs[-1]
    ends_us = last.zone.day_start_us(first_day(next_month(span.period)))
    in_force = catalogs.catalog_at(ends_us - 1)
    terms = Terms.of(in_force.extra.get("payouts"))
    months = f"(account, bill_month) IN ({COVERED})" if span.seq is not None else OPEN_MONTH
    rows = store.query(WORKS.replace("{months}", months), span.parameters).rows
    more = rerated_revenue(store, months, span.parameters) if catalogs.rerates else {}
    every = [
        Work(name, int(units), to_pico(revenue) + more.pop(name, 0), to_pico(cost))
        for name, units, revenue, cost in rows
    ]
    every += [Work(name, 0, revenue, 0) for name, revenue in sorted(more.items())]
    works = [one for one in every if one.units or one.revenue_pico or one.cost_pico]
    served = _served(store, catalogs, span) if terms.providers else []
    return statement(span.period, last.currency, last.minor_digits, terms, works, served, carried)


def _served(store: Store, catalogs: Timeline, span: Span) -> list[Served]:
    """Requests by provider as the price book names it."""
    closed, covered = CLOSED, COVERED
    if span.seq is None:
        closed += NOT_YET
        covered = f"SELECT account, period FROM ({NOT_YET.removeprefix(chr(10) + ' UNION ALL ')})"
        covered += (
            " UNION ALL SELECT account, period FROM closings "
            "WHERE {first:Bool} AND period <= {period:UInt32} "
            "AND NOT (control_seq <= {seq_before:Int64} AND period <= {period_before:UInt32})"
        )
    sql = SERVED.replace("{closed}", closed).replace("{covered}", covered)
    sql = sql.replace("{month}", _month_expression(store, catalogs, span.period))
    names = catalogs.catalogs[-1].costs.names
    found = []
    for provider, model, requests, cost in store.query(sql, span.parameters).rows:
        name, _ = names(provider or None, model)
        found.append(Served(name or provider, int(requests), to_pico(cost)))
    return found


def _month_expression(store: Store, catalogs: Timeline, upto: int) -> str:
    """Month of an event in its account's zone, by the catalogs' own offsets; 999999 where it is later."""
    first = store.query("SELECT toYYYYMM(min(time)) FROM events").rows[0][0]
    zones: dict[str, list[str]] = {}
    for name in {name for catalog in catalogs.catalogs for name in catalog.accounts}:
        zones.setdefault(catalogs.zone(name).name, []).append(name)
    default = catalogs.catalogs[0].zone
    known = {catalogs.zone(name).name: catalogs.zone(name) for names in zones.values() for name in names}

    def months(zone_name: str) -> str:
        zone, month, cases = known.get(zone_name, default), max(int(first) - 1, 197001), []
        month = month if 1 <= month % 100 <= 12 else month - 88
        while month <= upto:
            month = next_month(month)
            cases.append(
                f"toUnixTimestamp64Micro(time) < {zone.day_start_us(first_day(month))}, {_before(month)}"
            )
        return f"multiIf({', '.join(cases)}, 999999)"

    text = months(default.name)
    for zone_name, names in sorted(zones.items()):
        if zone_name != default.name:
            listed = ", ".join("'" + n.replace("\\", "\\\\").replace("'", "\\'") + "'" for n in sorted(names))
            text = f"if(account IN ({listed}), {months(zone_name)}, {text})"
    return text


def _before(month: int) -> int:
    return month - 1 if month % 100 > 1 else month - 89


# ---------------------------------------------------------------- final rows


def _write(store: Store, made: Statement, seq: int, *, is_new: bool) -> None:
    from unitrate.store.columns import from_rows

    rows = _rows(made, seq)
    there = {
        (kind, payee): hash_ for kind, payee, hash_, *_ in store.query(ROWS, {"period": made.period}).rows
    }
    for row in rows:
        known = there.get((row[1], row[2]))
        if known is not None and known != row[16]:
            raise FinalConflict(
                f"the payout of {row[2] or 'the month'} for {month_text(made.period)} is final and would "
                "come out otherwise today; it is not overwritten"
            )
    if not is_new:
        return
    several = [row for row in rows if row[1] != "period"]
    if several:
        store.insert("payouts", from_rows(PAYOUTS, several))
    store.insert("payouts", from_rows(PAYOUTS, rows[-1:]))  # it vouches for the others


def _rows(made: Statement, seq: int) -> list[tuple[Any, ...]]:
    digits = made.minor_digits
    scale = int(10 ** (12 - digits))
    rows = []
    for one in made.payouts:
        figures = (
            sum(w.units for w in one.works), 0, one.revenue_pico, one.cost_pico,
            one.platform_fee_pico(digits), one.earnings_minor * scale, one.carried_in_minor * scale,
            one.payout_minor * scale, one.carried_out_minor * scale,
        )  # fmt: skip
        rows.append(_row(made, "builder", one.builder, seq, figures, payout_document(one, made)))
    for reward in made.rewards:
        amount = reward.reward_minor * scale
        figures = (0, reward.requests, 0, reward.cost_pico, 0, amount, 0, amount, 0)
        rows.append(_row(made, "provider", reward.provider, seq, figures, reward_document(reward, made)))
    total = made.total
    paid = sum(one.payout_minor for one in made.payouts) + sum(one.reward_minor for one in made.rewards)
    earned = sum(one.earnings_minor for one in made.payouts) + sum(r.reward_minor for r in made.rewards)
    figures = (
        total.units, 0, total.revenue_pico, total.cost_pico, made.platform_pico, earned * scale, 0,
        paid * scale, 0,
    )  # fmt: skip
    content = {"period": month_text(made.period), "others": [row[16] for row in rows]}
    return [*rows, _row(made, "period", "", seq, figures, content)]


def _row(
    made: Statement, kind: str, payee: str, seq: int, figures: tuple[int, ...], content: dict[str, Any]
) -> tuple[Any, ...]:
    return (
        made.period, kind, payee, seq, payout_id(made.period, kind, payee), made.currency, made.minor_digits,
        *figures, hash_of(content), canonical(content),
    )  # fmt: skip


def stored(store: Store, period: int) -> Statement:
    """A final statement, from its rows."""
    sql = (
        "SELECT kind, payee, currency, minor_digits, units, requests, revenue, cost, earnings, carried_in, "
        "payout, document FROM payouts FINAL WHERE period = {period:UInt32} ORDER BY kind, payee"
    )
    builders: list[Payout] = []
    rewards: list[Reward] = []
    rows = store.query(sql, {"period": period}).rows
    digits = int(rows[0][3])
    currency = str(rows[0][2])
    total = Work("", 0, 0, 0)

    def minor_of(amount: Decimal) -> int:
        return int(EXACT.scaleb(amount, digits))

    for kind, payee, _, _, units, requests, revenue, cost, earnings, carried_in, payout, text in rows:
        if kind == "period":
            total = Work("", int(units), to_pico(revenue), to_pico(cost))
        elif kind == "provider":
            rewards.append(Reward(payee, int(requests), to_pico(cost), minor_of(earnings)))
        else:
            content = json.loads(text)
            works = tuple(
                Work(w["workflow"], w["units"], _pico(w["revenue"]), _pico(w["cost"]))
                for w in content["workflows"]
            )
            builders.append(
                Payout(
                    payee, content["basis"], works, minor_of(earnings), minor_of(carried_in), minor_of(payout)
                )
            )
    return Statement(period, currency, digits, tuple(builders), tuple(rewards), total, "final")


def _pico(text: str) -> int:
    return to_pico(Decimal(text))
