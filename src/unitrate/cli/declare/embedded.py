"""Commands that need nothing but a folder: their options, help texts and examples."""

from __future__ import annotations

import argparse

from unitrate.cli import options
from unitrate.cli.registry import Command


def _demo(parser: argparse.ArgumentParser) -> None:
    options.store(parser, default="demo-store")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("catalog", nargs="+", metavar="CATALOG", help="a YAML file, or a folder of them")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--catalog",
        action="append",
        metavar="CATALOG",
        help="YAML file or folder; needed the first time, then on change",
    )
    options.store(parser)
    options.output_format(parser)
    parser.add_argument(
        "events", nargs="*", metavar="EVENTS", help=".jsonl or .jsonl.gz files, folders, or - for stdin"
    )


def _tick(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    parser.add_argument(
        "--until", required=True, metavar="TIME", type=options.instant_us, help="as 2025-12-03T00:00:00Z"
    )


def _publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("catalog", nargs="+", metavar="CATALOG", help="a YAML file, or a folder of them")
    options.store(parser)
    options.brokers(parser)
    options.dry_run(parser)


COMMANDS = (
    Command(
        "demo",
        "the whole story on real agent runs: events, units, lines, margin, invoices",
        "Rates real coding-agent runs with real bills into a folder and shows what they cost, what they\n"
        "earned, and what to ask next. A second run goes on with the same folder.",
        "unitrate demo\nunitrate demo --store /tmp/demo",
        _demo,
        "unitrate.cli.embedded:demo",
    ),
    Command(
        "check",
        "does a catalog hold? Every error with file, line, path and fix",
        "Reads a catalog and names every error in it, with file, line, column, path and the fix.\n"
        "Exit 0 if it holds, 1 if it does not.",
        "unitrate check catalog.yaml",
        _check,
        "unitrate.cli.embedded:check",
    ),
    Command(
        "run",
        "rates events from files into a store; goes on where it stopped",
        "Rates events under a catalog into a store. Files given together are merged by event time.\n"
        "It resumes where it stopped, whatever stopped it; the same input twice changes nothing.",
        "unitrate run --catalog catalog.yaml --store ./books events.jsonl.gz\n"
        "cat more.jsonl | unitrate run --store ./books -",
        _run,
        "unitrate.cli.embedded:run",
    ),
    Command(
        "tick",
        "moves an embedded log's time on, so that units end without new events",
        "Writes a tick into the embedded log: timers (idle, settle, acceptance) up to that time fire.",
        "unitrate tick --store ./books --until 2025-12-03T00:00:00Z",
        _tick,
        "unitrate.cli.embedded:tick",
    ),
    Command(
        "publish",
        "puts a catalog version into the log",
        "Writes the versions of a catalog that the log does not have yet into it, in the order of their\n"
        "`effective` instants. A version that was published is never changed.",
        "unitrate publish catalogs/ --store ./books",
        _publish,
        "unitrate.cli.embedded:publish",
    ),
)
