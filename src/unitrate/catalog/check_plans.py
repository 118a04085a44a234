"""Plans that cannot be billed as written.

Owns the checks of charges, prices, tiers, fees, alerts and top-ups.
"""

from __future__ import annotations

from typing import Any

from unitrate.catalog.check_names import attribute_problem, declared_attributes
from unitrate.catalog.check_policy import check_charge_policy
from unitrate.catalog.document import Path
from unitrate.catalog.findings import Findings, Known
from unitrate.catalog.meters import MeterModel
from unitrate.catalog.model import CatalogModel
from unitrate.catalog.plans import (
    AnyPrice,
    ChargeModel,
    CostPlusPrice,
    FlatTierModel,
    GraduatedPrice,
    PlanModel,
    RateTierModel,
    StairstepPrice,
    UsageAlertModel,
    VolumePrice,
)
from unitrate.catalog.resolve import decimal_text, flat_prices
from unitrate.catalog.scalars import shown
from unitrate.catalog.section import Section
from unitrate.catalog.spelling import did_you_mean, one_of

_BY_WORDS = ("size", "workspace", "workflow")


def check_plans(model: CatalogModel, findings: Findings, known: Known) -> None:
    for name, plan in model.plans.items():
        findings.twice(plan.charges, lambda c: c.name, lambda _, c: (*c.path, "name"), "charges of the plan")
        findings.twice(plan.fees, lambda f: f.name, lambda _, f: (*f.path, "name"), "fees of the plan")
        findings.twice(plan.top_ups, lambda t: t.name, lambda _, t: (*t.path, "name"), "top-ups of the plan")
        for charge in plan.charges:
            _check_charge(charge, model, findings, known.meters)
        if name not in known.broken_plans:  # a charge that cannot be read may be what an alert is about
            _check_alerts(plan, findings)


def _check_charge(
    charge: ChargeModel, model: CatalogModel, findings: Findings, meters: frozenset[str]
) -> None:
    _check_price_keys(charge, findings)
    _check_limits(charge, findings)
    for _, price in flat_prices(charge):
        _check_price(price, findings)
    if charge.meter not in meters:
        fix = did_you_mean(charge.meter, meters) or _known(meters, "meters")
        findings.add((*charge.path, "meter"), f"{shown(charge.meter)} is no meter{fix}")
    meter = model.meters.get(charge.meter)
    if meter is None:
        return
    _check_attributes(charge, meter, findings)
    _check_price_values(charge, meter, findings)
    check_charge_policy(charge.policy, charge.meter, meter, findings)


def _known(names: frozenset[str], what: str) -> str:
    return f"; known are {one_of(sorted(names))}" if names else f"; the catalog has no {what}"


def _check_price_keys(charge: ChargeModel, findings: Findings) -> None:
    """Ruling 31: `price` without `by`, `prices` with it, never both."""
    path = charge.path
    if charge.price is not None and charge.prices is not None:
        findings.add((*path, "price"), "stands beside `prices`; keep price without `by`, prices with it")
    elif charge.by and charge.prices is None:
        key, message = "prices", f"is missing; with by: {', '.join(charge.by)} write one price a value"
        if charge.price is not None:
            key, message = "price", "is one price, but `by` asks for one a value; write prices: {VALUE: …}"
        findings.add((*path, key), message)
    elif charge.prices is not None and not charge.by:
        findings.add((*path, "by"), "is missing; say what the prices are by, such as by: size")
    elif charge.price is None and charge.prices is None:
        findings.add((*path, "price"), "is missing; write price: {model: unit, rate: 0.40}")


def _check_limits(charge: ChargeModel, findings: Findings) -> None:
    path = charge.path
    if charge.maximum is not None and charge.minimum > charge.maximum:
        message = f"must not be more than the maximum, {decimal_text(charge.maximum)}"
        findings.add((*path, "minimum"), message)
    if charge.maximum is None and charge.was_given("on_maximum"):
        findings.add((*path, "on_maximum"), "needs a maximum to act on; write maximum: 5000.00")
    if charge.included and any(isinstance(price, CostPlusPrice) for _, price in flat_prices(charge)):
        message = "does not go with cost_plus, whose price is by cost, not by quantity; remove it"
        findings.add((*path, "included"), message)


