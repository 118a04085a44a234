"""`unitrate rerate`: who is affected by a corrected price.

Owns the words and the table; the work is `unitrate.replay.rerate`'s.
"""

from __future__ import annotations

import argparse
from decimal import Decimal
from typing import Any

from unitrate.billing.statement import instant_text
from unitrate.catalog.repricing import Period
from unitrate.catalog.source import load
from unitrate.cli import output
from unitrate.cli.opening import again, month_words, opened
from unitrate.cli.options import is_server, needed_store
from unitrate.cli.output import Column
from unitrate.figures import minor_text, month_text
from unitrate.replay.rerate import Change, Effect, Order
from unitrate.replay.rerate import rerate as rerated

COLUMNS = (
    Column("account", "account"),
    Column("period", "month"),
    Column("state", "state"),
    Column("before", "before", "money"),
    Column("after", "after", "money"),
    Column("difference", "difference", "money"),
    Column("bill_month", "on the invoice of"),
)
FIGURES = ("before", "after", "difference")
SHOWN = 40  # rows of the table; json and csv have all


def rerate(arguments: argparse.Namespace) -> int:
    """`unitrate rerate`."""
    order = Order(Period(*arguments.since), arguments.who, arguments.why)
    versions = load([arguments.catalog])
    kafka = None
    if arguments.brokers and is_server(needed_store(arguments)):
        from unitrate.runtime.kafka_connection import connection

        kafka = connection(arguments.brokers)
    with opened(arguments, "rerate") as store:
        effect = rerated(store, versions, order, kafka, dry_run=arguments.dry_run)
    if arguments.format == "json":
        output.print_json(_document(arguments, effect))
    elif arguments.format == "csv":
        output.print_csv(COLUMNS, [_row(effect, change) for change in effect.changes])
    else:
        _print(arguments, effect)
    return 0


def _row(effect: Effect, change: Change) -> dict[str, Any]:
    amounts = change.before_minor, change.after_minor, change.after_minor - change.before_minor
    return {
        "account": change.account,
        "period": month_text(change.period),
        "state": "open" if change.bill_month == change.period else "closed",
        **{
            name: minor_text(amount, effect.minor_digits)
            for name, amount in zip(FIGURES, amounts, strict=True)
        },
        "bill_month": month_text(change.bill_month),
    }


def _total(effect: Effect) -> dict[str, str]:
    before = sum(change.before_minor for change in effect.changes)
    after = sum(change.after_minor for change in effect.changes)
    amounts = before, after, after - before
    digits = effect.minor_digits
    return {name: minor_text(amount, digits) for name, amount in zip(FIGURES, amounts, strict=True)}


def _document(arguments: argparse.Namespace, effect: Effect) -> dict[str, Any]:
    return {
        "catalog": effect.catalog,
        "plans": [{"plan": name, "plan_version": version} for name, version in effect.plans],
        "from": _since(arguments.since) or None,
        "number": effect.number,
        "who": arguments.who,
        "why": arguments.why,
        "written": not arguments.dry_run,
        "currency": effect.currency,
        "accounts": effect.accounts,
        "changes": [_row(effect, change) for change in effect.changes],
        "total": _total(effect),
    }


def _since(since: tuple[int | None, int]) -> str:
    from_us, from_month = since
    if from_us is not None:
        return instant_text(from_us)
    return month_text(from_month) if from_month else ""


def _print(arguments: argparse.Namespace, effect: Effect) -> None:
    plans = ", ".join(f"{name} v{version}" for name, version in effect.plans)
    since = _since(arguments.since)
    months = f"from {since} on" if since else "from its beginning"
    would = "would be " if arguments.dry_run else ""
    print(f"catalog {effect.catalog} · {plans} · {months}")
    print(f"{would}re-rated by {arguments.who}: {arguments.why}\n")
    rows = [_row(effect, change) for change in effect.changes]
    if rows:
        shown = [_decimals(row) for row in rows[:SHOWN]]
        total = {"account": "total", **_decimals(_total(effect))}
        output.print_table(COLUMNS, shown, total=total, digits=effect.minor_digits)
        if len(rows) > SHOWN:
            print(f"({len(rows) - SHOWN:,} more: --format csv)")
        print(f"\n{effect.currency}, usage, minimums and fees, before credits and tax")
    else:
        print(f"no bill changes so far ({effect.accounts:,} accounts have the plan)")
    print(_written(arguments, effect) + "\n")
    _print_next(arguments, effect)


def _decimals(row: dict[str, Any]) -> dict[str, Any]:
    return {name: Decimal(value) if name in FIGURES else value for name, value in row.items()}


def _written(arguments: argparse.Namespace, effect: Effect) -> str:
    closed = sorted({change.bill_month for change in effect.changes if change.bill_month != change.period})
    adjusted = f"; adjustments on {' and '.join(map(month_words, closed))}" if closed else ""
    if arguments.dry_run:
        return "nothing was written"
    return f"written as re-rate {effect.number} of the log{adjusted}"


def _print_next(arguments: argparse.Namespace, effect: Effect) -> None:
    if arguments.dry_run:
        since = _since(arguments.since)
        words = ["--who", arguments.who, "--why", arguments.why, *(("--from", since) if since else ())]
        output.print_next([(again(arguments, "rerate", arguments.catalog, *words), "does it")])
        return
    months = [change.bill_month for change in effect.changes]
    command = ("invoice", "--period", month_text(max(months))) if months else ("verify",)
    output.print_next([(again(arguments, *command), "how it looks now")])
