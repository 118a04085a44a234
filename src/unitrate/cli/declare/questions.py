"""Commands that ask a store: their options, help texts and examples."""

from __future__ import annotations

import argparse

from unitrate.cli import options
from unitrate.cli.registry import Command

REPORT_COLUMNS = (
    "account, workspace, workflow, meter, size, disposition, reason,\n"
    "provider, model, operation, day, tag:NAME"
)


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind", choices=("usage", "margin"), help="usage: what was done; margin: what it left over"
    )
    options.store(parser)
    options.period(parser, required=True)
    options.account(parser)
    parser.add_argument(
        "--by", metavar="COLUMN,…", type=options.columns, help=REPORT_COLUMNS.replace("\n", " ")
    )
    options.output_format(parser)


def _invoice(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    options.period(parser, required=True)
    options.account(parser)
    parser.add_argument("--pdf", metavar="DIR", help="write each invoice as a PDF into this folder, too")
    options.output_format(parser)


def _units(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    options.account(parser)
    options.period(parser, required=False)
    parser.add_argument(
        "--disposition", choices=("billable", "not_billed", "held"), help="units of that fate only"
    )
    options.output_format(parser)


def _explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="WHAT", help="a unit id, a unit's key, a line id or an invoice id")
    options.store(parser)
    parser.add_argument("--all", action="store_true", help="every request and unit, not the first few")
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="table for people (default)"
    )


def _rejected(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", choices=("retry",), help="take them again, after what was wrong is fixed"
    )
    options.store(parser)
    options.brokers(parser)
    parser.add_argument("--reason", metavar="R", help="those with this reason code only")
    options.dry_run(parser)
    options.output_format(parser)


def _sql(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    parser.add_argument("query", metavar="QUERY", help="a ClickHouse query; it may read, not write")
    options.output_format(parser)


COMMANDS = (
    Command(
        "report",
        "usage or margin of a month, by account, workflow, model, day, tag …",
        "Units, requests, revenue, cost and margin of a month.\n"
        "Cost is that of every charged request, billed or not.\n"
        f"Columns for --by: {REPORT_COLUMNS}.",
        "unitrate report margin --store ./books --period 2025-11 --by account,reason",
        _report,
        "unitrate.cli.questions:report",
    ),
    Command(
        "invoice",
        "what a customer owes for a month (the draft until the month is closed)",
        "Invoices of a month: usage, minimums and fees, rounded once to the currency's minor unit.",
        "unitrate invoice --store ./books --period 2025-11 --account acme\n"
        "unitrate invoice --store ./books --period 2025-11 --pdf ./invoices",
        _invoice,
        "unitrate.cli.invoices:invoice",
    ),
    Command(
        "units",
        "runs, documents, tickets … with their fate, cost and revenue",
        "One row a unit. The table shows the main columns, json and csv have all of them.",
        "unitrate units --store ./books --account acme --period 2025-11 --disposition not_billed",
        _units,
        "unitrate.cli.questions:units",
    ),
    Command(
        "explain",
        "why a unit, a line or an invoice is what it is, down to the requests",
        "Explains a unit, a rated line or an invoice: the rule that decided, the price and its\n"
        "arithmetic, the cost by usage class, the requests.",
        "unitrate explain --store ./books sympy__sympy-13091",
        _explain,
        "unitrate.cli.explanation:explain",
    ),
    Command(
        "rejected",
        "events that could not be read, each with its reason; retry takes them again",
        "Lists rejected events; with retry, appends their bytes to the log again, once the cause is fixed.",
        "unitrate rejected --store ./books --reason in_future\n"
        "unitrate rejected retry --store ./books --dry-run",
        _rejected,
        "unitrate.cli.questions:rejected",
    ),
    Command(
        "sql",
        "any ClickHouse query on the store, read only",
        "Runs a query that may read every table and view of the store, and write none.",
        'unitrate sql --store ./books "SELECT reason, count() FROM units FINAL GROUP BY reason"',
        _sql,
        "unitrate.cli.questions:sql",
    ),
)
