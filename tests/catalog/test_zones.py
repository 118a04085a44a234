"""Time zones as tables agree with the zone rules at every instant, and months begin where people expect."""

from __future__ import annotations

import random
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from unitrate.catalog.compiled import Zone
from unitrate.catalog.publication import compile_publication, publication
from unitrate.catalog.source import load_text
from unitrate.catalog.zones import offset_changes, zone_names

SECOND_US = 1_000_000


def zone(name: str) -> Zone:
    """A zone as a replay gets it: through a publication."""
    text = f"catalog: a\neffective: 2026-10-01T00:00:00Z\ncurrency: USD\ntimezone: {name}\n"
    return compile_publication(publication(load_text(text)[0])).zone


@pytest.mark.parametrize(
    "name",
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Pacific/Apia",
        "Asia/Kathmandu",
    ],
)
def test_a_table_agrees_with_the_zone_at_any_instant(name: str) -> None:
    """Two thousand instants from 1970 to 2099, and the seconds around every change."""
    starts, offsets = offset_changes(name)
    with files("tzdata").joinpath("zoneinfo", name).open("rb") as data:
        rules = ZoneInfo.from_file(data)
    dice = random.Random(name)
    moments = [dice.randrange(0, 4_102_444_800) for _ in range(2000)]
    moments += [start + shift for start in starts[1:] for shift in (-1, 0, 1)]
    expected = [datetime.fromtimestamp(moment, rules).utcoffset() for moment in moments]
    found = [timedelta(seconds=offsets[bisect_right(starts, moment) - 1]) for moment in moments]
    assert found == expected


def test_months_begin_at_local_midnight_on_both_sides_of_daylight_saving() -> None:
    """Berlin is two hours ahead in October and one hour in November."""
    berlin = zone("Europe/Berlin")
    october = (date(2026, 10, 1) - date(1970, 1, 1)).days
    november = (date(2026, 11, 1) - date(1970, 1, 1)).days
    starts = [datetime.fromtimestamp(berlin.day_start_us(d) / SECOND_US, UTC) for d in (october, november)]
    assert [start.isoformat() for start in starts] == [
        "2026-09-30T22:00:00+00:00",
        "2026-10-31T23:00:00+00:00",
    ]


def test_before_1970_the_first_offset_holds() -> None:
    """No instant is without an offset."""
    assert zone("Europe/Berlin").local_day(-1) == 0


def test_every_zone_that_a_catalog_may_name_can_be_read() -> None:
    """Links and old names included."""
    assert {"Europe/Kiev", "Europe/Kyiv", "America/Argentina/Buenos_Aires", "Etc/GMT+5"} <= zone_names()
    assert offset_changes("America/Argentina/Buenos_Aires")[1][-1] == -3 * 3600
    assert offset_changes("Etc/GMT+5") == ((0,), (-5 * 3600,))
