"""The native version of `prepare` gives what the plain one gives, record for record, whatever the bytes."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.native.mutations import an_event, encoded, some_raw
from unitrate import prepare
from unitrate.catalog.publication import publication
from unitrate.catalog.source import load
from unitrate.engine import Batch, Engine
from unitrate.events import PICO, Rejected

ROOT = Path(__file__).resolve().parents[2]
CATALOG = publication(load([ROOT / "benchmarks" / "catalog.yaml"])[0])
LATER_US = 1_900_000_000 * 10**6
ROUNDS = 12
RECORDS = 500


@pytest.fixture(scope="module")
def native() -> Any:
    """The extension, which `make setup` builds where there is a C compiler."""
    try:
        return importlib.import_module("unitrate._prepare")
    except ImportError as error:
        if shutil.which("cc") is None:
            pytest.skip("no C compiler: unitrate is pure Python here")
        pytest.fail(f"there is a C compiler, but no native version ({error}); run make setup again")


def an_engine() -> Engine:
    engine = Engine()
    engine.publish(0, CATALOG)
    return engine


def a_batch(raws: Sequence[bytes], instants: Sequence[int] | None = None) -> Batch:
    return Batch(list(raws), range(1, 1 + len(raws)), LATER_US, instants, str)


def figures(record: prepare.Prepared) -> list[Any]:
    """All of a record, with types and the order of its usage, which equality alone would let pass."""
    parts = [list(part.items()) if isinstance(part, dict) else part for part in record]
    return [(type(part), part) for part in parts]


def assert_same(raws: Sequence[bytes], found: list[prepare.Prepared], wanted: list[prepare.Prepared]) -> None:
    assert len(found) == len(wanted) == len(raws)
    for raw, one, other in zip(raws, found, wanted, strict=True):
        assert figures(one) == figures(other), raw[:2000]
        assert one[1] is other[1], raw[:2000]
        assert one[3] is other[3] or isinstance(one[3], Rejected), raw[:2000]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_every_record_is_prepared_alike(native: Any, seed: int) -> None:
    """With cold caches and with warm ones; seeds are in the test's name."""
    random, engine = Random(seed), an_engine()
    raws = [some_raw(random) for _ in range(RECORDS)]
    cold = native.prepare(engine, a_batch(raws))
    plain = prepare.prepare(engine, a_batch(raws))
    assert_same(raws, cold, plain)
    assert_same(raws, native.prepare(engine, a_batch(raws)), plain)


def test_the_fuzz_has_records_of_every_kind() -> None:
    """Else the comparison would say little: taken and rejected ones, for many reasons."""
    random, engine = Random(1), an_engine()
    records = prepare.prepare(engine, a_batch([some_raw(random) for _ in range(4000)]))
    reasons = {record[3].reason for record in records if record[1] is None}
    assert 1500 < sum(record[1] is not None for record in records) < 3500
    assert reasons >= {
        "not_json",
        "bad_envelope",
        "bad_time",
        "bad_data",
        "bad_usage",
        "bad_cost",
        "bad_attributes",
    }
    assert any(record[13] for record in records)


def test_common_events_do_not_need_the_plain_version(native: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a stream and a shape are known, the plain version is not asked again."""
    asked: list[bytes] = []
    plain = prepare.prepare_one

    def one(engine: Engine, raw: bytes, ahead_us: int) -> prepare.Prepared:
        asked.append(raw)
        return plain(engine, raw, ahead_us)

    monkeypatch.setattr(prepare, "prepare_one", one)
    random, engine = Random(2), an_engine()
    event = an_event(random)
    event["data"]["usage"] = {"input_tokens": 12, "output_tokens": 3}
    event["data"].pop("completion", None)
    raws = [encoded(random, {**event, "id": f"e{number}"}) for number in range(100)]
    native.prepare(engine, a_batch(raws))
    assert len(asked) == 1


def test_kafka_times_decide_by_record(native: Any) -> None:
    """The latest time that an event may have counts from its own entry into the log."""
    random, engine = Random(3), an_engine()
    raws = [encoded(random, an_event(random)) for _ in range(200)]
    instants = [random.choice((0, 1_762_000_000_000_000, LATER_US, 2**70)) for _ in raws]
    plain = prepare.prepare(engine, a_batch(raws, instants))
    assert {record[1] is None for record in plain} == {True, False}
    assert_same(raws, native.prepare(engine, a_batch(raws, instants)), plain)


def test_a_publication_changes_shapes_at_once(native: Any) -> None:
    """What is remembered of shapes goes with the catalogs that they came from."""
    random, engine = Random(4), an_engine()
    raws = [encoded(random, an_event(random)) for _ in range(50)]
    before = native.prepare(engine, a_batch(raws))
    engine.shapes.clear()
    after = native.prepare(engine, a_batch(raws))
    assert_same(raws, after, prepare.prepare(engine, a_batch(raws)))
    assert not {id(record[3]) for record in before} & {id(record[3]) for record in after}


def test_caches_stay_bounded(native: Any) -> None:
    """More shapes and streams than there is room for are still prepared alike."""
    random, engine = Random(5), an_engine()
    event = an_event(random)
    raws = []
    for number in range(40_000):
        event["data"]["step"], event["source"] = f"step-{number}", f"source-{number}"
        raws.append(encoded(random, event))
    found = list(native.prepare(engine, a_batch(raws)))
    assert_same(raws[::97], list(native.prepare(engine, a_batch(raws[::97]))), found[::97])


def test_errors_come_through(native: Any) -> None:
    """A batch that is none, and a bug in the plain version, are told and not swallowed."""
    engine = an_engine()
    with pytest.raises(AttributeError):
        native.prepare(engine, object())
    with pytest.raises(TypeError):
        native.prepare(engine, a_batch([None]))  # type: ignore[list-item]
    with pytest.raises(IndexError):
        native.prepare(engine, a_batch([b"{}", b"{}"], [0]))


@pytest.mark.parametrize("size", [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 1000])
@pytest.mark.parametrize("hardware", [True, False])
def test_digests_are_sha_256(native: Any, size: int, hardware: bool) -> None:
    """By the processor's own instructions and without them."""
    head, tail = b"h" * 7, bytes(range(256)) * 4
    assert native.half_digest(head, tail[:size], hardware) == sha256(head + tail[:size]).digest()[:16]


def test_nothing_is_leaked(native: Any) -> None:
    """Constants and cached objects have as many references after a thousand batches as after ten."""
    random, engine = Random(6), an_engine()
    raws = [some_raw(random) for _ in range(100)]
    raws = [raw for raw in raws if len(raw) < 10_000]
    for _ in range(9):
        native.prepare(engine, a_batch(raws))
    kept = native.prepare(engine, a_batch(raws))
    watched = [None, True, PICO, *(part for record in kept for part in record), *raws, engine.shapes]
    before = [sys.getrefcount(one) for one in watched]
    for _ in range(200):
        native.prepare(engine, a_batch(raws))
    after = [sys.getrefcount(one) for one in watched]
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < 100


def test_the_plain_version_can_be_asked_for() -> None:
    """UNITRATE_PLAIN keeps the extension out, whether it is built or not."""
    code = "import unitrate.path; print(unitrate.path.prepare.__module__)"
    env = {"UNITRATE_PLAIN": "1", "PYTHONPATH": "src"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "unitrate.prepare"
