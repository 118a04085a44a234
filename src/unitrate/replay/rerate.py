"""`unitrate rerate`: a price that was published wrong, corrected by a record in the log.

Owns which file corrects what, from which month on, and what it will change, told before it is written: the
fold itself is asked, on a copy of its state. What the record changes is `unitrate.rerating`'s. Must never
write without a name and a reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from unitrate.billing.invoice import UsagePart, draft
from unitrate.billing.month import usage_of
from unitrate.billing.statement import day_text, instant_text
from unitrate.catalog.compiling import compile_rerate
from unitrate.catalog.repricing import Period, corrected_catalogs, record, repriced
from unitrate.errors import InputError
from unitrate.figures import month_text
from unitrate.published import bodies, timeline
from unitrate.replay import log
from unitrate.replay.correct import check_words
from unitrate.rows import LINES, RERATED_MONTHS
from unitrate.runtime import month_end
from unitrate.store import recovery
from unitrate.timeline import month_days

if TYPE_CHECKING:
    from unitrate.catalog.compiled import Plan, Rerate
    from unitrate.catalog.source import Version
    from unitrate.runtime.kafka_connection import KafkaConnection
    from unitrate.store import Store
    from unitrate.timeline import Timeline

KIND = "rerate"
WRITTEN = "SELECT who, why FROM rerates FINAL WHERE number = {number:Int64} LIMIT 1"
BILLED = """SELECT account, period FROM closings
UNION DISTINCT SELECT account, late_from FROM invoice_lines WHERE late_from > 0"""
PARTITIONS = "SELECT DISTINCT partition FROM checkpoints ORDER BY partition"
AccountMonth = tuple[str, int]


class Order(NamedTuple):
    """Which months, and on whose word."""

    period: Period
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """An account's month: usage, minimums and fees, each invoice line rounded, before and after."""

    account: str
    period: int
    bill_month: int  # another one than `period` where that is closed: its invoice carries the difference
    before_minor: int
    after_minor: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What a re-rate changes."""

    number: int
    catalog: str
    plans: tuple[tuple[str, int], ...]
    changes: tuple[Change, ...]  # account months that come to another sum, or whose lines change
    accounts: int  # that have one of the plans, changed or not
    currency: str
    minor_digits: int


def rerate(
    store: Store,
    versions: Sequence[Version],
    order: Order,
    connection: KafkaConnection | None = None,
    *,
    dry_run: bool = False,
) -> Effect:
    """Correct the prices of a published catalog; the effect. With `dry_run` nothing is written.

    Raises CatalogError where the file changes more than prices, InputError where it changes none, or where
    it would change a price inside of a month.
    """
    check_words(order.who, order.why)
    content = _content(store, versions, order)
    catalogs = timeline(store)
    _check_months(catalogs, content, order.period)
    effect = _effect(store, catalogs, content)
    if not dry_run:
        # As many re-rates seen, the same id: of two operators at once, the log takes one.
        month_end.write(store, KIND, f"{KIND}:{content['number']}", content, connection)
        _check_taken(store, content)
    return effect


# ---------------------------------------------------------------- what is asked


def _content(store: Store, versions: Sequence[Version], order: Order) -> dict[str, Any]:
    """The record: of the versions given, the one whose prices differ from what the log has."""
    published, rerates = bodies(store)
    known = {catalog["id"]: catalog for catalog in corrected_catalogs(published, rerates)}
    found = {}
    for version in versions:
        if version.id not in known:
            raise InputError(
                f"catalog {version.id} was never published into {store.label}; unitrate publish does that"
            )
        plans = repriced(version, known[version.id])
        if plans:
            found[version.id] = plans
    if not found:
        raise InputError("there is nothing to re-rate: the log has these prices already")
    if len(found) > 1:
        named = " and ".join(found)
        raise InputError(f"{named} differ from what was published; give the file of one of them alone")
    ((catalog, plans),) = found.items()
    return record(len(rerates) + 1, catalog, plans, order.period, order.who.strip(), order.why.strip())


def _check_months(catalogs: Timeline, content: Mapping[str, Any], period: Period) -> None:
    """A counter covers a month: a price cannot change inside of one. Raises InputError."""
    if period.from_us is None:
        return
    plans = {(name, plan["version"]) for name, plan in content["plans"].items()}
    for account in sorted({name for catalog in catalogs.catalogs for name in catalog.accounts}):
        zone = catalogs.zone(account)
        month = catalogs.month(account, period.from_us)
        for day in month_days(month):
            if zone.day_start_us(day) >= period.from_us:
                break
            plan = catalogs.plan_on(account, day)[1]
            if plan is not None and (plan.name, plan.version) in plans:
                raise InputError(
                    f"--from {instant_text(period.from_us)}: {account} has plan {plan.name} v{plan.version} "
                    f"on {day_text(day)} already, and a price cannot change inside of a month; give a whole "
                    f"month (--from {month_text(month)}), or publish a new version of the plan"
                )


def _check_taken(store: Store, content: Mapping[str, Any]) -> None:
    rows = store.query(WRITTEN, {"number": content["number"]}).rows
    if rows != [(content["who"], content["why"])]:
        by = f": {rows[0][0]} was first ({rows[0][1]})" if rows else ""
        raise InputError(f"prices were re-rated at the same moment{by}; look at them again, then decide")


# ---------------------------------------------------------------- what it changes


_LINE = {column.name: at for at, column in enumerate(LINES)}
_MONTH = {column.name: at for at, column in enumerate(RERATED_MONTHS)}


def _effect(store: Store, catalogs: Timeline, content: Mapping[str, Any]) -> Effect:
    body = json.dumps(content).encode()
    corrected, compiled = timeline(store), compile_rerate(body)
    corrected.rerate(compiled, {})
    bill_months: dict[AccountMonth, int] = {}
    lines: dict[AccountMonth, list[UsagePart]] = {}
    for (partition,) in store.query(PARTITIONS).rows:
        out = _preview(store, partition, body)
        for row in out.rerated_months:
            bill_months[row[_MONTH["account"]], row[_MONTH["usage_month"]]] = row[_MONTH["bill_month"]]
        for row in out.lines:
            lines.setdefault((row[_LINE["account"]], row[_LINE["usage_month"]]), []).append(_part(row))
    usage = usage_of(store, {name for name, _ in bill_months}, {month for _, month in bill_months})
    changes, beside_usage = [], _beside_usage(catalogs, compiled)
    billed = {(account, month) for account, month in store.query(BILLED).rows}
    for (account, month), bill_month in sorted(bill_months.items()):
        parts, more = usage.get((account, month), []), lines.get((account, month), [])
        is_due = beside_usage and (bill_month == month or (account, month) in billed)  # D68
        if not more and not is_due:
            continue
        before = draft(catalogs, account, month, parts).total_minor
        after = draft(corrected, account, month, [*parts, *more]).total_minor
        if more or before != after:
            changes.append(Change(account, month, bill_month, before, after))
    last = catalogs.catalogs[-1]
    return Effect(
        content["number"], content["catalog"], tuple(compiled.plans), tuple(changes),
        len({name for name, _ in bill_months}), last.currency, last.minor_digits,
    )  # fmt: skip


def _beside_usage(catalogs: Timeline, corrected: Rerate) -> bool:
    """Whether fees or minimums differ: then months without usage change too."""

    def due(plan: Plan) -> tuple[Any, ...]:
        return plan.fees, plan.minimum, [charge.minimum for charge in plan.charges]

    return any(due(catalogs.latest(*which)) != due(plan) for which, plan in corrected.plans.items())


def _preview(store: Store, partition: int, body: bytes) -> Any:
    """Rows that the fold would make of the record now."""
    found = recovery.read(store, partition)
    assert found is not None  # it has a checkpoint
    if store.is_folder:
        log.check_finished(store, found.marker.last_offset)
    engine = found.engine
    out, clock_us = engine.out, engine.clock_us if engine.log_id else None
    engine.control(engine.last_offset + 1, clock_us, KIND, "preview", body)
    return out


def _part(row: Sequence[Any]) -> UsagePart:
    names = ("plan", "plan_version", "charge", "meter", "price_value", "quantity", "amount", "catalog")
    return UsagePart(*(row[_LINE[name]] for name in names))
