"""Small catalogs, events and stores for the tests of the commands."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unitrate.cli import main

CATALOG = """\
catalog: 2025-11
effective: 2025-11-01T00:00:00Z
currency: USD
timezone: UTC
costs:
  models:
    - {provider: acme-ai, model: "big*", input: 2.00, output: 10.00}
meters:
  review:
    unit: document
    workflow: review
    key: document_id
    settle: 1h
plans:
  growth:
    version: 1
    fees: [{name: Platform, amount: 30.00, when: monthly}]
    charges:
      - {name: Reviews, meter: review, included: 1, price: {model: unit, rate: 1.25}}
accounts:
  acme: {name: Acme, plan: growth, from: 2025-11-01}
  idle: {name: Idle, plan: growth, from: 2025-11-01}
"""


def an_event(
    name: str,
    time: str,
    *,
    kind: str = "ai.request",
    account: str = "acme",
    run: str = "r1",
    document: str = "d1",
    usage: dict[str, int] | None = None,
    **data: Any,
) -> dict[str, Any]:
    """One event of the review workflow; `time` is an hour and minute of 3 November."""
    content: dict[str, Any] = {"workflow": "review", "run_id": run, "attributes": {"document_id": document}}
    if kind == "ai.request":
        content |= {"provider": "acme-ai", "model": "big-1", "usage": usage or {"input_tokens": 100_000}}
    return {
        "specversion": "1.0",
        "id": name,
        "source": "test",
        "type": kind,
        "subject": account,
        "time": f"2025-11-03T{time}:00Z",
        "data": content | data,
    }


def a_document(name: str, time: str, **data: Any) -> list[dict[str, Any]]:
    """A document that is reviewed by one request and completed a minute later."""
    hour, minute = time.split(":")
    later = f"{hour}:{int(minute) + 1:02d}"
    return [
        an_event(f"{name}-1", time, run=name, document=name, **data),
        an_event(f"{name}-2", later, kind="work.completed", run=name, document=name),
    ]


def written(path: Path, events: Iterable[dict[str, Any] | str]) -> Path:
    """Events as a .jsonl file; a text stands as it is."""
    lines = (event if isinstance(event, str) else json.dumps(event) for event in events)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def a_store(folder: Path, events: Iterable[dict[str, Any] | str], catalog: str = CATALOG) -> str:
    """A store that `unitrate run` made of the events."""
    (folder / "catalog.yaml").write_text(catalog, encoding="utf-8")
    file = written(folder / "events.jsonl", events)
    store = folder / "books"
    assert main(["run", "--catalog", str(folder / "catalog.yaml"), "--store", str(store), str(file)]) == 0
    return str(store)
