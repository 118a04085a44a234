"""Re-rates: control records that correct a price which was published wrong (D66–D70).

Owns what may be corrected (prices alone, so that no unit is decided otherwise) as the fold checks it, and the
rows that tell of it: the record itself, from which recovery rebuilds the corrected plans, and the account
months that it is for. The lines are `booking`'s. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from unitrate.catalog.compiled import Charge, Plan, Rerate
from unitrate.catalog.compiling import compile_rerate
from unitrate.errors import InputError
from unitrate.timeline import next_month

if TYPE_CHECKING:
    from unitrate.accounts import AccountState
    from unitrate.engine import Engine

Version = tuple[str, int]  # of a plan: name and number


class Order(msgspec.Struct):
    """What a record says beside its plans."""

    format: int
    number: int
    catalog: str
    from_us: int | None
    from_month: int
    who: str
    why: str


class Rerates:
    """The re-rates of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def act(self, body: bytes) -> Callable[[int], None]:
        """Check a record's body; the change that it makes. Raises InputError for one that cannot be used."""
        msgspec.json.decode(body, type=Order)  # anything but these is no re-rate
        engine, rerate = self._engine, compile_rerate(body)
        if not rerate.who or not rerate.why:
            raise InputError("rerate record: say who decides and why")
        if rerate.number != len(engine.timeline.rerates) + 1:
            raise InputError(f"rerate record: number {rerate.number} is not the log's next; look again")
        engine.timeline.named(rerate.catalog)
        for version, plan in rerate.plans.items():
            if not engine.timeline.known(*version):
                raise InputError(f"rerate record: no catalog has plan {_named(version)}")
            _check_same(engine.timeline.latest(*version), plan)

        def change(offset: int) -> None:
            engine.timeline.rerate(rerate, {engine.partition: offset})
            self._record(rerate, body, offset)
            engine.books.rerate(rerate, offset)

        return change

    def _record(self, rerate: Rerate, body: bytes, offset: int) -> None:
        engine = self._engine
        engine.out.rerates.append((
            engine.partition, offset, rerate.number, max(engine.clock_us, 0), rerate.catalog,
            ", ".join(map(_named, rerate.plans)), rerate.from_us, rerate.from_month, rerate.who, rerate.why,
            body,
        ))  # fmt: skip
        found = {(row[0], row[2], *row[3:5]): row for row in self._months(rerate, offset)}
        engine.out.rerated_months.extend(found[key] for key in sorted(found))

    def _months(self, rerate: Rerate, offset: int) -> Iterator[tuple[str | int, ...]]:
        """A row for each account and month that has a corrected plan, up to the log's time."""
        engine, partition = self._engine, self._engine.partition
        for account in self._accounts(rerate):
            for version in rerate.plans:
                for month in self._held(account, rerate, version):
                    bill_month = account.bill_month(month)
                    yield account.id, bill_month, month, *version, rerate.number, offset, partition
        for name, month, *which, _ in engine.books.counters:  # also those whose plan has no days any more
            if tuple(which) in rerate.plans and month >= engine.timeline.rerated_from(name, rerate):
                bill_month = engine.accounts[name].bill_month(month)
                yield name, bill_month, month, *which, rerate.number, offset, partition

    def _accounts(self, rerate: Rerate) -> Iterator[AccountState]:
        """Accounts at home here that some catalog gives one of the plans, by name."""
        engine = self._engine
        named = {
            name
            for catalog in engine.timeline.catalogs
            for name, entry in catalog.accounts.items()
            if any((s.plan, catalog.plans[s.plan].version) in rerate.plans for s in entry.subscriptions)
        }
        for name in sorted(named):
            account = engine.account(name)
            if account.at_home:
                yield account

    def _held(self, account: AccountState, rerate: Rerate, version: Version) -> Iterator[int]:
        """Months up to the log's time, or a later close, in which the account has the plan version."""
        engine = self._engine
        month = max(engine.months.first_month(account), engine.timeline.rerated_from(account.id, rerate))
        now = engine.timeline.month(account.id, max(engine.clock_us, 0))
        while 0 < month <= max(now, account.closed_month):
            if engine.timeline.holds(account.id, month, *version):
                yield month
            month = next_month(month)


def _named(version: Version) -> str:
    return f"{version[0]} v{version[1]}"


def _check_same(published: Plan, corrected: Plan) -> None:
    """Charges and what decides their units are as they were; only what they charge may differ."""
    before, after = (tuple(map(_deciding, plan.charges)) for plan in (published, corrected))
    if before != after:
        plan = _named((corrected.name, corrected.version))
        raise InputError(f"rerate record: plan {plan} decides units otherwise, not only their price")


def _deciding(charge: Charge) -> tuple[object, ...]:
    """What of a charge decides which units it bills, how much of them, and at which of its prices."""
    prices = tuple((value, price.model == "cost_plus") for value, price in charge.prices.items())
    return charge.name, charge.meter, charge.of, charge.by, charge.rules, prices
