"""What was seen before, exactly, in a few bytes each: event identities and the keys of final units.

A `Seen` maps a 128-bit digest to the UTC day until which it counts and, optionally, a 64-bit payload.
Recent digests are in a table; older ones in sorted segments of 16 + 4 (+ 8) bytes, each with a blocked
Bloom filter of 2 bytes a digest in front, so that a new digest costs one memory access a segment.
When a digest moves, and what is merged when, never changes an answer. Core: no I/O.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from unitrate.hot import Recent

RECENT = 200_000  # digests kept in the table before they become a segment
_FANOUT = 4  # a segment is merged with its neighbour when that is less than this many times larger


def prefix(*parts: str) -> bytes:
    """Head of a digest's input; with the last part behind it no two lists of parts are alike."""
    return "".join(f"{len(p)}:{p}" for p in parts).encode()


def digest(head: bytes, last: str) -> bytes:
    """128 bits of SHA-256 over the parts."""
    return sha256(head + last.encode()).digest()[:16]


class _Segment:
    """Digests sorted by their high half, with days, payloads and a Bloom filter."""

    __slots__ = ("bloom", "days", "high", "low", "payload")

    def __init__(
        self,
        high: NDArray[np.uint64],
        low: NDArray[np.uint64],
        days: NDArray[np.int32],
        payload: NDArray[np.int64] | None,
    ) -> None:
        order = np.argsort(high)
        self.high, self.low, self.days = high[order], low[order], days[order]
        self.payload = None if payload is None else payload[order]
        self.bloom = np.zeros(max(len(high) // 4, 1), np.uint64)  # 64 bits a word: 16 bits a digest
        np.bitwise_or.at(self.bloom, _word(low, len(self.bloom)), _mask(low))

    def find(self, digests: bytes) -> list[tuple[int, int]]:
        """(index in the question, index in the segment) of the joined digests that are here."""
        return find_digests(self.high, self.low, self.bloom, digests)


def plain_find(
    high: NDArray[np.uint64], low: NDArray[np.uint64], bloom: NDArray[np.uint64], digests: bytes, /
) -> list[tuple[int, int]]:
    """Those of the joined digests that are there; more than once what was forgotten and came again."""
    asked_high, asked_low = _halves(digests)
    mask = _mask(asked_low)
    maybe = np.flatnonzero((bloom[_word(asked_low, len(bloom))] & mask) == mask)
    found = []
    for i, start in zip(maybe.tolist(), np.searchsorted(high, asked_high[maybe]).tolist(), strict=True):
        at = start
        while at < len(high) and high[at] == asked_high[i]:
            if low[at] == asked_low[i]:
                found.append((i, at))
            at += 1
    return found


try:
    from unitrate._prepare import find_digests
except ImportError:
    find_digests = plain_find


def _word(low: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    return (low % np.uint64(count)).astype(np.int64)


def _mask(low: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Four bits of a Bloom word, from bits that do not choose the word."""
    one = np.uint64(1)
    bits = [one << ((low >> np.uint64(shift)) & np.uint64(63)) for shift in (58, 52, 46, 40)]
    mask: NDArray[np.uint64] = bits[0] | bits[1] | bits[2] | bits[3]
    return mask


def _halves(joined: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    both = np.frombuffer(joined, np.uint64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


class Seen:
    """Digest → day (and payload). The caller decides by the day whether an entry still counts."""

    def __init__(self, *, with_payload: bool = False, recent_limit: int = RECENT) -> None:
        self.recent = Recent()
        self.payloads: dict[bytes, int] | None = {} if with_payload else None
        self._segments: list[_Segment] = []
        self.limit = recent_limit

    def __len__(self) -> int:
        return len(self.recent) + sum(len(s.high) for s in self._segments)

    @property
    def has_older(self) -> bool:
        """Whether any digest is in a segment."""
        return bool(self._segments)

    def older(self, digests: bytes) -> dict[int, int]:
        """Index → day, for those of the joined digests that are in a segment."""
        found: dict[int, int] = {}
        if digests:
            for segment in self._segments:
                for i, at in segment.find(digests):
                    found[i] = max(int(segment.days[at]), found.get(i, -(2**31)))
        return found

    def get(self, one: bytes, since_day: int = -(2**31)) -> tuple[int, int] | None:
        """(day, payload) of the entry with the greatest payload of those since a day, or None."""
        found: list[tuple[int, int]] = []
        day = self.recent.get(one)
        if day is not None:
            found.append((day, 0 if self.payloads is None else self.payloads[one]))
        for segment in self._segments:
            for _, at in segment.find(one):
                payload = 0 if segment.payload is None else int(segment.payload[at])
                found.append((int(segment.days[at]), payload))
        if not found:
            return None
        return max((f for f in found if f[0] >= since_day), key=lambda f: f[1], default=None)

    def add(self, one: bytes, day: int, payload: int = 0) -> None:
        """Remember a digest; it replaces what stands among the recent ones."""
        self.recent[one] = day
        if self.payloads is not None:
            self.payloads[one] = payload

    def add_many(self, digests: list[bytes], days: list[int]) -> None:
        """Remember many, as recovery does."""
        for one, day in zip(digests, days, strict=True):
            self.recent[one] = day
        if self.payloads is not None:
            self.payloads.update(zip(digests, repeat(0)))
        self.compact(-(2**31))

    def compact(self, forget_before: int) -> None:
        """Move recent digests into a segment when there are many; drop days before `forget_before`."""
        if len(self.recent) < self.limit:
            return
        joined, joined_days = self.recent.take()
        high, low = _halves(joined)
        days = np.frombuffer(joined_days, np.int32)
        payload = None
        if self.payloads is not None:
            own = self.payloads
            payload = np.array([own[joined[i : i + 16]] for i in range(0, len(joined), 16)], np.int64)
            self.payloads = {}
        while self._segments and len(self._segments[-1].high) < _FANOUT * len(high):
            other = self._segments.pop()
            keep = other.days >= forget_before
            high = np.concatenate([other.high[keep], high])
            low = np.concatenate([other.low[keep], low])
            days = np.concatenate([other.days[keep], days])
            if payload is not None and other.payload is not None:
                payload = np.concatenate([other.payload[keep], payload])
        self._segments.append(_Segment(high, low, days, payload))
