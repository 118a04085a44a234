"""The month-end commands: close, payout, top-up, balance, export.

Owns their words and exit codes. What is final is `billing`'s, what is written into a log the runtime's.
"""

from __future__ import annotations

import argparse
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitrate.billing import balance as balances
from unitrate.billing import paying, payouts
from unitrate.billing.assembling import issuer_of
from unitrate.billing.drafts import log_time_us
from unitrate.billing.statement import instant_text
from unitrate.cli import output
from unitrate.cli.opening import again, month_words, opened
from unitrate.cli.options import is_server, needed_store
from unitrate.cli.output import Column
from unitrate.errors import FinalConflict, InputError
from unitrate.figures import EXACT, minor_text, month_text, pico, rounded
from unitrate.published import timeline
from unitrate.runtime import month_end
from unitrate.store import open_store
from unitrate.timeline import first_day, next_month

if TYPE_CHECKING:
    from unitrate.billing.balance import Ledger
    from unitrate.billing.outlook import Outlook
    from unitrate.billing.payouts import Statement
    from unitrate.runtime.kafka_connection import KafkaConnection
    from unitrate.runtime.month_end import Closed
    from unitrate.timeline import Timeline

NAMED = 10  # accounts that are named; json has all
WAITING_COLUMNS = (
    Column("what", "not decided yet"),
    Column("reason", "why"),
    Column("units", "units", "count"),
    Column("worth", "about worth", "money"),
)
BUILDER_COLUMNS = (
    Column("builder", "builder"),
    Column("revenue", "revenue", "money"),
    Column("cost", "cost", "money"),
    Column("margin", "margin", "money"),
    Column("platform_fee", "platform", "money"),
    Column("earnings", "earnings", "money"),
    Column("carried_in", "carried in", "money"),
    Column("payout", "payout", "money"),
    Column("carried_out", "carried out", "money"),
)
REWARD_COLUMNS = (
    Column("provider", "provider"),
    Column("requests", "requests", "count"),
    Column("cost", "cost", "money"),
    Column("reward", "reward", "money"),
)
FILE_KEYS = ("payout_id", "payee", "kind", "period", "currency", "amount", "status")
MOVEMENT_COLUMNS = (
    Column("account", "account"),
    Column("time", "when (UTC)"),
    Column("kind", "movement"),
    Column("credit", "credit"),
    Column("period", "month"),
    Column("amount", "amount", "money"),
    Column("balance", "balance", "money"),
)
MOVEMENT_KEYS = (
    "account", "time", "kind", "credit", "amount", "balance", "period", "invoice_id", "expires",
)  # fmt: skip


def _kafka(arguments: argparse.Namespace) -> KafkaConnection | None:
    """Where the log is: Kafka with a server store, the folder itself otherwise.

    None where --brokers is not given: whoever then has to write the log says so.
    """
    if not arguments.brokers or not is_server(needed_store(arguments)):
        return None
    from unitrate.runtime.kafka_connection import connection

    return connection(arguments.brokers)


# ---------------------------------------------------------------- close


def close(arguments: argparse.Namespace) -> int:
    """`unitrate close`."""
    is_table = arguments.format == "table"
    order = month_end.Order(arguments.period, arguments.grace, arguments.now, arguments.dry_run)
    kafka = _kafka(arguments)
    with open_store(needed_store(arguments), command="unitrate close") as store:
        last = timeline(store).catalogs[-1]

        def before(found: Outlook) -> None:
            if is_table:
                _print_outlook(arguments, found, last.currency, last.minor_digits)

        try:
            done = month_end.close(store, order, kafka, before)
        except FinalConflict as error:
            print(f"unitrate: {error}", file=sys.stderr)
            return 1
    if arguments.format == "json":
        output.print_json(_close_document(done, arguments, last.minor_digits))
    elif arguments.format == "csv":
        rows = _close_document(done, arguments, last.minor_digits)["invoices"]
        keys = ("number", "invoice_id", "account", "period", "currency", "total", "hash")
        output.print_csv([Column(key, key) for key in keys], rows)
    else:
        _print_closed(arguments, done)
    return 0


def _print_outlook(arguments: argparse.Namespace, found: Outlook, currency: str, digits: int) -> None:
    would = "would close" if arguments.dry_run else "closing"
    print(f"{month_words(found.period)} · {would} {len(found.closing):,} accounts · {currency}")
    if found.waiting:
        rows = [
            {
                "what": one.what,
                "reason": one.reason,
                "units": one.units,
                "worth": None if one.worth_pico is None else pico(one.worth_pico),
            }
            for one in found.waiting
        ]
        output.print_table(WAITING_COLUMNS, rows, digits=digits)
        print("what of this still bills becomes an adjustment in the next month; --grace SPAN waits longer")
    for one in found.left_open[:NAMED]:
        clock = instant_text(max(one.clock_us, 0))
        print(f"left open: {one.account}, its month ends {instant_text(one.ends_us)}; the log is at {clock}")
    if len(found.left_open) > NAMED:
        print(f"left open: {len(found.left_open) - NAMED:,} more accounts (--format json names all)")


