"""Commands of the streaming side: Kafka and a server store."""

from __future__ import annotations

import argparse
import os

from unitrate.cli import options
from unitrate.cli.registry import Command


def _init(parser: argparse.ArgumentParser) -> None:
    options.brokers(parser)
    options.store(parser)
    parser.add_argument(
        "--partitions",
        type=_positive,
        metavar="N",
        help="of unitrate.log, fixed for its life (default: 16 where it is made)",
    )
    parser.add_argument(
        "--replication",
        type=_positive,
        metavar="N",
        help="copies of a topic (default: 3, or as many as brokers)",
    )
    parser.add_argument(
        "--retention", type=_days, metavar="DAYS", help="days that the log is kept (default: the brokers')"
    )
    _cluster(parser)
    parser.add_argument("--fix", action="store_true", help="set what is wrong instead of naming it")
    parser.add_argument(
        "--upgrade",
        action="store_true",
        help="after a release that says so: fold by its rules from here on; older workers stop",
    )


def _worker(parser: argparse.ArgumentParser) -> None:
    options.brokers(parser)
    options.store(parser)
    parser.add_argument(
        "--web-port", type=_port, default=6066, metavar="PORT", help="metrics (default: 6066)"
    )
    parser.add_argument(
        "--session-timeout",
        type=_seconds,
        default=10.0,
        metavar="S",
        help="seconds until a dead worker's partitions move (default: 10)",
    )
    _cluster(parser)
    parser.add_argument(
        "--rekey",
        action="append",
        default=[],
        metavar="TOPIC",
        help="a topic whose events are keyed by account and forwarded into the log; may be repeated",
    )
    parser.add_argument(
        "--instance",
        metavar="NAME",
        default=os.environ.get("UNITRATE_INSTANCE") or None,
        help="static membership: after a restart the same partitions come back (default: UNITRATE_INSTANCE)",
    )


def _cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cluster",
        metavar="NAME",
        help="of ClickHouse: replicated tables, sharded by log partition; reports then read DATABASE_all",
    )


def _send(parser: argparse.ArgumentParser) -> None:
    options.brokers(parser)
    parser.add_argument(
        "events", nargs="+", metavar="EVENTS", help=".jsonl or .jsonl.gz files, folders, or - for stdin"
    )


def _status(parser: argparse.ArgumentParser) -> None:
    options.brokers(parser)
    options.store(parser)
    options.output_format(parser)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'"{text}" is no number from 1')
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is no port')
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 300:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of seconds between 1 and 300')
    return value


def _days(text: str) -> int:
    number = text.removesuffix("d")
    if not number.isdigit() or int(number) == 0:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of days; write it as 90d')
    return int(number)


COMMANDS = (
    Command(
        "init",
        "makes and checks the topics and tables of a streaming installation",
        "Makes the topics unitrate.log and unitrate.alerts and the tables, and writes the log's genesis.\n"
        "Again changes nothing. A setting that is there and wrong is an error that names it; --fix sets it.",
        "unitrate init --brokers kafka:9092 --store clickhouse://unitrate@clickhouse:8123/unitrate",
        _init,
        "unitrate.cli.streaming:init",
    ),
    Command(
        "worker",
        "rates the log: a Faust worker; run as many as there are cores",
        "Folds the partitions that Kafka assigns to it and writes checkpoints; kill it whenever you like.\n"
        "SIGTERM: it finishes the batch, writes a checkpoint and leaves.",
        "unitrate worker --brokers kafka:9092 --store clickhouse://unitrate@clickhouse:8123/unitrate",
        _worker,
        "unitrate.cli.streaming:worker",
    ),
    Command(
        "send",
        "sends events from files or standard input into the log",
        "Sends each line with a readable subject to its account's partition, acknowledged by all replicas.\n"
        "Lines without one, or over 2 MiB, are listed and left out; then the exit code is 1.",
        "unitrate send --brokers kafka:9092 events.jsonl.gz\nproducer | unitrate send -",
        _send,
        "unitrate.cli.streaming:send",
    ),
    Command(
        "status",
        "how far every partition is, and which worker has it",
        "For every partition: how far the store is, where the log ends, the lag, and which worker holds it.",
        "unitrate status --brokers kafka:9092 --store clickhouse://unitrate@clickhouse:8123/unitrate",
        _status,
        "unitrate.cli.streaming:status",
    ),
)
