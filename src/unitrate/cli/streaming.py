"""The streaming commands: init, publish, worker, send, status.

Owns what they print and their exit codes; the work is done in `runtime`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unitrate.cli import output
from unitrate.cli.opening import again
from unitrate.cli.options import is_server, needed_store
from unitrate.cli.output import Column
from unitrate.errors import InputError, StoreUnavailable
from unitrate.runtime.kafka_connection import connection

if TYPE_CHECKING:
    from unitrate.runtime.upgrading import Rules
    from unitrate.store import Store

LISTED = 20  # lines that were left out and are named
STATUS_COLUMNS = (
    Column("partition", "partition", "count"),
    Column("checkpoint", "checkpoint", "count"),
    Column("end", "end", "count"),
    Column("lag", "lag", "count"),
    Column("ago", "last checkpoint"),
    Column("worker", "worker"),
    Column("note", ""),
)
CSV_COLUMNS = tuple(
    Column(key, key)
    for key in ("partition", "checkpoint", "end", "lag", "checkpointed_at", "worker", "state", "problem")
)


def _server(arguments: argparse.Namespace) -> str:
    store = needed_store(arguments)
    if not is_server(store):
        raise InputError(
            "--store names a folder; with Kafka it is a server: clickhouse://user:password@host:port/database"
        )
    return store


def init(arguments: argparse.Namespace) -> int:
    from unitrate.runtime import upgrading
    from unitrate.runtime.publishing import initialize
    from unitrate.store import open_store

    made = connection(arguments.brokers)
    settings = {"retention.ms": str(arguments.retention * 86_400_000)} if arguments.retention else {}
    if arguments.cluster:
        from unitrate.store import cluster

        cluster.prepare(_server(arguments), arguments.cluster)
    store = open_store(_server(arguments), create=not arguments.cluster, command="unitrate init")
    with store:
        done = asyncio.run(
            initialize(made, store, arguments.partitions, arguments.replication, settings, arguments.fix)
        )
        if arguments.upgrade:
            rules = asyncio.run(upgrading.upgrade(made, store, done.topics[0].partitions))
        else:
            rules = asyncio.run(upgrading.rules(made, store))
        label = store.label
    for topic in done.topics:
        print(f"topic   {topic.name:<16} {topic.partitions:>4} partitions   {topic.change}")
    print(f"tables  {label}   up to date")
    print(f"log     {done.log_id}   {'begun' if done.new_log else 'unchanged'}")
    print(f"rules   {_rules_words(rules)}")
    if done.new_log:
        output.print_next(
            [
                (again(arguments, "publish", "CATALOG"), "the prices, into every partition"),
                (again(arguments, "worker"), "rates what is sent; as many as there are cores"),
                ("unitrate send EVENTS", "events from files"),
            ]
        )
    return 0


def _rules_words(rules: Rules) -> str:
    if rules.now > rules.before:
        return f"version {rules.now}, {rules.before} before"
    newer = f"; this code knows {rules.known}: once every worker does, unitrate init --upgrade"
    return f"version {rules.now}{newer if rules.known > rules.now else ''}"


def publish(arguments: argparse.Namespace) -> int:
    """`unitrate publish` on a server store."""
    from unitrate.catalog.source import load
    from unitrate.runtime.publishing import publish as publish_versions
    from unitrate.store import open_store

    made = connection(arguments.brokers)
    versions = load(arguments.catalog)
    with open_store(_server(arguments), command="unitrate publish") as store:
        done = asyncio.run(publish_versions(made, store, versions, arguments.dry_run))
    for name in done.known:
        print(f"{name}   is published already")
    verb = "would be published" if arguments.dry_run else "published"
    for name in done.written:
        print(f"{name}   {verb} into {done.partitions} partitions")
    return 0


def worker(arguments: argparse.Namespace) -> int:
    # Until Faust takes over, there is nothing to finish. An exception might be caught on its way out.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from unitrate.runtime.worker import WorkerOptions, run
    from unitrate.store import open_store

    made, store = connection(arguments.brokers), _server(arguments)
    try:
        open_store(store, command="unitrate worker").close()  # wrong use is said before anything starts
    except StoreUnavailable as error:
        print(f"unitrate: {error}; waiting for it", file=sys.stderr, flush=True)
    name = arguments.instance or f"{socket.gethostname()}-{os.getpid()}"
    return run(
        WorkerOptions(
            connection=made,
            store=store,
            name=name,
            web_port=arguments.web_port,
            session_timeout_s=arguments.session_timeout,
            instance=arguments.instance,
            rekey=tuple(arguments.rekey),
            cluster=arguments.cluster,
        )
    )


def send(arguments: argparse.Namespace) -> int:
    from unitrate.runtime.log_view import log_partitions
    from unitrate.runtime.send import Sent
    from unitrate.runtime.send import send as send_events

    made = connection(arguments.brokers)

    async def work() -> Sent:
        return await send_events(made, await log_partitions(made), arguments.events)

    sent = asyncio.run(work())
    print(f"sent {sent.events:,} events")
    for place, reason in sent.left_out[:LISTED]:
        print(f"left out {place}: {reason}", file=sys.stderr)
    if len(sent.left_out) > LISTED:
        print(f"left out {len(sent.left_out) - LISTED:,} more lines", file=sys.stderr)
    return 1 if sent.left_out else 0


def retry_rejected(arguments: argparse.Namespace) -> int:
    """`unitrate rejected retry` on a server store."""
    from unitrate.runtime.log_view import log_partitions
    from unitrate.runtime.retrying import retry
    from unitrate.store import open_store

    made = connection(arguments.brokers)

    async def work(store: Store) -> int:
        partitions = await log_partitions(made)
        return await retry(made, store, partitions, arguments.reason, arguments.dry_run)

    with open_store(_server(arguments), command="unitrate rejected retry") as store:
        count = asyncio.run(work(store))
    events = f"{count:,} event{'' if count == 1 else 's'}"
    print(f"{events} would be sent again" if arguments.dry_run else f"{events} sent again")
    return 0


def status(arguments: argparse.Namespace) -> int:
    from unitrate.runtime.status import status as read_status
    from unitrate.store import open_store

    made = connection(arguments.brokers)
    with open_store(_server(arguments), command="unitrate status") as store:
        found = asyncio.run(read_status(made, store))
    document = found.document()
    if arguments.format == "json":
        output.print_json(document)
        return 0
    if arguments.format == "csv":
        output.print_csv(CSV_COLUMNS, document["partitions"])
        return 0
    rows = [
        {
            **partition.document(),
            "worker": partition.worker or "–",
            "ago": _ago(partition.checkpointed_at),
            "note": _note(partition.worker, partition.state, partition.problem),
        }
        for partition in found.partitions
    ]
    output.print_table(STATUS_COLUMNS, rows)
    print(
        f"lag {found.lag:,} · open units {found.open_units:,} · held {found.held:,} · "
        f"rejected {found.rejected:,}" + (" (unitrate rejected)" if found.rejected else "")
    )
    return 0


def _note(worker_name: str | None, state: str | None, problem: str) -> str:
    if worker_name is None:
        return "no worker holds it"
    if state in (None, "running"):
        return ""
    return f"{str(state).replace('_', ' ')}{': ' + problem if problem else ''}"


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    seconds = max((datetime.now(UTC) - moment).total_seconds(), 0.0)
    if seconds < 120:
        return f"{seconds:.1f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago"
