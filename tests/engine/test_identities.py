"""Identities are exact however they are kept, and small."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from tests.engine.builders import a_catalog, an_event, raw
from unitrate.engine import Batch, Engine
from unitrate.identities import Seen, digest, prefix


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), max_size=200),
    st.integers(1, 30),
    st.lists(st.integers(0, 80), min_size=1, max_size=40),
)
def test_segments_answer_like_a_dict(added: list[tuple[int, int]], limit: int, asked: list[int]) -> None:
    """Whatever was compacted when, the latest day of a digest is found, and nothing else is."""
    seen, plain = Seen(recent_limit=limit), dict[bytes, int]()
    head = prefix("acme", "test")
    for name, later in added:
        which = digest(head, str(name))
        plain[which] = plain.get(which, 0) + later  # an identity comes again only with a later day
        seen.add(which, plain[which])
        seen.compact(0)
    digests = [digest(head, str(name)) for name in asked]
    older = seen.older(b"".join(digests))
    for i, which in enumerate(digests):
        days = [d for d in (older.get(i), seen.recent.get(which)) if d is not None]
        assert (max(days) if days else None) == plain.get(which)


def test_payloads_survive_compaction() -> None:
    """A final unit's end and ordinal are found again in a segment."""
    seen = Seen(with_payload=True, recent_limit=10)
    head = prefix("key", "acme", "review")
    for i in range(1000):
        seen.add(digest(head, str(i)), i % 50, i * 7)
        seen.compact(0)
    assert all(seen.get(digest(head, str(i))) == (i % 50, i * 7) for i in range(1000))
    assert seen.get(digest(head, "1000")) is None


def test_parts_of_an_identity_cannot_be_confused() -> None:
    """("ab", "c") and ("a", "bc") are two identities."""
    assert digest(prefix("ab", "c"), "d") != digest(prefix("a", "bc"), "d")
    assert digest(prefix("a", "b"), "cd") != digest(prefix("a", "bc"), "d")


def test_an_old_identity_takes_at_most_40_bytes() -> None:
    """I7: what lies in segments is a fixed number of bytes each."""
    seen = Seen(recent_limit=10_000)
    head = prefix("acme", "test")
    for i in range(100_000):
        seen.add(digest(head, str(i)), 20_000)
        seen.compact(0)
    assert not seen.recent
    held = sum(
        getattr(segment, name).nbytes
        for segment in seen._segments
        for name in ("high", "low", "days", "bloom")
    )
    assert held <= 40 * 100_000
    assert sys.getsizeof(seen.recent) < 10_000


def test_days_before_the_horizon_are_dropped_when_segments_merge() -> None:
    """Memory is bounded by the horizon, not by the log's length."""
    seen = Seen(recent_limit=100)
    head = prefix("acme", "test")
    for day in range(200):
        for i in range(100):
            seen.add(digest(head, f"{day}-{i}"), day)
        seen.compact(day - 35)
    assert len(seen) < 100 * 35 * 6
    assert len(seen) >= 100 * 35


def test_the_stubs_of_final_units_become_few_bytes_too() -> None:
    """I7: a unit that is over leaves 28 bytes and its share of a filter, not an object."""
    engine = Engine()
    engine.publish(0, a_catalog())
    engine.life.stubs.limit = 100
    minute = 0
    for n in range(40):
        events = []
        for i in range(10):
            minute += 1
            time = f"2026-10-{1 + minute // 1440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:00Z"
            events.append(
                raw(an_event(id=f"{n}-{i}", type="work.completed", time=time, data__run_id=f"r{n}-{i}"))
            )
        offset = 1 + n * 20
        engine.fold(Batch(events, range(offset, offset + 10), 2**60, None, str))
        engine.tick(offset + 15, engine.clock_us + 86_400_000_001)
        minute += 1440
        if minute > 28 * 1440:
            break
    assert len(engine.life.stubs.recent) < 100
    assert len(engine.life.stubs) > 150
