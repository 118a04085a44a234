"""Hypothesis strategies: catalogs and event histories that press on every boundary at once.

Owns what is drawn. A history is a list of small steps over few accounts, runs and keys; times cluster around
the deadlines (idle, settle, within …, exactly, and one microsecond to either side). Catalogs are drawn as
documents and pass the real loader; `catalogs.py` turns documents into publications.

Two modes: files (the clock is the highest event time, ticks move it) and Kafka (given timestamps).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.reference.builders import an_event, raw, rfc3339
from tests.reference.catalog_view import DAY, SECOND, instant
from tests.reference.rater import EventRecord, Publication, Record, Tick

MINUTE, HOUR = 60 * SECOND, 3_600 * SECOND
Draw = Callable[[st.SearchStrategy[Any]], Any]
T = TypeVar("T")

# Where histories begin: mid-month, at month ends in the accounts' zones, at changes of daylight saving.
STARTS = [
    "2026-10-14T12:00:00Z",
    "2026-10-31T22:30:00Z",  # Berlin's November begins within the hour
    "2026-10-31T23:30:00Z",
    "2026-10-25T00:15:00Z",  # Berlin's clocks go back at 01:00Z
    "2027-03-28T00:30:00Z",
    "2026-11-01T05:10:00Z",  # New York's clocks go back at 06:00Z
    "2026-11-01T03:30:00Z",  # New York's November begins at 04:00Z
    "2027-02-28T22:50:00Z",
]
ZONES = ["UTC", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
ACCOUNTS = ["a", "b"]
WORKFLOWS = ["w0", "w1", "w2"]
AGREED = {"ref": "MSA", "on": "2026-09-01"}


@dataclass(frozen=True)
class History:
    """A drawn log."""

    kafka: bool
    records: tuple[Record, ...]


def pick(draw: Draw, options: Sequence[T]) -> T:
    """One of the options; the first is the simplest."""
    found: T = draw(st.sampled_from(options))
    return found


def chance(draw: Draw, one_in: int) -> bool:
    """True about once in so many times; shrinks to False."""
    return bool(pick(draw, range(one_in)) == one_in - 1)


# ---------------------------------------------------------------------------------------------- catalogs


def _rules(draw: Draw, *, sized: bool, charge: bool) -> list[dict[str, Any]]:
    """A policy: rules that protect first, then those that charge (ruling 18)."""
    none, protect = {"charge": "none"}, []
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


def _meter(draw: Draw, number: int) -> dict[str, Any]:
    meter: dict[str, Any] = {
        "unit": pick(draw, ["run", "document", "ticket", "outcome", "conversation", "action"])
    }
    meter["workflow"] = pick(draw, [f"w{number}", [f"w{number}", "other"]])
    if chance(draw, 6):
        meter["workflow"] = f"w{number}" if number else "w*"
        meter["each"] = pick(draw, [{"type": "ai.request", "operation": "tool"}, {"type": "work.completed"}])
        meter["policy"] = _rules(draw, sized=False, charge=False)
        return meter
    if chance(draw, 6):
        meter["workflow"], meter["match"] = "w*", {"region": ["eu", "us", "de"][number]}
    meter["key"] = pick(draw, ["run_id", "doc", "doc"])
    if chance(draw, 12):
        meter["start"] = "work.started"
    meter["end"] = {"idle": pick(draw, ["30m", "10m", "1h"]), "max_age": pick(draw, ["1d", "40m", "2h"])}
    if chance(draw, 4):
        meter["end"]["on"] = pick(
            draw, [["work.closed"], ["work.completed"], ["work.completed", "work.closed"]]
        )
    meter["settle"] = pick(draw, ["1h", "10m", "0s"])
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
    for top in pick(draw, [[None], ["2", None], ["1", "3", None], ["2.5", None]]):
        tier: dict[str, Any] = {} if top is None else {"up_to": top}
        if flat_only:
            tier["flat"] = pick(draw, ["5.00", "8.33", "0.00"])
        else:
            tier["rate"] = pick(draw, ["0.90", "0.75", "1.10", "0.333333"])
            if chance(draw, 3):
                tier["flat"] = pick(draw, ["1.00", "0.05"])
        tiers.append(tier)
    return tiers


def _price(draw: Draw, *, cost_plus: bool) -> dict[str, Any]:
    models = ["unit", "graduated", "volume", "package", "stairstep"] + (
        ["cost_plus"] * 2 if cost_plus else []
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
        return _price(draw, cost_plus=cost_plus)
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
    included = pick(draw, ["0", "1", "2", "3"])
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
        charge["price"] = _price(draw, cost_plus=cost_plus)
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


def _account(draw: Draw, plans: Sequence[str], zone: str, start: int) -> dict[str, Any]:
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
    if chance(draw, 3):
        account["internal_workspaces"] = ["qa"]
    return account


def _day(time_us: int) -> str:

    return rfc3339(time_us)[:10]


@st.composite
def documents(draw: Draw, start: int) -> dict[str, Any]:
    """A first catalog."""
    meters = {f"m{i}": _meter(draw, i) for i in range(pick(draw, [1, 2, 3]))}
    for meter in list(meters.values())[1:]:  # a name that stands above would leave it without events
        if isinstance(meter["workflow"], list):
            meter["workflow"] = meter["workflow"][:1]
    plans = {f"p{i}": _plan(draw, 1, meters) for i in range(pick(draw, [1, 2]))}
    zones = {name: pick(draw, ZONES) for name in ACCOUNTS}
    accounts = {name: _account(draw, list(plans), zones[name], start) for name in ACCOUNTS}
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
        "dedupe": "35d",
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
            accounts[name] = _account(draw, list(plans), zone, effective)
        elif change == "end" and name in accounts and "plan" in accounts[name]:
            accounts[name] = {**accounts[name], "to": _day(effective)}
        elif change == "meter":
            meter = pick(draw, list(meters))
            if "each" not in meters[meter]:
                meters[meter] = {
                    **meters[meter],
                    "end": {**meters[meter]["end"], "idle": pick(draw, ["20m", "1h"])},
                }
    return {**document, "plans": plans, "accounts": accounts, "meters": meters}


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


# ---------------------------------------------------------------------------------------------- histories

STEPS = [0, *[MINUTE] * 6, *[5 * MINUTE] * 4, *[10 * MINUTE] * 3, 20 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR]
LEAPS = [*STEPS, DAY]
JITTER = [0, 0, 0, 0, 1, -1]
LATENESS = [0] * 16 + [MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, DAY, 40 * DAY]
TYPES = (
    ["ai.request"] * 8
    + ["work.completed"] * 3
    + ["work.failed", "work.cancelled", "work.closed", "work.started", "work.annotated"]
    + ["work.accepted"] * 2
    + ["work.rejected", "work.reopened", "work.escalated"]
)
# What usually happens to one piece of work: types in order; `retry` is a request of a run that repeats it.
STORIES = [
    ["ai.request", "work.completed"],
    ["ai.request", "work.completed", "work.accepted"],
    ["work.started", "ai.request", "work.completed"],
    ["work.completed", "work.accepted", "work.rejected", "work.accepted"],
    ["ai.request", "work.failed", "retry", "work.completed"],
    ["ai.request", "work.closed", "ai.request", "work.closed"],
    ["ai.request", "work.completed", "work.reopened", "ai.request", "work.completed"],
    ["ai.request", "ai.request", "ai.request", "work.completed", "work.escalated"],
]


@dataclass(frozen=True)
class Work:
    """Which piece of work an event is about."""

    account: str
    workflow: str
    run: str
    doc: str
    workspace: str | None
    live: bool


def _work(draw: Draw) -> Work:
    number = pick(draw, range(10))
    return Work(
        account=pick(draw, ["a"] * 7 + ["b"] * 2 + ["nobody"]),
        workflow=pick(draw, ["w0"] * 6 + ["w1"] * 2 + ["w2", "other"]),
        run=f"r{number}",
        doc=f"d{number if not chance(draw, 6) else 0}",
        workspace=pick(draw, [None, None, "main", "qa"]),
        live=not chance(draw, 10),
    )


def _event(draw: Draw, time: int, number: int, work: Work, kind: str) -> dict[str, Any]:
    run, retry_of = work.run, None
    if kind == "retry":
        kind, run, retry_of = "ai.request", work.run + "x", work.run
    elif chance(draw, 20):
        retry_of = pick(draw, ["r0", "r1", "nowhere"])
    attributes: dict[str, Any] = {}
    if not chance(draw, 10):
        attributes["doc"] = work.doc
    if not chance(draw, 10):
        attributes["region"] = pick(draw, ["eu"] * 7 + ["us"])
    if chance(draw, 3):
        attributes["pages"] = pick(draw, [2, "3", "3.5", 4, 11, 0, "1.25", "many"])
    if chance(draw, 3):
        attributes["sha"] = pick(draw, ["s0", "s1"])
    if chance(draw, 5):
        attributes["tier"] = pick(draw, ["gold", "free", True])
    data: dict[str, Any] = {"attributes": attributes}
    if retry_of is not None:
        data["retry_of"] = retry_of
    if not work.live and chance(draw, 2):
        data["mode"] = pick(draw, ["test", "internal", "live"])
    if work.workspace is not None:
        data["workspace"] = work.workspace
    if kind == "ai.request":
        data |= _request(draw)
    if kind == "work.completed" and chance(draw, 4):
        data["completion"] = pick(draw, ["0.5", "0.333", "1", "0"])
    names = {"account": work.account, "workflow": work.workflow, "id": f"e{number}", "run": run}
    return an_event(kind, time, **names, **data)


def _request(draw: Draw) -> dict[str, Any]:
    data: dict[str, Any] = {"model": pick(draw, ["m1", "m1", "m1", "m2", "x1"])}
    data["usage"] = pick(
        draw,
        [
            {"input_tokens": 1000, "output_tokens": 50},
            {"input_tokens": 333},
            {"input_tokens": 7, "cache_read_tokens": 1001},
            {"pages": 3},
            {},
        ],
    )
    if chance(draw, 5):
        currency = pick(draw, ["USD", "EUR", "GBP"])
        data["cost"] = {"amount": pick(draw, ["0.0123456789012", "0.5", "0"]), "currency": currency}
    if chance(draw, 6):
        data["background"] = True
    if chance(draw, 5):
        data["status"] = pick(draw, ["error", "timeout", "cancelled"])
    if chance(draw, 3):
        data["operation"] = "tool"
    return data


def _broken(draw: Draw, event: dict[str, Any]) -> bytes:
    """The event with one thing wrong."""
    data = event["data"]
    faults: list[dict[str, Any]] = [
        {**event, "specversion": "0.3"},
        {**event, "type": "ai.reply"},
        {**event, "subject": ""},
        {**event, "time": event["time"].removesuffix("Z")},
        {**event, "data": {**data, "run_id": None}},
        {**event, "data": {**data, "attributes": {"pages": 1.5}}},
        {
            **event,
            "type": "ai.request",
            "data": {**data, "provider": "p", "model": "m", "usage": {"input_tokens": -1}},
        },
        {
            **event,
            "type": "ai.request",
            "data": {**data, "provider": "p", "model": "m", "cost": {"amount": 0.1}},
        },
    ]
    return pick(draw, [b"{", b"[]", *map(raw, faults)])


@dataclass
class _Log:
    """A log that is being drawn."""

    draw: Draw
    kafka: bool
    start: int
    now: int
    behind: int  # how old events are when they reach Kafka
    records: list[Record]
    document: dict[str, Any]
    version: int = 1

    @property
    def stamp(self) -> int | None:
        """LogAppendTime of the next record."""
        return self.now + self.behind if self.kafka else None

    def step(self) -> None:
        """Let some time pass."""
        self.now += max(0, pick(self.draw, STEPS) + pick(self.draw, JITTER))

    def leap(self) -> None:
        """Let some time pass, or a day."""
        self.now += max(0, pick(self.draw, LEAPS) + pick(self.draw, JITTER))

    def event(self, work: Work, kind: str, fault: str = "") -> None:
        """One event, mostly in time."""
        late = pick(self.draw, LATENESS) + pick(self.draw, JITTER)
        time = self.now + 25 * HOUR if fault == "future" else max(self.now - late, self.start - 60 * DAY)
        offset = len(self.records)
        event = _event(self.draw, time, offset, work, kind)
        bytes_ = _broken(self.draw, event) if fault == "broken" else raw(event)
        entered = self.now if fault == "future" else 2**62
        self.records.append(EventRecord(offset, bytes_, self.stamp, entered))

    def story(self) -> None:
        """Some events about one piece of work."""
        work = _work(self.draw)
        for kind in pick(self.draw, STORIES):
            self.event(work, kind)
            self.step()

    def other(self, kind: str) -> None:
        """A tick, a later catalog, or an event once more."""
        offset = len(self.records)
        events = [r for r in self.records if isinstance(r, EventRecord)]
        if kind == "tick":
            self.records.append(Tick(offset, self.now + self.behind))
        elif kind == "publication" and self.version < 4:
            self.version += 1
            ahead = pick(self.draw, [0, HOUR, DAY, 5 * DAY])
            effective = self.now + self.behind + ahead + self.version
            effective = max(effective, instant(self.document["effective"]) + 1)  # ever later
            self.document = next_document(self.draw, self.document, effective, self.version)
            self.records.append(Publication(offset, self.document, self.stamp))
        elif kind == "again" and events:
            self.records.append(EventRecord(offset, pick(self.draw, events).raw, self.stamp))


KINDS = ["story"] * 6 + ["event"] * 6 + ["again", "broken", "tick", "publication", "publication", "future"]


@st.composite
def histories(draw: Draw, kafka: bool | None = None, length: int = 20) -> History:
    """A whole log: a catalog, then events, ticks and later catalogs."""
    if kafka is None:
        kafka = chance(draw, 2)
    start = instant(pick(draw, STARTS))
    document = draw(documents(start))
    first = Publication(0, document, start - 40 * DAY if kafka else None)
    behind = pick(draw, [0, 0, 300 * DAY]) if kafka else 0
    log = _Log(draw, kafka, start, start, behind, [first], document)
    for _ in range(draw(st.integers(1, length))):
        log.leap()
        kind = pick(draw, KINDS)
        if kind == "story":
            log.story()
        elif kind in ("event", "broken", "future"):
            log.event(_work(draw), pick(draw, TYPES), kind)
        else:
            log.other(kind)
    return History(kafka, tuple(log.records))
