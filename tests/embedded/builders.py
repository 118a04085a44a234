"""Small catalogs and event files, and what a store holds in the end."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from unitrate import rows
from unitrate.catalog.source import Version, load_text
from unitrate.runtime import embedded
from unitrate.runtime.embedded import Summary
from unitrate.state import decode
from unitrate.store import Store, checkpoint, open_store

START = datetime(2025, 11, 3, 8, tzinfo=UTC)
CATALOG = """
catalog: 2025-11
effective: 2025-11-01T00:00:00Z
currency: USD
timezone: UTC
costs:
  models: [{provider: p, model: "*", input: 1.00, output: 2.00}]
meters:
  review: {unit: document, workflow: review, key: document_id, end: {idle: 30m}, settle: 1h}
  tool: {unit: action, workflow: tool, each: {type: ai.request}}
  lead:
    unit: outcome
    workflow: lead
    end: {on: [work.completed], idle: 2h}
    accept: {on: work.accepted, within: 3h, otherwise: none}
plans:
  basic:
    version: 1
    charges:
      - name: Reviews
        meter: review
        included: 2
        price: {model: graduated, tiers: [{up_to: 5, rate: 1}, {rate: 0.7}]}
      - {name: Tools, meter: tool, price: {model: cost_plus, markup: 0.4, per_unit: 0.01}}
      - {name: Leads, meter: lead, price: {model: unit, rate: 9.90}}
accounts:
  a0: {plan: basic, from: 2025-11-01}
  a1: {plan: basic, from: 2025-11-01, timezone: Europe/Berlin}
  a2: {plan: basic, from: 2025-11-01}
"""
TABLES = {
    "events": rows.EVENTS,
    "units": rows.UNITS,
    "lines": rows.LINES,
    "cost_lines": rows.COST_LINES,
    "rejected_events": rows.REJECTED,
    "duplicates": rows.DUPLICATES,
}


def versions(text: str = CATALOG) -> list[Version]:
    return load_text(text)


def an_event(name: str, minute: float = 0, *, type: str = "ai.request", **data: Any) -> bytes:  # noqa: A002
    """One line: a request of account a0 on document d0, `minute` minutes after the start."""
    account = data.pop("account", "a0")
    own: dict[str, Any] = {"workflow": "review", "run_id": "r0", "attributes": {"document_id": "d0"}}
    if type == "ai.request":
        own |= {"provider": "p", "model": "m", "usage": {"input_tokens": 1000, "output_tokens": 10}}
    time = (START + timedelta(minutes=minute)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    event = {"specversion": "1.0", "id": name, "source": "gw", "type": type, "subject": account, "time": time}
    return json.dumps({**event, "data": {**own, **data}}).encode()


def write(path: Path, lines: Iterable[bytes]) -> str:
    """A file of lines; its name."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)


def append(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)


def traffic(seed: int, count: int) -> list[bytes]:
    """A mixed history: three customers and meters, ends, verdicts, duplicates, late and malformed events."""
    chance = random.Random(seed)
    lines: list[bytes] = []
    for number in range(count):
        account, minute = f"a{chance.randrange(3)}", number * 0.5 - chance.choice((0, 0, 0, 40, 300))
        document = f"d{number // 40}-{chance.randrange(4)}"
        draw = chance.random()
        if draw < 0.03:
            lines.append(b'{"specversion": "1.0", broken')
        elif draw < 0.08 and lines:
            lines.append(chance.choice(lines))
        elif draw < 0.2:
            lines.append(
                an_event(f"t{number}", minute, account=account, workflow="tool", run_id=f"x{number}")
            )
        elif draw < 0.4:
            kind = chance.choice(("ai.request", "work.completed", "work.accepted"))
            lines.append(
                an_event(f"l{number}", minute, type=kind, account=account, workflow="lead", run_id=document)
            )
        else:
            kind = chance.choice(("ai.request",) * 9 + ("work.completed", "work.failed"))
            attributes = {"document_id": document}
            lines.append(
                an_event(
                    f"e{number}", minute, type=kind, account=account, run_id=document, attributes=attributes
                )
            )
    return lines


def run(store: Path, *events: str, catalog: str | None = CATALOG) -> Summary:
    """`unitrate run` in this process."""
    with open_store(str(store), create=True, command="unitrate run") as opened:
        return embedded.run(opened, versions(catalog) if catalog else [], events)


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows that the engine gave, by table, and its last marker: what two stores are compared by."""
    found = {}
    for table, columns in TABLES.items():
        names = ", ".join(f"hex({c.name})" if c.kind == "bytes" else f"`{c.name}`" for c in columns)
        found[table] = store.query(f"SELECT {names} FROM {table} FINAL ORDER BY ALL").rows
    marker = checkpoint.read_marker(store, 0)
    assert marker is not None
    found["marker"] = [(marker.last_offset, marker.generation), *marker.meta.items(), *marker.digests.items()]
    state = checkpoint.read_state(store, marker)
    found["state"] = sorted((row.kind, row.entity, row.version, str(decode(row.body))) for row in state)
    return found


def held_by(store: Path) -> dict[str, list[tuple[Any, ...]]]:
    with open_store(str(store)) as opened:
        return contents(opened)


def ids(store: Path, order: str = "offset") -> list[str]:
    """Ids of the accepted events in log order."""
    with open_store(str(store)) as opened:
        return [name for (name,) in opened.query(f"SELECT id FROM events FINAL ORDER BY {order}").rows]


def difference(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> list[str]:
    """The tables in which two contents differ, with the first row of each side that the other lacks."""
    found = []
    for table, here in one.items():
        there = other[table]
        if here != there:
            missing: Sequence[Any] = [row for row in here if row not in there][:1]
            extra: Sequence[Any] = [row for row in there if row not in here][:1]
            found.append(
                f"{table}: {len(here)} rows, {len(there)} rows; only here {missing}; only there {extra}"
            )
    return found
