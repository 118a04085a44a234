"""A publication's bytes → the compiled catalog that the engine reads.

Owns the reading side of a publication's format. Pure: a replay years later has nothing but these bytes, so
it must never read a file, a clock, time-zone data or the price-book package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from unitrate.catalog.compiled import (
    Accept,
    Account,
    Agreement,
    Catalog,
    Charge,
    Credit,
    Each,
    Fee,
    Meter,
    Plan,
    Price,
    Reopen,
    Rerate,
    Reverse,
    Rule,
    Sizes,
    Subscription,
    Tier,
    Zone,
)
from unitrate.costs import CostBook
from unitrate.errors import LogError

FORMAT = 1
SECOND_US = 1_000_000
LONG_AGO_US = -(1 << 62)


def compile_publication(data: bytes) -> Catalog:
    """The catalog that a publication carries; the same bytes give an equal catalog, anywhere, at any time."""
    content = json.loads(data)
    if content.get("format") != FORMAT:
        found = content.get("format")
        raise LogError(
            f"a catalog in the log has format {found}, this version reads {FORMAT}; upgrade unitrate"
        )
    catalog = content["catalog"]
    zones = {name: _zone(name, table) for name, table in content["zones"].items()}
    meters = tuple(_meter(m) for m in catalog["meters"])
    costs = catalog["costs"]
    book = content["book"]
    return Catalog(
        id=catalog["id"],
        effective_us=catalog["effective_us"],
        currency=catalog["currency"],
        minor_digits=catalog["minor_digits"],
        zone=zones[catalog["timezone"]],
        dedupe_us=catalog["dedupe_us"],
        unknown_is_zero=costs["unknown"] == "zero",
        costs=CostBook.build(catalog["currency"], costs["models"], costs["aliases"], costs["fx"], book),
        meters=meters,
        plans={name: _plan(name, plan) for name, plan in catalog["plans"].items()},
        accounts={
            name: _account(name, account, catalog, zones) for name, account in catalog["accounts"].items()
        },
        sha256=hashlib.sha256(data).hexdigest(),
        book_version=f"{book['name']} {book['version']}",
        meter_by_name={meter.name: meter for meter in meters},
        extra=_extra(catalog),
    )


def compile_rerate(data: bytes) -> Rerate:
    """The re-rate that a control record carries (`repricing` writes it)."""
    content = json.loads(data)
    found = content["format"]
    if found != FORMAT:
        raise LogError(
            f"a re-rate in the log has format {found}, this version reads {FORMAT}; upgrade unitrate"
        )
    plans = [_plan(name, plan) for name, plan in content["plans"].items()]
    return Rerate(
        number=content["number"],
        catalog=content["catalog"],
        plans={(plan.name, plan.version): plan for plan in plans},
        from_us=content["from_us"],
        from_month=content["from_month"],
        who=content["who"],
        why=content["why"],
    )


def _zone(name: str, table: Mapping[str, list[int]]) -> Zone:
    starts = tuple(start * SECOND_US for start in table["starts"])
    return Zone(name, (LONG_AGO_US, *starts[1:]), tuple(offset * SECOND_US for offset in table["offsets"]))


def _meter(meter: Mapping[str, Any]) -> Meter:
    each, sizes = meter["each"], meter["sizes"]
    reopen, accept, reverse = meter["reopen"], meter["accept"], meter["reverse"]
    return Meter(
        name=meter["name"],
        kind=meter["unit"],
        workflows=tuple(meter["workflows"]),
        match=tuple(meter["match"].items()),
        key=meter["key"],
        each=Each(each["type"], each["operation"]) if each else None,
        start_on_started=meter["start"] == "work.started",
        end_on=frozenset(meter["end_on"]),
        idle_us=meter["idle_us"],
        max_age_us=meter["max_age_us"],
        settle_us=meter["settle_us"],
        aggregations=meter["attributes"],
        sizes=_sizes(sizes) if sizes else None,
        rules=tuple(_rule(rule) for rule in meter["policy"]),
        reopen=Reopen(reopen["within_us"], reopen["as"] == "same_unit") if reopen else None,
        long_requests=meter["long_requests"],
        terms_required=meter["terms_required"],
        accept=Accept(accept["within_us"], accept["otherwise"] == "full") if accept else None,
        reverse=Reverse(frozenset(reverse["on"]), reverse["within_us"]) if reverse else None,
    )


def _sizes(sizes: Mapping[str, Any]) -> Sizes:
    return Sizes(
        sizes["by"],
        tuple((name, None if up_to is None else Decimal(up_to)) for name, up_to in sizes["tiers"]),
    )


def _rule(rule: Mapping[str, Any]) -> Rule:
    charge = rule["charge"]
    return Rule(
        when=rule["when"],
        charge=charge if charge == "prorata" else Decimal(charge),
        size=rule.get("size"),
        attributes=tuple((name, value) for name, value in rule.get("attributes", ())),
        by=tuple(rule.get("by", ())),
        within_us=rule.get("within_us", 0),
        agreed=_agreement(rule["agreed"]) if "agreed" in rule else None,
    )


def _agreement(agreed: Mapping[str, Any]) -> Agreement:
    return Agreement(agreed["ref"], agreed["on_day"])


def _plan(name: str, plan: Mapping[str, Any]) -> Plan:
    fees = tuple(Fee(f["name"], Decimal(f["amount"]), f["monthly"], f["prorate"]) for f in plan["fees"])
    charges = tuple(_charge(charge) for charge in plan["charges"])
    return Plan(name, plan["version"], fees, charges, Decimal(plan["minimum"]))


def _charge(charge: Mapping[str, Any]) -> Charge:
    maximum = charge["maximum"]
    return Charge(
        name=charge["name"],
        meter=charge["meter"],
        of=charge["of"],
        included=Decimal(charge["included"]),
        by=tuple(charge["by"]),
        prices={tuple(values): _price(price) for values, price in charge["prices"]},
        per=Decimal(charge["per"]),
        round=charge["round"],
        minimum=Decimal(charge["minimum"]),
        maximum=None if maximum is None else Decimal(maximum),
        stop_on_maximum=charge["on_maximum"] == "stop",
        rules=tuple(_rule(rule) for rule in charge["policy"]),
    )


def _price(price: Mapping[str, Any]) -> Price:
    model = price["model"]
    if model == "unit":
        return Price(model, rate=Decimal(price["rate"]))
    if model == "package":
        return Price(model, package_size=Decimal(price["size"]), package_price=Decimal(price["price"]))
    if model == "cost_plus":
        return Price(
            model,
            markup=None if price["markup"] is None else Decimal(price["markup"]),
            margin=None if price["margin"] is None else Decimal(price["margin"]),
            per_unit=Decimal(price["per_unit"]),
        )
    return Price(
        model,
        tiers=tuple(
            Tier(None if up_to is None else Decimal(up_to), Decimal(rate), Decimal(flat))
            for up_to, rate, flat in price["tiers"]
        ),
    )


def _account(
    name: str, account: Mapping[str, Any], catalog: Mapping[str, Any], zones: Mapping[str, Zone]
) -> Account:
    return Account(
        id=name,
        name=account.get("name", name),
        zone=zones[account.get("timezone", catalog["timezone"])],
        subscriptions=tuple(
            Subscription(plan, first, last) for plan, first, last in account.get("plans", ())
        ),
        terms={meter: _agreement(agreed) for meter, agreed in account.get("terms", {}).items()},
        internal_workspaces=frozenset(account.get("internal_workspaces", ())),
        credits=tuple(
            Credit(c["name"], Decimal(c["amount"]), c["from_day"], c["expires_day"], c["priority"])
            for c in account.get("credits", ())
        ),
    )


def _extra(catalog: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine does not act on, as plain JSON: decimals are texts."""
    plans = {
        name: {key: plan[key] for key in ("alerts", "top_ups")} for name, plan in catalog["plans"].items()
    }
    billing = {name: a["billing"] for name, a in catalog["accounts"].items() if "billing" in a}
    return {"payouts": catalog["payouts"], "issuer": catalog["issuer"], "plans": plans, "billing": billing}
