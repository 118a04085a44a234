"""Which catalog, zone, plan and month hold when, asked of the list of published catalogs by looking.

Owns D5, D22, D29 and D39 for the reference rater. Uses zoneinfo, which the engine does not. Months are
ints yyyymm.
"""

from __future__ import annotations

import calendar
import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from zoneinfo import ZoneInfo

from tests.reference.catalog_view import EPOCH, CatalogView, Plan, moment
from tests.reference.own_costs import twelve


@dataclass(frozen=True)
class Correction:
    """Plans that were published wrong (D66), for months from the one of an instant on, or from a month."""

    plans: Mapping[tuple[str, int], Plan]
    from_us: int | None
    from_month: int


class Calendar:
    """The catalogs published so far, by `effective`, and corrections of their plans."""

    def __init__(self) -> None:
        self.catalogs: list[CatalogView] = []
        self.corrections: list[Correction] = []
        self._plans: dict[tuple[str, dt.date], Plan | None] = {}  # asked before, of these catalogs

    def publish(self, catalog: CatalogView) -> None:
        """Add a catalog."""
        self.catalogs = sorted([*self.catalogs, catalog], key=lambda c: c.effective)
        self._plans = {}

    def correct(self, correction: Correction) -> None:
        """Correct plans, from here on."""
        self.corrections.append(correction)
        self._plans = {}

    def corrects(self, correction: Correction, account: str, month: int) -> bool:
        """Whether a correction is for an account's month."""
        if correction.from_us is None:
            return month >= correction.from_month
        return month >= self.month(account, correction.from_us)

    def latest(self, plan_id: tuple[str, int]) -> Plan | None:
        """A plan as last corrected, for whatever months; else as first published; None: there is none."""
        for correction in reversed(self.corrections):
            if plan_id in correction.plans:
                return correction.plans[plan_id]
        return self._published(plan_id)

    def _published(self, plan_id: tuple[str, int]) -> Plan | None:
        return next((p for c in self.catalogs for p in c.plans.values() if p.id == plan_id), None)

    def plan(self, plan_id: tuple[str, int], account: str, month: int) -> Plan:
        """A plan as it is for an account's month (D67)."""
        found = self._published(plan_id)
        for correction in self.corrections:
            if plan_id in correction.plans and self.corrects(correction, account, month):
                found = correction.plans[plan_id]
        assert found is not None
        return found

    def at(self, instant_us: int) -> CatalogView:
        """The catalog in force at an instant; the first also covers earlier times."""
        return [c for c in self.catalogs if c.effective <= instant_us or c is self.catalogs[0]][-1]

    def zone(self, account: str) -> ZoneInfo:
        """Zone of an account (D39)."""
        for catalog in self.catalogs:
            if account in catalog.accounts:
                return catalog.accounts[account].zone
        return self.catalogs[0].zone

    def day(self, account: str, instant_us: int) -> dt.date:
        """Local day of an instant."""
        return moment(instant_us, self.zone(account)).date()

    def month(self, account: str, instant_us: int) -> int:
        """Local month of an instant."""
        day = self.day(account, instant_us)
        return day.year * 100 + day.month

    def midnight(self, account: str, day: dt.date) -> int:
        """Instant at which a local day of the account begins."""
        return self.midnight_in(self.zone(account), day)

    @staticmethod
    def midnight_in(zone: ZoneInfo, day: dt.date) -> int:
        """Instant at which a day begins in a zone."""
        naive = dt.datetime.combine(day, dt.time())
        guess = (naive.replace(tzinfo=zone).astimezone(dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)
        while moment(guess, zone).date() < day:  # midnight was skipped: go to the hour that exists
            guess += 900_000_000
        while moment(guess - 900_000_000, zone).date() >= day:
            guess -= 900_000_000
        return guess

    def on(self, account: str, day: dt.date) -> CatalogView:
        """The catalog in force at the last instant of a local day."""
        return self.at(self.midnight(account, day + dt.timedelta(days=1)) - 1)

    def later(self, catalog: CatalogView) -> list[CatalogView]:
        """A catalog and those after it."""
        return self.catalogs[self.catalogs.index(catalog) :]

    def plan_on(self, account: str, day: dt.date) -> Plan | None:
        """Plan of a local day: as the catalog in force says; if it has none, the first later one that has."""
        if (account, day) not in self._plans:
            later = self.later(self.on(account, day))
            given = (subscribed(catalog, account, day) for catalog in later)
            plan = next((plan for plan in given if plan is not None), None)
            if plan is not None:
                plan = self.plan(plan.id, account, day.year * 100 + day.month)
            self._plans[account, day] = plan
        return self._plans[account, day]

    def days(self, month: int) -> list[dt.date]:
        """Days of a month."""
        year, number = divmod(month, 100)
        return [dt.date(year, number, d + 1) for d in range(calendar.monthrange(year, number)[1])]

    def share(self, account: str, month: int, plan: Plan) -> Fraction:
        """Part of the month's days on which the account has the plan."""
        days = self.days(month)
        held = [d for d in days if (p := self.plan_on(account, d)) is not None and p.id == plan.id]
        return Fraction(len(held), len(days))


def subscribed(catalog: CatalogView, account: str, day: dt.date) -> Plan | None:
    """Plan that a catalog gives an account on a day; `to` is inclusive (ruling 27)."""
    if account in catalog.accounts:
        for name, first, last in catalog.accounts[account].periods:
            if first <= day and (last is None or day <= last):
                return catalog.plans[name]
    return None


def prorated_included(included: Fraction, share: Fraction) -> Fraction:
    """Included usage of a part month, rounded up to a whole unit."""
    return included if share == 1 else Fraction(math.ceil(included * share))


def prorated_money(amount: Fraction, share: Fraction) -> Fraction:
    """Money of a part month, half up to 12 decimals."""
    return twelve(amount * share)
