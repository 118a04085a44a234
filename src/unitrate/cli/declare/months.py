"""Commands of the month end: their options, help texts and examples."""

from __future__ import annotations

import argparse
import re

from unitrate.cli import options
from unitrate.cli.registry import Command

_SPANS_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}


def span_us(text: str) -> int:
    """30m, 24h or 2d as microseconds; 0 is none."""
    if text == "0":
        return 0
    match = re.fullmatch(r"([0-9]{1,5})([mhdw])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f'"{text}" is no span; write it as 30m, 24h or 2d')
    return int(match[1]) * _SPANS_US[match[2]]


def _close(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    options.brokers(parser)
    options.period(parser, required=True)
    parser.add_argument(
        "--grace",
        metavar="SPAN",
        type=span_us,
        default=0,
        help="leave accounts open for that long after their month's end, as 24h (default: 0)",
    )
    parser.add_argument(
        "--now", action="store_true", help="close accounts whose month has not ended too; fires no timer"
    )
    options.dry_run(parser)
    options.output_format(parser)


def _top_up(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    options.brokers(parser)
    parser.add_argument("--account", metavar="A", required=True, help="the customer who buys it")
    parser.add_argument("--name", required=True, help="name of a top-up that the account's plan offers")
    parser.add_argument(
        "--reference", metavar="R", help="your order's number: the same one again sells nothing again"
    )
    options.dry_run(parser)


def _balance(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    options.account(parser)
    parser.add_argument(
        "--at",
        metavar="TIME",
        type=options.instant_us,
        help="as 2025-12-03T00:00:00Z (default: the log's time)",
    )
    options.output_format(parser)


def _payout(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    options.period(parser, required=True)
    parser.add_argument("--pdf", metavar="DIR", help="write a statement a builder as PDF into this folder")
    options.output_format(parser)


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("invoices", "lines", "units", "payouts"), help="what to write")
    options.store(parser)
    options.period(parser, required=True)
    parser.add_argument("--to", metavar="FILE", required=True, help="file that ends in .parquet or .csv")


COMMANDS = (
    Command(
        "close",
        "closes a month: invoices and payouts become final, what comes later is an adjustment",
        "Closes a month for every account whose month has ended in the log's time, waits until every\n"
        "partition has acknowledged, and writes the final invoices, then the payouts once all accounts have\n"
        "closed. Again = no change. Exit 1 if something final would come out otherwise today.",
        "unitrate close --store ./books --period 2025-11 --dry-run\n"
        "unitrate close --store ./books --period 2025-11 --grace 24h",
        _close,
        "unitrate.cli.months:close",
    ),
    Command(
        "payout",
        "what builders of workflows and providers earn in a month",
        "Earnings of builders by margin or revenue, the platform's fee, minimum and carry; rewards of\n"
        "providers. A draft until every account has closed the month, then final. --format csv is the file\n"
        "for a bank: one row a payment, with an id that stays the same.",
        "unitrate payout --store ./books --period 2025-11\n"
        "unitrate payout --store ./books --period 2025-11 --format csv > payouts.csv",
        _payout,
        "unitrate.cli.months:payout",
    ),
    Command(
        "top-up",
        "sells a customer a top-up of their plan: credit for a price",
        "Writes the purchase into the log: its price is on the invoice of the month, its credit pays\n"
        "invoices until it expires.",
        'unitrate top-up --store ./books --account acme --name "500 extra documents"',
        _top_up,
        "unitrate.cli.months:top_up",
    ),
    Command(
        "balance",
        "credits of customers: every grant, use and expiry, and what is left",
        "The ledger of credits and top-ups, and the balance after each movement, at any moment.",
        "unitrate balance --store ./books --account acme --at 2025-12-01T00:00:00Z",
        _balance,
        "unitrate.cli.months:balance",
    ),
    Command(
        "export",
        "invoices, rated lines, units or payouts of a month as Parquet or CSV",
        "Writes a month's rows into a file, decimals with all their digits. The file is whole or not there.",
        "unitrate export lines --store ./books --period 2025-11 --to lines.parquet",
        _export,
        "unitrate.cli.months:export",
    ),
)
