"""Measures `unitrate close` against reading the same rows: `python -m benchmarks.closing --units 1000000`.

Makes a month of many accounts (every event is a unit), rates it, closes it without PDFs, and compares with
queries that read and sum every rated line and cost line. The ratio is what to compare between machines.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from unitrate.catalog.source import load_text
from unitrate.cli.options import instant_us
from unitrate.runtime import embedded, month_end
from unitrate.store import Store, open_store

DATA = Path(__file__).resolve().parent.parent / "bench-data" / "closing"
HEAD = """
catalog: month
effective: 2025-10-01T00:00:00Z
currency: EUR
timezone: UTC
costs: {models: [{provider: p, model: "*", page: 0.10}]}
meters: {call: {unit: action, workflow: call, each: {type: ai.request}}}
plans:
  basic:
    version: 1
    fees: [{name: Platform, amount: 5.00, when: monthly}]
    charges:
      - {name: Calls, meter: call, included: 5, price: {model: unit, rate: 0.01}, minimum: 1.00}
payouts: {platform_fee: 0.2, builders: [{builder: nord, workflows: [call]}]}
accounts:
"""
EVENT = (
    '{"specversion":"1.0","id":"e%d","source":"s","type":"ai.request","subject":"c%d","time":"2025-10-%02dT%02d:%02d:%02dZ",'
    '"data":{"workflow":"call","run_id":"r","provider":"p","model":"m","usage":{"pages":1}}}\n'
)
READ = (
    "SELECT account, sum(toDecimal256(amount, 12)), count() FROM lines FINAL GROUP BY account",
    "SELECT account, sum(toDecimal256(cost, 12)), count() FROM cost_lines FINAL GROUP BY account",
)


def write_events(path: Path, units: int, accounts: int) -> None:
    """A month of requests, spread evenly over time and accounts."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(units):
            second = number * 2_600_000 // units
            day, hour, minute = second // 86_400, second // 3600 % 24, second // 60 % 60
            file.write(EVENT % (number, number * 7919 % accounts, 1 + day, hour, minute, second % 60))


def make(units: int, accounts: int) -> Store:
    """The month, rated; its end has passed in the log."""
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    write_events(DATA / "events.jsonl", units, accounts)
    catalog = HEAD + "".join(
        f"  c{number}: {{plan: basic, from: 2025-10-01}}\n" for number in range(accounts)
    )
    store = open_store(str(DATA / "store"), create=True)
    embedded.run(store, load_text(catalog), [str(DATA / "events.jsonl")])
    embedded.tick(store, instant_us("2025-11-01T00:00:00Z"))
    return store


def timed(store: Store, *, close: bool) -> tuple[float, float]:
    """Wall and CPU seconds of a close, or of reading the same rows."""
    wall, cpu = time.monotonic(), time.process_time()
    if close:
        made = month_end.close(store, month_end.Order(202510))
        assert made.payouts_final
    else:
        for statement in READ:
            store.query(statement)
    return time.monotonic() - wall, time.process_time() - cpu


def main() -> int:
    """Prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--units", type=int, default=1_000_000)
    asked.add_argument("--accounts", type=int, default=10_000)
    given = asked.parse_args()
    store = make(given.units, given.accounts)
    reading = min(timed(store, close=False) for _ in range(3))
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    first, again = timed(store, close=True), timed(store, close=True)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    store.close()
    table = Table(title=f"{given.units:,} units, {given.accounts:,} accounts", box=None)
    for name in ("", "wall s", "CPU s", "CPU ÷ reading"):
        table.add_column(name, justify="left" if not name else "right")
    for name, (wall, cpu) in (("reading the rows", reading), ("close", first), ("close again", again)):
        table.add_row(name, f"{wall:.1f}", f"{cpu:.1f}", f"{cpu / reading[1]:.1f}")
    console = Console()
    console.print(table)
    console.print(f"memory: {before_mb:,} MB before, {peak_mb:,} MB at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
