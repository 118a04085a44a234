"""Hypothesis strategies for catalogs: documents that pass the real loader's checks.

Owns what is drawn of meters, policies, plans, prices and accounts, and of the versions that follow. Spans are
short and figures small, so that windows, tiers, caps and included usage are reached by few events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.reference.builders import rfc3339
from tests.reference.catalog_view import DAY
from tests.reference.drawing import Draw, chance, pick

ZONES = ["UTC", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
ACCOUNTS = ["a", "b"]
WORKFLOWS = ["w0", "w1", "w2"]
AGREED = {"ref": "MSA", "on": "2026-09-01"}


def _rules(draw: Draw, *, sized: bool, charge: bool) -> list[dict[str, Any]]:
    """A policy: rules that protect first, then those that charge (ruling 18)."""
    none: dict[str, Any] = {"charge": "none"}
    protect: list[dict[str, Any]] = []
    if chance(draw, 3):
        protect.append({"when": "duplicate", "by": ["sha"], "within": pick(draw, ["1h", "30m"]), **none})
    for when in ("test", "internal"):
        if chance(draw, 5):
            protect.append({"when": when, **none})
    options: list[dict[str, Any]] = [
        {"when": "failed", "charge": "none"},
        {"when": "failed", "charge": "0.5", "agreed": AGREED},
        {"when": "retry", "charge": "full", "agreed": AGREED},
        {"when": "partial", "charge": "prorata"},
        {"when": "timed_out", "charge": "full"},
        {"when": "timed_out", "charge": "none"},
        {"when": "cancelled", "charge": "0.25"},
        {"when": "escalated", "charge": "none"},
        {"when": "rejected", "charge": "0.5"},
        {"when": "unaccepted", "charge": "0.333333"},
        {"when": "unpriced", "charge": "full"},
        {"when": {"attribute": {"tier": "free"}}, "charge": "none"},
        {"when": {"attribute": {"tier": "gold"}}, "charge": "full"},
    ]
    if sized:
        options += [
            {"when": {"size": "big"}, "charge": "none"},
            {"when": {"size": "small"}, "charge": "full"},
        ]
    chosen: list[dict[str, Any]] = []
    for _ in range(pick(draw, [0, 1, 2, 0] if charge else [0, 1, 2, 3])):
        rule = pick(draw, options)
        if all(r["when"] != rule["when"] for r in chosen):
            chosen.append(rule)
    if charge:  # what protects belongs into the meter's policy, before what charges there
        chosen = [r for r in chosen if r["when"] != "failed" or r["charge"] != "none"]
        protect = []
    guarded = [r for r in chosen if r["charge"] == "none"]
    guarded.sort(
        key=lambda r: r["when"] != "failed"
    )  # a charge may put a rule that charges in place of another
    return protect + guarded + [r for r in chosen if r["charge"] != "none"]


def _meter(draw: Draw, number: int, *, each: bool = True) -> dict[str, Any]:
    meter: dict[str, Any] = {
        "unit": pick(draw, ["run", "document", "ticket", "outcome", "conversation", "action"])
    }
    meter["workflow"] = pick(draw, [f"w{number}", [f"w{number}", "other"]])
    if each and chance(draw, 4 if number else 16):
        meter["workflow"] = f"w{number}" if number else "w*"
        meter["each"] = pick(draw, [{"type": "ai.request", "operation": "tool"}, {"type": "work.completed"}])
        meter["policy"] = _rules(draw, sized=False, charge=False)
        return meter
    if chance(draw, 6):
        meter["workflow"], meter["match"] = "w*", {"region": ["eu", "us", "de"][number]}
    meter["key"] = pick(draw, ["run_id", "doc", "doc"])
    if chance(draw, 20):
        meter["start"] = "work.started"
    meter["end"] = {"idle": pick(draw, ["30m", "10m", "1h"]), "max_age": pick(draw, ["1d", "40m", "2h"])}
    if chance(draw, 4) or (meter["unit"] in ("ticket", "conversation") and chance(draw, 2)):
        meter["end"]["on"] = pick(
            draw, [["work.closed"], ["work.completed"], ["work.completed", "work.closed"]]
        )
    meter["settle"] = pick(draw, ["1h", "2h", "10m", "1h", "0s"])
    meter["attributes"] = {"pages": pick(draw, ["max", "sum", "first", "last"])}
    if sized := chance(draw, 3):
        meter["sizes"] = {"by": "pages", "tiers": [{"name": "small", "up_to": "3"}, {"name": "big"}]}
        if chance(draw, 3):
            meter["sizes"]["tiers"][1]["up_to"] = "10"
    meter["policy"] = _rules(draw, sized=sized, charge=False)
    if chance(draw, 3):
        meter["reopen"] = {"within": pick(draw, ["1h", "30m"]), "as": pick(draw, ["same_unit", "new_unit"])}
    if chance(draw, 5):
        meter["long"] = {"requests": 2}
    if chance(draw, 3):
        meter["accept"] = {
            "within": pick(draw, ["1h", "20m", "2h"]),
            "otherwise": pick(draw, ["none", "full"]),
        }
    if chance(draw, 3):
        on = pick(draw, [["work.rejected"], ["work.rejected", "work.reopened"], ["work.escalated"]])
        meter["reverse"] = {"on": on, "within": pick(draw, ["1h", "2h", "30m"])}
    if chance(draw, 12):
        meter["terms"] = "required"
    return meter


def _tiers(draw: Draw, *, flat_only: bool) -> list[dict[str, Any]]:
    tiers: list[dict[str, Any]] = []
    tops: list[list[str | None]] = [[None], ["2", None], ["1", "3", None], ["2.5", None]]
    for top in pick(draw, tops):
        tier: dict[str, Any] = {} if top is None else {"up_to": top}
        if flat_only:
            tier["flat"] = pick(draw, ["5.00", "8.33", "0.00"])
        else:
            tier["rate"] = pick(draw, ["0.90", "0.75", "1.10", "0.333333"])
            if chance(draw, 3):
                tier["flat"] = pick(draw, ["1.00", "0.05"])
        tiers.append(tier)
    return tiers


def a_price(draw: Draw, *, cost_plus: bool) -> dict[str, Any]:
    """One price."""
    models = ["unit", "graduated", "volume", "package", "stairstep"] + (
        ["cost_plus"] * 3 if cost_plus else []
    )
    model = pick(draw, models)
    if model == "unit":
        return {"model": model, "rate": pick(draw, ["1.00", "0.40", "0.005"])}
    if model == "package":
        return {"model": model, "size": pick(draw, ["2", "3"]), "price": pick(draw, ["4.00", "1.99"])}
    if model == "cost_plus":
        share = pick(draw, [{"markup": "0.40"}, {"margin": "0.30"}])
        return {"model": model, **share, **pick(draw, [{}, {"per_unit": "0.10"}])}
    return {"model": model, "tiers": _tiers(draw, flat_only=model == "stairstep")}


def _prices(draw: Draw, by: Sequence[str], *, sized: bool, cost_plus: bool) -> dict[str, Any]:
    if not by:
        return a_price(draw, cost_plus=cost_plus)
    values = {
        "size": ["small", "big"] if sized else [],
        "workspace": ["main", "qa"],
        "workflow": WORKFLOWS[:2],
        "tier": ["gold", "free"],
    }[by[0]]
    names = [v for v in values if not chance(draw, 3)]
    if not names or not chance(draw, 4):
        names = [*names, "default"]
    return {name: _prices(draw, by[1:], sized=sized, cost_plus=cost_plus) for name in names}


def _charge(draw: Draw, name: str, meter_name: str, meter: dict[str, Any]) -> dict[str, Any]:
    sized = "sizes" in meter
    charge: dict[str, Any] = {"name": name, "meter": meter_name}
    included = pick(draw, ["0", "0", "1", "2", "3"])
    cost_plus = included == "0"
    if included != "0":
        charge["included"] = included
    if chance(draw, 4):
        charge["of"] = "pages"
    single = [["workspace"], ["workflow"], ["tier"]]
    by = pick(
        draw,
        [[], [], *single, ["workspace", "tier"]] + ([["size"], ["size"], ["size", "tier"]] if sized else []),
    )
    if by:
        charge["by"] = by[0] if len(by) == 1 else by
        charge["prices"] = _prices(draw, by, sized=sized, cost_plus=cost_plus)
    else:
        charge["price"] = a_price(draw, cost_plus=cost_plus)
    if chance(draw, 4):
        charge["per"] = pick(draw, ["2", "1000", "3"])
        charge["round"] = pick(draw, ["none", "up", "down"])
    if chance(draw, 4):
        charge["maximum"] = pick(draw, ["3.00", "1.50", "10.00"])
    if chance(draw, 4):
        charge["minimum"] = pick(draw, ["1.00", "1.49"])
    policy = _rules(draw, sized=sized, charge=True) if "each" not in meter and chance(draw, 4) else []
    if policy:
        charge["policy"] = policy
    return charge


def _plan(draw: Draw, version: int, meters: dict[str, dict[str, Any]]) -> dict[str, Any]:
    charges = []
    for name, meter in meters.items():
        if chance(draw, 8):
            continue
        charges.append(_charge(draw, f"C{name}", name, meter))
        if chance(draw, 8):
            charges.append(_charge(draw, f"D{name}", name, meter))
    plan: dict[str, Any] = {"version": version, "charges": charges}
    if chance(draw, 3):
        plan["fees"] = [
            {"name": "Setup", "amount": "100.00", "when": "once"},
            {"name": "Platform", "amount": "49.99", "when": "monthly", "prorate": not chance(draw, 3)},
        ]
    if chance(draw, 4):
        plan["minimum"] = "5.00"
    return plan


MODELS = [
    {"provider": "acme-gpu", "model": "m1", "input": "2.00", "cache_read": "0.20", "output": "12.00"},
    {"provider": "acme-gpu", "model": "m*", "input": "0.333333", "image": "0.004", "page": "0.0015"},
]
NEW_MODEL = {"provider": "acme-gpu", "model": "x1", "input": "3.00", "output": "7.00", "page": "0.01"}


def an_account(draw: Draw, plans: Sequence[str], zone: str, start: int) -> dict[str, Any]:
    day = _day(start)
    account: dict[str, Any] = {"plan": pick(draw, plans), "from": "2026-09-01", "timezone": zone}
    kind = pick(draw, range(6))
    if kind == 3:
        account["from"] = _day(start - pick(draw, range(3)) * DAY)
    elif kind == 5:
        account["to"] = day
    elif kind == 4:
        del account["plan"], account["from"]
        first = {"plan": pick(draw, plans), "from": "2026-09-10", "to": day}
        account["subscriptions"] = [first, {"plan": pick(draw, plans), "from": _day(start + DAY)}]
    if chance(draw, 6):
        account["internal_workspaces"] = ["qa"]
    return account


def _day(time_us: int) -> str:

    return rfc3339(time_us)[:10]


def document(draw: Draw, start: int) -> dict[str, Any]:
    """A first catalog."""
    meters = {f"m{i}": _meter(draw, i) for i in range(pick(draw, [1, 2, 3]))}
    for meter in list(meters.values())[1:]:  # a name that stands above would leave it without events
        if isinstance(meter["workflow"], list):
            meter["workflow"] = meter["workflow"][:1]
    plans = {f"p{i}": _plan(draw, 1, meters) for i in range(pick(draw, [1, 2]))}
    zones = {name: pick(draw, ZONES) for name in ACCOUNTS}
    accounts = {name: an_account(draw, list(plans), zones[name], start) for name in ACCOUNTS}
    if chance(draw, 4):
        del accounts["b"]
    for account in accounts.values():
        required = [n for n, m in meters.items() if m.get("terms")]
        if required and not chance(draw, 3):
            account["terms"] = {
                n: {"ref": "mail", "on": _day(start - pick(draw, range(-1, 2)) * DAY)} for n in required
            }
    costs: dict[str, Any] = {"models": MODELS, "unknown": pick(draw, ["hold", "hold", "zero"])}
    if chance(draw, 2):
        costs["fx"] = {"EUR": "1.0832"}
    return {
        "catalog": "v1",
        "effective": "2026-09-01T00:00:00Z",
        "currency": "USD",
        "timezone": zones["b"] if "b" not in accounts else "UTC",
        "dedupe": pick(draw, ["35d", "35d", "1d", "2d"]),
        "costs": costs,
        "meters": meters,
        "plans": plans,
        "accounts": accounts,
    }


def next_document(draw: Draw, before: dict[str, Any], effective: int, number: int) -> dict[str, Any]:
    """A later catalog: other plans, prices, meters or accounts, the same zones and currency."""
    document = {**before, "catalog": f"v{number}", "effective": rfc3339(effective)}
    document["costs"] = {**before["costs"]}
    plans, accounts, meters = dict(before["plans"]), dict(before["accounts"]), dict(before["meters"])
    for _ in range(pick(draw, [1, 2, 3])):
        change = pick(draw, ["price", "plan", "version", "account", "end", "meter"])
        name = pick(draw, ACCOUNTS)
        if change == "price":
            document["costs"]["models"] = [*MODELS, NEW_MODEL]
            document["costs"]["fx"] = {"EUR": "1.0832", "GBP": "1.25"}
        elif change == "plan":
            plans[f"p{number}"] = _plan(draw, 1, meters)
            if name in accounts:
                accounts[name] = {**accounts[name], **_switch(draw, accounts[name], f"p{number}", effective)}
                accounts[name] = {k: v for k, v in accounts[name].items() if v is not None}
        elif change == "version":
            plan = pick(draw, list(plans))
            plans[plan] = _plan(draw, number, meters)
        elif change == "account":
            zone = accounts[name]["timezone"] if name in accounts else before["timezone"]
            accounts[name] = an_account(draw, list(plans), zone, effective)
        elif change == "end" and name in accounts and "plan" in accounts[name]:
            accounts[name] = {**accounts[name], "to": _day(effective)}
        elif change == "meter":
            meter = pick(draw, list(meters))
            meters[meter] = _other_meter(draw, int(meter[1:]), meters[meter])
    return {**document, "plans": plans, "accounts": accounts, "meters": meters}


def _other_meter(draw: Draw, number: int, before: dict[str, Any]) -> dict[str, Any]:
    """The same meter with other windows; or one that is new but for what plans and routing rest on."""
    if "each" in before or chance(draw, 2):
        ends = {"end": {**before["end"], "idle": pick(draw, ["20m", "1h"])}} if "end" in before else {}
        return {**before, **ends}
    kept: dict[str, Any] = {
        key: before[key]
        for key in ("workflow", "match", "sizes", "attributes", "key", "terms")
        if key in before
    }
    fresh = {
        key: value for key, value in _meter(draw, number, each=False).items() if key not in ("match", "sizes")
    }
    policy = [
        rule for rule in fresh["policy"] if not isinstance(rule["when"], dict) or "size" not in rule["when"]
    ]
    return {**fresh, **kept, "policy": policy}


def _switch(draw: Draw, account: dict[str, Any], plan: str, effective: int) -> dict[str, Any]:
    """The account's plan from the day of `effective` on; sometimes for all days."""
    if chance(draw, 3):
        return {"plan": plan, "from": "2026-09-01", "to": None, "subscriptions": None}
    old = account.get("plan") or account["subscriptions"][0]["plan"]
    first = {"plan": old, "from": "2026-09-01", "to": _day(effective - DAY)}
    return {
        "plan": None,
        "from": None,
        "to": None,
        "subscriptions": [first, {"plan": plan, "from": _day(effective)}],
    }
