"""A catalog's model → its resolved form: plain JSON with every default filled in.

Owns the defaults of the contract (ruling 5 and the `end`, `idle`, `settle` of each kind of unit). They are
written into publications, so a later release with other defaults replays an old log as it was.

In the resolved form decimals are canonical texts, instants and spans microseconds, days days since 1970.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from unitrate.catalog.accounts import AccountModel, CreditModel, IssuerModel, PayoutsModel
from unitrate.catalog.currencies import MINOR_DIGITS
from unitrate.catalog.meters import AgreementModel, AttributeCondition, MeterModel, RuleModel, SizeCondition
from unitrate.catalog.model import CatalogModel, CostsModel
from unitrate.catalog.plans import AnyPrice, ChargeModel, CostPlusPrice, PackagePrice, PlanModel, UnitPrice
from unitrate.catalog.section import Section

Json = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
SILENT_UNITS = ("ticket", "conversation")  # they normally end in silence
_IDLE = timedelta(hours=24)
_IDLE_SILENT = timedelta(hours=72)
_MAX_AGE = timedelta(days=30)
_SETTLE = timedelta(hours=24)


def decimal_text(value: Decimal) -> str:
    """The one text of a decimal: no exponent, no trailing zeros; 0.90 is "0.9"."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0", "-") else text


def span_us(span: timedelta) -> int:
    return span // _MICROSECOND


