"""What the engine keeps of an account.

Owns the account's own clock (its highest event time, from which the dedupe horizon counts) and the maps
from keys and runs to its live units.
"""

from __future__ import annotations

from typing import Any

from unitrate.catalog.compiled import DAY_US
from unitrate.hot import HotAccount, Keys
from unitrate.identities import prefix
from unitrate.timeline import next_month
from unitrate.units import Unit


class Stream:
    """Events of one account from one source."""

    __slots__ = ("account", "code", "code_generation", "head", "source")

    def __init__(self, account: AccountState, source: str) -> None:
        self.account = account
        self.source = source
        self.head = prefix(account.id, source)  # of an identity's digest
        self.code = self.code_generation = -1  # in the event buffer


class MeterState:
    """Live units of one account and meter."""

    __slots__ = ("head", "keys", "run_head", "runs")

    def __init__(self, account: str, meter: str) -> None:
        self.keys: Keys[Unit] = Keys()  # key -> its latest unit
        self.runs: Keys[Unit] = Keys()  # run -> the unit that it joined last, other than by its key
        self.head = prefix("key", account, meter)  # of a final unit's stub
        self.run_head = prefix("run", account, meter)


class AccountState(HotAccount):
    """One account."""

    __slots__ = ("closed_month", "expiries", "first_month", "id", "meters", "streams")

    def __init__(self, account: str, at_home: bool = True) -> None:
        self.id = account
        self.at_home = at_home  # this partition is the account's
        self.highest = -1  # highest accepted event time
        self.oldest = -(2**62)  # events before are too old
        self.oldest_day = -(2**31)  # identities of earlier days are forgotten
        self.closed_month = 0  # last closed month
        self.first_month = 0  # earliest month that anything of it was booked in
        self.meters: dict[str, MeterState] = {}
        self.streams: dict[str, Stream] = {}
        self.expiries: list[tuple[int, Any]] = []  # heap of (until, key) of originals
        self.version = -1
        self.dirty = False

    def reach(self, time_us: int, horizon_us: int) -> None:
        """An accepted event moves the account's highest time and with it the horizon (ruling 16, D3)."""
        self.highest = time_us
        self.oldest = time_us - horizon_us
        self.oldest_day = self.oldest // DAY_US

    def bill_month(self, month: int) -> int:
        """The month that carries what belongs to `month`: itself, or the first open one."""
        return month if month > self.closed_month else next_month(self.closed_month)

    def meter(self, name: str) -> MeterState:
        """Live units under a meter."""
        state = self.meters.get(name)
        if state is None:
            state = self.meters[name] = MeterState(self.id, name)
        return state
