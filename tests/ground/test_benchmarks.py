"""The benchmarks measure what they say: their traffic is accepted, and every rule is at work in it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from unitrate.catalog.publication import publication
from unitrate.catalog.source import load
from unitrate.engine import Batch, Engine
from unitrate.rows import UNITS, Output

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
EVENTS = 20_000
LATER_US = 1_900_000_000 * 10**6


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file of the benchmarks' traffic."""
    path = tmp_path_factory.mktemp("traffic") / "runs.jsonl"
    arguments = ["runs", str(EVENTS), str(path), "200"]
    subprocess.run([sys.executable, str(BENCHMARKS / "traffic.py"), *arguments], check=True)
    return path


@pytest.fixture(scope="module")
def output(traffic: Path) -> Output:
    """What the engine makes of it under the benchmarks' catalog."""
    engine = Engine(partition=0)
    engine.publish(0, publication(load([BENCHMARKS / "catalog.yaml"])[0]), None)
    with traffic.open("rb") as lines:
        offset = 1
        while batch := list(islice(lines, 200)):
            engine.fold(Batch(batch, range(offset, offset + len(batch)), LATER_US, None, str))
            offset += len(batch)
    return engine.checkpoint().output


def test_the_same_seed_gives_the_same_bytes(traffic: Path) -> None:
    """Two machines measure the same file."""
    digest = hashlib.sha256(traffic.read_bytes()).hexdigest()
    assert digest == "c2905f87fc5878e00a7df2d29ef8cdda05361cd1593c5249dfd8d1eed6a355a6"


def test_every_event_of_the_traffic_is_taken(output: Output) -> None:
    """None is malformed; some come twice."""
    assert output.rejected == []
    assert len(output.duplicates) > EVENTS // 400
    assert output.events.count + len(output.duplicates) == EVENTS


def test_the_traffic_has_every_fate(output: Output) -> None:
    """Units bill, fail and are tests; retries are absorbed; no cost is unknown."""
    names = [column.name for column in UNITS]
    units = [dict(zip(names, row, strict=True)) for row in output.units]
    reasons = {unit["reason"] for unit in units}
    assert {"ok", "failed", "test", "open"} <= reasons
    assert "unpriced" not in reasons
    assert max(unit["attempts"] for unit in units) > 1
    assert sum(row[-1] for row in output.lines) > 0
