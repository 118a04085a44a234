"""The things that are measured, each by run.py in a process of its own: `-m benchmarks.measured NAME FILE`.

Prints one JSON line: events, wall and CPU seconds. What a variant needs at start (imports, the compiled
catalog, ClickHouse's own start) is outside the clock; reading the file is inside.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CATALOG = Path(__file__).resolve().parent / "catalog.yaml"
BATCH = 200  # events a micro-batch: what stays in the processor's caches
CHECKPOINT = 200_000
# A roll-up of the kind that a user would write instead.
ROLL_UP = """
SELECT count(), sum(requests), sum(tokens) FROM (
  SELECT subject, data.run_id AS run, countIf(type = 'ai.request') AS requests,
         sum(data.usage.input_tokens + data.usage.cache_read_tokens + data.usage.output_tokens) AS tokens
  FROM file('{path}', JSONEachRow, 'subject String, type String, time String, data Tuple(
         run_id String, workflow String, model String,
         usage Tuple(input_tokens UInt64, cache_read_tokens UInt64, output_tokens UInt64))')
  GROUP BY subject, run
) SETTINGS max_threads = {threads}, input_format_json_ignore_unknown_keys_in_named_tuple = 1
"""


def batches(path: Path) -> Iterator[list[bytes]]:
    """Lines of the file, `BATCH` at a time."""
    with path.open("rb") as lines:
        batch: list[bytes] = []
        for line in lines:
            batch.append(line)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def engine_alone(path: Path) -> Callable[[], int]:
    """The whole fold (validation, dedupe, units, cost, policy, rating, state); its rows are thrown away."""
    from unitrate.catalog.publication import publication
    from unitrate.catalog.source import load
    from unitrate.engine import Batch, Engine

    published = publication(load([CATALOG])[0])
    entered_us = time.time_ns() // 1000

    def run() -> int:
        gc.disable()  # as the runtimes do around the fold
        engine = Engine(partition=0)
        engine.publish(0, published, None)
        offset = 1
        since = 0
        for raws in batches(path):
            offsets = range(offset, offset + len(raws))
            engine.fold(Batch(raws, offsets, entered_us, None, str))
            offset += len(raws)
            since += len(raws)
            if since >= CHECKPOINT or engine.due_generation:
                engine.checkpoint()
                since = 0
        engine.checkpoint()
        return offset - 1

    return run


def clickhouse(path: Path, threads: int) -> Callable[[], int]:
    """ClickHouse reads the file and groups by run: no validation, dedupe, units or money."""
    import chdb

    chdb.query("SELECT 1")

    def run() -> int:
        chdb.query(ROLL_UP.format(path=path, threads=threads), "JSON")
        return -1

    return run


def report(store: Path) -> Callable[[], int]:
    """The query behind `unitrate report margin`, on an open store."""
    from unitrate import reports
    from unitrate.store import open_store

    opened = open_store(str(store))

    def run() -> int:
        return len(reports.report(opened, 202511, ("account", "workflow")).rows)

    return run


VARIANTS: dict[str, Callable[[Path], Callable[[], int]]] = {
    "decode": lambda path: importlib.import_module("benchmarks.limit").prepare(path),
    "engine": engine_alone,
    "clickhouse-1": lambda path: clickhouse(path, 1),
    "clickhouse-2": lambda path: clickhouse(path, 2),
    "pydantic": lambda path: importlib.import_module("benchmarks.naive").prepare(path),
    "report": report,
}


def main() -> None:
    """Measures one variant once."""
    run = VARIANTS[sys.argv[1]](Path(sys.argv[2]).resolve())
    wall, cpu = time.perf_counter(), time.process_time()
    count = run()
    figures = {"events": count, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
