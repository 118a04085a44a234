"""Published catalogs in time: which catalog, zone, month, plan and segment hold at an instant.

Owns the order of publications. Pure: all time-zone offsets come with the publications.
Months are ints yyyymm; days are days since 1970-01-01.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from unitrate.catalog.compiled import Account, Catalog, Plan, Rerate, Zone

_MOST_REMEMBERED = 100_000


def civil_month(day: int) -> int:
    """Month yyyymm of a day. Algorithm: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"."""
    z = day + 719_468
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return (yoe + era * 400 + (1 if month <= 2 else 0)) * 100 + month


@lru_cache(maxsize=4096)
def first_day(month: int) -> int:
    """First day of a month yyyymm."""
    year, m = divmod(month, 100)
    year -= m <= 2
    era = year // 400
    yoe = year - era * 400
    doy = (153 * (m - 3 if m > 2 else m + 9) + 2) // 5
    return era * 146_097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719_468


def next_month(month: int) -> int:
    """The month after."""
    return month + 1 if month % 100 < 12 else month + 89


def month_days(month: int) -> range:
    """Days of a month."""
    return range(first_day(month), first_day(next_month(month)))


class Logged(NamedTuple):
    """A re-rate, and the offset of its record by partition (an engine knows its own)."""

    rerate: Rerate
    offsets: Mapping[int, int]