def instant_us(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def day_number(day: date) -> int:
    return (day - _EPOCH_DAY).days


def resolve(model: CatalogModel) -> Json:
    """The whole catalog."""
    return {
        "id": model.catalog,
        "effective_us": instant_us(model.effective),
        "currency": model.currency,
        "minor_digits": MINOR_DIGITS[model.currency],
        "timezone": model.timezone,
        "dedupe_us": span_us(model.dedupe),
        "costs": _costs(model.costs),
        "meters": [resolve_meter(name, meter) for name, meter in model.meters.items()],
        "plans": {name: resolve_plan(plan) for name, plan in model.plans.items()},
        "accounts": {name: _account(account) for name, account in model.accounts.items()},
        "payouts": None if model.payouts is None else _payouts(model.payouts),
        "issuer": None if model.issuer is None else _issuer(model.issuer),
    }


def _costs(costs: CostsModel) -> Json:
    models = []
    for entry in costs.models:
        rates = {name: decimal_text(rate) for name, rate in entry.rates().items()}
        models.append({"provider": entry.provider, "model": entry.model, **rates})
    return {
        "book": costs.book,
        "models": models,
        "aliases": [_written({"provider": a.provider, "model": a.model, "as": a.as_}) for a in costs.aliases],
        "fx": {code: decimal_text(rate) for code, rate in costs.fx.items()},
        "unknown": costs.unknown,
    }


def _written(values: Json) -> Json:
    """Only what has a value: most accounts have little, and there are many."""
    return {key: value for key, value in values.items() if value not in (None, [], {}, ())}


def resolve_meter(name: str, meter: MeterModel) -> Json:
    silent = meter.unit in SILENT_UNITS
    end_on = meter.end.on if meter.end.was_given("on") or not silent else ("work.closed",)
    idle = meter.end.idle or (_IDLE_SILENT if silent else _IDLE)
    return {
        "name": name,
        "unit": meter.unit,
        "workflows": list(meter.workflow),
        "match": dict(meter.match),
        "key": None if meter.key == "run_id" else meter.key,
        "each": None if meter.each is None else {"type": meter.each.type, "operation": meter.each.operation},
        "start": meter.start,
        "end_on": sorted(end_on),
        "idle_us": span_us(idle),
        "max_age_us": span_us(meter.end.max_age or _MAX_AGE),
        "settle_us": span_us(_SETTLE if meter.settle is None else meter.settle),
        "attributes": dict(meter.attributes),
        "sizes": _sizes(meter),
        "policy": [_rule(rule) for rule in meter.policy],
        "reopen": _reopen(meter),
        "long_requests": None if meter.long is None else meter.long.requests,
        "terms_required": meter.terms is not None,
        "accept": _accept(meter),
        "reverse": _reverse(meter),
    }


def _sizes(meter: MeterModel) -> Json | None:
    if meter.sizes is None:
        return None
    tiers = [[t.name, None if t.up_to is None else decimal_text(t.up_to)] for t in meter.sizes.tiers]
    return {"by": meter.sizes.by, "tiers": tiers}


def _reopen(meter: MeterModel) -> Json | None:
    if meter.reopen is None:
        return None
    return {"within_us": span_us(meter.reopen.within), "as": meter.reopen.as_}


def _accept(meter: MeterModel) -> Json | None:
    if meter.accept is None:
        return None
    return {"within_us": span_us(meter.accept.within), "otherwise": meter.accept.otherwise}


def _reverse(meter: MeterModel) -> Json | None:
    if meter.reverse is None:
        return None
    return {"on": sorted(meter.reverse.on), "within_us": span_us(meter.reverse.within)}


def _rule(rule: RuleModel) -> Json:
    when, size, attributes = "", None, []
    if isinstance(rule.when, SizeCondition):
        when, size = "size", rule.when.size
    elif isinstance(rule.when, AttributeCondition):
        when, attributes = "attribute", [list(pair) for pair in rule.when.attribute.items()]
    else:
        when = rule.when
    words = {"full": "1", "none": "0", "prorata": "prorata"}
    charge = words[rule.charge] if isinstance(rule.charge, str) else decimal_text(rule.charge)
    values = {
        "size": size,
        "attributes": attributes,
        "by": list(rule.by),
        "within_us": None if rule.within is None else span_us(rule.within),
        "agreed": None if rule.agreed is None else _agreement(rule.agreed),
    }
    return {"when": when, "charge": charge, **_written(values)}


def _agreement(agreed: AgreementModel) -> Json:
    return {"ref": agreed.ref, "on_day": day_number(agreed.on)}


def resolve_plan(plan: PlanModel) -> Json:
    return {
        "version": plan.version,
        "fees": [
            {
                "name": fee.name,
                "amount": decimal_text(fee.amount),
                "monthly": fee.when == "monthly",
                "prorate": fee.prorate,
            }
            for fee in plan.fees
        ],
        "charges": [_charge(charge) for charge in plan.charges],
        "minimum": decimal_text(plan.minimum),
        "alerts": [_plain(alert) for alert in plan.alerts],
        "top_ups": [
            {
                "name": top_up.name,
                "amount": decimal_text(top_up.amount),
                "credit": decimal_text(top_up.grants.credit),
                "expires_us": None if top_up.expires is None else span_us(top_up.expires),
            }
            for top_up in plan.top_ups
        ],
    }


def _charge(charge: ChargeModel) -> Json:
    return {
        "name": charge.name,
        "meter": charge.meter,
        "of": None if charge.of == "units" else charge.of,
        "included": decimal_text(charge.included),
        "by": list(charge.by),
        # A list, not a mapping: the order of prices decides which quantity freed included usage goes to.
        "prices": [[list(values), _price(price)] for values, price in flat_prices(charge)],
        "per": decimal_text(charge.per),
        "round": charge.round,
        "minimum": decimal_text(charge.minimum),
        "maximum": None if charge.maximum is None else decimal_text(charge.maximum),
        "on_maximum": charge.on_maximum,
        "policy": [_rule(rule) for rule in charge.policy],
    }


def flat_prices(charge: ChargeModel) -> list[tuple[tuple[str, ...], AnyPrice]]:
    """A charge's prices with their `by` values, in the order written; without `by` the one entry `()`."""
    if charge.prices is None:
        return [] if charge.price is None else [((), charge.price)]
    return _flat(charge.prices, ())


def _flat(tree: dict[str, Any], values: tuple[str, ...]) -> list[tuple[tuple[str, ...], AnyPrice]]:
    out: list[tuple[tuple[str, ...], AnyPrice]] = []
    for value, branch in tree.items():
        if isinstance(branch, dict):
            out += _flat(branch, (*values, value))
        else:
            out.append(((*values, value), branch))
    return out


def _price(price: AnyPrice) -> Json:
    if isinstance(price, UnitPrice):
        return {"model": price.model, "rate": decimal_text(price.rate)}
    if isinstance(price, PackagePrice):
        return {"model": price.model, "size": decimal_text(price.size), "price": decimal_text(price.price)}
    if isinstance(price, CostPlusPrice):
        return {
            "model": price.model,
            "markup": None if price.markup is None else decimal_text(price.markup),
            "margin": None if price.margin is None else decimal_text(price.margin),
            "per_unit": decimal_text(price.per_unit),
        }
    tiers = []
    for tier in price.tiers:
        up_to = None if tier.up_to is None else decimal_text(tier.up_to)
        tiers.append([up_to, decimal_text(getattr(tier, "rate", Decimal(0))), decimal_text(tier.flat)])
    return {"model": price.model, "tiers": tiers}


def subscriptions(account: AccountModel) -> list[tuple[str, date, date | None]]:
    """An account's plans as (plan, first day, last day), in the order of their first days."""
    found = [(s.plan, s.from_, s.to) for s in account.subscriptions]
    if account.plan is not None and account.from_ is not None:
        found.append((account.plan, account.from_, account.to))
    return sorted(found, key=lambda s: s[1])


def _account(account: AccountModel) -> Json:
    plans = [
        [plan, day_number(first), None if last is None else day_number(last)]
        for plan, first, last in subscriptions(account)
    ]
    return _written(
        {
            "name": account.name,
            "plans": plans,
            "timezone": account.timezone,
            "terms": {meter: _agreement(agreed) for meter, agreed in account.terms.items()},
            "credits": [_credit(credit) for credit in account.credits],
            "internal_workspaces": sorted(set(account.internal_workspaces)),
            "billing": None if account.billing is None else _plain(account.billing),
        }
    )


def _credit(credit: CreditModel) -> Json:
    return {
        "name": credit.name,
        "amount": decimal_text(credit.amount),
        "from_day": day_number(credit.from_),
        "expires_day": None if credit.expires is None else day_number(credit.expires),
        "priority": credit.priority,
    }


def _payouts(payouts: PayoutsModel) -> Json:
    return {
        "platform_fee": decimal_text(payouts.platform_fee),
        "builders": [_plain(builder) for builder in payouts.builders],
        "providers": [_plain(provider) for provider in payouts.providers],
    }


def _issuer(issuer: IssuerModel) -> Json:
    return _plain(issuer)


def _plain(section: Section) -> Json:
    """A section as it is: for parts that have no defaults to fill and no times in them."""
    out: Json = {}
    for name, value in section:
        out[name] = _plain_value(value)
    return out


def _plain_value(value: Any) -> Any:
    if isinstance(value, Section):
        return _plain(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, tuple):
        return [_plain_value(item) for item in value]
    return value
