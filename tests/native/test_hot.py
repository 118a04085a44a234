"""The native parts that hold state answer like the plain ones, whatever is done to them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.native.mutations import an_event, encoded
from tests.native.test_prepare import a_batch, an_engine
from unitrate import hot, identities, ledger, prepare
from unitrate.identities import Seen
from unitrate.rows import USAGE, Texts

pytestmark = pytest.mark.skipif(
    hot.HotUnit.__module__ == hot.__name__,
    reason="no native version here; test_prepare.py fails where there should be one",
)
names = st.sampled_from(USAGE)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)


@given(st.lists(st.tuples(st.sampled_from("sdp"), keys)))
def test_keys_answer_like_a_dict(steps: Sequence[tuple[str, str]]) -> None:
    """Set, deleted and popped in any order, colliding or not; what is missing raises alike."""
    native: hot.Keys[object] = hot.Keys()
    plain: dict[str, object] = {}
    for number, (step, key) in enumerate(steps):
        if step == "s":
            native[key] = plain[key] = number
        elif step == "p":
            assert native.pop(key, None) == plain.pop(key, None)
        elif key in plain:
            del native[key], plain[key]
        else:
            with pytest.raises(KeyError):
                del native[key]
        assert len(native) == len(plain)
        assert (key in native) == (key in plain)
    for _, key in steps:
        assert native.get(key) == plain.get(key)
    assert native.get(None) is None


def test_many_keys_survive_growing_and_shrinking() -> None:
    """Gaps are closed behind deleted keys, so that none of the others is lost."""
    random, plain = Random(5), dict[str, int]()
    native: hot.Keys[int] = hot.Keys()
    for number in range(20_000):
        key = f"run-{random.randrange(3_000)}"
        if random.random() < 0.4:
            assert native.pop(key, -1) == plain.pop(key, -1)
        else:
            native[key] = plain[key] = number
    assert len(native) == len(plain)
    assert all(native[key] == value for key, value in plain.items())


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 50_000))))
def test_recent_identities_answer_like_a_dict(given: Sequence[tuple[int, int]]) -> None:
    """The last day of a digest counts, and all of them are handed over."""
    native, plain = hot.Recent(), hot.PlainRecent()
    for which, day in given:
        native[which.to_bytes(16, "big")] = plain[which.to_bytes(16, "big")] = day
    for which in range(42):
        assert native.get(which.to_bytes(16, "little")) == plain.get(which.to_bytes(16, "little"))
    assert len(native) == len(plain)
    taken, wanted = (
        sorted(zip([d[i : i + 16] for i in range(0, len(d), 16)], memoryview(days).cast("i"), strict=True))
        for d, days in (native.take(), plain.take())
    )
    assert taken == wanted
    assert len(native) == 0


@given(st.lists(st.dictionaries(names, st.integers(0, 10**12))), st.lists(st.integers(0, 9 * 10**18)))
def test_a_units_sums_are_those_of_plain_integers(
    usages: Sequence[dict[str, int]], costs: Sequence[int]
) -> None:
    """Counts in the order in which they came; costs beyond 64 bits."""
    native: Any = hot.HotUnit()
    plain: Any = hot.PlainUnit()
    for unit in (native, plain):
        unit.usage, unit.cost = {}, -1
        for usage in usages:
            unit.add_usage(usage)
        for cost in costs:
            unit.cost += cost
    assert list(native.usage.items()) == list(plain.usage.items())
    assert native.cost == plain.cost


def test_an_unknown_name_of_a_count_is_an_error() -> None:
    """It would be lost."""
    with pytest.raises(KeyError):
        hot.HotUnit().add_usage({"input_token": 1})


def test_a_units_flags_are_booleans_and_its_times_integers_of_64_bits() -> None:
    """What does not fit raises; nothing is cut."""
    unit: Any = hot.HotUnit()
    with pytest.raises(TypeError):
        unit.dirty = 1
    with pytest.raises(OverflowError):
        unit.last = 2**63
    unit.last = -(2**62)
    assert unit.last == -(2**62)


@pytest.mark.parametrize("seed", range(4))
def test_columns_are_those_of_the_plain_version(seed: int) -> None:
    """Of records that were prepared natively, and of those that the plain version had to prepare."""
    random, engine = Random(seed), an_engine()
    batch = a_batch([encoded(random, an_event(random)) for _ in range(300)])
    once = prepare.prepare(engine, batch)
    columns, plain = ledger.EventBuffer().columns, ledger.PlainColumns()
    for prepared in (once, native_of(engine, batch)):
        for at in range(len(once)):
            if once[at][1] is not None:
                for to in (columns, plain):
                    to.append(prepared, at, at + 7, 1, 2, 3, f"unit {at}")
    assert len(columns) == len(plain) > 100
    assert columns.take() == plain.take()
    assert columns.take()[0] == 0


def native_of(engine: Any, batch: Any) -> Any:
    from unitrate._prepare import prepare as natively

    return natively(engine, batch)


def test_texts_are_read_back() -> None:
    """The form in which columns of texts go to the store."""
    plain = Texts(b"\1\0\0\0\1\0\0\0\4\0\0\0", "aü€"[:1].encode() + b"b\xc3\xbc")
    assert list(plain) == ["a", "", "bü"]
    assert len(plain) == 3


@given(st.lists(st.integers(0, 60), min_size=1), st.lists(st.integers(0, 90)))
def test_segments_are_searched_alike(kept: Sequence[int], asked: Sequence[int]) -> None:
    """Digests that are there, once or more, and others; of which some share a half."""

    def of(number: int) -> bytes:
        return (number // 3).to_bytes(8, "little") + (number % 7).to_bytes(8, "big")

    seen = Seen(recent_limit=1)
    for number in kept:
        seen.add(of(number), 1)
        seen.compact(0)
    question = b"".join(map(of, asked))
    for part in seen._segments:
        wanted = identities.plain_find(part.high, part.low, part.bloom, question)
        assert part.find(question) == wanted
    assert set(seen.older(question)) == {i for i, number in enumerate(asked) if of(number) in map(of, kept)}
