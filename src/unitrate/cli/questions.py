"""What a store is asked: report, units, rejected, sql.

Owns which columns a table shows and what it suggests next. The figures come from `reports` and the store.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unitrate import reports
from unitrate.cli import output
from unitrate.cli.opening import again, minor_digits, month_words, opened
from unitrate.cli.output import Column
from unitrate.errors import StoreError
from unitrate.figures import money_text, month_text
from unitrate.listing import UNIT_KEYS, RejectedEvent, UnitFilter, rejected_events, unit_rows
from unitrate.published import check_account, currency

if TYPE_CHECKING:
    from unitrate.store import Result

USAGE_COLUMNS = (
    Column("units", "units", "count"),
    Column("billable_quantity", "billed units", "quantity"),
    Column("requests", "requests", "count"),
    Column("cost", "cost", "money"),
    Column("revenue", "revenue", "money"),
)
MARGIN_COLUMNS = (
    Column("units", "units", "count"),
    Column("revenue", "revenue", "money"),
    Column("cost", "cost", "money"),
    Column("margin", "margin", "money"),
    Column("margin_rate", "of revenue", "rate"),
    Column("markup_rate", "on cost", "rate"),
)
REPORT_KEYS = (
    "units",
    "billable_quantity",
    "requests",
    "revenue",
    "cost",
    "margin",
    "margin_rate",
    "markup_rate",
)
UNIT_COLUMNS = (
    Column("account", "account"),
    Column("meter", "meter"),
    Column("workflow", "workflow"),
    Column("key", "key"),
    Column("state", "state"),
    Column("disposition", "fate"),
    Column("reason", "reason"),
    Column("size", "size"),
    Column("quantity", "quantity", "quantity"),
    Column("period", "month"),
    Column("ended", "ended", "time"),
    Column("requests", "requests", "count"),
    Column("cost", "cost", "money"),
    Column("revenue", "revenue", "money"),
    Column("margin", "margin", "money"),
)
FACTS = ("account", "meter", "workflow", "state", "disposition", "reason", "size", "quantity", "period")
MOST_UNITS = 1_000  # rows of a table; json and csv have all
REJECTED_COLUMNS = (
    Column("reason", "reason"),
    Column("place", "place"),
    Column("account", "account"),
    Column("message", "what is wrong"),
)


def report(arguments: argparse.Namespace) -> int:
    """`unitrate report usage|margin`."""
    with opened(arguments, "report") as store:
        found = reports.report(store, arguments.period, arguments.by or (), arguments.account)
    digits = minor_digits(found.currency)
    document = reports.document(found, digits)
    keys = [Column(name, name) for name in (*found.by, *REPORT_KEYS)]
    if arguments.format == "json":
        output.print_json(document)
    elif arguments.format == "csv":
        output.print_csv(keys, document["rows"])
    else:
        _print_report(arguments, found, digits)
    return 0


def _print_report(arguments: argparse.Namespace, found: reports.Report, digits: int) -> None:
    title = [arguments.kind.capitalize(), month_words(found.period), found.currency, arguments.account]
    print(" · ".join(part for part in title if part))
    if not found.total["requests"] and not found.total["units"]:
        print("nothing happened in that month")
        return
    by = [Column(name, name.removeprefix("tag:")) for name in found.by]
    columns = [
        *(by or [Column("label", "")]),
        *(USAGE_COLUMNS if arguments.kind == "usage" else MARGIN_COLUMNS),
    ]
    total = {**found.total, columns[0].key: "total"}
    output.print_table(columns, [] if not by else found.rows, total=total, digits=digits)
    print()
    output.print_next(_after_report(arguments))


def _after_report(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    period = ("--period", month_text(arguments.period))
    account = ("--account", arguments.account) if arguments.account else ()
    by = arguments.by or []
    if "reason" in by:
        fate = ("--disposition", "not_billed")
        first = (again(arguments, "units", *period, *account, *fate), "the units that did not bill")
    else:
        more = ("--by", ",".join([*by, "reason"]))
        first = (
            again(arguments, f"report {arguments.kind}", *period, *account, *more),
            "what billed, and why not",
        )
    return [first, (again(arguments, "invoice", *period, *account), "what customers owe")]


def units(arguments: argparse.Namespace) -> int:
    """`unitrate units`."""
    is_table = arguments.format == "table"
    chosen = UnitFilter(arguments.account, arguments.period, arguments.disposition)
    with opened(arguments, "units") as store:
        if arguments.account is not None:
            check_account(store, arguments.account)
        found, count = unit_rows(store, chosen, most=MOST_UNITS if is_table else None)
        money = currency(store)
    digits = minor_digits(money)
    if arguments.format == "json":
        output.print_json({"units": [_unit_written(row, digits) for row in found]})
    elif arguments.format == "csv":
        output.print_csv(
            [Column(key, key) for key in UNIT_KEYS], [_unit_written(row, digits) for row in found]
        )
    else:
        _print_units(arguments, found, count, money)
    return 0


def _unit_written(row: Mapping[str, Any], digits: int) -> dict[str, Any]:
    amounts = {key: money_text(row[key], digits) for key in ("cost", "revenue", "margin")}
    return {key: amounts.get(key, output.machine(row[key])) for key in UNIT_KEYS}


def _print_units(
    arguments: argparse.Namespace, found: Sequence[Mapping[str, Any]], count: int, money: str
) -> None:
    """Columns that are the same on every row are said once, above."""
    if not found:
        print("no unit is like that")
        return
    same = {key: found[0][key] for key in FACTS if len({row[key] for row in found}) == 1}
    heading = [
        f"{key} {output.machine(value)}"
        for key, value in same.items()
        if value and (key, value) != ("quantity", 1)
    ]
    print(" · ".join([f"{count:,} unit{'s' if count > 1 else ''}", *heading, money]))
    columns = [column for column in UNIT_COLUMNS if column.key not in same]
    output.print_table(columns, found, digits=minor_digits(money))
    if count > len(found):
        print(f"the first {len(found):,} of {count:,}; --format csv has all")
    print()
    output.print_next([(again(arguments, "explain", str(found[0]["key"])), "why the first is what it is")])


def rejected(arguments: argparse.Namespace) -> int:
    """`unitrate rejected` and `unitrate rejected retry`."""
    if arguments.action == "retry":
        from unitrate.cli.embedded import retry_rejected

        return retry_rejected(arguments)
    with opened(arguments, "rejected") as store:
        found = rejected_events(store, arguments.reason)
    if arguments.format == "json":
        output.print_json({"rejected": [output.machine(event._asdict()) for event in found]})
    elif arguments.format == "csv":
        output.print_csv([Column(name, name) for name in RejectedEvent._fields], [e._asdict() for e in found])
    else:
        _print_rejected(arguments, found)
    return 0


def _print_rejected(arguments: argparse.Namespace, found: Sequence[RejectedEvent]) -> None:
    if not found:
        print("no rejected event" + (f" with reason {arguments.reason}" if arguments.reason else ""))
        return
    counts = Counter(event.reason for event in found)
    print(f"{len(found):,} rejected: " + ", ".join(f"{n:,} {reason}" for reason, n in counts.most_common()))
    output.print_table(REJECTED_COLUMNS, [event._asdict() for event in found])
    print()
    retry = again(arguments, "rejected retry", "--dry-run")
    output.print_next([(retry, "once the cause is fixed: how many would be taken again")])


def sql(arguments: argparse.Namespace) -> int:
    """`unitrate sql`."""
    with opened(arguments, "sql") as store:
        try:
            found = store.query(arguments.query.strip().rstrip(";"), read_only=True)
        except (IndexError, ValueError, TypeError) as error:  # the driver, over an answer that has no columns
            raise StoreError(f"the answer of that query cannot be read: {error}") from error
    _print_result(found, arguments.format)
    return 0


def _print_result(found: Result, form: str) -> None:
    rows = [{name: output.machine(value) for name, value in row.items()} for row in found.dicts()]
    columns = [
        Column(name, name, "number" if _is_number(found, at) else "text")
        for at, name in enumerate(found.columns)
    ]
    if form == "json":
        json.dump({"rows": rows}, sys.stdout, indent=2, ensure_ascii=False, default=str)
        sys.stdout.write("\n")
    elif form == "csv":
        output.print_csv(columns, rows)
    elif columns:
        output.print_table(columns, rows)


def _is_number(found: Result, at: int) -> bool:
    from decimal import Decimal

    return bool(found.rows) and all(
        row[at] is None or (isinstance(row[at], int | float | Decimal) and not isinstance(row[at], bool))
        for row in found.rows
    )