def _print_closed(arguments: argparse.Namespace, done: Closed) -> None:
    if arguments.dry_run:
        return
    if not done.invoices:
        print("no change" if done.outlook.closed or not done.outlook.closing else "no account has an invoice")
    else:
        first, last = done.invoices[0], done.invoices[-1]
        total = sum(one.invoice.total_minor for one in done.invoices)
        amount = minor_text(total, first.invoice.minor_digits)
        print(
            f"{len(done.invoices):,} final invoices, {first.content['number']} to {last.content['number']}: "
            f"{Decimal(amount):,} {first.invoice.currency}"
        )
    print("payouts are final" if done.payouts_final else "payouts stay drafts until every account has closed")
    print()
    period = ("--period", month_text(arguments.period))
    output.print_next(
        [
            (again(arguments, "invoice", *period), "the invoices"),
            (again(arguments, "payout", *period), "what builders earn"),
        ]
    )


def _close_document(done: Closed, arguments: argparse.Namespace, digits: int) -> dict[str, Any]:
    found = done.outlook
    return {
        "period": month_text(found.period),
        "dry_run": arguments.dry_run,
        "closing": list(found.closing),
        "closed_before": list(found.closed),
        "left_open": [{"account": one.account, "ends": instant_text(one.ends_us)} for one in found.left_open],
        "waiting": [
            {
                "what": one.what,
                "reason": one.reason,
                "units": one.units,
                "worth": None if one.worth_pico is None else f"{rounded(pico(one.worth_pico), digits):f}",
            }
            for one in found.waiting
        ],
        "invoices": [
            {
                key: {**one.content, "hash": one.hash}[key]
                for key in ("number", "invoice_id", "account", "period", "currency", "total", "hash")
            }
            for one in done.invoices
        ],
        "payouts": "final" if done.payouts_final else "draft",
    }


# ---------------------------------------------------------------- payout


def payout(arguments: argparse.Namespace) -> int:
    """`unitrate payout`."""
    with opened(arguments, "payout") as store:
        found = paying.payouts(store, arguments.period)
        catalogs = timeline(store)
    document = payouts.document(found)
    if arguments.pdf:
        _write_statements(arguments.pdf, document, catalogs, found.period)
    if arguments.format == "json":
        output.print_json(document)
    elif arguments.format == "csv":
        output.print_csv([Column(key, key) for key in FILE_KEYS], payment_rows(found))
    else:
        _print_payouts(arguments, found, document)
    return 0


def _write_statements(folder: str, document: dict[str, Any], catalogs: Timeline, period: int) -> None:
    """A page a builder, dated by its month's end, so that it is the same whenever it is made."""
    from unitrate.billing import pdf

    ends_s = first_day(next_month(period)) * 86_400
    issuer = issuer_of(catalogs, ends_s * 1_000_000 - 1)
    pages = [
        (f"{one['period']}-{one['builder']}", pdf.payout_page(one, issuer), ends_s)
        for one in document["payouts"]
    ]
    written = pdf.write_all(folder, pages)
    print(f"wrote {len(written):,} PDF files into {folder}", file=sys.stderr)


def payment_rows(found: Statement) -> list[dict[str, Any]]:
    """One row a payment, as a bank or payment provider takes it; nothing to pay, no row."""
    digits = found.minor_digits
    paid = [("builder", one.builder, one.payout_minor) for one in found.payouts]
    paid += [("provider", one.provider, one.reward_minor) for one in found.rewards]
    return [
        {
            "payout_id": payouts.payout_id(found.period, kind, payee),
            "payee": payee,
            "kind": kind,
            "period": month_text(found.period),
            "currency": found.currency,
            "amount": minor_text(amount, digits),
            "status": found.status,
        }
        for kind, payee, amount in paid
        if amount > 0
    ]


