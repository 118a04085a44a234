"""Measures unitrate against the limit and against what one would write instead; prints tables of ratios.

    make bench                                   a million events, everything but the long ones
    python -m benchmarks.run --linear 10000000   also ten million: time against one million, and memory
    python -m benchmarks.run --only decode,run   some of the rows
    python -m benchmarks.run --write …           also puts the tables into docs/benchmarks.md

Everything in one table is measured in one go on the same bytes; the best of `--repeat` counts. Absolute
figures depend on the machine and on what else it does; ratios are what to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import traffic

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
FIGURES = re.compile(
    r"(?<=<!-- figures: written by benchmarks.run --write -->\n).*(?=<!-- end of figures -->)", re.DOTALL
)
DATA = HERE.parent / "bench-data"
UNITRATE = [sys.executable, "-m", "unitrate.cli"]
REPORT = ["report", "margin", "--period", "2025-11", "--by", "account,workflow", "--format", "json"]
ROWS = {
    "decode": "msgspec decode alone (the limit)",
    "engine": "engine alone: all rules, rows thrown away",
    "run": "unitrate run: into the store, ledger on",
    "clickhouse-1": "ClickHouse JSONEachRow + GROUP BY, 1 thread",
    "clickhouse-2": "ClickHouse JSONEachRow + GROUP BY, 2 threads",
    "pydantic": "pydantic + dict loop",
}


@dataclass(frozen=True)
class Measured:
    """One process: seconds of wall clock and of CPU (user and system, threads included), and its memory."""

    wall_s: float
    cpu_s: float
    rss_mb: float
    output: str


def measure(command: list[str]) -> Measured:
    """Runs a command that must succeed; its own clock, CPU time and highest resident memory."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    wall_s = time.perf_counter() - began
    return Measured(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output)


def traffic_file(shape: str, events: int, open_runs: int) -> Path:
    """The file of so many events, made once."""
    path = DATA / f"{shape}-{events}-{open_runs}.jsonl"
    traffic.write(shape, events, path, open_runs)
    return path


def run_into_store(path: Path) -> Measured:
    """`unitrate run` into a fresh store, as a user starts it: start and stop of the process included."""
    store = DATA / "store"
    shutil.rmtree(store, ignore_errors=True)
    catalog = str(HERE / "catalog.yaml")
    return measure([*UNITRATE, "run", "--catalog", catalog, "--store", str(store), str(path)])


def variant(name: str, path: Path) -> Measured:
    """One row: what measured.py says of itself, or the whole process of `unitrate run`."""
    if name == "run":
        return run_into_store(path)
    measured = measure([sys.executable, "-m", "benchmarks.measured", name, str(path)])
    figures = json.loads(measured.output)
    return Measured(figures["wall_s"], figures["cpu_s"], measured.rss_mb, "")


