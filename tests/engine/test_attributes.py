"""An attribute of a unit is that of its latest event, whatever came between."""

from __future__ import annotations

import json

from tests.engine.builders import an_event, folded, units


def test_attributes_that_repeat_are_those_of_the_last_time_that_they_came() -> None:
    """us at 12:50, then eu of 12:30, late, then eu again at 13:00: it is eu, also where no state is saved."""
    kinds = (("12:50", "us", "ai.request"), ("12:30", "eu", "ai.request"), ("13:00", "eu", "work.completed"))
    events = [
        an_event(
            id=clock,
            type=kind,
            time=f"2026-10-05T{clock}:00Z",
            data__attributes={"region": region, "doc": "d1"},
        )
        for clock, region, kind in kinds
    ]
    _, checkpoint = folded(events, then_us=3 * 86_400_000_000)
    assert json.loads(units(checkpoint)[-1]["attributes"]) == {"region": "eu", "doc": "d1"}
