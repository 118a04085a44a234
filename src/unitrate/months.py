"""Control records of operators: closes, top-ups, corrections and re-rates, folded like any other record.

Owns what they change in the fold (closed months, waived units) and the rows that tell of them. What is owed
is worked out elsewhere, from the rows. Each `_x(body)` checks a body and returns the change that a record
makes, so that a body that cannot be used changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from unitrate.accounts import AccountState
from unitrate.errors import InputError
from unitrate.rating import Share
from unitrate.rerating import Rerates
from unitrate.rows import UNITS
from unitrate.snapshot import PLAIN, is_live
from unitrate.state import derived_id
from unitrate.timeline import first_day, next_month
from unitrate.units import FINAL, NEVER, Booking, EndEvent, Pin, Unit, Verdict

if TYPE_CHECKING:
    from unitrate.engine import Engine

Change = Callable[[int], None]
_UNIT_ID, _VERSION = (next(i for i, c in enumerate(UNITS) if c.name == n) for n in ("unit_id", "version"))


class Close(msgspec.Struct, forbid_unknown_fields=True):
    """Close `period` (yyyymm) where it is past, by `grace_us` at least; `now`: everywhere."""

    period: int
    grace_us: int = 0
    now: bool = False


class TopUp(msgspec.Struct, forbid_unknown_fields=True):
    """A top-up that an account bought: price and granted credit in 10⁻¹²; it expires `expires_us` later."""

    account: str
    name: str
    amount_pico: int
    credit_pico: int
    expires_us: int | None = None


class FinalUnit(msgspec.Struct, forbid_unknown_fields=True):
    """A unit that the fold has let go, as the store tells it; `revision` guards against a later change."""

    meter: str
    catalog: str
    key: str
    ordinal: int
    opened_offset: int
    opened_month: int
    revision: int
    row: dict[str, Any]  # columns of the units table that are plain facts
    attributes: dict[str, str]
    booked: list[Any]  # units.Booking
    pin: list[Any] | None  # units.Pin
    shares: dict[str, list[Any]]  # charge -> rating.Share that bills now, or would again
    runs: list[str] = []  # runs that joined it other than by its key
    end: list[Any] | None = None  # units.EndEvent
    verdicts: list[list[Any]] = []  # units.Verdict


class Correction(msgspec.Struct, forbid_unknown_fields=True):
    """An operator's decision about one unit, with who and why."""

    account: str
    unit_id: str
    action: str  # waive | restore
    who: str
    why: str
    final: FinalUnit | None = None


