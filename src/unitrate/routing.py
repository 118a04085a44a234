"""Which meter an event belongs to, and what its requests cost: one cached look-up an event.

Owns `Shape`: all that events have in common which agree in type, workflow, provider, model and the like.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from unitrate.catalog.compiled import Meter
from unitrate.costs import Rates
from unitrate.events import VERDICTS, Event
from unitrate.timeline import Timeline

MOST_SHAPES = 50_000


class Shape:
    """What is known of an event before its account, time and counts are looked at."""

    __slots__ = (
        "background", "catalog", "code", "code_generation", "fast_meter", "hi", "internal", "is_request",
        "is_verdict", "ledger", "lo", "marks", "meters", "operation", "rates", "status", "test",
        "type", "workflow", "workspace",
    )  # fmt: skip

    def __init__(self, timeline: Timeline, event: Event, time_us: int) -> None:
        data = event.data
        self.catalog, self.lo, self.hi = timeline.interval(time_us)
        self.type = event.type
        self.workflow, self.workspace = data.workflow, data.workspace or ""
        self.is_request = event.type == "ai.request"
        self.is_verdict = event.type in VERDICTS
        self.background = self.is_request and data.background is True
        self.test = data.mode == "test"
        self.internal = data.mode == "internal"
        self.marks = self.test or self.internal
        self.operation = (data.operation or "chat") if self.is_request else ""
        self.status = (data.status or "ok") if self.is_request else ""
        self.meters = tuple(m for m in self.catalog.meters if self._fits(m, data.workflow))
        self.fast_meter = self._fast()
        self.rates: Rates | None = None
        if self.is_request:
            self.rates = self.catalog.costs.rates(data.provider, data.model or "", time_us)
            if self.rates is not None:
                self.lo = max(self.lo, self.rates.valid_from_us)
                self.hi = min(self.hi, self.rates.valid_until_us)
        self.code = self.code_generation = -1
        self.ledger = (
            event.type, data.workflow, data.workspace or "", data.mode or "live", data.provider or "",
            data.model or "", self.operation, self.status, data.step or "", self.background,
            self.catalog.id, self.catalog.book_version if self.is_request else "",
        )  # fmt: skip

    def _fast(self) -> Meter | None:
        """The meter, where a request can only mean that one and no rule of it looks beyond the key."""
        if not self.is_request or self.background or not self.meters:
            return None
        meter = self.meters[0]
        plain = meter.each is None and not meter.match and self.type not in meter.end_on
        return meter if plain else None

    def _fits(self, meter: Meter, workflow: str) -> bool:
        if not any(workflow == w or fnmatchcase(workflow, w) for w in meter.workflows):
            return False
        each = meter.each
        if each is None:
            return True
        return each.type == self.type and each.operation in (None, self.operation)

    def cost(self, usage: Mapping[str, int] | None) -> int | None:
        """Computed cost of one request in 10⁻¹²; None where it is unpriced (D48)."""
        if self.rates is not None:
            return self.rates.cost_pico(usage or {})
        return None if usage and any(usage.values()) else 0


class Shapes:
    """The shapes seen so far, by what events tell."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._known: dict[tuple[Any, ...], list[Shape]] = {}
        self.find = self._known.get
        self.generation = 0  # changes when shapes are forgotten; who keeps some must forget them too

    def make(self, key: tuple[Any, ...], event: Event, time_us: int) -> Shape:
        """The shape of the key that holds at the time, kept in front of those of other times."""
        shapes = self._known.get(key)
        if shapes is None:
            if len(self._known) >= MOST_SHAPES:
                self.clear()
            shapes = self._known[key] = []
        for i, shape in enumerate(shapes):
            if shape.lo <= time_us < shape.hi:
                shapes.insert(0, shapes.pop(i))
                return shape
        shape = Shape(self._timeline, event, time_us)
        shapes.insert(0, shape)
        del shapes[16:]  # price windows by the hour would pile up
        return shape

    def clear(self) -> None:
        """Forget all: the catalogs changed, or there are too many."""
        self._known.clear()
        self.generation += 1
