"""Hypothesis strategies for logs: histories that press on every boundary at once.

Owns what is drawn of events, ticks and publications. A history is a list of small steps over few accounts,
runs and keys; times cluster around the deadlines (idle, settle, within …, and a microsecond to either side).

Two modes: files (the clock is the highest event time, ticks move it) and Kafka (given timestamps).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from hypothesis import strategies as st

from tests.reference.builders import an_event, raw
from tests.reference.catalog_strategies import document, next_document
from tests.reference.catalog_view import DAY, SECOND, instant
from tests.reference.drawing import Draw, chance, pick
from tests.reference.rater import EventRecord, Publication, Record, Tick
from unitrate.catalog.source import from_data
from unitrate.errors import CatalogError

MINUTE, HOUR = 60 * SECOND, 3_600 * SECOND

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


@dataclass(frozen=True)
class History:
    """A drawn log."""

    kafka: bool
    records: tuple[Record, ...]


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
    ["ai.request", "work.completed", "work.annotated", "ai.request", "work.annotated"],
    ["work.completed", "ai.request", "work.rejected", "work.accepted", "work.rejected"],
    ["work.closed", "work.accepted", "work.annotated", "work.completed", "work.failed", "work.completed"],
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


def _work(draw: Draw, meters: int) -> Work:
    workflows = [["w0"], ["w0", "w0", "w1"], ["w0", "w0", "w0", "w1", "w1", "w2"]][meters - 1]
    stray = pick(draw, ["w1", "w2", "other"]) if chance(draw, 10) else None
    number = pick(draw, range(10))
    return Work(
        account=pick(draw, ["a"] * 7 + ["b"] * 2 + ["nobody"]),
        workflow=stray or pick(draw, workflows),
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


def holds(document: dict[str, Any]) -> bool:
    """Whether the catalog passes `check`."""
    try:
        from_data(document)
    except CatalogError:
        return False
    return True


@dataclass
class Log:
    """A log that is being drawn; the class's lists say how its time goes."""

    STEPS: ClassVar[list[int]] = STEPS
    LEAPS: ClassVar[list[int]] = LEAPS
    LATENESS: ClassVar[list[int]] = LATENESS

    draw: Draw
    kafka: bool
    start: int
    now: int
    behind: int  # how old events are when they reach Kafka
    records: list[Any]
    document: dict[str, Any]
    version: int = 1

    @property
    def stamp(self) -> int | None:
        """LogAppendTime of the next record; now and then a broker's clock is behind."""
        if not self.kafka:
            return None
        return self.now + self.behind - pick(self.draw, [0] * 15 + [10 * MINUTE])

    def step(self) -> None:
        """Let some time pass."""
        self.now += max(0, pick(self.draw, self.STEPS) + pick(self.draw, JITTER))

    def leap(self) -> None:
        """Let some time pass, or a day."""
        self.now += max(0, pick(self.draw, self.LEAPS) + pick(self.draw, JITTER))

    def event(self, work: Work, kind: str, fault: str = "") -> None:
        """One event, mostly in time."""
        late = pick(self.draw, self.LATENESS) + pick(self.draw, JITTER)
        if self.kafka and chance(self.draw, 12):
            late = -pick(self.draw, [MINUTE, 10 * MINUTE, HOUR, DAY - HOUR])  # a producer's clock ahead
        time = self.now + 25 * HOUR if fault == "future" else max(self.now - late, self.start - 60 * DAY)
        offset = len(self.records)
        event = self.body(time, offset, work, kind)
        bytes_ = _broken(self.draw, event) if fault == "broken" else raw(event)
        entered = self.now if fault == "future" else 2**62
        self.records.append(EventRecord(offset, bytes_, self.stamp, entered))

    def body(self, time: int, number: int, work: Work, kind: str) -> dict[str, Any]:
        """What an event says."""
        return _event(self.draw, time, number, work, kind)

    def later(self, effective: int) -> dict[str, Any]:
        """The next catalog."""
        return next_document(self.draw, self.document, effective, self.version)

    def work(self) -> Work:
        """Some piece of work, mostly of a meter that the catalog has."""
        return _work(self.draw, len(self.document["meters"]))

    def burst(self) -> None:
        """Several runs that end at once, so that tiers, caps and included usage are reached."""
        ends = pick(self.draw, ["work.completed", "work.closed"])
        work = replace(self.work(), live=True)
        for _ in range(pick(self.draw, range(2, 9))):
            name = f"r{pick(self.draw, range(20))}"
            one = replace(work, run=name, doc="d" + name, workspace=pick(self.draw, [None, "main", "qa"]))
            for kind in pick(self.draw, [[ends], ["ai.request", ends], [ends, "work.accepted"]]):
                self.event(one, kind)

    def story(self) -> None:
        """Some events about one piece of work."""
        work = self.work()
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
            document = self.later(effective)
            if holds(document):
                self.document = document
                self.records.append(Publication(offset, document, self.stamp))
        elif kind == "again" and events:
            again = pick(self.draw, events)
            self.records.append(replace(again, offset=offset, timestamp_us=self.stamp))


class DenseLog(Log):
    """Traffic on very few units of one account: much that is late, ends, re-opens and repeats."""

    LATENESS: ClassVar[list[int]] = [0] * 4 + [MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR]

    def work(self) -> Work:
        """One of two or three pieces of work."""
        work = super().work()
        number = pick(self.draw, range(3))
        account = pick(self.draw, ["a"] * 9 + ["b"])
        return replace(work, account=account, run=f"r{number}", doc=f"d{pick(self.draw, range(2))}")


KINDS = (
    ["story"] * 5
    + ["burst"] * 3
    + ["event"] * 5
    + ["again", "broken", "tick", "publication", "publication", "future"]
)


@st.composite
def histories(draw: Draw, kafka: bool | None = None, length: int = 20) -> History:
    """Logs drawn by Hypothesis."""
    return history(draw, kafka, length)


def history(draw: Draw, kafka: bool | None = None, length: int = 20) -> History:
    """A whole log: a catalog, then events, ticks and later catalogs."""
    if kafka is None:
        kafka = chance(draw, 2)
    start = instant(pick(draw, STARTS))
    first_document = document(draw, start)
    first = Publication(0, first_document, start - 40 * DAY if kafka else None)
    behind = pick(draw, [0, 0, 300 * DAY]) if kafka else 0
    kind_of_log = DenseLog if chance(draw, 3) else Log
    log = kind_of_log(draw, kafka, start, start, behind, [first], first_document)
    for _ in range(pick(draw, range(1, length + 1))):
        log.leap()
        kind = pick(draw, KINDS)
        if kind == "story":
            log.story()
        elif kind == "burst":
            log.burst()
        elif kind in ("event", "broken", "future"):
            log.event(log.work(), pick(draw, TYPES), kind)
        else:
            log.other(kind)
    return History(kafka, tuple(log.records))