def _check_price(price: AnyPrice, findings: Findings) -> None:
    if isinstance(price, CostPlusPrice):
        if (price.markup is None) == (price.margin is None):
            what = "has neither markup nor margin" if price.markup is None else "has both markup and margin"
            findings.add(price.path, f"{what}; write exactly one: markup on cost, or margin of the price")
        if price.margin is not None and price.margin >= 1:
            findings.add((*price.path, "margin"), "must be less than 1: the price would have no end")
    elif isinstance(price, (GraduatedPrice, VolumePrice, StairstepPrice)):
        _check_tiers(price, findings)


def _check_tiers(price: GraduatedPrice | VolumePrice | StairstepPrice, findings: Findings) -> None:
    path = (*price.path, "tiers")
    tiers: tuple[RateTierModel | FlatTierModel, ...] = price.tiers
    last = None
    for i, tier in enumerate(tiers):
        at = (*path, i, "up_to")
        is_last = i == len(tiers) - 1
        if is_last and tier.up_to is not None:
            findings.add(at, "bounds the last tier, and no price would hold above it; remove it")
        elif not is_last and tier.up_to is None:
            findings.add(at, "is missing; only the last tier goes without")
        if tier.up_to is not None and last is not None and tier.up_to <= last:
            findings.add(at, f"must be higher than {decimal_text(last)}, the tier before it")
        last = tier.up_to if tier.up_to is not None else last
        if isinstance(tier, RateTierModel) and not (tier.was_given("rate") or tier.was_given("flat")):
            findings.add((*path, i, "rate"), "is missing; write rate: 0.40, or rate: 0 for a free tier")


def _check_attributes(charge: ChargeModel, meter: MeterModel, findings: Findings) -> None:
    declared = declared_attributes(meter)
    message = attribute_problem(charge.of, declared, charge.meter, ("units",))
    if charge.of in _BY_WORDS and charge.of not in declared:
        message = f"{shown(charge.of)} is no quantity; write units, or an attribute that holds a number"
    if message is not None:
        findings.add((*charge.path, "of"), message)
    for i, name in enumerate(charge.by):
        at = findings.item((*charge.path, "by"), i)
        if name in charge.by[:i]:
            findings.add(at, f"{shown(name)} stands twice; keep one")
        if name == "size" and meter.sizes is None:
            findings.add(at, f"meters.{charge.meter} has no sizes; give it sizes: {{by: …, tiers: …}}")
        message = attribute_problem(name, declared, charge.meter, _BY_WORDS)
        if message is not None:
            findings.add(at, message)


def _check_price_values(charge: ChargeModel, meter: MeterModel, findings: Findings) -> None:
    """Prices nest as deep as `by` has parts, and prices by size are for sizes that the meter has."""
    if charge.prices is not None and charge.by:
        _check_level(charge.prices, (*charge.path, "prices"), 0, charge, meter, findings)


def _check_level(
    branch: dict[str, Any], path: Path, depth: int, charge: ChargeModel, meter: MeterModel, findings: Findings
) -> None:
    by = charge.by[depth]
    sizes = [tier.name for tier in meter.sizes.tiers] if meter.sizes is not None else []
    for value, inner in branch.items():
        at = (*path, value)
        if by == "size" and sizes and value not in (*sizes, "default"):
            fix = did_you_mean(value, sizes) or f"; its sizes are {one_of(sizes)}"
            findings.add(at, f"{shown(value)} is no size of meters.{charge.meter}{fix}")
        is_price, is_deepest = isinstance(inner, Section), depth == len(charge.by) - 1
        if is_price and not is_deepest:
            what = charge.by[depth + 1]
            findings.add(at, f"is one price, but `by` goes on with {what}; write one price a value of {what}")
        elif is_deepest and not is_price:
            findings.add(at, f"must be a price: `by` ends with {by}; add what else the prices are by")
        elif not is_price:
            _check_level(inner, at, depth + 1, charge, meter, findings)


def _check_alerts(plan: PlanModel, findings: Findings) -> None:
    for alert in plan.alerts:
        if not isinstance(alert, UsageAlertModel):
            continue
        if alert.on == "included" and not any(charge.included for charge in plan.charges):
            findings.add((*alert.path, "on"), "no charge of the plan has included usage; it would never fire")
        if alert.on == "maximum" and all(charge.maximum is None for charge in plan.charges):
            findings.add((*alert.path, "on"), "no charge of the plan has a maximum; it would never fire")
        for i, share in enumerate(alert.at):
            if i and share <= alert.at[i - 1]:
                before = decimal_text(alert.at[i - 1])
                findings.add((*alert.path, "at", i), f"must be higher than {before}, the share before it")