class Months:
    """Month-end control records of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.acts: dict[str, Callable[[bytes], Change]] = {
            "close": self._close,
            "top_up": self._top_up,
            "correction": self._correction,
            "rerate": Rerates(engine).act,
        }

    # ------------------------------------------------------------ close

    def _close(self, body: bytes) -> Change:
        order = msgspec.json.decode(body, type=Close)
        if not 1 <= order.period % 100 <= 12 or not 1970 <= order.period // 100 < 2100:
            raise InputError(f"close record: {order.period} is no month yyyymm")

        def change(offset: int) -> None:
            engine = self._engine
            named = {a for c in engine.timeline.catalogs for a in c.accounts}
            begun = {a.id for a in engine.accounts.values() if a.version >= 0}
            for name in sorted(named | begun):
                account = engine.account(name)
                if account.at_home:
                    self._close_account(account, order, offset)

        return change

    def _close_account(self, account: AccountState, order: Close, offset: int) -> None:
        engine = self._engine
        zone = engine.timeline.zone(account.id)
        end_us = zone.day_start_us(first_day(next_month(order.period)))
        if account.closed_month >= order.period:
            return
        if not order.now and engine.clock_us < end_us + order.grace_us:
            return
        month = next_month(account.closed_month) if account.closed_month else self.first_month(account)
        if month == 0 or month > order.period:
            return  # it had not begun
        while month <= order.period:
            engine.out.closings.append(
                (engine.control_seq, account.id, month, offset, engine.partition, max(engine.clock_us, 0))
            )
            month = next_month(month)
        account.closed_month = order.period
        engine.books.touch_account(account, offset)

    def first_month(self, account: AccountState) -> int:
        """Month of the account's first accepted event or first day with a plan; 0 if it has neither."""
        timeline = self._engine.timeline
        months = [account.first_month] if account.first_month else []
        began = timeline.catalogs[0].effective_us
        for catalog in timeline.catalogs:
            entry = catalog.accounts.get(account.id)
            for s in entry.subscriptions if entry is not None else ():
                start = timeline.zone(account.id).day_start_us(s.from_day)
                months.append(timeline.month(account.id, max(start, began)))
        return min(months, default=0)

    # ------------------------------------------------------------ top-ups

    def _top_up(self, body: bytes) -> Change:
        order = msgspec.json.decode(body, type=TopUp)
        if order.amount_pico < 0 or order.credit_pico <= 0:
            raise InputError("top_up record: the amount is at least 0, the credit more than 0")
        if not self._engine.account(order.account).at_home:
            return _elsewhere

        def change(offset: int) -> None:
            engine = self._engine
            account = engine.account(order.account)
            now = max(engine.clock_us, 0)
            bill_month = account.bill_month(engine.timeline.month(account.id, now))
            engine.out.grants.append((
                account.id, derived_id("top_up", account.id, engine.partition, offset), offset,
                engine.partition,
                bill_month, order.name, order.amount_pico, order.credit_pico, now,
                None if order.expires_us is None else now + order.expires_us,
            ))  # fmt: skip
            if not account.first_month:
                account.first_month = bill_month
            engine.books.touch_account(account, offset)

        return change

    # ------------------------------------------------------------ corrections

    def _correction(self, body: bytes) -> Change:
        order = msgspec.json.decode(body, type=Correction)
        if order.action not in ("waive", "restore"):
            raise InputError(f"correction record: {order.action!r} is neither waive nor restore")
        if not order.who or not order.why:
            raise InputError("correction record: say who decides and why")
        engine = self._engine
        if not engine.account(order.account).at_home:
            return _elsewhere
        unit = engine.life.live.get(order.unit_id)
        if unit is None and order.final is None:
            raise InputError(f"correction record: no live unit {order.unit_id}, and no facts of a final one")
        if unit is not None and unit.account != order.account:
            raise InputError(f"correction record: unit {order.unit_id} is not of account {order.account}")
        if unit is None and order.final is not None:
            self._restored(
                order, order.final
            )  # raises where the facts cannot be used, before anything changes

        def change(offset: int) -> None:
            self._record(order, offset)
            if unit is not None:
                self._correct_live(unit, order.action, offset)
            else:
                assert order.final is not None
                self._correct_final(order, order.final, offset)

        return change

    def _correct_live(self, unit: Unit, action: str, offset: int) -> None:
        """Correct a unit that was live before the record, whose instant may have made it final."""
        life = self._engine.life
        unit.waived = action == "waive"
        if unit.unit_id not in life.live:
            rows = self._engine.out.units
            rows[:] = [row for row in rows if not (row[_UNIT_ID] == unit.unit_id and row[_VERSION] == offset)]
            self._engine.books.book(unit, offset)
            if not is_live(unit):
                life.append_final(unit)
                return
            life.gone.remove(unit)  # held again
            life.live[unit.unit_id] = unit
            unit.queued = NEVER
            self._index(unit)
        life.touch(unit, offset)
        if unit.booked is not None:
            self._engine.books.book(unit, offset)
        if unit.state == FINAL and not is_live(unit):
            life.let_go(unit)

    def _record(self, order: Correction, offset: int) -> None:
        engine = self._engine
        engine.out.corrections.append((
            order.account, order.unit_id, offset, engine.partition, max(engine.clock_us, 0), order.action,
            order.who, order.why,
        ))  # fmt: skip
        engine.books.touch_account(engine.account(order.account), offset)

    def _correct_final(self, order: Correction, final: FinalUnit, offset: int) -> None:
        """Bring back a unit that was let go, change what it bills, and let it go again."""
        engine, unit = self._engine, self._restored(order, final)
        shares = {charge: Share(tuple(s[0]), *s[1:]) for charge, s in final.shares.items()}
        billable = sum(s.units_pico for s in list(shares.values())[:1])
        if unit.waived:
            unit.shares = dict(shares)
            shares, billable = {}, 0
        elif not shares:  # it was waived before it could bill: what it bills is decided now
            engine.books.book(unit, offset)
            if is_live(unit):  # held: a later catalog decides
                engine.life.live[unit.unit_id] = unit
                self._index(unit)
                engine.life.touch(unit, offset)
            else:
                engine.life.append_final(unit)
            return
        engine.books.rebook(unit, shares, billable, offset)
        engine.life.append_final(unit)

    def _index(self, unit: Unit) -> None:
        """A unit that waits again is found by its key and its runs, as after a recovery."""
        account = self._engine.account(unit.account)
        state = account.meter(unit.meter.name)
        unit.runs = {run: None for run in unit.runs if run not in state.runs}  # the others moved on
        self._engine.life.index_runs(unit, account)
        latest = state.keys.get(unit.key)
        if latest is None or latest.opened_offset < unit.opened_offset:
            self._engine.life.index_key(unit, account)
        else:
            unit.moved_on = True

    def _restored(self, order: Correction, final: FinalUnit) -> Unit:
        catalog = self._engine.timeline.named(final.catalog)
        unknown = set(final.row) - set(PLAIN)
        if unknown:
            raise InputError(f"correction record: a unit has no {min(unknown)!r}")
        unit = Unit(
            order.unit_id,
            order.account,
            catalog.meter_by_name[final.meter],
            catalog.id,
            final.key,
            final.ordinal,
        )
        for name, value in final.row.items():
            setattr(unit, name, value)
        unit.state = FINAL
        unit.opened_offset, unit.opened_month, unit.revision = (
            final.opened_offset,
            final.opened_month,
            final.revision,
        )
        unit.booked = Booking(*final.booked)
        unit.pin = Pin(*final.pin) if final.pin is not None else None
        if unit.pin is not None:
            pin = unit.pin
            self._engine.timeline.plan(pin.plan, pin.plan_version, unit.account, pin.month)
        unit.conditions = tuple(unit.conditions)
        unit.attributes = {name: (text,) for name, text in final.attributes.items()}
        unit.runs = dict.fromkeys(final.runs)
        unit.end = EndEvent(*final.end) if final.end is not None else None
        unit.verdicts = [Verdict(*verdict) for verdict in final.verdicts]
        unit.waived = order.action == "waive"
        return unit


def _elsewhere(_: int) -> None:
    """What a record changes in the partitions that its account is not at home in: nothing."""
