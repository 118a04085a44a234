"""A catalog and seeded traffic for streaming tests: documents, outcomes, actions, duplicates, garbage."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reference.builders import rfc3339

SECOND = 1_000_000
ACCOUNTS = [f"account-{n}" for n in range(12)]
CATALOG: dict[str, Any] = {
    "catalog": "first",
    "effective": "2020-01-01T00:00:00Z",
    "currency": "USD",
    "timezone": "UTC",
    "costs": {
        "models": [
            {"provider": "acme-gpu", "model": "m1", "input": "2.00", "cache_read": "0.20", "output": "12.00"}
        ]
    },
    "meters": {
        "review": {
            "unit": "document",
            "workflow": "review",
            "key": "document_id",
            # Some documents end by silence, within the seconds that a test lasts.
            "end": {"on": ["work.completed", "work.failed"], "idle": "3s", "max_age": "1h"},
            "settle": "1h",
            "attributes": {"pages": "max"},
            "sizes": {
                "by": "pages",
                "tiers": [{"name": "light", "up_to": 10}, {"name": "normal", "up_to": 50}, {"name": "heavy"}],
            },
        },
        "lead": {
            "unit": "outcome",
            "workflow": "lead",
            "settle": "1h",
            "accept": {"on": "work.accepted", "within": "1d", "otherwise": "none"},
            "reverse": {"on": ["work.rejected"], "within": "1d"},
        },
        "tools": {
            "unit": "action",
            "workflow": "tools",
            "each": {"type": "ai.request", "operation": "tool"},
        },
    },
    "plans": {
        "growth": {
            "version": 1,
            "charges": [
                {
                    "name": "Reviews",
                    "meter": "review",
                    "included": 5,
                    "by": "size",
                    "prices": {
                        "light": {"model": "unit", "rate": "0.40"},
                        "normal": {
                            "model": "graduated",
                            "tiers": [{"up_to": 20, "rate": "0.90"}, {"rate": "0.75"}],
                        },
                        "default": {"model": "unit", "rate": "2.50"},
                    },
                },
                {"name": "Leads", "meter": "lead", "price": {"model": "unit", "rate": "12.00"}},
                {
                    "name": "Tools",
                    "meter": "tools",
                    "price": {"model": "cost_plus", "markup": "0.40", "per_unit": "0.10"},
                },
            ],
        }
    },
    "accounts": {name: {"plan": "growth", "from": "2020-01-01"} for name in ACCOUNTS[:-1]},
}


def write_catalog(folder: Path, **changes: Any) -> Path:
    """The catalog as a file; JSON is YAML too."""
    document = {**CATALOG, **changes}
    path = folder / f"{document['catalog']}.yaml"
    path.write_text(json.dumps(document))
    return path


class Traffic:
    """An endless seeded stream of events as lines."""

    def __init__(self, seed: int, clock_us: Callable[[], int] = lambda: int(time.time() * SECOND)) -> None:
        self._random = random.Random(seed)
        self._clock_us = clock_us
        self._numbers = 0
        self._sent: list[bytes] = []
        self._open: list[tuple[str, str, str]] = []

    def lines(self, count: int) -> bytes:
        """The next `count` lines."""
        return b"".join(self.line() + b"\n" for _ in range(count))

    def line(self) -> bytes:
        chance = self._random.random()
        if chance < 0.05 and self._sent:
            return self._random.choice(self._sent)
        if chance < 0.06:
            return b'{"subject": "account-1", "id": broken'
        if chance < 0.07:
            return self._event("ai.request", self._unit("review"), usage={"input_tokens": -1})
        line = self._next()
        self._sent.append(line)
        self._sent = self._sent[-500:]
        return line

    def _next(self) -> bytes:
        chance = self._random.random()
        if chance < 0.15 and self._open:
            unit = self._open.pop(self._random.randrange(len(self._open)))
            kinds = ["work.completed", "work.completed", "work.failed"]
            if unit[0] == "lead":
                kinds = ["work.completed", "work.accepted", "work.rejected"]
            return self._event(self._random.choice(kinds), unit)
        if chance < 0.25:
            return self._event("ai.request", self._unit("tools"), operation="tool", **self._usage())
        if chance < 0.28:
            return self._event("ai.request", self._unit("unknown-workflow"), **self._usage())
        if chance < 0.5 and self._open:
            unit = self._random.choice(self._open)
        else:
            unit = self._unit(self._random.choice(["review", "review", "lead"]))
            self._open.append(unit)
        return self._event("ai.request", unit, **self._usage())

    def _unit(self, workflow: str) -> tuple[str, str, str]:
        self._numbers += 1
        return workflow, self._random.choice(ACCOUNTS), f"{workflow}-{self._numbers}"

    def _usage(self) -> dict[str, Any]:
        usage = {"input_tokens": self._random.randrange(5000), "output_tokens": self._random.randrange(900)}
        return {"usage": usage}

    def _event(self, kind: str, unit: tuple[str, str, str], **data: Any) -> bytes:
        workflow, account, key = unit
        self._numbers += 1
        body: dict[str, Any] = {"workflow": workflow, "run_id": key, **data}
        if workflow == "review":
            body["attributes"] = {"document_id": key, "pages": self._random.randrange(1, 120)}
        if kind == "ai.request":
            body |= {"provider": "acme-gpu", "model": "m1"}
        event = {
            "specversion": "1.0",
            "id": f"e{self._numbers}",
            "source": "traffic",
            "type": kind,
            "subject": account,
            "time": rfc3339(self._clock_us()),
            "data": body,
        }
        return json.dumps(event, separators=(",", ":")).encode()
