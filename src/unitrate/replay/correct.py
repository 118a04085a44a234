"""`unitrate correct`: an operator's decision about one unit, as a record in the log.

Owns the record's content and what it will do, told before it is written: the fold itself is asked, on a copy
of its state. What the record changes is `unitrate.months`'; a closed month gets it as an adjustment in the
first open one. Must never write without a name and a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from unitrate.engine import Engine
from unitrate.errors import InputError
from unitrate.explain.find import find
from unitrate.published import timeline
from unitrate.replay import log
from unitrate.replay.unit_facts import final_facts, is_let_go, unit_row
from unitrate.rows import LINES, UNITS
from unitrate.runtime import month_end
from unitrate.store import recovery

if TYPE_CHECKING:
    from unitrate.runtime.kafka_connection import KafkaConnection
    from unitrate.store import Store

WAIVE, RESTORE = "waive", "restore"
LONGEST = 1024  # characters of who and why
MADE = """
SELECT version, action, who, why FROM corrections FINAL
WHERE account = {account:String} AND unit_id = {unit:String} ORDER BY version
"""


class Decision(NamedTuple):
    """What an operator decides, and on whose word."""

    action: str  # waive | restore
    who: str
    why: str


class Line(NamedTuple):
    """A line that the correction makes."""

    bill_month: int
    usage_month: int
    charge: str
    amount_pico: int


@dataclass(frozen=True, slots=True)
class Effect:
    """A unit before and after its correction."""

    account: str
    unit_id: str
    meter: str
    key: str
    state: str
    before: tuple[str, str]  # disposition, reason
    after: tuple[str, str]
    lines: tuple[Line, ...]
    currency: str
    minor_digits: int


def correct(
    store: Store,
    what: str,
    decision: Decision,
    connection: KafkaConnection | None = None,
    *,
    dry_run: bool = False,
) -> Effect:
    """Waive a unit or take its waiver back; the effect. With `dry_run` nothing is written.

    Raises InputError for a unit that there is not, or a decision that changes nothing.
    """
    check_words(decision.who, decision.why)
    target = find(store, what)
    if target.kind != "unit":
        raise InputError(f'"{what}" is no unit: corrections are made unit by unit')
    unit = unit_row(store, target.id)
    made = store.query(MADE, {"account": unit["account"], "unit": unit["unit_id"]}).dicts()
    _check_change(unit, made, decision)
    content = _content(store, unit, made, decision)
    effect = _effect(store, unit, content)
    if not dry_run:
        # As many corrections seen, the same id: of two operators at once, the log takes one.
        control_id = f"correction:{unit['unit_id']}:{len(made)}"
        month_end.write(store, "correction", control_id, content, connection)
        _check_taken(store, unit, len(made), decision)
    return effect


def check_words(who: str, why: str) -> None:
    """What an operator decides needs a name and a reason. Raises InputError."""
    for name, text in (("who", who.strip()), ("why", why.strip())):
        if not text or len(text) > LONGEST:
            raise InputError(f"--{name}: {'say ' + name if not text else f'at most {LONGEST:,} characters'}")


def _check_change(unit: dict[str, Any], made: list[dict[str, Any]], decision: Decision) -> None:
    waived = bool(made) and made[-1]["action"] == WAIVE
    if decision.action == WAIVE and waived:
        raise InputError(f"{unit['key']} is waived already, by {made[-1]['who']}: {made[-1]['why']}")
    if decision.action == RESTORE and not waived:
        raise InputError(f"{unit['key']} is not waived: there is nothing to restore")
    if decision.action == WAIVE and is_let_go(unit) and unit["disposition"] != "billable":
        raise InputError(f"{unit['key']} does not bill ({unit['reason']}): there is nothing to waive")


def _content(
    store: Store, unit: dict[str, Any], made: list[dict[str, Any]], decision: Decision
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "account": unit["account"], "unit_id": unit["unit_id"], "action": decision.action,
        "who": decision.who.strip(), "why": decision.why.strip(),
    }  # fmt: skip
    if is_let_go(unit):
        waived_at = made[-1]["version"] if decision.action == RESTORE else None
        content["final"] = final_facts(store, timeline(store), unit, waived_at)
    return content


def _effect(store: Store, unit: dict[str, Any], content: dict[str, Any]) -> Effect:
    """What the fold would make of the record now."""
    engine = _engine(store, unit["partition"])
    out = engine.out
    kafka = engine.clock_us if engine.log_id else None
    engine.control(engine.last_offset + 1, kafka, "correction", "preview", msgspec.json.encode(content))
    live = engine.life.live.get(unit["unit_id"])
    rows = [row for row in out.units if row[_UNIT["unit_id"]] == unit["unit_id"]]
    if live is not None:
        after = ("held", "open") if unit["state"] == "open" else (live.disposition, live.reason)
    else:
        after = (rows[-1][_UNIT["disposition"]], rows[-1][_UNIT["reason"]])
    catalog = engine.timeline.catalogs[-1]
    return Effect(
        unit["account"], unit["unit_id"], unit["meter"], unit["key"], unit["state"],
        (unit["disposition"], unit["reason"]), after,
        tuple(Line(*(row[_LINE[name]] for name in _LINE_FIELDS)) for row in out.lines),
        catalog.currency, catalog.minor_digits,
    )  # fmt: skip


_UNIT = {column.name: at for at, column in enumerate(UNITS)}
_LINE = {column.name: at for at, column in enumerate(LINES)}
_LINE_FIELDS = ("bill_month", "usage_month", "charge", "amount")


def _engine(store: Store, partition: int) -> Engine:
    found = recovery.read(store, partition)
    assert found is not None  # there is a unit, so there was a checkpoint
    if store.is_folder:
        log.check_finished(store, found.marker.last_offset)
    return found.engine


def _check_taken(store: Store, unit: dict[str, Any], before: int, decision: Decision) -> None:
    """Of two operators at once one was first; a unit that ended meanwhile is another one now."""
    made = store.query(MADE, {"account": unit["account"], "unit": unit["unit_id"]}).dicts()
    taken = made[before:] and made[before]
    if not taken or (taken["who"], taken["why"]) != (decision.who.strip(), decision.why.strip()):
        by = f": {taken['who']} was first ({taken['action']}: {taken['why']})" if taken else ""
        raise InputError(f"{unit['key']} was changed at the same moment{by}; look at it again, then decide")
