"""The native parts of the fold and the plain ones leave the same rows, state and columns behind."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.native.mutations import an_event, encoded, some_raw
from unitrate import fold, hot, ledger, path, prepare
from unitrate.catalog.publication import publication
from unitrate.catalog.source import load
from unitrate.engine import Batch, Engine
from unitrate.rows import Checkpoint

ROOT = Path(__file__).resolve().parents[2]
CATALOG = publication(load([ROOT / "benchmarks" / "catalog.yaml"])[0])
LATER_US = 1_900_000_000 * 10**6
pytestmark = pytest.mark.skipif(
    path.join is path.plain_join,
    reason="no native version here; test_prepare.py fails where there should be one",
)


def traffic(count: int) -> list[bytes]:
    """Lines of the benchmarks' traffic: runs of many requests, retries, ends, silence, duplicates."""
    spec = importlib.util.spec_from_file_location("traffic", ROOT / "benchmarks" / "traffic.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["traffic"] = module
    spec.loader.exec_module(module)
    return [
        line.encode() if isinstance(line, str) else line for line in islice(module.Traffic(60).lines(), count)
    ]


def unusual(seed: int, count: int) -> list[bytes]:
    """Events of few accounts and runs in order of time, mixed with broken ones; some come twice."""
    random = Random(seed)
    events = sorted((an_event(random) for _ in range(count)), key=lambda event: str(event["time"]))
    raws = [encoded(random, event) for event in events]
    for at in range(0, count, 5):
        raws[at] = random.choice((some_raw(random), raws[max(at - random.randint(1, 50), 0)]))
    return raws


def frozen(checkpoint: Checkpoint) -> list[Any]:
    """All that a checkpoint holds, as plain values."""
    output = checkpoint.output
    columns = {
        name: values.filled(-7).tolist() if hasattr(values, "filled") else list(values)
        for name, values in output.events.columns.items()
    }
    tables = [getattr(output, name) for name in ("units", "lines", "cost_lines", "rejected", "duplicates")]
    facts = [tuple(row) for row in checkpoint.state]
    return [
        checkpoint.generation, checkpoint.meta, checkpoint.digests, output.events.count, output.events.codes,
        columns, tables, facts,
    ]  # fmt: skip


def _place_from(start: int) -> Callable[[int], str]:
    return lambda index: f"line {start + index}"


def folded(raws: Sequence[bytes], batch: int, instants: Sequence[int] | None) -> list[list[Any]]:
    """Checkpoints of an engine that takes the records; many generations start on the way."""
    engine = Engine(generation_records=300)
    engine.publish(0, CATALOG)
    found, at = [], 0
    while at < len(raws):
        part = list(raws[at : at + batch])
        times = None if instants is None else instants[at : at + batch]
        offsets = range(at + 1, at + 1 + len(part))
        at += engine.fold(Batch(part, offsets, LATER_US, times, _place_from(at)))
        if engine.due_generation:
            found.append(frozen(engine.checkpoint()))
    return [*found, frozen(engine.checkpoint())]


def assert_same(
    raws: Sequence[bytes], monkeypatch: pytest.MonkeyPatch, instants: Sequence[int] | None = None
) -> None:
    native = folded(raws, 200, instants)
    assert native == folded(raws, 7, instants)
    monkeypatch.setattr(fold, "prepare", prepare.prepare)
    monkeypatch.setattr(fold, "join", path.plain_join)
    monkeypatch.setattr(ledger, "Columns", ledger.PlainColumns)
    plain = folded(raws, 200, instants)
    assert len(native) == len(plain) > 1
    for one, other in zip(native, plain, strict=True):
        for part, wanted in zip(one, other, strict=True):
            assert part == wanted


def test_common_traffic_is_folded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of many requests, which mostly join natively."""
    assert_same(traffic(6000), monkeypatch)


@pytest.mark.parametrize("seed", range(3))
def test_unusual_events_are_folded_alike(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of event, out of order in part, broken, twice."""
    assert_same(unusual(seed, 1500), monkeypatch)


def test_kafka_times_are_folded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log's time comes from the records' entry, and stands still or jumps."""
    random, now, instants = Random(9), 1_761_955_200_000_000, []
    raws = traffic(3000)
    for _ in raws:
        now += random.choice((0, 0, 80_000, 80_000, 3_600_000_000 if random.random() < 0.01 else 0))
        instants.append(now + 10**9)
    assert_same(raws, monkeypatch, instants)


def test_most_requests_join_natively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the native way would not be worth having."""
    joined = []

    def counted(*arguments: Any) -> int:
        joined.append(path.join(*arguments))
        return joined[-1]

    monkeypatch.setattr(fold, "join", counted)
    folded(traffic(6000), 200, None)
    assert sum(joined) > 4000


def fingerprint() -> str:
    """Of all that an engine makes of some traffic, with whatever parts this process has."""
    found = [folded(traffic(1500), 200, None), folded(unusual(4, 600), 50, None)]
    return sha256(repr(found).encode()).hexdigest()


def test_a_process_without_any_native_part_makes_the_same() -> None:
    """Units, keys, recent identities and columns are plain there, too: as where nothing was compiled."""
    code = "from tests.native import test_fold as t; print(t.hot.HotUnit.__name__, t.fingerprint())"
    other = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "UNITRATE_PLAIN": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert hot.HotUnit.__name__ == "HotUnit"
    assert other.stdout.split() == ["PlainUnit", fingerprint()]
