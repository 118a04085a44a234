"""An attribute of a unit is that of its latest event, whatever came between."""

from __future__ import annotations

import json

from tests.engine.builders import an_event, folded, units


def test_attributes_that_repeat_are_those_of_the_last_time_that_they_came() -> None:
    """us at 12:50, then eu of 12:30, late, then eu again at 13:00: it is eu, also where no state is saved."""
    regions = (("12:50", "us"), ("12:30", "eu"), ("13:00", "eu"))
    events = [
        an_event(id=clock, time=f"2026-10-05T{clock}:00Z", data__attributes={"region": region, "doc": "d1"})
        for clock, region in regions
    ]
    end = an_event(id="end", time="2026-10-05T13:05:00Z", type="work.completed", data__provider=None)
    _, checkpoint = folded([*events, end], then_us=3 * 86_400_000_000)
    assert json.loads(units(checkpoint)[-1]["attributes"]) == {"region": "eu", "doc": "d1"}
