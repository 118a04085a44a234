"""Times, months and zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.builders import a_catalog
from unitrate.catalog.compiling import compile_publication
from unitrate.events import parse_time
from unitrate.timeline import Timeline, civil_month, first_day, month_days, next_month

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.datetimes(datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("2099-12-30"))
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))


@given(INSTANTS, OFFSETS)
def test_a_time_is_read_to_the_microsecond(instant: datetime, zone: timezone) -> None:
    """Any zone, any precision of up to six digits: as Python's own datetime reads it."""
    moment = instant.replace(tzinfo=zone)
    assert parse_time(moment.isoformat()) == (moment - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("2026-10-05T12:00:00.1234569Z", "2026-10-05T12:00:00.123456Z"),
        ("2026-10-05T12:00:00.999999999+02:00", "2026-10-05T10:00:00.999999Z"),
        ("2026-10-05t12:00:00z", "2026-10-05T12:00:00Z"),
        ("2026-10-05T12:00:00.5Z", "2026-10-05T12:00:00.500Z"),
    ],
)
def test_times_are_truncated_to_microseconds(text: str, same_as: str) -> None:
    """Never rounded up: an event must not move into the next month by a nanosecond."""
    assert parse_time(text) == parse_time(same_as) is not None


@pytest.mark.parametrize(
    "text",
    [
        "", "Z", "2026-10-05", "2026-10-05T12:00Z", "2026-13-01T00:00:00Z", "2026-10-32T00:00:00Z",
        "2026-02-29T00:00:00Z", "2026-10-05T24:00:00Z", "2026-10-05T12:60:00Z", "2026-10-05T12:00:60Z",
        "2026-10-05T12:00:0 Z", "2026-10-05T12:00:00.Z", "2026-10-05T12:00:00.12aZ",
        "2026-10-05T12:00:00+24:00", "1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z",
        "２０２６-10-05T12:00:00Z", "2026-10-05T12:00:00Z ",
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    """RFC 3339 with a zone, and nothing else."""
    assert parse_time(text) is None


@given(st.dates(date(1970, 1, 1), date(2099, 12, 31)))
def test_months_are_the_calendars(day: date) -> None:
    """Days since 1970 map to the months of the Gregorian calendar."""
    number = day.toordinal() - EPOCH.toordinal()
    month = day.year * 100 + day.month
    assert civil_month(number) == month
    assert first_day(month) <= number < first_day(next_month(month))
    assert number in month_days(month)


def a_timeline(zone: str) -> Timeline:
    timeline = Timeline()
    account = {"plan": "basic", "from": "2026-01-01", "timezone": zone}
    timeline.add(compile_publication(a_catalog(accounts={"acme": account})))
    return timeline


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland", "UTC"]
)
@given(instant=INSTANTS)
def test_local_days_are_those_of_the_time_zone_database(zone: str, instant: datetime) -> None:
    """Daylight saving included, with no time-zone data at hand but the publication's."""
    moment = instant.replace(tzinfo=UTC)
    us = (moment - EPOCH) // timedelta(microseconds=1)
    here = moment.astimezone(ZoneInfo(zone))
    timeline = a_timeline_cached(zone)
    assert timeline.zone("acme").local_day(us) == here.date().toordinal() - EPOCH.toordinal()
    assert timeline.month("acme", us) == here.year * 100 + here.month


_TIMELINES: dict[str, Timeline] = {}


def a_timeline_cached(zone: str) -> Timeline:
    if zone not in _TIMELINES:
        _TIMELINES[zone] = a_timeline(zone)
    return _TIMELINES[zone]


@pytest.mark.parametrize(
    ("zone", "day", "starts"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z"),
        ("Europe/Berlin", "2026-03-30", "2026-03-29T22:00:00Z"),
        ("Europe/Berlin", "2026-10-26", "2026-10-25T23:00:00Z"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"),  # midnight itself is skipped
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),  # after a day that never was
    ],
)
def test_a_local_day_begins_at_its_first_instant(zone: str, day: str, starts: str) -> None:
    """Also where clocks change at midnight or a whole day is left out."""
    number = datetime.fromisoformat(day).toordinal() - EPOCH.toordinal()
    assert a_timeline_cached(zone).zone("acme").day_start_us(number) == parse_time(starts)
