"""What is done to a folder store: check, run, tick, publish, rejected retry, demo.

Owns the words around it (counts, progress, what to do next). The work is the
runtime's and the catalog's.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from unitrate.catalog import source
from unitrate.cli import output
from unitrate.cli.opening import again, minor_digits
from unitrate.cli.options import is_server, needed_store
from unitrate.cli.output import Column
from unitrate.cli.progress import progress_bar
from unitrate.errors import CatalogError, InputError
from unitrate.figures import EXACT, money_text, month_text, ratio
from unitrate.published import currency
from unitrate.runtime import embedded
from unitrate.store import open_store

if TYPE_CHECKING:
    from unitrate.runtime.embedded import Summary
    from unitrate.store import Store

LATEST = "SELECT max(period) FROM units FINAL"


def check(arguments: argparse.Namespace) -> int:
    """`unitrate check`: every problem on a line of its own; exit 1 if there is one."""
    try:
        versions = source.load(arguments.catalog)
    except CatalogError as error:
        print("\n".join(error.problems))
        count = len(error.problems)
        print(f"{count:,} error{'' if count == 1 else 's'}")
        return 1
    for version in versions:
        model = version.model
        counts = ((len(model.meters), "meter"), (len(model.plans), "plan"), (len(model.accounts), "account"))
        holds = ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
        print(f"catalog {version.id} holds: {holds}; effective {version.model.effective:%Y-%m-%dT%H:%M:%SZ}")
    return 0


def run(arguments: argparse.Namespace) -> int:
    """`unitrate run`."""
    if not arguments.catalog and not arguments.events:
        raise InputError("nothing to do: give --catalog CATALOG, or EVENTS; see unitrate run --help")
    versions = source.load(arguments.catalog) if arguments.catalog else []
    store = open_store(_folder(arguments, "run"), create=True, command="unitrate run")
    collects = gc.isenabled()
    gc.disable()  # until all that the run made is gone: to look for cycles among it would take a second
    try:
        with progress_bar("reading") as progress:
            summary = embedded.run(store, versions, arguments.events, progress)
        money, period = currency(store), _latest_month(store)
    finally:
        store.close()
        if collects:
            gc.enable()
    figures = _figures(summary, money)
    if arguments.format == "json":
        output.print_json(figures)
    elif arguments.format == "csv":
        flat = {**figures, "published": " ".join(summary.published), "waiting": " ".join(summary.waiting)}
        flat |= {f"units_{fate}": count for fate, count in flat.pop("units").items()}
        output.print_csv([Column(key, key) for key in flat], [flat])
    else:
        _print_summary(arguments, summary, money, period)
    return 0


def _figures(summary: Summary, money: str) -> dict[str, Any]:
    digits, totals = minor_digits(money), summary.totals
    return {
        "events": summary.events,
        "accepted": summary.accepted,
        "duplicates": summary.duplicates,
        "rejected": summary.rejected,
        "late": summary.late,
        "published": list(summary.published),
        "waiting": list(summary.waiting),
        "units": {fate: totals.units.get(fate, 0) for fate in ("billable", "not_billed", "held")},
        "requests": totals.requests,
        "currency": money,
        "revenue": money_text(totals.revenue, digits),
        "cost": money_text(totals.cost, digits),
        "margin": money_text(EXACT.subtract(totals.revenue, totals.cost), digits),
        "seconds": round(summary.seconds, 3),
        "events_per_second": round(summary.events_per_second),
    }


def _print_summary(arguments: argparse.Namespace, summary: Summary, money: str, period: int) -> None:
    """What this run read, then what the store holds in all."""
    if summary.published:
        print(f"published   catalog {', '.join(summary.published)}")
    rate = (
        f"in {summary.seconds:.1f} s, {summary.events_per_second:,.0f} events/s"
        if summary.events
        else "nothing new"
    )
    _print_rows([("events", summary.events, rate), *_exceptions(arguments, summary)])
    for place in summary.waiting:
        print(f"  {place} is not finished: it is read once its line ends")
    totals = summary.totals
    fates = ", ".join(
        f"{totals.units[fate]:,} {output.fate_words(fate)}"
        for fate in ("billable", "not_billed", "held")
        if totals.units.get(fate)
    )
    print(f"\nin {arguments.store}")
    _print_rows([("units", sum(totals.units.values()), fates), ("model calls", totals.requests, "")])
    _print_money(totals.revenue, totals.cost, money)
    if period:
        print()
        month = ("--period", month_text(period))
        output.print_next(
            [
                (again(arguments, "report margin", *month, "--by", "account"), "what it earned"),
                (again(arguments, "invoice", *month), "what customers owe"),
            ]
        )


def _exceptions(arguments: argparse.Namespace, summary: Summary) -> list[tuple[str, int, str]]:
    rows = [("duplicates", summary.duplicates, ""), ("rejected", summary.rejected, "")]
    if summary.rejected:
        rows[-1] = ("rejected", summary.rejected, f"why: {again(arguments, 'rejected')}")
    if summary.late:
        rows.append(("late", summary.late, "their units were final: kept, their cost counts"))
    return rows


def _print_rows(rows: Sequence[tuple[str, int, str]]) -> None:
    for name, count, note in rows:
        print(f"  {name:<12}{count:>12,}   {note}".rstrip())


def _print_money(revenue: Decimal, cost: Decimal, money: str) -> None:
    digits = minor_digits(money)
    margin = EXACT.subtract(revenue, cost)
    of_revenue = ratio(margin, revenue)
    texts = output.aligned("money", [revenue, cost, margin], digits)
    share = f"   {output.human('rate', of_revenue, digits)} of revenue" if of_revenue is not None else ""
    for name, text, note in zip(("revenue", "cost", "margin"), texts, (f" {money}", "", share), strict=True):
        print(f"  {name:<12}{text:>12}{note}")


def tick(arguments: argparse.Namespace) -> int:
    """`unitrate tick`."""
    store = open_store(_folder(arguments, "tick"), command="unitrate tick")
    try:
        moved = embedded.tick(store, arguments.until)
    finally:
        store.close()
    print("the log's time moved on" if moved else "the log's time is there already; nothing changed")
    return 0


def publish(arguments: argparse.Namespace) -> int:
    """`unitrate publish` into an embedded log."""
    if is_server(needed_store(arguments)):
        from unitrate.cli import streaming

        return streaming.publish(arguments)
    spec = _folder(arguments, "publish")
    versions = source.load(arguments.catalog)
    store = open_store(spec, create=not arguments.dry_run, command="unitrate publish")
    try:
        published = embedded.publish(store, versions, dry_run=arguments.dry_run)
    finally:
        store.close()
    if not published:
        print("the log has every version already; nothing changed")
    for name in published:
        print(f"{'would publish' if arguments.dry_run else 'published'} catalog {name}")
    return 0


def retry_rejected(arguments: argparse.Namespace) -> int:
    """`unitrate rejected retry` in an embedded log."""
    if is_server(needed_store(arguments)):
        from unitrate.cli import streaming

        return streaming.retry_rejected(arguments)
    store = open_store(_folder(arguments, "rejected retry"), command="unitrate rejected retry")
    try:
        count = embedded.retry(store, arguments.reason, dry_run=arguments.dry_run)
    finally:
        store.close()
    events = f"{count:,} event{'' if count == 1 else 's'}"
    if arguments.dry_run:
        print(f"{events} would be taken again")
        return 0
    print(f"{events} taken again")
    if count:
        print()
        output.print_next([(again(arguments, "rejected"), "those that are rejected still")])
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """`unitrate demo`: run the packaged example, then tell its story."""
    from unitrate.cli.demonstration import print_story
    from unitrate.demo import example_folder, story

    folder = example_folder()
    store = open_store(_folder(arguments, "demo"), create=True, command="unitrate demo")
    try:
        with progress_bar("reading examples/agent_runs") as progress:
            summary = embedded.run(
                store, source.load([folder / "catalog.yaml"]), [str(folder / "events.jsonl.gz")], progress
            )
        found = story(store)
    finally:
        store.close()
    if summary.events:
        rate = f"{summary.events_per_second:,.0f} events/s"
        print(f"  read examples/agent_runs into {arguments.store}: {summary.events:,} events, {rate}\n")
    else:
        print(f"  {arguments.store} has these events already; nothing was read twice\n")
    print_story(arguments, found)
    return 0


def _folder(arguments: argparse.Namespace, command: str) -> str:
    """The folder of `--store`; a server has a log of its own, Kafka."""
    spec = needed_store(arguments)
    if is_server(spec):
        raise InputError(f"{command} works on a folder; with a server store the log is in Kafka (--brokers)")
    return spec


def _latest_month(store: Store) -> int:
    return int(store.query(LATEST).rows[0][0])
