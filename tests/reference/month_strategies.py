"""Histories of several months: work, its late news, closes, top-ups and corrections, catalogs that follow.

Owns what is drawn beyond `strategies`: time that goes by days and gathers around the ends of months in the
accounts' zones, windows that reach into the next months, credits, taxes, issuers, payouts and currencies.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import strategies as st

from tests.reference.books import following
from tests.reference.builders import rfc3339
from tests.reference.calendar_view import Calendar
from tests.reference.catalog_strategies import an_account, document, next_document
from tests.reference.catalog_view import DAY, catalog_of, instant
from tests.reference.drawing import Draw, chance, pick
from tests.reference.month_records import Close, Correct, MonthHistory, Rerate, TopUp
from tests.reference.rater import EventRecord, Publication, Tick
from tests.reference.rerate_strategies import corrected
from tests.reference.strategies import HOUR, MINUTE, TYPES, Log, Work, holds

STARTS = [
    "2026-10-20T12:00:00Z",
    "2026-09-25T08:00:00Z",
    "2026-10-29T20:00:00Z",
    "2027-01-12T00:00:00Z",
    "2027-02-20T00:00:00Z",
    "2026-12-18T06:00:00Z",
]
ZONES = {
    "a": ["Europe/Berlin", "Asia/Kolkata", "Pacific/Auckland"],
    "b": ["America/New_York"],
    "c": ["UTC"],
    "d": ["Europe/Berlin"],
    "e": ["America/New_York", "America/St_Johns"],
    "f": ["Pacific/Auckland", "UTC"],
    "g": ["UTC"],
    "h": ["Europe/London"],
    "i": ["Asia/Kolkata", "America/Sao_Paulo"],
    "j": ["UTC", "Europe/Berlin"],
}
CURRENCIES = ["USD", "USD", "EUR", "JPY", "KWD"]
SPANS = {
    "idle": ["12h", "30m", "3d"],
    "max_age": ["10d", "2d", "30d"],
    "settle": ["2d", "1h", "5d", "0s", "12d"],
    "reopen": ["3d", "10d", "20d"],
    "accept": ["10d", "2d", "20d"],
    "reverse": ["40d", "10d", "2d", "60d"],
}
KINDS = (
    ["story"] * 40
    + ["burst"] * 20
    + ["event"] * 20
    + ["news"] * 50
    + ["close"] * 5
    + ["end"] * 2
    + ["top_up"] * 8
    + ["waive"] * 8
    + ["restore"] * 3
    + ["rerate"] * 4
    + ["again"] * 4
    + ["tick", "tick", "publication", "publication", "publication"]
)
NEWS = (
    ["work.rejected"] * 4
    + ["work.accepted"] * 3
    + [
        "work.reopened",
        "work.escalated",
        "ai.request",
        "ai.request",
        "work.completed",
        "work.failed",
        "retry",
    ]
)


def stretched(draw: Draw, meter: dict[str, Any]) -> dict[str, Any]:
    """A meter whose windows are days and weeks."""
    found = dict(meter)
    if "end" in meter:
        spans = {name: pick(draw, SPANS[name]) for name in ("idle", "max_age")}
        found |= {"end": {**meter["end"], **spans}, "settle": pick(draw, SPANS["settle"])}
    for name in ("reopen", "accept", "reverse"):
        if name in meter:
            found[name] = {**meter[name], "within": pick(draw, SPANS[name])}
    return found


def _credits(draw: Draw, start: int) -> list[dict[str, Any]]:
    found = []
    for name in ("Launch", "Sorry"):
        if chance(draw, 2):
            first = start + pick(draw, [-30, 0, 0, 20, 40]) * DAY
            credit: dict[str, Any] = {"name": name, "amount": pick(draw, ["3.00", "0.75", "60.00", "7.777"])}
            credit["from"] = rfc3339(first)[:10]
            if chance(draw, 2):
                credit["expires"] = rfc3339(first + pick(draw, [0, 10, 45]) * DAY)[:10]
            if chance(draw, 2):
                credit["priority"] = pick(draw, [1, 100, 200])
            found.append(credit)
    return found


def _billing(draw: Draw) -> dict[str, Any]:
    return pick(
        draw,
        [
            {"tax": {"name": "VAT", "rate": "0.19"}},
            {"tax": {"name": "GST", "rate": "0.077", "note": "incl."}},
            {"tax": {"name": "VAT", "rate": "0"}},
            {"due_days": 14},
        ],
    )


def _payouts(draw: Draw) -> dict[str, Any]:
    builders: list[dict[str, Any]] = [{"builder": "nord", "workflows": ["w0"]}]
    if chance(draw, 2):
        builders.append({"builder": "sued", "workflows": ["w1", "w2"]})
    if chance(draw, 6):
        builders = [{"builder": "nord", "workflows": ["w*"]}]
    for builder in builders:
        builder["basis"] = pick(draw, ["margin", "margin", "revenue"])
        if chance(draw, 2):
            builder["minimum"] = pick(draw, ["2.00", "0.50", "20.00"])
    found: dict[str, Any] = {"platform_fee": pick(draw, ["0.20", "0", "0.333"]), "builders": builders}
    if not chance(draw, 3):
        found["providers"] = [{"provider": "acme-gpu", "reward": pick(draw, ["0.10", "0.70"])}]
    return found


def _month_end_parts(draw: Draw, found: dict[str, Any], start: int) -> dict[str, Any]:
    """A catalog with what the month end needs; a later one may change or leave out any of it."""
    found = {**found, "accounts": {name: dict(a) for name, a in found["accounts"].items()}}
    for one in found["accounts"].values():
        if chance(draw, 2):
            one["credits"] = _credits(draw, start)
        if chance(draw, 3):
            one["billing"] = _billing(draw)
    if chance(draw, 2):
        found["issuer"] = {"name": pick(draw, ["Kontor", "Kontor", "Office"])}
    if not chance(draw, 4):
        found["payouts"] = _payouts(draw)
    for part in ("issuer", "payouts"):
        if part in found and chance(draw, 6):
            del found[part]
    return found


def first_document(draw: Draw, start: int) -> dict[str, Any]:
    """A first catalog; its accounts lie east and west of Greenwich, and some come later."""
    found = document(draw, start)
    meters = {name: stretched(draw, meter) for name, meter in found["meters"].items()}
    accounts = {}
    for name, zones in ZONES.items():
        if name == "a" or not chance(draw, 5):
            one = found["accounts"].get(name) or an_account(draw, list(found["plans"]), "UTC", start)
            accounts[name] = {**one, "timezone": pick(draw, zones)}
    currency = pick(draw, CURRENCIES)
    costs = {**found["costs"], "aliases": [{"provider": "Acme GPU", "as": "acme-gpu"}]}
    costs["fx"] = _fx(costs.get("fx", {}), currency)
    found |= {"meters": meters, "accounts": accounts, "currency": currency, "costs": costs}
    found |= {
        "effective": rfc3339(start - pick(draw, [0, 3, 30]) * DAY),
        "dedupe": pick(draw, ["35d", "60d"]),
    }
    return _month_end_parts(draw, found, start)


def _fx(fx: dict[str, str], currency: str) -> dict[str, str]:
    own = {"USD": "0.92", **fx} if currency != "USD" else fx
    return {name: rate for name, rate in own.items() if name != currency}


class MonthLog(Log):
    """A log of several months that is being drawn."""

    STEPS: ClassVar[list[int]] = [0, 0, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 2 * DAY]
    LEAPS: ClassVar[list[int]] = [0] * 5 + [HOUR] * 8 + [6 * HOUR, 6 * HOUR, DAY, DAY, 2 * DAY, 5 * DAY]
    LATENESS: ClassVar[list[int]] = (
        [0] * 12 + [n * DAY for n in (1, 2, 5, 10, 20, 30, 33)] + [HOUR, 12 * HOUR]
    )

    def work(self) -> Work:
        """Few pieces of work, so that they meet again in later months; some of their own."""
        number = pick(self.draw, range(12)) if not chance(self.draw, 3) else len(self.records) + 100
        name = pick(self.draw, [*ZONES, *ZONES, "nobody"])
        return replace(super().work(), account=name, run=f"r{number}", doc=f"d{number}")

    def news(self) -> None:
        """News of former work: a verdict, most often, or more of it."""
        events = [r for r in self.records if isinstance(r, EventRecord)]
        if events:
            body = json.loads(pick(self.draw, events).raw)
            data = body["data"]
            doc = data["attributes"].get("doc", data["run_id"])
            where = body["subject"], data["workflow"], data["run_id"]
            self.event(Work(*where, doc, data.get("workspace"), live=True), pick(self.draw, NEWS))

    def body(self, time: int, number: int, work: Work, kind: str) -> dict[str, Any]:
        """An event; some requests cost more than they bring, some name the provider otherwise."""
        found = super().body(time, number, work, kind)
        if found["type"] == "ai.request":
            if chance(self.draw, 4):
                found["data"]["provider"] = "Acme GPU"
            if chance(self.draw, 6):
                amount = pick(self.draw, ["4.5", "0.999999999999", "12"])
                found["data"]["cost"] = {"amount": amount, "currency": self.document["currency"]}
        return found

    def later(self, effective: int) -> dict[str, Any]:
        """The next catalog, with windows of days."""
        found = next_document(self.draw, self.document, effective, self.version)
        before = self.document["meters"]
        meters = {
            name: meter if meter == before.get(name) else stretched(self.draw, meter)
            for name, meter in found["meters"].items()
        }
        costs = {**found["costs"], "fx": _fx(found["costs"].get("fx", {}), found["currency"])}
        accounts = dict(found["accounts"])
        for name in [
            name for name in list(ZONES)[2:] if chance(self.draw, 5)
        ]:  # entered late, or on another plan
            zone = accounts.get(name, {}).get("timezone", found["timezone"])
            accounts[name] = an_account(self.draw, list(found["plans"]), zone, effective)
        found |= {"meters": meters, "costs": costs, "accounts": accounts}
        return _month_end_parts(self.draw, found, effective) if chance(self.draw, 2) else found

    # -- months -----------------------------------------------------------------------------------------

    def _zone_month(self, name: str) -> tuple[int, int]:
        """An account's month now, and the instant at which its next one begins."""
        calendar = Calendar()
        calendar.publish(catalog_of(self.document))
        month = calendar.month(name, self.now)
        following = month + 1 if month % 100 < 12 else month + 89
        return month, calendar.midnight(name, calendar.days(following)[0])

    def end(self) -> None:
        """Go to the end of the month in some account's zone, to a microsecond or to some hours."""
        _, ends = self._zone_month(pick(self.draw, ["a", "b", "c"]))
        self.now = max(
            self.now, ends + pick(self.draw, [-HOUR, -1, 0, 1, 10 * MINUTE, 3 * HOUR, DAY, 4 * DAY])
        )

    def close(self) -> None:
        """A close, mostly of the month before; sometimes two at once, too early, or killed."""
        month, _ = self._zone_month("c")
        before = month - 1 if month % 100 > 1 else month - 89
        period = pick(self.draw, [before] * 5 + [month])
        now = chance(self.draw, 4)
        grace = pick(self.draw, [0, 0, DAY])
        offset = len(self.records)
        self.records.append(Close(offset, period, grace, now, not chance(self.draw, 6), self.stamp))

    def top_up(self) -> None:
        """A top-up."""
        names = {"Pack": "5.00", "Gift": "0", "Block": "40.005"}
        name = pick(self.draw, list(names))
        expires = pick(self.draw, [None, 5 * DAY, 40 * DAY])
        credit = pick(self.draw, ["2.50", "10.00", "0.333"])
        who = pick(self.draw, list(ZONES))
        self.records.append(TopUp(len(self.records), who, name, names[name], credit, expires, self.stamp))

    def correction(self, action: str) -> None:
        """A waiver, or the end of one."""
        self.records.append(Correct(len(self.records), action, pick(self.draw, range(12)), self.stamp))

    def rerate(self) -> None:
        """A price of some published catalog was wrong, for all months or from one on."""
        latest: dict[tuple[str, int], Any] = {}
        documents: dict[str, Any] = {}
        for record in self.records:
            if isinstance(record, (Publication, Rerate)):
                documents[record.document["catalog"]] = record.document
                latest |= {(name, p["version"]): p for name, p in record.document["plans"].items()}
        before = pick(self.draw, list(documents.values()))
        plans = {name: latest[name, plan["version"]] for name, plan in before["plans"].items()}
        made = corrected(self.draw, {**before, "plans": plans})
        if made is None:
            return
        month, ends = self._zone_month("c")
        since: dict[str, int] = pick(
            self.draw,
            [{}, {}, {"from_month": month}, {"from_month": following(month)}, {"from_us": ends - 31 * DAY}],
        )
        self.records.append(Rerate(len(self.records), made, **since, timestamp_us=self.stamp))
        latest |= {(name, plan["version"]): plan for name, plan in made["plans"].items()}
        own = self.document["plans"].items()
        self.document = {**self.document, "plans": {n: latest.get((n, p["version"]), p) for n, p in own}}

    def last(self) -> None:
        """Weeks later all months are closed, so that nothing waits for an invoice."""
        self.now += 40 * DAY
        month, _ = self._zone_month("c")
        self.records.append(Tick(len(self.records), self.now + self.behind))
        self.records.append(
            Close(len(self.records), month, 0, now=True, issues=True, timestamp_us=self.stamp)
        )


@st.composite
def month_histories(draw: Draw) -> MonthHistory:
    """Logs of several months drawn by Hypothesis."""
    return month_history(draw, length=24)


def month_history(draw: Draw, length: int = 220) -> MonthHistory:
    """A whole log."""
    kafka = chance(draw, 3)
    start = instant(pick(draw, STARTS))
    catalog = first_document(draw, start)
    while not holds(catalog):
        catalog = first_document(draw, start)
    first = Publication(0, catalog, start - 20 * DAY if kafka else None)
    behind = pick(draw, [0, 0, 2 * DAY]) if kafka else 0
    log = MonthLog(draw, kafka, start, start, behind, [first, Tick(1, start + behind)], catalog)
    for _ in range(pick(draw, range(length // 2, length + 1))):
        log.leap()
        kind = pick(draw, KINDS)
        if kind == "event":
            log.event(log.work(), pick(draw, TYPES))
        elif kind in ("waive", "restore"):
            log.correction(kind)
        elif kind in ("again", "tick", "publication"):
            log.other(kind)
        else:
            getattr(log, kind)()
    log.last()
    return MonthHistory(kafka, tuple(log.records), restarts=chance(draw, 3))
