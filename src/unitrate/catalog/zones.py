"""Time zones as tables of offsets, so that a replay needs no time-zone data.

Owns reading the tzdata package (never the machine's own zone files, which differ between machines) and
turning a zone into the instants at which its offset changes, from 1970 to 2100.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.resources import files
from zoneinfo import ZoneInfo

_START = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(2100, 1, 2, tzinfo=UTC)
_STEP = timedelta(days=1)  # no zone has changed its offset and changed it back within a day


def data_version() -> str:
    """Version of the time-zone data, such as "tzdata 2026.1"."""
    return f"tzdata {version('tzdata')}"


@cache
def zone_names() -> frozenset[str]:
    """All zones that tzdata has."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@lru_cache(maxsize=512)
def offset_changes(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Seconds since 1970 at which an offset begins to hold, and the offsets (local − UTC) in seconds.

    The first offset holds before 1970 too; its instant is 0.
    """
    zone = _zone(name)
    starts, offsets = [0], [_offset(zone, _START)]
    moment = _START
    while moment < _END:
        later = moment + _STEP
        if _offset(zone, later) != offsets[-1]:
            later = _first_after(zone, moment, later, offsets[-1])
            starts.append(int((later - _START).total_seconds()))
            offsets.append(_offset(zone, later))
        moment = later
    return tuple(starts), tuple(offsets)


def _zone(name: str) -> ZoneInfo:
    resource = files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with resource.open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    if offset is None:
        raise ValueError(f"{zone} has no offset at {moment}")
    return int(offset.total_seconds())


def _first_after(zone: ZoneInfo, before: datetime, after: datetime, offset: int) -> datetime:
    """The first second in (before, after] whose offset is another one."""
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, before + timedelta(seconds=middle)) == offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)
