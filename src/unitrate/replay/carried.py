"""A catalog of tomorrow for a month of yesterday.

Owns what a simulation holds fixed: who was a customer on which day. Which plan a customer has on that day is
the new catalog's; where it takes effect after the day, it is the plan that it gives when it takes effect.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from unitrate.catalog.compiled import Subscription
from unitrate.timeline import Timeline, month_days, subscribed

if TYPE_CHECKING:
    from unitrate.catalog.compiled import Account, Catalog, Plan


def carried_back(catalog: Catalog, now: Timeline, period: int) -> Catalog:
    """The catalog with its plans on the days of the month on which accounts have a plan now."""
    accounts = {name: _account(catalog, entry, now, period) for name, entry in catalog.accounts.items()}
    return replace(catalog, accounts=accounts)


def _account(catalog: Catalog, entry: Account, now: Timeline, period: int) -> Account:
    days = month_days(period)
    begins = entry.zone.local_day(catalog.effective_us)
    at_effect = next(
        (s for s in entry.subscriptions if s.to_day is None or s.to_day >= begins), None
    )  # they are in order of their days
    if begins <= days[0] or at_effect is None:
        return entry
    plans: list[tuple[int, str]] = []
    for day in days:
        written = subscribed(catalog, entry.id, day)
        is_customer = day < begins and now.plan_on(entry.id, day)[1] is not None
        name = at_effect.plan if is_customer else None if written is None else written.name
        if name is not None:
            plans.append((day, name))
    inside = [
        Subscription(name, group[0][0], group[-1][0])
        for (name, _), found in groupby(plans, key=lambda one: (one[1], one[0] - plans.index(one)))
        if (group := list(found))
    ]
    before = [_until(s, days[0] - 1) for s in entry.subscriptions if s.from_day < days[0]]
    after = [replace(s, from_day=max(s.from_day, days[-1] + 1)) for s in _reaching(entry, days[-1] + 1)]
    return replace(entry, subscriptions=(*before, *inside, *after))


def _until(subscription: Subscription, day: int) -> Subscription:
    to_day = day if subscription.to_day is None else min(subscription.to_day, day)
    return replace(subscription, to_day=to_day)


def _reaching(entry: Account, day: int) -> list[Subscription]:
    return [s for s in entry.subscriptions if s.to_day is None or s.to_day >= day]


def without_single_fees(catalog: Catalog) -> Catalog:
    """The catalog without fees that are due once: they are no part of what a month costs."""
    return replace(catalog, plans={name: _monthly(plan) for name, plan in catalog.plans.items()})


def as_of_months(now: Timeline) -> Timeline:
    """Catalogs and re-rates without fees that are due once."""
    found = Timeline()
    for catalog in now.catalogs:
        found.add(without_single_fees(catalog))
    for rerate, offsets in now.rerates:
        plans = {version: _monthly(plan) for version, plan in rerate.plans.items()}
        found.rerate(replace(rerate, plans=plans), offsets)
    return found


def _monthly(plan: Plan) -> Plan:
    return replace(plan, fees=tuple(fee for fee in plan.fees if fee.monthly))