class Timeline:
    """The catalogs that stand in the log so far, and the re-rates of their prices.

    A publication only ever adds a later `effective`, so answers about days that end before it never change,
    but for the prices that a re-rate corrects.
    """

    def __init__(self) -> None:
        self.catalogs: list[Catalog] = []  # by effective_us
        self._effective: list[int] = []
        self._named: dict[str, Catalog] = {}
        self._versions: dict[tuple[str, int], Plan] = {}  # as first published (ruling 32, D66)
        self.rerates: list[Logged] = []  # in log order
        self._repriced: dict[tuple[str, int], list[Logged]] = {}  # by plan version
        self._months: dict[str, dict[int, int]] = {}  # zone name -> local day -> month
        self._starts: dict[str, dict[int, int]] = {}  # zone name -> local day -> instant at which it begins
        self._plans: dict[tuple[str, int], tuple[Catalog, Plan | None]] = {}
        self._zones: dict[str, Zone] = {}

    def add(self, catalog: Catalog) -> None:
        """Add a published catalog; answers for its days change from here on."""
        insort(self._effective, catalog.effective_us)
        self.catalogs.insert(self._effective.index(catalog.effective_us), catalog)
        self._named[catalog.id] = catalog
        for plan in catalog.plans.values():
            self._versions.setdefault((plan.name, plan.version), plan)
        self._plans.clear()
        self._zones.clear()

    def rerate(self, rerate: Rerate, offsets: Mapping[int, int]) -> None:
        """Correct plans from here on; `offsets` are those of the record by partition."""
        logged = Logged(rerate, offsets)
        self.rerates.append(logged)
        for version in rerate.plans:
            self._repriced.setdefault(version, []).append(logged)
        self._plans.clear()

    def rerated_from(self, account: str, rerate: Rerate) -> int:
        """First month of the account that a re-rate is for."""
        if rerate.from_us is None:
            return rerate.from_month
        return self.month(account, rerate.from_us)

    def catalog_at(self, instant_us: int) -> Catalog:
        """The last catalog effective at the instant; before the first, the first."""
        return self.catalogs[max(bisect_right(self._effective, instant_us) - 1, 0)]

    def named(self, id_: str) -> Catalog:
        """A published catalog by its id."""
        return self._named[id_]

    def later(self, catalog: Catalog) -> list[Catalog]:
        """A catalog and those after it."""
        return self.catalogs[self.catalogs.index(catalog) :]

    def plan(
        self, name: str, version: int, account: str, month: int, before: tuple[int, int] | None = None
    ) -> Plan:
        """A plan version as it is for an account's month: as published, or as the last re-rate has it.

        `before`, a partition and an offset: as it was before that record.
        """
        plan = self._versions[name, version]
        if not self._repriced:
            return plan
        for logged in self.rerates_of(name, version, account, month):
            if before is not None and logged.offsets.get(before[0], before[1]) >= before[1]:
                break
            plan = logged.rerate.plans[name, version]
        return plan

    def rerates_of(self, name: str, version: int, account: str, month: int) -> list[Logged]:
        """What corrected a plan version for an account's month."""
        return [
            logged
            for logged in self._repriced.get((name, version), ())
            if month >= self.rerated_from(account, logged.rerate)
        ]

    def known(self, name: str, version: int) -> bool:
        """Whether a catalog has the plan version."""
        return (name, version) in self._versions

    def latest(self, name: str, version: int) -> Plan:
        """A plan version as the last re-rate has it, whatever months that is for; else as published."""
        logged = self._repriced.get((name, version))
        return logged[-1].rerate.plans[name, version] if logged else self._versions[name, version]

    def interval(self, instant_us: int) -> tuple[Catalog, int, int]:
        """The catalog in force and the half-open span of instants for which that holds."""
        i = max(bisect_right(self._effective, instant_us) - 1, 0)
        start = self._effective[i] if i else -(2**62)
        end = self._effective[i + 1] if i + 1 < len(self._effective) else 2**62
        return self.catalogs[i], start, end

    def zone(self, account: str) -> Zone:
        """Zone of an account: of the earliest catalog that names it, else the first catalog's."""
        zone = self._zones.get(account)
        if zone is None:
            named = (c.accounts[account].zone for c in self.catalogs if account in c.accounts)
            zone = self._zones[account] = next(named, self.catalogs[0].zone)
        return zone

    def month(self, account: str, instant_us: int) -> int:
        """Billing month of an instant in the account's zone."""
        zone = self.zone(account)
        return self.month_of(zone, zone.local_day(instant_us))

    def month_of(self, zone: Zone, day: int) -> int:
        """Month of a local day, remembered by zone."""
        months = self._months.setdefault(zone.name, {})
        month = months.get(day)
        if month is None:
            month = months[day] = civil_month(day)
        return month

    def _day_start(self, zone: Zone, day: int) -> int:
        """Instant at which a local day begins, remembered by zone."""
        starts = self._starts.setdefault(zone.name, {})
        start = starts.get(day)
        if start is None:
            start = starts[day] = zone.day_start_us(day)
        return start

    def plan_on(self, account: str, day: int) -> tuple[Catalog, Plan | None]:
        """Catalog and plan of a local day: those in force at its last instant in the account's zone.

        Where that catalog gives the account no plan, those of the first later one that does (D44).
        """
        found = self._plans.get((account, day))
        if found is None:
            if len(self._plans) >= _MOST_REMEMBERED:
                self._plans.clear()
            last_us = self._day_start(self.zone(account), day + 1) - 1
            at = max(bisect_right(self._effective, last_us) - 1, 0)
            given = ((c, self.subscribed(c, account, day)) for c in self.catalogs[at:])
            found = next((g for g in given if g[1] is not None), (self.catalogs[at], None))
            self._plans[account, day] = found
        return found

    def plan_at(self, account: str, instant_us: int) -> tuple[Catalog, Plan | None]:
        """Catalog and plan of the local day that an instant falls on."""
        return self.plan_on(account, self.zone(account).local_day(instant_us))

    def subscribed(self, catalog: Catalog, account: str, day: int) -> Plan | None:
        """Plan that a catalog gives the account on a local day, as it is for that day's month; or None."""
        plan = subscribed(catalog, account, day)
        if plan is None or not self._repriced:
            return plan
        return self.plan(plan.name, plan.version, account, civil_month(day))

    def segment_days(self, account: str, month: int, plan: str, version: int) -> int:
        """Days of the month on which the account has this plan version."""
        days = (self.plan_on(account, day)[1] for day in month_days(month))
        return sum(1 for p in days if p is not None and p.name == plan and p.version == version)

    def holds(self, account: str, month: int, plan: str, version: int) -> bool:
        """Whether the account has this plan version on some day of the month."""
        plans = (self.plan_on(account, day)[1] for day in month_days(month))
        return any(p is not None and p.name == plan and p.version == version for p in plans)

    def account(self, account: str, catalog: Catalog) -> Account | None:
        """The account as a catalog has it, or None."""
        return catalog.accounts.get(account)


def subscribed(catalog: Catalog, account: str, day: int) -> Plan | None:
    """Plan that a catalog gives the account on a local day, with the prices written there; or None."""
    entry = catalog.accounts.get(account)
    if entry is None:
        return None
    for s in entry.subscriptions:
        if s.from_day <= day and (s.to_day is None or day <= s.to_day):
            return catalog.plans[s.plan]
    return None
