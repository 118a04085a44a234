"""`unitrate estimate`: what a prospect without history would pay in a month, and what it would cost us.

Owns the way from assumptions to an invoice: the same counters and the same invoice as for real customers, for
a full month in which the plan is not new. Pure: no store, no clock. Must never price anything by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from unitrate.billing.invoice import InvoiceLine, UsagePart, draft, minor
from unitrate.catalog.assumptions import Assumptions, request_cost_pico
from unitrate.catalog.compiled import Account, Catalog, Charge, Meter, Plan, Subscription
from unitrate.errors import InputError
from unitrate.pricing import PICO, half_up, to_pico
from unitrate.rating import Counter, Share, price_value
from unitrate.timeline import Timeline, civil_month, month_days, next_month
from unitrate.units import positive

if TYPE_CHECKING:
    from unitrate.catalog.assumptions import WorkModel

PROSPECT = "prospect"


@dataclass(frozen=True, slots=True)
class Estimate:
    """One kind of customer's month."""

    name: str
    units: Decimal
    unbilled: Decimal
    lines: tuple[InvoiceLine, ...]
    price_minor: int  # the month's invoice
    cost_pico: int
    notes: tuple[str, ...]  # what the plan does not bill

    def margin_pico(self, minor_digits: int) -> int:
        """Price less cost."""
        return self.price_minor * int(10 ** (12 - minor_digits)) - self.cost_pico


@dataclass(frozen=True, slots=True)
class Quote:
    """A plan's estimates, and what it asks for once."""

    catalog: Catalog
    plan: Plan
    once_minor: int
    estimates: tuple[Estimate, ...]


def estimate(catalog: Catalog, plan_name: str, assumptions: Assumptions) -> Quote:
    """Each assumed customer's month under a plan. Raises InputError for a plan that there is not."""
    plan = catalog.plans.get(plan_name)
    if plan is None:
        named = ", ".join(catalog.plans) or "none"
        raise InputError(f'catalog {catalog.id} has no plan "{plan_name}"; it has {named}')
    once = sum(minor(to_pico(fee.amount), catalog.minor_digits) for fee in plan.fees if not fee.monthly)
    found = tuple(_month(catalog, plan, name, works) for name, works in assumptions.customers.items())
    return Quote(catalog, plan, once, found)


def _month(catalog: Catalog, plan: Plan, name: str, works: Iterable[WorkModel]) -> Estimate:
    zone = catalog.zone
    began = civil_month(zone.local_day(catalog.effective_us))
    period = next_month(began)  # the month after its first: nothing is due once
    days = len(month_days(period))
    counters = {
        c.name: Counter((PROSPECT, period, plan.name, plan.version, c.name), c, days, days)
        for c in plan.charges
    }
    cost = 0
    notes: dict[str, None] = {}
    for work in works:
        each = _unit_cost_pico(work, catalog)
        cost += _times(each, work.units + work.unbilled)
        meter = catalog.meter_by_name[work.meter]
        charges = [charge for charge in plan.charges if charge.meter == meter.name]
        if not charges:
            notes[f"no charge of the plan is on {meter.name}: its units bill nothing"] = None
        for charge in charges:
            note = _count(work, meter, charge, counters[charge.name], each)
            if note:
                notes[note] = None
    subscribed = Account(
        PROSPECT,
        "",
        zone,
        (Subscription(plan.name, zone.local_day(catalog.effective_us), None),),
        {},
        frozenset(),
    )
    timeline = Timeline()
    timeline.add(replace(catalog, accounts={PROSPECT: subscribed}))
    usage = [
        part for charge in plan.charges for part in _parts(plan, charge, counters[charge.name], catalog.id)
    ]
    invoice = draft(timeline, PROSPECT, period, usage)
    return Estimate(
        name,
        sum((work.units for work in works), Decimal(0)),
        sum((work.unbilled for work in works), Decimal(0)),
        invoice.lines,
        invoice.subtotal_minor,
        cost,
        tuple(notes),
    )


def _unit_cost_pico(work: WorkModel, catalog: Catalog) -> int:
    request = to_pico(work.cost) if work.cost is not None else request_cost_pico(work, catalog)
    if request is None:  # the assumptions were checked against the catalog
        raise InputError(f"{work.meter}: nobody has priced {work.model}")
    return _times(request, work.requests)


def _times(amount_pico: int, factor: Decimal) -> int:
    return half_up(amount_pico * to_pico(factor), PICO)


def _count(work: WorkModel, meter: Meter, charge: Charge, counter: Counter, unit_cost_pico: int) -> str:
    """Put the work on a charge's counter; a note where the charge cannot bill it."""
    value = price_value(charge, tuple(_by(work, meter, name) for name in charge.by))
    if value is None:
        return f"{charge.name}: no price for {'/'.join(_by(work, meter, name) for name in charge.by)}: held"
    per_unit = Decimal(1)
    if charge.of is not None:
        read = positive(str(work.attributes.get(charge.of, "")))
        if read is None:
            return f"{charge.name}: counts {charge.of}, which the assumptions do not tell: bills nothing"
        per_unit = read
    elif meter.long_requests is not None:
        per_unit = max(Decimal(1), (work.requests / meter.long_requests).to_integral_value(ROUND_CEILING))
    plus = charge.prices[value].model == "cost_plus"
    units_pico = to_pico(work.units)
    quantity_pico = half_up(to_pico(per_unit) * units_pico, PICO)
    cost_pico = _times(unit_cost_pico, work.units) if plus else 0
    if units_pico:
        counter.change(None, Share(value, quantity_pico, cost_pico, units_pico))
    return ""


def _by(work: WorkModel, meter: Meter, name: str) -> str:
    if name == "size":
        return work.size or _size(work, meter) or "default"
    own = {"workspace": work.workspace, "workflow": work.workflow}
    return str(own.get(name) or work.attributes.get(name) or "default")


def _size(work: WorkModel, meter: Meter) -> str:
    if meter.sizes is None:
        return ""
    value = positive(str(work.attributes.get(meter.sizes.by, "")))
    if value is None:
        return ""
    return next((name for name, up_to in meter.sizes.tiers if up_to is None or value <= up_to), "")


def _parts(plan: Plan, charge: Charge, counter: Counter, catalog: str) -> list[UsagePart]:
    """The counter as an invoice takes it: its amount is that of all prices together (one maximum)."""
    parts = []
    amount = counter.rated
    for value, (total, _, _) in counter.prices.items():
        parts.append(
            UsagePart(
                plan.name, plan.version, charge.name, charge.meter, "/".join(value), total, amount, catalog
            )
        )
        amount = 0
    return parts