def _print_payouts(arguments: argparse.Namespace, found: Statement, document: dict[str, Any]) -> None:
    digits = found.minor_digits
    print(f"{found.status.capitalize()} payouts for {month_words(found.period)} · {found.currency}")
    if not found.payouts and not found.rewards:
        print("the catalog in force pays nobody: payouts: … names builders and providers")
        return
    builders = [_decimals(entry) for entry in document["payouts"]]
    if builders:
        keys = [column.key for column in BUILDER_COLUMNS[1:]]
        sums = {key: sum((row[key] for row in builders), Decimal(0)) for key in keys}
        output.print_table(BUILDER_COLUMNS, builders, total={"builder": "total", **sums}, digits=digits)
    if found.rewards:
        print()
        output.print_table(REWARD_COLUMNS, [_decimals(entry) for entry in document["rewards"]], digits=digits)
    total = document["total"]
    print()
    margin, platform = (f"{rounded(Decimal(total[key]), digits):,f}" for key in ("margin", "platform"))
    print(f"of a margin of {margin} in all, the platform keeps {platform} after earnings and rewards")
    print()
    period = ("--period", month_text(found.period))
    output.print_next([(again(arguments, "payout", *period, "--format", "csv"), "the file for the bank")])


def _decimals(entry: dict[str, Any]) -> dict[str, Any]:
    texts = (
        "builder",
        "provider",
        "period",
        "currency",
        "payout_id",
        "basis",
        "status",
        "workflows",
        "requests",
    )
    return {key: value if key in texts else Decimal(value) for key, value in entry.items()}


def export(arguments: argparse.Namespace) -> int:
    """`unitrate export`."""
    from unitrate.billing.export import export as write

    with opened(arguments, "export") as store:
        count = write(store, timeline(store), arguments.what, arguments.period, Path(arguments.to))
    print(f"wrote {count:,} rows into {arguments.to}")
    return 0


# ---------------------------------------------------------------- top-up, balance


def top_up(arguments: argparse.Namespace) -> int:
    """`unitrate top-up`."""
    kafka = _kafka(arguments)
    with open_store(needed_store(arguments), command="unitrate top-up") as store:
        sold = month_end.top_up(
            store,
            arguments.account,
            arguments.name,
            kafka,
            dry_run=arguments.dry_run,
            reference=arguments.reference,
        )
        digits = timeline(store).catalogs[-1].minor_digits
    verb = "would sell" if arguments.dry_run else "sold"
    price, credit = (f"{rounded(pico(p), digits):,f}" for p in (sold.amount_pico, sold.credit_pico))
    lasts = (
        "does not expire" if sold.expires_us is None else f"lasts {sold.expires_us // 86_400_000_000} days"
    )
    print(
        f"{verb} {sold.account} {sold.name}: {price} {sold.currency} for a credit of {credit}, which {lasts}"
    )
    if not arguments.dry_run:
        print()
        output.print_next([(again(arguments, "balance", "--account", sold.account), "what is left of it")])
    return 0


def balance(arguments: argparse.Namespace) -> int:
    """`unitrate balance`."""
    with opened(arguments, "balance") as store:
        at_us = log_time_us(store) if arguments.at is None else arguments.at
        if at_us < 0:
            raise InputError("--at lies before 1970")
        found = balances.ledger(store, timeline(store), at_us, arguments.account)
    rows = [_movement(found, one) for one in found.movements]
    if arguments.format == "json":
        output.print_json(_balance_document(found, rows))
    elif arguments.format == "csv":
        output.print_csv([Column(key, key) for key in MOVEMENT_KEYS], rows)
    else:
        _print_balance(found, rows)
    return 0


def _movement(found: Ledger, one: balances.Movement) -> dict[str, Any]:
    digits = found.minor_digits
    return {
        "account": one.account,
        "time": instant_text(one.at_us),
        "kind": one.kind,
        "credit": one.credit,
        "amount": minor_text(one.amount_minor, digits),
        "balance": minor_text(one.balance_minor, digits),
        "period": month_text(one.period) if one.period else None,
        "invoice_id": one.invoice_id or None,
        "expires": None if one.expires_us is None else instant_text(one.expires_us),
    }


def _balance_document(found: Ledger, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "at": instant_text(found.at_us),
        "currency": found.currency,
        "balances": [
            {"account": account, "balance": minor_text(left, found.minor_digits)}
            for account, left in sorted(found.balances().items())
        ],
        "movements": rows,
    }


def _print_balance(found: Ledger, rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("no credit and no top-up up to then")
        return
    print(f"Credits at {instant_text(found.at_us)} · {found.currency}")
    shown = [{**row, "amount": Decimal(row["amount"]), "balance": Decimal(row["balance"])} for row in rows]
    one_account = len({row["account"] for row in rows}) == 1
    columns = MOVEMENT_COLUMNS[1:] if one_account else MOVEMENT_COLUMNS
    output.print_table(columns, shown, digits=found.minor_digits)
    if not one_account:
        left = EXACT.scaleb(Decimal(sum(found.balances().values())), -found.minor_digits)
        print(f"left in all: {left:,}")