def table_of(title: str) -> Table:
    """A plain table, the same on a terminal and in the page."""
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def throughput(console: Console, path: Path, events: int, names: list[str], repeat: int) -> None:
    """The main table. `decode` is measured before and after the rest, so that drift shows."""
    rounds: dict[str, list[Measured]] = {name: [] for name in dict.fromkeys(["decode", *names])}
    for _ in range(repeat):
        for name in rounds:
            rounds[name].append(variant(name, path))
    best = {name: min(found, key=lambda one: one.wall_s) for name, found in rounds.items()}
    limit = best["decode"]
    table = table_of(f"{events:,} events, {path.stat().st_size / 1e6:,.0f} MB, best of {repeat}")
    for heading in ("", "events/s", "wall s", "CPU s", "speed ÷ limit", "CPU ÷ limit", "MB"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, one in best.items():
        table.add_row(
            ROWS[name], f"{events / one.wall_s:,.0f}", f"{one.wall_s:.2f}", f"{one.cpu_s:.2f}",
            f"{limit.wall_s / one.wall_s:.3f}", f"{one.cpu_s / limit.cpu_s:.2f}", f"{one.rss_mb:,.0f}",
        )  # fmt: skip
    console.print(table)
    if "run" in best:
        again = measure(
            [*UNITRATE, "sql", "--store", str(DATA / "store"), "SELECT count() FROM events FINAL"]
        )
        console.print(f"events in the store: {again.output.split()[-1]}", highlight=False)


def replays(console: Console, path: Path, events: int) -> None:
    """What folds the log again, against the run that made it: same events, same rows."""
    store = ["--store", str(DATA / "store")]
    ran = run_into_store(path)
    rows = [("unitrate run", ran)]
    rows.append(("unitrate verify", measure([*UNITRATE, "verify", *store])))
    catalog = ["--catalog", str(HERE / "catalog.yaml"), "--period", "2025-11", "--format", "json"]
    rows.append(("unitrate simulate", measure([*UNITRATE, "simulate", *store, *catalog])))
    table = Table(title=f"Replays of {events:,} events")
    for heading in ("", "wall s", "CPU s", "wall ÷ run", "CPU ÷ run", "peak MB"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, one in rows:
        table.add_row(
            name, f"{one.wall_s:.1f}", f"{one.cpu_s:.1f}", f"{one.wall_s / ran.wall_s:.2f}",
            f"{one.cpu_s / ran.cpu_s:.2f}", f"{one.rss_mb:,.0f}",
        )  # fmt: skip
    console.print(table)


def answers(console: Console, units: int) -> None:
    """How long a question takes: the help, and a report over a store of so many units."""
    run_into_store(traffic_file("actions", units, 50))
    table = table_of(f"Questions; store with {units:,} units")
    table.add_column("")
    table.add_column("seconds", justify="right")
    helps = min(measure([*UNITRATE, "--help"]).wall_s for _ in range(5))
    table.add_row("unitrate --help", f"{helps:.2f}")
    query = variant("report", DATA / "store")
    table.add_row("query of report margin --by account,workflow", f"{query.wall_s:.2f}")
    whole = measure([*UNITRATE, *REPORT, "--store", str(DATA / "store")])
    table.add_row("the command as a whole", f"{whole.wall_s:.2f}")
    console.print(table)


def linear(console: Console, events: int, open_runs: int) -> None:
    """Time and memory of one million and of many, with so many runs open at once."""
    table = table_of(f"unitrate run, {open_runs:,} runs open at once")
    for heading in ("events", "wall s", "CPU s", "µs an event", "peak MB"):
        table.add_column(heading, justify="right")
    walls = []
    for count in (1_000_000, events):
        one = run_into_store(traffic_file("runs", count, open_runs))
        walls.append(one.wall_s)
        table.add_row(
            f"{count:,}",
            f"{one.wall_s:.1f}",
            f"{one.cpu_s:.1f}",
            f"{one.wall_s / count * 1e6:.1f}",
            f"{one.rss_mb:,.0f}",
        )
    console.print(table)
    console.print(f"{events / 1e6:g} × the events took {walls[1] / walls[0]:.2f} × the time", highlight=False)


def closing(console: Console, units: int) -> None:
    """The close of a month of so many units, as benchmarks.closing has it."""
    found = measure([sys.executable, "-m", "benchmarks.closing", "--units", str(units)])
    console.print(found.output.rstrip(), highlight=False)


def write(text: str) -> None:
    """Puts what was printed between the marks of the page."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    python = f"Python {platform.python_version()}, {os.cpu_count()} cores, {day}"
    lines = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    page = FIGURES.sub(lambda _: f"```\n{python}\n\n{lines}```\n", PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(page, encoding="utf-8")


def main() -> None:
    """Parses the options and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the main table")
    parser.add_argument("--open-runs", type=int, default=5_000, help="runs open at once")
    parser.add_argument("--linear-open-runs", type=int, default=50_000, help="the same, of --linear")
    parser.add_argument("--repeat", type=int, default=2, help="rounds; the best counts")
    parser.add_argument("--only", default=",".join(ROWS), help=f"rows: {','.join(ROWS)}")
    parser.add_argument(
        "--units", type=int, default=1_000_000, help="units of the store that is asked; 0 leaves it out"
    )
    parser.add_argument(
        "--replays", type=int, default=1_000_000, help="events that verify and simulate replay; 0: not"
    )
    parser.add_argument("--linear", type=int, default=0, help="compare one million events with so many")
    parser.add_argument("--closing", type=int, default=0, help="close a month of so many units; 0: not")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    console = Console(width=124, record=True)
    names = [name for name in options.only.split(",") if name]
    if unknown := set(names) - set(ROWS):
        parser.error(f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if names:
        path = traffic_file("runs", options.events, options.open_runs)
        throughput(console, path, options.events, names, options.repeat)
    if options.replays:
        replays(console, traffic_file("runs", options.replays, options.open_runs), options.replays)
    if options.units:
        answers(console, options.units)
    if options.linear:
        linear(console, options.linear, options.linear_open_runs)
    if options.closing:
        closing(console, options.closing)
    shutil.rmtree(DATA / "store", ignore_errors=True)
    if options.write:
        write(console.export_text())


if __name__ == "__main__":
    main()
