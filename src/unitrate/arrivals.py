"""An event on its way to a unit, and what it may find there in a final unit's place.

Owns these two shapes only.
"""

from __future__ import annotations

from typing import Any

from unitrate.events import Event, read
from unitrate.routing import Shape

END_BITS = 52  # a stub's payload: ordinal, then end (µs)


class Item:
    """One event on its way to a unit: what was read, counted and priced of it."""

    __slots__ = (
        "attributes", "by_name", "completion_pico", "cost", "id", "offset", "retry_of", "run", "shape",
        "time", "unpriced", "usage",
    )  # fmt: skip

    def __init__(
        self, shape: Shape, time: int, offset: int, id_: str, run: str, retry_of: str, completion_pico: int,
        cost: int, unpriced: bool, usage: dict[str, int] | None, attributes: Any,
    ) -> None:  # fmt: skip
        self.shape = shape
        self.time = time
        self.offset = offset
        self.id = id_
        self.run = run
        self.retry_of = retry_of if retry_of != run else ""  # D51
        self.completion_pico = completion_pico
        self.cost = cost
        self.usage = usage
        self.attributes, _, self.by_name = attributes
        self.unpriced: list[Any] | None = None

    def remember_unpriced(self, raw: bytes) -> None:
        """Keep what a later catalog needs to price the request; a catalog may also say that it costs zero."""
        if not self.shape.catalog.unknown_is_zero:
            event = read(raw)
            assert isinstance(event, Event)
            data, bill = event.data, event.data.cost
            billed = (None, None) if bill is None else (str(bill.amount), bill.currency)
            self.unpriced = [data.provider, data.model or "", self.time, self.usage or {}, *billed]

    @property
    def ordinary(self) -> bool:
        """Neither background nor a verdict: such an event opens units and keeps them open."""
        return not (self.shape.is_verdict or self.shape.background)


class Stub:
    """What is left of a final unit inside the horizon."""

    __slots__ = ("by_run", "ended", "ordinal")

    def __init__(self, payload: int, by_run: bool) -> None:
        self.by_run = by_run
        self.ended = payload & ((1 << END_BITS) - 1)
        self.ordinal = payload >> END_BITS
