"""Options that several commands share, and how their values are read.

Owns the spelling of `--store`, `--brokers`, `--format`, `--period`, `--account`; reads the environment, and
is the only module that does. Must import nothing heavy: every help page goes through here.
"""

from __future__ import annotations

import argparse
import os
import re
from datetime import UTC, datetime

from unitrate.errors import InputError

FORMATS = ("table", "json", "csv")


def store(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """`--store`: from the environment where it is not given, and required where neither is."""
    parser.add_argument(
        "--store",
        metavar="STORE",
        default=os.environ.get("UNITRATE_STORE") or default,
        help="folder (embedded) or clickhouse://user:password@host:port/database"
        + (f" (default: {default})" if default else " (default: UNITRATE_STORE)"),
    )


def brokers(parser: argparse.ArgumentParser) -> None:
    """`--brokers`: Kafka, from the environment where it is not given."""
    parser.add_argument(
        "--brokers",
        metavar="HOST:PORT,…",
        default=os.environ.get("UNITRATE_BROKERS") or None,
        help="Kafka brokers, with a server store (default: UNITRATE_BROKERS)",
    )


def output_format(parser: argparse.ArgumentParser) -> None:
    """`--format` for commands that print rows."""
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="table for people (default), json and csv for programs",
    )


def period(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """`--period 2025-11`, kept as the integer 202511."""
    parser.add_argument(
        "--period", metavar="YYYY-MM", type=month, required=required, help="billing month, as 2025-11"
    )


def account(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--account", metavar="A", help="one customer only")


def dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, write nothing")


def needed_store(arguments: argparse.Namespace) -> str:
    """The store that was named, or an error that says how to name one."""
    if not arguments.store:
        raise InputError("which store? Give --store FOLDER, or set UNITRATE_STORE")
    return str(arguments.store)


def is_server(spec: str) -> bool:
    """Whether a store is a ClickHouse server rather than a folder."""
    return spec.startswith(("clickhouse://", "clickhouses://"))


def month(text: str) -> int:
    """2025-11 as 202511."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text) or text < "1970-01":
        raise argparse.ArgumentTypeError(f'"{text}" is no month; write it as 2025-11')
    return int(text[:4]) * 100 + int(text[5:])


def instant_us(text: str) -> int:
    """An RFC 3339 time with its zone, as microseconds since 1970 UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is no time; write it as 2025-12-01T00:00:00Z') from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f'"{text}" has no zone; write it as {text}Z for UTC')
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def month_or_instant(text: str) -> tuple[int | None, int]:
    """2025-11 as (None, 202511), a time with its zone as (microseconds since 1970 UTC, 0)."""
    return (None, month(text)) if re.fullmatch(r"\d{4}-\d{2}", text) else (instant_us(text), 0)


def columns(text: str) -> list[str]:
    """A,B,C as a list, without empty names and without a name twice."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f'"{text}" has an empty name; write it as account,meter')
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f'"{text}" names a column twice')
    return names
