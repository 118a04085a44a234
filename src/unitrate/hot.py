"""What nearly every event reads or writes: natively where that was built, else in plain Python.

Owns the plain versions and the choice, made once, at import. Both give the same answers; the native ones lie
closer together in memory, and the native half of the per-event path uses them without Python.
"""

from __future__ import annotations

from array import array
from typing import Any, TypeVar

T = TypeVar("T")


class PlainUnit:
    """The hot part of a unit: what it is, its sums and its times (`units.Unit` says what they mean)."""

    __slots__ = (
        "cost", "dirty", "idle_at", "internal", "last", "last_any", "meter", "opening", "repeated",
        "repeated_order", "repeated_time", "requests", "started", "state", "test", "unit_id", "usage",
        "version", "window_end",
    )  # fmt: skip
    usage: dict[str, int]  # of the native one: a copy

    def add_usage(self, usage: dict[str, int] | None) -> None:
        """Add the counts of a request."""
        if usage:
            sums = self.usage
            for name, count in usage.items():
                sums[name] = sums.get(name, 0) + count


class PlainAccount:
    """The hot part of an account."""

    __slots__ = ("at_home", "dirty", "highest", "oldest", "oldest_day", "version")


class PlainKeys(dict[str, T]):
    """Units by key."""

    __slots__ = ()


class PlainRecent(dict[bytes, int]):
    """Days by 128-bit digest."""

    __slots__ = ()

    def take(self) -> tuple[bytes, bytes]:
        """All digests and their days (int32), joined; it is empty then."""
        joined = b"".join(self), array("i", self.values()).tobytes()
        self.clear()
        return joined


plain: tuple[Any, ...] = (PlainUnit, PlainAccount, PlainKeys, PlainRecent)
try:
    from unitrate._prepare import HotAccount, HotUnit, Keys, Recent
except ImportError:
    HotUnit, HotAccount, Keys, Recent = plain  # type: ignore[misc]  # the same to all that use them

__all__ = ["HotAccount", "HotUnit", "Keys", "Recent"]
